//! Answers that operators may ask for again by an idempotency key, one fact each.

use chrono::{DateTime, TimeDelta, Utc};
use minicbor::{Decode, Encode};

use super::record::time;
use super::{CertificateStore, Fact, FactKey, FactKind, StoreFault};

/// How long an answer is kept.
pub const KEPT_FOR: TimeDelta = TimeDelta::hours(24);

/// How many of an operator's answers are looked at when one is added: those that are over are forgotten, so that their
/// number stays in proportion to a day's.
const SWEPT_AT_ONCE: usize = 8;

/// An answer, and what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Answered {
    /// SHA-256 of the request.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub request: [u8; 32],
    /// When.
    #[cbor(n(1), with = "time")]
    pub at: DateTime<Utc>,
    /// The HTTP status.
    #[n(2)]
    pub status: u16,
    /// The body; it holds no secret.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub body: Vec<u8>,
}

impl Answered {
    /// The key of what `operator` names by `key`, a hash.
    pub fn key(operator: &str, key: &[u8; 32]) -> FactKey {
        FactKey::new(FactKind::Answered, operator, key)
    }

    /// Looks an answer up that is still kept.
    ///
    /// # Errors
    /// When the index cannot be read, or what it holds does not decode.
    pub fn find(
        store: &dyn CertificateStore,
        operator: &str,
        key: &[u8; 32],
        now: DateTime<Utc>,
    ) -> Result<Option<Self>, StoreFault> {
        let found = store.fact(&Self::key(operator, key))?.map(|value| Self::decode(&value)).transpose()?;
        Ok(found.filter(|answered| answered.is_kept(now)))
    }

    /// The facts that it was answered, and that some older answers are forgotten.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn to_facts(
        &self,
        store: &dyn CertificateStore,
        operator: &str,
        key: &[u8; 32],
    ) -> Result<Vec<Fact>, StoreFault> {
        let own = Self::key(operator, key);
        let following = store.facts(&FactKey::prefix(FactKind::Answered, operator), Some(&own), SWEPT_AT_ONCE)?;
        let over = |value: &[u8]| !Self::decode(value).is_ok_and(|answered| answered.is_kept(self.at));
        let forgotten =
            following.into_iter().filter(|(_, value)| over(value)).map(|(key, _)| Fact { key, value: None });
        let mut facts: Vec<Fact> = forgotten.collect();
        facts.push(Fact { key: own, value: Some(super::fact::encoded(self)) });
        Ok(facts)
    }

    fn decode(value: &[u8]) -> Result<Self, StoreFault> {
        minicbor::decode(value).map_err(|error| StoreFault::Corrupt(error.to_string()))
    }

    fn is_kept(&self, now: DateTime<Utc>) -> bool {
        now - self.at < KEPT_FOR
    }
}
