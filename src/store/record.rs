//! What is remembered of a certificate.

use chrono::{DateTime, Utc};
use minicbor::{Decode, Encode};

/// Names one certificate: who issued it and its serial number (RFC 5280 section 4.1.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct CertificateId {
    /// SHA-256 of the issuer's SubjectPublicKeyInfo: a renewed CA certificate over the same key keeps its certificates.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub issuer: [u8; 32],
    /// Content octets of the serial number, big endian, minimal.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub serial: Vec<u8>,
}

/// What makes two requests the same request: SHA-256 over label, presented certificate, names and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct RequestKey(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

/// A certificate as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CertificateRecord {
    /// Issuer and serial.
    #[n(0)]
    pub id: CertificateId,
    /// The request it answers.
    #[n(1)]
    pub request: RequestKey,
    /// Tenant.
    #[n(2)]
    pub tenant: String,
    /// Label it was enrolled at.
    #[n(3)]
    pub label: String,
    /// Device.
    #[n(4)]
    pub device: String,
    /// SHA-256 of the SubjectPublicKeyInfo.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub spki_sha256: [u8; 32],
    /// The certificate this one renews, if any.
    #[n(6)]
    pub renews: Option<CertificateId>,
    /// When it was issued (not notBefore, which is backdated).
    #[cbor(n(7), with = "time")]
    pub issued_at: DateTime<Utc>,
    /// notAfter.
    #[cbor(n(8), with = "time")]
    pub not_after: DateTime<Utc>,
    /// The certificate, DER.
    #[cbor(n(9), with = "minicbor::bytes")]
    pub der: Vec<u8>,
    /// The credential that stood beside the certificate the device presented, or in its place.
    #[n(10)]
    pub credential: Option<String>,
}

/// A revocation (RFC 5280 section 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Revocation {
    /// Since when.
    #[cbor(n(0), with = "time")]
    pub at: DateTime<Utc>,
    /// CRLReason.
    #[n(1)]
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

/// A moment in CBOR: seconds since 1970 and nanoseconds, so that what is read is what was written.
pub(super) mod time {
    use chrono::{DateTime, Utc};
    use minicbor::decode::Error as DecodeError;
    use minicbor::encode::Error as EncodeError;
    use minicbor::encode::Write;
    use minicbor::{Decoder, Encoder};

    /// Writes a moment.
    pub(in crate::store) fn encode<C, W: Write>(
        moment: &DateTime<Utc>,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        encoder.array(2)?.i64(moment.timestamp())?.u32(moment.timestamp_subsec_nanos())?.ok()
    }

    /// Reads a moment.
    pub(in crate::store) fn decode<C>(decoder: &mut Decoder<'_>, _: &mut C) -> Result<DateTime<Utc>, DecodeError> {
        let (seconds, nanoseconds): (i64, u32) = decoder.decode()?;
        DateTime::from_timestamp(seconds, nanoseconds).ok_or_else(|| DecodeError::message("no such moment"))
    }
}
