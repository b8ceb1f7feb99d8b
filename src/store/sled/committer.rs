//! The one thread that writes: it drains the queue, makes the records durable together, and tells all who wait.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::StoreOptions;
use super::index::{Changes, Index, Progress};
use super::recovery::reopen;
use super::shared::Shared;
use crate::store::StoreFault;
use crate::store::claims::locked;
use crate::store::journal::{Journal, Place};
use crate::store::pending::{PendingCertificate, PendingFacts, PendingStanding};

/// Most records made durable by one write.
const MAX_BATCH: usize = 256;
/// How often an idle committer looks whether the index is in order.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// A record on its way to the disk.
#[derive(Debug)]
pub(super) struct Submission {
    /// What is written.
    pub(super) payload: Vec<u8>,
    /// Refusals it accounts for, to be counted again when it is lost.
    pub(super) suppressed: u64,
    /// What the keys of the records of the device that it is about begin with.
    pub(super) timeline: Option<Box<[u8]>>,
    /// What it counts as.
    pub(super) tally: Option<(Vec<u8>, u64)>,
    /// When what it tells of happened.
    pub(super) at: DateTime<Utc>,
    /// What it changes.
    pub(super) effect: Effect,
}

/// What a record changes.
#[derive(Debug)]
pub(super) enum Effect {
    /// A certificate is known.
    Issued(Arc<PendingCertificate>),
    /// The standing of certificates changed.
    Standing(Arc<PendingStanding>),
    /// Facts changed.
    Facts(Arc<PendingFacts>),
    /// Nothing.
    Event,
}

/// The records that wait for the disk; bounded.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    arrived: Condvar,
    limit: usize,
}

#[derive(Debug, Default)]
struct QueueState {
    waiting: VecDeque<Submission>,
    /// When the first of those that are being written happened.
    writing: Option<DateTime<Utc>>,
    closed: bool,
}

/// What is not durable yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Records that wait in the queue.
    pub waiting: usize,
    /// When the oldest of them happened.
    pub since: Option<DateTime<Utc>>,
    /// How many may wait in the queue.
    pub limit: usize,
}

impl Queue {
    /// A queue of at most `limit` records.
    pub(super) fn bounded(limit: usize) -> Self {
        Self { state: Mutex::default(), arrived: Condvar::new(), limit }
    }

