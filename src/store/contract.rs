//! The contract suite: what every store keeps, run over each of them.

mod standing;
mod tallies;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::credential_uses::CredentialUses;
use super::memory::MemoryStore;
use super::{
    CertificateId, CertificateRecord, CertificateStatus, CertificateStore, Claim, ClaimGuard, Direction, ExpiryPlace,
    Fact, FactKey, FactKind, LoggedEvent, Receipt, RequestKey, Revocation, Span, StandingChange,
};
use crate::audit::{AuditEvent, AuditOutcome};
use crate::pki::digest::sha256;
use standing::{
    changes_of_standing_are_listed_by_issuer_in_the_order_in_which_they_were_recorded, stand,
    the_certificates_of_a_device_are_found_durable_or_not,
    the_last_standing_counts_and_those_recorded_together_change_together,
};

use tallies::what_happened_is_counted_by_the_hour_and_what_ends_by_the_day;

/// A moment to count from; stores ask no clock.
pub(super) fn epoch() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 123_456_789).unwrap()
}

/// The record number `serial`, of device `serial` unless changed, answering request `serial`.
pub(super) fn record(serial: u32) -> CertificateRecord {
    CertificateRecord {
        id: CertificateId { issuer: [7; 32], serial: serial.to_be_bytes().to_vec() },
        request: RequestKey(sha256(&[b"request", &serial.to_be_bytes()])),
        tenant: "acme".into(),
        label: "devices".into(),
        device: format!("device-{serial}"),
        spki_sha256: sha256(&[b"key", &serial.to_be_bytes()]),
        renews: serial.checked_sub(1).map(record_id),
        issued_at: epoch() + TimeDelta::seconds(i64::from(serial)),
        not_after: epoch() + TimeDelta::days(398),
        der: serial.to_be_bytes().repeat(150),
        credential: None,
    }
}

pub(super) fn record_id(serial: u32) -> CertificateId {
    CertificateId { issuer: [7; 32], serial: serial.to_be_bytes().to_vec() }
}

pub(super) fn issued(record: &CertificateRecord) -> AuditEvent {
    event(AuditOutcome::Issued { serial: record.id.serial.clone(), repeated: false, generated_key: None })
}

pub(super) fn event(outcome: AuditOutcome) -> AuditEvent {
    AuditEvent {
        at: epoch(),
        request_id: "0123456789abcdef".into(),
        source: "192.0.2.1".into(),
        tenant: "acme".into(),
        label: "devices".into(),
        operation: "simpleenroll".into(),
        peer: Some([9; 32]),
        device: Some("device".into()),
        actor: None,
        credential: None,
        outcome,
    }
}

pub(super) fn granted<'a>(store: &'a dyn CertificateStore, key: &RequestKey) -> ClaimGuard<'a> {
    match store.claim(key, DateTime::<Utc>::MIN_UTC).unwrap() {
        Claim::Granted(guard) => guard,
        Claim::Recorded { record, .. } => panic!("recorded already: {record:?}"),
        Claim::InQuestion => panic!("asked about"),
    }
}

/// Records `record` and waits until it is durable.
pub(super) fn keep(store: &dyn CertificateStore, record: &CertificateRecord) {
    let claim = granted(store, &record.request);
    store.record_issued(claim, record.clone(), Vec::new(), issued(record)).unwrap().wait().unwrap();
}

fn good(record: &CertificateRecord) -> CertificateStatus {
    CertificateStatus::Good {
        tenant: record.tenant.clone(),
        label: record.label.clone(),
        device: record.device.clone(),
    }
}

fn what_is_recorded_is_found_by_every_verb(store: &dyn CertificateStore) {
    let one = record(1);
    assert_eq!(store.status(&one.id).unwrap(), CertificateStatus::Unknown);
    assert_eq!(store.certificate(&one.id).unwrap(), None);
    keep(store, &one);
    assert_eq!(store.certificate(&one.id).unwrap().as_deref(), Some(&one));
    assert_eq!(store.status(&one.id).unwrap(), good(&one));
    assert_eq!(store.status(&record_id(2)).unwrap(), CertificateStatus::Unknown);
    let other_issuer = CertificateId { issuer: [8; 32], serial: one.id.serial.clone() };
    assert_eq!(store.status(&other_issuer).unwrap(), CertificateStatus::Unknown);
    assert_eq!(store.certificate_count().unwrap(), 1);
}

