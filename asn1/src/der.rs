//! The one strict door from bytes: DER as X.690 sections 10 and 11 demand, before rasn sees anything.

use rasn::types::{Any, SequenceOf};
use rasn::{Decode, Encode};
use zeroize::Zeroizing;

/// Deepest nesting of constructed values let in.
pub const MAX_DEPTH: usize = 32;

/// Longest encoding let in, in octets.
pub const MAX_LENGTH: usize = 1 << 20;

/// Why bytes were not let in.
///
/// Offsets count octets from the start of the innermost value being decoded: the whole input, or the content of an
/// extension or attribute. No input bytes are echoed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ends, or its container ends, inside a value.
    #[error("the DER value at offset {offset} is cut short")]
    Truncated {
        /// Where the value starts.
        offset: usize,
    },
    /// Octets follow the value.
    #[error("one DER value of {expected} octets was expected, {actual} octets came")]
    TrailingData {
        /// Length of the first value.
        expected: usize,
        /// Length of the input.
        actual: usize,
    },
    /// The input is longer than [`MAX_LENGTH`].
    #[error("an encoding has at most {limit} octets, this one has {actual}")]
    TooLong {
        /// The limit.
        limit: usize,
        /// Length of the input.
        actual: usize,
    },
    /// Values are nested deeper than [`MAX_DEPTH`].
    #[error("values are nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// Identifier octets that DER or X.680 does not allow.
    #[error("the tag at offset {offset} is not a DER tag")]
    Tag {
        /// Where the tag stands.
        offset: usize,
    },
    /// A primitive type in constructed form, or the reverse.
    #[error("the value at offset {offset} is constructed where DER is primitive, or the reverse")]
    Form {
        /// Where the value starts.
        offset: usize,
    },
    /// BER's indefinite length.
    #[error("the value at offset {offset} has an indefinite length, DER lengths are definite")]
    IndefiniteLength {
        /// Where the value starts.
        offset: usize,
    },
    /// A length in more octets than needed.
    #[error("the length of the value at offset {offset} is not in its shortest form")]
    NonMinimalLength {
        /// Where the value starts.
        offset: usize,
    },
    /// An INTEGER or ENUMERATED that is empty or has a redundant leading octet.
    #[error("the INTEGER at offset {offset} is not in its shortest form")]
    Integer {
        /// Where the value starts.
        offset: usize,
    },
    /// A BOOLEAN other than 00 and FF.
    #[error("the BOOLEAN at offset {offset} is neither 00 nor FF")]
    Boolean {
        /// Where the value starts.
        offset: usize,
    },
    /// A BIT STRING with a wrong count of unused bits, or unused bits that are not zero.
    #[error("the BIT STRING at offset {offset} has wrong padding")]
    BitString {
        /// Where the value starts.
        offset: usize,
    },
    /// A NULL with content.
    #[error("the NULL at offset {offset} is not empty")]
    Null {
        /// Where the value starts.
        offset: usize,
    },
    /// An OBJECT IDENTIFIER that is empty, cut short or has a redundant leading octet in an arc.
    #[error("the OBJECT IDENTIFIER at offset {offset} is not in its shortest form")]
    ObjectIdentifier {
        /// Where the value starts.
        offset: usize,
    },
    /// A UTF8String that is not UTF-8.
    #[error("the UTF8String at offset {offset} is not UTF-8")]
    Utf8 {
        /// Where the value starts.
        offset: usize,
    },
    /// DER, but not what the named production says.
    #[error("a {what} was expected, the value has another form")]
    Malformed {
        /// The production.
        what: &'static str,
    },
    /// The named production was understood, but is not encoded as DER encodes it: a DEFAULT value is present, a SET OF is
    /// not sorted, or a value under an implicit tag is not in its shortest form.
    #[error("the {what} is not encoded as DER demands")]
    NotCanonical {
        /// The production.
        what: &'static str,
    },
    /// A version that does not fit the production.
    #[error("the version of the {what} is not one that can be read")]
    Version {
        /// The production.
        what: &'static str,
    },
    /// Characters that the string type does not have, or a length it does not allow.
    #[error("the {what} has characters or a length that its type does not allow")]
    Text {
        /// The attribute or name.
        what: &'static str,
    },
    /// More of something than is let in.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What there is too much of, in the plural.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Something that may stand once stands twice.
    #[error("more than one {what}")]
    Duplicate {
        /// What stands twice.
        what: &'static str,
    },
    /// A critical extension that nothing here understands.
    #[error("the extension {oid} is critical and not known")]
    UnknownCritical {
        /// Which.
        oid: crate::Oid,
    },
    /// RFC 5280 section 4.1.1.2: the two algorithm identifiers of a certificate must be the same.
    #[error("the signature algorithm inside the certificate differs from the one outside")]
    AlgorithmMismatch,
}

