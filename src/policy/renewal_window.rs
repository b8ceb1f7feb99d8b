//! When a certificate is to be renewed: each in a slot of its own, so that those issued together do not come back together.

use chrono::{DateTime, TimeDelta, Utc};

use crate::est::RenewalInfo;
use crate::pki::digest::sha256;

/// Shortest time that a client is told to wait before it asks again (RFC 9773 section 4.3.2), in seconds.
const LEAST_RETRY_AFTER: u32 = 60;

/// When the certificates of a label are to be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewalRules {
    /// Percent of a certificate's life after which the first are renewed.
    pub opens: u8,
    /// Percent of it by which the last are; above `opens`, at most 100.
    pub closes: u8,
    /// How long the window of one certificate is.
    pub window: TimeDelta,
    /// After how many seconds clients ask again.
    pub retry_after: u32,
    /// Renewals in one window; those that would be more have a later one. `None`: as many as fall into it.
    pub capacity: Option<u32>,
}

impl Default for RenewalRules {
    fn default() -> Self {
        Self { opens: 60, closes: 85, window: TimeDelta::hours(1), retry_after: 6 * 60 * 60, capacity: None }
    }
}

/// A certificate as far as its renewal depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Renewable<'a> {
    /// Its issuer, by whichever name, always the same.
    pub issuer: &'a [u8],
    /// Its serial number.
    pub serial: &'a [u8],
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// notAfter.
    pub not_after: DateTime<Utc>,
    /// Since when it is revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// The slot that it was given in the place of its own.
    pub moved_to: Option<Slot>,
}

/// A stretch of time, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// When it begins.
    pub start: i64,
    /// When it ends.
    pub end: i64,
}

impl RenewalRules {
    /// The window of a certificate, the same whenever it is asked for, and when to ask again.
    pub fn info(&self, certificate: &Renewable<'_>) -> RenewalInfo {
        let spread = Spread::of(certificate);
        let (opens, closes) = (certificate.after(self.opens), certificate.after(self.closes));
        let slot = match (certificate.revoked_at, certificate.moved_to) {
            // RFC 9773 §4.2: a window in the past says "now".
            (Some(at), _) => Slot { start: at.timestamp() - self.length(), end: at.timestamp() },
            (None, Some(slot)) => slot,
            // draft-ietf-lamps-est-renewal-info §3.2: the end comes after the start.
            (None, None) => self.slots(certificate).next().unwrap_or(Slot { start: opens, end: closes.max(opens + 1) }),
        };
        let retry_after = self.retry_after(closes - opens, spread.wait);
        RenewalInfo { start: moment(slot.start), end: moment(slot.end), retry_after }
    }

    /// Time is cut into slots of a window's length: those that lie between `opens` and `closes`, a certificate's own first, then
    /// the later ones, then from the beginning. None where a life is too short for one.
    pub fn slots(&self, certificate: &Renewable<'_>) -> impl Iterator<Item = Slot> + use<> {
        let (opens, closes) = (certificate.after(self.opens), certificate.after(self.closes));
        let length = self.length();
        let first = opens.div_euclid(length) + i64::from(opens.rem_euclid(length) > 0);
        let count = u64::try_from(closes.div_euclid(length) - first).unwrap_or(0);
        let own = Spread::of(certificate).slot.checked_rem(count).unwrap_or(0);
        (0..count).map(move |step| {
            // Both are below `count`, which fits.
            let number = first + i64::try_from((own + step) % count).unwrap_or_default();
            Slot { start: number * length, end: (number + 1) * length }
        })
    }

    fn length(&self) -> i64 {
        self.window.num_seconds().max(1)
    }

    /// Up to a quarter less than configured, each client by its own amount: those that began together drift apart. Where
    /// lives are short, often enough to hear of the window while it is open.
    fn retry_after(&self, spread: i64, random: u64) -> u32 {
        let within = u32::try_from(spread / 4).unwrap_or(u32::MAX);
        let most = self.retry_after.min(within).max(LEAST_RETRY_AFTER);
        let less = u32::try_from(random % (u64::from(most / 4) + 1)).unwrap_or_default();
        (most - less).max(LEAST_RETRY_AFTER)
    }
}

