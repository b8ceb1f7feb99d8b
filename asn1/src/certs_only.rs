//! The certs-only CMC Simple PKI Response (RFC 5272 section 4.1, RFC 5652 section 5.1).
use crate::DecodeError;
/// ContentInfo(SignedData v1, no digest algorithms, id-data without eContent, certificates [0] DER-sorted, no signerInfos); certificates copied bit for bit.
pub fn encode<'a>(_certificates: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    todo!()
}
/// The certificates in a certs-only message, exact bytes, in wire order; at most `limit`.
pub fn decode(_der: &[u8], _limit: usize) -> Result<Vec<Vec<u8>>, DecodeError> {
    todo!()
}