/// Walks one value without recursion and in one pass, and lets it in when it is DER.
///
/// Enforced: definite, minimal lengths; known tags in their DER form; minimal INTEGER, ENUMERATED and OBJECT IDENTIFIER;
/// BOOLEAN 00 or FF; BIT STRING padding zero; NULL empty; UTF8String in UTF-8; at most [`MAX_DEPTH`] levels and
/// [`MAX_LENGTH`] octets; nothing after the value. What only a production can tell (SET OF order, DEFAULT values, content
/// under implicit tags) is judged where that production is decoded.
///
/// # Errors
/// The first violation met.
pub fn check(bytes: &[u8]) -> Result<(), DecodeError> {
    if bytes.len() > MAX_LENGTH {
        return Err(DecodeError::TooLong { limit: MAX_LENGTH, actual: bytes.len() });
    }
    let outermost = Header::read(bytes, 0, bytes.len())?;
    if outermost.end != bytes.len() {
        return Err(DecodeError::TrailingData { expected: outermost.end, actual: bytes.len() });
    }
    // Ends of the constructed values that are open, outermost first.
    let mut ends = [0; MAX_DEPTH];
    let mut depth = 0;
    let mut offset = 0;
    loop {
        let end = if depth == 0 { bytes.len() } else { ends[depth - 1] };
        if offset == end {
            if depth == 0 {
                return Ok(());
            }
            depth -= 1;
            continue;
        }
        let header = Header::read(bytes, offset, end)?;
        check_form(header, offset)?;
        if header.is_constructed() {
            *ends.get_mut(depth).ok_or(DecodeError::TooDeep { limit: MAX_DEPTH })? = header.end;
            depth += 1;
            offset = header.start;
        } else {
            check_content(header, offset, &bytes[header.start..header.end])?;
            offset = header.end;
        }
    }
}

/// Identifier octets of the types whose content this crate looks into by hand.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(crate) const ENUMERATED: u8 = 0x0a;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const NUMERIC_STRING: u8 = 0x12;
    pub(crate) const PRINTABLE_STRING: u8 = 0x13;
    pub(crate) const TELETEX_STRING: u8 = 0x14;
    pub(crate) const IA5_STRING: u8 = 0x16;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const VISIBLE_STRING: u8 = 0x1a;
    pub(crate) const UNIVERSAL_STRING: u8 = 0x1c;
    pub(crate) const BMP_STRING: u8 = 0x1e;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;
    pub(crate) const CONTEXT_0: u8 = 0xa0;
    pub(crate) const CONTEXT_1: u8 = 0xa1;
    pub(crate) const CONTEXT_2: u8 = 0xa2;
}

/// Strictly decodes a whole input.
pub(crate) fn decode<T: Decode + Encode>(what: &'static str, der: &[u8]) -> Result<T, DecodeError> {
    check(der)?;
    decode_checked(what, der)
}

/// Strictly decodes a value that the door has let in, or a part of one.
pub(crate) fn decode_checked<T: Decode + Encode>(what: &'static str, der: &[u8]) -> Result<T, DecodeError> {
    let value: T = decode_unordered(what, der)?;
    // DER is canonical: what is not re-encoded to the same octets was not DER. rasn decodes leniently, so this catches
    // present DEFAULT values, unsorted SET OF and whatever implicit tags hid from the door.
    if encode(&value) == der { Ok(value) } else { Err(DecodeError::NotCanonical { what }) }
}

/// Decodes a value that the door has let in, and tolerates a SET OF in any order.
pub(crate) fn decode_unordered<T: Decode>(what: &'static str, der: &[u8]) -> Result<T, DecodeError> {
    rasn::der::decode(der).map_err(|_| DecodeError::Malformed { what })
}

