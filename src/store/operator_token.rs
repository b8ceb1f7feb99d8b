//! API tokens of operators, one fact each.

use chrono::{DateTime, Utc};
use minicbor::{Decode, Encode};

use super::record::time;
use super::{CertificateStore, Fact, FactKey, FactKind, StoreFault};

/// A token, without what is needed to use it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OperatorToken {
    /// What names it.
    #[n(0)]
    pub id: String,
    /// SHA-256 of the whole token.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub sha256: [u8; 32],
    /// What people call it by; stands in the audit.
    #[n(2)]
    pub name: String,
    /// The role it gives.
    #[n(3)]
    pub role: String,
    /// The tenant the role is of, when it is of one.
    #[n(4)]
    pub tenant: Option<String>,
    /// When it was made.
    #[cbor(n(5), with = "time")]
    pub created_at: DateTime<Utc>,
    /// Who made it.
    #[n(6)]
    pub created_by: String,
    /// When it ends.
    #[cbor(n(7), with = "time")]
    pub expires_at: DateTime<Utc>,
}

impl OperatorToken {
    /// The key of a token.
    pub fn key(id: &str) -> FactKey {
        FactKey::new(FactKind::OperatorToken, "", id.as_bytes())
    }

    /// What the keys of all tokens begin with.
    pub fn prefix() -> FactKey {
        FactKey::prefix(FactKind::OperatorToken, "")
    }

    /// Looks a token up.
    ///
    /// # Errors
    /// When the index cannot be read, or what it holds does not decode.
    pub fn find(store: &dyn CertificateStore, id: &str) -> Result<Option<Self>, StoreFault> {
        store.fact(&Self::key(id))?.map(|value| Self::decode(&value)).transpose()
    }

    /// Reads the value of a fact.
    ///
    /// # Errors
    /// When it is not a token's.
    pub fn decode(value: &[u8]) -> Result<Self, StoreFault> {
        minicbor::decode(value).map_err(|error| StoreFault::Corrupt(error.to_string()))
    }

    /// The fact that it is good.
    pub fn to_fact(&self) -> Fact {
        Fact { key: Self::key(&self.id), value: Some(super::fact::encoded(self)) }
    }

    /// The fact that it is no more.
    pub fn over(id: &str) -> Fact {
        Fact { key: Self::key(id), value: None }
    }
}
