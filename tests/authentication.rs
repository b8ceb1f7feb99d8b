//! Who gets a certificate by which proof: every rule of a label against everything a requester can show.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/world.rs"]
mod world;

use std::sync::{Arc, LazyLock};

use chrono::TimeDelta;
use estd::audit::AuditOutcome;
use estd::clock::Clock as _;
use estd::credential::declared::{ApiToken, Declarations, EnrollmentCode, User};
use estd::credential::password::PasswordHash;
use estd::credential::{Accepted, Credentials, DeviceScope, GuessLimits, HttpScheme, secret};
use estd::est::{DigestAlgorithm, Operation, PresentedCredential, RejectionCode};
use estd::pki::public_key::KeyType;
use estd::pki::revocation::RevocationReason;
use estd::policy::AuthenticationRule;
use estd::ra::{Authentication, CodeRefused, CodeRequest, CodeState, MAX_CODES, PeerSession, Refusal};
use estd::store::CertificateStore;
use estd_asn1::{Attribute, Certificate, GeneralName, Name, oid};
use proptest::prelude::*;
use world::*;

fn scope(patterns: &[&str]) -> Arc<DeviceScope> {
    Arc::new(DeviceScope::parse(&patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>()).unwrap())
}

/// User `line` (devices AX-…), user `own` (SN-1 alone), token `estd_t` (all), codes CODE-1 (SN-1), CODE-2 (SN-1, twice), CODE-N (SN-1)
/// and CODE-X (AX-…).
static CREDENTIALS: LazyLock<Arc<Credentials>> = LazyLock::new(|| {
    let user = |name: &str, devices: &[&str]| User {
        name: name.to_owned(),
        password: Some(PasswordHash::parse(&PasswordHash::make("right", &[1; 16]).unwrap()).unwrap()),
        digest_sha256: None,
        digest_md5: None,
        devices: scope(devices),
    };
    let code = |code: &str, devices: &[&str], uses| EnrollmentCode {
        sha256: secret::hash(code),
        devices: scope(devices),
        not_after: None,
        uses,
    };
    let token =
        ApiToken { name: "t".to_owned(), sha256: secret::hash("estd_t"), devices: scope(&["*"]), not_after: None };
    let declared = Declarations {
        realm: "acme".to_owned(),
        users: vec![user("line", &["AX-*"]), user("own", &["SN-1"])],
        tokens: vec![token],
        codes: vec![
            code("CODE-1", &["SN-1"], 1),
            code("CODE-2", &["SN-1"], 2),
            code("CODE-X", &["AX-*"], 1),
            code("CODE-N", &["SN-1"], 99),
        ],
        issuers: Vec::new(),
    };
    Arc::new(Credentials::new(declared).unwrap())
});

fn world(rule: AuthenticationRule) -> World {
    world_taking(rule, &HttpScheme::ALL)
}

fn world_taking(rule: AuthenticationRule, schemes: &[HttpScheme]) -> World {
    World::with(
        KeyType::P256,
        |_| (),
        |label| {
            label.authentication = Authentication {
                rule,
                accepted: Accepted { schemes: schemes.to_vec(), digest: DigestAlgorithm::ALL.to_vec() },
                credentials: Arc::clone(&CREDENTIALS),
                guesses: GuessLimits { per_user: 3, per_address: 6, ..GuessLimits::default() },
            };
        },
    )
}

fn basic(user: &str, password: &str) -> PresentedCredential {
    PresentedCredential::Basic { user: user.to_owned(), password: password.to_owned().into() }
}

fn bearer(token: &str) -> PresentedCredential {
    PresentedCredential::Bearer(token.to_owned().into())
}

fn nobody() -> PeerSession {
    PeerSession::new(None, "192.0.2.1:4711".into())
}

fn csr(subject: &Name) -> Vec<u8> {
    request(device_key(KeyType::P256).as_ref(), subject, &[])
}

fn csr_with_code(code: &str) -> Vec<u8> {
    let value = [&[0x0c, u8::try_from(code.len()).unwrap()], code.as_bytes()].concat();
    let attribute = Attribute { oid: oid::OTP_CHALLENGE, values: vec![value] };
    request_with(device_key(KeyType::P256).as_ref(), &Name::empty(), &[attribute])
}

