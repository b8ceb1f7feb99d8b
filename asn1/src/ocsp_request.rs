//! OCSP requests (RFC 6960 section 4.1), which anybody may send.

use rasn::prelude::*;

use crate::der::{self, tag};
use crate::{AlgorithmIdentifier, DecodeError, Extension, Oid, extension, oid};

/// Most extensions of a request, and of each certificate in it.
const MAX_EXTENSIONS: usize = 8;

/// Octets of a nonce that are let in (RFC 9654 section 2.1).
pub const NONCE_OCTETS: std::ops::RangeInclusive<usize> = 1..=128;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspRequest {
    /// The certificates whose status is asked for, at least one.
    pub certificates: Vec<CertId>,
    /// What ties the answer to this request.
    pub nonce: Option<Vec<u8>>,
}

impl OcspRequest {
    /// Strictly decodes a request for at most `limit` certificates. A signature and the name of who asks are not looked
    /// at; extensions that are not known are ignored unless they are critical.
    ///
    /// # Errors
    /// When the bytes are not the DER of an OCSPRequest, ask for too much or demand what is not known.
    pub fn decode(der: &[u8], limit: usize) -> Result<Self, DecodeError> {
        let outer: OcspRequestWire = der::decode("OCSPRequest", der)?;
        let tbs: TbsRequestWire = der::decode_checked("TBSRequest", outer.tbs_request.as_bytes())?;
        if tbs.version != V1 {
            return Err(DecodeError::Version { what: "OCSPRequest" });
        }
        let certificates = der::elements("certificates in an OCSPRequest", tbs.request_list.as_bytes(), limit)?;
        let certificates = certificates.iter().map(decode_request).collect::<Result<_, _>>()?;
        let extensions = decode_extensions(tbs.request_extensions.as_ref())?;
        let mut nonce = None;
        for extension in extensions {
            match extension.oid {
                oid if oid == oid::OCSP_NONCE => nonce = Some(decode_nonce(&extension.value)?),
                // RFC 6960 §4.4.3: a basic response is always acceptable, and there is no other kind here.
                oid if oid == oid::OCSP_RESPONSE => {}
                // RFC 6960 §4.4: "Unrecognized extensions MUST be ignored (unless they have the critical flag set …)".
                oid if extension.critical => return Err(DecodeError::UnknownCritical { oid }),
                _ => {}
            }
        }
        Ok(Self { certificates, nonce })
    }
}

fn decode_request(element: &Any) -> Result<CertId, DecodeError> {
    let request: RequestWire = der::decode_checked("Request", element.as_bytes())?;
    for Extension { oid, critical, .. } in decode_extensions(request.single_request_extensions.as_ref())? {
        if critical {
            return Err(DecodeError::UnknownCritical { oid });
        }
    }
    CertId::decode_checked(request.req_cert.as_bytes())
}

fn decode_extensions(extensions: Option<&Any>) -> Result<Vec<Extension>, DecodeError> {
    extensions.map_or(Ok(Vec::new()), |extensions| extension::decode_extensions(extensions.as_bytes(), MAX_EXTENSIONS))
}

/// ```asn1
/// Nonce ::= OCTET STRING (SIZE(1..128))
/// ```
fn decode_nonce(value: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let what = "Nonce";
    match der::parts(value) {
        // RFC 9654 §2.1: a nonce of 0 octets or more than 128 makes the request malformed.
        Some((tag::OCTET_STRING, nonce)) if NONCE_OCTETS.contains(&nonce.len()) => Ok(nonce.to_vec()),
        _ => Err(DecodeError::Malformed { what }),
    }
}

/// Names a certificate by hashes of its issuer's name and key, and its serial number.
///
/// ```asn1
/// CertID ::= SEQUENCE {
///    hashAlgorithm   AlgorithmIdentifier
///                        { DIGEST-ALGORITHM, {...}},
///    issuerNameHash  OCTET STRING, -- Hash of issuer's DN
///    issuerKeyHash   OCTET STRING, -- Hash of issuer's public key
///    serialNumber    CertificateSerialNumber }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertId {
    der: Vec<u8>,
    hash_algorithm: Oid,
    issuer_name_hash: Vec<u8>,
    issuer_key_hash: Vec<u8>,
    serial: Vec<u8>,
}

