//! The store: what must be remembered, behind verbs that are atomic, and durable once their receipt is.

pub mod answered;
pub mod approval;
pub mod catalogue;
pub mod claims;
pub mod compromise;
pub mod credential_uses;
pub mod crl;
pub mod dead_letter;
pub mod device;
pub mod enrollment_code;
pub mod event;
pub mod fact;
pub mod fetched_anchors;
pub mod former;
pub mod memory;
pub mod operator_token;
mod pending;
pub mod receipt;
pub mod record;
pub mod renewal_slot;
#[cfg(feature = "server")]
pub mod rollover_census;
pub mod standing;
pub mod succession;
pub mod tally;

#[cfg(feature = "server")]
pub mod journal;
#[cfg(feature = "server")]
pub mod sled;

#[cfg(test)]
mod contract;

pub use catalogue::{Catalogue, Direction, ExpiryPlace, LoggedEvent, Span};
pub use claims::{Claim, ClaimGuard, Claims};
pub use fact::{Fact, FactKey, FactKind};
pub use receipt::Receipt;
pub use record::{CertificateId, CertificateRecord, CertificateStatus, RequestKey, Revocation};
pub use standing::{LoggedStanding, StandingChange};
pub use tally::Tallies;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::audit::AuditEvent;

/// Why the store could not do what it was asked. The client learns none of it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreFault {
    /// The write did not reach the disk; nothing of it is kept.
    #[error("the record could not be made durable: {0}")]
    NotDurable(Arc<std::io::Error>),
    /// The queue of records waiting for the disk is full.
    #[error("{waiting} records wait for the disk, the limit")]
    Overloaded {
        /// The limit.
        waiting: usize,
    },
    /// The index cannot be read.
    #[error("the index cannot be read: {0}")]
    Index(String),
    /// A record read back does not decode.
    #[error("a stored record does not decode: {0}")]
    Corrupt(String),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

/// The verbs every store keeps, whatever it is made of. All stores pass the one contract suite in `store/contract.rs`.
pub trait CertificateStore: Catalogue + Tallies + Send + Sync {
    /// Claims the right to answer `key`.
    ///
    /// Exactly one caller at a time holds the claim of a key; others wait for it to be recorded or dropped (that wait
    /// spans signing, not the disk), unless its holder [asks somebody else](ClaimGuard::while_asking): then they are told so
    /// at once. When a certificate was recorded under the same key at or after
    /// `not_older_than` and is not revoked, it is handed back with a receipt that resolves when it is durable.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn claim(&self, key: &RequestKey, not_older_than: DateTime<Utc>) -> Result<Claim<'_>, StoreFault>;

    /// Records an issued certificate with its audit event, and the facts that change with it, and ends the claim. Nothing may leave the process before the
    /// receipt resolves to `Ok`; when it resolves to `Err` nothing was kept, neither record nor claim.
    ///
    /// # Errors
    /// At once when the queue is full or the store is closed.
    fn record_issued(
        &self,
        claim: ClaimGuard<'_>,
        record: CertificateRecord,
        facts: Vec<Fact>,
        event: AuditEvent,
    ) -> Result<Receipt, StoreFault>;

    /// Waits until nobody else changes a fact, then holds it: to be held from reading it to recording its change. Facts
    /// are held after requests are claimed: a credential, then a device, then its key or the standing of certificates, then
    /// a slot of renewals, and nothing besides.
    fn hold(&self, key: &FactKey) -> ClaimGuard<'_>;

    /// The value of a fact, durable or not yet.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn fact(&self, key: &FactKey) -> Result<Option<Vec<u8>>, StoreFault>;

