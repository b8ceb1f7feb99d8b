//! CertificationRequest (RFC 2986, module of RFC 5912) and the attributes EST gives meaning to.
use crate::{AlgorithmIdentifier, DecodeError, Extension, Name, Oid, SubjectPublicKeyInfo};
/// Attribute; values are whole TLVs
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /** type */
    pub oid: Oid,
    /** values */
    pub values: Vec<Vec<u8>>,
}
/// Bounds on counts inside a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /** attributes */
    pub max_attributes: usize,
    /** extensions */
    pub max_extensions: usize,
    /** RDNs in the subject */
    pub max_rdns: usize,
    /** subjectAltName entries */
    pub max_subject_alt_names: usize,
    /** accept an omitted attributes field (violates PKCS#10, seen in the field) */
    pub lenient_attributes: bool,
}
impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            max_attributes: 32,
            max_extensions: 32,
            max_rdns: 32,
            max_subject_alt_names: 32,
            lenient_attributes: true,
        }
    }
}
/// A decoded PKCS#10. The signature has NOT been verified.
#[derive(Debug, Clone)]
pub struct CertificationRequest {
    _p: (),
}
impl CertificationRequest {
    /// Strict decode: version v1(0), one object, no duplicate extensionRequest/challengePassword attributes or values, no duplicate extnID, limits held.
    pub fn decode(_der: &[u8], _limits: &RequestLimits) -> Result<Self, DecodeError> {
        todo!()
    }
    /// The exact CertificationRequestInfo TLV, over which the signature stands.
    pub fn info_der(&self) -> &[u8] {
        todo!()
    }
    /// subject
    pub fn subject(&self) -> &Name {
        todo!()
    }
    /// subjectPKInfo
    pub fn public_key(&self) -> &SubjectPublicKeyInfo {
        todo!()
    }
    /// all attributes
    pub fn attributes(&self) -> &[Attribute] {
        todo!()
    }
    /// extensionRequest (RFC 2985 5.4.2; Microsoft alias too) content, empty when absent
    pub fn extension_request(&self) -> &[Extension] {
        todo!()
    }
    /// challengePassword as text, when present (1..=255 characters)
    pub fn challenge_password(&self) -> Option<&str> {
        todo!()
    }
    /// signatureAlgorithm
    pub fn signature_algorithm(&self) -> &AlgorithmIdentifier {
        todo!()
    }
    /// signature bits (whole octets)
    pub fn signature(&self) -> &[u8] {
        todo!()
    }
}
/// Encodes a CertificationRequestInfo for a client side (demo, tests): one extensionRequest when extensions are given.
pub fn encode_certification_request_info(_subject: &Name, _spki_der: &[u8], _extensions: &[Extension]) -> Vec<u8> {
    todo!()
}
/// Encodes the outer CertificationRequest.
pub fn encode_certification_request(_info_der: &[u8], _algorithm: &AlgorithmIdentifier, _signature: &[u8]) -> Vec<u8> {
    todo!()
}
#[allow(unused)]
fn _g(_: Name, _: SubjectPublicKeyInfo) {}
