//! ChangeSubjectName (RFC 6402 section 2.8): who gets which other names, and who gets none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/world.rs"]
mod world;

use estd::est::{Operation, RejectionCode, ResponseBody};
use estd::pki::public_key::KeyType;
use estd::policy::NameChange;
use estd::ra::Refusal;
use estd::store::CertificateStore as _;
use estd::store::approval::{Decision, PendingRequest};
use estd_asn1::change_subject_name::ChangeSubjectName;
use estd_asn1::{Attribute, AttributeTypeAndValue, Certificate, GeneralName, Name, extension, oid};
use world::*;

fn world_with(rule: NameChange) -> World {
    World::with(KeyType::P256, |_| (), |label| label.rules.name_change = rule)
}

/// A request that repeats the names of `current` and carries changeSubjectName with these values.
fn body(current: &Certificate, values: Vec<Vec<u8>>) -> Vec<u8> {
    let names = current.subject_alt_names(9).unwrap();
    let mut attributes = vec![Attribute { oid: oid::CMC_CHANGE_SUBJECT_NAME, values }];
    if !names.is_empty() {
        let extensions = extension::encode_extensions(&[alt_names(&names)]);
        attributes.push(Attribute { oid: oid::EXTENSION_REQUEST, values: vec![extensions] });
    }
    request_with(device_key(KeyType::P256).as_ref(), current.subject(), &attributes)
}

fn change(subject: Option<&Name>, names: Option<&[&str]>) -> Vec<u8> {
    let uris = |names: &[&str]| names.iter().map(|name| GeneralName::Uri((*name).into())).collect();
    ChangeSubjectName { subject: subject.cloned(), subject_alt_names: names.map(uris) }.encode()
}

/// What the profile gives to a device.
fn own_subject(id: &str) -> Name {
    let text = |oid, text: &str| vec![AttributeTypeAndValue::from_text(oid, text).unwrap()];
    Name::from_rdns(&[text(oid::AT_COMMON_NAME, id), text(oid::AT_ORGANIZATION_NAME, "Acme")])
}

fn code<T>(outcome: Result<T, Refusal>) -> RejectionCode {
    match outcome {
        Ok(_) => panic!("it was not refused"),
        Err(Refusal::Rejected(rejection)) => rejection.code(),
        Err(Refusal::Fault(fault)) => panic!("{fault}"),
    }
}

/// CSN-02: what is left out is taken away; it is not a merge.
#[test]
fn names_that_the_profile_gives_replace_those_of_the_certificate() {
    let world = world_with(NameChange::Profile);
    let (own, uri) = (own_subject("SN-1"), "urn:acme:SN-1");
    for (subject, names) in [(Some(&own), None), (None, Some(&[uri][..])), (Some(&own), Some(&[uri][..]))] {
        let device = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
        let asked = body(&device.certificate(), vec![change(subject, names)]);
        let renewed = world.enroll(Operation::SimpleReenroll, &device.session(), &asked).unwrap();
        let renewed = Certificate::decode(&renewed).unwrap();
        assert_eq!(*renewed.subject(), subject.cloned().unwrap_or_else(Name::empty));
        let expected: Vec<_> = names.unwrap_or_default().iter().map(|name| GeneralName::Uri((*name).into())).collect();
        assert_eq!(renewed.subject_alt_names(9).unwrap(), expected);
        // RFC 5280 §4.2.1.6: critical where the subject is empty, and left out where there is nothing to say.
        let extension = renewed.extensions().iter().find(|extension| extension.oid == oid::SUBJECT_ALT_NAME);
        assert_eq!(extension.map(|extension| extension.critical), names.map(|_| subject.is_none()));
    }
    // EST-4.2.1-04: a third party's certificate, whose names the request repeats.
    let birth = world.birth("SN-2", KeyType::P256);
    let asked = body(&birth.certificate(), vec![change(Some(&own_subject("SN-2")), None)]);
    let first = world.enroll(Operation::SimpleEnroll, &birth.session(), &asked).unwrap();
    assert_eq!(*Certificate::decode(&first).unwrap().subject(), own_subject("SN-2"));
}

