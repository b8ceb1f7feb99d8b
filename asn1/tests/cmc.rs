//! CMC messages that openssl signed, their like in CRMF, and those beyond the limits.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use estd_asn1::change_subject_name::ChangeSubjectName;
use estd_asn1::cmc::{
    self, AddExtensions, Control, ControlValue, LraPopWitness, ModCertTemplate, PkiData, PkiDataLimits, PkiResponse,
    RequestBody, TaggedContentInfo, TaggedRequest,
};
use estd_asn1::crmf::{self, CertTemplate, ProofOfPossession};
use estd_asn1::pkcs10::RequestLimits;
use estd_asn1::signed_message::{IssuerAndSerialNumber, MessageLimits, SignedMessage, SignerId};
use estd_asn1::{
    AlgorithmIdentifier, AttributeTypeAndValue, Certificate, CertificationRequest, DecodeError, Extension, GeneralName,
    Name, Oid, SubjectPublicKeyInfo, extension, general_name, oid,
};

const LIMITS: PkiDataLimits = PkiDataLimits {
    max_controls: 32,
    max_requests: 16,
    max_contents: 16,
    request: RequestLimits { max_attributes: 32, max_extensions: 32, max_rdns: 32, max_subject_alt_names: 32 },
};

/// Ten times what an unoptimised build takes.
const BUDGET: Duration = Duration::from_millis(500);

fn vector(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/constructed/{name}.der"));
    fs::read(path).unwrap()
}

fn signed(name: &str) -> SignedMessage {
    SignedMessage::decode(&vector(name), &MessageLimits { max_certificates: 7 }).unwrap()
}

fn name(text: &str) -> Name {
    Name::from_rdns(&[vec![AttributeTypeAndValue::from_text(oid::AT_COMMON_NAME, text).unwrap()]])
}

fn spki() -> SubjectPublicKeyInfo {
    let key = AlgorithmIdentifier::new(oid::EC_PUBLIC_KEY, Some(&oid::SECP256R1.encode()));
    SubjectPublicKeyInfo::new(key, &[4; 65])
}

#[test]
fn what_openssl_signs_is_read() {
    for (vector, key_id) in [("cmc-openssl-p256", false), ("cmc-openssl-p256-keyid", true), ("cmc-openssl-rsa", false)]
    {
        let message = signed(vector);
        assert_eq!(message.content_type, oid::PKI_DATA);
        let certificate = Certificate::decode(&message.certificates[0]).unwrap();
        let [signer] = message.signers.as_slice() else { panic!("one signer") };
        let expected = if key_id {
            SignerId::SubjectKeyIdentifier(certificate.subject_key_identifier().unwrap().unwrap())
        } else {
            let issuer = certificate.issuer().clone();
            SignerId::IssuerAndSerialNumber(IssuerAndSerialNumber { issuer, serial: certificate.serial().to_vec() })
        };
        assert_eq!(signer.id, expected);
        assert_eq!(signer.digest_algorithm.oid(), &oid::SHA256);
        assert_eq!((signer.attributes.message_digest().len(), signer.attributes.to_be_verified()[0]), (32, 0x31));
        assert!(signer.attributes.signing_time().is_some());

        let data = PkiData::decode(&message.content, &LIMITS).unwrap();
        let values: Vec<_> = data.controls.iter().map(|control| control.value.clone().unwrap()).collect();
        assert_eq!(
            values,
            [
                ControlValue::TransactionId(vec![2, 2, 0x12, 0x67]),
                ControlValue::SenderNonce(b"0123456789abcdef".to_vec()),
                ControlValue::DataReturn(b"kept for the client".to_vec()),
            ]
        );
        let [TaggedRequest { id: 4, body: RequestBody::Pkcs10(request), .. }] = data.requests.as_slice() else {
            panic!("{:?}", data.requests)
        };
        assert_eq!(*CertificationRequest::decode(request, &LIMITS.request).unwrap().subject(), name("SN-0001"));
    }
}

#[test]
fn a_signed_message_has_what_its_signature_rests_on() {
    let good = vector("cmc-openssl-p256");
    let limits = MessageLimits { max_certificates: 1 };
    let position = |part: &[u8]| good.windows(part.len()).position(|window| window == part).unwrap();
    let changed = |at: usize, octet: u8| {
        let mut message = good.clone();
        message[at] = octet;
        SignedMessage::decode(&message, &limits).map(|_| ()).unwrap_err()
    };
    // The content type among the attributes is another one; no attribute is the message digest; there are two of one.
    let attributes = position(&oid::CONTENT_TYPE.encode());
    let named = attributes + oid::CONTENT_TYPE.encode().len() + oid::PKI_DATA.encode().len() + 1;
    assert_eq!(changed(named, 3), DecodeError::Malformed { what: "SignedAttributes" });
    let digest = position(&oid::MESSAGE_DIGEST.encode()) + oid::MESSAGE_DIGEST.encode().len() - 1;
    assert_eq!(changed(digest, 9), DecodeError::Malformed { what: "SignedAttributes" });
    assert_eq!(changed(digest, 3), DecodeError::Duplicate { what: "signed attribute of one type" });
    let none = SignedMessage::decode(&good, &MessageLimits { max_certificates: 0 }).unwrap_err();
    assert_eq!(none, DecodeError::TooMany { what: "certificates", limit: 0 });
    // Certificates alone are no signed message.
    let certs_only = estd_asn1::certs_only::encode([]);
    assert!(matches!(SignedMessage::decode(&certs_only, &limits), Err(DecodeError::Malformed { .. })));
}

