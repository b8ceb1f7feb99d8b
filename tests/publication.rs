//! What the world is told of revocations: the lists, as they are made and as relying parties fetch and judge them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/folder.rs"]
mod folder;
#[path = "support/world.rs"]
mod world;

use std::process::Command;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use estd::ca::{CertificateAuthority, Publication, StatusRules};
use estd::clock::Clock as _;
use estd::est::Operation;
use estd::pki::public_key::KeyType;
use estd::pki::revocation::RevocationReason;
use estd::pki::shard::{SerialPlace, Shard};
use estd::store::CertificateStore as _;
use estd::store::crl::CrlHistory;
use estd::va::{self, Issuer, Resource, Tended, ValidationAuthority};
use estd_asn1::crl::CertificateList;
use estd_asn1::{Certificate, CrlReason, Name, crl, extension, oid};
use folder::{Folder, get};
use world::*;

/// A world whose authority publishes under these rules.
fn publishing(rules: &StatusRules) -> World {
    let publish = |label: &mut estd::ra::LabelContext| {
        let (signer, _) = estd::ca::SoftwareSigner::generate(KeyType::P256).unwrap();
        let subject = common_name("Publishing CA");
        let start: DateTime<Utc> = START.parse().unwrap();
        let validity =
            estd_asn1::Validity { not_before: start - TimeDelta::hours(1), not_after: start + TimeDelta::days(3650) };
        let certificate = estd::ca::ceremony::self_signed_ca(&signer, &subject, validity, None, &serial()).unwrap();
        let base = Some("http://pki.acme.example".to_owned());
        let publication = Publication::new(base, "acme/issuing".into(), rules.clone());
        let authority = CertificateAuthority::new(certificate.clone(), Vec::new(), Arc::new(signer)).unwrap();
        label.authority = Arc::new(authority.publishing(publication));
        let implicit = label.anchors.implicit().to_vec();
        label.anchors = Arc::new(estd::pki::trust::TrustAnchors::new(vec![certificate], implicit).unwrap());
    };
    World::with(KeyType::P256, |profile| profile.crl_urls.clear(), publish)
}

/// The validation authority over a world; `before` is the one that a reload replaces.
fn validation(world: &World, before: Option<&ValidationAuthority>) -> ValidationAuthority {
    let ports = va::Ports {
        store: Arc::clone(&world.store) as _,
        clock: Arc::clone(&world.clock) as _,
        entropy: Arc::clone(&world.entropy) as _,
    };
    ValidationAuthority::new([Arc::clone(&world.label("devices").authority)], ports, before)
}

/// The path of a resource under the key of the authority.
fn url(world: &World, path: &str) -> String {
    let key = &world.label("devices").authority.publication().unwrap().key_name;
    format!("http://pki.acme.example{}", path.replace("KEY", key))
}

fn issuer(validation: &ValidationAuthority) -> &Arc<Issuer> {
    validation.issuers().next().unwrap()
}

/// The number that was published, if anything was.
fn tend(validation: &ValidationAuthority) -> Option<u64> {
    match issuer(validation).tend(validation.ports()).unwrap() {
        Tended::Idle => None,
        Tended::Published { number, .. } => Some(number),
    }
}

/// Entries, number and base of a list.
fn list(validation: &ValidationAuthority, resource: Resource) -> (Vec<u8>, u64, Option<u64>) {
    let published = issuer(validation).document(resource).unwrap();
    let list = CertificateList::decode(&published.der).unwrap();
    (list.entries.to_vec(), list.number().unwrap(), list.base_number())
}

fn entry(certificate: &Certificate, at: DateTime<Utc>, reason: CrlReason) -> Vec<u8> {
    crl::encode_entry(certificate.serial(), at, reason)
}

fn device(world: &World, serial_number: &str) -> Certificate {
    world.operational(&world.birth(serial_number, KeyType::P256), KeyType::P256).certificate()
}

const FULL: Resource = Resource::Crl(Shard::COMPLETE);
const DELTA: Resource = Resource::Delta(Shard::COMPLETE);

/// Whoever looks after the lists while the configuration is exchanged may see a revocation first.
#[test]
fn a_revocation_during_a_reload_is_published_by_the_configuration_that_follows() {
    let world = publishing(&StatusRules::default());
    let old = validation(&world, None);
    tend(&old).unwrap();
    let revoked = device(&world, "SN-1");
    let new = validation(&world, Some(&old));
    let at = world.clock.now();
    world.revoke(&revoked, RevocationReason::Superseded);
    tend(&old).unwrap();
    tend(&new);
    assert_eq!(list(&new, FULL).0, entry(&revoked, at, CrlReason::Superseded));
}

