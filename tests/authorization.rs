//! Who else has a say at a label: asked last of all and once for each certificate, and nothing is made without leave.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/world.rs"]
mod world;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use estd::audit::AuditOutcome;
use estd::credential::{Accepted, HttpScheme};
use estd::est::trace::StepOutcome;
use estd::est::{EstRequest, EstTarget, Label, Operation, PresentedCredential, RejectionCode, Rule};
use estd::pki::digest::sha256;
use estd::pki::public_key::KeyType;
use estd::policy::{AuthenticationRule, RegistrationRule};
use estd::ra::{
    Answer, AuthorizationFault, CodeRequest, Coming, Fault, Inquiry, LabelContext, PeerSession, PendingResponse,
    Refusal, RequestKey, Turn, Verdict,
};
use estd::store::CertificateStore as _;
use estd::store::approval::{Decision, PendingRequest};
use estd::store::device::{DeviceRecord, DeviceState};
use estd_asn1::{Certificate, GeneralName, Name};
use oracle::{Asked, Oracle};
use world::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// A world in whose label `devices` the oracle has a say.
fn world_of(oracle: &Arc<Oracle>, rule: RegistrationRule) -> World {
    World::with(
        KeyType::P256,
        |_| (),
        |label| {
            label.authorizer = Some(Arc::clone(oracle) as _);
            label.registration.rule = rule;
        },
    )
}

fn enroll(world: &World, device: &Device, body: &[u8]) -> Result<PendingResponse, Refusal> {
    world.decide("devices", Operation::SimpleEnroll, &device.session(), body)
}

fn body() -> Vec<u8> {
    request(device_key(KeyType::P256).as_ref(), &Name::empty(), &[])
}

fn unanswered() -> Result<Answer, AuthorizationFault> {
    Err(AuthorizationFault::Unanswered { asked: "the oracle".into(), cause: "no answer within 5000 ms".into() })
}

fn code(outcome: Result<PendingResponse, Refusal>) -> RejectionCode {
    let Err(Refusal::Rejected(rejection)) = outcome else { panic!("not refused") };
    rejection.code()
}

/// What is remembered: certificates, draws of randomness, events.
fn left(world: &World) -> (u64, u64, usize) {
    (world.store.certificate_count().unwrap(), world.entropy.drawn(), world.store.events().len())
}

#[test]
fn a_denial_leaves_one_event_whose_reason_is_for_operators_and_nothing_else() {
    let oracle = Oracle::new();
    let world = world_of(&oracle, RegistrationRule::Open);
    let device = world.birth("SN-1", KeyType::P256);
    oracle.says(|| {
        Ok(Answer::Denied { reason: Some(format!("unpaid since 2019\r\n\u{1b}[2J\u{202e}{}", "x".repeat(100_000))) })
    });
    let Err(Refusal::Rejected(rejection)) = enroll(&world, &device, &body()) else { panic!("not denied") };
    assert_eq!((rejection.code(), rejection.clause()), (RejectionCode::AuthorizationDenied, "RFC 7030 3.7"));
    assert!(!rejection.to_string().contains("unpaid"), "{rejection}");
    assert_eq!(left(&world), (0, 0, 1), "no certificate, no serial, one event");
    assert_eq!(DeviceRecord::find(world.store.as_ref(), "acme", "SN-1").unwrap(), None);
    let event = world.store.events().remove(0);
    assert_eq!(event.device.as_deref(), Some("SN-1"));
    let AuditOutcome::Refused { code, reason, step: Some(step), .. } = event.outcome else { panic!("{event:?}") };
    assert_eq!((code, reason.as_str()), (RejectionCode::AuthorizationDenied, rejection.reason()));
    assert_eq!((step.rule, step.outcome), (Rule::AuthorizationWebhook, StepOutcome::Refused));
    assert_eq!(step.expected, "leave of https://oracle.acme.example/");
    assert!(step.got.starts_with("denied: unpaid since 2019") && step.got.len() <= 240, "{}", step.got);
    assert!(!step.got.contains(['\r', '\n', '\u{1b}', '\u{202e}']), "{:?}", step.got);
}

#[test]
fn no_answer_is_no_leave_and_passes() {
    let oracle = Oracle::new();
    let world = world_of(&oracle, RegistrationRule::Open);
    let (device, body) = (world.birth("SN-1", KeyType::P256), body());
    oracle.says(unanswered);
    let Err(Refusal::Fault(fault)) = enroll(&world, &device, &body) else { panic!("it did not fail") };
    assert!(matches!(fault, Fault::Authorization(AuthorizationFault::Unanswered { .. })));
    assert_eq!(fault.retry_after(), Some(30));
    assert_eq!(left(&world), (0, 0, 1));
    assert_eq!(world.store.events()[0].outcome, AuditOutcome::Failed);
    oracle.says(|| Ok(Answer::Allowed));
    issued(&enroll(&world, &device, &body).unwrap());
    assert_eq!(oracle.asked().len(), 2);
}

