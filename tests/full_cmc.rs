//! Full CMC: whose messages are taken, that they are decided as any enrollment is, and what is answered.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/cmc.rs"]
mod cmc;
#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/world.rs"]
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use cmc::*;
use estd::audit::AuditOutcome;
use estd::ca::{CmcResponder, Signer};
use estd::credential::declared::{Declarations, EnrollmentCode};
use estd::credential::{Accepted, Credentials, DeviceScope, GuessLimits, HttpScheme, secret};
use estd::est::{EstRequest, EstTarget, Operation, RejectionCode, ResponseBody};
use estd::pki::device_identity::DeviceId;
use estd::pki::digest::MacKey;
use estd::pki::public_key::KeyType;
use estd::policy::{AuthenticationRule, RegistrationRule};
use estd::ra::{Answer, Authentication, CodeRequest, LabelContext, MAX_CMC_CONTROLS, PeerSession, Refusal};
use estd::store::CertificateStore as _;
use estd::store::RequestKey;
use estd::store::approval::Decision;
use estd_asn1::cmc::control::{BodyPartReference, IdentityProofV2, encode_body_parts};
use estd_asn1::cmc::{
    CmcFailInfo, CmcStatus, Control, ControlValue, OtherStatusInfo, PkiData, PkiDataLimits, TaggedContentInfo,
    TaggedRequest,
};
use estd_asn1::pkcs10::RequestLimits;
use estd_asn1::{AlgorithmIdentifier, AttributeTypeAndValue, GeneralName, Name, Oid, crmf, oid};
use oracle::Oracle;
use world::*;

fn world() -> World {
    world_with(|_| ())
}

fn world_with(more: impl Fn(&mut LabelContext)) -> World {
    World::with(
        KeyType::P256,
        |_| (),
        |label| {
            label.cmc_responder = Some(Arc::new(CmcResponder::new(Arc::clone(&label.authority))));
            more(label);
        },
    )
}

fn key() -> Box<dyn Signer> {
    device_key(KeyType::P256)
}

fn plain(key: &dyn Signer) -> Vec<u8> {
    pkcs10(&[], &request(key, &Name::empty(), &[]))
}

fn by(device: &Device) -> By<'_> {
    By::Certificate(device.key.as_ref(), &device.certificate)
}

/// A PKIData with one PKCS#10 as body part 7.
fn pkcs10(controls: &[Vec<u8>], request: &[u8]) -> Vec<u8> {
    estd_asn1::cmc::encode_pki_data(controls, &[TaggedRequest::encode_pkcs10(7, request)], &[])
}

fn token(response: &Response) -> Vec<u8> {
    assert_eq!(response.status.status, CmcStatus::Pending);
    let Some(OtherStatusInfo::PendInfo(info)) = &response.status.other else { panic!("{:?}", response.status) };
    info.token.clone()
}

/// What comes back, and the status that HTTP will have: `Err` with the code of the refusal.
fn send(world: &World, session: &PeerSession, body: &[u8]) -> (Result<Option<u32>, RejectionCode>, Response) {
    let target = EstTarget { label: None, operation: Operation::FullCmc };
    let label = world.label("devices");
    let request = EstRequest { target, body: body.to_vec(), credential: None };
    match world.ra.enroll(label, &request, session, "test") {
        Ok(pending) => {
            let ResponseBody::FullPki { response, retry_after } = pending.response.body else {
                panic!("another answer")
            };
            (Ok(retry_after), Response::read(&response))
        }
        Err(refusal) => {
            let response = world.ra.full_cmc_refusal(label, Some(body), &refusal, session, "test").unwrap();
            let Refusal::Rejected(rejection) = refusal else { panic!("{refusal}") };
            (Err(rejection.code()), Response::read(&response))
        }
    }
}

/// A refusal that left one event and nothing else.
fn refused(world: &World, session: &PeerSession, body: &[u8]) -> (RejectionCode, Response) {
    let trace = || (world.store.certificate_count().unwrap(), world.store.events().len());
    // The responder has its certificate.
    let target = EstTarget { label: None, operation: Operation::FullCmc };
    let request = EstRequest { target, body: body.to_vec(), credential: None };
    let before = trace();
    assert!(world.ra.enroll(world.label("devices"), &request, session, "test").is_err());
    assert_eq!(trace(), (before.0, before.1 + 1), "a refusal leaves one event, no record");
    let (outcome, response) = send(world, session, body);
    (outcome.unwrap_err(), response)
}

