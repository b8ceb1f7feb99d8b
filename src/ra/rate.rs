//! How often tenants and labels ask for certificates, and when the next request of each may come.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use super::RegistrationAuthority;
use super::label::LabelContext;
use crate::est::{Rejection, RejectionCode};
use crate::policy::{RateLimit, UsageLimits};

/// The longest that a client is told to wait; those who would come later are given turns from the beginning again.
const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(10);

/// From so many on, those that are as if they had never been are forgotten, labels of configurations of the past, whenever they
/// have become twice as many.
const MANY: usize = 1024;

/// Who asked how often. One for the life of the process, over all configurations.
#[derive(Debug, Default)]
pub struct Rates(Mutex<Paces>);

#[derive(Debug, Default)]
struct Paces {
    of: HashMap<Place, Pace>,
    /// So many were left when some were forgotten last.
    left: usize,
}

/// A tenant, and one of its labels or none: then all of them.
type Place = (String, Option<String>);

/// The generic cell rate algorithm (ITU-T I.371 annex A): one moment says all.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// When the next event would come if all kept to the rate.
    next: DateTime<Utc>,
    /// The last turn that was given to somebody who was refused.
    turn: DateTime<Utc>,
}

impl RegistrationAuthority {
    /// Counts a request for a certificate by somebody who proved who it is: strangers use up nobody's share.
    ///
    /// # Errors
    /// When the label or its tenant asks too often; it is not counted then.
    pub(super) fn count_request(&self, label: &LabelContext, now: DateTime<Utc>) -> Result<(), Rejection> {
        self.ports.rates.count(&label.tenant, label.label.as_str(), &label.limits, now).map_err(|(whose, seconds)| {
            let reason = format!("the {whose} asks for certificates too often; come back in {seconds} seconds");
            Rejection::new(RejectionCode::RateLimited, "RFC 6585 4", reason).with_retry_after(seconds)
        })
    }
}

impl Rates {
    /// Counts one at a label and at its tenant, or at neither: then whose limit it is, and in how many seconds to come back.
    fn count(
        &self,
        tenant: &str,
        label: &str,
        limits: &UsageLimits,
        now: DateTime<Utc>,
    ) -> Result<(), (&'static str, u32)> {
        let of_tenant = limits.tenant.rate.map(|rate| ("tenant", (tenant.to_owned(), None), rate));
        let of_label = limits.rate.map(|rate| ("label", (tenant.to_owned(), Some(label.to_owned())), rate));
        if of_tenant.is_none() && of_label.is_none() {
            return Ok(());
        }
        let mut paces = self.locked();
        if paces.of.len() >= MANY.max(2 * paces.left) {
            paces.of.retain(|_, pace| pace.next > now || pace.turn > now);
            paces.left = paces.of.len();
        }
        for (whose, place, rate) in of_tenant.iter().chain(&of_label) {
            let pace = paces.of.entry(place.clone()).or_insert(Pace { next: now, turn: now });
            if let Some(seconds) = pace.refuse(rate, now) {
                return Err((whose, seconds));
            }
        }
        for (_, place, rate) in of_tenant.into_iter().chain(of_label) {
            if let Some(pace) = paces.of.get_mut(&place) {
                pace.next += rate.interval();
            }
        }
        Ok(())
    }

    /// What is kept is whole at each step: a panic elsewhere leaves it usable.
    fn locked(&self) -> MutexGuard<'_, Paces> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pace {
    /// In how many seconds to come back, when nothing more may come now. Each who is refused is given a turn after the one
    /// before, at the rate: they come back one after the other, and the more there are, the later.
    fn refuse(&mut self, rate: &RateLimit, now: DateTime<Utc>) -> Option<u32> {
        // A clock that was set back must not shut anybody out.
        self.next = self.next.clamp(now, now + rate.tolerance() + rate.interval());
        let free = self.next - rate.tolerance();
        if free <= now {
            return None;
        }
        self.turn = self.turn.max(free) + rate.interval();
        if self.turn - now > LONGEST_WAIT {
            self.turn = free.min(now + LONGEST_WAIT);
        }
        let wait = self.turn - now;
        let seconds = wait.num_seconds() + i64::from(wait.subsec_nanos() > 0);
        Some(u32::try_from(seconds).unwrap_or_default().max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::TenantLimits;

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_800_000_000_000 + milliseconds).unwrap()
    }

    fn limits(tenant: Option<RateLimit>, label: Option<RateLimit>) -> UsageLimits {
        UsageLimits { tenant: TenantLimits { rate: tenant, ..TenantLimits::default() }, rate: label }
    }

