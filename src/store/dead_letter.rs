//! Events that a webhook gave up on, one fact each.

use chrono::{DateTime, Utc};
use minicbor::{Decode, Encode};

use super::record::time;
use super::{CertificateStore, Fact, FactKey, FactKind, StoreFault};

/// Most dead letters of a webhook; with more of them the oldest is forgotten first. The events stay in the journal.
pub const MAX_DEAD_LETTERS: usize = 1_000;

/// An event that was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DeadLetter {
    /// The number of its record.
    #[n(0)]
    pub sequence: u64,
    /// When it was given up.
    #[cbor(n(1), with = "time")]
    pub at: DateTime<Utc>,
    /// How often it was tried.
    #[n(2)]
    pub attempts: u32,
    /// Why the last attempt failed.
    #[n(3)]
    pub error: String,
    /// An operator asked for another attempt.
    #[n(4)]
    pub requested: bool,
}

impl DeadLetter {
    /// The key of a webhook's dead letter.
    pub fn key(webhook: &str, sequence: u64) -> FactKey {
        FactKey::new(FactKind::DeadLetter, webhook, &sequence.to_be_bytes())
    }

    /// What the keys of a webhook's dead letters begin with; they are changed while this is held.
    pub fn prefix(webhook: &str) -> FactKey {
        FactKey::prefix(FactKind::DeadLetter, webhook)
    }

    /// A webhook's dead letters after the one of record `after`, in the order of their records, at most `limit`.
    ///
    /// # Errors
    /// When the index cannot be read, or what it holds does not decode.
    pub fn list(
        store: &dyn CertificateStore,
        webhook: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Self>, StoreFault> {
        let after = after.map(|sequence| Self::key(webhook, sequence));
        let rows = store.facts(&Self::prefix(webhook), after.as_ref(), limit)?;
        rows.iter().map(|(_, value)| Self::decode(value)).collect()
    }

    /// Looks a dead letter up.
    ///
    /// # Errors
    /// When the index cannot be read, or what it holds does not decode.
    pub fn find(store: &dyn CertificateStore, webhook: &str, sequence: u64) -> Result<Option<Self>, StoreFault> {
        store.fact(&Self::key(webhook, sequence))?.map(|value| Self::decode(&value)).transpose()
    }

    fn decode(value: &[u8]) -> Result<Self, StoreFault> {
        minicbor::decode(value).map_err(|error| StoreFault::Corrupt(error.to_string()))
    }

    /// The facts by which it is kept: with [`MAX_DEAD_LETTERS`] of them the oldest one makes room.
    ///
    /// # Errors
    /// When the index cannot be read, or what it holds does not decode.
    pub fn kept(&self, store: &dyn CertificateStore, webhook: &str) -> Result<Vec<Fact>, StoreFault> {
        let known = Self::list(store, webhook, None, MAX_DEAD_LETTERS)?;
        let oldest = known.first().filter(|_| known.len() >= MAX_DEAD_LETTERS);
        let forgotten = oldest.map(|oldest| Self::over(webhook, oldest.sequence));
        Ok(std::iter::once(self.to_fact(webhook)).chain(forgotten).collect())
    }

    /// The fact that it was not delivered.
    pub fn to_fact(&self, webhook: &str) -> Fact {
        Fact { key: Self::key(webhook, self.sequence), value: Some(super::fact::encoded(self)) }
    }

    /// The fact that it is no more.
    pub fn over(webhook: &str, sequence: u64) -> Fact {
        Fact { key: Self::key(webhook, sequence), value: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{AuditEvent, AuditOutcome};
    use crate::store::memory::MemoryStore;

    fn letter(sequence: u64) -> DeadLetter {
        let at = "2026-06-01T12:00:00Z".parse().unwrap();
        DeadLetter { sequence, at, attempts: 12, error: "status 500".to_owned(), requested: false }
    }

    fn event() -> AuditEvent {
        AuditEvent::of_server(letter(0).at, "webhook", AuditOutcome::Failed)
    }

    #[test]
    fn at_the_limit_the_oldest_one_makes_room_and_no_other_webhook_loses_any() {
        let store = MemoryStore::new();
        let keep = |webhook: &str, sequence: u64| {
            let facts = letter(sequence).kept(&store, webhook).unwrap();
            store.record_facts(facts, event()).unwrap().wait().unwrap();
        };
        keep("other", 1);
        let most = MAX_DEAD_LETTERS as u64;
        (1..=most).for_each(|sequence| keep("siem", sequence));
        let first = |webhook: &str| DeadLetter::list(&store, webhook, None, MAX_DEAD_LETTERS + 9).unwrap();
        assert_eq!((first("siem").len(), first("siem")[0].sequence), (MAX_DEAD_LETTERS, 1));
        keep("siem", most + 1);
        let kept = first("siem");
        assert_eq!((kept.len(), kept[0].sequence), (MAX_DEAD_LETTERS, 2));
        assert_eq!(kept.last(), Some(&letter(most + 1)));
        assert_eq!(first("other"), [letter(1)]);
        assert_eq!(DeadLetter::list(&store, "siem", Some(most), 9).unwrap(), [letter(most + 1)]);
    }
}
