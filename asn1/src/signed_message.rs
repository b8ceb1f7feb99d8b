//! SignedData as it is received: a content and who signed it (RFC 5652 section 5). No signature has been verified.

use chrono::{DateTime, Utc};
use rasn::prelude::*;
use rasn_cms::ContentInfo;

use crate::der::{self, tag};
use crate::pkcs10::Attribute;
use crate::time::decode_time;
use crate::{AlgorithmIdentifier, DecodeError, Name, Oid, oid};

/// Most attributes that are signed.
pub const MAX_SIGNER_ATTRIBUTES: usize = 16;

/// Most signers. A message of EST has one.
pub const MAX_SIGNERS: usize = 4;

/// Bounds on a received SignedData.
#[derive(Debug, Clone, Copy)]
pub struct MessageLimits {
    /// Certificates that come with it.
    pub max_certificates: usize,
}

/// A content with its signers, decoded.
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
#[derive(Debug, Clone)]
pub struct SignedMessage {
    /// eContentType
    pub content_type: Oid,
    /// eContent, the exact octets.
    pub content: Vec<u8>,
    /// The certificates that came with it, exact bytes, in wire order.
    pub certificates: Vec<Vec<u8>>,
    /// signerInfos
    pub signers: Vec<ReceivedSigner>,
}

/// Who says that they signed, and what.
#[derive(Debug, Clone)]
pub struct ReceivedSigner {
    /// sid
    pub id: SignerId,
    /// digestAlgorithm, of the content.
    pub digest_algorithm: AlgorithmIdentifier,
    /// signedAttrs
    pub attributes: ReceivedAttributes,
    /// signatureAlgorithm
    pub signature_algorithm: AlgorithmIdentifier,
    /// signature
    pub signature: Vec<u8>,
}

/// How a signer names its certificate.
///
/// ```asn1
/// SignerIdentifier ::= CHOICE {
///     issuerAndSerialNumber IssuerAndSerialNumber,
///     ...,
///     [[3: subjectKeyIdentifier [0] SubjectKeyIdentifier ]] }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerId {
    /// issuerAndSerialNumber
    IssuerAndSerialNumber(IssuerAndSerialNumber),
    /// subjectKeyIdentifier
    SubjectKeyIdentifier(Vec<u8>),
}

/// Names a certificate.
///
/// ```asn1
/// IssuerAndSerialNumber ::= SEQUENCE {
///     issuer Name,
///     serialNumber CertificateSerialNumber }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerAndSerialNumber {
    /// issuer
    pub issuer: Name,
    /// Content octets of serialNumber, big endian, minimal.
    pub serial: Vec<u8>,
}

/// The attributes a signature covers.
///
/// ```asn1
/// Attributes { ATTRIBUTE:AttrList } ::=
///     SET SIZE (1..MAX) OF Attribute {{ AttrList }}
///
/// MessageDigest ::= OCTET STRING
///
/// SigningTime  ::= Time
/// ```
#[derive(Debug, Clone)]
pub struct ReceivedAttributes {
    to_be_verified: Vec<u8>,
    message_digest: Vec<u8>,
    signing_time: Option<DateTime<Utc>>,
}

impl ReceivedAttributes {
    /// The octets the signature is over: those received, with the tag of a SET OF (RFC 5652 section 5.4).
    pub fn to_be_verified(&self) -> &[u8] {
        &self.to_be_verified
    }

    /// The digest of the content, as the signer says.
    pub fn message_digest(&self) -> &[u8] {
        &self.message_digest
    }

    /// When it was signed, as the signer says.
    pub fn signing_time(&self) -> Option<DateTime<Utc>> {
        self.signing_time
    }
}

impl IssuerAndSerialNumber {
    /// Decodes a value that the door has let in.
    pub(crate) fn decode_checked(der: &[u8]) -> Result<Self, DecodeError> {
        let what = "IssuerAndSerialNumber";
        let wire: IssuerAndSerialNumberWire = der::decode_checked(what, der)?;
        let Some((tag::INTEGER, serial)) = der::parts(wire.serial_number.as_bytes()) else {
            return Err(DecodeError::Malformed { what });
        };
        Ok(Self { issuer: Name::decode_checked(wire.issuer.as_bytes())?, serial: serial.to_vec() })
    }

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        der::encode(&IssuerAndSerialNumberWire {
            issuer: Any::new(self.issuer.der().to_vec()),
            serial_number: Any::new(der::wrap(tag::INTEGER, &self.serial)),
        })
    }
}

