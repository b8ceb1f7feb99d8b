//! The right to answer a request: one holder at a time for each request key.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{CertificateRecord, FactKey, Receipt, RequestKey};
use crate::pki::digest::sha256;

/// Independent locks the keys are spread over, so that unrelated requests do not meet.
const SHARDS: usize = 16;

/// What a claim came to.
#[derive(Debug)]
#[must_use = "a granted claim blocks its key until it is recorded or dropped"]
pub enum Claim<'a> {
    /// Nothing is recorded: the caller, and nobody else, issues now.
    Granted(ClaimGuard<'a>),
    /// The request was answered already: the same certificate goes out again, once the receipt resolves.
    Recorded {
        /// What was recorded.
        record: Arc<CertificateRecord>,
        /// When it is durable.
        receipt: Receipt,
    },
}

/// A granted claim. Dropping it without recording frees the key for the next in line.
#[derive(Debug)]
pub struct ClaimGuard<'a> {
    claims: &'a Claims,
    key: RequestKey,
}

/// The keys that are claimed right now.
#[derive(Debug, Default)]
pub struct Claims {
    shards: [Shard; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    held: Mutex<HashSet<RequestKey>>,
    freed: Condvar,
}

impl Claims {
    /// Waits until nobody holds `fact`, then holds it. Facts and requests do not meet: their keys are hashes of different
    /// things.
    pub fn hold_fact(&self, fact: &FactKey) -> ClaimGuard<'_> {
        self.hold(&RequestKey(sha256(&[b"fact", fact.octets()])))
    }

    /// Waits until nobody holds `key`, then holds it. A thread that holds a key must not ask for it again.
    pub fn hold(&self, key: &RequestKey) -> ClaimGuard<'_> {
        let shard = self.shard(key);
        let mut held = shard
            .freed
            .wait_while(locked(&shard.held), |held| held.contains(key))
            .unwrap_or_else(PoisonError::into_inner);
        held.insert(*key);
        ClaimGuard { claims: self, key: *key }
    }

    fn shard(&self, key: &RequestKey) -> &Shard {
        // A request key is a SHA-256: any octet of it spreads evenly.
        &self.shards[usize::from(key.0[0]) % SHARDS]
    }
}

impl ClaimGuard<'_> {
    /// The key that is held.
    pub fn key(&self) -> &RequestKey {
        &self.key
    }
}

impl Drop for ClaimGuard<'_> {
    fn drop(&mut self) {
        let shard = self.claims.shard(&self.key);
        locked(&shard.held).remove(&self.key);
        shard.freed.notify_all();
    }
}

/// Locks, also after another thread panicked while it held the lock: every critical section of the store leaves its
/// data whole at each step.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
