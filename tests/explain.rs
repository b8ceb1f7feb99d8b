//! What an operator is told would come of a request: the same as what comes, with the rule that decides, and nothing left.
//!
//! Every enrollment of the other tests is foreseen too: `support/world.rs` asks before it enrolls.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use chrono::TimeDelta;
use estd::access::{Grant, ReadRegistry};
use estd::credential::declared::{ApiToken, Declarations, EnrollmentCode, User};
use estd::credential::password::PasswordHash;
use estd::credential::{Accepted, AssumedCredential, Credentials, DeviceScope, GuessLimits, HttpScheme, secret};
use estd::est::trace::StepOutcome;
use estd::est::{DigestAlgorithm, Label, Operation, PresentedCredential, RejectionCode, Rule};
use estd::pki::device_identity::{DeviceId, IdentitySource};
use estd::pki::profile::RequestNames;
use estd::pki::public_key::KeyType;
use estd::pki::revocation::RevocationReason;
use estd::policy::{AuthenticationRule, IdentityLinking, RegistrationRule, RepeatedBirth};
use estd::ra::{
    Authentication, CodeRequest, ExplainError, Explanation, Inquiry, LabelContext, Listing, PeerSession, Verdict,
};
use estd::store::device::DeviceState;
use estd::store::fact::{FactKey, FactKind};
use estd::store::{Catalogue as _, CertificateStore as _, Direction, Span};
use estd_asn1::{Attribute, BasicConstraints, Certificate, Extension, GeneralName, Name, oid};
use proptest::prelude::*;
use world::*;

fn inquiry(operation: Operation, chain: &[&Device], request: &[u8]) -> Inquiry {
    Inquiry {
        label: Label::parse("devices").unwrap(),
        operation,
        request: request.to_vec(),
        chain: chain.iter().map(|device| device.certificate.clone()).collect(),
        credential: None,
    }
}

/// Everything that is remembered.
fn remembered(world: &World) -> (usize, u64, u64, Vec<(FactKey, Vec<u8>)>) {
    let facts =
        [FactKind::Device, FactKind::Key, FactKind::PendingRequest, FactKind::CredentialUses, FactKind::Succession];
    let facts =
        facts.into_iter().flat_map(|kind| world.store.facts(&FactKey::new(kind, "acme", b""), None, 999).unwrap());
    let (events, certificates) = (world.store.events().len(), world.store.certificate_count().unwrap());
    (events, certificates, world.entropy.drawn(), facts.collect())
}

/// Explains, and sees that nothing is left of it.
fn explain(world: &World, inquiry: &Inquiry) -> Explanation {
    let before = remembered(world);
    let explanation = world.ra.explain(&grant("acme"), inquiry).unwrap();
    assert_eq!(remembered(world), before);
    explanation
}

fn ask(world: &World, chain: &[&Device], request: &[u8]) -> Explanation {
    explain(world, &inquiry(Operation::SimpleEnroll, chain, request))
}

/// The refusal, and the rule of the step that it comes from, which is the last one.
fn refusal(explanation: &Explanation) -> (RejectionCode, Rule) {
    let Verdict::Refuse(rejection) = &explanation.verdict else { panic!("{:?}", explanation.trace) };
    let last = explanation.trace.steps().last().unwrap();
    assert_eq!((last.outcome, last.clause), (StepOutcome::Refused, rejection.clause()));
    assert!(!explanation.would_issue());
    assert_eq!(explanation.refused_by(), Some(last.rule));
    let earlier = &explanation.trace.steps()[..explanation.trace.steps().len() - 1];
    assert!(earlier.iter().all(|step| step.outcome != StepOutcome::Refused), "{earlier:?}");
    (rejection.code(), last.rule)
}

fn plain() -> Vec<u8> {
    request(device_key(KeyType::P256).as_ref(), &Name::empty(), &[])
}

