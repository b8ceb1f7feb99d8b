//! The certs-only CMC Simple PKI Response (RFC 5272 section 4.1, RFC 5652 section 5.1).

use rasn::prelude::*;
use rasn_cms::{ContentInfo, EncapsulatedContentInfo};

use crate::der::{self, tag};
use crate::{DecodeError, oid};

/// Encodes a certs-only message. The certificates are copied bit for bit and sorted as DER sorts a SET OF; there is no
/// content, no digest algorithm and no signer.
///
/// ```asn1
/// SignedData ::= SEQUENCE {
///   version CMSVersion,
///   digestAlgorithms SET OF DigestAlgorithmIdentifier,
///   encapContentInfo EncapsulatedContentInfo,
///   certificates [0] IMPLICIT CertificateSet OPTIONAL,
///   crls [1] IMPLICIT RevocationInfoChoices OPTIONAL,
///   signerInfos SignerInfos }
/// ```
pub fn encode<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let certificates: Vec<Any> = certificates.into_iter().map(|der| Any::new(der.to_vec())).collect();
    let signed_data = SignedDataWire {
        version: VERSION,
        digest_algorithms: SetOf::new(),
        // RFC 5272 §4.1: neither content nor signers, so the type is id-data.
        encap_content_info: EncapsulatedContentInfo { content_type: oid::DATA.to_wire(), content: None },
        certificates: Some(certificates.into()),
        crls: None,
        signer_infos: SetOf::new(),
    };
    let content = Any::new(der::encode(&signed_data));
    der::encode(&ContentInfo { content_type: oid::SIGNED_DATA.to_wire(), content })
}

/// The certificates in a certs-only message, exact bytes, in wire order; at most `limit`.
///
/// A SET OF certificates in any order is let in: the example of RFC 7030 appendix A.1 is not sorted.
///
/// ```asn1
/// ContentInfo ::= SEQUENCE {
///   contentType        CONTENT-TYPE.
///                   &id({ContentSet}),
///   content            [0] EXPLICIT CONTENT-TYPE.
///                   &Type({ContentSet}{@contentType})}
/// ```
///
/// # Errors
/// When the bytes are not the DER of a certs-only message, or hold more than `limit` certificates.
pub fn decode(der: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, DecodeError> {
    let what = "certs-only message";
    let malformed = DecodeError::Malformed { what };
    let info: ContentInfo = der::decode("ContentInfo", der)?;
    if info.content_type != oid::SIGNED_DATA.to_wire() {
        return Err(malformed);
    }
    let signed_data: SignedDataWire = der::decode_unordered("SignedData", info.content.as_bytes())?;
    let encapsulated = &signed_data.encap_content_info;
    let certs_only = signed_data.digest_algorithms.is_empty()
        && signed_data.signer_infos.is_empty()
        && encapsulated.content_type == oid::DATA.to_wire()
        && encapsulated.content.is_none();
    if signed_data.version != VERSION {
        return Err(DecodeError::Version { what: "SignedData" });
    }
    let Some(certificates) = signed_data.certificates.filter(|_| certs_only) else {
        return Err(malformed);
    };
    if certificates.len() > limit {
        return Err(DecodeError::TooMany { what: "certificates", limit });
    }
    // The other alternatives of CertificateChoices, all tagged, are obsolete or not X.509.
    let certificate = |any: Any| match der::parts(any.as_bytes()) {
        Some((tag::SEQUENCE, _)) => Ok(any.into_bytes()),
        _ => Err(malformed.clone()),
    };
    certificates.into_vec().into_iter().map(certificate).collect()
}

/// RFC 5652 section 5.1: 1 when there are only X.509 certificates and the content is id-data.
const VERSION: u64 = 1;

/// SignedData of which the certificates keep their bytes; rasn-cms would decode and re-encode them.
#[derive(AsnType, Decode, Encode)]
struct SignedDataWire {
    version: u64,
    digest_algorithms: SetOf<Any>,
    encap_content_info: EncapsulatedContentInfo,
    #[rasn(tag(0))]
    certificates: Option<SetOf<Any>>,
    #[rasn(tag(1))]
    crls: Option<SetOf<Any>>,
    signer_infos: SetOf<Any>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CMS-01, CMS-03: the exact octets around one certificate.
    #[test]
    fn the_frame_is_exact() {
        let certificate = [0x30, 0x03, 0x02, 0x01, 0x07];
        let message = encode([certificate.as_slice()]);
        let (signed_data, data) = (oid::SIGNED_DATA.encode(), oid::DATA.encode());
        let expected = [
            &[0x30, 0x2a][..],
            &signed_data,
            &[0xa0, 0x1d, 0x30, 0x1b, 0x02, 0x01, 0x01, 0x31, 0x00, 0x30, 0x0b],
            &data,
            &[0xa0, 0x05],
            &certificate,
            &[0x31, 0x00],
        ]
        .concat();
        assert_eq!(message, expected);
        assert_eq!(decode(&message, 1), Ok(vec![certificate.to_vec()]));
    }

    #[test]
    fn what_is_not_certs_only_is_refused() {
        let malformed = Err(DecodeError::Malformed { what: "certs-only message" });
        let good = encode([[0x30, 0x00].as_slice()]);
        let position = good.windows(2).position(|window| window == [0xa0, 0x02]).unwrap();
        let replaced = |offset: usize, octet: u8| {
            let mut message = good.clone();
            message[offset] = octet;
            message
        };
        // data instead of signedData; an OCTET STRING, then [1], instead of a certificate; certificates tagged as crls.
        assert_eq!(decode(&replaced(12, 1), 1), malformed);
        assert_eq!(decode(&replaced(position + 2, 0x04), 1), malformed);
        assert_eq!(decode(&replaced(position + 2, 0xa1), 1), malformed);
        assert_eq!(decode(&replaced(position, 0xa1), 1), malformed);
        assert_eq!(decode(&replaced(position, 0xa4), 1), Err(DecodeError::Malformed { what: "SignedData" }));
        let version = good.windows(3).position(|window| window == [0x02, 0x01, 0x01]).unwrap();
        assert_eq!(decode(&replaced(version + 2, 3), 1), Err(DecodeError::Version { what: "SignedData" }));
    }
}