fn text(oid: Oid, text: &str) -> Vec<AttributeTypeAndValue> {
    vec![AttributeTypeAndValue::from_text(oid, text).unwrap()]
}

fn names(id: &str) -> (Name, GeneralName) {
    let subject = Name::from_rdns(&[text(oid::AT_COMMON_NAME, id), text(oid::AT_ORGANIZATION_NAME, "Acme")]);
    (subject, GeneralName::Uri(format!("urn:acme:{id}")))
}

fn request_for(key: &dyn Signer, id: &str) -> Vec<u8> {
    let (subject, name) = names(id);
    request(key, &subject, &[alt_names(&[name])])
}

/// CMC-01, CMC-05: the message of a device, signed with its certificate.
#[test]
fn a_device_enrolls_and_renews_and_its_transaction_is_told_apart() {
    let world = world();
    let device = world.birth("SN-1", KeyType::P256);
    let controls = [
        Control::encode(1, &oid::CMC_TRANSACTION_ID, vec![2, 2, 0x12, 0x34]),
        Control::encode_octets(2, &oid::CMC_SENDER_NONCE, b"a nonce of the client"),
        Control::encode_octets(3, &oid::CMC_DATA_RETURN, b"state"),
        Control::encode_octets(4, &oid::CMC_REG_INFO, b"for whom it may concern"),
    ];
    let key = key();
    let body = signed(&by(&device), &pkcs10(&controls, &request(key.as_ref(), &Name::empty(), &[])));
    let (outcome, response) = send(&world, &device.session(), &body);
    assert_eq!(outcome, Ok(None));
    assert_eq!(
        (response.status.status, &response.status.body_list),
        (CmcStatus::Success, &vec![BodyPartReference::Id(7)])
    );
    let [
        ControlValue::TransactionId(transaction),
        ControlValue::SenderNonce(own),
        ControlValue::RecipientNonce(theirs),
        ControlValue::DataReturn(data),
    ] = response.controls.as_slice()
    else {
        panic!("{:?}", response.controls)
    };
    assert_eq!((transaction.as_slice(), own.len()), ([2, 2, 0x12, 0x34].as_slice(), 16));
    assert_eq!((theirs.as_slice(), data.as_slice()), (b"a nonce of the client".as_slice(), b"state".as_slice()));
    let [certificate] = response.certificates.as_slice() else { panic!("{}", response.certificates.len()) };
    assert_eq!((certificate.subject(), certificate.public_key().der()), (&names("SN-1").0, key.public_key().der()));
    let issuer = world.label("devices").authority.certificate();
    assert_eq!(response.responder.issuer().der(), issuer.subject().der());
    let event = world.store.events().into_iter().rfind(|event| event.operation == "fullcmc").unwrap();
    assert!(matches!(event.outcome, AuditOutcome::Issued { repeated: false, .. }));
    assert_eq!(event.device.as_deref(), Some("SN-1"));

    // The same request again, signed again: the answer had been lost.
    let (_, again) = send(
        &world,
        &device.session(),
        &signed(&by(&device), &pkcs10(&[], &request(key.as_ref(), &Name::empty(), &[]))),
    );
    assert_eq!(again.certificates[0].der(), certificate.der());
    // RFC 7030 §4.2.2 holds for the certificate that is renewed, whatever message asks.
    let current = Device { key, certificate: certificate.der().to_vec() };
    let fresh = self::key();
    let renewal = signed(&by(&current), &pkcs10(&[], &request_for(fresh.as_ref(), "SN-1")));
    assert_eq!(send(&world, &current.session(), &renewal).1.status.status, CmcStatus::Success);
    let other = signed(&by(&current), &pkcs10(&[], &request_for(fresh.as_ref(), "SN-2")));
    let (code, response) = refused(&world, &current.session(), &other);
    assert_eq!((code, response.fail_info()), (RejectionCode::SubjectMismatch, CmcFailInfo::BadIdentity));
}