impl SignedMessage {
    /// Strictly decodes a ContentInfo with SignedData in it: with content, signed attributes, and all counts within
    /// `limits`. Certificates and digest algorithms may stand in any order.
    ///
    /// # Errors
    /// When the bytes are not the DER of one, or break a rule above.
    pub fn decode(der: &[u8], limits: &MessageLimits) -> Result<Self, DecodeError> {
        let what = "SignedData";
        der::check(der)?;
        let info: ContentInfo = der::decode_unordered("ContentInfo", der)?;
        if info.content_type != oid::SIGNED_DATA.to_wire() {
            return Err(DecodeError::Malformed { what });
        }
        let wire: SignedDataWire = der::decode_unordered(what, info.content.as_bytes())?;
        // RFC 5652 §5.1: 3 when the content is not id-data; older stacks write 1.
        if ![1, 3].contains(&wire.version) {
            return Err(DecodeError::Version { what });
        }
        let (content_type, Some(content)) = (wire.encap_content_info.content_type, wire.encap_content_info.content)
        else {
            return Err(DecodeError::Malformed { what: "EncapsulatedContentInfo" });
        };
        let content_type = Oid::from_wire(&content_type);
        let certificates = wire.certificates.unwrap_or_default();
        if certificates.len() > limits.max_certificates {
            return Err(DecodeError::TooMany { what: "certificates", limit: limits.max_certificates });
        }
        if wire.signer_infos.len() > MAX_SIGNERS {
            return Err(DecodeError::TooMany { what: "signers", limit: MAX_SIGNERS });
        }
        let signers = wire.signer_infos.into_vec().into_iter();
        Ok(Self {
            signers: signers
                .map(|signer| ReceivedSigner::decode(signer.as_bytes(), &content_type))
                .collect::<Result<_, _>>()?,
            content_type,
            content: content.to_vec(),
            certificates: certificates.into_vec().into_iter().map(x509).collect::<Result<_, _>>()?,
        })
    }
}

/// The other alternatives of CertificateChoices, all tagged, are obsolete or not X.509.
fn x509(certificate: Any) -> Result<Vec<u8>, DecodeError> {
    match der::parts(certificate.as_bytes()) {
        Some((tag::SEQUENCE, _)) => Ok(certificate.into_bytes()),
        _ => Err(DecodeError::Malformed { what: "CertificateSet" }),
    }
}

impl ReceivedSigner {
    /// Takes it apart by hand, so that the attributes keep the octets that were signed.
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
    fn decode(der: &[u8], content_type: &Oid) -> Result<Self, DecodeError> {
        let what = "SignerInfo";
        let fields = der::elements(what, der, 7)?;
        // RFC 5652 §5.3: signedAttrs "MUST be present if the content type of the EncapsulatedContentInfo value being
        // signed is not id-data".
        let [version, id, digest_algorithm, attributes, signature_algorithm, signature, unsigned @ ..] =
            fields.as_slice()
        else {
            return Err(DecodeError::Malformed { what });
        };
        // RFC 5652 §5.3: 1 for issuer and serial number, 3 for a key identifier.
        if ![1, 3].contains(&der::decode_checked::<u64>(what, version.as_bytes())?) {
            return Err(DecodeError::Version { what });
        }
        let is_attributes =
            |field: &Any, expected| matches!(der::parts(field.as_bytes()), Some((tag, _)) if tag == expected);
        if !unsigned.iter().all(|field| is_attributes(field, UNSIGNED_ATTRIBUTES)) {
            return Err(DecodeError::Malformed { what });
        }
        let Some((SIGNED_ATTRIBUTES, attributes)) = der::parts(attributes.as_bytes()) else {
            return Err(DecodeError::Malformed { what: "SignedAttributes" });
        };
        let Some((tag::OCTET_STRING, signature)) = der::parts(signature.as_bytes()) else {
            return Err(DecodeError::Malformed { what });
        };
        Ok(Self {
            id: SignerId::decode(id.as_bytes())?,
            digest_algorithm: AlgorithmIdentifier::decode_checked(digest_algorithm.as_bytes())?,
            attributes: ReceivedAttributes::decode(attributes, content_type)?,
            signature_algorithm: AlgorithmIdentifier::decode_checked(signature_algorithm.as_bytes())?,
            signature: signature.to_vec(),
        })
    }
}