#[test]
fn lists_are_made_on_schedule_and_upon_revocation_and_no_number_twice() {
    let world = publishing(&StatusRules::default());
    let mut all = validation(&world, None);
    let first = tend(&all).unwrap();
    assert_eq!(list(&all, FULL), (vec![], first, None), "an empty list has none");
    assert_eq!(tend(&all), None);
    let revoked = device(&world, "SN-1");
    let at = world.clock.now();
    world.revoke(&revoked, RevocationReason::KeyCompromise);
    let second = tend(&all).unwrap();
    assert_eq!(list(&all, FULL), (entry(&revoked, at, CrlReason::KeyCompromise), second, None));
    // A reload keeps what it has, a restart begins anew; neither says a number twice, nor does a clock that goes back.
    all = validation(&world, Some(&all));
    assert_eq!(tend(&all), None);
    assert_eq!(list(&all, FULL).1, second);
    all = validation(&world, None);
    world.clock.advance(TimeDelta::days(-2));
    let third = tend(&all).unwrap();
    world.clock.advance(TimeDelta::hours(24));
    let fourth = tend(&all).unwrap();
    assert_eq!(tend(&all), None);
    world.clock.advance(TimeDelta::hours(25));
    let fifth = tend(&all).unwrap();
    let numbers = [first, second, third, fourth, fifth];
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let history = CrlHistory::of(world.store.as_ref(), &world.label("devices").authority.issuer_id()).unwrap();
    assert_eq!(history.number, fifth);
}

/// What a killed process leaves is what is in the files; a backup is an older copy of them.
#[test]
fn no_number_comes_twice_after_a_crash_or_from_a_backup() {
    use estd::store::sled::{SledStore, StoreOptions};
    let world = publishing(&StatusRules::default());
    let publish = |folder: &std::path::Path| {
        world.clock.advance(TimeDelta::milliseconds(1));
        let store = Arc::new(SledStore::open(folder, StoreOptions::default()).unwrap());
        let ports = va::Ports {
            store: Arc::clone(&store) as _,
            clock: Arc::clone(&world.clock) as _,
            entropy: Arc::clone(&world.entropy) as _,
        };
        let all = ValidationAuthority::new([Arc::clone(&world.label("devices").authority)], ports, None);
        (tend(&all).unwrap(), store)
    };
    let copied = |folder: &std::path::Path| {
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(folder.join("journal"), copy.path().join("journal")).unwrap();
        copy
    };
    let folder = tempfile::tempdir().unwrap();
    let (first, store) = publish(folder.path());
    // Taken while the store is open, as a crash leaves it.
    let (crashed, backup) = (copied(folder.path()), copied(folder.path()));
    drop(store);
    let (second, _) = publish(crashed.path());
    let (third, _) = publish(backup.path());
    assert!(first < second && second < third, "{first} {second} {third}");
    // Also when the clock went back meanwhile, as far as the store remembers.
    world.clock.advance(TimeDelta::days(-30));
    let (fourth, _) = publish(backup.path());
    assert_eq!(fourth, third + 1);
}

#[test]
fn what_ended_stays_until_one_list_of_the_schedule_had_it() {
    let world = publishing(&StatusRules::default());
    let all = validation(&world, None);
    let revoked = device(&world, "SN-1");
    world.revoke(&revoked, RevocationReason::Unspecified);
    tend(&all).unwrap();
    world.clock.advance(TimeDelta::days(400));
    tend(&all).unwrap();
    assert!(!list(&all, FULL).0.is_empty(), "RFC 5280 3.3");
    world.clock.advance(TimeDelta::days(1));
    tend(&all).unwrap();
    assert!(list(&all, FULL).0.is_empty());
    // Also after a restart, which reads it all again.
    let again = validation(&world, None);
    tend(&again).unwrap();
    assert!(list(&again, FULL).0.is_empty());
}

