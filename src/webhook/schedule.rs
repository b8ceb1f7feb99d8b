//! When a delivery that failed is tried again: later each time, and not in step with others.

use std::time::Duration;

/// How often and how patiently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryRules {
    /// Attempts for one event, the first one included.
    pub max_attempts: u32,
    /// The pause after the first attempt; it doubles with each.
    pub backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
}

impl RetryRules {
    /// How long to wait after so many failed attempts; `None` when there were enough. `random` spreads pauses between half
    /// of the time and all of it, so that receivers that come back are not met by everybody at once.
    pub(super) fn pause_after(&self, attempts: u32, random: u32) -> Option<Duration> {
        if attempts >= self.max_attempts {
            return None;
        }
        let doublings = attempts.saturating_sub(1).min(31);
        let whole = self.backoff.saturating_mul(1 << doublings).min(self.max_backoff);
        let half = whole / 2;
        Some(half + half.mul_f64(f64::from(random) / f64::from(u32::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_the_attempts() {
        let seconds = Duration::from_secs;
        let rules = RetryRules { max_attempts: 6, backoff: seconds(4), max_backoff: seconds(20) };
        let pauses = |random| (1..=7).map(|attempts| rules.pause_after(attempts, random)).collect::<Vec<_>>();
        let expected =
            |times: [u64; 5]| times.map(|time| Some(seconds(time))).into_iter().chain([None, None]).collect::<Vec<_>>();
        assert_eq!(pauses(u32::MAX), expected([4, 8, 16, 20, 20]));
        assert_eq!(pauses(0), expected([2, 4, 8, 10, 10]));
        let ever = RetryRules { max_attempts: u32::MAX, ..rules };
        assert_eq!(ever.pause_after(u32::MAX - 1, u32::MAX), Some(seconds(20)));
    }
}