#[test]
fn a_crmf_request_is_read_like_a_pkcs10() {
    let names = [GeneralName::DnsName("a.example".into())];
    let extensions =
        [Extension { oid: oid::SUBJECT_ALT_NAME, critical: false, value: general_name::encode_general_names(&names) }];
    let change = ChangeSubjectName { subject: Some(name("new")), subject_alt_names: None };
    let control = AttributeTypeAndValue { oid: oid::CMC_CHANGE_SUBJECT_NAME, value: change.encode() };
    let request = crmf::encode_cert_request(7, &name("SN-1"), &spki(), &extensions, &[control]);
    let algorithm = AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA256, None);
    let message = crmf::encode_cert_req_msg(&request, &algorithm, &[1, 2, 3]);
    let data = cmc::encode_pki_data(&[], &[TaggedRequest::encode_crmf(&message)], &[]);
    let data = PkiData::decode(&data, &LIMITS).unwrap();
    let [TaggedRequest { id: 7, body: RequestBody::Crmf(Ok(message)), .. }] = data.requests.as_slice() else {
        panic!("{:?}", data.requests)
    };
    let ProofOfPossession::Signature(decoded) = &message.possession else { panic!("{message:?}") };
    assert_eq!((decoded.info_der(), decoded.signature()), (request.as_slice(), [1, 2, 3].as_slice()));
    assert_eq!((decoded.subject(), decoded.public_key()), (&name("SN-1"), &spki()));
    assert_eq!((decoded.subject_alt_names(), decoded.extension_request()), (names.as_slice(), extensions.as_slice()));
    assert_eq!(decoded.change_subject_name(), Some(&change));
}

#[test]
fn a_crmf_request_that_is_wrong_keeps_its_number() {
    let possession = |popo: &[u8]| {
        let request = crmf::encode_cert_request(7, &name("a device with a long name"), &spki(), &[], &[]);
        let length = u8::try_from(request.len() + popo.len()).unwrap();
        let message = [&[0x30, 0x81, length][..], &request, popo].concat();
        let data = cmc::encode_pki_data(&[], &[TaggedRequest::encode_crmf(&message)], &[]);
        let data = PkiData::decode(&data, &LIMITS).unwrap();
        assert_eq!(data.requests[0].id, 7);
        match &data.requests[0].body {
            RequestBody::Crmf(outcome) => outcome.clone().map(|message| message.possession),
            RequestBody::Pkcs10(_) | RequestBody::Other => panic!("another form"),
        }
    };
    assert!(matches!(possession(&[]), Ok(ProofOfPossession::Absent)));
    assert!(matches!(possession(&[0x80, 0x00]), Ok(ProofOfPossession::RaVerified)));
    assert!(matches!(possession(&[0xa2, 0x03, 0x81, 0x01, 0x01]), Ok(ProofOfPossession::Other)));
    assert!(matches!(possession(&[0xa4, 0x00]), Err(DecodeError::Malformed { .. })));
    // RFC 5272 section 3.2.1.2.2: no regInfo.
    assert!(possession(&[0x80, 0x00, 0x30, 0x00]).is_err());
}

