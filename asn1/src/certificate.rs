//! Certificate and TBSCertificate (RFC 5280 section 4.1).

use chrono::{DateTime, Utc};
use rasn::prelude::*;

use crate::der::{self, tag};
use crate::spki::whole_octets;
use crate::time::{decode_time, encode_time};
use crate::{AlgorithmIdentifier, BasicConstraints, DecodeError, Extension, GeneralName, KeyUsage, Name, Oid};
use crate::{SubjectPublicKeyInfo, extension, general_name, oid};

/// Most extensions in a certificate.
pub const MAX_EXTENSIONS: usize = 64;

/// Most key purposes in a certificate.
pub const MAX_KEY_PURPOSES: usize = 64;

/// When a certificate is valid, in whole seconds, both ends included.
///
/// ```asn1
/// Validity ::= SEQUENCE {
///     notBefore      Time,
///     notAfter       Time  }
///
/// Time ::= CHOICE {
///     utcTime        UTCTime,
///     generalTime    GeneralizedTime }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// notBefore
    pub not_before: DateTime<Utc>,
    /// notAfter; 9999-12-31T23:59:59Z says that there is no well-defined end (RFC 5280 section 4.1.2.5).
    pub not_after: DateTime<Utc>,
}

/// A decoded certificate. The signature has NOT been verified. `==` compares the DER.
///
/// ```asn1
/// Certificate  ::=  SIGNED{TBSCertificate}
///
/// SIGNED{ToBeSigned} ::= SEQUENCE {
///   toBeSigned           ToBeSigned,
///   algorithmIdentifier  SEQUENCE {
///       algorithm        SIGNATURE-ALGORITHM.
///                          &id({SignatureAlgorithms}),
///       parameters       SIGNATURE-ALGORITHM.
///                          &Params({SignatureAlgorithms}
///                            {@algorithmIdentifier.algorithm}) OPTIONAL
///   },
///   signature BIT STRING (CONTAINING SIGNATURE-ALGORITHM.&Value(
///                            {SignatureAlgorithms}
///                            {@algorithmIdentifier.algorithm}))
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Certificate {
    der: Vec<u8>,
    tbs_der: Vec<u8>,
    version: u8,
    serial: Vec<u8>,
    issuer: Name,
    validity: Validity,
    subject: Name,
    public_key: SubjectPublicKeyInfo,
    extensions: Vec<Extension>,
    signature_algorithm: AlgorithmIdentifier,
    signature: Vec<u8>,
}

impl Certificate {
    /// Strictly decodes one certificate of version 1 to 3: no extension twice, at most [`MAX_EXTENSIONS`], the same
    /// algorithm inside and outside. The values of its extensions are decoded on call, so that what a certificate says in
    /// an extension nobody asks for does not matter.
    ///
    /// # Errors
    /// When the bytes break one of the rules above.
    pub fn decode(der: &[u8]) -> Result<Self, DecodeError> {
        let outer: CertificateWire = der::decode("Certificate", der)?;
        let tbs_der = outer.tbs_certificate.into_bytes();
        let tbs: TbsCertificateWire = der::decode_checked("TBSCertificate", &tbs_der)?;
        let extensions = match &tbs.extensions {
            Some(extensions) => extension::decode_certified_extensions(extensions.as_bytes(), MAX_EXTENSIONS)?,
            None => Vec::new(),
        };
        // RFC 5280 §4.1.1.2: "This field MUST contain the same algorithm identifier as the signature field".
        if tbs.signature != outer.signature_algorithm {
            return Err(DecodeError::AlgorithmMismatch);
        }
        Ok(Self {
            version: version(&tbs)?,
            serial: match der::parts(tbs.serial_number.as_bytes()) {
                Some((tag::INTEGER, content)) => content.to_vec(),
                _ => return Err(DecodeError::Malformed { what: "CertificateSerialNumber" }),
            },
            issuer: Name::decode_checked(tbs.issuer.as_bytes())?,
            validity: Validity {
                not_before: decode_time(tbs.validity.not_before.as_bytes())?,
                not_after: decode_time(tbs.validity.not_after.as_bytes())?,
            },
            subject: Name::decode_checked(tbs.subject.as_bytes())?,
            public_key: SubjectPublicKeyInfo::decode_checked(tbs.subject_public_key_info.as_bytes())?,
            extensions,
            signature_algorithm: AlgorithmIdentifier::decode_checked(outer.signature_algorithm.as_bytes())?,
            signature: whole_octets(outer.signature, "signature")?,
            der: der.to_vec(),
            tbs_der,
        })
    }

