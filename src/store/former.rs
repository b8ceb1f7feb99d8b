//! Certificates that a CA issued before its key came here: what is known of them so that they are not unknown.

use chrono::{DateTime, Utc};
use minicbor::{Decode, Encode};

use super::record::time;
use super::{CertificateId, CertificateStore, Fact, FactKey, FactKind, StoreFault};

/// A certificate that was issued elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FormerCertificate {
    /// Its notAfter.
    #[cbor(n(0), with = "time")]
    pub not_after: DateTime<Utc>,
}

impl FormerCertificate {
    /// The key of a certificate.
    pub fn key(id: &CertificateId) -> FactKey {
        FactKey::new(FactKind::FormerCertificate, "", &[&id.issuer[..], &id.serial].concat())
    }

    /// What is known of a certificate.
    ///
    /// # Errors
    /// When the index cannot be read, or what it holds does not decode.
    pub fn find(store: &dyn CertificateStore, id: &CertificateId) -> Result<Option<Self>, StoreFault> {
        let decoded = |value: Vec<u8>| minicbor::decode(&value).map_err(|error| StoreFault::Corrupt(error.to_string()));
        store.fact(&Self::key(id))?.map(decoded).transpose()
    }

    /// The fact that it was issued.
    pub fn to_fact(&self, id: &CertificateId) -> Fact {
        Fact { key: Self::key(id), value: Some(super::fact::encoded(self)) }
    }
}
