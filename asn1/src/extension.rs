//! Certificate extensions (RFC 5280 section 4.2): the envelope and the ones estd reads or writes.
use crate::{DecodeError, GeneralName, Oid};
/// Extension; `value` is the content of extnValue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /** extnID */
    pub oid: Oid,
    /** critical, DEFAULT FALSE never encoded */
    pub critical: bool,
    /** extnValue content */
    pub value: Vec<u8>,
}
/// Extensions ::= SEQUENCE SIZE (1..MAX), no duplicate extnID, at most `limit`.
pub fn decode_extensions(_der: &[u8], _limit: usize) -> Result<Vec<Extension>, DecodeError> {
    todo!()
}
/// KeyUsage bits (RFC 5280 section 4.2.1.3), bit 0 = digitalSignature = 0x8000 here
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyUsage(u16);
impl KeyUsage {
    // consts DIGITAL_SIGNATURE, NON_REPUDIATION, KEY_ENCIPHERMENT, DATA_ENCIPHERMENT, KEY_AGREEMENT, KEY_CERT_SIGN, CRL_SIGN, ENCIPHER_ONLY, DECIPHER_ONLY
    /// all of `other` set
    pub const fn contains(self, _other: Self) -> bool {
        todo!()
    }
    /// union
    pub const fn union(self, _other: Self) -> Self {
        todo!()
    }
    /// no bit set
    pub const fn is_empty(self) -> bool {
        todo!()
    }
    /// strict decode of the BIT STRING (trailing zero bits removed: DER named bit list)
    pub fn decode(_value: &[u8]) -> Result<Self, DecodeError> {
        todo!()
    }
    /// minimal DER
    pub fn encode(self) -> Vec<u8> {
        todo!()
    }
}
/// BasicConstraints (RFC 5280 section 4.2.1.9)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BasicConstraints {
    /** cA */
    pub ca: bool,
    /** pathLenConstraint */
    pub path_len: Option<u32>,
}
impl BasicConstraints {
    /** strict decode */
    pub fn decode(_value: &[u8]) -> Result<Self, DecodeError> {
        todo!()
    }
    /** DER */
    pub fn encode(self) -> Vec<u8> {
        todo!()
    }
}
/// ExtKeyUsageSyntax
pub fn decode_ext_key_usage(_value: &[u8], _limit: usize) -> Result<Vec<Oid>, DecodeError> {
    todo!()
}
/// ExtKeyUsageSyntax
pub fn encode_ext_key_usage(_usages: &[Oid]) -> Vec<u8> {
    todo!()
}
/// SubjectKeyIdentifier
pub fn encode_subject_key_identifier(_id: &[u8]) -> Vec<u8> {
    todo!()
}
/// SubjectKeyIdentifier
pub fn decode_subject_key_identifier(_value: &[u8]) -> Result<Vec<u8>, DecodeError> {
    todo!()
}
/// AuthorityKeyIdentifier with keyIdentifier only
pub fn encode_authority_key_identifier(_id: &[u8]) -> Vec<u8> {
    todo!()
}
/// the keyIdentifier, if present
pub fn decode_authority_key_identifier(_value: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
    todo!()
}
/// one DistributionPoint with all URIs as fullName
pub fn encode_crl_distribution_points(_uris: &[String]) -> Vec<u8> {
    todo!()
}
/// AuthorityInfoAccess: id-ad-ocsp and id-ad-caIssuers
pub fn encode_authority_info_access(_ocsp: &[String], _ca_issuers: &[String]) -> Vec<u8> {
    todo!()
}
/// CertificatePolicies, policy identifiers only
pub fn encode_certificate_policies(_policies: &[Oid]) -> Vec<u8> {
    todo!()
}
#[allow(unused)]
fn _g(_: GeneralName) {}