    /// The whole certificate.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The exact TBSCertificate, over which the signature stands.
    pub fn tbs_der(&self) -> &[u8] {
        &self.tbs_der
    }

    /// The version as people count it: 1, 2 or 3.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// Content octets of the serial number, big-endian two's complement, as encoded.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// issuer
    pub fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// validity
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// subject
    pub fn subject(&self) -> &Name {
        &self.subject
    }

    /// subjectPublicKeyInfo
    pub fn public_key(&self) -> &SubjectPublicKeyInfo {
        &self.public_key
    }

    /// All extensions in order; empty when there are none.
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// The extension of that type.
    pub fn extension(&self, oid: &Oid) -> Option<&Extension> {
        self.extensions.iter().find(|extension| extension.oid == *oid)
    }

    /// signatureAlgorithm, which is equal to the one inside TBSCertificate.
    pub fn signature_algorithm(&self) -> &AlgorithmIdentifier {
        &self.signature_algorithm
    }

    /// Content of the signature; it has no unused bits.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Decodes basicConstraints, when present.
    ///
    /// # Errors
    /// When the extension is not DER.
    pub fn basic_constraints(&self) -> Result<Option<BasicConstraints>, DecodeError> {
        self.decode_extension(&oid::BASIC_CONSTRAINTS, BasicConstraints::decode)
    }

    /// Decodes keyUsage, when present.
    ///
    /// # Errors
    /// When the extension is not DER.
    pub fn key_usage(&self) -> Result<Option<KeyUsage>, DecodeError> {
        self.decode_extension(&oid::KEY_USAGE, KeyUsage::decode)
    }

    /// Decodes extKeyUsage, when present.
    ///
    /// # Errors
    /// When the extension is not DER, or names more than [`MAX_KEY_PURPOSES`].
    pub fn ext_key_usage(&self) -> Result<Option<Vec<Oid>>, DecodeError> {
        self.decode_extension(&oid::EXT_KEY_USAGE, |value| extension::decode_ext_key_usage(value, MAX_KEY_PURPOSES))
    }

    /// Decodes subjectAltName; empty when absent.
    ///
    /// # Errors
    /// When the extension is not DER, or holds more than `limit` names.
    pub fn subject_alt_names(&self, limit: usize) -> Result<Vec<GeneralName>, DecodeError> {
        let decode = |value: &[u8]| general_name::decode_general_names(value, limit);
        self.decode_extension(&oid::SUBJECT_ALT_NAME, decode).map(Option::unwrap_or_default)
    }

    /// Decodes subjectKeyIdentifier, when present.
    ///
    /// # Errors
    /// When the extension is not DER.
    pub fn subject_key_identifier(&self) -> Result<Option<Vec<u8>>, DecodeError> {
        self.decode_extension(&oid::SUBJECT_KEY_IDENTIFIER, extension::decode_subject_key_identifier)
    }

    /// Decodes the keyIdentifier of authorityKeyIdentifier, when present.
    ///
    /// # Errors
    /// When the extension is not DER.
    pub fn authority_key_identifier(&self) -> Result<Option<Vec<u8>>, DecodeError> {
        let id = self.decode_extension(&oid::AUTHORITY_KEY_IDENTIFIER, extension::decode_authority_key_identifier)?;
        Ok(id.flatten())
    }