fn code_of(outcome: Result<Vec<u8>, Refusal>) -> Option<RejectionCode> {
    match outcome {
        Ok(_) => None,
        Err(Refusal::Rejected(rejection)) => Some(rejection.code()),
        Err(Refusal::Fault(fault)) => panic!("{fault}"),
    }
}

/// Threat 1, and the property that no combination of rules issues without one of its required authentications.
#[test]
fn nothing_is_issued_without_what_the_label_requires() {
    use AuthenticationRule::{Certificate as ByCertificate, CertificateAndHttp, CertificateOrHttp, Http};
    for rule in AuthenticationRule::ALL {
        let world = world(rule);
        let own = world.birth("SN-1", KeyType::P256);
        let other = world.birth("SN-2", KeyType::P256);
        let stranger = birth(&world.other_maker, "SN-1", KeyType::P256, world.clock.now());
        // What is shown in TLS, and the device it proves.
        let sessions = [
            ("none", nobody(), None),
            ("own", own.session(), Some("SN-1")),
            ("other", other.session(), Some("SN-2")),
            ("stranger", stranger.session(), None),
        ];
        // What is shown in HTTP or in the request, and the device it proves.
        type Body = fn() -> Vec<u8>;
        let bare: Body = || csr(&Name::empty());
        let credentials: [(&str, _, Body, _, bool); 6] = [
            ("none", None, bare, None, false),
            ("right", Some(basic("own", "right")), bare, Some("SN-1"), true),
            ("token", Some(bearer("estd_t")), || csr(&common_name("SN-1")), Some("SN-1"), true),
            ("otp", None, || csr_with_code("CODE-N"), Some("SN-1"), true),
            ("wrong", Some(basic("own", "wrong")), bare, None, true),
            ("wrong token", Some(bearer("estd_x")), bare, None, true),
        ];
        for (shown, session, by_certificate) in &sessions {
            for (with, credential, body, by_http, tried) in &credentials {
                let outcome = world.enroll_with(Operation::SimpleEnroll, session, credential.clone(), &body());
                let issued = outcome.as_ref().ok().map(|der| Certificate::decode(der).unwrap());
                let case = format!("{rule:?}, certificate {shown}, credential {with}");
                let expected = match rule {
                    ByCertificate => *by_certificate,
                    Http => *by_http,
                    CertificateOrHttp if *with == "otp" && by_certificate.is_some() => {
                        by_certificate.filter(|device| Some(*device) == *by_http)
                    }
                    CertificateOrHttp => by_certificate.or(*by_http),
                    CertificateAndHttp => by_certificate.filter(|device| Some(*device) == *by_http),
                };
                let names = issued.as_ref().map(|certificate| certificate.subject().to_string());
                let expected = expected.map(|device| format!("O=Acme,CN={device}"));
                // The token says SN-1 in its request, which the other device's certificate does not.
                let contradicts = *with == "token" && *shown == "other" && rule != Http;
                if contradicts {
                    assert_eq!(code_of(outcome), Some(RejectionCode::IdentityMismatch), "{case}");
                } else {
                    assert_eq!(names, expected, "{case}");
                }
                if names.is_none() && !contradicts {
                    let event = world.store.events().pop().unwrap();
                    let AuditOutcome::Refused { code, .. } = event.outcome else { panic!("{case}: {event:?}") };
                    let challenged = matches!(code, RejectionCode::AuthRequired | RejectionCode::AuthFailed);
                    let label = world.label("devices");
                    assert_eq!(challenged, !world.ra.challenges(label, code).is_empty(), "{case}: {code:?}");
                    assert!(challenged || !rule.takes_http() || by_certificate.is_none() || *tried, "{case}: {code:?}");
                }
                // Failures of one case are none of another's.
                world.clock.advance(TimeDelta::hours(1));
            }
        }
    }
}

