//! CsrAttrs (RFC 7030 section 4.5.2, RFC 8951 section 4): what a server wants in a request.

use rasn::types::Any;

use crate::der::{self, tag};
use crate::{Attribute, DecodeError, Oid};

/// One element of CsrAttrs.
///
/// ```asn1
/// AttrOrOID ::= CHOICE {
///   oid        OBJECT IDENTIFIER,
///   attribute  Attribute {{ AttrSet }} }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttrOrOid {
    /// oid
    Oid(Oid),
    /// attribute; its values may be empty (RFC 9908 section 3.2), in any order.
    Attribute(Attribute),
}

/// Decodes CsrAttrs, at most `limit` elements; the empty sequence says that there is no wish.
///
/// ```asn1
/// CsrAttrs ::= SEQUENCE SIZE (0..MAX) OF AttrOrOID
/// ```
///
/// # Errors
/// When the bytes are not the DER of CsrAttrs, or hold more than `limit` elements.
pub fn decode(der: &[u8], limit: usize) -> Result<Vec<AttrOrOid>, DecodeError> {
    der::check(der)?;
    if der == EMPTY {
        return Ok(Vec::new());
    }
    der::elements("CsrAttrs", der, limit)?.iter().map(decode_element).collect()
}

fn decode_element(element: &Any) -> Result<AttrOrOid, DecodeError> {
    match der::parts(element.as_bytes()) {
        Some((tag::OBJECT_IDENTIFIER, _)) => Oid::decode(element.as_bytes()).map(AttrOrOid::Oid),
        _ => Attribute::decode_checked(element.as_bytes()).map(AttrOrOid::Attribute),
    }
}

/// Encodes CsrAttrs in the given order; the values of each attribute are sorted as DER sorts a SET OF.
pub fn encode(attrs: &[AttrOrOid]) -> Vec<u8> {
    let element = |attr: &AttrOrOid| match attr {
        AttrOrOid::Oid(oid) => oid.encode(),
        AttrOrOid::Attribute(attribute) => attribute.encode(),
    };
    der::wrap(tag::SEQUENCE, &attrs.iter().flat_map(element).collect::<Vec<u8>>())
}

/// The value that asks for an RSA key of so many bits (RFC 9908 section 3.2).
pub fn encode_rsa_key_size(bits: u32) -> Vec<u8> {
    der::encode(&bits)
}

/// The DER of no elements.
const EMPTY: &[u8] = &[tag::SEQUENCE, 0];
