//! Which certificate came after which, one fact for each that was renewed.

use minicbor::{Decode, Encode};

use super::{CertificateId, CertificateStore, Fact, FactKey, FactKind, StoreFault};

/// What came after a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Succession {
    /// The certificate that renewed it last.
    #[n(0)]
    pub successor: CertificateId,
    /// Whether the successor was seen in use: until then its holder may never have got it.
    #[n(1)]
    pub seen: bool,
}

impl Succession {
    /// The key of what came after `id`. Certificates belong to issuers, whichever tenant has them.
    pub fn key(id: &CertificateId) -> FactKey {
        FactKey::new(FactKind::Succession, "", &[&id.issuer[..], &id.serial].concat())
    }

    /// What came after `id`, if anything did.
    ///
    /// # Errors
    /// When the index cannot be read, or what it holds does not decode.
    pub fn of(store: &dyn CertificateStore, id: &CertificateId) -> Result<Option<Self>, StoreFault> {
        let decoded = |value: Vec<u8>| minicbor::decode(&value).map_err(|error| StoreFault::Corrupt(error.to_string()));
        store.fact(&Self::key(id))?.map(decoded).transpose()
    }

    /// The fact that it came after `id`.
    pub fn to_fact(&self, id: &CertificateId) -> Fact {
        Fact { key: Self::key(id), value: Some(super::fact::encoded(self)) }
    }
}