fn asking_for(extensions: &[Extension]) -> Vec<u8> {
    request(device_key(KeyType::P256).as_ref(), &Name::empty(), extensions)
}

#[test]
fn a_certificate_is_foreseen_as_it_will_be() {
    let world = World::new();
    let device = world.birth("SN-1", KeyType::P256);
    let body = plain();
    let foreseen = ask(&world, &[&device], &body);
    assert!(foreseen.would_issue());
    assert_eq!(foreseen.device.as_deref(), Some("SN-1"));
    let Verdict::Issue { certificate: outline, alarm: None } = foreseen.verdict else { panic!("{:?}", foreseen.trace) };
    assert!(outline.signature().is_empty(), "nobody signed it");
    assert_eq!(outline.subject().to_string(), "O=Acme,CN=SN-1");
    // What was asked about is not recorded: the real one is a first one.
    let issued =
        Certificate::decode(&world.enroll(Operation::SimpleEnroll, &device.session(), &body).unwrap()).unwrap();
    assert_eq!((issued.validity(), issued.extensions()), (outline.validity(), outline.extensions()));
    let again = ask(&world, &[&device], &body);
    let Verdict::Repeat(record) = &again.verdict else { panic!("{:?}", again.trace) };
    assert_eq!(record.der, issued.der());
    assert!(again.would_issue());
    let other = ask(&world, &[&device], &plain());
    let Verdict::Issue { alarm: Some(alarm), .. } = other.verdict else { panic!("{:?}", other.trace) };
    assert!(alarm.contains("another key"), "{alarm}");
}

#[test]
fn every_refusal_names_its_rule() {
    let world = World::with(
        KeyType::P256,
        |profile| profile.allow_key_reuse = false,
        |label| label.registration.repeated_birth = RepeatedBirth::Refuse,
    );
    let device = world.birth("SN-1", KeyType::P256);
    let stranger = birth(
        &authority("Stranger", KeyType::P256, START.parse().unwrap()),
        "SN-1",
        KeyType::P256,
        START.parse().unwrap(),
    );
    let theirs = birth(&world.other_maker, "SN-1", KeyType::P256, START.parse().unwrap());
    let maker = Device { key: device_key(KeyType::P256), certificate: world.maker.certificate().der().to_vec() };
    let garbled = {
        let mut body = plain();
        *body.last_mut().unwrap() ^= 1;
        body
    };
    let ca = Extension {
        oid: oid::BASIC_CONSTRAINTS,
        critical: true,
        value: BasicConstraints { ca: true, path_len: None }.encode(),
    };
    let others_name = alt_names(&[GeneralName::Uri("urn:acme:SN-2".into())]);
    let wildcard = alt_names(&[GeneralName::DnsName("*.acme.example".into())]);
    let named = request(device_key(KeyType::P256).as_ref(), &common_name("SN-2"), &[]);
    for (chain, body, code, rule) in [
        (vec![], plain(), RejectionCode::AuthMissing, Rule::CertificatePath),
        (vec![&stranger], plain(), RejectionCode::Untrusted, Rule::CertificatePath),
        (vec![&theirs], plain(), RejectionCode::CrossTenant, Rule::CertificatePath),
        (vec![&maker], plain(), RejectionCode::CertificateUsage, Rule::CertificatePath),
        (vec![&device], b"\x30\x00".to_vec(), RejectionCode::BadRequestSyntax, Rule::RequestSyntax),
        (vec![&device], asking_for(&[wildcard]), RejectionCode::BadName, Rule::RequestSyntax),
        (vec![&device], garbled, RejectionCode::PossessionInvalid, Rule::ProofOfPossession),
        (vec![&device], asking_for(&[ca]), RejectionCode::ExtensionNotAllowed, Rule::RequestedExtensions),
        (vec![&device], named, RejectionCode::IdentityMismatch, Rule::Names),
        (vec![&device], asking_for(&[others_name]), RejectionCode::IdentityMismatch, Rule::Names),
    ] {
        let explanation = ask(&world, &chain, &body);
        assert_eq!(refusal(&explanation), (code, rule), "{:?}", explanation.trace);
    }
    let renewed = explain(&world, &inquiry(Operation::SimpleReenroll, &[&device], &plain()));
    assert_eq!(refusal(&renewed), (RejectionCode::NotRenewable, Rule::CurrentCertificate));

    let key = device_key(KeyType::P256);
    let body = request(key.as_ref(), &Name::empty(), &[]);
    let certificate = world.enroll(Operation::SimpleEnroll, &device.session(), &body).unwrap();
    let operational = Device { key, certificate };
    let second = world.birth("SN-2", KeyType::P256);
    let taken = request(operational.key.as_ref(), &Name::empty(), &[]);
    assert_eq!(refusal(&ask(&world, &[&second], &taken)), (RejectionCode::KeyInUse, Rule::KeyHolder));
    assert_eq!(refusal(&ask(&world, &[&device], &plain())), (RejectionCode::CloneSuspected, Rule::Registration));
    let renew = |body: &[u8]| explain(&world, &inquiry(Operation::SimpleReenroll, &[&operational], body));
    assert_eq!(refusal(&renew(&plain())), (RejectionCode::SubjectMismatch, Rule::Names));
    let names = alt_names(&[GeneralName::Uri("urn:acme:SN-1".into())]);
    let same_key = request(operational.key.as_ref(), operational.certificate().subject(), &[names]);
    assert_eq!(refusal(&renew(&same_key)), (RejectionCode::KeyNotAllowed, Rule::KeyReuse));
    world.revoke(&operational.certificate(), RevocationReason::Superseded);
    assert_eq!(refusal(&renew(&same_key)), (RejectionCode::Revoked, Rule::CertificateStanding));
    world.clock.advance(TimeDelta::days(3651));
    assert_eq!(refusal(&ask(&world, &[&second], &plain())), (RejectionCode::NotInValidity, Rule::CertificateValidity));
}

