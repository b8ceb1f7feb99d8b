//! Certs-only messages, and certificates on their own: whatever decodes keeps its bytes, and says the same when it is
//! encoded again.

#![no_main]

use estd_asn1::certificate::{MAX_EXTENSIONS, encode_certificate};
use estd_asn1::{Certificate, DecodeError, TbsCertificate, certs_only};
use estd_fuzz::tlv::{Signed, Tlv};
use libfuzzer_sys::fuzz_target;

/// Few, so that small inputs come near it.
const LIMIT: usize = 6;

fuzz_target!(|der: &[u8]| {
    if let Ok(certificate) = Certificate::decode(der) {
        judge_certificate(der, &certificate);
        let message = certs_only::encode([der]);
        assert_eq!(certs_only::decode(&message, 1), Ok(vec![der.to_vec()]));
    }
    if let Ok(certificates) = certs_only::decode(der, LIMIT) {
        judge_message(der, &certificates);
        for der in &certificates {
            if let Ok(certificate) = Certificate::decode(der) {
                judge_certificate(der, &certificate);
            }
        }
    }
});

fn judge_message(der: &[u8], certificates: &[Vec<u8>]) {
    let parts = signed_data(der).expect("a SignedData in a ContentInfo");
    let on_the_wire: Vec<_> = parts.certificates.iter().map(|certificate| certificate.whole).collect();
    assert_eq!(certificates, on_the_wire, "bit for bit, in wire order");

    if let Some(limit) = certificates.len().checked_sub(1) {
        let refused = certs_only::decode(der, limit);
        assert_eq!(refused, Err(DecodeError::TooMany { what: "certificates", limit }));
    }
    let mut sorted = certificates.to_vec();
    sorted.sort();
    let encoded = certs_only::encode(certificates.iter().map(Vec::as_slice));
    assert_eq!(certs_only::decode(&encoded, LIMIT).as_ref(), Ok(&sorted), "the same certificates");
    assert_eq!(certs_only::encode(sorted.iter().map(Vec::as_slice)), encoded, "in whatever order they are given");
    if !parts.has_crls && sorted == certificates {
        assert_eq!(encoded, der, "one encoding to one message");
    }
}

struct SignedData<'a> {
    certificates: Vec<Tlv<'a>>,
    has_crls: bool,
}

/// RFC 5652 section 5.1: version, digestAlgorithms, encapContentInfo, [0] certificates, [1] crls, signerInfos.
fn signed_data(der: &[u8]) -> Option<SignedData<'_>> {
    let info = Tlv::only(der)?.elements()?;
    let [_, content] = info.as_slice() else { return None };
    let elements = Tlv::only(content.content)?.elements()?;
    let tags: Vec<_> = elements.iter().map(|element| element.tag).collect();
    let has_crls = match tags.as_slice() {
        [0x02, 0x31, 0x30, 0xa0, 0x31] => false,
        [0x02, 0x31, 0x30, 0xa0, 0xa1, 0x31] => true,
        other => panic!("not a certs-only message: {other:02x?}"),
    };
    assert!(elements[1].content.is_empty() && elements[elements.len() - 1].content.is_empty(), "nobody signs it");
    Some(SignedData { certificates: elements[3].elements()?, has_crls })
}

fn judge_certificate(der: &[u8], certificate: &Certificate) {
    let signed = Signed::read(der).expect("three values in one");
    assert_eq!(certificate.der(), der);
    assert_eq!(certificate.tbs_der(), signed.content.whole);
    assert_eq!(certificate.signature(), signed.signature);
    let whole = encode_certificate(certificate.tbs_der(), certificate.signature_algorithm(), certificate.signature());
    assert_eq!(whole, der, "one encoding to one certificate");
    assert!(certificate.extensions().len() <= MAX_EXTENSIONS);
    assert!(!certificate.subject().to_string().contains(char::is_control));
    assert!(!certificate.issuer().to_string().contains(char::is_control));
    let _ = (certificate.basic_constraints(), certificate.key_usage(), certificate.ext_key_usage());
    let _ = (certificate.subject_key_identifier(), certificate.authority_key_identifier());
    if let Ok(names) = certificate.subject_alt_names(LIMIT) {
        assert!(names.len() <= LIMIT);
        assert!(names.iter().all(|name| !name.to_string().contains(char::is_control)));
    }
    says_the_same_again(certificate);
}

/// What is read out of a certificate, put into a new one, reads the same.
fn says_the_same_again(certificate: &Certificate) {
    let tbs = TbsCertificate {
        serial: certificate.serial(),
        signature: certificate.signature_algorithm(),
        issuer: certificate.issuer(),
        validity: certificate.validity(),
        subject: certificate.subject(),
        spki_der: certificate.public_key().der(),
        extensions: certificate.extensions(),
    };
    let again = encode_certificate(&tbs.encode(), certificate.signature_algorithm(), certificate.signature());
    let again = Certificate::decode(&again).expect("what was encoded decodes");
    assert_eq!(again.version(), 3);
    assert_eq!(again.serial(), certificate.serial());
    assert_eq!(again.issuer(), certificate.issuer());
    assert_eq!(again.validity(), certificate.validity());
    assert_eq!(again.subject(), certificate.subject());
    assert_eq!(again.public_key(), certificate.public_key());
    assert_eq!(again.extensions(), certificate.extensions());
}
