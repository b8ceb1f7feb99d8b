//! GeneralName and GeneralNames (RFC 5280 section 4.2.1.6).
use crate::{DecodeError, Name, Oid};
/// GeneralName; unlike rasn-pkix, otherName keeps its value as a whole TLV so HardwareModuleName and UPN decode.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GeneralName {
    /** otherName */
    OtherName {
        /** type-id */
        type_id: Oid,
        /** inner value TLV (inside the [0] EXPLICIT) */
        value: Vec<u8>,
    },
    /** rfc822Name */
    Rfc822Name(String),
    /** dNSName */
    DnsName(String),
    /** x400Address, raw TLV */
    X400Address(Vec<u8>),
    /** directoryName */
    DirectoryName(Name),
    /** ediPartyName, raw TLV */
    EdiPartyName(Vec<u8>),
    /** URI */
    Uri(String),
    /** 4 or 16 octets (8 or 32 in name constraints) */
    IpAddress(Vec<u8>),
    /** registeredID */
    RegisteredId(Oid),
}
/// strict decode of GeneralNames (SEQUENCE SIZE 1..MAX), at most `limit` entries
pub fn decode_general_names(_der: &[u8], _limit: usize) -> Result<Vec<GeneralName>, DecodeError> {
    todo!()
}
/// encode GeneralNames
pub fn encode_general_names(_names: &[GeneralName]) -> Vec<u8> {
    todo!()
}
/// HardwareModuleName ::= SEQUENCE { hwType OBJECT IDENTIFIER, hwSerialNum OCTET STRING } (RFC 4108 section 5)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardwareModuleName {
    /// hwType
    pub hw_type: Oid,
    /// hwSerialNum
    pub hw_serial_num: Vec<u8>,
}
impl HardwareModuleName {
    /// strict decode of the otherName value
    pub fn decode(_der: &[u8]) -> Result<Self, DecodeError> {
        todo!()
    }
    /// encode
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }
}
