//! What the verbs and the committer share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::committer::{Effect, Queue, Submission};
use super::index::Index;
use crate::store::StoreFault;
use crate::store::claims::locked;
use crate::store::journal::Head;
use crate::store::pending::Pending;

/// What the verbs and the committer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) index: Index,
    pub(super) pending: Pending,
    /// Certificates recorded and not lost.
    pub(super) certificates: AtomicU64,
    /// Events counted and not written since the last record.
    pub(super) suppressed: AtomicU64,
    /// The last write reached the disk, and the index can be read.
    pub(super) healthy: AtomicBool,
    pub(super) reach: Reach,
}

/// How far the journal has come, and how far the index behind it.
#[derive(Debug)]
pub(super) struct Reach {
    heads: Mutex<Heads>,
    moved: Condvar,
}

#[derive(Debug)]
struct Heads {
    durable: Head,
    indexed: u64,
}

/// How long a lookup waits for the index: it follows within a millisecond, or it is down.
const CATCH_UP: Duration = Duration::from_millis(250);

impl Reach {
    /// Both have come to the same record.
    pub(super) fn at(head: Head) -> Self {
        Self { heads: Mutex::new(Heads { durable: head, indexed: head.sequence }), moved: Condvar::new() }
    }

    /// Records are durable up to this one.
    pub(super) fn durable(&self, head: Head) {
        locked(&self.heads).durable = head;
    }

    /// The last record that is durable.
    pub(super) fn head(&self) -> Head {
        locked(&self.heads).durable
    }

    /// Records are in the index up to this one.
    pub(super) fn indexed(&self, sequence: u64) {
        locked(&self.heads).indexed = sequence;
        self.moved.notify_all();
    }

    /// Up to which record the journal is durable, and up to which the index has it.
    pub(super) fn sequences(&self) -> (u64, u64) {
        let heads = locked(&self.heads);
        (heads.durable.sequence, heads.indexed)
    }

    /// Waits until the index has all that is durable now.
    pub(super) fn catch_up(&self) {
        let heads = locked(&self.heads);
        let wanted = heads.durable.sequence;
        drop(self.moved.wait_timeout_while(heads, CATCH_UP, |heads| heads.indexed < wanted));
    }
}

impl Shared {
    /// Lines a record up; one that finds no place is lost.
    pub(super) fn submit(&self, submission: Submission) -> Result<(), StoreFault> {
        self.queue.push(submission).map_err(|lost| {
            let (submission, fault) = *lost;
            self.lose(submission, &fault);
            fault
        })
    }

    /// Undoes what a record changed: it will never be durable.
    pub(super) fn lose(&self, submission: Submission, fault: &StoreFault) {
        self.forget(&submission.effect);
        let own = match submission.effect {
            Effect::Issued(_) => {
                self.certificates.fetch_sub(1, Ordering::Relaxed);
                0
            }
            Effect::Standing(_) | Effect::Facts(_) => 0,
            // Nobody hears of it, so it is counted.
            Effect::Event => 1,
        };
        self.suppressed.fetch_add(submission.suppressed + own, Ordering::Relaxed);
        submission.effect.settle(Err(fault.clone()));
    }

    /// Lookups find it in the index, or not at all.
    pub(super) fn forget(&self, effect: &Effect) {
        match effect {
            Effect::Issued(row) => self.pending.forget_certificate(row),
            Effect::Standing(row) => self.pending.forget_standing(row),
            Effect::Facts(row) => self.pending.forget_facts(row),
            Effect::Event => {}
        }
    }
}
