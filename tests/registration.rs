//! Which devices are let in, and what becomes of them: lists, approvals, suspicions, successions.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/world.rs"]
mod world;

use chrono::TimeDelta;
use estd::audit::{Alarm, AuditOutcome};
use estd::ca::{CertificateAuthority, ceremony};
use estd::est::{Operation, RejectionCode, ResponseBody};
use estd::pki::public_key::KeyType;
use estd::policy::{RegistrationRule, RepeatedBirth};
use estd::ra::{Listing, PeerSession, PendingResponse, Refusal, RegistryError, RequestKey};
use estd::store::approval::Decision;
use estd::store::device::{DeviceRecord, DeviceState};
use estd_asn1::{Certificate, GeneralName, Name};
use world::*;

fn world(rule: RegistrationRule) -> World {
    World::with(KeyType::P256, |_| (), |label| label.registration.rule = rule)
}

fn enroll(world: &World, session: &PeerSession, body: &[u8]) -> Result<PendingResponse, Refusal> {
    world.enroll_at("devices", Operation::SimpleEnroll, session, body)
}

fn body() -> Vec<u8> {
    request(device_key(KeyType::P256).as_ref(), &Name::empty(), &[])
}

fn code<T>(outcome: Result<T, Refusal>) -> Option<RejectionCode> {
    match outcome {
        Ok(_) => None,
        Err(Refusal::Rejected(rejection)) => Some(rejection.code()),
        Err(Refusal::Fault(fault)) => panic!("{fault}"),
    }
}

fn listing(id: &str) -> Listing {
    Listing { id: id.into(), tags: Vec::new() }
}

fn list(world: &World, ids: &[&str]) -> Result<(), RegistryError> {
    let rows: Vec<_> = ids.iter().map(|id| listing(id)).collect();
    world.ra.list_devices(&grant("acme"), &rows, false).map(|receipt| receipt.wait().unwrap())
}

fn device(world: &World, id: &str) -> Option<DeviceRecord> {
    DeviceRecord::find(world.store.as_ref(), "acme", id).unwrap()
}

fn set_state(world: &World, id: &str, state: DeviceState) -> Result<(), RegistryError> {
    world.ra.set_device_state(&grant("acme"), id, state, None).map(|(_, receipt)| receipt.wait().unwrap())
}

fn renew(world: &World, current: &Device) -> Result<Device, Refusal> {
    let key = device_key(KeyType::P256);
    let names = [alt_names(&[GeneralName::Uri("urn:acme:SN-1".into())])];
    let body = request(key.as_ref(), current.certificate().subject(), &names);
    let certificate = world.enroll(Operation::SimpleReenroll, &current.session(), &body)?;
    Ok(Device { key, certificate })
}

#[test]
fn an_open_label_registers_whoever_comes_with_its_birth_certificate() {
    let world = world(RegistrationRule::Open);
    assert_eq!(device(&world, "SN-1"), None);
    let birth = world.birth("SN-1", KeyType::P256);
    let operational = world.operational(&birth, KeyType::P256);
    let known = device(&world, "SN-1").unwrap();
    assert_eq!(known.state, DeviceState::Active);
    assert_eq!(known.latest[0].id.serial, Certificate::decode(&operational.certificate).unwrap().serial());
    assert!(known.birth.is_some());
}

#[test]
fn a_label_with_a_list_lets_in_who_is_on_it() {
    let world = world(RegistrationRule::Listed);
    let birth = world.birth("SN-1", KeyType::P256);
    assert_eq!(code(enroll(&world, &birth.session(), &body())), Some(RejectionCode::DeviceNotListed));
    assert_eq!(device(&world, "SN-1"), None, "a refusal leaves no record");
    list(&world, &["SN-0", "SN-1"]).unwrap();
    assert_eq!(device(&world, "SN-1").unwrap().state, DeviceState::Listed);
    let operational = world.operational(&birth, KeyType::P256);
    assert_eq!(device(&world, "SN-1").unwrap().state, DeviceState::Active);
    assert!(renew(&world, &operational).is_ok());
    // The list is the tenant's own.
    assert!(world.ra.list_devices(&grant("other"), &[listing("SN-2")], false).is_ok());
    let second = world.birth("SN-2", KeyType::P256);
    assert_eq!(code(enroll(&world, &second.session(), &body())), Some(RejectionCode::DeviceNotListed));
}