#[test]
fn a_credential_enrolls_the_devices_it_speaks_for_and_no_others() {
    let world = world(AuthenticationRule::Http);
    let enroll = |credential, subject: &Name| {
        world.enroll_with(Operation::SimpleEnroll, &nobody(), Some(credential), &csr(subject))
    };
    let names = |der: Vec<u8>| {
        let certificate = Certificate::decode(&der).unwrap();
        (certificate.subject().to_string(), certificate.subject_alt_names(9).unwrap())
    };
    let of = |device: &str| (format!("O=Acme,CN={device}"), vec![GeneralName::Uri(format!("urn:acme:{device}"))]);
    assert_eq!(names(enroll(basic("own", "right"), &Name::empty()).unwrap()), of("SN-1"));
    assert_eq!(names(enroll(basic("own", "right"), &common_name("SN-1")).unwrap()), of("SN-1"));
    assert_eq!(names(enroll(basic("line", "right"), &common_name("AX-7")).unwrap()), of("AX-7"));
    let event = world.store.events().pop().unwrap();
    assert_eq!((event.credential.as_deref(), event.device.as_deref()), (Some("user/line"), Some("AX-7")));
    for (credential, subject, code) in [
        (basic("own", "right"), common_name("SN-2"), RejectionCode::IdentityMismatch),
        (basic("line", "right"), common_name("SN-1"), RejectionCode::IdentityMismatch),
        (basic("line", "right"), Name::empty(), RejectionCode::IdentityMissing),
        (basic("AX-9", "CODE-X"), common_name("AX-8"), RejectionCode::IdentityMismatch),
    ] {
        assert_eq!(code_of(enroll(credential, &subject)), Some(code), "{subject}");
    }
}

#[test]
fn a_profile_that_is_made_of_birth_certificates_needs_one() {
    let world = World::with(
        KeyType::P256,
        |profile| {
            profile.subject = vec![
                estd::pki::template::SubjectAttributeTemplate::parse("serialNumber={subject.serialNumber}").unwrap(),
            ];
        },
        |label| {
            label.authentication = Authentication {
                rule: AuthenticationRule::CertificateOrHttp,
                accepted: Accepted { schemes: vec![HttpScheme::Basic], digest: Vec::new() },
                credentials: Arc::clone(&CREDENTIALS),
                guesses: GuessLimits::default(),
            };
        },
    );
    let enroll = |session: &PeerSession| {
        let body = csr(&Name::empty());
        world.enroll_with(Operation::SimpleEnroll, session, Some(basic("own", "right")), &body)
    };
    assert!(enroll(&world.birth("SN-1", KeyType::P256).session()).is_ok());
    assert_eq!(code_of(enroll(&nobody())), Some(RejectionCode::IdentityMissing));
}

/// EST-4.2.2-11.
#[test]
fn without_a_certificate_only_one_on_record_is_renewed() {
    let world = world(AuthenticationRule::Http);
    let renew = |extensions: &[estd_asn1::Extension], subject: &Name| {
        let body = request(device_key(KeyType::P256).as_ref(), subject, extensions);
        world.enroll_with(Operation::SimpleReenroll, &nobody(), Some(basic("own", "right")), &body)
    };
    assert_eq!(code_of(renew(&[], &common_name("SN-1"))), Some(RejectionCode::NotRenewable));
    let body = csr(&Name::empty());
    let first = world.enroll_with(Operation::SimpleEnroll, &nobody(), Some(basic("own", "right")), &body).unwrap();
    let first = Certificate::decode(&first).unwrap();
    let same = alt_names(&first.subject_alt_names(9).unwrap());
    assert_eq!(code_of(renew(&[], first.subject())), Some(RejectionCode::SubjectAltNameMismatch));
    assert_eq!(code_of(renew(std::slice::from_ref(&same), &common_name("SN-1"))), Some(RejectionCode::SubjectMismatch));
    let renewed = Certificate::decode(&renew(std::slice::from_ref(&same), first.subject()).unwrap()).unwrap();
    let record = world.store.certificate(&world.id(&renewed)).unwrap().unwrap();
    assert_eq!(record.renews, Some(world.id(&first)));
    assert_eq!(record.credential.as_deref(), Some("user/own"));

    world.revoke(&renewed, RevocationReason::KeyCompromise);
    assert_eq!(code_of(renew(&[same], first.subject())), Some(RejectionCode::Revoked));
}

