//! Certificate revocation lists (RFC 5280 section 5): written entry by entry, so that a long list is spliced and not
//! encoded again.

use std::fmt;

use chrono::{DateTime, Utc};
use rasn::prelude::*;

use crate::der::{self, tag};
use crate::time::{decode_time, encode_time};
use crate::{AlgorithmIdentifier, DecodeError, Extension, GeneralName, Name, extension, oid};

/// Why a certificate stands in a list (RFC 5280 section 5.3.1).
///
/// ```asn1
/// CRLReason ::= ENUMERATED {
///      unspecified             (0),
///      keyCompromise           (1),
///      cACompromise            (2),
///      affiliationChanged      (3),
///      superseded              (4),
///      cessationOfOperation    (5),
///      certificateHold         (6),
///      removeFromCRL           (8),
///      privilegeWithdrawn      (9),
///      aACompromise            (10)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CrlReason {
    /// unspecified (0)
    Unspecified = 0,
    /// keyCompromise (1)
    KeyCompromise = 1,
    /// cACompromise (2)
    CaCompromise = 2,
    /// affiliationChanged (3)
    AffiliationChanged = 3,
    /// superseded (4)
    Superseded = 4,
    /// cessationOfOperation (5)
    CessationOfOperation = 5,
    /// certificateHold (6)
    CertificateHold = 6,
    /// removeFromCRL (8), in delta CRLs alone.
    RemoveFromCrl = 8,
    /// privilegeWithdrawn (9)
    PrivilegeWithdrawn = 9,
    /// aACompromise (10)
    AaCompromise = 10,
}

impl CrlReason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::RemoveFromCrl,
        Self::PrivilegeWithdrawn,
        Self::AaCompromise,
    ];

    /// The number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The name in the standard.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::RemoveFromCrl => "removeFromCRL",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        }
    }

    /// The TLV of the ENUMERATED.
    pub(crate) fn encode(self) -> Vec<u8> {
        der::wrap(tag::ENUMERATED, &[self.code()])
    }
}

impl fmt::Display for CrlReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Encodes one element of revokedCertificates. `serial` is the content of the INTEGER.
pub fn encode_entry(serial: &[u8], at: DateTime<Utc>, reason: CrlReason) -> Vec<u8> {
    let serial = der::wrap(tag::INTEGER, serial);
    let at = encode_time(at);
    // RFC 5280 §5.3.1: "the reason code CRL entry extension SHOULD be absent instead of using the unspecified (0)
    // reasonCode value"; not critical.
    if reason == CrlReason::Unspecified {
        return der::wrap_parts(tag::SEQUENCE, &[&serial, &at]);
    }
    let reason = Extension { oid: oid::CRL_REASONS, critical: false, value: reason.encode() };
    der::wrap_parts(tag::SEQUENCE, &[&serial, &at, &extension::encode_extensions(&[reason])])
}

/// Encodes CRLNumber, and the value of deltaCRLIndicator.
///
/// ```asn1
/// CRLNumber ::= INTEGER (0..MAX)
/// ```
pub fn encode_crl_number(number: u64) -> Vec<u8> {
    der::encode(&number)
}

/// Encodes IssuingDistributionPoint of a list that is found at one URI (ASCII) and has every kind of certificate and reason.
///
/// ```asn1
/// IssuingDistributionPoint ::= SEQUENCE {
///      distributionPoint          [0] DistributionPointName OPTIONAL,
///      onlyContainsUserCerts      [1] BOOLEAN DEFAULT FALSE,
///      onlyContainsCACerts        [2] BOOLEAN DEFAULT FALSE,
///      onlySomeReasons            [3] ReasonFlags OPTIONAL,
///      indirectCRL                [4] BOOLEAN DEFAULT FALSE,
///      onlyContainsAttributeCerts [5] BOOLEAN DEFAULT FALSE
/// }
/// ```
pub fn encode_issuing_distribution_point(uri: &str) -> Vec<u8> {
    let name = GeneralName::Uri(uri.to_owned()).encode();
    // DistributionPointName is a CHOICE, so its own tag [0] stays inside the [0] of the field.
    let distribution_point = der::wrap(tag::CONTEXT_0, &der::wrap(tag::CONTEXT_0, &name));
    der::wrap(tag::SEQUENCE, &distribution_point)
}

