//! Rates and quotas of tenants and labels: held to at the limit, by many at once, and one tenant's are no other's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/world.rs"]
mod world;

use std::sync::Arc;

use chrono::TimeDelta;
use estd::est::{Label, Operation, RejectionCode};
use estd::pki::profile::EnrollmentProfile;
use estd::pki::public_key::KeyType;
use estd::policy::{Quotas, RateLimit, TenantLimits, UsageLimits};
use estd::ra::{LabelContext, Listing, Ports, Refusal, RegistrationAuthority, RegistryError};
use estd_asn1::{GeneralName, Name};
use world::*;

fn limited(limits: UsageLimits) -> World {
    World::with(
        KeyType::P256,
        |profile: &mut EnrollmentProfile| profile.validity = TimeDelta::days(30),
        |label: &mut LabelContext| label.limits = limits,
    )
}

fn of_tenant(rate: Option<RateLimit>, quotas: Quotas) -> UsageLimits {
    UsageLimits { tenant: TenantLimits { rate, quotas }, rate: None }
}

/// Enrolls a device anew; the refusal's code and what it says of when to come back.
fn enroll_at(world: &World, label: &str, serial_number: &str) -> Result<Device, (RejectionCode, Option<u32>)> {
    let born = match label {
        "other" => birth(&world.other_maker, serial_number, KeyType::P256, estd::clock::Clock::now(&*world.clock)),
        _ => world.birth(serial_number, KeyType::P256),
    };
    let key = device_key(KeyType::P256);
    let body = request(key.as_ref(), &Name::empty(), &[]);
    match world.enroll_at(label, Operation::SimpleEnroll, &born.session(), &body) {
        Ok(pending) => Ok(Device { key, certificate: issued(&pending) }),
        Err(Refusal::Rejected(rejection)) => Err((rejection.code(), rejection.retry_after())),
        Err(Refusal::Fault(fault)) => panic!("{fault}"),
    }
}

fn enroll(world: &World, serial_number: &str) -> Result<Device, (RejectionCode, Option<u32>)> {
    enroll_at(world, "devices", serial_number)
}

fn renew(world: &World, device: &Device, serial_number: &str) -> Result<Vec<u8>, Refusal> {
    let names = alt_names(&[GeneralName::Uri(format!("urn:acme:{serial_number}"))]);
    let body = request(device_key(KeyType::P256).as_ref(), device.certificate().subject(), &[names]);
    world.enroll(Operation::SimpleReenroll, &device.session(), &body)
}

#[test]
fn a_tenant_that_floods_is_put_off_and_the_others_are_not() {
    let world = limited(of_tenant(RateLimit::new(1.0, 3), Quotas::default()));
    let mut refused = 0;
    for number in 0..20 {
        // Over two labels: the limit is the tenant's.
        let label = if number % 2 == 0 { "devices" } else { "second" };
        let before = (world.entropy.drawn(), world.store.events().len());
        match enroll_at(&world, label, &format!("SN-{number}")) {
            Ok(_) => assert!(number < 3, "{number}"),
            Err((code, Some(seconds))) => {
                refused += 1;
                assert_eq!((code, seconds), (RejectionCode::RateLimited, refused + 1), "each is given its turn");
                let after = (world.entropy.drawn(), world.store.events().len());
                assert_eq!(after, (before.0, before.1 + 1), "no serial, one event");
            }
            Err((code, None)) => panic!("{code:?} without Retry-After"),
        }
        assert!(enroll_at(&world, "other", &format!("SN-{number}")).is_ok(), "another tenant");
    }
    assert_eq!(refused, 17);
    world.clock.advance(TimeDelta::seconds(1));
    assert!(enroll(&world, "SN-20").is_ok());
}

#[test]
fn strangers_use_up_nobodys_share() {
    let world = limited(of_tenant(RateLimit::new(0.001, 1), Quotas::default()));
    let stranger = world.birth("SN-0", KeyType::P256);
    let body = request(stranger.key.as_ref(), &Name::empty(), &[]);
    let anonymous = estd::ra::PeerSession::new(None, "192.0.2.1:1".into());
    for _ in 0..10 {
        assert!(world.enroll(Operation::SimpleEnroll, &anonymous, &body).is_err());
        let of_other = birth(&world.other_maker, "SN-1", KeyType::P256, START.parse().unwrap());
        assert!(world.enroll(Operation::SimpleEnroll, &of_other.session(), &body).is_err());
    }
    assert!(enroll(&world, "SN-1").is_ok());
    assert_eq!(enroll(&world, "SN-2").err().unwrap().0, RejectionCode::RateLimited);
}