impl CertId {
    /// Builds one. `serial` is the content of the INTEGER.
    pub fn new(hash_algorithm: Oid, issuer_name_hash: &[u8], issuer_key_hash: &[u8], serial: &[u8]) -> Self {
        let algorithm = AlgorithmIdentifier::new(hash_algorithm.clone(), Some(NULL));
        let octets = |octets| der::wrap(tag::OCTET_STRING, octets);
        let parts: [&[u8]; 4] =
            [algorithm.der(), &octets(issuer_name_hash), &octets(issuer_key_hash), &der::wrap(tag::INTEGER, serial)];
        Self {
            der: der::wrap_parts(tag::SEQUENCE, &parts),
            hash_algorithm,
            issuer_name_hash: issuer_name_hash.to_vec(),
            issuer_key_hash: issuer_key_hash.to_vec(),
            serial: serial.to_vec(),
        }
    }

    fn decode_checked(der: &[u8]) -> Result<Self, DecodeError> {
        let wire: CertIdWire = der::decode_checked("CertID", der)?;
        let algorithm = AlgorithmIdentifier::decode_checked(wire.hash_algorithm.as_bytes())?;
        // RFC 5754 §2: the parameters of a digest are absent or NULL.
        if algorithm.parameters().is_some_and(|parameters| parameters != NULL) {
            return Err(DecodeError::Malformed { what: "CertID" });
        }
        let Some((tag::INTEGER, serial)) = der::parts(wire.serial_number.as_bytes()) else {
            return Err(DecodeError::Malformed { what: "CertificateSerialNumber" });
        };
        Ok(Self {
            der: der.to_vec(),
            hash_algorithm: algorithm.oid().clone(),
            issuer_name_hash: wire.issuer_name_hash.to_vec(),
            issuer_key_hash: wire.issuer_key_hash.to_vec(),
            serial: serial.to_vec(),
        })
    }

    /// The exact DER, as it is repeated in the answer.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The digest that the hashes are of.
    pub fn hash_algorithm(&self) -> &Oid {
        &self.hash_algorithm
    }

    /// The digest of the issuer's Name.
    pub fn issuer_name_hash(&self) -> &[u8] {
        &self.issuer_name_hash
    }

    /// The digest of the content of the issuer's subjectPublicKey.
    pub fn issuer_key_hash(&self) -> &[u8] {
        &self.issuer_key_hash
    }

    /// Content octets of the serial number.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }
}

/// Encodes a request, for tests and for who asks other responders.
pub fn encode(certificates: &[CertId], nonce: Option<&[u8]>) -> Vec<u8> {
    let requests: Vec<u8> =
        certificates.iter().flat_map(|certificate| der::wrap(tag::SEQUENCE, certificate.der())).collect();
    let extensions = nonce.map_or(vec![], |nonce| der::wrap(tag::CONTEXT_2, &encode_nonce(nonce)));
    let tbs = der::wrap_parts(tag::SEQUENCE, &[&der::wrap(tag::SEQUENCE, &requests), &extensions]);
    der::wrap(tag::SEQUENCE, &tbs)
}

/// The Extensions with a nonce alone.
pub(crate) fn encode_nonce(nonce: &[u8]) -> Vec<u8> {
    let value = der::wrap(tag::OCTET_STRING, nonce);
    extension::encode_extensions(&[Extension { oid: oid::OCSP_NONCE, critical: false, value }])
}

/// v1
const V1: u64 = 0;

/// DER of NULL.
const NULL: &[u8] = &[0x05, 0x00];

/// ```asn1
/// OCSPRequest ::= SEQUENCE {
///    tbsRequest             TBSRequest,
///    optionalSignature  [0] EXPLICIT Signature OPTIONAL }
/// ```
#[derive(AsnType, Decode, Encode)]
struct OcspRequestWire {
    tbs_request: Any,
    #[rasn(tag(explicit(0)))]
    optional_signature: Option<Any>,
}

/// ```asn1
/// TBSRequest ::= SEQUENCE {
///    version            [0] EXPLICIT Version DEFAULT v1,
///    requestorName      [1] EXPLICIT GeneralName OPTIONAL,
///    requestList             SEQUENCE OF Request,
///    requestExtensions  [2] EXPLICIT Extensions
///                           {{ re-ocsp-nonce | re-ocsp-response |
///                           re-ocsp-preferred-signature-algorithms,
///                           ... }} OPTIONAL }
/// ```
#[derive(AsnType, Decode, Encode)]
struct TbsRequestWire {
    #[rasn(tag(explicit(0)), default)]
    version: u64,
    #[rasn(tag(explicit(1)))]
    requestor_name: Option<Any>,
    request_list: Any,
    #[rasn(tag(explicit(2)))]
    request_extensions: Option<Any>,
}

