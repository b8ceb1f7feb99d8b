//! Certification requests: whatever decodes keeps the bytes that were signed, stays within its limits, and proves
//! possession only when a second implementation agrees.

#![no_main]

use estd::pki::public_key::{KeyPolicy, PublicKey};
use estd::pki::request::VerifiedRequest;
use estd_asn1::pkcs10::{
    Deviation, MAX_ATTRIBUTE_VALUES, MAX_CHALLENGE_PASSWORD, RequestLimits, encode_certification_request,
};
use estd_asn1::{CertificationRequest, DecodeError, Name, SubjectPublicKeyInfo, extension, general_name, name, oid};
use estd_fuzz::possession;
use estd_fuzz::tlv::Signed;
use libfuzzer_sys::fuzz_target;

/// Far below the default, so that small inputs come near them.
const TIGHT: RequestLimits =
    RequestLimits { max_attributes: 2, max_extensions: 2, max_rdns: 2, max_subject_alt_names: 2 };

fuzz_target!(|der: &[u8]| {
    let limits = RequestLimits::default();
    let decoded = CertificationRequest::decode(der, &limits);
    let verified = VerifiedRequest::verify(der, &limits, &KeyPolicy::default());
    let Ok(request) = &decoded else {
        assert!(verified.is_err(), "what does not decode is not verified");
        return;
    };
    keeps_what_was_signed(der, request);
    stays_within(request, &limits);
    limits_are_exact(der, request);
    names_are_shown_safely(request);
    assert_eq!(SubjectPublicKeyInfo::decode(request.public_key().der()).as_ref(), Ok(request.public_key()));
    let _ = PublicKey::check(request.public_key(), &KeyPolicy::any_sound());
    if verified.is_ok() {
        assert!(possession::is_proven(der), "possession that only one implementation sees");
    }
});

fn keeps_what_was_signed(der: &[u8], request: &CertificationRequest) {
    let signed = Signed::read(der).expect("three values in one");
    assert_eq!(request.info_der(), signed.content.whole);
    assert_eq!(request.signature_algorithm().der(), signed.algorithm.whole);
    assert_eq!(request.signature(), signed.signature);
    let info = signed.content.elements().expect("values in a SEQUENCE");
    assert_eq!(request.subject().der(), info[1].whole);
    assert_eq!(request.public_key().der(), info[2].whole);
    let whole = encode_certification_request(request.info_der(), request.signature_algorithm(), request.signature());
    assert_eq!(whole, der, "one encoding to one request");
    let subject = Name::from_rdns(request.subject().rdns());
    assert_eq!(subject.der(), request.subject().der(), "one encoding to one name");
    let asked = [oid::EXTENSION_REQUEST, oid::MS_EXTENSION_REQUEST];
    if let Some(asked) = request.attributes().iter().find(|attribute| asked.contains(&attribute.oid)) {
        let extensions = extension::encode_extensions(request.extension_request());
        assert_eq!(asked.values, [extensions], "one encoding to one list of extensions");
    }
}

fn stays_within(request: &CertificationRequest, limits: &RequestLimits) {
    assert!(is_within(request, limits));
    assert!(request.subject().rdns().iter().all(|rdn| (1..=name::MAX_RDN_ATTRIBUTES).contains(&rdn.len())));
    let mut types: Vec<_> = request.attributes().iter().map(|attribute| &attribute.oid).collect();
    types.sort();
    types.dedup();
    assert_eq!(types.len(), request.attributes().len(), "an attribute of one type once");
    for attribute in request.attributes() {
        assert!((1..=MAX_ATTRIBUTE_VALUES).contains(&attribute.values.len()));
    }
    if let Some(password) = request.challenge_password() {
        assert!((1..=MAX_CHALLENGE_PASSWORD).contains(&password.chars().count()));
    }
}

fn is_within(request: &CertificationRequest, limits: &RequestLimits) -> bool {
    request.attributes().len() <= limits.max_attributes
        && request.extension_request().len() <= limits.max_extensions
        && request.subject().rdns().len() <= limits.max_rdns
        && request.subject_alt_names().len() <= limits.max_subject_alt_names
}

/// A limit refuses what is beyond it, and nothing else.
fn limits_are_exact(der: &[u8], request: &CertificationRequest) {
    match CertificationRequest::decode(der, &TIGHT) {
        Ok(again) => {
            assert!(is_within(request, &TIGHT));
            assert_eq!(again.info_der(), request.info_der());
            assert_eq!(again.attributes(), request.attributes());
            assert_eq!(again.extension_request(), request.extension_request());
            assert_eq!(again.subject_alt_names(), request.subject_alt_names());
        }
        Err(error) => {
            assert!(matches!(error, DecodeError::TooMany { limit: 2, .. }), "{error}");
            assert!(!is_within(request, &TIGHT));
        }
    }
    let info = Signed::read(der).and_then(|signed| signed.content.elements()).expect("values in a SEQUENCE");
    let omits = request.deviations().contains(&Deviation::OmittedAttributes);
    assert_eq!(omits, info.len() != 4, "RFC 2986 has four fields");
}

/// Names go into logs and answers: nothing in them may act on a terminal.
fn names_are_shown_safely(request: &CertificationRequest) {
    let subject = request.subject();
    assert_eq!(Name::decode(subject.der()).as_ref(), Ok(subject));
    assert!(subject.matches(subject));
    assert!(!subject.to_string().contains(char::is_control));
    for name in request.subject_alt_names() {
        assert!(name.matches(name));
        assert!(!name.to_string().contains(char::is_control));
    }
    let names = request.subject_alt_names();
    if !names.is_empty() {
        let encoded = general_name::encode_general_names(names);
        assert_eq!(general_name::decode_general_names(&encoded, names.len()).as_deref(), Ok(names));
    }
}
