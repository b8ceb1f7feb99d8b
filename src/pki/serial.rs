//! Serial numbers of certificates (RFC 5280 section 4.1.2.2).

use std::fmt;

use super::digest::write_hex;

/// A serial number: 20 octets, positive, of which 158 bits are random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial([u8; 20]);

impl Serial {
    /// A serial number made of 20 octets out of a cryptographically secure random source.
    pub fn from_entropy(mut random: [u8; 20]) -> Self {
        // RFC 5280 §4.1.2.2: a positive INTEGER of at most 20 octets. With the top bit clear it is positive without an
        // octet more; with the next one set it is minimal and never zero, and every serial has the same length.
        random[0] = random[0] & 0x3f | 0x40;
        Self(random)
    }

    /// The content octets of the INTEGER: big endian, minimal.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    /// Lower-case hexadecimal digits.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(formatter, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_is_positive_minimal_and_20_octets_whatever_the_random_source_gives() {
        for random in [[0x00; 20], [0xff; 20], [0x80; 20], [0x3f; 20]] {
            let serial = Serial::from_entropy(random);
            assert_eq!(serial.octets().len(), 20);
            assert!((0x40..=0x7f).contains(&serial.octets()[0]), "{serial}");
            assert_eq!(serial.octets()[1..], random[1..]);
        }
    }
}