    /// Lines a record up, or hands it back with the reason why not.
    pub(super) fn push(&self, submission: Submission) -> Result<(), Box<(Submission, StoreFault)>> {
        let mut state = locked(&self.state);
        if state.closed {
            return Err(Box::new((submission, StoreFault::Closed)));
        }
        if state.waiting.len() >= self.limit {
            return Err(Box::new((submission, StoreFault::Overloaded { waiting: self.limit })));
        }
        state.waiting.push_back(submission);
        let waiting = state.waiting.len();
        drop(state);
        // The first ends a rest in `next`, a whole batch one in `gather`.
        if waiting == 1 || waiting == MAX_BATCH {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Lets no more in; what waits is still written.
    pub(super) fn close(&self) {
        locked(&self.state).closed = true;
        self.arrived.notify_one();
    }

    /// Lets records gather for a while, or until there is a whole batch.
    fn gather(&self, pause: Duration) {
        let gathering = |state: &mut QueueState| state.waiting.len() < MAX_BATCH && !state.closed;
        drop(self.arrived.wait_timeout_while(locked(&self.state), pause, gathering));
    }

    /// The next records, none when time passed without any; `None` when the queue is closed and empty.
    fn next(&self) -> Option<Vec<Submission>> {
        let (mut state, _) = self
            .arrived
            .wait_timeout_while(locked(&self.state), TEND_EVERY, |state| state.waiting.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        if state.closed && state.waiting.is_empty() {
            return None;
        }
        let octets = state.waiting.len().min(MAX_BATCH);
        let batch: Vec<Submission> = state.waiting.drain(..octets).collect();
        state.writing = batch.first().map(|first| first.at);
        Some(batch)
    }

    /// What was taken is written, or lost.
    fn written(&self) {
        locked(&self.state).writing = None;
    }

    /// What is not durable yet.
    pub(super) fn backlog(&self) -> Backlog {
        let state = locked(&self.state);
        Backlog {
            waiting: state.waiting.len(),
            since: state.writing.or_else(|| state.waiting.front().map(|first| first.at)),
            limit: self.limit,
        }
    }
}

/// The committer's belongings.
#[derive(Debug)]
pub(super) struct Committer {
    shared: Arc<Shared>,
    journal: Journal,
    /// How far the index has come, and how far it was synced.
    progress: Progress,
    synced: u64,
    checkpoint_every: u64,
    sync_pause: Duration,
    /// What is durable and not in the index, which failed.
    unindexed: Vec<Effect>,
    index_down: bool,
    /// The last write reached the disk.
    writes: bool,
}

impl Committer {
    /// A committer that goes on where recovery ended.
    pub(super) fn new(shared: Arc<Shared>, journal: Journal, progress: Progress, options: &StoreOptions) -> Self {
        Self {
            shared,
            journal,
            progress,
            synced: progress.head.sequence,
            checkpoint_every: options.checkpoint_every,
            sync_pause: options.sync_pause,
            unindexed: Vec::new(),
            index_down: false,
            writes: true,
        }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        // Also when this thread panics nobody may line up and wait for ever.
        let _closing = CloseAtEnd(Arc::clone(&self.shared));
        while let Some(batch) = self.shared.queue.next() {
            if batch.is_empty() {
                self.index_down |= self.index().progress().is_err();
                // Nobody comes with a record: whether the disk takes one again must be tried.
                self.writes = self.writes || self.journal.probe().is_ok();
            } else {
                self.commit(batch);
                self.shared.queue.written();
                self.shared.queue.gather(self.sync_pause);
            }
            self.tend();
            self.shared.healthy.store(self.writes && !self.index_down, Ordering::Relaxed);
        }
        if !self.index_down && self.synced < self.progress.head.sequence {
            // When this fails the next start replays a little more.
            let _ = self.index().sync(&self.progress);
        }
    }

    fn index(&self) -> &Index {
        &self.shared.index
    }

    fn commit(&mut self, batch: Vec<Submission>) {
        match self.journal.append(batch.iter().map(|submission| submission.payload.as_slice())) {
            Ok(places) => {
                self.writes = true;
                // Durable is what the journal holds; lookups find the rest in `pending` until the index has it.
                self.shared.reach.durable(self.journal.head());
                batch.iter().for_each(|submission| submission.effect.settle(Ok(())));
                self.follow(batch, &places);
            }
            Err(error) => {
                self.writes = false;
                let fault = StoreFault::NotDurable(Arc::new(error));
                batch.into_iter().for_each(|submission| self.shared.lose(submission, &fault));
            }
        }
    }

    /// Brings the index to the head of the journal.
    fn follow(&mut self, mut batch: Vec<Submission>, places: &[Place]) {
        if self.index_down {
            self.unindexed.extend(batch.into_iter().map(|submission| submission.effect));
            return;
        }
        let head = self.journal.head();
        let mut changes = Changes::default();
        for ((submission, place), sequence) in
            batch.iter_mut().zip(places).zip(head.sequence + 1 - places.len() as u64..)
        {
            match &submission.effect {
                Effect::Issued(row) => {
                    changes.issued(&row.record, sequence, *place);
                    changes.facts(&row.facts);
                }
                Effect::Facts(row) => changes.facts(&row.facts),
                Effect::Standing(row) => {
                    changes.standings(&row.changes, sequence);
                    changes.facts(&row.facts);
                }
                Effect::Event => {}
            }
            if let Some((key, amount)) = submission.tally.take() {
                changes.tallied(sequence, key, amount);
            }
            changes.recorded(sequence, *place, submission.timeline.as_deref());
        }
        self.progress = self.progress.advanced(head, changes.certificates);
        match self.index().apply(changes, &self.progress) {
            Ok(()) => {
                batch.iter().for_each(|submission| self.shared.forget(&submission.effect));
                self.shared.reach.indexed(head.sequence);
            }
            Err(_) => {
                self.index_down = true;
                self.unindexed.extend(batch.into_iter().map(|submission| submission.effect));
            }
        }
    }

    /// Checkpoints the index when it is due, opens it anew when it failed.
    fn tend(&mut self) {
        if !self.index_down && self.progress.head.sequence - self.synced >= self.checkpoint_every {
            match self.index().sync(&self.progress) {
                Ok(()) => self.synced = self.progress.head.sequence,
                Err(_) => self.index_down = true,
            }
        }
        if self.index_down
            && let Ok(progress) = reopen(self.journal.reader(), self.index())
        {
            self.progress = progress;
            self.synced = progress.head.sequence;
            self.index_down = false;
            self.unindexed.drain(..).for_each(|effect| self.shared.forget(&effect));
            self.shared.reach.indexed(progress.head.sequence);
        }
    }
}

impl Effect {
    /// Tells those who wait for it.
    pub(super) fn settle(&self, outcome: Result<(), StoreFault>) {
        match self {
            Self::Issued(row) => row.commit.settle(outcome),
            Self::Standing(row) => row.commit.settle(outcome),
            Self::Facts(row) => row.commit.settle(outcome),
            Self::Event => {}
        }
    }
}

struct CloseAtEnd(Arc<Shared>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.queue.close();
        self.0.pending.abandon();
    }
}
