//! Facts of the registry: small values under keys, of which the last one counts.
//!
//! Devices, requests that wait and whatever else is neither a certificate nor a revocation is kept as facts; each kind has
//! a module that writes and reads its values.

use minicbor::{Decode, Encode};

/// Names one fact. Keys of a kind and tenant stand together, in the order of what follows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct FactKey(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>);

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactKind {
    /// A device of the registry.
    Device,
    /// A request that waits for an operator.
    PendingRequest,
    /// What came after a certificate.
    Succession,
    /// A key that is known to be in the wrong hands.
    CompromisedKey,
    /// A key that is being certified; nothing is kept under it.
    Key,
    /// How often a credential was used.
    CredentialUses,
    /// The lists of a CA.
    Crl,
    /// The number that the lists of all CAs go on above.
    CrlFloor,
    /// A certificate that a CA issued before its key came here.
    FormerCertificate,
    /// That a certificate's standing is being changed; nothing is kept under it.
    Standing,
    /// That a device was given the certificates of a new CA.
    FetchedAnchors,
    /// An API token of an operator.
    OperatorToken,
    /// What an operator was told.
    Answered,
    /// An enrollment code that an operator made.
    EnrollmentCode,
    /// An event that a webhook gave up on.
    DeadLetter,
    /// How many renewals are expected at a label in a slot of time.
    RenewalSlot,
    /// Which slot a certificate has in the place of its own.
    MovedRenewal,
}

impl FactKind {
    /// Part of the format on disk: never changed, never used again.
    const fn octet(self) -> u8 {
        match self {
            Self::Device => b'd',
            Self::PendingRequest => b'p',
            Self::Succession => b's',
            Self::CompromisedKey => b'c',
            Self::Key => b'k',
            Self::CredentialUses => b'u',
            Self::Crl => b'l',
            Self::CrlFloor => b'K',
            Self::FormerCertificate => b'L',
            Self::Standing => b'r',
            Self::FetchedAnchors => b'a',
            Self::OperatorToken => b't',
            Self::Answered => b'i',
            Self::EnrollmentCode => b'U',
            Self::DeadLetter => 80,
            Self::RenewalSlot => b'<',
            Self::MovedRenewal => b'=',
        }
    }
}

impl FactKey {
    /// The key of a fact; `scope` is the tenant.
    pub fn new(kind: FactKind, scope: &str, name: &[u8]) -> Self {
        // The length before the scope keeps the keys of two tenants apart, whatever their names.
        let length = u32::try_from(scope.len()).unwrap_or(u32::MAX).to_be_bytes();
        Self([&[kind.octet()][..], &length, scope.as_bytes(), name].concat())
    }

    /// What all keys of a kind and scope begin with.
    pub fn prefix(kind: FactKind, scope: &str) -> Self {
        Self::new(kind, scope, b"")
    }

    /// The octets that order it among the others.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// A key as it was stored.
    #[cfg(feature = "server")]
    pub(super) fn from_octets(octets: &[u8]) -> Self {
        Self(octets.to_vec())
    }

    /// Whether it begins with `prefix`.
    pub fn is_under(&self, prefix: &Self) -> bool {
        self.0.starts_with(&prefix.0)
    }
}

/// A value under a key, or that there is none any more.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Fact {
    /// Its key.
    #[n(0)]
    pub key: FactKey,
    /// Its value; `None` when it is forgotten.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub value: Option<Vec<u8>>,
}

/// The value of a fact.
pub(in crate::store) fn encoded(value: &impl Encode<()>) -> Vec<u8> {
    let mut octets = Vec::new();
    #[expect(clippy::expect_used, reason = "writing to a vector cannot fail")]
    // Unwrap safety: a vector takes every write, and the encoders of facts make no error of their own.
    minicbor::encode(value, &mut octets).expect("a vector takes every write");
    octets
}
