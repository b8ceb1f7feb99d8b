//! Watches that the time of day, on which every validity rests, runs as evenly as the machine's own clock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::audit::Alarm;
use crate::clock::Clock;
use crate::store::{Direction, Span, StoreFault};

use super::{Shared, blocking};

/// How often the two clocks are held against each other.
const CHECK: Duration = Duration::from_secs(10);

/// Events looked at for the newest time on record; those of this run may be among them.
const LOOKED_AT: usize = 64;

/// The clock was set, or the machine slept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Jump {
    /// Forward when positive.
    by: TimeDelta,
    /// What it was held against.
    against: &'static str,
}

impl fmt::Display for Jump {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.by < TimeDelta::zero() { "behind" } else { "ahead of" };
        write!(formatter, "the clock is {} s {way} {}", self.by.num_seconds().abs(), self.against)
    }
}

/// Tells of jumps until the server stops: first against the newest record, for a clock that was wrong when the machine
/// started, then as they happen. Nothing is refused for one: whether the old or the new time is right only an operator can
/// say, and no certificate leaves the validity of its CA either way.
pub(super) async fn watch(shared: Arc<Shared>, tolerance: Duration, mut stopping: watch::Receiver<bool>) {
    let tolerance = TimeDelta::from_std(tolerance).unwrap_or(TimeDelta::MAX);
    match latest_event(&shared).await {
        Ok(Some(newest)) => {
            if let Some(jump) = behind(newest, shared.ports.clock.now(), tolerance) {
                tell(&shared, jump);
            }
        }
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "the newest record cannot be read"),
    }
    let jumps = follow(shared.ports.clock.as_ref(), tolerance, |jump| tell(&shared, jump));
    tokio::select! {
        () = jumps => {}
        _ = stopping.wait_for(|stop| *stop) => {}
    }
}

fn tell(shared: &Shared, jump: Jump) {
    tracing::warn!(%jump, alarm = Alarm::ClockJump.as_str(), "alarm");
    shared.metrics.alarm(Alarm::ClockJump.as_str());
    shared.authority.load().alarm("server", Alarm::ClockJump, jump.to_string());
}

/// The latest time among the last events.
async fn latest_event(shared: &Shared) -> Result<Option<DateTime<Utc>>, StoreFault> {
    let store = Arc::clone(&shared.ports.store);
    let events = blocking(move || store.events(&Span::all(), Direction::Descending, LOOKED_AT)).await;
    // It is abandoned only while the process is being torn down.
    Ok(events.unwrap_or_else(|_| Ok(Vec::new()))?.iter().map(|logged| logged.event.at).max())
}

/// A clock before what was recorded under it runs behind; one that is ahead cannot be told from time that passed.
fn behind(newest: DateTime<Utc>, now: DateTime<Utc>, tolerance: TimeDelta) -> Option<Jump> {
    let by = now - newest;
    (by < -tolerance).then_some(Jump { by, against: "the newest record in the journal" })
}

/// Calls `tell` for each jump of more than `tolerance` between two looks. Slewing, as time daemons do it, stays far below.
async fn follow(clock: &dyn Clock, tolerance: TimeDelta, tell: impl Fn(Jump)) {
    let mut last = (clock.now(), Instant::now());
    loop {
        tokio::time::sleep(CHECK).await;
        let now = (clock.now(), Instant::now());
        let passed = TimeDelta::from_std(now.1 - last.1).unwrap_or(TimeDelta::MAX);
        let by = (now.0 - last.0) - passed;
        if by.abs() > tolerance {
            tell(Jump { by, against: "where it should be after the time that passed" });
        }
        last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A clock that runs with tokio's, off by what is set.
    struct Set {
        start: Instant,
        offset: Mutex<TimeDelta>,
    }

    impl Clock for Set {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH + self.start.elapsed() + *self.offset.lock().unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_beyond_the_tolerance_is_told_once_and_slewing_never() {
        let clock = Set { start: Instant::now(), offset: Mutex::new(TimeDelta::zero()) };
        let told = Mutex::new(Vec::new());
        let set = async {
            let steps = [(10, 10), (70, 60), (131, 61), (131, 0), (70, -61), (-40_000_000, -40_000_070)];
            for (offset, by) in steps {
                *clock.offset.lock().unwrap() = TimeDelta::seconds(offset);
                tokio::time::sleep(CHECK).await;
                let last: Option<i64> = told.lock().unwrap().pop();
                assert_eq!(last, (i64::abs(by) > 60).then_some(by), "set to {offset}");
            }
        };
        tokio::select! {
            () = follow(&clock, TimeDelta::seconds(60), |jump| told.lock().unwrap().push(jump.by.num_seconds())) => {}
            () = async { tokio::time::sleep(Duration::from_millis(1)).await; set.await } => {}
        }
        assert!(told.lock().unwrap().is_empty());
    }

    #[test]
    fn a_clock_before_the_newest_record_is_told() {
        let newest = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let tolerance = TimeDelta::seconds(60);
        assert_eq!(behind(newest, newest + TimeDelta::days(365), tolerance), None);
        assert_eq!(behind(newest, newest - tolerance, tolerance), None);
        let jump = behind(newest, newest - TimeDelta::seconds(61), tolerance).unwrap();
        assert_eq!(jump.to_string(), "the clock is 61 s behind the newest record in the journal");
    }
}
