//! Distinguished names (RFC 5280 section 4.1.2.4), kept with their exact encoding.
use crate::{DecodeError, Oid};
/// One attribute of an RDN; `value` is the whole TLV as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeTypeAndValue {
    /// attribute type
    pub oid: Oid,
    /// value TLV
    pub value: Vec<u8>,
}
impl AttributeTypeAndValue {
    /// UTF8String, used for every attribute but country, serialNumber, dnQualifier (PrintableString) and DC, email (IA5String). Err when the character set does not fit.
    pub fn from_text(_oid: Oid, _text: &str) -> Result<Self, DecodeError> {
        todo!()
    }
    /// The value as text for UTF8String, PrintableString, IA5String, NumericString, BMPString, UniversalString, (Teletex as Latin-1); None for other types.
    pub fn text(&self) -> Option<String> {
        todo!()
    }
}
/// A Name (RDNSequence) and the DER it came from. `==` compares the DER.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    _p: (),
}
impl Name {
    /// strict decode of a Name TLV
    pub fn decode(_der: &[u8]) -> Result<Self, DecodeError> {
        todo!()
    }
    /// builds and encodes; each inner Vec is one RDN (SET, DER-sorted)
    pub fn from_rdns(_rdns: &[Vec<AttributeTypeAndValue>]) -> Self {
        todo!()
    }
    /// the empty RDNSequence
    pub fn empty() -> Self {
        todo!()
    }
    /// exact DER
    pub fn der(&self) -> &[u8] {
        todo!()
    }
    /// RDNs in order
    pub fn rdns(&self) -> &[Vec<AttributeTypeAndValue>] {
        todo!()
    }
    /// no RDNs
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    /// first value of that attribute type as text
    pub fn first_text(&self, _oid: &Oid) -> Option<String> {
        todo!()
    }
    /// RFC 5280 section 7.1 comparison (attribute by attribute: case folding, white space, string types), bounded work.
    pub fn matches(&self, _other: &Name) -> bool {
        todo!()
    }
}
// Display: RFC 4514, with every control, bidi and non-graphic character escaped (log- and terminal-safe).
