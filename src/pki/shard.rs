//! Which of several lists holds a certificate's revocation: a part of a CA's certificates, told by the serial number.

use super::digest::sha256;

/// One of so many parts of a CA's certificates, of about the same size each. It never changes what part a serial number is
/// in: certificates name the list of their part for all their life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard {
    of: u16,
    number: u16,
}

impl Shard {
    /// All certificates of a CA.
    pub const COMPLETE: Self = Self { of: 1, number: 0 };

    /// Part `number`, from 0, of `of` parts.
    pub fn new(of: u16, number: u16) -> Option<Self> {
        (number < of).then_some(Self { of, number })
    }

    /// Every one of `of` parts.
    pub fn all(of: u16) -> impl Iterator<Item = Self> {
        (0..of).map(move |number| Self { of, number })
    }

    /// The part of `of` parts, at least one, that a serial number is in.
    pub fn holding(place: SerialPlace, of: u16) -> Self {
        let of = of.max(1);
        // As far up among the parts as the place is among all places; the product has 80 bits at the most.
        let number = (u128::from(place.0) * u128::from(of)) >> 64;
        Self { of, number: u16::try_from(number).unwrap_or(u16::MAX) }
    }

    /// Of how many parts it is one.
    pub fn of(self) -> u16 {
        self.of
    }

    /// Which one, from 0.
    pub fn number(self) -> u16 {
        self.number
    }

    /// Whether it is all there is.
    pub fn is_complete(self) -> bool {
        self.of == 1
    }

    /// The places in it: from the first one to the one before the second, if that is not the end.
    pub fn places(self) -> (SerialPlace, Option<SerialPlace>) {
        let start = |number: u16| (u128::from(number) << 64).div_ceil(u128::from(self.of));
        let place = |start: u128| u64::try_from(start).ok().map(SerialPlace);
        (place(start(self.number)).unwrap_or(SerialPlace(0)), place(start(self.number + 1)))
    }
}

/// Where a serial number stands among all: evenly spread, however serial numbers are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SerialPlace(u64);

impl SerialPlace {
    /// The place of the content octets of a serial number.
    pub fn of(serial: &[u8]) -> Self {
        let digest = sha256(&[serial]);
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Self(u64::from_be_bytes(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_serial_is_in_one_part_whose_places_hold_it() {
        for of in [1, 2, 3, 7, 128, 4096] {
            for serial in 0..500u32 {
                let place = SerialPlace::of(&serial.to_be_bytes());
                let shard = Shard::holding(place, of);
                let holds = |shard: &Shard| {
                    let (first, end) = shard.places();
                    first <= place && end.is_none_or(|end| place < end)
                };
                assert_eq!(Shard::all(of).filter(holds).collect::<Vec<_>>(), [shard]);
            }
        }
        assert_eq!(Shard::holding(SerialPlace(u64::MAX), 4096), Shard::new(4096, 4095).unwrap());
        assert_eq!((Shard::new(4, 4), Shard::new(1, 0)), (None, Some(Shard::COMPLETE)));
    }

    /// Certificates in the field name their part: another mapping would be another format.
    #[test]
    fn the_part_of_a_serial_number_never_changes() {
        let parts = [1u8, 2, 3, 200].map(|serial| Shard::holding(SerialPlace::of(&[serial]), 16).number());
        assert_eq!(parts, [4, 13, 0, 7]);
    }
}