/// ```asn1
/// Request ::= SEQUENCE {
///    reqCert                      CertID,
///    singleRequestExtensions  [0] EXPLICIT Extensions
///                                 {{ re-ocsp-service-locator,
///                                 ... }} OPTIONAL }
/// ```
#[derive(AsnType, Decode, Encode)]
struct RequestWire {
    req_cert: Any,
    #[rasn(tag(explicit(0)))]
    single_request_extensions: Option<Any>,
}

#[derive(AsnType, Decode, Encode)]
struct CertIdWire {
    hash_algorithm: Any,
    issuer_name_hash: OctetString,
    issuer_key_hash: OctetString,
    serial_number: Any,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(serial: u8) -> CertId {
        CertId::new(oid::SHA1, &[1; 20], &[2; 20], &[serial])
    }

    fn with_extensions(extensions: &[Extension]) -> Vec<u8> {
        let list = der::wrap(tag::SEQUENCE, &der::wrap(tag::SEQUENCE, certificate(1).der()));
        let extensions = der::wrap(tag::CONTEXT_2, &extension::encode_extensions(extensions));
        der::wrap(tag::SEQUENCE, &der::wrap_parts(tag::SEQUENCE, &[&list, &extensions]))
    }

    #[test]
    fn a_request_reads_as_it_was_written() {
        let certificates = [certificate(1), CertId::new(oid::SHA256, &[3; 32], &[4; 32], &[0x7f, 1])];
        for nonce in [None, Some(&[7; 32][..])] {
            let request = OcspRequest::decode(&encode(&certificates, nonce), 2).unwrap();
            assert_eq!(request.certificates, certificates);
            assert_eq!(request.nonce.as_deref(), nonce);
        }
    }

    #[test]
    fn a_request_asks_for_one_certificate_at_least_and_for_so_many_at_most() {
        let of = |count| OcspRequest::decode(&encode(&vec![certificate(1); count], None), 3);
        assert!(of(0).is_err());
        assert_eq!(of(3).unwrap().certificates.len(), 3);
        assert_eq!(of(4), Err(DecodeError::TooMany { what: "certificates in an OCSPRequest", limit: 3 }));
    }

    #[test]
    fn a_nonce_has_1_to_128_octets() {
        for (octets, fits) in [(0, false), (1, true), (32, true), (33, true), (128, true), (129, false)] {
            let request = OcspRequest::decode(&encode(&[certificate(1)], Some(&vec![7; octets])), 1);
            assert_eq!(
                request.map(|request| request.nonce.map(|nonce| nonce.len())).ok(),
                fits.then_some(Some(octets))
            );
        }
        // As clients before RFC 6960 sent it: not an OCTET STRING of its own.
        let bare = Extension { oid: oid::OCSP_NONCE, critical: false, value: vec![7; 16] };
        assert!(OcspRequest::decode(&with_extensions(&[bare]), 1).is_err());
    }

    #[test]
    fn what_is_not_known_is_ignored_unless_it_is_critical() {
        let of = |critical| Extension { oid: Oid::new_static(&[1, 2, 3]), critical, value: vec![5, 0] };
        assert!(OcspRequest::decode(&with_extensions(&[of(false)]), 1).is_ok());
        let refused = OcspRequest::decode(&with_extensions(&[of(true)]), 1);
        assert_eq!(refused, Err(DecodeError::UnknownCritical { oid: Oid::new_static(&[1, 2, 3]) }));
    }

    #[test]
    fn a_version_that_is_not_the_first_or_is_written_out_is_refused() {
        let list = der::wrap(tag::SEQUENCE, &der::wrap(tag::SEQUENCE, certificate(1).der()));
        for version in [0, 1] {
            let version = der::wrap(tag::CONTEXT_0, &[tag::INTEGER, 1, version]);
            let tbs = der::wrap_parts(tag::SEQUENCE, &[&version, &list]);
            assert!(OcspRequest::decode(&der::wrap(tag::SEQUENCE, &tbs), 1).is_err());
        }
    }
}
