//! The one strict door from bytes: DER as X.690 section 10 and 11 demand, before rasn sees anything.

/// Why bytes were not let in. Display says what was expected and at which offset; no input bytes are echoed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {/* structured variants: Truncated{offset}, TrailingData{expected,actual}, IndefiniteLength{offset}, NonMinimalLength{offset}, NonMinimalInteger.., BadBoolean.., BitStringPadding.., BadOid.., TooDeep{limit}, TooLong{limit,actual}, TooMany{what,limit}, Malformed{what: &'static str}, Duplicate{what} ... */}

/// Deepest nesting of constructed values let in.
pub const MAX_DEPTH: usize = 32;

/// Walks one TLV without recursion: definite minimal lengths, minimal INTEGER/ENUMERATED, BOOLEAN 00/FF, BIT STRING unused bits zero,
/// minimal OID arcs, depth limit, no trailing bytes. SET OF order is not judged here (unsorted CSR attributes are common
/// and their signature is over the received bytes).
pub fn check(_bytes: &[u8]) -> Result<(), DecodeError> {
    todo!()
}