#[test]
fn a_list_with_one_bad_row_changes_nothing_and_the_row_is_named() {
    let world = world(RegistrationRule::Listed);
    list(&world, &["SN-9"]).unwrap();
    let row = |ids: &[&str]| {
        let error = list(&world, ids).unwrap_err().to_string();
        error.strip_prefix("row ").unwrap().split(':').next().unwrap().parse::<usize>().unwrap()
    };
    assert_eq!(row(&["SN-1", ""]), 2);
    assert_eq!(row(&["SN-1", "SN-2", "SN-1"]), 3);
    assert_eq!(row(&["SN-9", "SN-1"]), 1);
    assert_eq!(row(&["a\u{202e}b"]), 1);
    let tags = |tags: Vec<String>| {
        let rows = [listing("SN-1"), Listing { id: "SN-2".into(), tags }];
        world.ra.list_devices(&grant("acme"), &rows, true).map(drop)
    };
    assert!(tags(vec!["line-3".into(); 16]).is_ok());
    assert!(matches!(tags(vec!["line-3".into(); 17]), Err(RegistryError::Tags { row: 2 })));
    assert!(matches!(tags(vec!["x".repeat(65)]), Err(RegistryError::Tags { row: 2 })));
    assert_eq!(device(&world, "SN-1"), None, "also not by a dry run");
    let events = world.store.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].actor.as_deref(), Some("olga"));
    assert_eq!(events[0].outcome, AuditOutcome::Changed { what: "1 devices listed".into() });
}

#[test]
fn a_suspended_device_waits_until_it_is_resumed_and_a_revoked_one_for_ever() {
    let world = world(RegistrationRule::Open);
    let birth = world.birth("SN-1", KeyType::P256);
    let operational = world.operational(&birth, KeyType::P256);
    set_state(&world, "SN-1", DeviceState::Suspended).unwrap();
    assert_eq!(code(enroll(&world, &birth.session(), &body())), Some(RejectionCode::DeviceSuspended));
    assert_eq!(code(renew(&world, &operational)), Some(RejectionCode::DeviceSuspended));
    set_state(&world, "SN-1", DeviceState::Active).unwrap();
    assert!(renew(&world, &operational).is_ok());
    set_state(&world, "SN-1", DeviceState::Revoked).unwrap();
    assert_eq!(code(enroll(&world, &birth.session(), &body())), Some(RejectionCode::DeviceRevoked));
    for state in [DeviceState::Active, DeviceState::Suspended, DeviceState::Listed] {
        assert!(matches!(set_state(&world, "SN-1", state), Err(RegistryError::State { state: "revoked", .. })));
    }
    assert!(matches!(set_state(&world, "SN-2", DeviceState::Active), Err(RegistryError::NoDevice(_))));
}

/// The request that an answer of 202 waits for.
fn waiting(outcome: Result<PendingResponse, Refusal>) -> RequestKey {
    let pending = outcome.unwrap();
    assert!(matches!(pending.response.body, ResponseBody::Deferred { retry_after: 60 }));
    pending.receipt.wait().unwrap();
    pending.waits.unwrap()
}