fn a_repeated_request_gets_its_certificate_within_the_window_only(store: &dyn CertificateStore) {
    let first = record(1);
    keep(store, &first);
    match store.claim(&first.request, first.issued_at).unwrap() {
        Claim::Recorded { record, receipt } => {
            assert_eq!(*record, first);
            receipt.wait().unwrap();
        }
        Claim::Granted(_) | Claim::InQuestion => panic!("issued twice within the window"),
    }
    let later = first.issued_at + TimeDelta::nanoseconds(1);
    let Claim::Granted(claim) = store.claim(&first.request, later).unwrap() else { panic!("older than the window") };
    let second = CertificateRecord { issued_at: later, request: first.request, ..record(2) };
    store.record_issued(claim, second.clone(), Vec::new(), issued(&second)).unwrap().wait().unwrap();
    let Claim::Recorded { record, .. } = store.claim(&first.request, later).unwrap() else { panic!("recorded") };
    assert_eq!(*record, second);
    assert_eq!(store.certificate(&first.id).unwrap().as_deref(), Some(&first));
}

fn a_dropped_claim_leaves_nothing_and_frees_its_key(store: &dyn CertificateStore) {
    let one = record(1);
    drop(granted(store, &one.request));
    drop(granted(store, &one.request));
    assert_eq!(store.certificate_count().unwrap(), 0);
    keep(store, &one);
}

fn one_key_claimed_by_many_at_once_gives_one_record(store: &dyn CertificateStore) {
    let serial = AtomicU32::new(0);
    let issue = |key: RequestKey| match store.claim(&key, DateTime::<Utc>::MIN_UTC).unwrap() {
        Claim::Recorded { record, receipt } => {
            receipt.wait().unwrap();
            record.id.clone()
        }
        Claim::Granted(claim) => {
            let one = CertificateRecord { request: key, ..record(serial.fetch_add(1, Ordering::Relaxed)) };
            store.record_issued(claim, one.clone(), Vec::new(), issued(&one)).unwrap().wait().unwrap();
            one.id
        }
        Claim::InQuestion => panic!("nobody is asked"),
    };
    const KEYS: u8 = 20;
    let answers: Vec<Vec<CertificateId>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..5 * KEYS).map(|turn| issue(RequestKey([turn % KEYS; 32]))).collect()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| answer[..usize::from(KEYS)] == answers[0][..usize::from(KEYS)]));
    assert_eq!(serial.into_inner(), u32::from(KEYS));
    assert_eq!(store.certificate_count().unwrap(), u64::from(KEYS));
}

fn nobody_waits_for_a_claim_whose_holder_asks_somebody_else(store: &dyn CertificateStore) {
    const PATIENCE: Duration = Duration::from_secs(10);
    let (one, other) = (record(1), record(2));
    let (told, came) = mpsc::channel();
    let is_in_question = || matches!(store.claim(&one.request, epoch()).unwrap(), Claim::InQuestion);
    std::thread::scope(|scope| {
        let claim = granted(store, &one.request);
        scope.spawn(move || told.send(is_in_question()).unwrap());
        // While the holder works it is waited for; whoever comes later than this is told the same.
        assert!(came.recv_timeout(Duration::from_millis(50)).is_err());
        claim.while_asking(|| {
            assert!(came.recv_timeout(PATIENCE).unwrap(), "who waited is told");
            assert!(is_in_question());
            drop(granted(store, &other.request));
        });
        // With the answer it is work again.
        scope.spawn(|| assert!(matches!(store.claim(&one.request, epoch()).unwrap(), Claim::Recorded { .. })));
        std::thread::sleep(Duration::from_millis(50));
        store.record_issued(claim, one.clone(), Vec::new(), issued(&one)).unwrap().wait().unwrap();
    });
}