    fn decode_extension<T>(
        &self,
        oid: &Oid,
        decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        self.extension(oid).map(|extension| decode(&extension.value)).transpose()
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

/// RFC 5280 section 4.1: unique identifiers need version 2 or 3, extensions need version 3.
fn version(tbs: &TbsCertificateWire) -> Result<u8, DecodeError> {
    let unique_ids = tbs.issuer_unique_id.is_some() || tbs.subject_unique_id.is_some();
    match tbs.version {
        0 if !unique_ids && tbs.extensions.is_none() => Ok(1),
        1 if tbs.extensions.is_none() => Ok(2),
        2 => Ok(3),
        _ => Err(DecodeError::Version { what: "Certificate" }),
    }
}

/// What goes into a certificate to be signed; always version 3.
#[derive(Debug, Clone)]
pub struct TbsCertificate<'a> {
    /// Content octets of the serial number: positive, minimal, at most 20 (RFC 5280 section 4.1.2.2).
    pub serial: &'a [u8],
    /// The algorithm that the certificate will be signed with.
    pub signature: &'a AlgorithmIdentifier,
    /// issuer, copied bit for bit.
    pub issuer: &'a Name,
    /// validity; fractions of a second are cut off.
    pub validity: Validity,
    /// subject, copied bit for bit.
    pub subject: &'a Name,
    /// TLV of SubjectPublicKeyInfo, copied bit for bit.
    pub spki_der: &'a [u8],
    /// Extensions, in this order.
    pub extensions: &'a [Extension],
}

impl TbsCertificate<'_> {
    /// Encodes the TBSCertificate.
    pub fn encode(&self) -> Vec<u8> {
        let extensions = extension::encode_extensions(self.extensions);
        der::encode(&TbsCertificateWire {
            version: V3,
            serial_number: Any::new(der::wrap(tag::INTEGER, self.serial)),
            signature: Any::new(self.signature.der().to_vec()),
            issuer: Any::new(self.issuer.der().to_vec()),
            validity: ValidityWire {
                not_before: Any::new(encode_time(self.validity.not_before)),
                not_after: Any::new(encode_time(self.validity.not_after)),
            },
            subject: Any::new(self.subject.der().to_vec()),
            subject_public_key_info: Any::new(self.spki_der.to_vec()),
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: (!self.extensions.is_empty()).then(|| Any::new(extensions)),
        })
    }
}

/// Encodes a certificate; the TBSCertificate is copied, never re-encoded.
pub fn encode_certificate(tbs_der: &[u8], algorithm: &AlgorithmIdentifier, signature: &[u8]) -> Vec<u8> {
    der::encode(&CertificateWire {
        tbs_certificate: Any::new(tbs_der.to_vec()),
        signature_algorithm: Any::new(algorithm.der().to_vec()),
        signature: BitString::from_slice(signature),
    })
}

/// The INTEGER of version 3.
const V3: u64 = 2;

/// The SubjectPublicKeyInfo of a certificate, whatever else stands in it and however: its holder can prove possession of
/// the key also when the certificate as a whole is not fit to be read. `None` where no certificate's fields are.
pub fn subject_public_key_info(certificate: &[u8]) -> Option<&[u8]> {
    // Certificate and TBSCertificate, then version (left out in version 1), serialNumber, signature, issuer, validity and
    // subject before it.
    let (_, outer) = der::parts(certificate)?;
    let (tbs, _) = der::split(outer)?;
    let (_, mut fields) = der::parts(tbs)?;
    if fields.first() == Some(&tag::CONTEXT_0) {
        fields = der::split(fields)?.1;
    }
    for _ in 0..5 {
        fields = der::split(fields)?.1;
    }
    der::split(fields).map(|(spki, _)| spki)
}

#[derive(AsnType, Decode, Encode)]
struct CertificateWire {
    tbs_certificate: Any,
    signature_algorithm: Any,
    signature: BitString,
}