/// AUTH-12.
#[test]
fn a_code_is_good_for_as_many_certificates_as_it_says() {
    let world = world(AuthenticationRule::Http);
    let enroll =
        |code: &str, body: &[u8]| world.enroll_with(Operation::SimpleEnroll, &nobody(), Some(basic("", code)), body);
    assert_eq!(code_of(enroll("CODE-1", b"no request")), Some(RejectionCode::BadRequestSyntax));
    assert_eq!(code_of(enroll("CODE-1", &csr(&common_name("SN-2")))), Some(RejectionCode::IdentityMismatch));
    let body = csr(&Name::empty());
    let certificate = enroll("CODE-1", &body).unwrap();
    assert_eq!(enroll("CODE-1", &body).unwrap(), certificate, "a lost answer is given again");
    let drawn = world.entropy.drawn();
    assert_eq!(code_of(enroll("CODE-1", &csr(&Name::empty()))), Some(RejectionCode::CodeUsed));
    assert_eq!(world.entropy.drawn(), drawn, "no serial number is used");
    let by_request = |code| world.enroll_with(Operation::SimpleEnroll, &nobody(), None, &csr_with_code(code));
    assert_eq!(code_of(by_request("CODE-1")), Some(RejectionCode::CodeUsed), "whichever way it comes");
    assert!(by_request("CODE-2").is_ok() && enroll("CODE-2", &csr(&Name::empty())).is_ok());
    assert_eq!(code_of(enroll("CODE-2", &csr(&Name::empty()))), Some(RejectionCode::CodeUsed));
    world.clock.advance(TimeDelta::days(1));
    assert_eq!(code_of(enroll("CODE-1", &body)), Some(RejectionCode::CodeUsed), "the window is over");
}

#[test]
fn of_parallel_uses_of_one_code_exactly_one_wins() {
    let world = world(AuthenticationRule::Http);
    let issued = std::thread::scope(|scope| {
        let enroll = || {
            let body = csr(&Name::empty());
            world.enroll_with(Operation::SimpleEnroll, &nobody(), Some(basic("", "CODE-1")), &body).is_ok()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(enroll)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|issued| *issued).count()
    });
    assert_eq!((issued, world.store.certificate_count().unwrap()), (1, 1));
}

/// RFC 7894 section 4.
#[test]
fn every_code_that_comes_must_be_right() {
    let world = world(AuthenticationRule::CertificateOrHttp);
    let own = world.birth("SN-1", KeyType::P256).session();
    let enroll = |session: &PeerSession, credential, body: &[u8]| {
        code_of(world.enroll_with(Operation::SimpleEnroll, session, credential, body))
    };
    assert_eq!(enroll(&own, None, &csr_with_code("CODE-1")), None);
    assert_eq!(enroll(&own, None, &csr_with_code("WRONG")), Some(RejectionCode::AuthFailed));
    assert_eq!(enroll(&own, None, &csr_with_code("CODE-X")), Some(RejectionCode::IdentityMismatch));
    let both = Some(basic("", "CODE-2"));
    assert_eq!(enroll(&nobody(), both.clone(), &csr_with_code("CODE-2")), None, "the same one twice is one use");
    assert_eq!(enroll(&nobody(), both, &csr_with_code("CODE-X")), Some(RejectionCode::AuthFailed));
    // Where codes are not taken it is an attribute like others.
    let without = world_taking(AuthenticationRule::CertificateOrHttp, &[HttpScheme::Basic]);
    let session = without.birth("SN-1", KeyType::P256).session();
    let body = csr_with_code("WRONG");
    assert!(without.enroll_with(Operation::SimpleEnroll, &session, None, &body).is_ok());
}

/// Threat 36.
#[test]
fn guessing_ends_with_a_lockout_that_spares_what_cannot_be_guessed() {
    let world = world(AuthenticationRule::Http);
    let from = |address: &str| PeerSession::new(None, format!("{address}:4711"));
    let try_it = |address: &str, credential| {
        code_of(world.enroll_with(Operation::SimpleEnroll, &from(address), Some(credential), &csr(&Name::empty())))
    };
    let (wrong, out) = (Some(RejectionCode::AuthFailed), Some(RejectionCode::LockedOut));
    for user in ["own", "nobody"] {
        let guess = |address: &str| try_it(address, basic(user, "wrong"));
        assert_eq!([guess("192.0.2.1"), guess("192.0.2.2"), guess("192.0.2.3")], [wrong, wrong, out], "{user}");
        assert_eq!(guess("192.0.2.4"), out);
    }
    assert_eq!(try_it("192.0.2.5", basic("own", "right")), out);
    assert_eq!(try_it("192.0.2.5", basic("SN-1", "CODE-1")), None, "a code is not the user's password");
    let events = world.store.events();
    let locked = events
        .iter()
        .find(|event| matches!(event.outcome, AuditOutcome::Refused { code: RejectionCode::LockedOut, .. }));
    assert_eq!(locked.unwrap().credential.as_deref(), Some("user/own"));

    // One address, or one IPv6 network, whatever it tries.
    for host in 1..=5 {
        assert_eq!(try_it(&format!("[2001:db8::{host}]"), bearer("estd_x")), wrong);
    }
    assert_eq!(try_it("[2001:db8::6]", bearer("estd_x")), out);
    let Err(Refusal::Rejected(locked)) = world.enroll_with(
        Operation::SimpleEnroll,
        &from("[2001:db8::7]"),
        Some(bearer("estd_t")),
        &csr(&Name::empty()),
    ) else {
        panic!("locked out")
    };
    assert_eq!((locked.code(), locked.retry_after()), (RejectionCode::LockedOut, Some(600)));
    assert_eq!(try_it("[2001:db8:0:1::1]", basic("SN-1", "CODE-2")), None);
    world.clock.advance(TimeDelta::minutes(10));
    assert_eq!(try_it("[2001:db8::7]", basic("own", "right")), None);
}