/// What goes into a list to be signed; always version 2.
///
/// ```asn1
/// TBSCertList  ::=  SEQUENCE  {
///     version              Version OPTIONAL,
///                                -- if present, MUST be v2
///     signature            AlgorithmIdentifier{SIGNATURE-ALGORITHM,
///                              {SignatureAlgorithms}},
///     issuer               Name,
///     thisUpdate           Time,
///     nextUpdate           Time OPTIONAL,
///     revokedCertificates  SEQUENCE SIZE (1..MAX) OF SEQUENCE {
///         userCertificate  CertificateSerialNumber,
///         revocationDate   Time,
///         ... ,
///         [[2:                  -- if present, version MUST be v2
///         crlEntryExtensions  Extensions{{CrlEntryExtensions}}
///                                 OPTIONAL
///         ]], ...
///     } OPTIONAL,
///     ... ,
///     [[2:                       -- if present, version MUST be v2
///     crlExtensions       [0] Extensions{{CrlExtensions}}
///                                 OPTIONAL
///     ]], ... }
/// ```
#[derive(Debug, Clone)]
pub struct TbsCertList<'a> {
    /// The algorithm that the list will be signed with.
    pub signature: &'a AlgorithmIdentifier,
    /// issuer, copied bit for bit.
    pub issuer: &'a Name,
    /// thisUpdate
    pub this_update: DateTime<Utc>,
    /// nextUpdate
    pub next_update: DateTime<Utc>,
    /// What [`encode_entry`] made of each certificate, one after the other.
    pub entries: &'a [u8],
    /// crlExtensions, in this order.
    pub extensions: &'a [Extension],
}

impl TbsCertList<'_> {
    /// Encodes the TBSCertList.
    pub fn encode(&self) -> Vec<u8> {
        let this_update = encode_time(self.this_update);
        let next_update = encode_time(self.next_update);
        // RFC 5280 §5.1.2.6: "When there are no revoked certificates, the revoked certificates list MUST be absent."
        let revoked = if self.entries.is_empty() { vec![] } else { der::header(tag::SEQUENCE, self.entries.len()) };
        let extensions = der::wrap(tag::CONTEXT_0, &extension::encode_extensions(self.extensions));
        let parts: [&[u8]; 8] = [
            &V2,
            self.signature.der(),
            self.issuer.der(),
            &this_update,
            &next_update,
            &revoked,
            self.entries,
            &extensions,
        ];
        der::wrap_parts(tag::SEQUENCE, &parts)
    }
}

/// Encodes a signed list; the TBSCertList is copied, never encoded again.
///
/// ```asn1
/// CertificateList  ::=  SIGNED{TBSCertList}
/// ```
pub fn encode_certificate_list(tbs_der: &[u8], algorithm: &AlgorithmIdentifier, signature: &[u8]) -> Vec<u8> {
    let signature = der::encode(&BitString::from_slice(signature));
    der::wrap_parts(tag::SEQUENCE, &[tbs_der, algorithm.der(), &signature])
}

/// The INTEGER of version 2.
const V2: [u8; 3] = [tag::INTEGER, 1, 1];

/// What a list says of itself. The signature has NOT been verified; the entries are counted, not judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateList<'a> {
    /// The exact TBSCertList, over which the signature stands.
    pub tbs_der: &'a [u8],
    /// issuer
    pub issuer: Name,
    /// thisUpdate
    pub this_update: DateTime<Utc>,
    /// nextUpdate
    pub next_update: Option<DateTime<Utc>>,
    /// The elements of revokedCertificates, one after the other.
    pub entries: &'a [u8],
    /// crlExtensions
    pub extensions: Vec<Extension>,
    /// signatureAlgorithm
    pub signature_algorithm: AlgorithmIdentifier,
    /// Content of the signature.
    pub signature: &'a [u8],
}

/// Most extensions of a list.
const MAX_EXTENSIONS: usize = 16;

