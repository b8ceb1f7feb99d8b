//! The examples of the RFCs, and requests that are wrong in exactly one way.

use std::fs;
use std::path::PathBuf;

use estd_asn1::csr_attrs::{self, AttrOrOid};
use estd_asn1::general_name::HardwareModuleName;
use estd_asn1::ocsp_request::{self, OcspRequest};
use estd_asn1::ocsp_response::{CertStatus, SingleResponse, encode_response, encode_response_data};
use estd_asn1::pkcs10::{Deviation, RequestLimits, encode_certification_request};
use estd_asn1::{
    AlgorithmIdentifier, Certificate, CertificationRequest, DecodeError, GeneralName, Oid, certs_only, der, oid,
};

fn vector(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/{name}.der"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn constructed(name: &str) -> Vec<u8> {
    vector(&format!("constructed/{name}"))
}

fn request(der: &[u8]) -> Result<CertificationRequest, DecodeError> {
    CertificationRequest::decode(der, &RequestLimits::default())
}

#[test]
fn requests_of_the_rfcs_are_read() {
    let a3 = request(&vector("rfc7030-A3-simpleenroll-req-csr")).unwrap();
    assert_eq!(a3.signature_algorithm().oid(), &oid::SHA1_WITH_RSA);
    assert_eq!(a3.challenge_password().map(str::len), Some(16));

    request(&vector("rfc7030-A4-serverkeygen-req-csr")).unwrap();
    request(&vector("rfc9148-A3-skg-req-csr")).unwrap();

    let device = request(&vector("rfc9148-A2-sen-req-csr")).unwrap();
    let [GeneralName::OtherName { type_id, value }] = device.subject_alt_names() else {
        panic!("{:?}", device.subject_alt_names());
    };
    assert_eq!(*type_id, oid::HARDWARE_MODULE_NAME);
    let module = HardwareModuleName::decode(value).unwrap();
    assert_eq!(module.encode(), *value);
}

/// P10-01: what is read keeps its bytes, so that a signature can be verified over them.
#[test]
fn accepted_requests_keep_their_bytes() {
    for name in [
        "csr-ok-p256",
        "csr-ok-no-attrs-empty-set",
        "csr-attrs-omitted",
        "csr-attrs-unsorted-BER-set",
        "csr-bad-signature",
        "csr-empty-subject-with-san",
        "csr-empty-subject-no-san",
        "csr-challenge-bogus-12",
        "csr-challenge-bogus-32",
        "csr-challenge-not-base64",
        "csr-challenge-utf8",
        "csr-requests-ca-true",
        "csr-requests-cmcRA-eku",
        "csr-changeSubjectName",
        "csr-skg-decryptKeyIdentifier",
        "csr-skg-asymmDecryptKeyID",
        "csr-skg-decryptkey-no-smimecaps",
        "csr-estIdentityLinking-bogus",
    ] {
        let der = constructed(name);
        let decoded = request(&der).unwrap_or_else(|error| panic!("{name}: {error}"));
        let info = decoded.info_der();
        let copy = encode_certification_request(info, decoded.signature_algorithm(), decoded.signature());
        assert_eq!(copy, der, "{name}");
        assert!(info.windows(decoded.public_key().der().len()).any(|window| window == decoded.public_key().der()));
        assert!(info.windows(decoded.subject().der().len()).any(|window| window == decoded.subject().der()));
    }
}

/// P10-01, P10-03: each is refused for its own reason.
#[test]
fn refused_requests_name_their_fault() {
    for (name, error) in [
        ("csr-bad-version-1", DecodeError::Version { what: "CertificationRequest" }),
        ("csr-trailing-data", DecodeError::TrailingData { expected: 266, actual: 268 }),
        ("csr-truncated", DecodeError::Truncated { offset: 0 }),
        ("csr-challenge-two-values", DecodeError::Duplicate { what: "challengePassword value" }),
        ("csr-challenge-256chars", DecodeError::Text { what: "challengePassword" }),
        ("csr-two-extensionRequest", DecodeError::Duplicate { what: "attribute of one type" }),
        ("csr-duplicate-extension", DecodeError::Duplicate { what: "extension of one type" }),
        ("csr-deep-nesting", DecodeError::TooDeep { limit: der::MAX_DEPTH }),
    ] {
        assert_eq!(request(&constructed(name)).unwrap_err(), error, "{name}");
    }
}