#[test]
fn what_the_registry_says_is_foreseen() {
    let world = World::with(KeyType::P256, |_| (), |label| label.registration.rule = RegistrationRule::Listed);
    let device = world.birth("SN-1", KeyType::P256);
    let body = plain();
    let unlisted = ask(&world, &[&device], &body);
    assert_eq!(refusal(&unlisted), (RejectionCode::DeviceNotListed, Rule::Registration));
    assert_eq!(unlisted.device.as_deref(), Some("SN-1"), "whose identity is proven is named");
    let listing = Listing { id: "SN-1".into(), tags: Vec::new() };
    world.ra.list_devices(&grant("acme"), &[listing], false).unwrap().wait().unwrap();
    assert!(ask(&world, &[&device], &body).would_issue());
    world.enroll(Operation::SimpleEnroll, &device.session(), &body).unwrap();
    for (state, code) in
        [(DeviceState::Suspended, RejectionCode::DeviceSuspended), (DeviceState::Revoked, RejectionCode::DeviceRevoked)]
    {
        world.ra.set_device_state(&grant("acme"), "SN-1", state, None).unwrap().1.wait().unwrap();
        assert_eq!(refusal(&ask(&world, &[&device], &body)), (code, Rule::Registration));
    }

    let world = World::with(KeyType::P256, |_| (), |label| label.registration.rule = RegistrationRule::Approval);
    let device = world.birth("SN-1", KeyType::P256);
    let waits = ask(&world, &[&device], &body);
    let Verdict::Wait { request, is_waiting: false } = waits.verdict else { panic!("{:?}", waits.trace) };
    let pending = world.enroll_at("devices", Operation::SimpleEnroll, &device.session(), &body).unwrap();
    assert_eq!(pending.waits, Some(request));
    let waits = ask(&world, &[&device], &body);
    assert!(matches!(waits.verdict, Verdict::Wait { is_waiting: true, .. }) && !waits.would_issue());
}

