//! OCSP responses (RFC 6960 section 4.2), as the lightweight profile has them (RFC 9919 section 3.2).

use chrono::{DateTime, Utc};
use rasn::prelude::*;

use crate::crl::CrlReason;
use crate::der::{self, tag};
use crate::ocsp_request::{CertId, encode_nonce};
use crate::time::encode_generalized_time;
use crate::{AlgorithmIdentifier, oid};

/// Whether there is an answer.
///
/// ```asn1
/// OCSPResponseStatus ::= ENUMERATED {
///     successful        (0), -- Response has valid confirmations
///     malformedRequest  (1), -- Illegal confirmation request
///     internalError     (2), -- Internal error in issuer
///     tryLater          (3), -- Try again later
///                            -- (4) is not used
///     sigRequired       (5), -- Must sign the request
///     unauthorized      (6)  -- Request unauthorized
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OcspResponseStatus {
    /// successful (0)
    Successful = 0,
    /// malformedRequest (1)
    MalformedRequest = 1,
    /// internalError (2)
    InternalError = 2,
    /// tryLater (3)
    TryLater = 3,
    /// sigRequired (5)
    SigRequired = 5,
    /// unauthorized (6)
    Unauthorized = 6,
}

/// Encodes the answer that there is none.
pub fn encode_error(status: OcspResponseStatus) -> Vec<u8> {
    der::wrap(tag::SEQUENCE, &der::wrap(tag::ENUMERATED, &[status as u8]))
}

/// The status of one certificate.
///
/// ```asn1
/// CertStatus ::= CHOICE {
///     good     [0] IMPLICIT NULL,
///     revoked  [1] IMPLICIT RevokedInfo,
///     unknown  [2] IMPLICIT UnknownInfo }
///
/// RevokedInfo ::= SEQUENCE {
///     revocationTime        GeneralizedTime,
///     revocationReason  [0] EXPLICIT CRLReason OPTIONAL }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertStatus {
    /// Issued, and not revoked.
    Good,
    /// Not to be relied on since then.
    Revoked {
        /// revocationTime
        at: DateTime<Utc>,
        /// revocationReason; unspecified is left out.
        reason: CrlReason,
    },
    /// Not issued here.
    Unknown,
}

impl CertStatus {
    fn encode(self) -> Vec<u8> {
        match self {
            Self::Good => der::wrap(GOOD, &[]),
            Self::Revoked { at, reason } => {
                let given = (reason != CrlReason::Unspecified).then(|| der::wrap(tag::CONTEXT_0, &reason.encode()));
                let reason = given.unwrap_or_default();
                der::wrap_parts(tag::CONTEXT_1, &[&encode_generalized_time(at), &reason])
            }
            Self::Unknown => der::wrap(UNKNOWN, &[]),
        }
    }
}

/// `[0]` and `[2]`, primitive.
const GOOD: u8 = 0x80;
const UNKNOWN: u8 = 0x82;

/// What is said of one certificate.
///
/// ```asn1
/// SingleResponse ::= SEQUENCE {
///   certID                CertID,
///   certStatus            CertStatus,
///   thisUpdate            GeneralizedTime,
///   nextUpdate        [0] EXPLICIT GeneralizedTime OPTIONAL,
///   singleExtensions  [1] EXPLICIT Extensions
///                         {{ re-ocsp-crl |
///                            re-ocsp-archive-cutoff |
///                            CrlEntryExtensions,
///                            ... }} OPTIONAL }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SingleResponse<'a> {
    /// certID, copied bit for bit from the request.
    pub certificate: &'a CertId,
    /// certStatus
    pub status: CertStatus,
    /// thisUpdate
    pub this_update: DateTime<Utc>,
    /// nextUpdate
    pub next_update: DateTime<Utc>,
}

impl SingleResponse<'_> {
    fn encode(&self) -> Vec<u8> {
        let parts: [&[u8]; 4] = [
            self.certificate.der(),
            &self.status.encode(),
            // RFC 9919 §3.2.4: in Zulu, with seconds, without fractions of them.
            &encode_generalized_time(self.this_update),
            &der::wrap(tag::CONTEXT_0, &encode_generalized_time(self.next_update)),
        ];
        der::wrap_parts(tag::SEQUENCE, &parts)
    }
}

