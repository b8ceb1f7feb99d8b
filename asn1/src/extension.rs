//! Certificate extensions (RFC 5280 section 4.2): the envelope and the ones estd reads or writes.

use std::fmt;

use rasn::prelude::*;

use crate::der::{self, tag};
use crate::{DecodeError, GeneralName, Oid, oid};

/// One extension.
///
/// ```asn1
/// Extension{EXTENSION:ExtensionSet} ::= SEQUENCE {
///    extnID      EXTENSION.&id({ExtensionSet}),
///    critical    BOOLEAN
/// --                     (EXTENSION.&Critical({ExtensionSet}{@extnID}))
///                      DEFAULT FALSE,
///    extnValue   OCTET STRING (CONTAINING
///                EXTENSION.&ExtnType({ExtensionSet}{@extnID}))
///                --  contains the DER encoding of the ASN.1 value
///                --  corresponding to the extension type identified
///                --  by extnID
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// extnID
    pub oid: Oid,
    /// critical; the default, FALSE, is never encoded.
    pub critical: bool,
    /// Content of extnValue.
    pub value: Vec<u8>,
}

/// Strictly decodes Extensions: no extension twice, at most `limit` of them.
///
/// ```asn1
/// Extensions{EXTENSION:ExtensionSet} ::=
///     SEQUENCE SIZE (1..MAX) OF Extension{{ExtensionSet}}
/// ```
///
/// # Errors
/// When the bytes are not the DER of Extensions, or break one of the rules above.
pub fn decode_extensions(der: &[u8], limit: usize) -> Result<Vec<Extension>, DecodeError> {
    collect(der, limit, |element| der::decode_checked("Extension", element))
}

/// As [`decode_extensions`], for a certificate that somebody signed already: birth certificates whose issuer wrote
/// `critical FALSE` out are in the field and cannot be made again.
pub(crate) fn decode_certified_extensions(der: &[u8], limit: usize) -> Result<Vec<Extension>, DecodeError> {
    collect(der, limit, |element| der::decode_unordered("Extension", element))
}

fn collect(
    der: &[u8],
    limit: usize,
    decode: impl Fn(&[u8]) -> Result<ExtensionWire, DecodeError>,
) -> Result<Vec<Extension>, DecodeError> {
    der::check(der)?;
    let mut extensions: Vec<Extension> = Vec::new();
    for element in der::elements("Extensions", der, limit)? {
        let wire = decode(element.as_bytes())?;
        let oid = Oid::from_wire(&wire.extn_id);
        // RFC 5280 §4.2: a certificate must not include more than one instance of an extension. `limit` bounds the search.
        if extensions.iter().any(|earlier| earlier.oid == oid) {
            return Err(DecodeError::Duplicate { what: "extension of one type" });
        }
        extensions.push(Extension { oid, critical: wire.critical, value: wire.extn_value.to_vec() });
    }
    Ok(extensions)
}

/// Encodes Extensions in the given order.
pub fn encode_extensions(extensions: &[Extension]) -> Vec<u8> {
    let wire = |extension: &Extension| ExtensionWire {
        extn_id: extension.oid.to_wire(),
        critical: extension.critical,
        extn_value: OctetString::from(extension.value.clone()),
    };
    der::encode(&extensions.iter().map(wire).collect::<Vec<_>>())
}

#[derive(AsnType, Decode, Encode)]
struct ExtensionWire {
    extn_id: ObjectIdentifier,
    #[rasn(default)]
    critical: bool,
    extn_value: OctetString,
}

/// A set of key usages (RFC 5280 section 4.2.1.3).
///
/// ```asn1
/// KeyUsage ::= BIT STRING {
///      digitalSignature        (0),
///      nonRepudiation          (1), --  recent editions of X.509 have
///                                   --  renamed this bit to
///                                   --  contentCommitment
///      keyEncipherment         (2),
///      dataEncipherment        (3),
///      keyAgreement            (4),
///      keyCertSign             (5),
///      cRLSign                 (6),
///      encipherOnly            (7),
///      decipherOnly            (8)
///  }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyUsage(u16);