/// CMC-02: both forms; and the signature of a key that has no certificate yet.
#[test]
fn either_form_may_be_signed_by_the_key_that_it_is_for() {
    let world = world();
    let device = world.birth("SN-1", KeyType::P256);
    for key_type in [KeyType::P256, KeyType::P384, KeyType::Ed25519, KeyType::Rsa] {
        let key = device_key(key_type);
        let cert_request = crmf::encode_cert_request(7, &Name::empty(), key.public_key(), &[], &[]);
        let signature = key.sign(&cert_request).unwrap();
        let crmf = crmf::encode_cert_req_msg(&cert_request, key.algorithm().identifier(), &signature);
        let crmf = estd_asn1::cmc::encode_pki_data(&[], &[TaggedRequest::encode_crmf(&crmf)], &[]);
        for content in [crmf, plain(key.as_ref())] {
            for signer in [by(&device), By::Key(key.as_ref())] {
                let (outcome, response) = send(&world, &device.session(), &signed(&signer, &content));
                assert_eq!(outcome, Ok(None), "{key_type:?}: {:?}", response.status);
                assert_eq!(response.certificates[0].public_key().der(), key.public_key().der());
            }
        }
        world.clock.advance(TimeDelta::minutes(1));
    }
}

/// EST-4.3.2-02: whoever else signed.
#[test]
fn a_message_of_another_is_not_looked_at() {
    let world = world();
    let (device, other) = (world.birth("SN-1", KeyType::P256), world.birth("SN-2", KeyType::P256));
    let (key, stranger) = (key(), key());
    let content = plain(key.as_ref());
    let mut tampered = signed(&by(&device), &content);
    // Inside of the certification request, whose own signature is broken by it; the message's is judged all the same.
    let place = tampered.windows(4).position(|window| window == &content[40..44]).unwrap();
    tampered[place + 20] ^= 1;
    assert!(send(&world, &device.session(), &tampered).0.is_err());
    for (body, clause) in [
        (signed(&by(&other), &content), "another device"),
        (signed(&By::Key(stranger.as_ref()), &content), "another key"),
        (signed(&By::Certificate(stranger.as_ref(), &device.certificate), &content), "forged"),
    ] {
        let (code, response) = refused(&world, &device.session(), &body);
        assert_eq!(
            (code, response.fail_info()),
            (RejectionCode::CmcSignature, CmcFailInfo::BadMessageCheck),
            "{clause}"
        );
        assert_eq!(response.status.body_list, [BodyPartReference::Id(0)]);
    }
    // Nobody is let in by a message: the connection must show who asks, as for any enrollment.
    let nobody = PeerSession::new(None, "192.0.2.1:1".into());
    let (code, response) = refused(&world, &nobody, &signed(&by(&device), &content));
    assert_eq!((code, response.fail_info()), (RejectionCode::AuthMissing, CmcFailInfo::BadIdentity));
}

/// CMC-10: neither absent nor vouched for.
#[test]
fn possession_is_proven_whoever_asks() {
    let world = world();
    let device = world.birth("SN-1", KeyType::P256);
    let key = key();
    let cert_request = crmf::encode_cert_request(7, &Name::empty(), key.public_key(), &[], &[]);
    for popo in [&[][..], &[0x80, 0]] {
        let message = tlv(0x30, &[&cert_request, popo]);
        let content = estd_asn1::cmc::encode_pki_data(&[], &[TaggedRequest::encode_crmf(&message)], &[]);
        let (code, response) = refused(&world, &device.session(), &signed(&by(&device), &content));
        assert_eq!((code, response.fail_info()), (RejectionCode::PossessionMissing, CmcFailInfo::PopRequired));
        assert_eq!(response.status.body_list, [BodyPartReference::Id(7)]);
    }
    // Signed by another key than the one in it.
    let other = self::key();
    let signature = other.sign(&cert_request).unwrap();
    let crmf = crmf::encode_cert_req_msg(&cert_request, key.algorithm().identifier(), &signature);
    let content = estd_asn1::cmc::encode_pki_data(&[], &[TaggedRequest::encode_crmf(&crmf)], &[]);
    let (code, response) = refused(&world, &device.session(), &signed(&by(&device), &content));
    assert_eq!((code, response.fail_info()), (RejectionCode::PossessionInvalid, CmcFailInfo::PopFailed));
}

