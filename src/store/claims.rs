//! The right to answer a request: one holder at a time for each request key.

use std::collections::HashMap;
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
    /// Somebody else is asked about the same request, which may take long: it is not waited for.
    InQuestion,
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
    held: Mutex<HashMap<RequestKey, Holding>>,
    /// A key came free, or its holder began to ask.
    changed: Condvar,
}

/// What the holder of a key is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holding {
    /// Work of its own, which ends soon whatever others do.
    Working,
    /// It waits for somebody else's answer. Whoever waited for it might keep the very thread that the answer comes by.
    Asking,
}

impl Claims {
    /// Waits until nobody holds `fact`, then holds it. Facts and requests do not meet: their keys are hashes of different
    /// things.
    pub fn hold_fact(&self, fact: &FactKey) -> ClaimGuard<'_> {
        let key = RequestKey(sha256(&[b"fact", fact.octets()]));
        let held = self.wait_while(&key, |holding| holding.is_some());
        self.hold(key, held)
    }

    /// Waits until nobody holds `key`, then holds it; `None` as soon as somebody holds it who [asks](ClaimGuard::while_asking).
    /// A thread that holds a key must not ask for it again.
    pub fn hold_request(&self, key: &RequestKey) -> Option<ClaimGuard<'_>> {
        let held = self.wait_while(key, |holding| holding == Some(Holding::Working));
        if held.contains_key(key) { None } else { Some(self.hold(*key, held)) }
    }

    fn wait_while(
        &self,
        key: &RequestKey,
        is_to_wait: impl Fn(Option<Holding>) -> bool,
    ) -> MutexGuard<'_, HashMap<RequestKey, Holding>> {
        let shard = self.shard(key);
        let held = locked(&shard.held);
        let held = shard.changed.wait_while(held, |held| is_to_wait(held.get(key).copied()));
        held.unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, key: RequestKey, mut held: MutexGuard<'_, HashMap<RequestKey, Holding>>) -> ClaimGuard<'_> {
        held.insert(key, Holding::Working);
        ClaimGuard { claims: self, key }
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

    /// Asks somebody else, who may take long to answer: nobody waits for the claim of a request meanwhile, and who waits for it
    /// already is sent away. Facts are not held while somebody is asked.
    pub fn while_asking<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.note(Holding::Asking);
        let answer = ask();
        self.note(Holding::Working);
        answer
    }

    fn note(&self, holding: Holding) {
        let shard = self.claims.shard(&self.key);
        locked(&shard.held).insert(self.key, holding);
        shard.changed.notify_all();
    }
}

impl Drop for ClaimGuard<'_> {
    fn drop(&mut self) {
        let shard = self.claims.shard(&self.key);
        locked(&shard.held).remove(&self.key);
        shard.changed.notify_all();
    }
}

/// Locks, also after another thread panicked while it held the lock: every critical section of the store leaves its
/// data whole at each step.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
