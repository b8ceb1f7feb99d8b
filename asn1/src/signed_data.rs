//! SignedData with content and one signer (RFC 5652 section 5).

use rasn::prelude::*;
use zeroize::Zeroizing;

use crate::der::{self, tag};
use crate::{AlgorithmIdentifier, Certificate, Oid, oid};

/// What is signed over, and what it says of the content: the SET that stands as signedAttrs, with its own tag, which is
/// what the signature is made over.
///
/// ```asn1
/// SignedAttributes ::= Attributes {{ SignedAttributesSet }}
///
/// Attribute{ ATTRIBUTE:AttrList } ::= SEQUENCE {
///     attrType           ATTRIBUTE.
///             &id({AttrList}),
///     attrValues         SET OF ATTRIBUTE.
///             &Type({AttrList}{@attrType})  }
///
/// MessageDigest ::= OCTET STRING
/// ```
pub struct SignedAttributes {
    der: Vec<u8>,
    content_type: Oid,
}

impl SignedAttributes {
    /// RFC 5652 section 5.3: content-type and message-digest are there when the content is not id-data.
    pub fn new(content_type: Oid, message_digest: &[u8]) -> Self {
        let attribute = |attribute: Oid, value: Vec<u8>| {
            Any::new(der::encode(&AttributeWire {
                attr_type: attribute.to_wire(),
                attr_values: vec![Any::new(value)].into(),
            }))
        };
        let attributes: SetOf<Any> = vec![
            attribute(oid::CONTENT_TYPE, content_type.encode()),
            attribute(oid::MESSAGE_DIGEST, der::wrap(tag::OCTET_STRING, message_digest)),
        ]
        .into();
        Self { der: der::encode(&attributes), content_type }
    }

    /// The octets to sign.
    ///
    /// RFC 5652 section 5.4: "A separate encoding of the signedAttrs field is performed for message digest calculation.
    /// The IMPLICIT `[0]` tag in the signedAttrs is not used for the DER encoding, rather an EXPLICIT SET OF tag is used."
    pub fn to_be_signed(&self) -> &[u8] {
        &self.der
    }
}

/// Who signed, and how.
pub struct SignerInfo<'a> {
    /// The signer's certificate.
    pub certificate: &'a Certificate,
    /// What the message digest was made with.
    pub digest_algorithm: &'a AlgorithmIdentifier,
    /// What was signed.
    pub attributes: &'a SignedAttributes,
    /// What the signature was made with.
    pub signature_algorithm: &'a AlgorithmIdentifier,
    /// The signature over [`SignedAttributes::to_be_signed`].
    pub signature: &'a [u8],
}

/// Encodes SignedData around a content that is secret; all buffers that hold it are wiped. `certificates` lead from the
/// signer's to a root.
///
/// It stands alone, without a ContentInfo around it: nested in another content, its type is told there (RFC 5652 section
/// 6.1).
///
/// ```asn1
/// SignedData ::= SEQUENCE {
///     version CMSVersion,
///     digestAlgorithms SET OF DigestAlgorithmIdentifier,
///     encapContentInfo EncapsulatedContentInfo,
///     certificates [0] IMPLICIT CertificateSet OPTIONAL,
///     crls [1] IMPLICIT RevocationInfoChoices OPTIONAL,
///     signerInfos SignerInfos }
///
/// EncapsulatedContentInfo ::= SEQUENCE {
///     eContentType       CONTENT-TYPE.&id({ContentSet}),
///     eContent           [0] EXPLICIT OCTET STRING
///             ( CONTAINING CONTENT-TYPE.
///                 &Type({ContentSet}{@eContentType})) OPTIONAL }
/// ```
pub fn encode(content: &[u8], certificates: &[&Certificate], signer: &SignerInfo<'_>) -> Zeroizing<Vec<u8>> {
    let octets = der::wrap_secret(tag::OCTET_STRING, &[content]);
    let content = der::wrap_secret(EXPLICIT_0, &[&octets]);
    let content = der::wrap_secret(tag::SEQUENCE, &[&signer.attributes.content_type.encode(), &content]);
    let mut certificates: Vec<&[u8]> = certificates.iter().map(|certificate| certificate.der()).collect();
    certificates.sort_unstable();
    der::wrap_secret(
        tag::SEQUENCE,
        &[
            &der::encode(&VERSION),
            &der::wrap(tag::SET, signer.digest_algorithm.der()),
            &content,
            &der::wrap(EXPLICIT_0, &certificates.concat()),
            &der::wrap(tag::SET, &signer.encode()),
        ],
    )
}