/// P10-02: an empty set of attributes is normal, an omitted one is told apart, and so is what else no standard allows.
#[test]
fn what_no_standard_allows_is_told() {
    let omitted = request(&constructed("csr-attrs-omitted")).unwrap();
    assert!(omitted.attributes().is_empty());
    for (name, deviations) in [
        ("csr-attrs-omitted", &[Deviation::OmittedAttributes][..]),
        ("csr-ok-no-attrs-empty-set", &[]),
        ("csr-ok-p256", &[]),
        ("csr-challenge-utf8", &[]),
        ("csr-attrs-unsorted-BER-set", &[Deviation::UnsortedSet]),
    ] {
        assert_eq!(request(&constructed(name)).unwrap().deviations(), deviations, "{name}");
    }
    assert_eq!(request(&vector("rfc7030-A3-simpleenroll-req-csr")).unwrap().deviations(), []);
}

#[test]
fn attributes_of_a_request_are_understood() {
    let ok = request(&constructed("csr-ok-p256")).unwrap();
    assert_eq!(ok.public_key().algorithm().oid(), &oid::EC_PUBLIC_KEY);
    assert_eq!(ok.public_key().algorithm().parameters(), Some(oid::SECP256R1.encode().as_slice()));
    assert!(matches!(ok.subject_alt_names(), [GeneralName::DnsName(_)]));
    assert_eq!(ok.challenge_password(), None);

    let ca = request(&constructed("csr-requests-ca-true")).unwrap();
    assert!(ca.extension_request().iter().any(|extension| extension.oid == oid::BASIC_CONSTRAINTS));

    assert!(request(&constructed("csr-empty-subject-with-san")).unwrap().subject().is_empty());
    let rename = request(&constructed("csr-changeSubjectName")).unwrap();
    assert!(rename.attributes().iter().any(|attribute| attribute.oid == oid::CHANGE_SUBJECT_NAME));
    assert!(request(&constructed("csr-challenge-utf8")).unwrap().challenge_password().is_some());
}

#[test]
fn a_request_in_debug_form_holds_no_password() {
    let der = constructed("csr-challenge-bogus-12");
    let decoded = request(&der).unwrap();
    let shown = format!("{decoded:?}");
    assert!(!shown.contains(decoded.challenge_password().unwrap()), "{shown}");
    assert!(!shown.contains("attributes"), "{shown}");
}

/// CMS-02, CMS-05: the replies of the RFCs are read and their certificates leave bit for bit. Ours are two octets shorter: the
/// RFCs' have an empty, optional crls field.
#[test]
fn certs_only_messages_of_the_rfcs_are_read() {
    for name in [
        "rfc7030-A3-simpleenroll-resp",
        "rfc7030-A4-serverkeygen-resp-certs",
        "rfc9148-A1-crts-resp",
        "rfc9148-A2-sen-resp",
        "rfc9148-A3-skg-resp-certs",
    ] {
        let received = vector(name);
        let certificates = certs_only::decode(&received, 1).unwrap_or_else(|error| panic!("{name}: {error}"));
        let [certificate] = certificates.as_slice() else { panic!("{name}: one certificate") };
        let tail = [certificate, [0xa1, 0x00, 0x31, 0x00].as_slice()].concat();
        assert!(received.ends_with(&tail), "{name}");

        let message = certs_only::encode([certificate.as_slice()]);
        assert!(message.ends_with(&[certificate, [0x31, 0x00].as_slice()].concat()), "{name}");
        assert_eq!(message.len() + 2, received.len(), "{name}");
        assert_eq!(certs_only::decode(&message, 1).unwrap(), certificates, "{name}");
    }
}

/// CMS-04: several certificates leave sorted, and arrive in any order.
#[test]
fn certs_only_messages_are_sorted() {
    let a1 = vector("rfc7030-A1-cacerts-resp");
    let received = certs_only::decode(&a1, 4).unwrap();
    let mut sorted = received.clone();
    sorted.sort();
    assert_ne!(received, sorted);
    assert_eq!(certs_only::decode(&a1, 3), Err(DecodeError::TooMany { what: "certificates", limit: 3 }));

    let message = certs_only::encode(received.iter().map(Vec::as_slice));
    assert_eq!(message.len() + 2, a1.len());
    assert_eq!(certs_only::decode(&message, 4).unwrap(), sorted);
}