impl<'a> CertificateList<'a> {
    /// Reads a list of any length, of version 2.
    ///
    /// # Errors
    /// When the bytes are not framed as one.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::read(bytes).ok_or(DecodeError::Malformed { what: "CertificateList" })
    }

    /// How many certificates stand in it.
    pub fn len(&self) -> usize {
        let mut rest = self.entries;
        std::iter::from_fn(|| {
            let (entry, others) = der::split(rest)?;
            rest = others;
            Some(entry)
        })
        .count()
    }

    /// Whether none stands in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// cRLNumber
    pub fn number(&self) -> Option<u64> {
        self.integer(&oid::CRL_NUMBER)
    }

    /// The number of the list that this one, a delta CRL, builds on; `None` for a complete one.
    pub fn base_number(&self) -> Option<u64> {
        self.integer(&oid::DELTA_CRL_INDICATOR)
    }

    fn integer(&self, oid: &crate::Oid) -> Option<u64> {
        let extension = self.extensions.iter().find(|extension| extension.oid == *oid)?;
        der::decode("CRLNumber", &extension.value).ok()
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (tag::SEQUENCE, outer) = der::parts(bytes)? else { return None };
        let (tbs_der, rest) = der::split(outer)?;
        let (algorithm, signature) = der::split(rest)?;
        let (tag::BIT_STRING, [0, signature @ ..]) = der::parts(signature)? else { return None };
        let (tag::SEQUENCE, fields) = der::parts(tbs_der)? else { return None };
        let (version, fields) = der::split(fields)?;
        let (inner_algorithm, fields) = der::split(fields)?;
        // RFC 5280 §5.1.1.2: the same algorithm inside and outside.
        if version != V2 || inner_algorithm != algorithm {
            return None;
        }
        let (issuer, fields) = der::split(fields)?;
        let (this_update, mut fields) = der::split(fields)?;
        let mut optional = |accepted: &[u8]| {
            let identifier = fields.first().filter(|identifier| accepted.contains(identifier))?;
            let (field, rest) = der::split(fields)?;
            fields = rest;
            Some((*identifier, field))
        };
        let next_update = optional(&[tag::UTC_TIME, tag::GENERALIZED_TIME]).map(|(_, time)| decode_time(time));
        let revoked = optional(&[tag::SEQUENCE]).and_then(|(_, list)| der::parts(list));
        let extensions = optional(&[tag::CONTEXT_0]).and_then(|(_, wrapped)| der::parts(wrapped));
        fields.is_empty().then_some(())?;
        Some(Self {
            tbs_der,
            issuer: Name::decode(issuer).ok()?,
            this_update: decode_time(this_update).ok()?,
            next_update: next_update.transpose().ok()?,
            entries: revoked.map_or(&[], |(_, entries)| entries),
            extensions: match extensions {
                Some((_, extensions)) => extension::decode_extensions(extensions, MAX_EXTENSIONS).ok()?,
                None => Vec::new(),
            },
            signature_algorithm: AlgorithmIdentifier::decode(algorithm).ok()?,
            signature,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AttributeTypeAndValue;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn list(entries: &[u8]) -> Vec<u8> {
        let algorithm = AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA256, None);
        let issuer = Name::from_rdns(&[vec![AttributeTypeAndValue::from_text(oid::AT_COMMON_NAME, "CA").unwrap()]]);
        let plain = |oid, value| Extension { oid, critical: false, value };
        let tbs = TbsCertList {
            signature: &algorithm,
            issuer: &issuer,
            this_update: time("2026-06-01T00:00:00Z"),
            next_update: time("2050-01-01T00:00:00Z"),
            entries,
            extensions: &[plain(oid::CRL_NUMBER, encode_crl_number(0x80))],
        };
        encode_certificate_list(&tbs.encode(), &algorithm, &[1, 2, 3])
    }

    #[test]
    fn a_list_reads_as_it_was_written() {
        let at = time("2026-05-31T12:00:00Z");
        let entries = [
            encode_entry(&[0x01], at, CrlReason::Unspecified),
            encode_entry(&[0x00, 0xff], at, CrlReason::KeyCompromise),
        ];
        assert_eq!(entries[0], b"\x30\x12\x02\x01\x01\x17\x0d260531120000Z");
        assert_eq!(entries[1][2..6], [0x02, 0x02, 0x00, 0xff]);
        // RFC 5280 §5.3.1: an ENUMERATED in an extension that is not critical.
        assert!(entries[1].ends_with(&[0x30, 0x0c, 0x30, 0x0a, 6, 3, 0x55, 0x1d, 0x15, 4, 3, 0x0a, 1, 1]));
        for (entries, count) in [(entries.concat(), 2), (vec![], 0)] {
            let der = list(&entries);
            der::check(&der).unwrap();
            let read = CertificateList::decode(&der).unwrap();
            assert_eq!((read.len(), read.is_empty(), read.entries), (count, count == 0, &*entries));
            assert_eq!((read.number(), read.base_number()), (Some(0x80), None));
            assert_eq!(read.issuer.to_string(), "CN=CA");
            assert_eq!(read.next_update, Some(time("2050-01-01T00:00:00Z")));
            assert_eq!(read.signature, [1, 2, 3]);
        }
    }

    #[test]
    fn what_is_cut_or_followed_by_more_is_no_list() {
        let der = list(&encode_entry(&[1], time("2026-05-31T12:00:00Z"), CrlReason::Superseded));
        for end in 0..der.len() {
            assert!(CertificateList::decode(&der[..end]).is_err(), "{end}");
        }
        assert!(CertificateList::decode(&[&der[..], &[0]].concat()).is_err());
    }

    #[test]
    fn a_distribution_point_names_its_uri_as_a_certificate_does() {
        let uri = "http://pki.acme.example/crl/acme/issuing/4/3.crl";
        let point = encode_issuing_distribution_point(uri);
        let certificate = extension::encode_crl_distribution_points(&[uri.to_owned()]);
        // RFC 5280 §5.2.5: "The identical encoding MUST be used in the distributionPoint fields".
        let (_, points) = der::parts(&certificate).unwrap();
        assert_eq!(points, point);
    }
}