/// CMC-04, CMC-08: what is not known or not taken fails the whole message, and is named.
#[test]
fn a_control_that_is_not_taken_is_named() {
    let world = world();
    let device = world.birth("SN-1", KeyType::P256);
    let key = key();
    let request = request(key.as_ref(), &Name::empty(), &[]);
    let refused_with = |controls: &[Vec<u8>]| {
        let (code, response) = refused(&world, &device.session(), &signed(&by(&device), &pkcs10(controls, &request)));
        (code, response.fail_info(), response.status.body_list)
    };
    let bad = |id| (RejectionCode::CmcControl, CmcFailInfo::BadRequest, vec![BodyPartReference::Id(id)]);
    let fine = Control::encode_octets(1, &oid::CMC_SENDER_NONCE, b"n");
    let references = encode_body_parts(&[7]);
    let witness = tlv(0x30, &[&[2, 1, 0], &references]);
    for (kind, value) in [
        (Oid::new_static(&[1, 3, 6, 1, 4, 1, 99999, 7]), vec![5, 0]),
        (oid::CMC_LRA_POP_WITNESS, witness),
        (oid::CMC_BATCH_REQUESTS, references.clone()),
        (oid::CMC_RA_IDENTITY_WITNESS, references.clone()),
        (oid::CMC_POP_LINK_RANDOM, tlv(4, &[b"random"])),
        // Malformed.
        (oid::CMC_TRANSACTION_ID, vec![5, 0]),
        (oid::CMC_SENDER_NONCE, vec![5, 0]),
    ] {
        assert_eq!(refused_with(&[fine.clone(), Control::encode(9, &kind, value)]), bad(9), "{kind}");
    }
    assert_eq!(refused_with(&[fine.clone(), Control::encode_octets(9, &oid::CMC_SENDER_NONCE, b"m")]), bad(9));
    let sha1 = Control::encode_octets(9, &oid::CMC_IDENTITY_PROOF, &[0; 20]);
    assert_eq!(refused_with(&[sha1]).1, CmcFailInfo::BadAlg);
}

/// Threat 32.
#[expect(clippy::disallowed_methods, reason = "how long a refusal takes is what is tested")]
#[test]
fn what_is_no_message_or_too_much_of_one_is_refused_in_time() {
    let world = world();
    let device = world.birth("SN-1", KeyType::P256);
    let key = key();
    let pkcs10_alone = request(key.as_ref(), &Name::empty(), &[]);
    let sign = |content: &[u8]| signed(&by(&device), content);
    let controls: Vec<_> = (1..=1000).map(|id| Control::encode_octets(id, &oid::CMC_REG_INFO, b"i")).collect();
    let most: Vec<_> = controls[..=MAX_CMC_CONTROLS].to_vec();
    let mut nested = plain(key.as_ref());
    for _ in 0..20 {
        nested = sign(&nested);
    }
    for body in [
        pkcs10_alone.clone(),
        Vec::new(),
        sign(b"not a PKIData"),
        signed_as(&by(&device), &oid::DATA, &plain(key.as_ref())),
        sign(&estd_asn1::cmc::encode_pki_data(&controls, &[], &[])),
        sign(&estd_asn1::cmc::encode_pki_data(&most, &[], &[])),
        sign(&nested),
    ] {
        let started = Instant::now();
        let (outcome, response) = send(&world, &device.session(), &body);
        assert_eq!((outcome, response.fail_info()), (Err(RejectionCode::BadCmc), CmcFailInfo::BadRequest));
        assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    }
    let contents = [TaggedContentInfo { id: 9, content_info: sign(&plain(key.as_ref())) }.encode()];
    let two = [TaggedRequest::encode_pkcs10(7, &pkcs10_alone), TaggedRequest::encode_pkcs10(9, &pkcs10_alone)];
    let none: [Vec<u8>; 0] = [];
    for (requests, contents, blamed) in [(&none[..], &contents[..], 9), (&two, &none, 9), (&none, &none, 0)] {
        let body = sign(&estd_asn1::cmc::encode_pki_data(&[], requests, contents));
        let (code, response) = refused(&world, &device.session(), &body);
        assert_eq!(code, RejectionCode::CmcControl);
        assert_eq!(response.status.body_list, [BodyPartReference::Id(blamed)]);
    }
}