/// Splits a SEQUENCE SIZE (1..MAX) OF that the door has let in, into at most `limit` elements.
pub(crate) fn elements(what: &'static str, der: &[u8], limit: usize) -> Result<SequenceOf<Any>, DecodeError> {
    let elements: SequenceOf<Any> = decode_unordered(what, der)?;
    if elements.is_empty() {
        return Err(DecodeError::Malformed { what });
    }
    if elements.len() > limit {
        return Err(DecodeError::TooMany { what, limit });
    }
    Ok(elements)
}

/// Encodes in DER.
pub(crate) fn encode<T: Encode>(value: &T) -> Vec<u8> {
    // Unwrap safety: rasn's DER encoder fails on violated constraints only, and no type of this crate carries one.
    #[expect(clippy::expect_used, reason = "encoding types without constraints cannot fail")]
    rasn::der::encode(value).expect("types without constraints encode")
}

/// Encodes one TLV with a one-octet tag.
pub(crate) fn wrap(identifier: u8, content: &[u8]) -> Vec<u8> {
    wrap_parts(identifier, &[content])
}

/// Encodes one TLV whose content is secret; it is wiped when dropped.
pub(crate) fn wrap_secret(identifier: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(wrap_parts(identifier, parts))
}

/// Encodes one TLV with a one-octet tag, whose content comes in parts: long ones are copied once, into a buffer that does
/// not grow and so leaves no copies behind.
pub(crate) fn wrap_parts(identifier: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.iter().map(|part| part.len()).sum();
    let mut tlv = header(identifier, content);
    tlv.reserve_exact(content);
    parts.iter().for_each(|part| tlv.extend_from_slice(part));
    tlv
}

/// The identifier and length octets of a TLV with a one-octet tag.
pub(crate) fn header(identifier: u8, content: usize) -> Vec<u8> {
    let length = content.to_be_bytes();
    let significant = &length[length.iter().take_while(|&&octet| octet == 0).count()..];
    let mut header = Vec::with_capacity(significant.len() + 2);
    header.push(identifier);
    match significant {
        [] => header.push(0),
        [short] if *short < 0x80 => header.push(*short),
        // A usize has at most eight octets, so the count fits the low seven bits.
        long => {
            header.push(0x80 | long.len() as u8);
            header.extend_from_slice(long);
        }
    }
    header
}

/// Identifier octet and content of one TLV with a one-octet tag.
pub(crate) fn parts(tlv: &[u8]) -> Option<(u8, &[u8])> {
    let header = Header::read(tlv, 0, tlv.len()).ok()?;
    let one_octet_tag = header.identifier & NUMBER_BITS != NUMBER_BITS;
    (one_octet_tag && header.end == tlv.len()).then(|| (header.identifier, &tlv[header.start..]))
}

/// The first TLV and what follows it.
pub(crate) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    Header::read(bytes, 0, bytes.len()).ok().map(|header| bytes.split_at(header.end))
}

/// The content octets of an OBJECT IDENTIFIER are minimal; for use where an implicit tag hides the type from the door.
pub(crate) fn is_minimal_oid(content: &[u8]) -> bool {
    let starts_arc = |index: usize| index == 0 || content[index - 1] & 0x80 == 0;
    // X.690 §8.19.2: the leading octet of an arc is never 0x80; the last octet of an arc has bit 8 clear.
    content.last().is_some_and(|last| last & 0x80 == 0)
        && content.iter().enumerate().all(|(index, &octet)| octet != 0x80 || !starts_arc(index))
}

const CLASS_BITS: u8 = 0xc0;
const CONSTRUCTED_BIT: u8 = 0x20;
const NUMBER_BITS: u8 = 0x1f;

/// Octets of a tag number in the high form let in: numbers below 2^28.
const MAX_TAG_OCTETS: usize = 4;

#[derive(Clone, Copy)]
struct Header {
    identifier: u8,
    start: usize,
    end: usize,
}