/// SignedData as a message of its own.
///
/// ```asn1
/// ContentInfo ::= SEQUENCE {
///   contentType        CONTENT-TYPE.
///                   &id({ContentSet}),
///   content            [0] EXPLICIT CONTENT-TYPE.
///                   &Type({ContentSet}{@contentType})}
/// ```
pub fn content_info(signed_data: &[u8]) -> Vec<u8> {
    der::wrap(tag::SEQUENCE, &[oid::SIGNED_DATA.encode(), der::wrap(EXPLICIT_0, signed_data)].concat())
}

impl SignerInfo<'_> {
    fn encode(&self) -> Vec<u8> {
        // The SET that was signed, under the tag it stands with.
        let signed_attrs = der::parts(&self.attributes.der).map_or(&[][..], |(_, content)| content);
        der::encode(&SignerInfoWire {
            version: SIGNER_VERSION,
            sid: IssuerAndSerialNumberWire {
                issuer: Any::new(self.certificate.issuer().der().to_vec()),
                serial_number: Any::new(der::wrap(tag::INTEGER, self.certificate.serial())),
            },
            digest_algorithm: Any::new(self.digest_algorithm.der().to_vec()),
            signed_attrs: Any::new(der::wrap(EXPLICIT_0, signed_attrs)),
            signature_algorithm: Any::new(self.signature_algorithm.der().to_vec()),
            signature: OctetString::from(self.signature.to_vec()),
        })
    }
}

/// Identifier octet of a constructed `[0]`.
const EXPLICIT_0: u8 = 0xa0;

/// RFC 5652 section 5.1: 3 when the content is not id-data.
const VERSION: u64 = 3;

/// RFC 5652 section 5.3: 1 when the signer is named by issuer and serial number.
const SIGNER_VERSION: u64 = 1;

#[derive(AsnType, Encode)]
struct AttributeWire {
    attr_type: ObjectIdentifier,
    attr_values: SetOf<Any>,
}

/// signedAttrs is `[0] IMPLICIT`, and is written with that tag already.
///
/// ```asn1
/// SignerInfo ::= SEQUENCE {
///     version CMSVersion,
///     sid SignerIdentifier,
///     digestAlgorithm DigestAlgorithmIdentifier,
///     signedAttrs [0] IMPLICIT SignedAttributes OPTIONAL,
///     signatureAlgorithm SignatureAlgorithmIdentifier,
///     signature SignatureValue,
///     unsignedAttrs [1] IMPLICIT Attributes
///         {{UnsignedAttributes}} OPTIONAL }
/// ```
#[derive(AsnType, Encode)]
struct SignerInfoWire {
    version: u64,
    sid: IssuerAndSerialNumberWire,
    digest_algorithm: Any,
    signed_attrs: Any,
    signature_algorithm: Any,
    signature: OctetString,
}

/// ```asn1
/// IssuerAndSerialNumber ::= SEQUENCE {
///     issuer Name,
///     serialNumber CertificateSerialNumber }
/// ```
#[derive(AsnType, Encode)]
struct IssuerAndSerialNumberWire {
    issuer: Any,
    serial_number: Any,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs_only;

    #[test]
    fn another_implementation_reads_what_is_written() {
        let message = include_bytes!("../tests/vectors/rfc7030-A3-simpleenroll-resp.der");
        let certificate = Certificate::decode(&certs_only::decode(message, 1).unwrap()[0]).unwrap();
        let (digest, signing) =
            (AlgorithmIdentifier::new(oid::SHA256, None), AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA256, None));
        let attributes = SignedAttributes::new(oid::ASYMMETRIC_KEY_PACKAGE, &[0xd1; 32]);
        let signer = SignerInfo {
            certificate: &certificate,
            digest_algorithm: &digest,
            attributes: &attributes,
            signature_algorithm: &signing,
            signature: &[0x51; 70],
        };
        let encoded = encode(b"the content", &[&certificate], &signer);
        der::check(&encoded).unwrap();
        let read: rasn_cms::SignedData = rasn::der::decode(&encoded).unwrap();
        assert_eq!((read.version, read.digest_algorithms.len()), (VERSION.into(), 1));
        assert_eq!(read.encap_content_info.content_type, oid::ASYMMETRIC_KEY_PACKAGE.to_wire());
        assert_eq!(read.encap_content_info.content.unwrap().as_ref(), b"the content");
        assert_eq!(read.certificates.unwrap().len(), 1);
        let signers = read.signer_infos.to_vec();
        let [one] = signers.as_slice() else { panic!("{} signers", signers.len()) };
        assert_eq!((one.version.clone(), one.signature.as_ref()), (SIGNER_VERSION.into(), [0x51; 70].as_slice()));
        let mut signed = attributes.to_be_signed().to_vec();
        assert_eq!(signed[0], tag::SET);
        signed[0] = EXPLICIT_0;
        assert!(encoded.windows(signed.len()).any(|window| window == signed), "the SET that was signed stands there");
    }
}
