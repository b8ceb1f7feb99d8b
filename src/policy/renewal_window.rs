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
}

impl Default for RenewalRules {
    fn default() -> Self {
        Self { opens: 60, closes: 85, window: TimeDelta::hours(1), retry_after: 6 * 60 * 60 }
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
}

impl RenewalRules {
    /// The window of a certificate, the same whenever it is asked for, and when to ask again.
    pub fn info(&self, certificate: &Renewable<'_>) -> RenewalInfo {
        let spread = sha256(&[b"estd renewal window", certificate.issuer, certificate.serial]);
        let [slot, wait] = [&spread[..8], &spread[8..16]]
            .map(|octets| octets.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet)));
        let (opens, closes) = (certificate.after(self.opens), certificate.after(self.closes));
        let (start, end) = match certificate.revoked_at {
            // RFC 9773 §4.2: a window in the past says "now".
            Some(at) => (at.timestamp() - self.window.num_seconds().max(1), at.timestamp()),
            None => self.slot(opens, closes, slot),
        };
        RenewalInfo { start: moment(start), end: moment(end), retry_after: self.retry_after(closes - opens, wait) }
    }

    /// Time is cut into slots of a window's length; one of those that lie between `opens` and `closes`. Where there is
    /// none, all of that.
    fn slot(&self, opens: i64, closes: i64, random: u64) -> (i64, i64) {
        let length = self.window.num_seconds().max(1);
        let first = opens.div_euclid(length) + i64::from(opens.rem_euclid(length) > 0);
        match u64::try_from(closes.div_euclid(length) - first) {
            Ok(slots @ 1..) => {
                let start = (first + i64::try_from(random % slots).unwrap_or_default()) * length;
                (start, start + length)
            }
            // draft-ietf-lamps-est-renewal-info §3.2: the end comes after the start.
            Ok(0) | Err(_) => (opens, closes.max(opens + 1)),
        }
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
        };
        let told = RenewalRules::default().info(&certificate);
        assert_eq!((told.start, told.end), (revoked_at - TimeDelta::hours(1), revoked_at));
    }
}
