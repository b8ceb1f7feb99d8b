//! Devices of the registry, one fact each.

use chrono::{DateTime, Utc};
use minicbor::{Decode, Encode};

use super::record::time;
use super::{CertificateId, CertificateStore, Fact, FactKey, FactKind, StoreFault};
use crate::pki::digest::sha256;

/// A device as a tenant knows it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DeviceRecord {
    /// Its id, unique within the tenant.
    #[n(0)]
    pub id: String,
    /// Where it is in its life.
    #[n(1)]
    pub state: DeviceState,
    /// When it was listed, or came for the first time.
    #[cbor(n(2), with = "time")]
    pub registered_at: DateTime<Utc>,
    /// The birth certificate it came with last.
    #[n(3)]
    pub birth: Option<BirthCertificate>,
    /// The certificate issued to it last at each label.
    #[n(4)]
    #[cbor(default)]
    pub latest: Vec<LatestCertificate>,
    /// What operators call it by.
    #[n(5)]
    #[cbor(default)]
    pub tags: Vec<String>,
}

/// Where a device is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum DeviceState {
    /// Expected, and not seen yet.
    #[n(0)]
    Listed,
    /// Enrolled, or approved to enroll.
    #[n(1)]
    Active,
    /// Kept out until it is resumed.
    #[n(2)]
    Suspended,
    /// Kept out for good.
    #[n(3)]
    Revoked,
}

/// Which birth certificate a device came with: one birth certificate is one device.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct BirthCertificate {
    /// SHA-256 of the SubjectPublicKeyInfo of the CA that signed it.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub issuer: [u8; 32],
    /// SHA-256 of the certificate.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub fingerprint: [u8; 32],
    /// Where in it the id was read.
    #[n(2)]
    pub source: String,
}

/// A certificate by what tells whether it is still in use.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LatestCertificate {
    /// Which.
    #[n(0)]
    pub id: CertificateId,
    /// The label it was issued at.
    #[n(3)]
    pub label: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub spki_sha256: [u8; 32],
    /// notAfter.
    #[cbor(n(2), with = "time")]
    pub not_after: DateTime<Utc>,
}

impl DeviceState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Listed, Self::Active, Self::Suspended, Self::Revoked];

    /// Whether an operator may make `next` of it. What is revoked stays so, nothing
    /// becomes unseen again, and what was never seen does not become active by an operator's word.
    pub const fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Revoked, Self::Revoked) => true,
            (Self::Revoked, _) | (_, Self::Listed) | (Self::Listed, Self::Active) => false,
            (Self::Listed, Self::Suspended | Self::Revoked) => true,
            (Self::Active | Self::Suspended, Self::Active | Self::Suspended | Self::Revoked) => true,
        }
    }

    /// As it stands in answers and files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
        }
    }
}

/// Tells one state of a device from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceVersion(pub [u8; 8]);

impl DeviceRecord {
    /// Which state of the device it is.
    pub fn version(&self) -> DeviceVersion {
        let digest = sha256(&[&super::fact::encoded(self)]);
        let mut version = [0; 8];
        version.copy_from_slice(&digest[..8]);
        DeviceVersion(version)
    }

    /// A device that nobody has seen yet.
    pub fn listed(id: String, at: DateTime<Utc>) -> Self {
        Self { id, state: DeviceState::Listed, registered_at: at, birth: None, latest: Vec::new(), tags: Vec::new() }
    }

    /// The certificate issued to it last at a label.
    pub fn latest_at(&self, label: &str) -> Option<&LatestCertificate> {
        self.latest.iter().find(|latest| latest.label == label)
    }

    /// Takes note of a certificate that was issued to it.
    pub fn note_latest(&mut self, latest: LatestCertificate) {
        self.latest.retain(|earlier| earlier.label != latest.label);
        self.latest.push(latest);
    }

    /// The key of a device. Ids that differ in case alone name one device (RFC 5280 section 7.1, RFC 4343 for names in
    /// the DNS): the first spelling counts.
    pub fn key(tenant: &str, id: &str) -> FactKey {
        FactKey::new(FactKind::Device, tenant, id.to_lowercase().as_bytes())
    }

    /// What the keys of a tenant's devices begin with; they stand in the order of their ids.
    pub fn prefix(tenant: &str) -> FactKey {
        FactKey::prefix(FactKind::Device, tenant)
    }

    /// Looks a device up.
    ///
    /// # Errors
    /// When the index cannot be read, or what it holds does not decode.
    pub fn find(store: &dyn CertificateStore, tenant: &str, id: &str) -> Result<Option<Self>, StoreFault> {
        store.fact(&Self::key(tenant, id))?.map(|value| Self::decode(&value)).transpose()
    }

    /// Reads the value of a fact.
    ///
    /// # Errors
    /// When it is not a device's.
    pub fn decode(value: &[u8]) -> Result<Self, StoreFault> {
        minicbor::decode(value).map_err(|error| StoreFault::Corrupt(error.to_string()))
    }

    /// The fact that it is so.
    pub fn to_fact(&self, tenant: &str) -> Fact {
        Fact { key: Self::key(tenant, &self.id), value: Some(super::fact::encoded(self)) }
    }
}
