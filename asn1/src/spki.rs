//! SubjectPublicKeyInfo and AlgorithmIdentifier (RFC 5280 section 4.1.1.2 and 4.1.2.7), kept with their exact encoding.
use crate::{DecodeError, Oid};
/// AlgorithmIdentifier with its exact DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlgorithmIdentifier {
    _p: (),
}
impl AlgorithmIdentifier {
    /// strict decode
    pub fn decode(_der: &[u8]) -> Result<Self, DecodeError> {
        todo!()
    }
    /// build; parameters is a whole TLV (NULL is [5,0]) or absent
    pub fn new(_oid: Oid, _parameters: Option<&[u8]>) -> Self {
        todo!()
    }
    /// algorithm
    pub fn oid(&self) -> &Oid {
        todo!()
    }
    /// parameters TLV
    pub fn parameters(&self) -> Option<&[u8]> {
        todo!()
    }
    /// exact DER
    pub fn der(&self) -> &[u8] {
        todo!()
    }
}
/// SubjectPublicKeyInfo with its exact DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectPublicKeyInfo {
    _p: (),
}
impl SubjectPublicKeyInfo {
    /// strict decode
    pub fn decode(_der: &[u8]) -> Result<Self, DecodeError> {
        todo!()
    }
    /// algorithm
    pub fn algorithm(&self) -> &AlgorithmIdentifier {
        todo!()
    }
    /// content of the BIT STRING (zero unused bits enforced)
    pub fn key(&self) -> &[u8] {
        todo!()
    }
    /// exact DER
    pub fn der(&self) -> &[u8] {
        todo!()
    }
}
