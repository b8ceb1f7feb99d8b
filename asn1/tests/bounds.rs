//! Hostile sizes are refused before they cost anything.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use estd_asn1::general_name::encode_general_names;
use estd_asn1::pkcs10::{RequestLimits, encode_certification_request, encode_certification_request_info};
use estd_asn1::{
    AlgorithmIdentifier, AttributeTypeAndValue, CertificationRequest, DecodeError, Extension, GeneralName, Name,
    SubjectPublicKeyInfo, oid,
};

/// Ten times what an unoptimised build takes, so that a slow machine passes and quadratic work does not.
const BUDGET: Duration = Duration::from_millis(500);

fn request(subject: &Name, extensions: &[Extension]) -> Vec<u8> {
    let key = AlgorithmIdentifier::new(oid::EC_PUBLIC_KEY, Some(&oid::SECP256R1.encode()));
    let spki = SubjectPublicKeyInfo::new(key, &[4; 65]);
    let info = encode_certification_request_info(subject, spki.der(), extensions);
    encode_certification_request(&info, &AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA256, None), &[0; 70])
}

fn subject_alt_names(count: usize) -> Vec<Extension> {
    let names: Vec<_> = (0..count).map(|index| GeneralName::DnsName(format!("host-{index}.example.com"))).collect();
    vec![Extension { oid: oid::SUBJECT_ALT_NAME, critical: false, value: encode_general_names(&names) }]
}

#[expect(clippy::disallowed_methods, reason = "a test of the time that decoding takes")]
fn refuse(der: &[u8]) -> DecodeError {
    let start = Instant::now();
    let error = CertificationRequest::decode(der, &RequestLimits::default()).unwrap_err();
    let elapsed = start.elapsed();
    assert!(elapsed < BUDGET, "{elapsed:?} for {} octets", der.len());
    error
}

#[test]
fn limits_are_inclusive() {
    let limits = RequestLimits::default();
    let at_limit = request(&Name::empty(), &subject_alt_names(limits.max_subject_alt_names));
    let decoded = CertificationRequest::decode(&at_limit, &limits).unwrap();
    assert_eq!(decoded.subject_alt_names().len(), limits.max_subject_alt_names);
    let over = request(&Name::empty(), &subject_alt_names(limits.max_subject_alt_names + 1));
    assert_eq!(refuse(&over), DecodeError::TooMany { what: "GeneralNames", limit: limits.max_subject_alt_names });
}

#[test]
fn five_thousand_names_are_refused_at_once() {
    let der = request(&Name::empty(), &subject_alt_names(5_000));
    assert!(matches!(refuse(&der), DecodeError::TooMany { .. }));
}

#[test]
fn ten_thousand_rdns_are_refused_at_once() {
    let rdn = vec![AttributeTypeAndValue::from_text(oid::AT_COMMON_NAME, "device").unwrap()];
    let der = request(&Name::from_rdns(&vec![rdn; 10_000]), &[]);
    assert!(matches!(refuse(&der), DecodeError::TooMany { .. }));
}

#[test]
fn twenty_thousand_values_are_refused_at_once() {
    let rdn = vec![AttributeTypeAndValue::from_text(oid::AT_COMMON_NAME, "device").unwrap(); 20_000];
    let der = request(&Name::from_rdns(&[rdn]), &[]);
    assert!(matches!(refuse(&der), DecodeError::TooMany { .. }));
}

#[test]
fn ten_thousand_extensions_are_refused_at_once() {
    let extension = Extension { oid: oid::SUBJECT_ALT_NAME, critical: false, value: vec![0x30, 0x00] };
    let der = request(&Name::empty(), &vec![extension; 10_000]);
    assert!(matches!(refuse(&der), DecodeError::TooMany { .. }));
}
