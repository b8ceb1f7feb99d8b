//! Digest nonces (RFC 7616 section 3.3): made without being kept, known again by their tag, good for a while.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use subtle::ConstantTimeEq as _;

use super::place::Place;
use crate::pki::digest::{MacKey, hex};

/// How long a nonce is good: an enrollment takes seconds, and a client gets a new one by asking.
const NONCE_LIFETIME: TimeDelta = TimeDelta::minutes(5);

/// How many nonces in use are remembered. Above it the oldest is forgotten, and no older one is good any more.
const MAX_NONCES_IN_USE: usize = 65_536;

/// Octets of the tag.
const TAG_OCTETS: usize = 16;

/// Makes nonces and knows them again. One for the life of the process, over all configurations.
#[derive(Debug)]
pub struct Nonces {
    key: MacKey,
    made: AtomicU32,
    used: Mutex<Used>,
}

/// A nonce that is ours and in its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CurrentNonce(u64);

/// Why a nonce is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NonceError {
    /// Not made here, or for another label.
    Foreign,
    /// Too old, or used before with the same or a higher count.
    Stale,
}

#[derive(Debug, Default)]
struct Used {
    /// The last count of each nonce, by what it was made from: time first, so the oldest comes first.
    counts: BTreeMap<u64, u32>,
    /// Up to here, what is not in `counts` has been forgotten.
    forgotten: u64,
}

impl Nonces {
    /// `key` is random: nonces of another start of the process are foreign.
    pub fn new(key: &[u8; 32]) -> Self {
        Self { key: MacKey::new(key), made: AtomicU32::new(0), used: Mutex::default() }
    }

    /// A nonce for `place`: 48 characters; libest takes no more than 63.
    pub fn make(&self, place: Place<'_>, now: DateTime<Utc>) -> String {
        let made = u64::from(self.made.fetch_add(1, Ordering::Relaxed));
        let id = seconds(now) << 32 | made;
        let mut nonce = format!("{id:016x}");
        // Writing to a String cannot fail.
        let _ = write!(nonce, "{}", hex(&self.tag(id, place)));
        nonce
    }

    /// Whether `nonce` is one of ours, for `place`, and in its time.
    pub(super) fn check(&self, nonce: &str, place: Place<'_>, now: DateTime<Utc>) -> Result<CurrentNonce, NonceError> {
        let id = nonce.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).ok_or(NonceError::Foreign)?;
        let expected = format!("{id:016x}{}", hex(&self.tag(id, place)));
        if !bool::from(expected.as_bytes().ct_eq(nonce.as_bytes())) {
            return Err(NonceError::Foreign);
        }
        // A clock that was set back makes nonces of the future: they are as stale as old ones.
        match seconds(now).checked_sub(id >> 32) {
            Some(age) if age < NONCE_LIFETIME.num_seconds().unsigned_abs() => Ok(CurrentNonce(id)),
            Some(_) | None => Err(NonceError::Stale),
        }
    }

    /// RFC 7616 §3.4: a count that does not rise is a replay.
    pub(super) fn use_up(&self, nonce: CurrentNonce, count: u32) -> Result<(), NonceError> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        match used.counts.get(&nonce.0) {
            Some(last) if *last >= count => return Err(NonceError::Stale),
            None if nonce.0 <= used.forgotten => return Err(NonceError::Stale),
            Some(_) | None => {}
        }
        used.counts.insert(nonce.0, count);
        if used.counts.len() > MAX_NONCES_IN_USE
            && let Some((oldest, _)) = used.counts.pop_first()
        {
            used.forgotten = oldest;
        }
        Ok(())
    }

    fn tag(&self, id: u64, place: Place<'_>) -> [u8; TAG_OCTETS] {
        let tag = self.key.tag(&[&id.to_be_bytes(), &place.octets()]);
        let mut short = [0; TAG_OCTETS];
        short.copy_from_slice(&tag[..TAG_OCTETS]);
        short
    }
}

fn seconds(now: DateTime<Utc>) -> u64 {
    u64::try_from(now.timestamp()).unwrap_or(0) & u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICES: Place<'_> = Place { tenant: "acme", label: "devices" };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_nonce_is_good_at_its_label_in_its_time_at_its_server() {
        let nonces = Nonces::new(&[1; 32]);
        let nonce = nonces.make(DEVICES, at(0));
        assert!(nonce.len() == 48 && nonces.make(DEVICES, at(0)) != nonce);
        assert!(nonces.check(&nonce, DEVICES, at(299)).is_ok());
        assert_eq!(nonces.check(&nonce, DEVICES, at(300)), Err(NonceError::Stale));
        assert_eq!(nonces.check(&nonce, DEVICES, at(-1)), Err(NonceError::Stale));
        assert_eq!(nonces.check(&nonce, Place { label: "other", ..DEVICES }, at(0)), Err(NonceError::Foreign));
        let elsewhere = Place { tenant: "globex", ..DEVICES };
        assert_eq!(nonces.check(&nonce, elsewhere, at(0)), Err(NonceError::Foreign));
        assert_eq!(Nonces::new(&[2; 32]).check(&nonce, DEVICES, at(0)), Err(NonceError::Foreign));
        for forged in ["", &nonce[1..], &format!("{nonce}0"), &nonce.to_uppercase(), &nonce.replace('0', "1"), "é"] {
            assert_eq!(nonces.check(forged, DEVICES, at(0)), Err(NonceError::Foreign), "{forged}");
        }
    }

    #[test]
    fn a_count_must_rise() {
        let nonces = Nonces::new(&[1; 32]);
        let nonce = nonces.check(&nonces.make(DEVICES, at(0)), DEVICES, at(0)).unwrap();
        assert_eq!(nonces.use_up(nonce, 1), Ok(()));
        assert_eq!(nonces.use_up(nonce, 1), Err(NonceError::Stale));
        assert_eq!(nonces.use_up(nonce, 3), Ok(()));
        assert_eq!(nonces.use_up(nonce, 2), Err(NonceError::Stale));
    }

    #[test]
    fn what_is_forgotten_is_not_good_again() {
        let nonces = Nonces::new(&[1; 32]);
        let in_use: Vec<_> = (0..=MAX_NONCES_IN_USE as u64).map(|id| CurrentNonce(id + 1)).collect();
        for nonce in &in_use {
            assert_eq!(nonces.use_up(*nonce, 1), Ok(()));
        }
        assert_eq!(nonces.used.lock().unwrap().counts.len(), MAX_NONCES_IN_USE);
        assert_eq!(nonces.use_up(in_use[0], 2), Err(NonceError::Stale));
        assert_eq!(nonces.use_up(in_use[1], 2), Ok(()));
    }
}
