//! What operators revoke, hold and release, and what becomes of the devices.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/world.rs"]
mod world;

use chrono::TimeDelta;
use estd::audit::AuditOutcome;
use estd::est::{Operation, RejectionCode};
use estd::pki::public_key::KeyType;
use estd::pki::revocation::RevocationReason;
use estd::ra::{Refusal, RevocationError};
use estd::store::device::{DeviceRecord, DeviceState};
use estd::store::memory::MemoryStore;
use estd::store::{CertificateStatus, CertificateStore, StoreFault};
use estd_asn1::{Certificate, GeneralName, Name};
use world::*;

fn renew(world: &World, device: &Device) -> Option<RejectionCode> {
    let names = alt_names(&[GeneralName::Uri("urn:acme:SN-1".into())]);
    let body = request(device_key(KeyType::P256).as_ref(), device.certificate().subject(), &[names]);
    code(world.enroll(Operation::SimpleReenroll, &device.session(), &body))
}

fn code<T>(outcome: Result<T, Refusal>) -> Option<RejectionCode> {
    match outcome {
        Ok(_) => None,
        Err(Refusal::Rejected(rejection)) => Some(rejection.code()),
        Err(Refusal::Fault(fault)) => panic!("{fault}"),
    }
}

fn standing(world: &World, certificate: &Certificate) -> Option<(RevocationReason, i64)> {
    match world.store.status(&world.id(certificate)).unwrap() {
        CertificateStatus::Revoked(revocation) => {
            let since = revocation.at - START.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
            Some((RevocationReason::from_code(revocation.reason).unwrap(), since.num_days()))
        }
        CertificateStatus::Good { .. } => None,
        CertificateStatus::Unknown => panic!("not on record"),
    }
}

#[test]
fn a_hold_keeps_a_certificate_out_until_it_is_lifted_and_nothing_else_can_be_lifted() {
    let world = World::new();
    let current = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    let (certificate, id) = (current.certificate(), world.id(&current.certificate()));
    let release = || world.ra.release_hold(&grant("acme"), &id).map(|receipt| receipt.wait().unwrap());
    let events = || world.store.events().len();

    // What is not on hold need not be released.
    let before = events();
    release().unwrap();
    assert_eq!(events(), before);
    world.revoke(&certificate, RevocationReason::CertificateHold);
    assert_eq!(renew(&world, &current), Some(RejectionCode::Revoked));
    release().unwrap();
    let event = world.store.events().pop().unwrap();
    assert_eq!(event.outcome, AuditOutcome::Released { serial: id.serial.clone() });
    assert_eq!((event.actor.as_deref(), event.device.as_deref()), (Some("olga"), Some("SN-1")));
    assert_eq!(renew(&world, &current), None);

    world.revoke(&certificate, RevocationReason::CertificateHold);
    world.clock.advance(TimeDelta::days(1));
    world.revoke(&certificate, RevocationReason::Superseded);
    assert_eq!(standing(&world, &certificate), Some((RevocationReason::Superseded, 0)), "not to be relied on since");
    let refused = release();
    assert!(matches!(refused, Err(RevocationError::NotOnHold { reason: RevocationReason::Superseded })), "{refused:?}");
    assert_eq!(renew(&world, &current), Some(RejectionCode::Revoked));
}

#[test]
fn a_second_revocation_is_no_event_and_keeps_the_first_date_and_reason() {
    let world = World::new();
    let current = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256).certificate();
    world.revoke(&current, RevocationReason::Superseded);
    let events = world.store.events().len();
    world.clock.advance(TimeDelta::days(1));
    for reason in [RevocationReason::Superseded, RevocationReason::CertificateHold, RevocationReason::Unspecified] {
        world.revoke(&current, reason);
        assert_eq!(standing(&world, &current), Some((RevocationReason::Superseded, 0)));
    }
    assert_eq!(world.store.events().len(), events);
    // Unless it turns out that somebody else has the key.
    world.revoke(&current, RevocationReason::KeyCompromise);
    assert_eq!(standing(&world, &current), Some((RevocationReason::KeyCompromise, 0)));
    assert_eq!(world.store.events().len(), events + 1);
}