/// CMC-06.
#[test]
fn what_waits_for_an_operator_is_asked_after_by_its_token() {
    let world = world_with(|label| label.registration.rule = RegistrationRule::Approval);
    let (device, other) = (world.birth("SN-1", KeyType::P256), world.birth("SN-2", KeyType::P256));
    let key = key();
    let body = signed(&by(&device), &plain(key.as_ref()));
    let (outcome, response) = send(&world, &device.session(), &body);
    assert!(matches!(outcome, Ok(Some(seconds)) if seconds > 0));
    let pend_token = token(&response);
    let query = |who: &Device| {
        let control = Control::encode_octets(3, &oid::CMC_QUERY_PENDING, &pend_token);
        signed(&by(who), &estd_asn1::cmc::encode_pki_data(&[control], &[], &[]))
    };
    let (_, response) = send(&world, &device.session(), &query(&device));
    assert_eq!((token(&response), response.status.body_list), (pend_token.clone(), vec![BodyPartReference::Id(3)]));
    // Whoever else has the token has nothing.
    let (code, _) = refused(&world, &other.session(), &query(&other));
    assert_eq!(code, RejectionCode::CmcControl);
    let (code, _) = refused(&world, &other.session(), &query(&device));
    assert_eq!(code, RejectionCode::CmcSignature);

    let waiting = RequestKey(pend_token.as_slice().try_into().unwrap());
    world.ra.decide_request(&grant("acme"), &waiting, Decision::Approved).unwrap().wait().unwrap();
    assert_eq!(refused(&world, &other.session(), &query(&other)).0, RejectionCode::CmcControl);
    let (outcome, response) = send(&world, &device.session(), &query(&device));
    assert_eq!(outcome, Ok(None));
    let certificate = response.certificates[0].der().to_vec();
    assert_eq!(response.certificates[0].public_key().der(), key.public_key().der());
    // Answered: whoever lost the answer sends the request again.
    let (code, response) = refused(&world, &device.session(), &query(&device));
    assert_eq!((code, response.status.body_list), (RejectionCode::CmcControl, vec![BodyPartReference::Id(3)]));
    assert_eq!(send(&world, &device.session(), &body).1.certificates[0].der(), certificate);
}

/// RA-03: an RA asks for others in messages of its own, within its scope.
#[test]
fn an_ra_client_asks_for_the_devices_of_its_scope() {
    let world = world_with(|label| {
        label.rules.ra.clients = vec![DeviceId::parse(REGISTRAR).unwrap()];
        label.rules.ra.devices = Some(DeviceScope::parse(&["SN-*".to_owned()]).unwrap());
    });
    let registrar = world.operational_at("registrars", &world.birth(REGISTRAR, KeyType::P256), KeyType::P256);
    let key = key();
    let body = |id: &str| signed(&by(&registrar), &pkcs10(&[], &request_for(key.as_ref(), id)));
    let (outcome, response) = send(&world, &registrar.session(), &body("SN-1"));
    assert_eq!((outcome, response.certificates[0].subject()), (Ok(None), &names("SN-1").0));
    let event = world.store.events().into_iter().rfind(|event| event.operation == "fullcmc").unwrap();
    assert_eq!((event.device.as_deref(), event.actor.as_deref()), (Some("SN-1"), Some(REGISTRAR)));
    let (code, response) = refused(&world, &registrar.session(), &body("GW-1"));
    assert_eq!((code, response.fail_info()), (RejectionCode::RaScope, CmcFailInfo::BadIdentity));
}