/// ```asn1
/// TBSCertificate  ::=  SEQUENCE  {
///     version         [0]  Version DEFAULT v1,
///     serialNumber         CertificateSerialNumber,
///     signature            AlgorithmIdentifier{SIGNATURE-ALGORITHM,
///                               {SignatureAlgorithms}},
///     issuer               Name,
///     validity             Validity,
///     subject              Name,
///     subjectPublicKeyInfo SubjectPublicKeyInfo,
///     ... ,
///     [[2:               -- If present, version MUST be v2
///     issuerUniqueID  [1]  IMPLICIT UniqueIdentifier OPTIONAL,
///     subjectUniqueID [2]  IMPLICIT UniqueIdentifier OPTIONAL
///     ]],
///     [[3:               -- If present, version MUST be v3 --
///     extensions      [3]  Extensions{{CertExtensions}} OPTIONAL
///     ]], ... }
/// ```
#[derive(AsnType, Decode, Encode)]
struct TbsCertificateWire {
    #[rasn(tag(explicit(0)), default)]
    version: u64,
    serial_number: Any,
    signature: Any,
    issuer: Any,
    validity: ValidityWire,
    subject: Any,
    subject_public_key_info: Any,
    #[rasn(tag(1))]
    issuer_unique_id: Option<BitString>,
    #[rasn(tag(2))]
    subject_unique_id: Option<BitString>,
    #[rasn(tag(explicit(3)))]
    extensions: Option<Any>,
}

#[derive(AsnType, Decode, Encode)]
struct ValidityWire {
    not_before: Any,
    not_after: Any,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AttributeTypeAndValue;

    fn time(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn an_encoded_certificate_decodes_to_its_contents() {
        let algorithm = AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA256, None);
        let cn = |text| Name::from_rdns(&[vec![AttributeTypeAndValue::from_text(oid::AT_COMMON_NAME, text).unwrap()]]);
        let key = AlgorithmIdentifier::new(oid::EC_PUBLIC_KEY, Some(&oid::SECP256R1.encode()));
        let spki = SubjectPublicKeyInfo::new(key, &[4; 65]);
        let constraints = BasicConstraints { ca: true, path_len: Some(0) };
        let extensions = [Extension { oid: oid::BASIC_CONSTRAINTS, critical: true, value: constraints.encode() }];
        let validity = Validity { not_before: time("2026-01-01T00:00:00Z"), not_after: time("9999-12-31T23:59:59Z") };
        let tbs = TbsCertificate {
            serial: &[0x7f, 0xff],
            signature: &algorithm,
            issuer: &cn("issuer"),
            validity,
            subject: &cn("subject"),
            spki_der: spki.der(),
            extensions: &extensions,
        }
        .encode();
        let certificate = Certificate::decode(&encode_certificate(&tbs, &algorithm, &[1, 2, 3])).unwrap();
        assert_eq!(certificate.tbs_der(), tbs);
        assert_eq!(certificate.version(), 3);
        assert_eq!(certificate.serial(), [0x7f, 0xff]);
        assert_eq!((certificate.issuer(), certificate.subject()), (&cn("issuer"), &cn("subject")));
        assert_eq!(certificate.validity(), validity);
        assert_eq!(certificate.public_key(), &spki);
        assert_eq!(certificate.extensions(), extensions);
        assert_eq!(certificate.basic_constraints(), Ok(Some(constraints)));
        assert_eq!(certificate.key_usage(), Ok(None));
        assert_eq!(certificate.subject_alt_names(1), Ok(vec![]));
        assert_eq!(certificate.signature(), [1, 2, 3]);

        let other = AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA384, None);
        let mismatched = encode_certificate(&tbs, &other, &[1, 2, 3]);
        assert_eq!(Certificate::decode(&mismatched), Err(DecodeError::AlgorithmMismatch));
    }
}