#[test]
fn a_compromised_key_takes_every_certificate_over_it_along() {
    let world = World::new();
    let birth = world.birth("SN-1", KeyType::P256);
    let first = world.operational(&birth, KeyType::P256);
    world.clock.advance(TimeDelta::days(1));
    let names = alt_names(&[GeneralName::Uri("urn:acme:SN-1".into())]);
    let same_key = request(first.key.as_ref(), first.certificate().subject(), std::slice::from_ref(&names));
    let second = world.enroll(Operation::SimpleReenroll, &first.session(), &same_key).unwrap();
    let other_key = world.operational(&birth, KeyType::P256);
    world.revoke(&Certificate::decode(&second).unwrap(), RevocationReason::KeyCompromise);
    assert_eq!(standing(&world, &first.certificate()), Some((RevocationReason::KeyCompromise, 1)));
    assert_eq!(standing(&world, &other_key.certificate()), None);
    let AuditOutcome::RevokedTogether { serials, reason: 1 } = world.store.events().pop().unwrap().outcome else {
        panic!("one event of both")
    };
    assert_eq!(serials.len(), 2);
    assert_eq!(renew(&world, &first), Some(RejectionCode::Revoked));
    assert_eq!(renew(&world, &other_key), None);
}

#[test]
fn a_device_is_revoked_with_all_its_certificates_in_one_record() {
    let world = World::new();
    let birth = world.birth("SN-1", KeyType::P256);
    let devices: Vec<_> = (0..3).map(|_| world.operational(&birth, KeyType::P256)).collect();
    let bystander = world.operational(&world.birth("SN-2", KeyType::P256), KeyType::P256);
    let revoke = |reason| world.ra.revoke_device(&grant("acme"), "sn-1", None, reason);
    assert!(matches!(revoke(RevocationReason::CertificateHold), Err(RevocationError::HoldOfDevice)));
    let events = world.store.events().len();
    revoke(RevocationReason::CessationOfOperation).unwrap().wait().unwrap();
    assert_eq!(world.store.events().len(), events + 1);
    let event = world.store.events().pop().unwrap();
    let serials = devices.iter().map(|device| device.certificate().serial().to_vec()).collect();
    assert_eq!(event.outcome, AuditOutcome::RevokedTogether { serials, reason: 5 });
    assert_eq!((event.device.as_deref(), event.actor.as_deref()), (Some("SN-1"), Some("olga")));
    for device in &devices {
        assert_eq!(standing(&world, &device.certificate()), Some((RevocationReason::CessationOfOperation, 0)));
        assert_eq!(renew(&world, device), Some(RejectionCode::Revoked));
    }
    let body = request(device_key(KeyType::P256).as_ref(), &Name::empty(), &[]);
    let again = world.enroll(Operation::SimpleEnroll, &birth.session(), &body);
    assert_eq!(code(again), Some(RejectionCode::DeviceRevoked));
    assert_eq!(standing(&world, &bystander.certificate()), None);
    // A second time changes nothing.
    world.clock.advance(TimeDelta::days(1));
    revoke(RevocationReason::Superseded).unwrap().wait().unwrap();
    assert_eq!(standing(&world, &devices[0].certificate()), Some((RevocationReason::CessationOfOperation, 0)));
    let device = DeviceRecord::find(world.store.as_ref(), "acme", "SN-1").unwrap().unwrap();
    assert_eq!(device.state, DeviceState::Revoked);
}

#[test]
fn what_is_another_tenants_does_not_exist() {
    let world = World::new();
    let current = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256).certificate();
    let id = world.id(&current);
    let events = world.store.events().len();
    let revoked = world.ra.revoke_certificate(&grant("other"), &id, RevocationReason::Superseded);
    assert!(matches!(revoked, Err(RevocationError::NoCertificate)));
    assert!(matches!(world.ra.release_hold(&grant("other"), &id), Err(RevocationError::NoCertificate)));
    let device = world.ra.revoke_device(&grant("other"), "SN-1", None, RevocationReason::Superseded);
    assert!(matches!(device, Err(RevocationError::NoDevice(_))));
    assert_eq!((standing(&world, &current), world.store.events().len()), (None, events));
}

#[test]
fn a_revocation_is_acknowledged_only_when_it_is_durable() {
    let world = World::on(MemoryStore::holding_back());
    let birth = world.birth("SN-1", KeyType::P256);
    let current = world.operational(&birth, KeyType::P256).certificate();
    world.store.settle(Ok(()));
    let revoke = || world.ra.revoke_certificate(&grant("acme"), &world.id(&current), RevocationReason::Superseded);
    let (first, second) = (revoke().unwrap(), revoke().unwrap());
    let device = world.ra.revoke_device(&grant("acme"), "SN-1", None, RevocationReason::Superseded).unwrap();
    world.store.settle(Err(StoreFault::Closed));
    for receipt in [first, second, device] {
        assert!(receipt.wait().is_err());
    }
    assert_eq!(standing(&world, &current), None);
    let (first, second) = (revoke().unwrap(), revoke().unwrap());
    world.store.settle(Ok(()));
    assert!(first.wait().is_ok() && second.wait().is_ok());
    assert_eq!(standing(&world, &current), Some((RevocationReason::Superseded, 0)));
}