#[test]
fn controls_read_as_they_were_written() {
    let extensions = vec![Extension { oid: oid::KEY_USAGE, critical: true, value: vec![3, 2, 7, 0x80] }];
    let template = CertTemplate {
        subject: Some(name("renamed")),
        public_key: None,
        extensions: Some(extension::encode_extensions(&extensions)),
    };
    let changes = [true, false].map(|replace| ModCertTemplate {
        data: vec![1, 2],
        requests: vec![3],
        replace,
        template: template.clone(),
    });
    let added = AddExtensions { data: 1, requests: vec![2, 3], extensions };
    let witness = LraPopWitness { data: 0, requests: vec![9] };
    let certificate = IssuerAndSerialNumber { issuer: name("ca"), serial: vec![0x7f] };
    let revoke = cmc::control::RevokeRequest { certificate: certificate.clone(), reason: 4, by_passphrase: false };
    let paths = cmc::control::encode_body_parts(&[5, 6]);
    let written: Vec<(Oid, Vec<u8>, ControlValue)> = vec![
        (oid::CMC_MOD_CERT_TEMPLATE, changes[0].encode(), ControlValue::ModCertTemplate(changes[0].clone())),
        (oid::CMC_MOD_CERT_TEMPLATE, changes[1].encode(), ControlValue::ModCertTemplate(changes[1].clone())),
        (oid::CMC_ADD_EXTENSIONS, added.encode(), ControlValue::AddExtensions(added.clone())),
        (oid::CMC_LRA_POP_WITNESS, witness.encode(), ControlValue::LraPopWitness(witness.clone())),
        (oid::CMC_REVOKE_REQUEST, revoke.encode(), ControlValue::RevokeRequest(revoke.clone())),
        (
            oid::CMC_CONFIRM_CERT_ACCEPTANCE,
            certificate.encode(),
            ControlValue::ConfirmCertAcceptance(certificate.clone()),
        ),
        (oid::CMC_RA_IDENTITY_WITNESS, paths.clone(), ControlValue::RaIdentityWitness(vec![5, 6])),
        (oid::CMC_BATCH_REQUESTS, paths, ControlValue::BatchRequests(vec![5, 6])),
        (oid::CMC_IDENTIFICATION, b"\x0c\x02id".to_vec(), ControlValue::Identification("id".into())),
        (oid::CMC_QUERY_PENDING, b"\x04\x02ab".to_vec(), ControlValue::QueryPending(b"ab".to_vec())),
        (oid::KP_CMC_RA, vec![5, 0], ControlValue::Unknown),
    ];
    let controls: Vec<Vec<u8>> =
        (1..).zip(&written).map(|(id, (kind, value, _))| Control::encode(id, kind, value.clone())).collect();
    let response = cmc::encode_pki_response(&controls, &[]);
    let response = PkiResponse::decode(&response, controls.len()).unwrap();
    for ((control, (kind, _, value)), id) in response.controls.iter().zip(&written).zip(1..) {
        assert_eq!((control.id, &control.kind, &control.value), (id, kind, &Ok(value.clone())));
    }
}

#[test]
fn a_control_that_does_not_decode_keeps_its_number() {
    for (kind, value) in [
        (oid::CMC_TRANSACTION_ID, b"\x04\x01a".to_vec()),
        (oid::CMC_SENDER_NONCE, vec![2, 1, 1]),
        (oid::CMC_REVOKE_REQUEST, vec![0x30, 0]),
        (oid::CMC_MOD_CERT_TEMPLATE, vec![0x30, 0]),
        (oid::CMC_RA_IDENTITY_WITNESS, vec![0x30, 0]),
    ] {
        let data = cmc::encode_pki_data(&[Control::encode(9, &kind, value)], &[], &[]);
        let data = PkiData::decode(&data, &LIMITS).unwrap();
        assert_eq!(data.controls[0].id, 9);
        assert!(data.controls[0].value.is_err(), "{kind}");
    }
}

/// RFC 5272 section 3.2.2.
#[test]
fn body_parts_are_distinct_and_not_zero() {
    let nonce = |id| Control::encode_octets(id, &oid::CMC_SENDER_NONCE, b"n");
    let content = |id| TaggedContentInfo { id, content_info: vec![0x30, 0] }.encode();
    let decode = |controls: &[Vec<u8>], contents: &[Vec<u8>]| {
        PkiData::decode(&cmc::encode_pki_data(controls, &[], contents), &LIMITS).map(|_| ())
    };
    assert_eq!(decode(&[nonce(1), nonce(u32::MAX)], &[content(2)]), Ok(()));
    let duplicate = Err(DecodeError::Duplicate { what: "element with one bodyPartID" });
    assert_eq!(decode(&[nonce(1), nonce(1)], &[]), duplicate);
    assert_eq!(decode(&[nonce(1)], &[content(1)]), duplicate);
    assert_eq!(decode(&[nonce(0)], &[]), Err(DecodeError::Malformed { what: "bodyPartID other than 0" }));
}

/// Threat 32.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test of the time that decoding takes")]
fn a_thousand_of_anything_are_refused_at_once() {
    let nonces = |count: u32| -> Vec<Vec<u8>> {
        (1..=count).map(|id| Control::encode_octets(id, &oid::CMC_SENDER_NONCE, b"n")).collect()
    };
    let contents: Vec<_> =
        (1..=1000).map(|id| TaggedContentInfo { id, content_info: vec![0x30, 0] }.encode()).collect();
    let requests: Vec<_> = (1..=1000).map(|id| TaggedRequest::encode_pkcs10(id, &[0x30, 0])).collect();
    let limit = u32::try_from(LIMITS.max_controls).unwrap();
    assert!(PkiData::decode(&cmc::encode_pki_data(&nonces(limit), &[], &[]), &LIMITS).is_ok());
    for message in [
        cmc::encode_pki_data(&nonces(limit + 1), &[], &[]),
        cmc::encode_pki_data(&nonces(1000), &[], &[]),
        cmc::encode_pki_data(&[], &requests, &[]),
        cmc::encode_pki_data(&[], &[], &contents),
    ] {
        let start = Instant::now();
        assert!(matches!(PkiData::decode(&message, &LIMITS), Err(DecodeError::TooMany { .. })));
        assert!(start.elapsed() < BUDGET, "{:?}", start.elapsed());
    }
}
