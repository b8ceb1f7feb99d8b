//! How often wrong credentials came, for whom and from where, so that guessing stays slow.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use super::place::Place;
use crate::pki::digest::sha256;

/// How many users, and as many addresses, are watched. Above it the one that would lapse first is forgotten; to push a
/// lock out that way takes more failures than the lock would have let through.
const MAX_WATCHED: usize = 65_536;

/// When guessing ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessLimits {
    /// Failures of one user at one label.
    pub per_user: u32,
    /// Failures from one address.
    pub per_address: u32,
    /// Within this time.
    pub window: TimeDelta,
    /// For how long nothing is accepted then.
    pub lockout: TimeDelta,
}

impl Default for GuessLimits {
    fn default() -> Self {
        Self { per_user: 10, per_address: 50, window: TimeDelta::minutes(10), lockout: TimeDelta::minutes(10) }
    }
}

/// Nothing is looked at for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockedOut {
    /// Seconds, at least one.
    pub seconds: u32,
}

/// The failures of late. One for the life of the process, over all configurations.
#[derive(Debug, Default)]
pub struct Guesses {
    users: Mutex<Watched<[u8; 32]>>,
    /// An address that is not known counts as one.
    addresses: Mutex<Watched<Option<IpAddr>>>,
}

impl Guesses {
    /// Whether anything that comes from `address` is looked at. `address` as [`crate::est::network::network`] makes it.
    ///
    /// # Errors
    /// When it is locked out.
    pub fn admit_address(&self, address: Option<IpAddr>, now: DateTime<Utc>) -> Result<(), LockedOut> {
        locked(&self.addresses).admit(&address, now)
    }

    /// Whether a password for `user` at `place` is looked at. Users who do not exist are watched like those who do.
    ///
    /// # Errors
    /// When the user is locked out.
    pub fn admit_user(&self, place: Place<'_>, user: &str, now: DateTime<Utc>) -> Result<(), LockedOut> {
        locked(&self.users).admit(&user_key(place, user), now)
    }

