//! Certificate and TBSCertificate (RFC 5280 section 4.1).
use crate::{AlgorithmIdentifier, DecodeError, Extension, Name, SubjectPublicKeyInfo};
use chrono::{DateTime, Utc};
/// Validity; UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 section 4.1.2.5), whole seconds
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /** notBefore */
    pub not_before: DateTime<Utc>,
    /** notAfter */
    pub not_after: DateTime<Utc>,
}
/// A decoded certificate; v1 and v3 decode, signature NOT verified.
#[derive(Debug, Clone)]
pub struct Certificate {
    _p: (),
}
impl Certificate {
    /// strict decode, no duplicate extensions, at most 64 extensions
    pub fn decode(_der: &[u8]) -> Result<Self, DecodeError> {
        todo!()
    }
    /// whole certificate
    pub fn der(&self) -> &[u8] {
        todo!()
    }
    /// exact TBSCertificate TLV
    pub fn tbs_der(&self) -> &[u8] {
        todo!()
    }
    /// 1 or 3 (or 2)
    pub fn version(&self) -> u8 {
        todo!()
    }
    /// INTEGER content octets, big endian, as encoded
    pub fn serial(&self) -> &[u8] {
        todo!()
    }
    /// issuer
    pub fn issuer(&self) -> &Name {
        todo!()
    }
    /// validity
    pub fn validity(&self) -> Validity {
        todo!()
    }
    /// subject
    pub fn subject(&self) -> &Name {
        todo!()
    }
    /// key
    pub fn public_key(&self) -> &SubjectPublicKeyInfo {
        todo!()
    }
    /// extensions
    pub fn extensions(&self) -> &[Extension] {
        todo!()
    }
    /// by OID
    pub fn extension(&self, _oid: &crate::Oid) -> Option<&Extension> {
        todo!()
    }
    /// outer signatureAlgorithm (equal to tbs.signature, enforced by decode)
    pub fn signature_algorithm(&self) -> &AlgorithmIdentifier {
        todo!()
    }
    /// signature
    pub fn signature(&self) -> &[u8] {
        todo!()
    }
    // conveniences, each decoding strictly on call: basic_constraints() -> Result<Option<BasicConstraints>,_>, key_usage(), ext_key_usage(), subject_alt_names(limit) -> Result<Vec<GeneralName>,_> (empty when absent), subject_key_identifier() -> Result<Option<Vec<u8>>,_>
}
/// What goes into a certificate to be signed; always v3.
#[derive(Debug, Clone)]
pub struct TbsCertificate<'a> {
    /** positive, at most 20 octets, minimal big-endian content */
    pub serial: &'a [u8],
    /** signature algorithm */
    pub signature: &'a AlgorithmIdentifier,
    /** issuer, copied bit for bit */
    pub issuer: &'a Name,
    /** validity */
    pub validity: Validity,
    /** subject */
    pub subject: &'a Name,
    /** SPKI TLV, copied bit for bit */
    pub spki_der: &'a [u8],
    /** in this order */
    pub extensions: &'a [Extension],
}
impl TbsCertificate<'_> {
    /// DER
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }
}
/// Certificate ::= SEQUENCE { tbs, algorithm, signature }; the tbs bytes are copied, never re-encoded.
pub fn encode_certificate(_tbs_der: &[u8], _algorithm: &AlgorithmIdentifier, _signature: &[u8]) -> Vec<u8> {
    todo!()
}