fn a_key_belongs_to_the_device_it_was_last_certified_for_in_its_tenant(store: &dyn CertificateStore) {
    let one = record(1);
    assert_eq!(store.key_holder("acme", &one.spki_sha256).unwrap(), None);
    keep(store, &one);
    assert_eq!(store.key_holder("acme", &one.spki_sha256).unwrap().as_deref(), Some("device-1"));
    assert_eq!(store.key_holder("globex", &one.spki_sha256).unwrap(), None);
    keep(store, &CertificateRecord { spki_sha256: one.spki_sha256, ..record(2) });
    keep(store, &CertificateRecord { spki_sha256: one.spki_sha256, tenant: "globex".into(), ..record(3) });
    assert_eq!(store.key_holder("acme", &one.spki_sha256).unwrap().as_deref(), Some("device-2"));
    assert_eq!(store.key_holder("globex", &one.spki_sha256).unwrap().as_deref(), Some("device-3"));
}

fn what_is_recorded_is_seen_before_it_is_durable(store: &dyn CertificateStore) {
    let receipts: Vec<_> = (1..=50)
        .map(|serial| {
            let one = record(serial);
            let claim = granted(store, &one.request);
            let receipt = store.record_issued(claim, one.clone(), Vec::new(), issued(&one)).unwrap();
            assert_eq!(store.certificate(&one.id).unwrap().as_deref(), Some(&one));
            assert_eq!(store.status(&one.id).unwrap(), good(&one));
            assert_eq!(store.key_holder("acme", &one.spki_sha256).unwrap(), Some(one.device.clone()));
            assert_eq!(store.certificate_count().unwrap(), u64::from(serial));
            let Claim::Recorded { receipt: repeated, .. } = store.claim(&one.request, epoch()).unwrap() else {
                panic!("recorded")
            };
            (receipt, repeated)
        })
        .collect();
    for (receipt, repeated) in receipts {
        receipt.wait().unwrap();
        repeated.wait().unwrap();
    }
}

fn key(scope: &str, name: &str) -> FactKey {
    FactKey::new(FactKind::Device, scope, name.as_bytes())
}

fn put(name: &str, value: &str) -> Fact {
    Fact { key: key("acme", name), value: Some(value.into()) }
}

fn forget(name: &str) -> Fact {
    Fact { key: key("acme", name), value: None }
}

/// Records facts, without waiting.
fn change(store: &dyn CertificateStore, facts: Vec<Fact>) -> Receipt {
    store.record_facts(facts, event(AuditOutcome::Failed)).unwrap()
}

/// Names and values of all facts of `acme`, read `page` at a time.
fn all_facts(store: &dyn CertificateStore, page: usize) -> Vec<(String, String)> {
    let prefix = FactKey::prefix(FactKind::Device, "acme");
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let found = store.facts(&prefix, after.as_ref(), page).unwrap();
        assert!(found.len() <= page);
        let Some((last, _)) = found.last() else { return all };
        after = Some(last.clone());
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
        all.extend(found.iter().map(|(key, value)| (text(&key.octets()[prefix.octets().len()..]), text(value))));
    }
}