const PASSWORD: &str = "correct horse";
const CODE: &str = "CODE-0123456789";

fn scope(patterns: &[&str]) -> Arc<DeviceScope> {
    Arc::new(DeviceScope::parse(&patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>()).unwrap())
}

/// User `line` (devices AX-…), token `mes` (all) and `old` (expired), a code for SN-1, once.
static CREDENTIALS: LazyLock<Arc<Credentials>> = LazyLock::new(|| {
    let user = User {
        name: "line".to_owned(),
        password: Some(PasswordHash::parse(&PasswordHash::make(PASSWORD, &[1; 16]).unwrap()).unwrap()),
        digest_sha256: None,
        digest_md5: None,
        devices: scope(&["AX-*"]),
    };
    let token = |name: &str, not_after: Option<&str>| ApiToken {
        name: name.to_owned(),
        sha256: secret::hash(name),
        devices: scope(&["*"]),
        not_after: not_after.map(|time| time.parse().unwrap()),
    };
    let declared = Declarations {
        realm: "acme".to_owned(),
        users: vec![user],
        tokens: vec![token("mes", None), token("old", Some("2020-01-01T00:00:00Z"))],
        codes: vec![EnrollmentCode { sha256: secret::hash(CODE), devices: scope(&["SN-1"]), not_after: None, uses: 1 }],
        issuers: Vec::new(),
    };
    Arc::new(Credentials::new(declared).unwrap())
});

fn with_credentials(schemes: &'static [HttpScheme], rule: AuthenticationRule) -> World {
    let change = |label: &mut LabelContext| {
        label.authentication = Authentication {
            rule,
            accepted: Accepted { schemes: schemes.to_vec(), digest: DigestAlgorithm::ALL.to_vec() },
            credentials: Arc::clone(&CREDENTIALS),
            guesses: GuessLimits { per_user: 2, per_address: 4, ..GuessLimits::default() },
        };
    };
    World::with(KeyType::P256, |_| (), change)
}

fn with_credential(world: &World, id: &str, device: Option<&str>, body: &[u8]) -> Explanation {
    let device = device.map(|device| DeviceId::parse(device).unwrap());
    let credential = Some(AssumedCredential { id: id.to_owned(), device });
    explain(world, &Inquiry { credential, ..inquiry(Operation::SimpleEnroll, &[], body) })
}

fn nobody() -> PeerSession {
    PeerSession::new(None, "192.0.2.1:4711".into())
}