    fn admitted(rates: &Rates, label: &str, limits: &UsageLimits, from: i64, to: i64) -> usize {
        (from..to).filter(|time| rates.count("acme", label, limits, at(*time)).is_ok()).count()
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_rate_holds() {
        let (rates, limits) = (Rates::default(), limits(RateLimit::new(10.0, 5), None));
        assert_eq!((0..100).filter(|_| rates.count("acme", "devices", &limits, at(0)).is_ok()).count(), 5);
        // A request each millisecond for ten seconds: ten of them a second are let through.
        assert_eq!(admitted(&rates, "devices", &limits, 1, 10_001), 100);
        // After a rest, the burst again.
        assert_eq!((0..100).filter(|_| rates.count("acme", "devices", &limits, at(20_000)).is_ok()).count(), 5);
    }

    #[test]
    fn a_slow_rate_and_a_fast_one_are_kept_to() {
        let slow = limits(RateLimit::new(0.001, 1), None);
        let rates = Rates::default();
        assert!(rates.count("acme", "devices", &slow, at(0)).is_ok());
        assert_eq!(rates.count("acme", "devices", &slow, at(999_000)).unwrap_err().0, "tenant");
        assert!(rates.count("acme", "devices", &slow, at(1_000_000)).is_ok());
        let fast = limits(RateLimit::new(100_000.0, 1), None);
        assert_eq!(admitted(&Rates::default(), "devices", &fast, 0, 1000), 1000);
        for (per_second, burst) in [(0.0, 1), (f64::NAN, 1), (100_001.0, 1), (1.0, 0), (1.0, 1_000_001)] {
            assert_eq!(RateLimit::new(per_second, burst), None);
        }
    }

    #[test]
    fn what_one_limit_refuses_does_not_count_for_the_other() {
        let (rates, both) = (Rates::default(), limits(RateLimit::new(1.0, 10), RateLimit::new(1.0, 2)));
        assert_eq!(admitted(&rates, "one", &both, 0, 500), 2);
        assert_eq!(rates.count("acme", "one", &both, at(500)).unwrap_err().0, "label");
        // Eight of the tenant's are left for the others.
        let of_tenant = UsageLimits { rate: None, ..both };
        assert_eq!(admitted(&rates, "two", &of_tenant, 500, 900), 8);
        assert_eq!(rates.count("acme", "two", &of_tenant, at(900)).unwrap_err().0, "tenant");
        assert!(rates.count("globex", "two", &of_tenant, at(900)).is_ok(), "another tenant has its own");
    }

    #[test]
    fn those_who_are_refused_come_back_one_after_the_other() {
        let (rates, limits) = (Rates::default(), limits(RateLimit::new(2.0, 1), None));
        rates.count("acme", "devices", &limits, at(0)).unwrap();
        let told: Vec<u32> = (0..1200).map(|_| rates.count("acme", "devices", &limits, at(0)).unwrap_err().1).collect();
        assert_eq!(told[..5], [1, 2, 2, 3, 3]);
        assert_eq!(told.iter().max(), Some(&600), "and none later than that");
        assert_eq!(told[1199], 1, "then from the beginning");
    }

    #[test]
    fn a_clock_that_is_set_back_shuts_nobody_out() {
        let (rates, limits) = (Rates::default(), limits(RateLimit::new(1.0, 3), None));
        assert_eq!(admitted(&rates, "devices", &limits, 3_600_000, 3_600_010), 3);
        assert!(rates.count("acme", "devices", &limits, at(0)).is_err());
        assert!(rates.count("acme", "devices", &limits, at(1000)).is_ok());
    }

    #[test]
    fn places_of_the_past_are_forgotten() {
        let (rates, limits) = (Rates::default(), limits(None, RateLimit::new(1.0, 1)));
        for label in 0..2 * MANY {
            rates.count("acme", &label.to_string(), &limits, at(label as i64 * 1000)).unwrap();
        }
        assert!(rates.0.lock().unwrap().of.len() <= MANY);
    }

    #[test]
    fn of_many_at_once_no_more_get_through_than_the_burst() {
        let (rates, limits) = (Rates::default(), limits(RateLimit::new(0.01, 100), None));
        let through: usize = std::thread::scope(|scope| {
            let work = || (0..100).filter(|_| rates.count("acme", "devices", &limits, at(0)).is_ok()).count();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(through, 100);
    }
}
