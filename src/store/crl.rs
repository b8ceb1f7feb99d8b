//! What must be remembered of the lists of a CA so that no number is used twice, one fact for each CA key.

use chrono::{DateTime, Utc};
use minicbor::{Decode, Encode};

use super::record::time;
use super::{CertificateStore, Fact, FactKey, FactKind, StoreFault};

/// Most lists that delta CRLs can still build on: with more of them, the oldest are forgotten first.
const MAX_BASES: usize = 8;

/// The lists of a CA so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct CrlHistory {
    /// The last number that was used, or was to be.
    #[n(0)]
    pub number: u64,
    /// Into how many lists revocations were ever split: certificates name them for all their lives.
    #[n(1)]
    pub splits: Vec<u16>,
    /// The lists of the schedule that relying parties may still have, the oldest first.
    #[n(2)]
    pub bases: Vec<CrlBase>,
}

/// A list of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct CrlBase {
    /// Its number.
    #[n(0)]
    pub number: u64,
    /// The last record of the store that is in it.
    #[n(1)]
    pub sequence: u64,
    /// Its thisUpdate.
    #[cbor(n(2), with = "time")]
    pub at: DateTime<Utc>,
}

impl CrlHistory {
    /// The key of the lists of a CA, by SHA-256 of its SubjectPublicKeyInfo.
    pub fn key(issuer: &[u8; 32]) -> FactKey {
        FactKey::new(FactKind::Crl, "", issuer)
    }

    /// The lists of a CA so far.
    ///
    /// # Errors
    /// When the index cannot be read, or what it holds does not decode.
    pub fn of(store: &dyn CertificateStore, issuer: &[u8; 32]) -> Result<Self, StoreFault> {
        let history: Option<Self> = store.fact(&Self::key(issuer))?.map(|value| decoded(&value)).transpose()?;
        let floor: Option<u64> = store.fact(&floor_key())?.map(|value| decoded(&value)).transpose()?;
        let history = history.unwrap_or_default();
        Ok(Self { number: history.number.max(floor.unwrap_or_default()), ..history })
    }

    /// Takes the next number. It is above every one before, also those of a store that was set back to an older copy: it
    /// counts milliseconds.
    pub fn next_number(&mut self, now: DateTime<Utc>) -> u64 {
        let clock = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        self.number = clock.max(self.number + 1);
        self.number
    }

    /// Takes note of a list of the schedule, and forgets those that came before `expired`, for nobody has them.
    pub fn note_base(&mut self, base: CrlBase, expired: DateTime<Utc>) {
        self.bases.retain(|earlier| earlier.at >= expired);
        self.bases.push(base);
        let surplus = self.bases.len().saturating_sub(MAX_BASES);
        self.bases.drain(..surplus);
    }

    /// The fact that it is so.
    pub fn to_fact(&self, issuer: &[u8; 32]) -> Fact {
        Fact { key: Self::key(issuer), value: Some(super::fact::encoded(self)) }
    }
}

/// Most CAs that a store was ever used for.
const MAX_ISSUERS: usize = 4096;

/// What makes the lists of every CA go on above `number`, after a store was restored that may have lost records.
///
/// Delta CRLs begin anew: relying parties may have lists that were made after the backup, of which nothing is known
/// (RFC 5280 section 5.2.4: a delta CRL tells of all that changed since its base).
///
/// # Errors
/// When the index cannot be read, or what it holds does not decode.
pub fn after_restore(store: &dyn CertificateStore, number: u64) -> Result<Vec<Fact>, StoreFault> {
    let mut facts = vec![Fact { key: floor_key(), value: Some(super::fact::encoded(&number)) }];
    for (key, value) in store.facts(&FactKey::prefix(FactKind::Crl, ""), None, MAX_ISSUERS)? {
        let history = CrlHistory { bases: Vec::new(), ..decoded(&value)? };
        facts.push(Fact { key, value: Some(super::fact::encoded(&history)) });
    }
    Ok(facts)
}

/// The key of the number that the lists of no CA are below, also of one that is added later.
fn floor_key() -> FactKey {
    FactKey::new(FactKind::CrlFloor, "", b"")
}

fn decoded<T: for<'b> Decode<'b, ()>>(value: &[u8]) -> Result<T, StoreFault> {
    minicbor::decode(value).map_err(|error| StoreFault::Corrupt(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract;
    use crate::store::memory::MemoryStore;
    use chrono::TimeDelta;

    fn event() -> crate::audit::AuditEvent {
        contract::event(crate::audit::AuditOutcome::Failed)
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn numbers_grow_whatever_the_clock_and_the_store_do() {
        let mut history = CrlHistory::default();
        let first = history.next_number(at(0));
        assert_eq!(first, 1_790_000_000_000);
        assert_eq!(history.next_number(at(-3600)), first + 1, "the clock was set back");
        let restored = CrlHistory::default().next_number(at(1));
        assert!(restored > first + 1, "the store was");
    }

    #[test]
    fn after_a_restore_the_lists_of_every_ca_go_on_above_and_deltas_begin_anew() {
        let store = MemoryStore::new();
        let base = CrlBase { number: 7, sequence: 3, at: at(0) };
        let known = CrlHistory { number: 7, splits: vec![4], bases: vec![base] };
        let record = |facts| store.record_facts(facts, event()).unwrap().wait().unwrap();
        record(vec![known.to_fact(&[1; 32])]);
        let number = at(0).timestamp_millis() as u64 + 5000;
        record(after_restore(&store, number).unwrap());
        let mut restored = CrlHistory::of(&store, &[1; 32]).unwrap();
        assert_eq!(restored, CrlHistory { number, splits: vec![4], bases: Vec::new() });
        assert_eq!(restored.next_number(at(4)), number + 1, "the clock is behind");
        // Also those of a CA that is added after the restore.
        assert_eq!(CrlHistory::of(&store, &[2; 32]).unwrap().next_number(at(4)), number + 1);
        assert_eq!(CrlHistory::of(&store, &[2; 32]).unwrap().next_number(at(6)), number + 1000);
    }

    #[test]
    fn as_many_bases_are_kept_as_relying_parties_may_have() {
        let mut history = CrlHistory::default();
        for number in 0..20 {
            let base = CrlBase { number, sequence: number, at: at(number as i64 * 60) };
            history.note_base(base, base.at - TimeDelta::minutes(3));
        }
        assert_eq!(history.bases.iter().map(|base| base.number).collect::<Vec<_>>(), [16, 17, 18, 19]);
        for number in 20..40 {
            history.note_base(CrlBase { number, sequence: number, at: at(0) }, at(-9));
        }
        assert_eq!(history.bases.len(), MAX_BASES);
    }
}