impl Header {
    /// Reads the identifier and length octets of the value at `offset`, which must end by `limit`.
    fn read(bytes: &[u8], offset: usize, limit: usize) -> Result<Self, DecodeError> {
        let truncated = DecodeError::Truncated { offset };
        let mut cursor = bytes[..limit].iter().copied().enumerate().skip(offset);
        let mut next = || cursor.next().ok_or(truncated.clone());

        let (_, identifier) = next()?;
        if identifier & NUMBER_BITS == NUMBER_BITS {
            Self::skip_high_tag(offset, &mut next)?;
        }
        let (mut at, first) = next()?;
        let length = match first {
            0..0x80 => usize::from(first),
            // X.690 §10.1: the definite form, in the minimum number of octets.
            0x80 => return Err(DecodeError::IndefiniteLength { offset }),
            _ => {
                let mut length = 0usize;
                for index in 0..usize::from(first & 0x7f) {
                    let (position, octet) = next()?;
                    if index == 0 && octet == 0 {
                        return Err(DecodeError::NonMinimalLength { offset });
                    }
                    at = position;
                    length = length.checked_mul(256).ok_or(truncated.clone())?.saturating_add(usize::from(octet));
                }
                if length < 0x80 {
                    return Err(DecodeError::NonMinimalLength { offset });
                }
                length
            }
        };
        let start = at + 1;
        match start.checked_add(length) {
            Some(end) if end <= limit => Ok(Self { identifier, start, end }),
            _ => Err(truncated),
        }
    }

    fn skip_high_tag(
        offset: usize,
        next: &mut impl FnMut() -> Result<(usize, u8), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut number = 0u32;
        for _ in 0..MAX_TAG_OCTETS {
            let (_, octet) = next()?;
            number = number << 7 | u32::from(octet & 0x7f);
            if number == 0 {
                break;
            }
            if octet & 0x80 == 0 {
                // X.690 §8.1.2.4: the high form is for numbers from 31 on.
                return if number >= u32::from(NUMBER_BITS) { Ok(()) } else { Err(DecodeError::Tag { offset }) };
            }
        }
        Err(DecodeError::Tag { offset })
    }

    fn is_constructed(self) -> bool {
        self.identifier & CONSTRUCTED_BIT != 0
    }

    /// The tag number, when the class is universal.
    fn universal(self) -> Option<u8> {
        (self.identifier & CLASS_BITS == 0).then_some(self.identifier & NUMBER_BITS)
    }
}

/// X.690 §10.2: strings are primitive; SEQUENCE, SET and their kin are constructed by nature.
fn check_form(header: Header, offset: usize) -> Result<(), DecodeError> {
    match header.universal() {
        None => Ok(()),
        // 0 is BER's end of contents, 15 is reserved, 31 starts the high form, which no universal type needs here.
        Some(0 | 15 | 31) => Err(DecodeError::Tag { offset }),
        // EXTERNAL, EMBEDDED PDV, SEQUENCE, SET and CHARACTER STRING are constructed, all other types primitive.
        Some(number) if matches!(number, 8 | 11 | 16 | 17 | 29) != header.is_constructed() => {
            Err(DecodeError::Form { offset })
        }
        Some(_) => Ok(()),
    }
}

/// Judges the content of a primitive value of a universal type.
fn check_content(header: Header, offset: usize, content: &[u8]) -> Result<(), DecodeError> {
    match header.universal() {
        Some(1) if !matches!(content, [0x00 | 0xff]) => Err(DecodeError::Boolean { offset }),
        Some(2 | 10) if !is_minimal_integer(content) => Err(DecodeError::Integer { offset }),
        Some(3) if !is_padded_bit_string(content) => Err(DecodeError::BitString { offset }),
        Some(5) if !content.is_empty() => Err(DecodeError::Null { offset }),
        Some(6 | 13) if !is_minimal_oid(content) => Err(DecodeError::ObjectIdentifier { offset }),
        Some(12) if std::str::from_utf8(content).is_err() => Err(DecodeError::Utf8 { offset }),
        Some(_) | None => Ok(()),
    }
}

/// X.690 §8.3.2: the first nine bits are neither all zero nor all one.
fn is_minimal_integer(content: &[u8]) -> bool {
    match content {
        [] => false,
        [_] => true,
        [first, second, ..] => !matches!((first, second & 0x80), (0x00, 0) | (0xff, 0x80)),
    }
}