#[test]
fn a_delta_tells_what_changed_since_a_list_that_relying_parties_may_have() {
    let rules = StatusRules { delta_lifetime: Some(TimeDelta::hours(1)), ..StatusRules::default() };
    let world = publishing(&rules);
    let all = validation(&world, None);
    let (old, held) = (device(&world, "SN-1"), device(&world, "SN-2"));
    let at = world.clock.now();
    world.revoke(&old, RevocationReason::Superseded);
    world.revoke(&held, RevocationReason::CertificateHold);
    let base = tend(&all).unwrap();
    assert_eq!(list(&all, DELTA), (vec![], base, Some(base)));
    let new = device(&world, "SN-3");
    world.clock.advance(TimeDelta::minutes(1));
    let later = world.clock.now();
    world.revoke(&new, RevocationReason::CessationOfOperation);
    world.ra.release_hold(&grant("acme"), &world.id(&held)).unwrap().wait().unwrap();
    let number = tend(&all).unwrap();
    let (changes, delta_number, delta_base) = list(&all, DELTA);
    assert_eq!((delta_number, delta_base), (number, Some(base)), "the number of the list it makes of its base");
    let expected = [entry(&new, later, CrlReason::CessationOfOperation), entry(&held, at, CrlReason::RemoveFromCrl)];
    assert_eq!(changes.len(), expected.concat().len());
    assert!(expected.iter().all(|entry| changes.windows(entry.len()).any(|part| part == entry)));
    let (entries, ..) = list(&all, FULL);
    let expected = [entry(&old, at, CrlReason::Superseded), entry(&new, later, CrlReason::CessationOfOperation)];
    assert_eq!(entries.len(), expected.concat().len());
    // After a restart it still builds on the same list, which is valid for days.
    let again = validation(&world, None);
    tend(&again).unwrap();
    assert_eq!(list(&again, DELTA).2, Some(base));
    assert_eq!(list(&again, DELTA).0.len(), changes.len());
    // It ends soon, so it is made again before that.
    world.clock.advance(TimeDelta::minutes(31));
    assert!(tend(&again).is_some());
    let full = issuer(&again).document(FULL).unwrap();
    let full = CertificateList::decode(&full.der).unwrap();
    let freshest = full.extensions.iter().find(|extension| extension.oid == oid::FRESHEST_CRL).unwrap();
    let url = url(&world, "/crl/KEY/delta.crl");
    assert_eq!((freshest.critical, &freshest.value), (false, &extension::encode_crl_distribution_points(&[url])));
}

#[test]
fn a_certificate_names_the_part_that_tells_of_it() {
    let rules = StatusRules { crl_shards: 4, ..StatusRules::default() };
    let world = publishing(&rules);
    let all = validation(&world, None);
    let devices: Vec<_> = (0..12).map(|number| device(&world, &format!("SN-{number}"))).collect();
    devices.iter().for_each(|device| world.revoke(device, RevocationReason::Superseded));
    tend(&all).unwrap();
    let points = |shard: Shard| {
        let published = issuer(&all).document(Resource::Crl(shard)).unwrap();
        let list = CertificateList::decode(&published.der).unwrap();
        let point = list.extensions.into_iter().find(|extension| extension.oid == oid::ISSUING_DISTRIBUTION_POINT);
        (list.entries.to_vec(), point)
    };
    for device in &devices {
        let shard = Shard::holding(SerialPlace::of(device.serial()), 4);
        let url = url(&world, &format!("/crl/KEY/4/{}.crl", shard.number()));
        let named = device.extension(&oid::CRL_DISTRIBUTION_POINTS).unwrap();
        assert_eq!(named.value, extension::encode_crl_distribution_points(&[url]));
        for other in Shard::all(4) {
            let (entries, point) = points(other);
            let entry = entry(device, world.clock.now(), CrlReason::Superseded);
            assert_eq!(entries.windows(entry.len()).any(|part| part == entry), other == shard);
            assert!(point.is_some_and(|point| point.critical));
        }
    }
    // The list of all is there for those that know of no parts; another revocation makes it and one part anew.
    assert_eq!(CertificateList::decode(&issuer(&all).document(FULL).unwrap().der).unwrap().len(), 12);
    world.revoke(&device(&world, "SN-99"), RevocationReason::Superseded);
    let tended = issuer(&all).tend(all.ports()).unwrap();
    assert!(matches!(tended, Tended::Published { lists: 2, entries: 13, .. }), "{tended:?}");
}