/// Encodes the ResponseData to be signed. `key_hash` is the SHA-1 of the content of the responder's subjectPublicKey.
///
/// ```asn1
/// ResponseData ::= SEQUENCE {
///   version             [0] EXPLICIT Version DEFAULT v1,
///   responderID             ResponderID,
///   producedAt              GeneralizedTime,
///   responses               SEQUENCE OF SingleResponse,
///   responseExtensions  [1] EXPLICIT Extensions
///                               {{ re-ocsp-nonce |
///                                  re-ocsp-extended-revoke,
///                                  ... }} OPTIONAL }
///
/// ResponderID ::= CHOICE {
///   byName   [1] Name,
///   byKey    [2] KeyHash }
/// ```
pub fn encode_response_data(
    key_hash: &[u8; 20],
    produced_at: DateTime<Utc>,
    responses: &[SingleResponse<'_>],
    nonce: Option<&[u8]>,
) -> Vec<u8> {
    // RFC 9919 §3.2.2: the responder is named by its key.
    let responder = der::wrap(tag::CONTEXT_2, &der::wrap(tag::OCTET_STRING, key_hash));
    let responses: Vec<u8> = responses.iter().flat_map(SingleResponse::encode).collect();
    let extensions = nonce.map_or(vec![], |nonce| der::wrap(tag::CONTEXT_1, &encode_nonce(nonce)));
    let parts: [&[u8]; 4] =
        [&responder, &encode_generalized_time(produced_at), &der::wrap(tag::SEQUENCE, &responses), &extensions];
    der::wrap_parts(tag::SEQUENCE, &parts)
}

/// Encodes the answer: the ResponseData is copied, never encoded again.
///
/// ```asn1
/// OCSPResponse ::= SEQUENCE {
///   responseStatus       OCSPResponseStatus,
///   responseBytes    [0] EXPLICIT ResponseBytes OPTIONAL }
///
/// BasicOCSPResponse ::= SEQUENCE {
///   tbsResponseData      ResponseData,
///   signatureAlgorithm   AlgorithmIdentifier
///                            { SIGNATURE-ALGORITHM,
///                                { sa-dsaWithSHA1 |
///                                  sa-rsaWithSHA1 |
///                                  sa-rsaWithMD5  |
///                                  sa-rsaWithMD2,
///                                  ... }},
///   signature            BIT STRING,
///   certs            [0] EXPLICIT SEQUENCE OF
///                        Certificate OPTIONAL }
/// ```
pub fn encode_response(
    data_der: &[u8],
    algorithm: &AlgorithmIdentifier,
    signature: &[u8],
    responder_certificate: &[u8],
) -> Vec<u8> {
    let signature = der::encode(&BitString::from_slice(signature));
    let certificates = der::wrap(tag::CONTEXT_0, &der::wrap(tag::SEQUENCE, responder_certificate));
    let basic = der::wrap_parts(tag::SEQUENCE, &[data_der, algorithm.der(), &signature, &certificates]);
    let bytes = [oid::OCSP_BASIC.encode(), der::wrap(tag::OCTET_STRING, &basic)].concat();
    let status = der::wrap(tag::ENUMERATED, &[OcspResponseStatus::Successful as u8]);
    let bytes = der::wrap(tag::CONTEXT_0, &der::wrap(tag::SEQUENCE, &bytes));
    der::wrap_parts(tag::SEQUENCE, &[&status, &bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_answered_has_its_number() {
        assert_eq!(encode_error(OcspResponseStatus::MalformedRequest), [0x30, 3, 0x0a, 1, 1]);
        assert_eq!(encode_error(OcspResponseStatus::Unauthorized), [0x30, 3, 0x0a, 1, 6]);
    }

    #[test]
    fn every_status_has_its_tag() {
        let at = "2026-06-01T12:00:00.9Z".parse().unwrap();
        assert_eq!(CertStatus::Good.encode(), [0x80, 0]);
        assert_eq!(CertStatus::Unknown.encode(), [0x82, 0]);
        let revoked = |reason| CertStatus::Revoked { at, reason }.encode();
        assert_eq!(revoked(CrlReason::Unspecified), b"\xa1\x11\x18\x0f20260601120000Z");
        assert_eq!(revoked(CrlReason::CertificateHold), b"\xa1\x16\x18\x0f20260601120000Z\xa0\x03\x0a\x01\x06");
    }
}
