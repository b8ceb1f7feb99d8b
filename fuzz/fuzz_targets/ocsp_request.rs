//! OCSP requests: what is let in names certificates bit for bit as sent, few enough, and asks for what can be answered.

#![no_main]

use estd_asn1::ocsp_request::{self, CertId, NONCE_OCTETS, OcspRequest};
use estd_asn1::ocsp_response::{self, CertStatus, SingleResponse};
use estd_asn1::{DecodeError, der};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 16;

fuzz_target!(|request: &[u8]| {
    let Ok(decoded) = OcspRequest::decode(request, LIMIT) else { return };
    let OcspRequest { certificates, nonce } = &decoded;
    assert!((1..=LIMIT).contains(&certificates.len()));
    for certificate in certificates {
        assert!(request.windows(certificate.der().len()).any(|part| part == certificate.der()), "bit for bit");
        der::check(certificate.der()).expect("DER within DER");
    }
    if let Some(nonce) = nonce {
        assert!(NONCE_OCTETS.contains(&nonce.len()));
        assert!(request.windows(nonce.len()).any(|part| part == nonce));
    }
    let limit = certificates.len() - 1;
    let refused = OcspRequest::decode(request, limit);
    assert!(matches!(refused, Err(DecodeError::TooMany { .. })), "{refused:?}");
    // A request of our own for the same reads the same.
    let again = ocsp_request::encode(certificates, nonce.as_deref());
    assert_eq!(OcspRequest::decode(&again, LIMIT).as_ref(), Ok(&decoded));
    is_answered_in_der(certificates, nonce.as_deref());
});

/// What a client sent stands in the answer, and the answer is DER all the same.
fn is_answered_in_der(certificates: &[CertId], nonce: Option<&[u8]>) {
    let at = chrono::DateTime::UNIX_EPOCH;
    let single = |certificate| SingleResponse { certificate, status: CertStatus::Unknown, this_update: at, next_update: at };
    let responses: Vec<_> = certificates.iter().map(single).collect();
    let data = ocsp_response::encode_response_data(&[7; 20], at, &responses, nonce);
    der::check(&data).expect("DER");
}