#[test]
fn a_declared_credential_is_taken_as_presented() {
    let world = with_credentials(&HttpScheme::ALL, AuthenticationRule::CertificateOrHttp);
    let named = |id: &str| request(device_key(KeyType::P256).as_ref(), &common_name(id), &[]);
    let body = named("AX-7");
    let foreseen = with_credential(&world, "user/line", None, &body);
    let Verdict::Issue { certificate, .. } = foreseen.verdict else { panic!("{:?}", foreseen.trace) };
    let credential = PresentedCredential::Basic { user: "line".into(), password: PASSWORD.to_owned().into() };
    let issued = world.enroll_with(Operation::SimpleEnroll, &nobody(), Some(credential), &body).unwrap();
    assert_eq!(Certificate::decode(&issued).unwrap().subject(), certificate.subject());

    assert!(with_credential(&world, "token/mes", None, &named("SN-3")).would_issue());
    let code = format!("code/{}", hex(&secret::hash(CODE)[..16]));
    assert!(with_credential(&world, &code, Some("SN-1"), &plain()).would_issue());
    for (id, device, body, refused) in [
        ("user/line", None, named("SN-9"), (RejectionCode::IdentityMismatch, Rule::DeviceIdentity)),
        ("user/line", None, plain(), (RejectionCode::IdentityMissing, Rule::DeviceIdentity)),
        ("user/nobody", None, named("AX-7"), (RejectionCode::AuthFailed, Rule::HttpCredential)),
        ("token/old", None, named("AX-7"), (RejectionCode::AuthFailed, Rule::HttpCredential)),
        (&code, Some("SN-2"), plain(), (RejectionCode::AuthFailed, Rule::HttpCredential)),
        ("line", None, plain(), (RejectionCode::AuthFailed, Rule::HttpCredential)),
    ] {
        assert_eq!(refusal(&with_credential(&world, id, device, &body)), refused, "{id}");
    }
    assert_eq!(refusal(&ask(&world, &[], &plain())), (RejectionCode::AuthRequired, Rule::Authentication));

    // The code is good for one certificate: to ask about it uses nothing up, to enroll does.
    let spent = PresentedCredential::OneTimePassword(CODE.to_owned().into());
    world.enroll_with(Operation::SimpleEnroll, &nobody(), Some(spent), &plain()).unwrap();
    let refused = with_credential(&world, &code, Some("SN-1"), &plain());
    assert_eq!(refusal(&refused), (RejectionCode::CodeUsed, Rule::CodeUses));

    for _ in 0..2 {
        let wrong = PresentedCredential::Basic { user: "line".into(), password: "wrong".to_owned().into() };
        assert!(world.enroll_with(Operation::SimpleEnroll, &nobody(), Some(wrong), &body).is_err());
    }
    let locked = with_credential(&world, "user/line", None, &body);
    assert_eq!(refusal(&locked), (RejectionCode::LockedOut, Rule::HttpCredential));

    // One that an operator made is found as well, until it is taken back.
    let wanted = CodeRequest { devices: vec!["SN-5".into()], count: 1, uses: 1, life: TimeDelta::days(1) };
    let made = world.ra.make_codes(&grant("acme"), &wanted).unwrap();
    made.receipt.wait().unwrap();
    let id = made.codes[0].record.sha256[..16].to_vec();
    let code = format!("code/{}", hex(&id));
    assert!(with_credential(&world, &code, None, &plain()).would_issue());
    world.ra.revoke_code(&grant("acme"), &id).unwrap().wait().unwrap();
    let refused = with_credential(&world, &code, None, &plain());
    assert_eq!(refusal(&refused), (RejectionCode::AuthFailed, Rule::HttpCredential));

    let world = with_credentials(&[HttpScheme::Bearer], AuthenticationRule::Http);
    let refused = with_credential(&world, "user/line", None, &body);
    assert_eq!(refusal(&refused), (RejectionCode::AuthFailed, Rule::HttpCredential));
    assert_eq!(refusal(&ask(&world, &[], &plain())), (RejectionCode::AuthRequired, Rule::HttpCredential));
}

