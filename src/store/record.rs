//! What is remembered of a certificate.

use chrono::{DateTime, Utc};

/// Names one certificate: who issued it and its serial number (RFC 5280 section 4.1.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, minicbor::Encode, minicbor::Decode)]
pub struct CertificateId {
    /// SHA-256 of the issuer's SubjectPublicKeyInfo: a renewed CA certificate over the same key keeps its certificates.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub issuer: [u8; 32],
    /// Content octets of the serial number, big endian, minimal.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub serial: Vec<u8>,
}

/// What makes two requests the same request: SHA-256 over label, presented certificate, names and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestKey(pub [u8; 32]);

/// A certificate as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRecord {
    /// Issuer and serial.
    pub id: CertificateId,
    /// The request it answers.
    pub request: RequestKey,
    /// Tenant.
    pub tenant: String,
    /// Label it was enrolled at.
    pub label: String,
    /// Device.
    pub device: String,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub spki_sha256: [u8; 32],
    /// The certificate this one renews, if any.
    pub renews: Option<CertificateId>,
    /// When it was issued (not notBefore, which is backdated).
    pub issued_at: DateTime<Utc>,
    /// notAfter.
    pub not_after: DateTime<Utc>,
    /// The certificate, DER.
    pub der: Vec<u8>,
}

/// A revocation (RFC 5280 section 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// Since when.
    pub at: DateTime<Utc>,
    /// CRLReason.
    pub reason: u8,
}

/// The standing of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateStatus {
    /// Not in the store: nothing is known.
    Unknown,
    /// Issued and not revoked.
    Good {
        /// Tenant.
        tenant: String,
        /// Label.
        label: String,
        /// Device.
        device: String,
    },
    /// Revoked.
    Revoked(Revocation),
}