    /// A wrong credential came from `address`, for `user` at a label if it was a password.
    ///
    /// # Errors
    /// When it was one too many.
    pub fn failed(
        &self,
        address: Option<IpAddr>,
        user: Option<(Place<'_>, &str)>,
        limits: &GuessLimits,
        now: DateTime<Utc>,
    ) -> Result<(), LockedOut> {
        let of_address = locked(&self.addresses).failed(address, limits.per_address, limits, now);
        let of_user = user.map_or(Ok(()), |(place, user)| {
            locked(&self.users).failed(user_key(place, user), limits.per_user, limits, now)
        });
        of_address.and(of_user)
    }

    /// The user's own password came. An address is not forgiven: whoever has one credential could guess others with it.
    pub fn succeeded(&self, place: Place<'_>, user: &str) {
        locked(&self.users).forget(&user_key(place, user));
    }
}

/// What is kept has one size, however long a name was sent.
fn user_key(place: Place<'_>, user: &str) -> [u8; 32] {
    sha256(&[&place.octets(), user.as_bytes()])
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Watched<Key> {
    of: HashMap<Key, Failures>,
    /// When each lapses, soonest first.
    lapses: BTreeSet<(DateTime<Utc>, Key)>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    /// It is locked out, and no more is counted.
    out: bool,
    /// From when on it is as if nothing had been.
    lapses_at: DateTime<Utc>,
    since: DateTime<Utc>,
}

impl<Key> Default for Watched<Key> {
    fn default() -> Self {
        Self { of: HashMap::new(), lapses: BTreeSet::new() }
    }
}

impl<Key: Copy + Eq + Hash + Ord> Watched<Key> {
    fn admit(&self, key: &Key, now: DateTime<Utc>) -> Result<(), LockedOut> {
        match self.current(key, now) {
            Some(failures) if failures.out => Err(failures.left(now)),
            Some(_) | None => Ok(()),
        }
    }

    fn failed(&mut self, key: Key, most: u32, limits: &GuessLimits, now: DateTime<Utc>) -> Result<(), LockedOut> {
        let fresh = Failures { count: 0, out: false, lapses_at: now + limits.window, since: now };
        let mut failures = self.current(&key, now).unwrap_or(fresh);
        if !failures.out {
            failures.count += 1;
            if failures.count >= most {
                failures = Failures { out: true, lapses_at: now + limits.lockout, since: now, ..failures };
            }
        }
        self.forget(&key);
        if self.of.len() >= MAX_WATCHED
            && let Some((_, soonest)) = self.lapses.pop_first()
        {
            self.of.remove(&soonest);
        }
        self.of.insert(key, failures);
        self.lapses.insert((failures.lapses_at, key));
        if failures.out { Err(failures.left(now)) } else { Ok(()) }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(failures) = self.of.remove(key) {
            self.lapses.remove(&(failures.lapses_at, *key));
        }
    }

    /// A clock that was set back ends what it would else make endless.
    fn current(&self, key: &Key, now: DateTime<Utc>) -> Option<Failures> {
        self.of.get(key).copied().filter(|failures| (failures.since..failures.lapses_at).contains(&now))
    }
}

impl Failures {
    fn left(self, now: DateTime<Utc>) -> LockedOut {
        let seconds = (self.lapses_at - now).num_milliseconds().max(0).unsigned_abs().div_ceil(1000);
        LockedOut { seconds: u32::try_from(seconds).unwrap_or(u32::MAX).max(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICES: Place<'_> = Place { tenant: "acme", label: "devices" };

    const LIMITS: GuessLimits =
        GuessLimits { per_user: 3, per_address: 5, window: TimeDelta::seconds(60), lockout: TimeDelta::seconds(100) };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn the_failure_that_reaches_the_limit_locks_the_user_out_and_nobody_else() {
        let guesses = Guesses::default();
        let fail = |user: &str, from: &str, now| guesses.failed(address(from), Some((DEVICES, user)), &LIMITS, now);
        assert_eq!(fail("a", "192.0.2.1", at(0)), Ok(()));
        assert_eq!(fail("a", "192.0.2.2", at(1)), Ok(()));
        assert_eq!(guesses.admit_user(DEVICES, "a", at(2)), Ok(()));
        assert_eq!(fail("a", "192.0.2.3", at(2)), Err(LockedOut { seconds: 100 }));
        assert_eq!(guesses.admit_user(DEVICES, "a", at(101)), Err(LockedOut { seconds: 1 }));
        assert_eq!(guesses.admit_user(DEVICES, "b", at(2)), Ok(()));
        assert_eq!(guesses.admit_user(Place { label: "other", ..DEVICES }, "a", at(2)), Ok(()));
        assert_eq!(guesses.admit_user(Place { tenant: "globex", ..DEVICES }, "a", at(2)), Ok(()));
        assert_eq!(guesses.admit_user(DEVICES, "a", at(102)), Ok(()));
        assert_eq!(guesses.admit_user(DEVICES, "a", at(1)), Ok(()), "the clock was set back");
        assert_eq!(fail("a", "192.0.2.3", at(102)), Ok(()), "counted anew");
    }

    #[test]
    fn an_address_is_locked_out_whatever_it_tries_and_success_forgives_users_alone() {
        let guesses = Guesses::default();
        let from = address("192.0.2.1");
        for (turn, user) in ["a", "b", "c", "a"].into_iter().enumerate() {
            assert_eq!(guesses.failed(from, Some((DEVICES, user)), &LIMITS, at(0)), Ok(()), "{turn}");
        }
        guesses.succeeded(DEVICES, "a");
        assert_eq!(guesses.failed(from, None, &LIMITS, at(0)), Err(LockedOut { seconds: 100 }));
        assert!(guesses.admit_address(from, at(0)).is_err());
        assert_eq!(guesses.admit_address(address("192.0.2.2"), at(0)), Ok(()));
        for _ in 0..2 {
            assert_eq!(guesses.failed(address("192.0.2.2"), Some((DEVICES, "a")), &LIMITS, at(0)), Ok(()));
        }
    }

    #[test]
    fn failures_lapse_with_the_window() {
        let guesses = Guesses::default();
        for second in [0, 1, 60, 61] {
            assert_eq!(guesses.failed(None, Some((DEVICES, "a")), &LIMITS, at(second)), Ok(()), "{second}");
        }
    }

    #[test]
    fn no_more_is_kept_than_the_limit() {
        let mut watched = Watched::default();
        for key in 0..=MAX_WATCHED {
            let now = at(0) + TimeDelta::milliseconds(key as i64);
            assert_eq!(watched.failed(key, 2, &GuessLimits { window: TimeDelta::days(1), ..LIMITS }, now), Ok(()));
        }
        assert_eq!((watched.of.len(), watched.lapses.len()), (MAX_WATCHED, MAX_WATCHED));
        assert!(!watched.of.contains_key(&0) && watched.of.contains_key(&1));
    }
}