/// RFC 5272 section 6.2: a code that is known and never sent.
#[test]
fn a_proof_of_identity_is_as_good_as_the_code_and_is_counted_as_one() {
    let code = |text: &str, uses| EnrollmentCode {
        sha256: secret::hash(text),
        devices: Arc::new(DeviceScope::parse(&["SN-1".to_owned()]).unwrap()),
        not_after: None,
        uses,
    };
    let codes = vec![code("CODE-1", 1), code("CODE-2", 9)];
    let declared = Declarations { realm: "acme".into(), codes, ..Declarations::default() };
    let credentials = Arc::new(Credentials::new(declared).unwrap());
    let world = world_with(|label| {
        label.authentication = Authentication {
            rule: AuthenticationRule::Http,
            accepted: Accepted { schemes: vec![HttpScheme::Code], digest: Vec::new() },
            credentials: Arc::clone(&credentials),
            guesses: GuessLimits::default(),
        };
    });
    let nobody = PeerSession::new(None, "192.0.2.1:1".into());
    let attempt = |key: &dyn Signer, secret: &str, hash: Oid| {
        let request = TaggedRequest::encode_pkcs10(7, &request(key, &Name::empty(), &[]));
        let data = estd_asn1::cmc::encode_pki_data(&[], std::slice::from_ref(&request), &[]);
        let limits =
            PkiDataLimits { max_controls: 9, max_requests: 9, max_contents: 9, request: RequestLimits::default() };
        let sequence = PkiData::decode(&data, &limits).unwrap().request_sequence().to_vec();
        let proof = IdentityProofV2 {
            hash: AlgorithmIdentifier::new(hash, None),
            mac: AlgorithmIdentifier::new(oid::HMAC_WITH_SHA256, None),
            witness: MacKey::new(&secret::hash(secret)).tag(&[&sequence]).to_vec(),
        };
        let control = Control::encode(1, &oid::CMC_IDENTITY_PROOF_V2, proof.encode());
        let data = estd_asn1::cmc::encode_pki_data(&[control], &[request], &[]);
        send(&world, &nobody, &signed(&By::Key(key), &data))
    };
    let first = key();
    let (outcome, response) = attempt(first.as_ref(), "CODE-1", oid::SHA256);
    assert_eq!((outcome, response.certificates[0].subject()), (Ok(None), &names("SN-1").0));
    assert_eq!(attempt(first.as_ref(), "CODE-1", oid::SHA256).0, Ok(None), "the answer may have been lost");
    let second = key();
    for (secret, hash, code, info) in [
        ("CODE-1", oid::SHA256, RejectionCode::CodeUsed, CmcFailInfo::BadIdentity),
        ("CODE-3", oid::SHA256, RejectionCode::AuthFailed, CmcFailInfo::BadIdentity),
        ("CODE-2", oid::SHA1, RejectionCode::SignatureAlgorithm, CmcFailInfo::BadAlg),
    ] {
        let (outcome, response) = attempt(second.as_ref(), secret, hash);
        assert_eq!((outcome, response.fail_info()), (Err(code), info), "{secret}");
    }
    let (outcome, _) = send(&world, &nobody, &signed(&By::Key(second.as_ref()), &plain(second.as_ref())));
    assert_eq!(outcome, Err(RejectionCode::AuthRequired));
    assert_eq!(attempt(second.as_ref(), "CODE-2", oid::SHA256).0, Ok(None));
    let request = CodeRequest { devices: vec!["SN-1".into()], count: 3, uses: 1, life: TimeDelta::days(1) };
    let made = world.ra.make_codes(&grant("acme"), &request).unwrap();
    let third = key();
    assert_eq!(attempt(third.as_ref(), &made.codes[1].code, oid::SHA256).0, Ok(None), "one that an operator made");
    let (outcome, _) = attempt(key().as_ref(), &made.codes[1].code, oid::SHA256);
    assert_eq!(outcome, Err(RejectionCode::CodeUsed));
}

#[test]
fn a_label_that_takes_no_cmc_answers_nothing() {
    let world = World::new();
    let device = world.birth("SN-1", KeyType::P256);
    let target = EstTarget { label: None, operation: Operation::FullCmc };
    let request = EstRequest { target, body: signed(&by(&device), &plain(key().as_ref())), credential: None };
    let outcome = world.ra.enroll(world.label("devices"), &request, &device.session(), "test");
    assert!(matches!(outcome, Err(Refusal::Rejected(rejection)) if rejection.code() == RejectionCode::NotFound));
}

/// Whoever else has a say is asked about what comes by CMC too, and a denial is told in CMC.
#[test]
fn what_is_denied_from_elsewhere_is_told_in_a_response() {
    let oracle = Oracle::new();
    let world = world_with(|label| label.authorizer = Some(Arc::clone(&oracle) as _));
    let (device, key) = (world.birth("SN-1", KeyType::P256), key());
    let body = signed(&by(&device), &plain(key.as_ref()));
    oracle.denies("not paid");
    let (code, response) = refused(&world, &device.session(), &body);
    assert_eq!((code, response.fail_info()), (RejectionCode::AuthorizationDenied, CmcFailInfo::BadIdentity));
    assert_eq!(response.status.body_list, [BodyPartReference::Id(7)]);
    assert!(!response.status.text.unwrap().contains("not paid"));
    oracle.says(|| Ok(Answer::Allowed));
    assert_eq!(send(&world, &device.session(), &body).0, Ok(None));
    let asked = oracle.asked();
    assert!(asked.iter().all(|asked| asked.operation == "fullcmc" && asked.device == "SN-1"), "{asked:?}");
    let answered = asked.len();
    assert_eq!(send(&world, &device.session(), &body).0, Ok(None), "the same answer again");
    assert_eq!(oracle.asked().len(), answered);
}