#[test]
fn openssl_refuses_what_a_list_has_and_takes_the_rest() {
    let world = publishing(&StatusRules::default());
    let all = validation(&world, None);
    let (revoked, good) = (device(&world, "SN-1"), device(&world, "SN-2"));
    world.revoke(&revoked, RevocationReason::KeyCompromise);
    tend(&all).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, label: &str, der: &[u8]| {
        let path = folder.path().join(name);
        let body = estd::est::transfer::encode(der, estd::est::transfer::LineWrapping::Lines64);
        let body = String::from_utf8(body).unwrap();
        let pem = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", body.trim_end());
        std::fs::write(&path, pem).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ca = write("ca.pem", "CERTIFICATE", world.label("devices").authority.certificate().der());
    let list = write("list.pem", "X509 CRL", &issuer(&all).document(FULL).unwrap().der);
    let time = world.clock.now().timestamp().to_string();
    for (certificate, name, stands) in [(&revoked, "revoked.pem", false), (&good, "good.pem", true)] {
        let leaf = write(name, "CERTIFICATE", certificate.der());
        let arguments = ["verify", "-CAfile", &ca, "-crl_check", "-CRLfile", &list, "-attime", &time, &leaf];
        let (content, text) = openssl(&arguments);
        assert_eq!((content, text.contains("certificate revoked")), (stands, !stands), "{text}");
    }
}

/// Runs openssl; what it wrote, and whether it was content.
fn openssl(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn relying_parties_fetch_the_lists_and_believe_them() {
    let folder = Folder::new();
    folder.edit("data_dir = ", "public_listen = [\"127.0.0.1:0\"]\npublic_url = \"http://127.0.0.1:1\"\ndata_dir = ");
    folder.edit("name = \"issuing\"\n", "name = \"issuing\"\ncrl_shards = 2\ncrl_delta_lifetime = \"1h\"\n");
    let running = folder.start().await;
    let address = running.public_addresses()[0];
    let tenant = folder.tenant();
    let path = format!("/crl/{tenant}/issuing.crl");
    let first = loop {
        let answer = get(address, "GET", &path, "").await;
        if answer.status == 200 {
            break answer;
        }
        assert_eq!(answer.status, 503, "{}", answer.head);
    };
    assert_eq!(first.field("content-type"), "application/pkix-crl");
    assert!(first.field("cache-control").starts_with("public, max-age="));
    let (tag, date) = (first.field("etag").to_owned(), first.field("last-modified").to_owned());
    let crl = folder.path.join("list.crl");
    std::fs::write(&crl, &first.body).unwrap();
    let ca = folder.path.join("ca/issuing.pem");
    let (crl, ca) = (crl.to_str().unwrap(), ca.to_str().unwrap());
    let (sound, text) = openssl(&["crl", "-inform", "DER", "-in", crl, "-CAfile", ca, "-noout", "-text"]);
    assert!(sound && text.contains("verify OK") && text.contains("No Revoked Certificates"), "{text}");

    // What is there already is not sent again; HEAD sends nothing at all.
    for field in [format!("If-None-Match: \"x\", W/{tag}"), format!("If-Modified-Since: {date}")] {
        let answer = get(address, "GET", &path, &field).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{field}");
        assert_eq!(answer.field("etag"), tag);
    }
    let other = get(address, "GET", &path, &format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}")).await;
    assert_eq!(other.status, 200, "the tag counts before the date");
    let head = get(address, "HEAD", &path, "").await;
    assert_eq!(head.field("content-length"), first.body.len().to_string());
    for (method, path, status) in [
        ("POST", path.as_str(), 405),
        ("GET", "/crl/nobody/issuing.crl", 404),
        ("GET", "/crl/..%2f", 404),
        ("GET", "/", 404),
        ("GET", &format!("/crl/{tenant}/issuing/3/0.crl"), 404),
    ] {
        assert_eq!(get(address, method, path, "").await.status, status, "{method} {path}");
    }
    for (path, content_type) in [
        (format!("/crl/{tenant}/issuing/2/1.crl"), "application/pkix-crl"),
        (format!("/crl/{tenant}/issuing/2/1-delta.crl"), "application/pkix-crl"),
        (format!("/crl/{tenant}/issuing/delta.crl"), "application/pkix-crl"),
        (format!("/ca/{tenant}/issuing.cer"), "application/pkix-cert"),
    ] {
        let answer = get(address, "GET", &path, "").await;
        assert_eq!((answer.status, answer.field("content-type")), (200, content_type), "{path}");
    }
    let metrics = get(running.status_address(), "GET", "/metrics", "").await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("estd_crl_this_update_seconds{authority="), "{metrics}");
    assert!(metrics.contains("estd_public_requests_total{resource=\"crl\",status=\"304\"} 2"), "{metrics}");
    running.shutdown().await;
}

#[test]
fn a_renewal_names_its_own_part() {
    let rules = StatusRules { crl_shards: 1000, ..StatusRules::default() };
    let world = publishing(&rules);
    let birth = world.birth("SN-1", KeyType::P256);
    let body = request(device_key(KeyType::P256).as_ref(), &Name::empty(), &[]);
    let issued = world.enroll(Operation::SimpleEnroll, &birth.session(), &body).unwrap();
    let issued = Certificate::decode(&issued).unwrap();
    let shard = Shard::holding(SerialPlace::of(issued.serial()), 1000);
    let crl = url(&world, &format!("/crl/KEY/1000/{}.crl", shard.number()));
    let named = &issued.extension(&oid::CRL_DISTRIBUTION_POINTS).unwrap().value;
    assert_eq!(*named, extension::encode_crl_distribution_points(&[crl]));
    let info = &issued.extension(&oid::AUTHORITY_INFO_ACCESS).unwrap().value;
    let ocsp = [url(&world, "/ocsp/KEY")];
    let issuers = [url(&world, "/ca/KEY.cer")];
    assert_eq!(*info, extension::encode_authority_info_access(&ocsp, &issuers));
    assert_eq!(world.store.certificate_count().unwrap(), 1);
}