/// What sets certificates apart: the same for each whenever it is asked for.
struct Spread {
    slot: u64,
    wait: u64,
}

impl Spread {
    fn of(certificate: &Renewable<'_>) -> Self {
        let digest = sha256(&[b"estd renewal window", certificate.issuer, certificate.serial]);
        let number = |octets: &[u8]| octets.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet));
        Self { slot: number(&digest[..8]), wait: number(&digest[8..16]) }
    }
}

impl Renewable<'_> {
    /// When so many percent of its life are over, in seconds since 1970.
    fn after(&self, percent: u8) -> i64 {
        let (from, to) = (self.issued_at.timestamp(), self.not_after.timestamp());
        from + (to - from) * i64::from(percent) / 100
    }
}

fn moment(seconds: i64) -> DateTime<Utc> {
    // Both ends of a certificate's life are moments, and what lies between them is.
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: TimeDelta = TimeDelta::days(90);

    fn issued_at() -> DateTime<Utc> {
        "2026-06-01T12:00:00Z".parse().unwrap()
    }

    fn info(rules: &RenewalRules, serial: u32, life: TimeDelta) -> RenewalInfo {
        rules.info(&Renewable {
            issuer: b"ca",
            serial: &serial.to_be_bytes(),
            issued_at: issued_at(),
            not_after: issued_at() + life,
            revoked_at: None,
            moved_to: None,
        })
    }

    #[test]
    fn a_fleet_that_was_issued_at_once_is_spread_evenly_over_the_span() {
        let rules = RenewalRules::default();
        let (opens, closes) = (issued_at() + LIFE * 60 / 100, issued_at() + LIFE * 85 / 100);
        let mut slots = std::collections::HashMap::new();
        for serial in 0..54_000 {
            let told = info(&rules, serial, LIFE);
            assert_eq!(told, info(&rules, serial, LIFE), "the same whenever it is asked for");
            assert!(opens <= told.start && told.end <= closes, "{told:?}");
            assert_eq!(told.end - told.start, rules.window);
            assert!((16_200..=21_600).contains(&told.retry_after), "{told:?}");
            *slots.entry(told.start).or_insert(0) += 1;
        }
        // 22.5 days of hours: 100 in each, on average. Six deviations off is no chance.
        assert_eq!(slots.len(), 540);
        let (least, most) = (slots.values().min().unwrap(), slots.values().max().unwrap());
        assert!((40..=160).contains(least) && (40..=160).contains(most), "{least} to {most}");
    }

    #[test]
    fn a_life_too_short_for_a_slot_has_a_window_in_its_last_part() {
        let rules = RenewalRules::default();
        let told = info(&rules, 1, TimeDelta::hours(1));
        assert_eq!(
            (told.start, told.end),
            (issued_at() + TimeDelta::minutes(36), issued_at() + TimeDelta::minutes(51))
        );
        assert!((169..=225).contains(&told.retry_after), "a quarter of that at most: {}", told.retry_after);
        let told = info(&rules, 1, TimeDelta::seconds(1));
        assert!(told.start < told.end);
        assert_eq!(told.retry_after, LEAST_RETRY_AFTER);
        // One slot exactly.
        let rules = RenewalRules { opens: 50, closes: 100, window: TimeDelta::hours(12), ..rules };
        let told = info(&rules, 1, TimeDelta::days(1));
        assert_eq!((told.start, told.end), (issued_at() + TimeDelta::hours(12), issued_at() + TimeDelta::days(1)));
    }

    #[test]
    fn a_revoked_certificate_is_to_be_renewed_now() {
        let revoked_at = issued_at() + TimeDelta::days(3);
        let certificate = Renewable {
            issuer: b"ca",
            serial: b"1",
            issued_at: issued_at(),
            not_after: issued_at() + LIFE,
            revoked_at: Some(revoked_at),
            moved_to: None,
        };
        let told = RenewalRules::default().info(&certificate);
        assert_eq!((told.start, told.end), (revoked_at - TimeDelta::hours(1), revoked_at));
    }
}
