//! CsrAttrs (RFC 7030 section 4.5.2, RFC 8951 section 4, RFC 9908): decoding for clients' benefit and fuzzing.
use crate::{Attribute, DecodeError, Oid};
/// AttrOrOID
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttrOrOid {
    /** oid */
    Oid(Oid),
    /** attribute */
    Attribute(Attribute),
}
/// strict decode of CsrAttrs
pub fn decode(_der: &[u8], _limit: usize) -> Result<Vec<AttrOrOid>, DecodeError> {
    todo!()
}
/// encode
pub fn encode(_attrs: &[AttrOrOid]) -> Vec<u8> {
    todo!()
}
