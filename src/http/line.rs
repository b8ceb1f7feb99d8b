//! The line of requests for certificates: no longer than can be answered in time, so that those in it are.

use std::num::NonZero;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// So many are let in whatever was measured: the pace is measured by those that are.
const ALWAYS: usize = 16;

/// Requests that may be in the queue of the runtime at once. With one alone a thread would wait for the next to come to the
/// head of that queue, past all that are sent away.
const TURNS_A_THREAD: usize = 8;

/// One measurement counts for one part in so many.
const SMOOTHING: u32 = 32;

/// First enrollments are sent away when so many quarters of the target are reached, renewals at all of it: who has nothing yet
/// loses nothing by waiting.
const SHARE_OF_NEWCOMERS: u32 = 3;

/// The longest that a client is told to wait; those who would come later are given turns from the beginning again.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Requests that are worked at, or wait for it or for the disk.
#[derive(Debug)]
pub(super) struct Line {
    target: Duration,
    state: Mutex<State>,
    /// Those that have none wait here and not in the queue of the runtime, where all others would wait behind them, even to be
    /// sent away.
    turns: Semaphore,
}

#[derive(Debug)]
struct State {
    waiting: usize,
    /// Between two that leave, while there is a line; zero until that was measured.
    pace: Duration,
    /// When the last one left, or the line began.
    since: Instant,
    /// The last turn that was given to one that was sent away.
    turn: Instant,
}

/// A place in the line; given back when dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    line: &'a Line,
    is_answered: bool,
}

/// The line is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong {
    /// In how many seconds to come back: each that is sent away is given its turn, at the pace of the line.
    pub(super) retry_after: u32,
}

impl Line {
    /// One in which nobody waits longer than `target`; zero: as long as it may be.
    pub(super) fn new(target: Duration, now: Instant) -> Self {
        let state = State { waiting: 0, pace: Duration::ZERO, since: now, turn: now };
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { target, state: Mutex::new(state), turns: Semaphore::new(TURNS_A_THREAD * threads) }
    }

    /// Joins the line, unless who joins now would be answered too late.
    pub(super) fn join(&self, is_renewal: bool, now: Instant) -> Result<Place<'_>, TooLong> {
        let mut state = self.locked();
        let in_time = if is_renewal { self.target } else { self.target * SHARE_OF_NEWCOMERS / 4 };
        // Little's law: whoever joins leaves after as many others as are before it.
        let expected = state.pace.saturating_mul(u32::try_from(state.waiting + 1).unwrap_or(u32::MAX));
        if !self.target.is_zero() && state.waiting >= ALWAYS && expected > in_time {
            return Err(TooLong { retry_after: state.next_turn(now) });
        }
        if state.waiting == 0 {
            state.since = now;
        }
        state.waiting += 1;
        Ok(Place { line: self, is_answered: false })
    }

    /// Who leaves before it was answered says nothing of the pace.
    fn leave(&self, is_answered: bool, now: Instant) {
        let mut state = self.locked();
        state.waiting = state.waiting.saturating_sub(1);
        if !is_answered {
            return;
        }
        // Fewer say how long one takes, not how many can be answered.
        if state.waiting + 1 >= ALWAYS {
            let took = now.saturating_duration_since(state.since);
            state.pace =
                if state.pace.is_zero() { took } else { state.pace * (SMOOTHING - 1) / SMOOTHING + took / SMOOTHING };
        }
        state.since = now;
    }

    /// What is kept is whole at each step: a panic elsewhere leaves it usable.
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_turn(&mut self, now: Instant) -> u32 {
        self.turn = self.turn.max(now) + self.pace;
        if self.turn - now > LONGEST_WAIT {
            self.turn = now + self.pace;
        }
        u32::try_from((self.turn - now).as_secs() + 1).unwrap_or(u32::MAX)
    }
}

impl<'a> Place<'a> {
    /// Waits for a thread. `None`: there is none any more.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'a>> {
        self.line.turns.acquire().await.ok()
    }

    /// It was decided, one way or the other.
    pub(super) fn note_answered(&mut self) {
        self.is_answered = true;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.line.leave(self.is_answered, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const TARGET: Duration = Duration::from_millis(100);
    const SERVICE: Duration = Duration::from_millis(1);

    /// Time in milliseconds, one request answered in each; `arrivals` come in each. How long each of those let in waited, how
    /// many of newcomers and of renewals were let in, and what the others were told.
    fn run(target: Duration, milliseconds: u32, arrivals: u32) -> (Vec<u32>, [u32; 2], Vec<u32>) {
        let start = Instant::now();
        let line = Line::new(target, start);
        let (mut queue, mut waits, mut admitted, mut told) = (VecDeque::new(), Vec::new(), [0, 0], Vec::new());
        for time in 0..milliseconds {
            let now = start + SERVICE * time;
            for arrival in 0..arrivals {
                let is_renewal = arrival % 2 == 1;
                match line.join(is_renewal, now) {
                    // It leaves when this says so, not when it is dropped.
                    Ok(place) => {
                        std::mem::forget(place);
                        admitted[usize::from(is_renewal)] += 1;
                        queue.push_back(time);
                    }
                    Err(TooLong { retry_after }) => told.push(retry_after),
                }
            }
            if let Some(joined) = queue.pop_front() {
                line.leave(true, now + SERVICE);
                waits.push(time + 1 - joined);
            }
        }
        (waits, admitted, told)
    }

    #[test]
    fn at_four_times_what_can_be_answered_those_let_in_are_answered_in_time() {
        let (waits, [newcomers, renewals], told) = run(TARGET, 20_000, 4);
        let late = waits.iter().filter(|wait| **wait > 101).count();
        assert_eq!((late, waits.len()), (0, 20_000), "none late, and none of the capacity is lost");
        assert_eq!(told.len() as u32, 80_000 - newcomers - renewals);
        assert!(renewals > newcomers * 5, "{renewals} renewals, {newcomers} newcomers");
        // Three seconds' worth are sent away in each second: they are told to come later and later, up to five minutes.
        assert!(told[..100].iter().all(|seconds| *seconds <= 2), "{:?}", &told[..100]);
        assert!(*told.last().unwrap() >= 35 && told.iter().all(|seconds| *seconds <= 301), "{:?}", told.last());
    }

    #[test]
    fn without_a_target_the_line_grows_and_so_does_the_wait() {
        let (waits, _, told) = run(Duration::ZERO, 2000, 4);
        assert!(told.is_empty());
        assert!(*waits.last().unwrap() > 1400, "{:?}", waits.last());
    }

    #[test]
    fn who_comes_when_it_is_quiet_is_never_sent_away() {
        let (waits, _, told) = run(TARGET, 5000, 1);
        assert!(told.is_empty() && waits.iter().all(|wait| *wait == 1));
        // Nor do a few slow ones make it seem too long.
        let start = Instant::now();
        let line = Line::new(TARGET, start);
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            let places: Vec<_> = (0..ALWAYS).map(|_| line.join(false, now).unwrap()).collect();
            for place in places {
                std::mem::forget(place);
                line.leave(true, now + Duration::from_secs(1));
            }
        }
    }
}
