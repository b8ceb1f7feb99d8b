//! What a client is told of when to renew, and of which certificates (draft-ietf-lamps-est-renewal-info).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/world.rs"]
mod world;

use std::collections::BTreeSet;

use chrono::TimeDelta;
use estd::est::{RejectionCode, RenewalIdentifier, RenewalInfo, ResponseBody};
use estd::pki::public_key::KeyType;
use estd::pki::revocation::RevocationReason;
use estd::policy::RenewalRules;
use estd::ra::{LabelContext, Refusal};
use estd::store::renewal_slot::SlotLoad;
use estd_asn1::Certificate;
use world::*;

/// Certificates of so many days, renewed between half of that and `closes` percent, in windows of a day.
fn with_capacity(days: i64, closes: u8, capacity: u32) -> World {
    let rules = |label: &mut LabelContext| {
        let (window, capacity) = (TimeDelta::hours(24), Some(capacity));
        label.renewal = RenewalRules { opens: 50, closes, window, capacity, ..label.renewal }
    };
    World::with(KeyType::P256, |profile| profile.validity = TimeDelta::days(days), rules)
}

/// Enrolls a device and names its certificate.
fn enrolled(world: &World, number: u32) -> RenewalIdentifier {
    let born = birth(&world.maker, &format!("SN-{number}"), KeyType::P256, estd::clock::Clock::now(&*world.clock));
    name_of(&world.operational(&born, KeyType::P256).certificate())
}

/// As a client makes it of its certificate.
fn name_of(certificate: &Certificate) -> RenewalIdentifier {
    let key_identifier = certificate.authority_key_identifier().unwrap().unwrap();
    RenewalIdentifier { key_identifier, serial: certificate.serial().to_vec() }
}

fn info(world: &World, label: &str, named: &RenewalIdentifier) -> Result<RenewalInfo, RejectionCode> {
    let refused = |refusal| match refusal {
        Refusal::Rejected(rejection) => rejection.code(),
        Refusal::Fault(fault) => panic!("{fault}"),
    };
    let response = world.ra.renewal_info(world.label(label), named).map_err(refused)?;
    let ResponseBody::RenewalInfo(info) = response.body else { panic!("another answer") };
    Ok(info)
}

#[test]
fn a_certificate_is_told_its_window_at_the_label_that_issued_it_and_nowhere_else() {
    let world = World::new();
    let device = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    let named = name_of(&device.certificate());
    let told = info(&world, "devices", &named).unwrap();
    let issued_at = START.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let life = device.certificate().validity().not_after - issued_at;
    assert!(issued_at + life * 60 / 100 <= told.start && told.end <= issued_at + life * 85 / 100, "{told:?}");
    assert_eq!(told.end - told.start, TimeDelta::hours(1));

    // The same CA serves both; another tenant has one of its own.
    for label in ["second", "registrars", "other"] {
        assert_eq!(info(&world, label, &named), Err(RejectionCode::NotFound), "{label}");
    }
    let never = RenewalIdentifier { serial: vec![1; 20], ..named.clone() };
    assert_eq!(info(&world, "devices", &never), Err(RejectionCode::NotFound));
    let elsewhere = RenewalIdentifier { key_identifier: vec![1; 20], ..named.clone() };
    assert_eq!(info(&world, "devices", &elsewhere), Err(RejectionCode::NotFound));

    // It stays what it is, to the end and beyond, and asking leaves no trace.
    let events = world.store.events().len();
    world.clock.advance(TimeDelta::days(400));
    assert_eq!(info(&world, "devices", &named), Ok(told));
    assert_eq!(world.store.events().len(), events);
}

#[test]
fn a_revoked_certificate_is_to_be_renewed_at_once() {
    let world = World::new();
    let device = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    let (certificate, named) = (device.certificate(), name_of(&device.certificate()));
    let before = info(&world, "devices", &named).unwrap();
    world.clock.advance(TimeDelta::days(3));
    let revoked_at = START.parse::<chrono::DateTime<chrono::Utc>>().unwrap() + TimeDelta::days(3);
    world.revoke(&certificate, RevocationReason::CertificateHold);
    let told = info(&world, "devices", &named).unwrap();
    assert!(told.start < told.end && told.end == revoked_at, "{told:?}");
    // A hold that is lifted takes it back.
    world.ra.release_hold(&grant("acme"), &world.id(&certificate)).unwrap().wait().unwrap();
    assert_eq!(info(&world, "devices", &named), Ok(before));
}

#[test]
fn who_would_be_one_too_many_in_a_window_has_another_and_keeps_it() {
    // Two days lie whole between noon of the tenth day and noon of the thirteenth: half of them each, whatever the hashes say.
    let world = with_capacity(20, 65, 5);
    let devices: Vec<_> = (0..10).map(|number| enrolled(&world, number)).collect();
    let windows = || devices.iter().map(|named| info(&world, "devices", named).unwrap()).collect::<Vec<_>>();
    let told = windows();
    let count = |start| told.iter().filter(|info| info.start == start).count();
    let starts: BTreeSet<_> = told.iter().map(|info| info.start).collect();
    assert_eq!(starts.iter().map(|start| count(*start)).collect::<Vec<_>>(), [5, 5]);
    // Both are full: more are spread over them, and nobody is left without.
    let more: BTreeSet<_> =
        (10..14).map(|number| info(&world, "devices", &enrolled(&world, number)).unwrap().start).collect();
    assert!(more.is_subset(&starts));
    assert_eq!(windows(), told, "each keeps its own");

    // What is over is forgotten, one with each certificate that is issued.
    world.clock.advance(TimeDelta::days(14));
    let past = || {
        let now = estd::clock::Clock::now(&*world.clock).timestamp();
        SlotLoad::past(world.store.as_ref(), "acme", "devices", now).unwrap()
    };
    assert!(past().is_some());
    enrolled(&world, 20);
    enrolled(&world, 21);
    assert_eq!(past(), None);
}

#[test]
fn where_one_window_is_all_there_is_everybody_has_it() {
    let world = with_capacity(10, 70, 3);
    let starts: BTreeSet<_> =
        (0..6).map(|number| info(&world, "devices", &enrolled(&world, number)).unwrap().start).collect();
    assert_eq!(starts.len(), 1);
}