#[test]
fn what_was_revoked_does_not_come_back_by_another_door() {
    let world = world(AuthenticationRule::CertificateOrHttp);
    let operational = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    world.revoke(&operational.certificate(), RevocationReason::KeyCompromise);
    let enroll = |session: &PeerSession| {
        let body = csr(&Name::empty());
        code_of(world.enroll_with(Operation::SimpleEnroll, session, Some(basic("own", "right")), &body))
    };
    assert_eq!(enroll(&operational.session()), Some(RejectionCode::Revoked));
    let stranger = birth(&world.other_maker, "SN-1", KeyType::P256, world.clock.now());
    assert_eq!(enroll(&stranger.session()), None, "a certificate that proves nothing does not stand in the way");
}

/// Codes that operators make are as good as those of the credentials file, for as long as nobody takes them back.
#[test]
fn a_code_of_an_operator_is_used_once_until_it_ends_or_is_revoked() {
    let world = world(AuthenticationRule::Http);
    let make = |devices: &[&str], uses, days| {
        let devices = devices.iter().map(|&device| device.to_owned()).collect();
        let request = CodeRequest { devices, count: 1, uses, life: TimeDelta::days(days) };
        let made = world.ra.make_codes(&grant("acme"), &request).unwrap();
        made.receipt.wait().unwrap();
        made.codes.into_iter().map(|made| (made.code.to_string(), made.record)).collect::<Vec<_>>()
    };
    let enroll = |credential: PresentedCredential| {
        let body = csr(&Name::empty());
        code_of(world.enroll_with(Operation::SimpleEnroll, &nobody(), Some(credential), &body))
    };
    let (code, record) = make(&["SN-1"], 1, 30).remove(0);
    assert_eq!(enroll(basic("SN-2", &code)), Some(RejectionCode::AuthFailed), "made for another device");
    assert_eq!(enroll(basic("SN-1", &code)), None);
    assert_eq!(enroll(basic("", &code)), Some(RejectionCode::CodeUsed));
    let body = csr_with_code(&make(&["SN-1"], 1, 30)[0].0);
    assert_eq!(code_of(world.enroll_with(Operation::SimpleEnroll, &nobody(), None, &body)), None);

    let (taken_back, taken) = make(&["SN-1"], 2, 30).remove(0);
    assert_eq!(enroll(basic("", &taken_back)), None);
    let id = &taken.sha256[..16];
    assert!(world.ra.revoke_code(&grant("other"), id).is_err(), "another tenant's is not there");
    world.ra.revoke_code(&grant("acme"), id).unwrap().wait().unwrap();
    assert!(world.ra.revoke_code(&grant("acme"), id).is_err(), "twice");
    assert_eq!(enroll(basic("", &taken_back)), Some(RejectionCode::AuthFailed));

    let states = |state| {
        let page = world.ra.codes(&grant("acme"), state, None, 100).unwrap();
        page.rows.iter().map(|code| (code.record.sha256, code.used)).collect::<Vec<_>>()
    };
    assert_eq!(states(Some(CodeState::Revoked)), [(taken.sha256, 1)]);
    let ending = make(&["SN-1", "SN-3"], 1, 1);
    assert!(states(Some(CodeState::Used)).contains(&(record.sha256, 1)));
    assert_eq!(
        (states(Some(CodeState::Good)).len(), states(None).len()),
        (2, 4),
        "what was revoked is forgotten when others are made"
    );
    world.clock.advance(TimeDelta::days(2));
    assert_eq!(enroll(basic("", &ending[0].0)), Some(RejectionCode::AuthFailed));
    assert_eq!(states(Some(CodeState::Expired)).len(), 2);
    make(&["SN-4"], 1, 30);
    assert_eq!(states(None).len(), 3);
    assert_eq!(enroll(basic("", &code)), Some(RejectionCode::CodeUsed), "what was used stays so");
}