#[test]
fn each_certificate_is_asked_about_once_and_what_is_refused_anyway_is_not() {
    let oracle = Oracle::new();
    let world = world_of(&oracle, RegistrationRule::Open);
    let device = world.birth("SN-1", KeyType::P256);
    let key = device_key(KeyType::P256);
    let own = request(key.as_ref(), &Name::empty(), &[]);
    let first = issued(&enroll(&world, &device, &own).unwrap());
    assert_eq!(issued(&enroll(&world, &device, &own).unwrap()), first, "the same answer again");
    let asked = Asked {
        operation: "simpleenroll".into(),
        is_renewal: false,
        device: "SN-1".into(),
        actor: None,
        peer: Some(sha256(&[&device.certificate])),
        credentials: Vec::new(),
        subject: "O=Acme,CN=SN-1".into(),
        spki_sha256: Some(sha256(&[key.public_key().der()])),
        renews: None,
        is_clone_suspected: false,
    };
    assert_eq!(oracle.asked(), [asked]);

    let current = Device { key, certificate: first };
    let names = [alt_names(&[GeneralName::Uri("urn:acme:SN-1".into())])];
    let renewal = request(device_key(KeyType::P256).as_ref(), current.certificate().subject(), &names);
    world.decide("devices", Operation::SimpleReenroll, &current.session(), &renewal).unwrap();
    let again = &oracle.asked()[1];
    assert_eq!((again.operation.as_str(), again.is_renewal), ("simplereenroll", true));
    assert_eq!(again.renews.as_deref(), Some(current.certificate().serial()));
    assert_eq!(again.peer, Some(sha256(&[&current.certificate])));
    // With another key: the birth certificate may be in two devices.
    enroll(&world, &device, &body()).unwrap();
    assert!(oracle.asked()[2].is_clone_suspected);

    let anothers = request(device_key(KeyType::P256).as_ref(), &common_name("SN-2"), &[]);
    assert_eq!(code(enroll(&world, &device, &anothers)), RejectionCode::IdentityMismatch);
    world.ra.set_device_state(&grant("acme"), "SN-1", DeviceState::Suspended, None).unwrap().1.wait().unwrap();
    assert_eq!(code(enroll(&world, &device, &body())), RejectionCode::DeviceSuspended);
    // Another label asks nobody.
    world.decide("other", Operation::SimpleEnroll, &birth_of_other(&world).session(), &body()).unwrap();
    assert_eq!(oracle.asked().len(), 3);
}

fn birth_of_other(world: &World) -> Device {
    birth(&world.other_maker, "SN-1", KeyType::P256, START.parse().unwrap())
}

fn waits(world: &World) -> Vec<RequestKey> {
    let waiting = world.store.facts(&PendingRequest::prefix("acme"), None, 9).unwrap();
    waiting.iter().map(|(_, value)| PendingRequest::decode(value).unwrap().request).collect()
}

#[test]
fn what_waits_for_an_operator_is_asked_about_before_and_when_it_is_granted() {
    let oracle = Oracle::new();
    let world = world_of(&oracle, RegistrationRule::Approval);
    let (device, body) = (world.birth("SN-1", KeyType::P256), body());
    oracle.denies("not ours");
    assert_eq!(code(enroll(&world, &device, &body)), RejectionCode::AuthorizationDenied);
    assert_eq!(waits(&world), [], "it does not fill the list of operators");
    oracle.says(|| Ok(Answer::Allowed));
    for _ in 0..3 {
        assert!(enroll(&world, &device, &body).unwrap().waits.is_some());
    }
    assert_eq!(oracle.asked().len(), 2, "whoever polls is not asked about");
    world.ra.decide_request(&grant("acme"), &waits(&world)[0], Decision::Approved).unwrap().wait().unwrap();
    oracle.denies("not ours any more");
    assert_eq!(code(enroll(&world, &device, &body)), RejectionCode::AuthorizationDenied);
    oracle.says(|| Ok(Answer::Allowed));
    let certificate = issued(&enroll(&world, &device, &body).unwrap());
    assert_eq!(issued(&enroll(&world, &device, &body).unwrap()), certificate);
    assert_eq!(oracle.asked().len(), 4);
}