impl KeyUsage {
    /// digitalSignature (0)
    pub const DIGITAL_SIGNATURE: Self = Self::bit(0);
    /// nonRepudiation, also called contentCommitment (1)
    pub const NON_REPUDIATION: Self = Self::bit(1);
    /// keyEncipherment (2)
    pub const KEY_ENCIPHERMENT: Self = Self::bit(2);
    /// dataEncipherment (3)
    pub const DATA_ENCIPHERMENT: Self = Self::bit(3);
    /// keyAgreement (4)
    pub const KEY_AGREEMENT: Self = Self::bit(4);
    /// keyCertSign (5)
    pub const KEY_CERT_SIGN: Self = Self::bit(5);
    /// cRLSign (6)
    pub const CRL_SIGN: Self = Self::bit(6);
    /// encipherOnly (7)
    pub const ENCIPHER_ONLY: Self = Self::bit(7);
    /// decipherOnly (8)
    pub const DECIPHER_ONLY: Self = Self::bit(8);

    /// Bit 0 of the BIT STRING is the most significant one here.
    const fn bit(number: u32) -> Self {
        Self(0x8000 >> number)
    }

    /// Whether all usages of `other` are in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any usage of `other` is in this set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The usages of both sets.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Decodes the extension value. Trailing zero bits, which X.690 section 11.2.2 removes, are tolerated: embedded
    /// stacks have long written seven bits whatever they were.
    ///
    /// # Errors
    /// When the bytes are not a KeyUsage with at least one bit set and none after decipherOnly.
    pub fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let what = "KeyUsage";
        der::check(value)?;
        let bits = match der::parts(value) {
            Some((tag::BIT_STRING, [_, high])) => u16::from_be_bytes([*high, 0]),
            Some((tag::BIT_STRING, [_, high, low])) => u16::from_be_bytes([*high, *low]),
            _ => return Err(DecodeError::Malformed { what }),
        };
        let usage = Self(bits);
        let all = Self(!0 << 7);
        // RFC 5280 §4.2.1.3: at least one of the bits must be set.
        if usage.is_empty() || !all.contains(usage) {
            return Err(DecodeError::Malformed { what });
        }
        Ok(usage)
    }

    /// Encodes the extension value.
    pub fn encode(self) -> Vec<u8> {
        let octets = self.0.to_be_bytes();
        // At most 15 trailing zeros in a set that is not empty, so at most 7 unused bits in the last octet.
        let unused = (self.0.trailing_zeros() % 8) as u8;
        match octets {
            [0, 0] => der::wrap(tag::BIT_STRING, &[0]),
            [high, 0] => der::wrap(tag::BIT_STRING, &[unused, high]),
            [high, low] => der::wrap(tag::BIT_STRING, &[unused, high, low]),
        }
    }
}