/// X.690 §8.6.2, §11.2.1: at most seven unused bits, all zero; none when there are no octets.
fn is_padded_bit_string(content: &[u8]) -> bool {
    match content {
        [] => false,
        [unused] => *unused == 0,
        [unused, .., last] => *unused < 8 && last & ((1 << unused) - 1) == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_is_let_in() {
        for bytes in [
            &[0x30, 0x00][..],
            &[0x02, 0x01, 0x00],
            &[0x02, 0x02, 0x00, 0x80],
            &[0x01, 0x01, 0xff],
            &[0x03, 0x01, 0x00],
            &[0x03, 0x02, 0x07, 0x80],
            &[0xbf, 0x1f, 0x02, 0x05, 0x00],
            &[0x31, 0x06, 0x02, 0x01, 0x02, 0x02, 0x01, 0x01],
        ] {
            assert_eq!(check(bytes), Ok(()), "{bytes:02x?}");
        }
    }

    #[test]
    fn ber_is_refused_with_its_reason() {
        use DecodeError as E;
        for (bytes, error) in [
            (&[][..], E::Truncated { offset: 0 }),
            (&[0x30], E::Truncated { offset: 0 }),
            (&[0x30, 0x02, 0x05], E::Truncated { offset: 0 }),
            (&[0x30, 0x03, 0x02, 0x02, 0x01], E::Truncated { offset: 2 }),
            (&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], E::Truncated { offset: 0 }),
            (&[0x05, 0x00, 0x00], E::TrailingData { expected: 2, actual: 3 }),
            (&[0x30, 0x80, 0x00, 0x00], E::IndefiniteLength { offset: 0 }),
            (&[0x04, 0x81, 0x01, 0x00], E::NonMinimalLength { offset: 0 }),
            (&[0x04, 0x82, 0x00, 0x80], E::NonMinimalLength { offset: 0 }),
            (&[0x30, 0x02, 0x00, 0x00], E::Tag { offset: 2 }),
            (&[0x9f, 0x1e, 0x00], E::Tag { offset: 0 }),
            (&[0x9f, 0x80, 0x1f, 0x00], E::Tag { offset: 0 }),
            (&[0x24, 0x02, 0x04, 0x00], E::Form { offset: 0 }),
            (&[0x10, 0x00], E::Form { offset: 0 }),
            (&[0x01, 0x01, 0x01], E::Boolean { offset: 0 }),
            (&[0x02, 0x00], E::Integer { offset: 0 }),
            (&[0x02, 0x02, 0x00, 0x7f], E::Integer { offset: 0 }),
            (&[0x02, 0x02, 0xff, 0x80], E::Integer { offset: 0 }),
            (&[0x0a, 0x02, 0x00, 0x01], E::Integer { offset: 0 }),
            (&[0x03, 0x00], E::BitString { offset: 0 }),
            (&[0x03, 0x01, 0x01], E::BitString { offset: 0 }),
            (&[0x03, 0x02, 0x08, 0x00], E::BitString { offset: 0 }),
            (&[0x03, 0x02, 0x07, 0x81], E::BitString { offset: 0 }),
            (&[0x05, 0x01, 0x00], E::Null { offset: 0 }),
            (&[0x06, 0x00], E::ObjectIdentifier { offset: 0 }),
            (&[0x06, 0x02, 0x55, 0x84], E::ObjectIdentifier { offset: 0 }),
            (&[0x06, 0x03, 0x55, 0x80, 0x01], E::ObjectIdentifier { offset: 0 }),
            (&[0x0c, 0x01, 0xff], E::Utf8 { offset: 0 }),
        ] {
            assert_eq!(check(bytes), Err(error), "{bytes:02x?}");
        }
    }

    #[test]
    fn depth_and_length_have_limits() {
        let nested = |levels: usize| (1..levels).fold(wrap(tag::SEQUENCE, &[]), |inner, _| wrap(tag::SEQUENCE, &inner));
        assert_eq!(check(&nested(MAX_DEPTH)), Ok(()));
        assert_eq!(check(&nested(MAX_DEPTH + 1)), Err(DecodeError::TooDeep { limit: MAX_DEPTH }));

        let content = vec![0; MAX_LENGTH - 4];
        assert_eq!(check(&wrap(0x04, &content[1..])), Ok(()));
        assert!(matches!(check(&wrap(0x04, &[0; MAX_LENGTH])), Err(DecodeError::TooLong { .. })));
    }

    #[test]
    fn wrap_writes_minimal_lengths() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x1_0000] {
            assert_eq!(check(&wrap(0x04, &vec![0; length])), Ok(()), "{length}");
        }
    }
}