#[test]
fn an_explanation_says_who_would_be_asked_and_asks_nobody() {
    let oracle = Oracle::new();
    oracle.denies("nobody");
    let inquiry = |device: &Device| Inquiry {
        label: Label::parse("devices").unwrap(),
        operation: Operation::SimpleEnroll,
        request: body(),
        chain: vec![device.certificate.clone()],
        credential: None,
    };
    for rule in [RegistrationRule::Open, RegistrationRule::Approval] {
        let world = world_of(&oracle, rule);
        let device = world.birth("SN-1", KeyType::P256);
        let explanation = world.ra.explain(&grant("acme"), &inquiry(&device)).unwrap();
        let expected = matches!(explanation.verdict, Verdict::Issue { .. }) == (rule == RegistrationRule::Open);
        assert!(expected, "{:?}", explanation.verdict);
        let step = explanation.trace.steps().last().unwrap();
        assert_eq!((step.rule, step.outcome), (Rule::AuthorizationWebhook, StepOutcome::Skipped));
        assert_eq!(step.got, "https://oracle.acme.example/ was not asked");
    }
    assert_eq!(oracle.asked(), []);
}

/// The oracle says when it is asked, and waits for its word before it allows; not for ever, so that a test that fails ends.
fn asks_slowly(oracle: &Oracle) -> (Receiver<()>, Sender<()>) {
    let (asking, asked) = mpsc::channel();
    let (answer, word) = mpsc::channel();
    let word = Mutex::new(word);
    oracle.says(move || {
        asking.send(()).unwrap();
        word.lock().unwrap().recv_timeout(PATIENCE).unwrap_or_default();
        Ok(Answer::Allowed)
    });
    (asked, answer)
}

/// A label as it is after a reload of a configuration in which nobody is asked at it.
fn asking_nobody(label: &LabelContext) -> LabelContext {
    LabelContext { authorizer: None, ..share(label) }
}

#[track_caller]
fn assert_told_to_come_back(outcome: Result<PendingResponse, Refusal>) {
    let Err(Refusal::Fault(fault)) = outcome else { panic!("it did not fail") };
    assert!(matches!(fault, Fault::Authorization(AuthorizationFault::InQuestion)), "{fault}");
    assert_eq!((fault.retry_after(), fault.to_string().as_str()), (Some(30), "the same request is being asked about"));
}

/// Whoever waited for the answer here might keep the thread that it comes by, and after a reload not even know that it waits for one.
#[test]
fn the_same_request_is_asked_about_once_and_comes_back_meanwhile() {
    let oracle = Oracle::new();
    let world = world_of(&oracle, RegistrationRule::Open);
    let (device, body) = (world.birth("SN-1", KeyType::P256), body());
    let (asks, answers) = asks_slowly(&oracle);
    let plain = asking_nobody(world.label("devices"));
    let target = EstTarget { label: None, operation: Operation::SimpleEnroll };
    let request = EstRequest { target, body: body.clone(), credential: None };
    let certificate = std::thread::scope(|scope| {
        let enrolls = scope.spawn(|| issued(&enroll(&world, &device, &body).unwrap()));
        asks.recv_timeout(PATIENCE).unwrap();
        assert_told_to_come_back(enroll(&world, &device, &body));
        assert_told_to_come_back(world.ra.enroll(&plain, &request, &device.session(), "test"));
        assert_eq!(world.store.events().last().unwrap().outcome, AuditOutcome::Failed);
        let inquiry = Inquiry {
            label: Label::parse("devices").unwrap(),
            operation: Operation::SimpleEnroll,
            request: body.clone(),
            chain: vec![device.certificate.clone()],
            credential: None,
        };
        let explanation = world.ra.explain(&grant("acme"), &inquiry).unwrap();
        assert!(matches!(explanation.verdict, Verdict::Issue { .. }), "it is not answered: {:?}", explanation.verdict);
        answers.send(()).unwrap();
        enrolls.join().unwrap()
    });
    assert_eq!(issued(&enroll(&world, &device, &body).unwrap()), certificate);
    assert_eq!((oracle.asked().len(), world.store.certificate_count().unwrap()), (1, 1));
}

#[test]
fn what_is_to_wait_for_an_operator_is_asked_about_once_as_well() {
    let oracle = Oracle::new();
    let world = world_of(&oracle, RegistrationRule::Approval);
    let (device, body) = (world.birth("SN-1", KeyType::P256), body());
    let (asks, answers) = asks_slowly(&oracle);
    std::thread::scope(|scope| {
        let enrolls = scope.spawn(|| enroll(&world, &device, &body).unwrap().waits.is_some());
        asks.recv_timeout(PATIENCE).unwrap();
        assert_told_to_come_back(enroll(&world, &device, &body));
        assert_eq!(waits(&world), []);
        answers.send(()).unwrap();
        assert!(enrolls.join().unwrap());
    });
    assert!(enroll(&world, &device, &body).unwrap().waits.is_some());
    assert_eq!((oracle.asked().len(), waits(&world).len()), (1, 1));
}