#[test]
fn to_ask_counts_as_no_guess_and_shows_no_secret() {
    let world = with_credentials(&HttpScheme::ALL, AuthenticationRule::Http);
    let text = |oid, text: &str| {
        let value = [&[0x0c, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        Attribute { oid, values: vec![value] }
    };
    let body = |code: &str| {
        let attributes = [text(oid::OTP_CHALLENGE, code), text(oid::CHALLENGE_PASSWORD, "c2VjcmV0LWJpbmRpbmc=")];
        request_with(device_key(KeyType::P256).as_ref(), &Name::empty(), &attributes)
    };
    for _ in 0..9 {
        let refused = ask(&world, &[], &body("WRONG-CODE"));
        assert_eq!(refusal(&refused), (RejectionCode::AuthFailed, Rule::EnrollmentCode));
        let told = format!("{:?}", refused);
        assert!(!told.contains("WRONG-CODE"), "{told}");
    }
    // Where the address is not known, as an operator's is not, four wrong ones would lock it out.
    let unknown = PeerSession::new(None, String::new());
    let refused = world.enroll(Operation::SimpleEnroll, &unknown, &body("WRONG-CODE")).unwrap_err();
    assert!(refused.to_string().contains("auth_failed"), "{refused}");
    let foreseen = ask(&world, &[], &body(CODE));
    assert!(foreseen.would_issue(), "{:?}", foreseen.trace);
    let linking = foreseen.trace.steps().iter().find(|step| step.rule == Rule::IdentityLinking).unwrap();
    assert_eq!(linking.outcome, StepOutcome::Skipped, "no connection is there to hold it against");
    let told = format!("{:?}", foreseen.trace);
    assert!(!told.contains(CODE) && !told.contains("c2VjcmV0"), "{told}");
    assert!(told.contains("challengePassword"), "{told}");
}

#[test]
fn only_the_tenants_own_labels_and_enrollments_are_explained() {
    let world = World::new();
    let asked = inquiry(Operation::SimpleEnroll, &[], &plain());
    let other: Grant<ReadRegistry> = grant("other");
    assert!(matches!(world.ra.explain(&other, &asked), Err(ExplainError::NoLabel)));
    for operation in [Operation::CaCerts, Operation::CsrAttrs, Operation::FullCmc, Operation::RenewalInfo] {
        let refused = world.ra.explain(&grant("acme"), &Inquiry { operation, ..asked.clone() });
        assert!(matches!(refused, Err(ExplainError::Operation(which)) if which == operation));
    }
}

#[test]
fn the_event_of_a_refusal_tells_the_device_and_the_rule() {
    use estd::audit::AuditOutcome;
    let world = World::new();
    let device = world.birth("SN-1", KeyType::P256);
    let body = request(device_key(KeyType::P256).as_ref(), &common_name("SN-2"), &[]);
    assert!(world.enroll(Operation::SimpleEnroll, &device.session(), &body).is_err());
    let event = world.store.events().pop().unwrap();
    assert_eq!((event.device.as_deref(), event.request_id.as_str()), (Some("SN-1"), "test"));
    let AuditOutcome::Refused { step: Some(step), clause, .. } = event.outcome else { panic!("{event:?}") };
    assert_eq!((step.rule, clause, step.got.as_str()), (Rule::Names, "RFC 7030 4.2", "subject CN=SN-2"));
    let last = world.store.events().len();
    let found = world.store.device_events("acme", "SN-1", &Span::all(), Direction::Descending, 9).unwrap();
    assert_eq!((found.len(), last), (1, 1), "it stands in the device's timeline");
}

/// What one case of the property is made of.
#[derive(Debug, Clone)]
struct Case {
    rule: u8,
    birth: u8,
    linking: bool,
    replace: bool,
    reuse: bool,
    /// What happened before.
    enrolled: bool,
    state: u8,
    /// What comes.
    presenter: u8,
    reenroll: bool,
    shape: u8,
    days: i64,
}

fn case() -> impl Strategy<Value = Case> {
    let label = (0..3_u8, 0..3_u8, any::<bool>(), any::<bool>(), any::<bool>());
    let request = (any::<bool>(), 0..4_u8, 0..5_u8, any::<bool>(), 0..8_u8);
    (label, request, prop_oneof![Just(0_i64), Just(300), Just(400)]).prop_map(|(label, request, days)| {
        let (rule, birth, linking, replace, reuse) = label;
        let (enrolled, state, presenter, reenroll, shape) = request;
        Case { rule, birth, linking, replace, reuse, enrolled, state, presenter, reenroll, shape, days }
    })
}

fn staged(case: &Case) -> World {
    let profile = |profile: &mut estd::pki::profile::EnrollmentProfile| {
        profile.allow_key_reuse = case.reuse;
        profile.request_names = if case.replace { RequestNames::Replace } else { RequestNames::Agree };
    };
    let label = |label: &mut LabelContext| {
        let rules = [RegistrationRule::Open, RegistrationRule::Listed, RegistrationRule::Approval];
        label.registration.rule = rules[usize::from(case.rule)];
        let births = [RepeatedBirth::Allow, RepeatedBirth::Alarm, RepeatedBirth::Refuse];
        label.registration.repeated_birth = births[usize::from(case.birth)];
        label.rules.identity_linking = if case.linking { IdentityLinking::Required } else { IdentityLinking::Off };
        label.rules.identity = IdentitySource::SubjectSerialNumber;
    };
    World::with(KeyType::P256, profile, label)
}

fn shaped(case: &Case, current: Option<&Device>, key: &dyn estd::ca::Signer) -> Vec<u8> {
    let uri = |id: &str| alt_names(&[GeneralName::Uri(format!("urn:acme:{id}"))]);
    let certified = |device: &Device| {
        let names = alt_names(&device.certificate().subject_alt_names(9).unwrap());
        request(key, device.certificate().subject(), &[names])
    };
    match case.shape {
        0 => request(key, &Name::empty(), &[]),
        1 => request(key, &common_name("SN-1"), &[]),
        2 => request(key, &common_name("SN-2"), &[]),
        3 => request(key, &Name::empty(), &[uri("SN-1")]),
        4 => request(key, &Name::empty(), &[uri("SN-2")]),
        5 => current.map_or_else(|| request(key, &Name::empty(), &[]), certified),
        6 => current.map_or_else(|| b"\x30\x03\x02\x01\x01".to_vec(), |device| certified(device)[1..].to_vec()),
        _ => current.map_or_else(
            || request(key, &common_name("\u{7}"), &[]),
            |device| request(device.key.as_ref(), device.certificate().subject(), &[uri("SN-1")]),
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the label's rules, the device's past and the request: what is foreseen comes. The comparison, of verdict,
    /// refusal and certificate, is in `enroll_at`.
    #[test]
    fn what_is_foreseen_comes(case in case()) {
        let world = staged(&case);
        let device = world.birth("SN-1", KeyType::P256);
        let listing = Listing { id: "SN-1".into(), tags: Vec::new() };
        if case.state > 0 {
            world.ra.list_devices(&grant("acme"), &[listing], false).unwrap().wait().unwrap();
        }
        let current = if case.enrolled {
            let key = device_key(KeyType::P256);
            let body = request(key.as_ref(), &Name::empty(), &[]);
            let answer = world.enroll_at("devices", Operation::SimpleEnroll, &device.session(), &body);
            let answer = answer.ok().filter(|pending| pending.waits.is_none());
            answer.map(|pending| Device { key, certificate: issued(&pending) })
        } else {
            None
        };
        world.clock.advance(TimeDelta::days(case.days));
        if let Some(state) = [None, None, Some(DeviceState::Suspended), Some(DeviceState::Revoked)][usize::from(case.state)] {
            // A device that never came cannot be suspended.
            drop(world.ra.set_device_state(&grant("acme"), "SN-1", state, None));
        }
        let session = match (case.presenter, &current) {
            (0, _) => nobody(),
            (1 | 2, Some(current)) => current.session(),
            (3, _) => birth(&world.other_maker, "SN-1", KeyType::P256, START.parse().unwrap()).session(),
            (4, _) => world.birth("SN-2", KeyType::P256).session(),
            (_, _) => device.session(),
        };
        let operation = if case.reenroll { Operation::SimpleReenroll } else { Operation::SimpleEnroll };
        let key = device_key(KeyType::P256);
        let body = shaped(&case, current.as_ref(), key.as_ref());
        for label in ["devices", "devices", "second"] {
            drop(world.enroll_at(label, operation, &session, &body));
        }
    }
}

#[test]
fn the_rules_are_described_each_and_no_other() {
    let text = include_str!("../docs/explain.md");
    let described: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |").map(|(name, _)| name)).collect();
    let rules: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
    assert_eq!(described, rules);
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
