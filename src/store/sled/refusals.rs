//! How many refusals a second are written: whoever can knock must not be able to fill the disk.

use chrono::{DateTime, TimeDelta, Utc};

/// A token bucket that holds one second's worth; it asks no clock, the time comes with each event.
#[derive(Debug)]
pub(super) struct RefusalBucket {
    per_second: u32,
    /// Thousandths of an event.
    tokens: u64,
    filled_at: Option<DateTime<Utc>>,
}

const TOKEN: u64 = 1000;

impl RefusalBucket {
    /// A full bucket.
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, tokens: u64::from(per_second) * TOKEN, filled_at: None }
    }

    /// Whether an event at this moment is written.
    pub(super) fn admit(&mut self, at: DateTime<Utc>) -> bool {
        self.fill(at);
        let admitted = self.tokens >= TOKEN;
        if admitted {
            self.tokens -= TOKEN;
        }
        admitted
    }

    fn fill(&mut self, at: DateTime<Utc>) {
        let full = u64::from(self.per_second) * TOKEN;
        // A clock that was set back brings nothing, and counts on from where it is now.
        let passed = self.filled_at.map_or(TimeDelta::zero(), |then| at - then);
        let millis = u64::try_from(passed.num_milliseconds()).unwrap_or(0);
        if millis > 0 || passed < TimeDelta::zero() || self.filled_at.is_none() {
            self.tokens = full.min(self.tokens.saturating_add(millis.saturating_mul(u64::from(self.per_second))));
            self.filled_at = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_790_000_000_000 + millis).unwrap()
    }

    #[test]
    fn a_second_brings_a_second_s_worth_and_never_more() {
        let mut bucket = RefusalBucket::new(5);
        let burst = |bucket: &mut RefusalBucket, millis| (0..20).filter(|_| bucket.admit(at(millis))).count();
        assert_eq!(burst(&mut bucket, 0), 5);
        assert_eq!(burst(&mut bucket, 199), 0);
        assert_eq!(burst(&mut bucket, 400), 2);
        assert_eq!(burst(&mut bucket, 1_000_000), 5);
        // Set back by a quarter of an hour: nothing at first, then the same rate.
        assert_eq!(burst(&mut bucket, 100_000), 0);
        assert_eq!(burst(&mut bucket, 101_000), 5);
    }
}