fn the_last_value_of_a_fact_counts_and_one_that_is_forgotten_is_gone(store: &dyn CertificateStore) {
    assert_eq!(store.fact(&key("acme", "a")).unwrap(), None);
    change(store, vec![put("a", "1"), put("b", "1")]).wait().unwrap();
    change(store, vec![put("a", "2"), forget("b"), forget("c")]).wait().unwrap();
    assert_eq!(store.fact(&key("acme", "a")).unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(store.fact(&key("acme", "b")).unwrap(), None);
    // One that is not durable yet is seen as well.
    let receipt = change(store, vec![put("a", "3"), put("a", "4")]);
    assert_eq!(store.fact(&key("acme", "a")).unwrap().as_deref(), Some(&b"4"[..]));
    receipt.wait().unwrap();
    assert_eq!(store.fact(&key("acme", "a")).unwrap().as_deref(), Some(&b"4"[..]));
}

fn facts_are_listed_in_order_page_by_page_and_scope_by_scope(store: &dyn CertificateStore) {
    let others = ["acm", "acmf", "acme\0", "b"].map(|scope| Fact { key: key(scope, "x"), value: Some(b"?".to_vec()) });
    change(store, others.to_vec()).wait().unwrap();
    let names: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
    change(store, names.iter().map(|name| put(name, "old")).collect()).wait().unwrap();
    // Some of what follows is durable by the time it is listed, some is not.
    let receipts: Vec<_> = [0, 3, 19].map(|number| change(store, vec![put(&names[number], "new")])).into();
    let gone = change(store, vec![forget("07"), forget("08"), put("99", "late")]);
    for page in [1, 2, 7, 100] {
        let mut expected: Vec<_> = names.iter().map(|name| (name.clone(), "old".to_owned())).collect();
        [0, 3, 19].into_iter().for_each(|number: usize| expected[number].1 = "new".into());
        expected.drain(7..9);
        expected.push(("99".into(), "late".into()));
        assert_eq!(all_facts(store, page), expected, "pages of {page}");
    }
    receipts.into_iter().chain([gone]).for_each(|receipt| receipt.wait().unwrap());
}

fn facts_change_with_the_certificate_they_belong_to(store: &dyn CertificateStore) {
    let one = record(1);
    let claim = granted(store, &one.request);
    let held = store.hold(&key("acme", "a"));
    let receipt = store.record_issued(claim, one.clone(), vec![put("a", "issued")], issued(&one)).unwrap();
    drop(held);
    assert_eq!(store.fact(&key("acme", "a")).unwrap().as_deref(), Some(&b"issued"[..]));
    receipt.wait().unwrap();
    assert_eq!(all_facts(store, 10), [("a".to_owned(), "issued".to_owned())]);
}

fn a_fact_that_is_held_is_changed_by_one_at_a_time(store: &dyn CertificateStore) {
    const TURNS: usize = 25;
    let count = || {
        let _held = store.hold(&key("acme", "counter"));
        let value = store.fact(&key("acme", "counter")).unwrap().unwrap_or_default();
        let next = String::from_utf8(value).unwrap().parse::<usize>().unwrap_or(0) + 1;
        change(store, vec![put("counter", &next.to_string())])
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..TURNS).for_each(|_| count().wait().unwrap()));
        }
    });
    assert_eq!(all_facts(store, 10), [("counter".to_owned(), (4 * TURNS).to_string())]);
}

fn of_uses_of_a_credential_at_once_as_many_are_recorded_as_it_is_good_for(store: &dyn CertificateStore) {
    const MOST: u32 = 3;
    let uses = |tenant, credential| CredentialUses::of(store, tenant, credential).unwrap().0;
    let enroll = |serial| {
        let one = CertificateRecord { credential: Some("code/ab".into()), ..record(serial) };
        let claim = granted(store, &one.request);
        let _held = store.hold(&CredentialUses::key("acme", "code/ab"));
        let so_far = CredentialUses::of(store, "acme", "code/ab").unwrap();
        if so_far.0 < MOST {
            let facts = vec![so_far.once_more("acme", "code/ab")];
            // Counted from here on, durable or not.
            drop(store.record_issued(claim, one.clone(), facts, issued(&one)).unwrap());
        }
    };
    std::thread::scope(|scope| (1..=20).for_each(|serial| drop(scope.spawn(move || enroll(serial)))));
    assert_eq!((uses("acme", "code/ab"), store.certificate_count().unwrap()), (MOST, u64::from(MOST)));
    for (tenant, credential) in [("acme", "code/a"), ("acme", "code/abc"), ("acm", "ecode/ab"), ("globex", "code/ab")] {
        assert_eq!(uses(tenant, credential), 0, "{tenant} {credential}");
    }
}

/// Reads a list page by page, in both directions; the second must be the first turned round, and pages of any size the same.
fn all_pages<T: Clone + PartialEq + std::fmt::Debug>(
    page: usize,
    list: impl Fn(Option<&T>, Direction, usize) -> Vec<T>,
) -> Vec<T> {
    let read = |direction| {
        let mut all: Vec<T> = Vec::new();
        loop {
            let found = list(all.last(), direction, page);
            assert!(found.len() <= page);
            if found.is_empty() {
                return all;
            }
            all.extend(found);
        }
    };
    let mut backward = read(Direction::Descending);
    backward.reverse();
    let forward = read(Direction::Ascending);
    assert_eq!(backward, forward);
    forward
}