#[test]
fn codes_are_bounded_and_made_all_or_none() {
    let world = world(AuthenticationRule::Http);
    let make = |devices: &[&str], count, uses, life| {
        let devices = devices.iter().map(|&device| device.to_owned()).collect();
        world.ra.make_codes(&grant("acme"), &CodeRequest { devices, count, uses, life }).map(|made| made.codes.len())
    };
    let day = TimeDelta::days(1);
    assert!(matches!(make(&["SN-1", "a*b"], 1, 1, day), Err(CodeRefused::Scope(_))));
    for (count, uses, life) in [(0, 1, day), (1001, 1, day), (1, 0, day), (1, 1001, day), (1, 1, day * 3651)] {
        assert!(make(&["SN-1"], count, uses, life).is_err(), "{count} {uses} {life}");
    }
    assert!(matches!(make(&["SN-1"], 1, 1, TimeDelta::seconds(59)), Err(CodeRefused::Life)));
    assert!(world.ra.codes(&grant("acme"), None, None, 1).unwrap().rows.is_empty());
    for _ in 0..MAX_CODES / 1000 {
        assert_eq!(make(&["SN-1"], 1000, 1000, day * 3650).unwrap(), 1000);
    }
    assert!(matches!(make(&["SN-1"], 1, 1, day), Err(CodeRefused::TooMany)));
}

/// What a requester shows, in any combination.
#[derive(Debug, Clone)]
struct ShownAtOnce {
    /// 0: no certificate, 1: of SN-1, 2: of SN-2, 3: of another manufacturer.
    certificate: usize,
    /// 0: none, then passwords and tokens, right and wrong.
    credential: usize,
    /// One-time code in the request: none, right, of other devices, wrong.
    code: usize,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// No combination of a label's rules issues without at least one of its required authentications.
    #[test]
    fn no_combination_of_rules_issues_without_one_of_its_authentications(
        rule in proptest::sample::select(&AuthenticationRule::ALL[..]),
        schemes in proptest::sample::subsequence(&HttpScheme::ALL[..], 0..=HttpScheme::ALL.len()),
        shown in proptest::collection::vec(
            (0..4_usize, 0..5_usize, 0..4_usize)
                .prop_map(|(certificate, credential, code)| ShownAtOnce { certificate, credential, code }),
            4,
        ),
    ) {
        let world = world_taking(rule, &schemes);
        for ShownAtOnce { certificate, credential, code } in shown {
            let session = match certificate {
                0 => nobody(),
                1 => world.birth("SN-1", KeyType::P256).session(),
                2 => world.birth("SN-2", KeyType::P256).session(),
                _ => birth(&world.other_maker, "SN-1", KeyType::P256, world.clock.now()).session(),
            };
            let (presented, right) = match credential {
                0 => (None, false),
                1 => (Some(basic("own", "right")), schemes.contains(&HttpScheme::Basic)),
                2 => (Some(basic("own", "wrong")), false),
                3 => (Some(bearer("estd_t")), schemes.contains(&HttpScheme::Bearer)),
                _ => (Some(bearer("estd_x")), false),
            };
            let right_code = code == 1 && schemes.contains(&HttpScheme::Code);
            let body = match code {
                0 => csr(&common_name("SN-1")),
                1 => csr_with_code("CODE-N"),
                2 => csr_with_code("CODE-X"),
                _ => csr_with_code("CODE-?"),
            };
            let outcome = world.enroll_with(Operation::SimpleEnroll, &session, presented, &body);
            let (by_certificate, by_http) = ([1, 2].contains(&certificate), right || right_code);
            let is_enough = match rule {
                AuthenticationRule::Certificate => by_certificate,
                AuthenticationRule::Http => by_http,
                AuthenticationRule::CertificateOrHttp => by_certificate || by_http,
                AuthenticationRule::CertificateAndHttp => by_certificate && by_http,
            };
            prop_assert!(is_enough || outcome.is_err(), "{rule:?}, {schemes:?}: {certificate} {credential} {code}");
            // Guesses of one request are none of the next one's.
            world.clock.advance(TimeDelta::hours(1));
        }
    }
}