    /// The facts whose keys begin with `prefix` and come after `after`, in the order of their keys, at most `limit`.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn facts(
        &self,
        prefix: &FactKey,
        after: Option<&FactKey>,
        limit: usize,
    ) -> Result<Vec<(FactKey, Vec<u8>)>, StoreFault>;

    /// Records facts with their audit event, all of them or none.
    ///
    /// # Errors
    /// At once when they are too many for one record, the queue is full or the store is closed.
    fn record_facts(&self, facts: Vec<Fact>, event: AuditEvent) -> Result<Receipt, StoreFault>;

    /// Looks a certificate up, durable or not yet.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn certificate(&self, id: &CertificateId) -> Result<Option<Arc<CertificateRecord>>, StoreFault>;

    /// What is known of a certificate's standing. "Unknown" is not "revoked".
    ///
    /// # Errors
    /// When the index cannot be read.
    fn status(&self, id: &CertificateId) -> Result<CertificateStatus, StoreFault>;

    /// The device a public key (SHA-256 of its SPKI) was last certified for, within one tenant.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn key_holder(&self, tenant: &str, spki_sha256: &[u8; 32]) -> Result<Option<String>, StoreFault>;

    /// The certificates of a device, durable or not, in the order in which they were issued. Ids that differ in case alone
    /// name one device.
    ///
    /// # Errors
    /// When the index or the journal cannot be read.
    fn device_certificates(&self, tenant: &str, device: &str) -> Result<Vec<Arc<CertificateRecord>>, StoreFault>;

    /// Changes the standing of certificates that are on record, with the facts that change with it, all of it or nothing;
    /// [`StandingChange::key`] is held meanwhile.
    ///
    /// # Errors
    /// At once when they are too many for one record, the queue is full or the store is closed.
    fn change_standing(
        &self,
        changes: Vec<StandingChange>,
        facts: Vec<Fact>,
        event: AuditEvent,
    ) -> Result<Receipt, StoreFault>;

    /// Resolves when the last change of a certificate's standing is durable.
    fn standing_receipt(&self, id: &CertificateId) -> Receipt;

    /// Records an audit event without waiting for it. Never blocks; when the queue is full the event is counted as
    /// suppressed and the count goes out with the next one.
    fn record_event(&self, event: AuditEvent);

    /// How many certificates are recorded.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn certificate_count(&self) -> Result<u64, StoreFault>;
}

/// How long the same request gets the same certificate, by default: a lost answer is asked for again within minutes.
pub const DEFAULT_REPEAT_WINDOW: TimeDelta = TimeDelta::minutes(10);

/// Facts read at once where all of them are.
const FACTS_AT_ONCE: usize = 1_000;

/// Shows every fact whose key begins with `prefix`, in the order of their keys, with never more than some of them in memory.
///
/// # Errors
/// When the index cannot be read, or `see` does not go on.
pub(crate) fn each_fact(
    store: &dyn CertificateStore,
    prefix: &FactKey,
    mut see: impl FnMut(&FactKey, &[u8]) -> Result<(), StoreFault>,
) -> Result<(), StoreFault> {
    let mut after = None;
    loop {
        let rows = store.facts(prefix, after.as_ref(), FACTS_AT_ONCE)?;
        let at_end = rows.len() < FACTS_AT_ONCE;
        for (key, value) in rows {
            see(&key, &value)?;
            after = Some(key);
        }
        if at_end {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_is_shown_once_in_order_however_many_are_read_at_once() {
        for count in [0, 1, FACTS_AT_ONCE - 1, FACTS_AT_ONCE, FACTS_AT_ONCE + 1, 2 * FACTS_AT_ONCE] {
            let store = memory::MemoryStore::new();
            let key = |number: usize| FactKey::new(FactKind::Device, "acme", &number.to_be_bytes());
            let fact = |number| Fact { key: key(number), value: Some(vec![1]) };
            let others = FactKey::new(FactKind::Device, "other", b"one");
            let facts = (0..count).map(fact).chain([Fact { key: others, value: Some(vec![2]) }]).collect();
            let event = contract::event(crate::audit::AuditOutcome::Failed);
            store.record_facts(facts, event).unwrap().wait().unwrap();
            let mut shown = Vec::new();
            each_fact(&store, &FactKey::prefix(FactKind::Device, "acme"), |key, value| {
                assert_eq!(value, [1]);
                shown.push(key.clone());
                Ok(())
            })
            .unwrap();
            assert!(shown.iter().eq(&(0..count).map(key).collect::<Vec<_>>()), "{count}");
        }
    }
}
