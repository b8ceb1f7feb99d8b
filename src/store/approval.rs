//! Requests that wait for an operator, one fact each.

use chrono::{DateTime, Utc};
use minicbor::{Decode, Encode};

use super::record::time;
use super::{CertificateStore, Fact, FactKey, FactKind, RequestKey, StoreFault};

/// A request that an operator decides (RFC 7030 section 4.2.3: the client asks again until then).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PendingRequest {
    /// What makes a later request the same one: identity, label, names and key, and not its octets.
    #[n(0)]
    pub request: RequestKey,
    /// The label.
    #[n(1)]
    pub label: String,
    /// The device.
    #[n(2)]
    pub device: String,
    /// The subject it would be certified with, for people to read.
    #[n(3)]
    pub subject: String,
    /// The subjectAltName entries, for people to read.
    #[n(4)]
    pub subject_alt_names: Vec<String>,
    /// SHA-256 of the SubjectPublicKeyInfo in the request. It is the one to be certified, unless the key is to be made here.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub spki_sha256: [u8; 32],
    /// SHA-256 of the certificate that was presented with it.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub peer: Option<[u8; 32]>,
    /// When it came first.
    #[cbor(n(7), with = "time")]
    pub requested_at: DateTime<Utc>,
    /// What was decided.
    #[n(8)]
    pub decision: Decision,
    /// The RA client that asked in the device's place.
    #[n(9)]
    pub ra: Option<String>,
    /// The certification request as it came by CMC, whose client may ask by the key above alone (RFC 5272 section 6.13).
    #[cbor(n(10), with = "minicbor::bytes")]
    pub tagged_request: Option<Vec<u8>>,
}

/// What an operator said to a request.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Decision {
    /// Nothing yet.
    #[n(0)]
    Waiting,
    /// Issue when it comes again.
    #[n(1)]
    Approved,
    /// Refuse when it comes again.
    #[n(2)]
    Denied {
        /// What the device is told.
        #[n(0)]
        reason: String,
    },
}

impl PendingRequest {
    /// The key of a request that waits.
    pub fn key(tenant: &str, request: &RequestKey) -> FactKey {
        FactKey::new(FactKind::PendingRequest, tenant, &request.0)
    }

    /// What the keys of a tenant's requests begin with.
    pub fn prefix(tenant: &str) -> FactKey {
        FactKey::prefix(FactKind::PendingRequest, tenant)
    }

    /// Looks a request up.
    ///
    /// # Errors
    /// When the index cannot be read, or what it holds does not decode.
    pub fn find(store: &dyn CertificateStore, tenant: &str, request: &RequestKey) -> Result<Option<Self>, StoreFault> {
        store.fact(&Self::key(tenant, request))?.map(|value| Self::decode(&value)).transpose()
    }

    /// Reads the value of a fact.
    ///
    /// # Errors
    /// When it is not a request's.
    pub fn decode(value: &[u8]) -> Result<Self, StoreFault> {
        minicbor::decode(value).map_err(|error| StoreFault::Corrupt(error.to_string()))
    }

    /// The fact that it waits, or was decided.
    pub fn to_fact(&self, tenant: &str) -> Fact {
        Fact { key: Self::key(tenant, &self.request), value: Some(super::fact::encoded(self)) }
    }

    /// The fact that it is over.
    pub fn over(tenant: &str, request: &RequestKey) -> Fact {
        Fact { key: Self::key(tenant, request), value: None }
    }
}
