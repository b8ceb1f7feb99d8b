//! How often a credential was used that is good for so many certificates only.

use super::{CertificateStore, Fact, FactKey, FactKind, StoreFault};

/// The certificates that were issued by one credential. Held from reading it until the next one is recorded, so that of
/// two uses at once one comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialUses(pub u32);

impl CredentialUses {
    /// The key of a tenant's credential.
    pub fn key(tenant: &str, credential: &str) -> FactKey {
        FactKey::new(FactKind::CredentialUses, tenant, credential.as_bytes())
    }

    /// How often it was used, durable or not yet.
    ///
    /// # Errors
    /// When the index cannot be read, or what it holds does not decode.
    pub fn of(store: &dyn CertificateStore, tenant: &str, credential: &str) -> Result<Self, StoreFault> {
        let decoded = |value: Vec<u8>| minicbor::decode(&value).map_err(|error| StoreFault::Corrupt(error.to_string()));
        let count = store.fact(&Self::key(tenant, credential))?.map(decoded).transpose()?;
        Ok(Self(count.unwrap_or(0)))
    }

    /// The fact that nobody counts any more: the credential is gone for good.
    pub fn forgotten(tenant: &str, credential: &str) -> Fact {
        Fact { key: Self::key(tenant, credential), value: None }
    }

    /// The fact that it was used once more.
    pub fn once_more(self, tenant: &str, credential: &str) -> Fact {
        let value = super::fact::encoded(&self.0.saturating_add(1));
        Fact { key: Self::key(tenant, credential), value: Some(value) }
    }
}