#[test]
fn a_request_waits_until_an_operator_approves_it_and_is_known_by_its_key_not_by_its_octets() {
    let world = world(RegistrationRule::Approval);
    let birth = world.birth("SN-1", KeyType::P256);
    let key = device_key(KeyType::P256);
    // Signed anew each time, as clients do that poll.
    let again = || enroll(&world, &birth.session(), &request(key.as_ref(), &Name::empty(), &[]));
    let first = waiting(again());
    assert_eq!(waiting(again()), first);
    let deferred = world.store.events().iter().filter(|event| event.outcome == AuditOutcome::Deferred).count();
    assert_eq!((deferred, world.entropy.drawn()), (1, 0), "one event, no serial, however often it asks");
    // Another key, another device: requests of their own.
    assert_ne!(waiting(enroll(&world, &birth.session(), &body())), first);
    let other = world.birth("SN-2", KeyType::P256);
    let theirs = enroll(&world, &other.session(), &request(key.as_ref(), &Name::empty(), &[]));
    assert_ne!(waiting(theirs), first, "what was approved for one is never released to another");

    world.ra.decide_request(&grant("acme"), &first, Decision::Approved).unwrap().wait().unwrap();
    let certificate = issued(&again().unwrap());
    assert_eq!(issued(&again().unwrap()), certificate, "asked again, the same certificate");
    let once = world.ra.decide_request(&grant("acme"), &first, Decision::Approved);
    assert!(matches!(once, Err(RegistryError::NoRequest)));
    // The device is known now.
    assert!(enroll(&world, &birth.session(), &body()).is_ok_and(|pending| pending.waits.is_none()));
}

#[test]
fn a_denied_request_is_told_why_and_one_that_nobody_decides_is_forgotten() {
    let world = world(RegistrationRule::Approval);
    let session = world.birth("SN-1", KeyType::P256).session();
    let body = body();
    let first = waiting(enroll(&world, &session, &body));
    let denied = Decision::Denied { reason: "not ours".into() };
    world.ra.decide_request(&grant("acme"), &first, denied).unwrap().wait().unwrap();
    let Err(Refusal::Rejected(rejection)) = enroll(&world, &session, &body) else { panic!("not refused") };
    assert_eq!(rejection.code(), RejectionCode::NotApproved);
    assert!(rejection.reason().ends_with("not ours"));
    world.clock.advance(TimeDelta::days(7) + TimeDelta::seconds(1));
    assert_eq!(waiting(enroll(&world, &session, &body)), first, "it may ask anew");
}

#[test]
fn so_many_requests_wait_and_no_more() {
    let world = World::with(
        KeyType::P256,
        |_| (),
        |label| {
            label.registration.rule = RegistrationRule::Approval;
            label.registration.approval.max_waiting = 2;
        },
    );
    let session = world.birth("SN-1", KeyType::P256).session();
    let first = body();
    waiting(enroll(&world, &session, &first));
    waiting(enroll(&world, &session, &body()));
    assert_eq!(code(enroll(&world, &session, &body())), Some(RejectionCode::TooManyRequests));
    waiting(enroll(&world, &session, &first));
}

#[test]
fn a_birth_certificate_that_comes_with_another_key_may_be_a_clone() {
    for (rule, enrolls, alarms) in
        [(RepeatedBirth::Allow, true, 0), (RepeatedBirth::Alarm, true, 1), (RepeatedBirth::Refuse, false, 0)]
    {
        let world = World::with(KeyType::P256, |_| (), |label| label.registration.repeated_birth = rule);
        let birth = world.birth("SN-1", KeyType::P256);
        let operational = world.operational(&birth, KeyType::P256);
        // The same key is the same device; the answer had been lost, or its storage.
        let same_key = request(operational.key.as_ref(), &Name::empty(), &[]);
        world.clock.advance(TimeDelta::hours(1));
        assert!(enroll(&world, &birth.session(), &same_key).is_ok());
        let again = enroll(&world, &birth.session(), &body());
        assert_eq!(again.as_ref().is_ok_and(|pending| pending.alarm.is_some()), alarms == 1);
        assert_eq!(code(again), (!enrolls).then_some(RejectionCode::CloneSuspected), "{rule:?}");
        let alarm =
            |outcome: &AuditOutcome| matches!(outcome, AuditOutcome::Alarm { alarm: Alarm::CloneSuspected, .. });
        assert_eq!(world.store.events().iter().filter(|event| alarm(&event.outcome)).count(), alarms);
        // An operator who knows that it was repaired says so; and what has ended is in nobody's use.
        world.ra.reset_device(&grant("acme"), "SN-1", None).unwrap().1.wait().unwrap();
        assert!(enroll(&world, &birth.session(), &body()).is_ok_and(|pending| pending.alarm.is_none()));
        world.clock.advance(TimeDelta::days(400));
        assert!(enroll(&world, &birth.session(), &body()).is_ok_and(|pending| pending.alarm.is_none()));
    }
}