#[test]
fn certificates_of_the_rfcs_are_read() {
    for name in
        ["rfc7030-A1-cacerts-resp", "rfc7030-A3-simpleenroll-resp", "rfc9148-A1-crts-resp", "rfc9148-A2-sen-resp"]
    {
        for der in certs_only::decode(&vector(name), 4).unwrap() {
            let certificate = Certificate::decode(&der).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(certificate.der(), der);
            assert_eq!(certificate.version(), 3);
            certificate.basic_constraints().unwrap();
            certificate.key_usage().unwrap();
            certificate.ext_key_usage().unwrap();
            certificate.subject_alt_names(9).unwrap();
            certificate.subject_key_identifier().unwrap();
            certificate.authority_key_identifier().unwrap();
        }
    }
}

#[test]
fn csr_attrs_round_trip() {
    for name in [
        "rfc7030-4.5.2-csrattrs-example",
        "rfc7030-A2-csrattrs-resp",
        "rfc9148-A4-att-resp",
        "rfc9908-5.1-acp-san",
        "rfc9908-5.2-rfc7030-revised",
        "rfc9908-5.3-as-published",
        "rfc9908-5.4-rsa4096",
        "rfc9908-5.5-p384",
        "rfc9908-5.6-p521-attrs",
        "constructed/csrattrs-empty",
        "constructed/csrattrs-rfc9908-5.3-intended",
        "constructed/csrattrs-critemplate-rfc9908-3.4",
        "constructed/csrattrs-coexist-legacy+template",
        "constructed/csrattrs-ec-p256-sha256-pop",
        "constructed/csrattrs-rfc7894-linking",
        "constructed/csrattrs-bad-two-extreq",
        "constructed/csrattrs-bad-attr-empty-set",
    ] {
        let der = vector(name);
        let attrs = csr_attrs::decode(&der, 16).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(csr_attrs::encode(&attrs), der, "{name}");
        if let Some(limit) = attrs.len().checked_sub(1) {
            assert_eq!(csr_attrs::decode(&der, limit), Err(DecodeError::TooMany { what: "CsrAttrs", limit }));
        }
    }
}

#[test]
fn csr_attrs_are_understood() {
    let der = constructed("csrattrs-ec-p256-sha256-pop");
    let attrs = csr_attrs::decode(&der, 16).unwrap();
    let oids: Vec<&Oid> = attrs
        .iter()
        .map(|attr| match attr {
            AttrOrOid::Oid(oid) => oid,
            AttrOrOid::Attribute(attribute) => &attribute.oid,
        })
        .collect();
    assert_eq!(oids, [&oid::CHALLENGE_PASSWORD, &oid::EC_PUBLIC_KEY, &oid::ECDSA_WITH_SHA256]);
    assert!(matches!(&attrs[1], AttrOrOid::Attribute(attribute) if attribute.values == [oid::SECP256R1.encode()]));
}

/// RFC 9919 appendix B: the request is read, and the answer to it is written octet for octet.
#[test]
fn an_ocsp_request_is_answered_as_the_rfc_does() {
    let bytes = vector("rfc9919-B4-ocsp-request");
    let request = OcspRequest::decode(&bytes, 1).unwrap();
    let [certificate] = &*request.certificates else { panic!("{:?}", request.certificates) };
    assert_eq!(*certificate.hash_algorithm(), oid::SHA256);
    assert_eq!(certificate.serial(), [0x01, 0xaa, 0xf0, 0x0d]);
    assert_eq!(ocsp_request::encode(&request.certificates, None), bytes);

    let response = vector("rfc9919-B5-ocsp-response");
    // The responder's certificate ends it, the signature stands before that.
    let responder = &response[response.len() - 591..];
    let responder = Certificate::decode(responder).unwrap();
    let key_hash = responder.subject_key_identifier().unwrap().unwrap().try_into().unwrap();
    let time = |text: &str| text.parse().unwrap();
    let single = SingleResponse {
        certificate,
        status: CertStatus::Good,
        this_update: time("2024-04-03T12:37:47Z"),
        next_update: time("2024-04-10T12:37:47Z"),
    };
    let data = encode_response_data(&key_hash, time("2024-04-02T12:37:47Z"), &[single], None);
    let algorithm = AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA384, None);
    let signature = &response[228..][..104];
    assert_eq!(encode_response(&data, &algorithm, signature, responder.der()), response);
}
