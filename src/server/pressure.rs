//! How far the runtime is behind, which says when a TLS handshake more would be at the expense of those that are let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How often it is looked at.
const PROBE: Duration = Duration::from_millis(20);

/// So many looks in a row count, the best of them: one long step says nothing, a queue does not go away.
const LOOKS: usize = 5;

/// By how much a task runs later than it could.
#[derive(Clone, Default)]
pub(super) struct Pressure(Arc<AtomicU64>);

impl Pressure {
    /// The least of the last few looks.
    pub(super) fn lag(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    /// Looks again and again; ends with the task it runs in.
    pub(super) async fn watch(self) {
        let mut looks = [Duration::ZERO; LOOKS];
        for look in (0..LOOKS).cycle() {
            let due = Instant::now() + PROBE;
            tokio::time::sleep_until(due).await;
            looks[look] = due.elapsed();
            let least = looks.into_iter().min().unwrap_or_default();
            self.0.store(u64::try_from(least.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_runtime_that_is_behind_shows_and_one_long_step_does_not() {
        let pressure = Pressure::default();
        let watching = tokio::spawn(pressure.clone().watch());
        // One thread: while this blocks, nothing else runs.
        std::thread::sleep(Duration::from_millis(200));
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(pressure.lag() < Duration::from_millis(50), "one long step: {:?}", pressure.lag());
        for _ in 0..2 * LOOKS {
            std::thread::sleep(PROBE + Duration::from_millis(60));
            tokio::task::yield_now().await;
        }
        assert!(pressure.lag() > Duration::from_millis(30), "behind at each look: {:?}", pressure.lag());
        watching.abort();
    }
}