impl fmt::Display for KeyUsage {
    /// The names of RFC 5280, with commas between them.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 9] = [
            "digitalSignature",
            "nonRepudiation",
            "keyEncipherment",
            "dataEncipherment",
            "keyAgreement",
            "keyCertSign",
            "cRLSign",
            "encipherOnly",
            "decipherOnly",
        ];
        let set = (0..).zip(NAMES).filter(|(number, _)| self.contains(Self::bit(*number)));
        for (index, (_, name)) in set.enumerate() {
            write!(formatter, "{}{name}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Whether a certificate is a CA's, and how many CAs may follow (RFC 5280 section 4.2.1.9).
///
/// ```asn1
/// BasicConstraints ::= SEQUENCE {
///      cA                      BOOLEAN DEFAULT FALSE,
///      pathLenConstraint       INTEGER (0..MAX) OPTIONAL
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BasicConstraints {
    /// cA
    pub ca: bool,
    /// pathLenConstraint
    pub path_len: Option<u32>,
}

impl BasicConstraints {
    /// Decodes the extension value. `cA FALSE` written out is tolerated: certificates with it are in the field.
    ///
    /// # Errors
    /// When the bytes are not BasicConstraints, or the path length does not fit 32 bits.
    pub fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        der::check(value)?;
        let wire: BasicConstraintsWire = der::decode_unordered("BasicConstraints", value)?;
        Ok(Self { ca: wire.ca, path_len: wire.path_len_constraint })
    }

    /// Encodes the extension value.
    pub fn encode(self) -> Vec<u8> {
        der::encode(&BasicConstraintsWire { ca: self.ca, path_len_constraint: self.path_len })
    }
}

#[derive(AsnType, Decode, Encode)]
struct BasicConstraintsWire {
    #[rasn(default)]
    ca: bool,
    path_len_constraint: Option<u32>,
}

/// Strictly decodes the key purposes, at most `limit` of them.
///
/// ```asn1
/// ExtKeyUsageSyntax ::= SEQUENCE SIZE (1..MAX) OF KeyPurposeId
/// ```
///
/// # Errors
/// When the bytes are not the DER of ExtKeyUsageSyntax, or hold more than `limit` purposes.
pub fn decode_ext_key_usage(value: &[u8], limit: usize) -> Result<Vec<Oid>, DecodeError> {
    der::check(value)?;
    let purposes = der::elements("ExtKeyUsageSyntax", value, limit)?;
    purposes.iter().map(|purpose| Oid::decode(purpose.as_bytes())).collect()
}

/// Encodes the key purposes.
pub fn encode_ext_key_usage(usages: &[Oid]) -> Vec<u8> {
    der::wrap(tag::SEQUENCE, &usages.iter().flat_map(Oid::encode).collect::<Vec<u8>>())
}

/// Encodes a SubjectKeyIdentifier.
///
/// ```asn1
/// KeyIdentifier ::= OCTET STRING
/// ```
pub fn encode_subject_key_identifier(id: &[u8]) -> Vec<u8> {
    der::wrap(tag::OCTET_STRING, id)
}

/// Strictly decodes a SubjectKeyIdentifier.
///
/// # Errors
/// When the bytes are not the DER of one OCTET STRING.
pub fn decode_subject_key_identifier(value: &[u8]) -> Result<Vec<u8>, DecodeError> {
    der::decode::<OctetString>("SubjectKeyIdentifier", value).map(|id| id.to_vec())
}

/// Encodes an AuthorityKeyIdentifier with a keyIdentifier only.
///
/// ```asn1
/// AuthorityKeyIdentifier ::= SEQUENCE {
///     keyIdentifier             [0] KeyIdentifier            OPTIONAL,
///     authorityCertIssuer       [1] GeneralNames             OPTIONAL,
///     authorityCertSerialNumber [2] CertificateSerialNumber  OPTIONAL }
/// ```
pub fn encode_authority_key_identifier(id: &[u8]) -> Vec<u8> {
    let key_identifier = Some(OctetString::from(id.to_vec()));
    der::encode(&AuthorityKeyIdentifierWire {
        key_identifier,
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    })
}

/// The keyIdentifier of an AuthorityKeyIdentifier, if it has one.
///
/// # Errors
/// When the bytes are not the DER of one AuthorityKeyIdentifier.
pub fn decode_authority_key_identifier(value: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
    let wire: AuthorityKeyIdentifierWire = der::decode("AuthorityKeyIdentifier", value)?;
    Ok(wire.key_identifier.map(|id| id.to_vec()))
}

#[derive(AsnType, Decode, Encode)]
struct AuthorityKeyIdentifierWire {
    #[rasn(tag(0))]
    key_identifier: Option<OctetString>,
    #[rasn(tag(1))]
    authority_cert_issuer: Option<SequenceOf<Any>>,
    #[rasn(tag(2))]
    authority_cert_serial_number: Option<Integer>,
}

/// Encodes CRLDistributionPoints: one point, whose fullName holds all URIs (ASCII) as alternatives.
///
/// ```asn1
/// CRLDistributionPoints ::= SEQUENCE SIZE (1..MAX) OF DistributionPoint
///
/// DistributionPoint ::= SEQUENCE {
///     distributionPoint       [0] DistributionPointName OPTIONAL,
///     reasons                 [1] ReasonFlags OPTIONAL,
///     cRLIssuer               [2] GeneralNames OPTIONAL
/// }
/// ```
pub fn encode_crl_distribution_points(uris: &[String]) -> Vec<u8> {
    let full_name: Vec<u8> = uris.iter().flat_map(|uri| GeneralName::Uri(uri.clone()).encode()).collect();
    // DistributionPointName is a CHOICE, so its own tag [0] stays inside the [0] of the field.
    let distribution_point = der::wrap(tag::CONTEXT_0, &der::wrap(tag::CONTEXT_0, &full_name));
    der::wrap(tag::SEQUENCE, &der::wrap(tag::SEQUENCE, &distribution_point))
}

/// Encodes AuthorityInfoAccess: OCSP responders, then places where the certificate of the issuer is, as URIs (ASCII).
///
/// ```asn1
/// AuthorityInfoAccessSyntax  ::=
///         SEQUENCE SIZE (1..MAX) OF AccessDescription
///
/// AccessDescription  ::=  SEQUENCE {
///         accessMethod          OBJECT IDENTIFIER,
///         accessLocation        GeneralName  }
/// ```
pub fn encode_authority_info_access(ocsp: &[String], ca_issuers: &[String]) -> Vec<u8> {
    let description = |method: &Oid, uri: &String| {
        der::wrap(tag::SEQUENCE, &[method.encode(), GeneralName::Uri(uri.clone()).encode()].concat())
    };
    let ocsp = ocsp.iter().flat_map(|uri| description(&oid::AD_OCSP, uri));
    let ca_issuers = ca_issuers.iter().flat_map(|uri| description(&oid::AD_CA_ISSUERS, uri));
    der::wrap(tag::SEQUENCE, &ocsp.chain(ca_issuers).collect::<Vec<u8>>())
}

/// The value of id-pkix-ocsp-nocheck.
///
/// ```asn1
/// ext-ocsp-nocheck EXTENSION ::= {
///     SYNTAX NULL IDENTIFIED BY id-pkix-ocsp-nocheck }
/// ```
pub fn encode_ocsp_no_check() -> Vec<u8> {
    vec![0x05, 0x00]
}

/// Encodes CertificatePolicies with policy identifiers only.
///
/// ```asn1
/// CertificatePolicies ::= SEQUENCE SIZE (1..MAX) OF PolicyInformation
///
/// PolicyInformation ::= SEQUENCE {
///      policyIdentifier   CertPolicyId,
///      policyQualifiers   SEQUENCE SIZE (1..MAX) OF
///              PolicyQualifierInfo OPTIONAL }
/// ```
pub fn encode_certificate_policies(policies: &[Oid]) -> Vec<u8> {
    let information = policies.iter().flat_map(|policy| der::wrap(tag::SEQUENCE, &policy.encode()));
    der::wrap(tag::SEQUENCE, &information.collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_usage_is_a_minimal_named_bit_list() {
        for (usage, der) in [
            (KeyUsage::DIGITAL_SIGNATURE, &[0x03, 0x02, 0x07, 0x80][..]),
            (KeyUsage::KEY_CERT_SIGN.union(KeyUsage::CRL_SIGN), &[0x03, 0x02, 0x01, 0x06]),
            (KeyUsage::ENCIPHER_ONLY, &[0x03, 0x02, 0x00, 0x01]),
            (KeyUsage::DECIPHER_ONLY, &[0x03, 0x03, 0x07, 0x00, 0x80]),
        ] {
            assert_eq!(usage.encode(), der);
            assert_eq!(KeyUsage::decode(der), Ok(usage));
        }
        for der in [&[0x03, 0x02, 0x00, 0x80][..], &[0x03, 0x03, 0x07, 0x80, 0x00]] {
            assert_eq!(KeyUsage::decode(der), Ok(KeyUsage::DIGITAL_SIGNATURE), "tolerated, never written");
        }
        for der in [&[0x03, 0x01, 0x00][..], &[0x03, 0x03, 0x06, 0x80, 0x40], &[0x04, 0x02, 0x07, 0x80]] {
            assert_eq!(KeyUsage::decode(der), Err(DecodeError::Malformed { what: "KeyUsage" }), "{der:02x?}");
        }
    }

    #[test]
    fn basic_constraints_omit_the_default() {
        for (ca, path_len, der) in [
            (false, None, &[0x30, 0x00][..]),
            (true, None, &[0x30, 0x03, 0x01, 0x01, 0xff]),
            (true, Some(0), &[0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x00]),
        ] {
            let constraints = BasicConstraints { ca, path_len };
            assert_eq!(constraints.encode(), der);
            assert_eq!(BasicConstraints::decode(der), Ok(constraints));
        }
        let explicit_default = [0x30, 0x03, 0x01, 0x01, 0x00];
        assert_eq!(BasicConstraints::decode(&explicit_default), Ok(BasicConstraints::default()), "tolerated");
        let negative = [0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0xff];
        assert_eq!(BasicConstraints::decode(&negative), Err(DecodeError::Malformed { what: "BasicConstraints" }));
    }

    #[test]
    fn extensions_round_trip_and_never_repeat() {
        let extension = |oid: Oid, critical| Extension { oid, critical, value: vec![0x30, 0x00] };
        let extensions = [extension(oid::BASIC_CONSTRAINTS, true), extension(oid::KEY_USAGE, false)];
        let der = encode_extensions(&extensions);
        assert_eq!(decode_extensions(&der, 2).unwrap(), extensions);
        assert_eq!(decode_extensions(&der, 1), Err(DecodeError::TooMany { what: "Extensions", limit: 1 }));
        let twice = encode_extensions(&[extensions[0].clone(), extensions[0].clone()]);
        assert_eq!(decode_extensions(&twice, 9), Err(DecodeError::Duplicate { what: "extension of one type" }));
        let explicit_false = [0x30, 0x0c, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x13, 0x01, 0x01, 0x00, 0x04, 0x00];
        assert_eq!(decode_extensions(&explicit_false, 9), Err(DecodeError::NotCanonical { what: "Extension" }));
        assert!(!decode_certified_extensions(&explicit_false, 9).unwrap()[0].critical);
    }

    #[test]
    fn identifiers_and_purposes_round_trip() {
        let id = [7; 20];
        assert_eq!(decode_subject_key_identifier(&encode_subject_key_identifier(&id)).unwrap(), id);
        assert_eq!(decode_authority_key_identifier(&encode_authority_key_identifier(&id)).unwrap().unwrap(), id);
        assert_eq!(decode_authority_key_identifier(&[0x30, 0x00]), Ok(None));
        let purposes = [oid::KP_CLIENT_AUTH, oid::KP_SERVER_AUTH];
        assert_eq!(decode_ext_key_usage(&encode_ext_key_usage(&purposes), 2).unwrap(), purposes);
        assert!(decode_ext_key_usage(&[0x30, 0x00], 2).is_err());
    }

    #[test]
    fn access_and_distribution_points_have_the_exact_form() {
        assert_eq!(
            encode_crl_distribution_points(&["u:a".into(), "u:b".into()]),
            *b"\x30\x10\x30\x0e\xa0\x0c\xa0\x0a\x86\x03u:a\x86\x03u:b"
        );
        assert_eq!(
            encode_authority_info_access(&["u:a".into()], &["u:b".into()]),
            *b"\x30\x22\x30\x0f\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x01\x86\x03u:a\
               \x30\x0f\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x03u:b"
        );
        let any_policy = Oid::parse("2.5.29.32.0").unwrap();
        assert_eq!(encode_certificate_policies(&[any_policy]), *b"\x30\x08\x30\x06\x06\x04\x55\x1d\x20\x00");
    }
}