#[test]
fn what_changes_while_it_is_asked_counts() {
    let oracle = Oracle::new();
    let world = world_of(&oracle, RegistrationRule::Open);
    let device = world.birth("SN-1", KeyType::P256);
    enroll(&world, &device, &body()).unwrap();
    let (asks, suspended) = asks_slowly(&oracle);
    std::thread::scope(|scope| {
        let enrolls = scope.spawn(|| enroll(&world, &device, &body()));
        asks.recv_timeout(PATIENCE).unwrap();
        world.ra.set_device_state(&grant("acme"), "SN-1", DeviceState::Suspended, None).unwrap().1.wait().unwrap();
        suspended.send(()).unwrap();
        assert_eq!(code(enrolls.join().unwrap()), RejectionCode::DeviceSuspended);
    });
    assert_eq!(world.store.certificate_count().unwrap(), 1);
}

#[test]
fn a_code_that_is_revoked_while_it_is_asked_is_good_for_nothing() {
    let oracle = Oracle::new();
    let world = World::with(
        KeyType::P256,
        |_| (),
        |label| {
            label.authorizer = Some(Arc::clone(&oracle) as _);
            label.authentication.rule = AuthenticationRule::Http;
            label.authentication.accepted = Accepted { schemes: vec![HttpScheme::Code], digest: Vec::new() };
        },
    );
    let make = || {
        let request = CodeRequest { devices: vec!["SN-1".into()], count: 1, uses: 2, life: TimeDelta::days(1) };
        world.ra.make_codes(&grant("acme"), &request).unwrap().codes.remove(0)
    };
    let enroll = |code: &str| {
        let credential = PresentedCredential::Basic { user: String::new(), password: code.to_owned().into() };
        let nobody = PeerSession::new(None, "192.0.2.1:4711".into());
        world.enroll_with(Operation::SimpleEnroll, &nobody, Some(credential), &body())
    };
    // What was revoked is forgotten as soon as others are made.
    for is_forgotten in [false, true] {
        let made = make();
        oracle.says(|| Ok(Answer::Allowed));
        enroll(&made.code).unwrap();
        let (asks, revoked) = asks_slowly(&oracle);
        std::thread::scope(|scope| {
            let enrolls = scope.spawn(|| enroll(&made.code));
            asks.recv_timeout(PATIENCE).unwrap();
            world.ra.revoke_code(&grant("acme"), &made.record.sha256[..16]).unwrap().wait().unwrap();
            if is_forgotten {
                make();
            }
            revoked.send(()).unwrap();
            let Err(Refusal::Rejected(rejection)) = enrolls.join().unwrap() else { panic!("not refused") };
            assert_eq!(rejection.code(), RejectionCode::AuthFailed);
        });
    }
    assert_eq!(world.store.certificate_count().unwrap(), 2);
}

/// A turn that others wait for, to have their credentials verified, is not kept while somebody is asked.
#[test]
fn a_turn_that_was_lent_is_given_back_before_somebody_is_asked() {
    let oracle = Oracle::new();
    let world = world_of(&oracle, RegistrationRule::Open);
    let device = world.birth("SN-1", KeyType::P256);
    let lent = Arc::new(());
    let (seen, was_free) = (Arc::downgrade(&lent), Arc::new(AtomicBool::new(false)));
    let noted = Arc::clone(&was_free);
    oracle.says(move || {
        noted.store(seen.strong_count() == 0, Ordering::SeqCst);
        Ok(Answer::Allowed)
    });
    let target = EstTarget { label: None, operation: Operation::SimpleEnroll };
    let request = EstRequest { target, body: body(), credential: None };
    let coming = Coming { turn: Some(Turn::holding(lent)), is_counted: false };
    world.ra.enroll_as(world.label("devices"), &request, &device.session(), "test", coming).unwrap();
    assert!(was_free.load(Ordering::SeqCst));
}

#[test]
fn what_an_operator_has_issued_is_asked_about_as_well() {
    let oracle = Oracle::new();
    let world = world_of(&oracle, RegistrationRule::Open);
    oracle.denies("not on the list");
    let issue = || world.ra.issue_for_operator(&grant("acme"), "devices", "SN-7", &body());
    assert!(issue().is_err());
    assert_eq!(left(&world), (0, 0, 1));
    oracle.says(|| Ok(Answer::Allowed));
    let certificate = Certificate::decode(&issued(&issue().unwrap())).unwrap();
    assert_eq!(certificate.subject().to_string(), "O=Acme,CN=SN-7");
    let asked = &oracle.asked()[1];
    assert_eq!((asked.operation.as_str(), asked.device.as_str()), ("issue", "SN-7"));
    assert_eq!(
        (asked.actor.as_deref(), asked.credentials.as_slice()),
        (Some("olga"), &["operator/olga".to_owned()][..])
    );
}