/// CSN-03, CSN-04, EST-4.2.2-04.
#[test]
fn what_is_not_granted_is_refused_and_never_passed_over() {
    let own = own_subject("SN-1");
    for rule in [NameChange::Refuse, NameChange::Profile] {
        let world = world_with(rule);
        let device = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
        let current = device.certificate();
        let refused = |body: &[u8]| code(world.enroll(Operation::SimpleReenroll, &device.session(), body));
        let mut foreign = vec![
            change(Some(&common_name("SN-2")), None),
            change(Some(&own), Some(&["urn:acme:SN-1", "urn:acme:SN-2"])),
            change(Some(&Name::empty()), Some(&["urn:acme:SN-2"])),
        ];
        if rule == NameChange::Refuse {
            foreign.push(change(Some(&own), Some(&["urn:acme:SN-1"])));
        }
        for names in foreign {
            assert_eq!(refused(&body(&current, vec![names])), RejectionCode::NameChange);
        }
        // Names of another device in the request itself, and none at all.
        let other = world.operational(&world.birth("SN-3", KeyType::P256), KeyType::P256);
        let borrowed = body(&other.certificate(), vec![change(Some(&own), None)]);
        let expected =
            if rule == NameChange::Refuse { RejectionCode::NameChange } else { RejectionCode::SubjectMismatch };
        assert_eq!(refused(&borrowed), expected);
        let nameless = body(&current, vec![change(Some(&Name::empty()), None)]);
        assert_eq!(refused(&nameless), RejectionCode::BadName);
    }
}

/// CSN-01, CSN-05: RFC 6402 section 2.8, "At least one of the fields"; RFC 2986, one attribute with one value.
#[test]
fn a_malformed_change_is_a_malformed_request() {
    let world = world_with(NameChange::Profile);
    let device = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    let one = change(Some(&own_subject("SN-1")), None);
    for values in [vec![vec![0x30, 0x00]], vec![one.clone(), change(None, Some(&["urn:acme:SN-1"]))], Vec::new()] {
        let asked = body(&device.certificate(), values);
        let refused = code(world.enroll(Operation::SimpleReenroll, &device.session(), &asked));
        assert_eq!(refused, RejectionCode::BadRequestSyntax);
    }
    let twice = Attribute { oid: oid::CMC_CHANGE_SUBJECT_NAME, values: vec![one] };
    let key = device_key(KeyType::P256);
    let asked = request_with(key.as_ref(), device.certificate().subject(), &[twice.clone(), twice]);
    let refused = code(world.enroll(Operation::SimpleReenroll, &device.session(), &asked));
    assert_eq!(refused, RejectionCode::BadRequestSyntax);
    let wildcard = ChangeSubjectName {
        subject: Some(own_subject("SN-1")),
        subject_alt_names: Some(vec![GeneralName::DnsName("*.acme.example".into())]),
    };
    let asked = body(&device.certificate(), vec![wildcard.encode()]);
    assert_eq!(
        code(world.enroll(Operation::SimpleReenroll, &device.session(), &asked)),
        RejectionCode::BadName,
        "names that are changed to are held to the rules of names"
    );
}

#[test]
fn other_names_wait_for_an_operator_who_sees_them() {
    let world = world_with(NameChange::Approval);
    let device = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    let asked = body(&device.certificate(), vec![change(Some(&common_name("gate-7")), Some(&["urn:acme:gate-7"]))]);
    let pending = world.enroll_at("devices", Operation::SimpleReenroll, &device.session(), &asked).unwrap();
    assert!(matches!(pending.response.body, ResponseBody::Deferred { .. }));
    let waiting = PendingRequest::find(world.store.as_ref(), "acme", &pending.waits.unwrap()).unwrap().unwrap();
    assert_eq!((waiting.device.as_str(), waiting.subject.as_str()), ("SN-1", "CN=gate-7"));
    assert!(waiting.subject_alt_names[0].contains("urn:acme:gate-7"));

    let decide = world.ra.decide_request(&grant("acme"), &waiting.request, Decision::Approved);
    decide.unwrap().wait().unwrap();
    let renewed = world.enroll(Operation::SimpleReenroll, &device.session(), &asked).unwrap();
    let renewed = Certificate::decode(&renewed).unwrap();
    assert_eq!(*renewed.subject(), common_name("gate-7"));
    let count = world.store.certificate_count().unwrap();
    assert!(
        world.enroll(Operation::SimpleReenroll, &device.session(), &asked).is_ok(),
        "the answer may have been lost"
    );
    assert_eq!(world.store.certificate_count().unwrap(), count);
    // Names that the profile gives need nobody.
    let own = body(&device.certificate(), vec![change(Some(&own_subject("SN-1")), None)]);
    assert!(world.enroll(Operation::SimpleReenroll, &device.session(), &own).is_ok());
}
