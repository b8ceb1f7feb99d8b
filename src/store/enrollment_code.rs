//! Enrollment codes that operators make, one fact each, found by the hash of the code.

use chrono::{DateTime, Utc};
use minicbor::{Decode, Encode};

use super::record::time;
use super::{CertificateStore, Fact, FactKey, FactKind, StoreFault};

/// Octets of the hash that name a code; they give nothing of it away.
pub const CODE_ID_OCTETS: usize = 16;

/// A code, without what is needed to use it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StoredCode {
    /// SHA-256 of the code.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub sha256: [u8; 32],
    /// Whom it speaks for: device ids, and patterns with a star at the end.
    #[n(1)]
    pub devices: Vec<String>,
    /// For how many certificates it is good.
    #[n(2)]
    pub uses: u32,
    /// When it was made.
    #[cbor(n(3), with = "time")]
    pub created_at: DateTime<Utc>,
    /// Who made it.
    #[n(4)]
    pub created_by: String,
    /// When it ends.
    #[cbor(n(5), with = "time")]
    pub expires_at: DateTime<Utc>,
    /// It was taken back.
    #[n(6)]
    pub revoked: bool,
}

impl StoredCode {
    /// The key of a tenant's code.
    pub fn key(tenant: &str, sha256: &[u8; 32]) -> FactKey {
        FactKey::new(FactKind::EnrollmentCode, tenant, sha256)
    }

    /// What the keys of all codes of a tenant begin with.
    pub fn prefix(tenant: &str) -> FactKey {
        FactKey::prefix(FactKind::EnrollmentCode, tenant)
    }

    /// Looks a code up by its hash.
    ///
    /// # Errors
    /// When the index cannot be read, or what it holds does not decode.
    pub fn find(store: &dyn CertificateStore, tenant: &str, sha256: &[u8; 32]) -> Result<Option<Self>, StoreFault> {
        store.fact(&Self::key(tenant, sha256))?.map(|value| Self::decode(&value)).transpose()
    }

    /// Looks a code up by what names it.
    ///
    /// # Errors
    /// When the index cannot be read, or what it holds does not decode.
    pub fn named(
        store: &dyn CertificateStore,
        tenant: &str,
        id: &[u8; CODE_ID_OCTETS],
    ) -> Result<Option<Self>, StoreFault> {
        let prefix = FactKey::new(FactKind::EnrollmentCode, tenant, id);
        let rows = store.facts(&prefix, None, 1)?;
        rows.first().map(|(_, value)| Self::decode(value)).transpose()
    }

    /// Reads the value of a fact.
    ///
    /// # Errors
    /// When it is not a code's.
    pub fn decode(value: &[u8]) -> Result<Self, StoreFault> {
        minicbor::decode(value).map_err(|error| StoreFault::Corrupt(error.to_string()))
    }

    /// The fact that it is as it is.
    pub fn to_fact(&self, tenant: &str) -> Fact {
        Fact { key: Self::key(tenant, &self.sha256), value: Some(super::fact::encoded(self)) }
    }

    /// The fact that it is forgotten.
    pub fn over(&self, tenant: &str) -> Fact {
        Fact { key: Self::key(tenant, &self.sha256), value: None }
    }
}
