//! Which devices were given the certificates of a new CA (RFC 7030 section 4.1.3), one fact for each.

use chrono::{DateTime, Utc};
use minicbor::{Decode, Encode};

use super::record::time;
use super::{CertificateStore, Fact, FactKey, FactKind, StoreFault};

/// That a device was given them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FetchedAnchors {
    /// When it was for the first time.
    #[cbor(n(0), with = "time")]
    pub at: DateTime<Utc>,
}

impl FetchedAnchors {
    /// The key of the fact about a device and a CA, which is named by SHA-256 of its SubjectPublicKeyInfo. Ids are told apart
    /// as those of devices are.
    pub fn key(tenant: &str, authority: &[u8; 32], device: &str) -> FactKey {
        FactKey::new(FactKind::FetchedAnchors, tenant, &[&authority[..], device.to_lowercase().as_bytes()].concat())
    }

    /// What the keys of the devices that have fetched those of `authority` begin with.
    pub fn prefix(tenant: &str, authority: &[u8; 32]) -> FactKey {
        FactKey::new(FactKind::FetchedAnchors, tenant, authority)
    }

    /// Whether the device was given them before.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn is_known(
        store: &dyn CertificateStore,
        tenant: &str,
        authority: &[u8; 32],
        device: &str,
    ) -> Result<bool, StoreFault> {
        Ok(store.fact(&Self::key(tenant, authority, device))?.is_some())
    }

    /// The fact that it is so.
    pub fn to_fact(&self, tenant: &str, authority: &[u8; 32], device: &str) -> Fact {
        Fact { key: Self::key(tenant, authority, device), value: Some(super::fact::encoded(self)) }
    }
}