fn certificates_are_listed_in_the_order_in_which_they_end(store: &dyn CertificateStore) {
    let ending = |serial: u32, tenant: &str, days: i64| CertificateRecord {
        tenant: tenant.into(),
        not_after: epoch() + TimeDelta::days(days),
        ..record(serial)
    };
    // One of a lifetime without end, one of long ago; two that end together stand in the order in which they came.
    let days = [30, 10, 3_000_000, 20, 10, -40_000];
    for (serial, days) in (1..).zip(days) {
        keep(store, &ending(serial, "acme", days));
        keep(store, &ending(serial + 100, "acm", days));
    }
    let listed =
        |span: &Span<ExpiryPlace>, direction, limit| store.certificates("acme", span, direction, limit).unwrap();
    for page in [1, 2, 5, 100] {
        let all = all_pages(page, |last: Option<&(ExpiryPlace, Arc<CertificateRecord>)>, direction, limit| {
            listed(&last.map_or(Span::all(), |(place, _)| Span::beyond(*place, direction)), direction, limit)
        });
        let serials: Vec<_> = all.iter().map(|(_, record)| record.id.clone()).collect();
        assert_eq!(serials, [6, 2, 5, 4, 1, 3].map(record_id), "pages of {page}");
    }
    let within = Span {
        after: Some(ExpiryPlace::first_at(epoch() + TimeDelta::days(10))),
        before: Some(ExpiryPlace::first_at(epoch() + TimeDelta::days(30))),
    };
    let serials: Vec<_> =
        listed(&within, Direction::Ascending, 9).iter().map(|(_, record)| record.id.clone()).collect();
    assert_eq!(serials, [2, 5, 4].map(record_id));
    for (tenant, days, count) in
        [("acme", -50_000, 6), ("acme", 10, 5), ("acme", 11, 3), ("acme", 4_000_000, 0), ("acm", 11, 3), ("ac", 0, 0)]
    {
        assert_eq!(
            store.count_certificates(tenant, epoch() + TimeDelta::days(days)).unwrap(),
            count,
            "{tenant} {days}"
        );
    }
}

fn events_are_listed_in_the_order_in_which_they_were_recorded(store: &dyn CertificateStore) {
    const EVENTS: u64 = 200;
    let about = |tenant: &str, device: &str, what: u64| AuditEvent {
        tenant: tenant.into(),
        device: Some(device.into()),
        ..event(AuditOutcome::Changed { what: what.to_string() })
    };
    for number in 1..EVENTS {
        let (tenant, device) = [("acme", "one"), ("acme", "ONE"), ("acme", "on"), ("acm", "eone")][number as usize % 4];
        store.record_event(about(tenant, device, number));
    }
    let last = CertificateRecord { device: "one".into(), ..record(1) };
    let claim = granted(store, &last.request);
    let came = AuditEvent { device: Some("one".into()), ..issued(&last) };
    store.record_issued(claim, last.clone(), Vec::new(), came).unwrap().wait().unwrap();

    for page in [1, 63, 64, 65, 1000] {
        let all = all_pages(page, |last: Option<&LoggedEvent>, direction, limit| {
            let span = last.map_or(Span::all(), |last| Span::beyond(last.sequence, direction));
            store.events(&span, direction, limit).unwrap()
        });
        let numbers: Vec<_> = all.iter().map(|logged| logged.sequence).collect();
        assert_eq!(numbers, (1..=EVENTS).collect::<Vec<_>>(), "pages of {page}");
        let hashes: BTreeSet<_> = all.iter().map(|logged| logged.hash).collect();
        assert_eq!(hashes.len(), all.len());
        let of_device = all_pages(page, |last: Option<&LoggedEvent>, direction, limit| {
            let span = last.map_or(Span::all(), |last| Span::beyond(last.sequence, direction));
            store.device_events("acme", "One", &span, direction, limit).unwrap()
        });
        let expected: Vec<_> = all.into_iter().filter(|logged| matches!(logged.sequence % 4, 0 | 1)).collect();
        assert_eq!(of_device, expected, "pages of {page}");
        assert_eq!(of_device.last().unwrap().certificate.as_ref(), Some(&last.id));
    }
    let within = store.events(&Span { after: Some(62), before: Some(66) }, Direction::Descending, 9).unwrap();
    assert_eq!(within.iter().map(|logged| logged.sequence).collect::<Vec<_>>(), [65, 64, 63]);
    assert!(store.events(&Span { after: Some(EVENTS), before: None }, Direction::Ascending, 9).unwrap().is_empty());
}

