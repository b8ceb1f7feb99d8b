//! NameConstraints (RFC 5280 section 4.2.1.10): the names that the certificates below a CA may have.

use crate::der::{self, tag};
use crate::{DecodeError, GeneralName};

/// Most subtrees of each kind.
pub const MAX_SUBTREES: usize = 256;

/// NameConstraints.
///
/// ```asn1
/// NameConstraints ::= SEQUENCE {
///      permittedSubtrees       [0]     GeneralSubtrees OPTIONAL,
///      excludedSubtrees        [1]     GeneralSubtrees OPTIONAL
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameConstraints {
    /// The bases of permittedSubtrees.
    pub permitted: Vec<GeneralName>,
    /// The bases of excludedSubtrees.
    pub excluded: Vec<GeneralName>,
}

impl NameConstraints {
    /// Decodes the extension value.
    ///
    /// # Errors
    /// When the bytes are not the DER of NameConstraints, hold more than [`MAX_SUBTREES`] subtrees of a kind, or a minimum or
    /// maximum, which RFC 5280 does not have.
    pub fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let what = "NameConstraints";
        der::check(value)?;
        let mut constraints = Self::default();
        let mut last = 0;
        for subtrees in der::elements(what, value, 2)? {
            match der::parts(subtrees.as_bytes()) {
                Some((tag::CONTEXT_0, content)) if last == 0 => constraints.permitted = bases(content)?,
                Some((tag::CONTEXT_1, content)) if last < tag::CONTEXT_1 => constraints.excluded = bases(content)?,
                _ => return Err(DecodeError::Malformed { what }),
            }
            last = subtrees.as_bytes()[0];
        }
        Ok(constraints)
    }
}

/// ```asn1
/// GeneralSubtrees ::= SEQUENCE SIZE (1..MAX) OF GeneralSubtree
///
/// GeneralSubtree ::= SEQUENCE {
///      base                    GeneralName,
///      minimum         [0]     BaseDistance DEFAULT 0,
///      maximum         [1]     BaseDistance OPTIONAL
/// }
/// ```
fn bases(content: &[u8]) -> Result<Vec<GeneralName>, DecodeError> {
    let subtrees = der::elements("GeneralSubtrees", &der::wrap(tag::SEQUENCE, content), MAX_SUBTREES)?;
    let base = |subtree: &rasn::types::Any| {
        // RFC 5280 §4.2.1.10: minimum is 0, which DER leaves out, and maximum is absent.
        let fields = der::elements("GeneralSubtree", subtree.as_bytes(), 1)?;
        GeneralName::decode_checked(fields[0].as_bytes())
    };
    subtrees.iter().map(base).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtrees_are_read_in_their_order_and_without_distances() {
        let permitted = b"\x30\x11\xa0\x08\x30\x06\x82\x04a.bc\xa1\x05\x30\x03\x82\x01d";
        let read = NameConstraints::decode(permitted).unwrap();
        assert_eq!(read.permitted, [GeneralName::DnsName("a.bc".into())]);
        assert_eq!(read.excluded, [GeneralName::DnsName("d".into())]);
        for malformed in [
            &b"\x30\x00"[..],
            b"\x30\x02\xa0\x00",
            b"\x30\x0e\xa1\x05\x30\x03\x82\x01d\xa0\x05\x30\x03\x82\x01d",
            b"\x30\x0a\xa0\x08\x30\x06\x82\x01d\x81\x01\x01",
            b"\x30\x05\x30\x03\x82\x01d",
        ] {
            assert!(NameConstraints::decode(malformed).is_err(), "{}", malformed.escape_ascii());
        }
    }
}