#[test]
fn no_new_device_comes_above_the_quota_and_those_that_are_there_stay() {
    let world = limited(of_tenant(None, Quotas { devices: Some(3), certificates: None }));
    let first = enroll(&world, "SN-1").unwrap();
    world.ra.list_devices(&grant("acme"), &[listing("SN-2")], false).unwrap().wait().unwrap();
    enroll(&world, "SN-3").unwrap();
    let drawn = world.entropy.drawn();
    assert_eq!(enroll(&world, "SN-4").err(), Some((RejectionCode::QuotaExceeded, Some(600))));
    assert_eq!(world.entropy.drawn(), drawn, "no serial");
    // The listed one is there already, and who was let in may come again.
    assert!(enroll(&world, "SN-2").is_ok());
    assert!(renew(&world, &first, "SN-1").is_ok());
    assert!(enroll_at(&world, "other", "SN-4").is_ok(), "another tenant");

    let listed = world.ra.list_devices(&grant("acme"), &[listing("SN-5")], false);
    assert!(matches!(listed, Err(RegistryError::Quota { what: "devices", most: 3 })));
    assert!(world.ra.list_devices(&grant("acme"), &[listing("SN-5")], true).is_err(), "a dry run says so");
    assert_eq!(world.ra.holdings(), [("acme".to_owned(), 3, 4)]);
}

#[test]
fn a_device_that_is_taken_off_the_list_makes_room_at_once() {
    let world = limited(of_tenant(None, Quotas { devices: Some(1), certificates: None }));
    world.ra.list_devices(&grant("acme"), &[listing("SN-1")], false).unwrap().wait().unwrap();
    assert_eq!(enroll(&world, "SN-2").err().unwrap().0, RejectionCode::QuotaExceeded);
    world.ra.unlist_device(&grant("acme"), "SN-1", None).unwrap().wait().unwrap();
    assert!(enroll(&world, "SN-2").is_ok());
}

#[test]
fn no_first_certificate_is_issued_above_the_quota_until_others_end_but_renewals_are() {
    let world = limited(of_tenant(None, Quotas { devices: None, certificates: Some(2) }));
    let first = enroll(&world, "SN-1").unwrap();
    enroll(&world, "SN-2").unwrap();
    assert_eq!(enroll(&world, "SN-3").err().unwrap().0, RejectionCode::QuotaExceeded);
    // The same request again is the same certificate.
    world.clock.advance(TimeDelta::days(15));
    assert!(renew(&world, &first, "SN-1").is_ok());
    assert_eq!(enroll(&world, "SN-3").err().unwrap().0, RejectionCode::QuotaExceeded);
    // Both of the first have ended, the renewal has not: there is room for one, once that was counted.
    world.clock.advance(TimeDelta::days(16));
    assert_eq!(enroll(&world, "SN-3").err(), Some((RejectionCode::QuotaExceeded, Some(5))));
    world.ra.count_holdings().unwrap();
    assert!(enroll(&world, "SN-3").is_ok());
    assert_eq!(enroll(&world, "SN-4").err().unwrap().0, RejectionCode::QuotaExceeded);
}

#[test]
fn a_lost_answer_is_given_again_above_the_quota() {
    let world = limited(of_tenant(None, Quotas { devices: Some(1), certificates: Some(1) }));
    let (born, key) = (world.birth("SN-1", KeyType::P256), device_key(KeyType::P256));
    let body = request(key.as_ref(), &Name::empty(), &[]);
    let once = world.enroll(Operation::SimpleEnroll, &born.session(), &body).unwrap();
    assert_eq!(world.enroll(Operation::SimpleEnroll, &born.session(), &body).unwrap(), once);
}

/// Sixteen requests at once of so many devices: how many got a certificate.
fn enroll_at_once(world: &World, devices: usize) -> u64 {
    std::thread::scope(|scope| {
        // What is foreseen may not come where others come first.
        let attempt = move |number| {
            let (born, key) =
                (world.birth(&format!("SN-{}", number % devices), KeyType::P256), device_key(KeyType::P256));
            let body = request(key.as_ref(), &Name::empty(), &[]);
            world.decide("devices", Operation::SimpleEnroll, &born.session(), &body).is_ok()
        };
        let work = |number| scope.spawn(move || attempt(number));
        let threads: Vec<_> = (0..16).map(work).collect();
        threads.into_iter().map(|thread| u64::from(thread.join().unwrap())).sum()
    })
}