macro_rules! contract {
    ($($clause:ident),+ $(,)?) => {
        mod memory {
            $(#[test] fn $clause() { super::$clause(&super::MemoryStore::new()); })+
        }
        #[cfg(feature = "server")]
        mod sled {
            use crate::store::sled::{SledStore, StoreOptions};

            $(#[test] fn $clause() {
                let dir = tempfile::tempdir().unwrap();
                super::$clause(&SledStore::open(dir.path(), StoreOptions::default()).unwrap());
            })+
        }
    };
}

contract!(
    what_is_recorded_is_found_by_every_verb,
    a_repeated_request_gets_its_certificate_within_the_window_only,
    a_dropped_claim_leaves_nothing_and_frees_its_key,
    one_key_claimed_by_many_at_once_gives_one_record,
    nobody_waits_for_a_claim_whose_holder_asks_somebody_else,
    a_key_belongs_to_the_device_it_was_last_certified_for_in_its_tenant,
    the_last_standing_counts_and_those_recorded_together_change_together,
    changes_of_standing_are_listed_by_issuer_in_the_order_in_which_they_were_recorded,
    the_certificates_of_a_device_are_found_durable_or_not,
    what_is_recorded_is_seen_before_it_is_durable,
    the_last_value_of_a_fact_counts_and_one_that_is_forgotten_is_gone,
    facts_are_listed_in_order_page_by_page_and_scope_by_scope,
    facts_change_with_the_certificate_they_belong_to,
    a_fact_that_is_held_is_changed_by_one_at_a_time,
    of_uses_of_a_credential_at_once_as_many_are_recorded_as_it_is_good_for,
    certificates_are_listed_in_the_order_in_which_they_end,
    events_are_listed_in_the_order_in_which_they_were_recorded,
    what_happened_is_counted_by_the_hour_and_what_ends_by_the_day,
);

#[test]
fn what_is_lost_before_it_is_durable_leaves_nothing() {
    let store = MemoryStore::holding_back();
    let one = record(1);
    let claim = granted(&store, &one.request);
    let receipt = store.record_issued(claim, one.clone(), vec![put("a", "1")], issued(&one)).unwrap();
    let changed = change(&store, vec![put("a", "2"), put("b", "2")]);
    let Claim::Recorded { receipt: repeated, .. } = store.claim(&one.request, epoch()).unwrap() else {
        panic!("recorded")
    };
    let revoked = stand(&store, &[1], Some(Revocation { at: epoch(), reason: 1 }));
    assert!(store.events().is_empty());
    store.settle(Err(super::StoreFault::NotDurable(Arc::new(std::io::ErrorKind::StorageFull.into()))));
    assert!(matches!(receipt.wait(), Err(super::StoreFault::NotDurable(_))));
    assert!(matches!(repeated.wait(), Err(super::StoreFault::NotDurable(_))));
    assert!(matches!(changed.wait(), Err(super::StoreFault::NotDurable(_))));
    assert!(matches!(revoked.wait(), Err(super::StoreFault::NotDurable(_))));
    assert_eq!(all_facts(&store, 10), []);
    assert_eq!(store.status(&one.id).unwrap(), CertificateStatus::Unknown);
    assert_eq!(store.key_holder("acme", &one.spki_sha256).unwrap(), None);
    assert_eq!(store.certificate_count().unwrap(), 0);
    assert!(store.events().is_empty());

    let claim = granted(&store, &one.request);
    let receipt = store.record_issued(claim, one.clone(), Vec::new(), issued(&one)).unwrap();
    store.settle(Ok(()));
    receipt.wait().unwrap();
    assert_eq!(store.events(), [issued(&one)]);
}