impl SignerId {
    fn decode(der: &[u8]) -> Result<Self, DecodeError> {
        match der::parts(der) {
            Some((tag::SEQUENCE, _)) => IssuerAndSerialNumber::decode_checked(der).map(Self::IssuerAndSerialNumber),
            Some((SUBJECT_KEY_IDENTIFIER, id)) => Ok(Self::SubjectKeyIdentifier(id.to_vec())),
            _ => Err(DecodeError::Malformed { what: "SignerIdentifier" }),
        }
    }
}

impl ReceivedAttributes {
    fn decode(content: &[u8], content_type: &Oid) -> Result<Self, DecodeError> {
        let what = "SignedAttributes";
        // RFC 5652 §5.4: "The IMPLICIT [0] tag in the signedAttrs is not used for the DER encoding, rather an EXPLICIT SET
        // OF tag is used."
        let to_be_verified = der::wrap(tag::SET, content);
        let attributes: SetOf<Any> = der::decode_unordered(what, &to_be_verified)?;
        if attributes.len() > MAX_SIGNER_ATTRIBUTES {
            return Err(DecodeError::TooMany { what: "signed attributes", limit: MAX_SIGNER_ATTRIBUTES });
        }
        let (mut message_digest, mut signing_time, mut named) = (None, None, None);
        for attribute in attributes.to_vec() {
            let attribute = Attribute::decode_checked(attribute.as_bytes())?;
            // RFC 5652 §11: a single value each, and never two instances.
            let once = |earlier: bool| match attribute.values.as_slice() {
                [value] if !earlier => Ok(value.clone()),
                _ => Err(DecodeError::Duplicate { what: "signed attribute of one type" }),
            };
            if attribute.oid == oid::CONTENT_TYPE {
                named = Some(Oid::decode(&once(named.is_some())?)?);
            } else if attribute.oid == oid::MESSAGE_DIGEST {
                let value: OctetString = der::decode(what, &once(message_digest.is_some())?)?;
                message_digest = Some(value.to_vec());
            } else if attribute.oid == oid::SIGNING_TIME {
                signing_time = Some(decode_time(&once(signing_time.is_some())?)?);
            }
        }
        // RFC 5652 §5.3: both MUST be there, and §11.1: the content type is that of the content.
        match (named, message_digest) {
            (Some(named), Some(message_digest)) if named == *content_type => {
                Ok(Self { to_be_verified, message_digest, signing_time })
            }
            _ => Err(DecodeError::Malformed { what }),
        }
    }
}

/// Identifier octets of signedAttrs and unsignedAttrs.
const SIGNED_ATTRIBUTES: u8 = 0xa0;
const UNSIGNED_ATTRIBUTES: u8 = 0xa1;

/// Identifier octet of `[0] IMPLICIT OCTET STRING`.
const SUBJECT_KEY_IDENTIFIER: u8 = 0x80;

#[derive(AsnType, Decode, Encode)]
struct SignedDataWire {
    version: u64,
    digest_algorithms: SetOf<Any>,
    encap_content_info: rasn_cms::EncapsulatedContentInfo,
    #[rasn(tag(0))]
    certificates: Option<SetOf<Any>>,
    #[rasn(tag(1))]
    crls: Option<SetOf<Any>>,
    signer_infos: SetOf<Any>,
}

#[derive(AsnType, Decode, Encode)]
struct IssuerAndSerialNumberWire {
    issuer: Any,
    serial_number: Any,
}