#[test]
fn of_many_at_once_no_more_get_in_than_there_is_room_for() {
    for quotas in [Quotas { devices: Some(5), certificates: None }, Quotas { devices: None, certificates: Some(5) }] {
        let world = limited(of_tenant(None, quotas));
        assert_eq!(enroll_at_once(&world, 16), 5, "{quotas:?}");
        assert_eq!(world.ra.holdings(), [("acme".to_owned(), 5, 5)]);
    }
    // Of two first certificates of one device only one brings a device, and what is counted is what the store has.
    let world = limited(of_tenant(None, Quotas { devices: Some(16), certificates: None }));
    let enrolled = enroll_at_once(&world, 4);
    assert_eq!(enrolled, 16);
    assert_eq!(world.ra.holdings(), [("acme".to_owned(), 4, enrolled)]);
    let ports = Ports { holdings: Arc::default(), ..world.ra.ports().clone() };
    let ra = reloaded(&world, ports, |_| ());
    ra.count_holdings().unwrap();
    assert_eq!(ra.holdings(), [("acme".to_owned(), 4, enrolled)]);
}

/// Another configuration of the same labels.
fn reloaded(world: &World, ports: Ports, change: impl Fn(&mut LabelContext)) -> RegistrationAuthority {
    let labels = world.ra.labels().map(|label| {
        let mut label = share(label);
        change(&mut label);
        label
    });
    let default_label = Label::parse("devices").unwrap();
    RegistrationAuthority::new(labels.collect(), Some(&default_label), &[], ports).unwrap()
}

#[test]
fn who_is_given_a_quota_by_a_reload_is_counted_before_that_takes_place() {
    let world = limited(UsageLimits::default());
    (0..3).for_each(|number| drop(enroll(&world, &format!("SN-{number}")).unwrap()));
    let quotas = Quotas { devices: Some(3), certificates: None };
    let with_quotas = reloaded(&world, world.ra.ports().clone(), |label| {
        if label.tenant == "acme" {
            label.limits = of_tenant(None, quotas);
        }
    });
    with_quotas.take_up_quotas(&world.ra).unwrap();
    // What the one before does each second until it goes.
    world.ra.count_holdings().unwrap();
    assert_eq!(with_quotas.holdings(), [("acme".to_owned(), 3, 3)]);
    assert_eq!(world.ra.holdings(), []);

    // It is taken back: nobody keeps count any more, so who is given it again is counted again.
    world.ra.forget_holdings();
    enroll(&world, "SN-3").unwrap();
    with_quotas.take_up_quotas(&world.ra).unwrap();
    assert_eq!(with_quotas.holdings(), [("acme".to_owned(), 4, 4)]);
    enroll(&world, "SN-4").unwrap();
    with_quotas.take_up_quotas(&world.ra).unwrap();
    assert_eq!(with_quotas.holdings(), [("acme".to_owned(), 5, 5)], "also when it was not forgotten");
    with_quotas.forget_holdings();
    assert_eq!(with_quotas.holdings(), [("acme".to_owned(), 5, 5)]);
}

#[test]
fn a_refusal_gives_back_the_room_that_it_took() {
    let world = limited(of_tenant(None, Quotas { devices: Some(1), certificates: Some(1) }));
    let (born, key) = (world.birth("SN-1", KeyType::P256), device_key(KeyType::P256));
    let body = request(key.as_ref(), &Name::empty(), &[]);
    // Room was taken when there is no serial number to be had.
    world.entropy.fail(true);
    let refusal = world.enroll(Operation::SimpleEnroll, &born.session(), &body).unwrap_err();
    assert!(matches!(refusal, Refusal::Fault(_)), "{refusal:?}");
    assert_eq!(world.ra.holdings(), [("acme".to_owned(), 0, 0)]);
    world.entropy.fail(false);
    assert!(enroll(&world, "SN-2").is_ok());
}

fn listing(id: &str) -> Listing {
    Listing { id: id.to_owned(), tags: Vec::new() }
}