#[test]
fn two_manufacturers_that_count_alike_do_not_speak_for_each_others_devices() {
    let start = START.parse().unwrap();
    let second = authority("Second Birth CA", KeyType::P256, start);
    let world = World::with(
        KeyType::P256,
        |_| (),
        |label| {
            let implicit = label.anchors.implicit().iter().chain([second.certificate()]).cloned().collect();
            let explicit = label.anchors.explicit().to_vec();
            label.anchors = std::sync::Arc::new(estd::pki::trust::TrustAnchors::new(explicit, implicit).unwrap());
        },
    );
    world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    let theirs = birth(&second, "SN-1", KeyType::P256, start);
    assert_eq!(code(enroll(&world, &theirs.session(), &body())), Some(RejectionCode::IdentityConflict));
    // Another spelling of the id is no other device, and may be somebody else's.
    let spelt = world.birth("sn-1", KeyType::P256);
    assert_eq!(code(enroll(&world, &spelt.session(), &body())), Some(RejectionCode::IdentityConflict));
    // The same manufacturer may replace a birth certificate.
    let replaced = reissued(&world.maker, "SN-1", &world);
    assert!(enroll(&world, &replaced.session(), &body()).is_ok());
}

fn reissued(maker: &CertificateAuthority, serial_number: &str, world: &World) -> Device {
    let key = device_key(KeyType::P256);
    let identity = ceremony::DeviceIdentity { serial_number, hardware_module_name: None };
    let now = estd::clock::Clock::now(world.clock.as_ref());
    let certificate = ceremony::birth_certificate(maker, identity, key.public_key(), now, &serial()).unwrap();
    Device { key, certificate: certificate.der().to_vec() }
}

#[test]
fn a_certificate_is_superseded_once_its_successor_is_seen_in_use_and_not_before() {
    let world = world(RegistrationRule::Open);
    let first = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    let lost = renew(&world, &first).unwrap();
    // The answer was lost: the first one renews again, and the one that nobody has is no obstacle.
    let second = renew(&world, &first).unwrap();
    let third = renew(&world, &second).unwrap();
    assert_eq!(code(renew(&world, &first)), Some(RejectionCode::Superseded));
    assert!(renew(&world, &second).is_ok(), "the third was not seen yet");
    assert!(renew(&world, &third).is_ok());
    assert_eq!(code(renew(&world, &second)), Some(RejectionCode::Superseded));
    assert!(renew(&world, &lost).is_ok(), "it was issued all the same, and nobody renewed it");
}

/// What enrolls while a list is imported that names it is neither lost nor listed over.
#[test]
fn an_import_and_an_enrollment_at_once_leave_one_of_two_states() {
    for _ in 0..20 {
        let world = world(RegistrationRule::Open);
        let rows: Vec<_> = (0..500).map(|number| listing(&format!("SN-{number}"))).collect();
        let device = world.birth("SN-1", KeyType::P256);
        std::thread::scope(|scope| {
            let import =
                scope.spawn(|| world.ra.list_devices(&grant("acme"), &rows, false).map(|it| it.wait().unwrap()));
            enroll(&world, &device.session(), &body()).unwrap().receipt.wait().unwrap();
            // Either the list came first and the device then enrolled from it, or it is refused for the device that is there.
            let imported = import.join().unwrap();
            assert!(matches!(imported, Ok(()) | Err(RegistryError::Registered { .. })), "{imported:?}");
        });
        let known = self::device(&world, "SN-1").unwrap();
        assert_eq!((known.state, known.latest.len()), (DeviceState::Active, 1));
    }
}
