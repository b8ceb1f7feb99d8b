//! The store over its files: what opening finds, mends and refuses, and what is written of refusals.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use chrono::TimeDelta;

use super::*;
use crate::est::{Rejection, RejectionCode};
use crate::store::contract::{epoch, event, granted, issued, keep, record, record_id};
use crate::store::event::{EventEntry, OutcomeEntry};
use crate::store::journal::{Head, Tail};
use crate::store::tally::{Day, Ending, Hour};
use crate::store::{Catalogue as _, Direction, FactKind, LoggedStanding, Revocation, Span, Tallies as _};

fn open(folder: &Path) -> SledStore {
    SledStore::open(folder, StoreOptions::default()).unwrap()
}

/// A store of the records 1 to 20, number 3 revoked, and of three facts, of which one was forgotten and one changed.
fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let put = |facts: &[Option<&str>]| {
        let of = |(number, value): (usize, &Option<&str>)| Fact { key: fact(number), value: value.map(Into::into) };
        let facts = facts.iter().enumerate().map(of).collect();
        store.record_facts(facts, event(AuditOutcome::Failed)).unwrap().wait().unwrap();
    };
    put(&[Some("a"), Some("b"), Some("c")]);
    put(&[None, Some("changed")]);
    (1..=20).for_each(|serial| keep(&store, &record(serial)));
    revoke(&store, 3);
    folder
}

fn fact(number: usize) -> FactKey {
    FactKey::new(FactKind::Device, "acme", &number.to_be_bytes())
}

fn revoke(store: &SledStore, serial: u32) {
    let outcome = AuditOutcome::Revoked { serial: record_id(serial).serial, reason: 1 };
    let change = StandingChange::of(&record(serial), Some(revocation()));
    store.change_standing(vec![change], Vec::new(), event(outcome)).unwrap().wait().unwrap();
}

fn revocation() -> Revocation {
    Revocation { at: epoch(), reason: 1 }
}

fn assert_filled(store: &SledStore) {
    for serial in 1..=20 {
        let expected = record(serial);
        assert_eq!(store.certificate(&expected.id).unwrap().as_deref(), Some(&expected));
        assert_eq!(store.key_holder("acme", &expected.spki_sha256).unwrap(), Some(expected.device));
    }
    assert_eq!(store.status(&record_id(3)).unwrap(), CertificateStatus::Revoked(revocation()));
    let logged = store.standings(&[7; 32], 0, 9).unwrap();
    assert_eq!(logged.len(), 1);
    assert_eq!(logged[0].changes[0].revocation, Some(revocation()));
    assert_eq!(store.device_certificates("acme", "Device-4").unwrap()[0].id, record_id(4));
    assert!(matches!(store.claim(&record(4).request, epoch()).unwrap(), Claim::Recorded { .. }));
    assert_eq!(store.certificate_count().unwrap(), 20);
    let facts = store.facts(&FactKey::prefix(FactKind::Device, "acme"), None, 10).unwrap();
    assert_eq!(facts, [(fact(1), b"changed".to_vec()), (fact(2), b"c".to_vec())]);
    assert_eq!(store.certificates("acme", &Span::all(), Direction::Ascending, 99).unwrap().len(), 20);
    let numbers: Vec<_> =
        store.events(&Span::all(), Direction::Descending, 99).unwrap().into_iter().map(|e| e.sequence).collect();
    let hour = Hour::of(epoch());
    let tallies = store.tallies("acme", hour..Hour(hour.0 + 1)).unwrap();
    let issued = tallies.iter().filter(|tally| tally.subject.kind == "issued").map(|tally| tally.count);
    assert_eq!(issued.collect::<Vec<_>>(), [20]);
    let day = Day::of(record(1).not_after);
    assert_eq!(store.endings("acme", day..Day(day.0 + 1)).unwrap(), [Ending { day, certificates: 20 }]);
    assert!(numbers.len() > 20 && numbers.iter().copied().eq((1..=numbers.len() as u64).rev()), "{numbers:?}");
}

/// A copy of the files as they are at this moment: what a killed process leaves.
fn copied(folder: &Path) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let copied = to.join(path.file_name().unwrap());
            if path.is_dir() { copy(&path, &copied) } else { fs::copy(&path, copied).map(|_| ()).unwrap() }
        }
    }
    let copied = tempfile::tempdir().unwrap();
    copy(folder, copied.path());
    copied
}

/// The audit events of a journal, with the suppressed counts.
fn events(folder: &Path) -> Vec<(String, u64)> {
    let mut events = Vec::new();
    let name = |event: &EventEntry<'_>| match &event.outcome {
        OutcomeEntry::Issued { repeated, .. } => format!("issued repeated={repeated}"),
        OutcomeEntry::Refused { code, reason, .. } => format!("{code} {reason}"),
        OutcomeEntry::Failed => "failed".into(),
        OutcomeEntry::Revoked { reason, .. } => format!("revoked {reason}"),
        OutcomeEntry::RevokedTogether { serials, reason } => format!("revoked {} {reason}", serials.len()),
        OutcomeEntry::Released { .. } => "released".into(),
        OutcomeEntry::Deferred => "deferred".into(),
        OutcomeEntry::Changed { what } => format!("changed {what}"),
        OutcomeEntry::Alarm { code, .. } => format!("alarm {code}"),
    };
    let journal = JournalReader::open(folder).unwrap();
    journal
        .scan(Head::genesis(), 0, |frame| {
            let entry = frame.entry()?;
            let (Entry::Issued { suppressed, .. }
            | Entry::Revoked { suppressed, .. }
            | Entry::Facts { suppressed, .. }
            | Entry::Standing { suppressed, .. }
            | Entry::Event { suppressed, .. }) = entry;
            events.push((name(entry.event()), suppressed));
            Ok::<_, JournalError>(())
        })
        .unwrap();
    events
}

fn refusal(reason: &str) -> AuditEvent {
    event(AuditOutcome::refused(&Rejection::new(RejectionCode::WeakKey, "RFC 5280 4.1.2.7", reason.to_owned()), None))
}

#[test]
fn a_store_closed_well_opens_without_replay() {
    let folder = filled();
    let store = open(folder.path());
    assert_eq!(store.recovery(), Recovery { rebuilt: false, replayed: 0, tail: Tail::Whole });
    assert_filled(&store);
}

#[test]
fn a_store_that_was_killed_replays_what_was_not_synced() {
    let folder = filled();
    let store = open(folder.path());
    keep(&store, &record(21));
    let left = copied(folder.path());
    let store = open(left.path());
    assert_eq!(store.recovery(), Recovery { rebuilt: false, replayed: 1, tail: Tail::Whole });
    assert_eq!(store.certificate(&record_id(21)).unwrap().as_deref(), Some(&record(21)));
    assert_eq!(store.certificate_count().unwrap(), 21);
    let day = Day::of(record(1).not_after);
    assert_eq!(store.endings("acme", day..Day(day.0 + 1)).unwrap(), [Ending { day, certificates: 21 }]);
}

/// Records that are in the tree already are applied again when the checkpoint is older, and counted once.
#[test]
fn what_is_replayed_is_not_counted_twice() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    (1..=5).for_each(|serial| keep(&store, &record(serial)));
    drop(store);
    let early = copied(folder.path());
    let store = open(folder.path());
    (6..=20).for_each(|serial| keep(&store, &record(serial)));
    drop(store);
    let checkpoint = Path::new("index/checkpoint");
    fs::copy(early.path().join(checkpoint), folder.path().join(checkpoint)).unwrap();
    let store = open(folder.path());
    assert_eq!(store.recovery(), Recovery { rebuilt: false, replayed: 15, tail: Tail::Whole });
    let (hour, day) = (Hour::of(epoch()), Day::of(record(1).not_after));
    let tallies = store.tallies("acme", hour..Hour(hour.0 + 1)).unwrap();
    assert_eq!(tallies.iter().map(|tally| tally.count).collect::<Vec<_>>(), [20]);
    assert_eq!(store.endings("acme", day..Day(day.0 + 1)).unwrap(), [Ending { day, certificates: 20 }]);
}

#[test]
fn an_index_that_is_missing_damaged_or_older_is_made_anew() {
    let older = filled();
    let folder = filled();
    let store = open(folder.path());
    keep(&store, &record(21));
    drop(store);
    let spoil: [fn(&Path, &Path); 5] = [
        |index, _| fs::remove_dir_all(index).unwrap(),
        |index, _| fs::remove_dir_all(index.join("sled")).unwrap(),
        |index, _| fs::remove_file(index.join("checkpoint")).unwrap(),
        |index, _| fs::write(index.join("sled/db"), [0xa5; 1 << 16]).unwrap(),
        // The tree of a backup under the checkpoint of today.
        |index, older| {
            fs::remove_dir_all(index.join("sled")).unwrap();
            fs::rename(copied(&older.join("index/sled")).keep(), index.join("sled")).unwrap();
        },
    ];
    for spoil in spoil {
        let spoilt = copied(folder.path());
        spoil(&spoilt.path().join("index"), older.path());
        let store = open(spoilt.path());
        assert_eq!(store.recovery(), Recovery { rebuilt: true, replayed: 24, tail: Tail::Whole });
        assert_eq!(store.certificate(&record_id(21)).unwrap().as_deref(), Some(&record(21)));
        assert_eq!(store.certificate_count().unwrap(), 21);
    }
}

#[test]
fn a_journal_without_what_was_acknowledged_is_refused_until_an_operator_takes_it() {
    let folder = filled();
    let backup = copied(folder.path());
    let store = open(folder.path());
    keep(&store, &record(21));
    drop(store);
    let journal = folder.path().join("journal");
    let whole = fs::read(&journal).unwrap();
    fs::copy(backup.path().join("journal"), &journal).unwrap();
    let lost = |error: &JournalError| matches!(error, JournalError::Lost { found: 23, known: 24, .. });
    // The mark tells, and without it the index does.
    assert!(verify(folder.path(), &[]).is_err_and(|error| lost(&error)));
    assert!(matches!(rebuild(folder.path(), false), Err(OpenError::Journal(error)) if lost(&error)));
    let unmarked = copied(folder.path());
    fs::remove_file(unmarked.path().join("journal.head")).unwrap();
    for folder in [&folder, &unmarked] {
        let opened = SledStore::open(folder.path(), StoreOptions::default());
        assert!(matches!(opened, Err(OpenError::Journal(error)) if lost(&error)));
    }
    fs::write(&journal, &whole).unwrap();
    assert!(open(folder.path()).certificate(&record_id(21)).unwrap().is_some(), "the right one is welcome");

    fs::copy(backup.path().join("journal"), &journal).unwrap();
    rebuild(folder.path(), true).unwrap();
    let store = open(folder.path());
    assert_filled(&store);
    assert_eq!(store.certificate(&record_id(21)).unwrap(), None);
}

#[test]
fn a_journal_is_held_against_a_head_that_was_written_down() {
    let folder = filled();
    let head = verify(folder.path(), &[]).unwrap().head;
    assert!(verify(folder.path(), &[(head.sequence, head.hash), (head.sequence, head.hash)]).is_ok());
    for noted in [(head.sequence, [0; 32]), (head.sequence + 1, head.hash)] {
        assert!(matches!(verify(folder.path(), &[(head.sequence, head.hash), noted]), Err(JournalError::Lost { .. })));
    }
}

#[test]
fn a_record_that_was_changed_is_not_read_back() {
    let folder = filled();
    let store = open(folder.path());
    let content = fs::read(folder.path().join("journal")).unwrap();
    let at = content.windows(16).position(|part| *part == record(7).der[..16]).unwrap();
    let journal = OpenOptions::new().write(true).open(folder.path().join("journal")).unwrap();
    journal.write_all_at(&[content[at + 2] ^ 1], at as u64 + 2).unwrap();
    assert!(matches!(store.certificate(&record_id(7)), Err(StoreFault::Corrupt(_))));
    assert!(store.certificate(&record_id(8)).unwrap().is_some());
}

#[test]
fn the_last_record_is_not_cut_when_the_index_proves_it_was_durable() {
    let folder = filled();
    let journal = OpenOptions::new().write(true).open(folder.path().join("journal")).unwrap();
    journal.write_all_at(&[0xff], journal.metadata().unwrap().len() - 1).unwrap();
    let opened = SledStore::open(folder.path(), StoreOptions::default());
    assert!(matches!(opened, Err(OpenError::Journal(JournalError::Damaged { damage, .. })) if damage.sequence == 23));
}

#[test]
fn a_journal_is_verified_and_its_index_rebuilt_from_the_command_line() {
    let folder = filled();
    let contents = verify(folder.path(), &[]).unwrap();
    assert_eq!((contents.certificates, contents.revocations, contents.changes), (20, 1, 2));
    assert_eq!((contents.events, contents.unknown), (0, 0));
    assert_eq!((contents.head.sequence, contents.tail), (23, Tail::Whole));
    let store = open(folder.path());
    assert!(matches!(rebuild(folder.path(), false), Err(OpenError::Journal(JournalError::Locked { .. }))));
    drop(store);
    assert_eq!(rebuild(folder.path(), false).unwrap(), Recovery { rebuilt: true, replayed: 23, tail: Tail::Whole });
    assert_filled(&open(folder.path()));

    let journal = OpenOptions::new().write(true).open(folder.path().join("journal")).unwrap();
    journal.write_all_at(b"x", 1000).unwrap();
    assert!(matches!(verify(folder.path(), &[]), Err(JournalError::Damaged { .. })));
}

#[test]
fn a_record_of_a_later_version_verifies_but_does_not_replay() {
    let folder = filled();
    let mut journal = Journal::open(folder.path()).unwrap();
    journal.recover(Head::genesis(), 0, |_| Ok::<_, JournalError>(())).unwrap();
    // [9, []]: a kind that does not exist.
    journal.append([&[0x82, 0x09, 0x80][..]]).unwrap();
    drop(journal);
    assert_eq!(verify(folder.path(), &[]).unwrap().unknown, 1);
    let opened = SledStore::open(folder.path(), StoreOptions::default());
    assert!(matches!(opened, Err(OpenError::Journal(JournalError::UnknownRecord { sequence: 24, .. }))));
}

/// A revocation as versions wrote it that knew no other standing.
#[test]
fn a_revocation_of_an_earlier_version_counts() {
    let folder = filled();
    let mut journal = Journal::open(folder.path()).unwrap();
    journal.recover(Head::genesis(), 0, |_| Ok::<_, JournalError>(())).unwrap();
    let (id, revoked) = (record_id(5), AuditOutcome::Revoked { serial: record_id(5).serial, reason: 1 });
    let written = event(revoked);
    let entry = Entry::Revoked {
        id: id.clone(),
        revocation: revocation(),
        event: (&written).into(),
        suppressed: 0,
        facts: Cow::default(),
    };
    journal.append([&entry.encode()[..]]).unwrap();
    drop(journal);
    let store = open(folder.path());
    assert_eq!(store.status(&id).unwrap(), CertificateStatus::Revoked(revocation()));
    let logged = store.standings(&[7; 32], 23, 9).unwrap();
    let change = StandingChange { id, revocation: Some(revocation()), not_after: None };
    assert_eq!(logged, [LoggedStanding { sequence: 24, changes: vec![change] }]);
}

#[test]
fn a_full_queue_refuses_at_once_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path(), StoreOptions { queue: 0, ..StoreOptions::default() }).unwrap();
    let one = record(1);
    let refused = store.record_issued(granted(&store, &one.request), one.clone(), Vec::new(), issued(&one));
    assert!(matches!(refused, Err(StoreFault::Overloaded { waiting: 0 })));
    assert_eq!(store.status(&one.id).unwrap(), CertificateStatus::Unknown);
    assert_eq!(store.certificate_count().unwrap(), 0);
    drop(granted(&store, &one.request));
    store.close();
    let refused = store.record_issued(granted(&store, &one.request), one.clone(), Vec::new(), issued(&one));
    assert!(matches!(refused, Err(StoreFault::Closed)));
}

#[test]
fn a_record_above_the_limit_is_refused_and_one_at_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let overhead = Entry::Issued {
        record: Cow::Owned(record(1)),
        event: (&issued(&record(1))).into(),
        suppressed: 0,
        facts: Cow::default(),
    }
    .encode()
    .len()
        - record(1).der.len();
    // The length of the DER takes two octets more than in the small record.
    let largest = MAX_PAYLOAD_OCTETS - overhead - 2;
    let of = |octets| CertificateRecord { der: vec![1; octets], ..record(1) };
    let claim = granted(&store, &record(1).request);
    let refused = store.record_issued(claim, of(largest + 1), Vec::new(), issued(&record(1)));
    assert!(matches!(refused, Err(StoreFault::NotDurable(_))));
    keep(&store, &of(largest));
    assert_eq!(store.certificate(&record_id(1)).unwrap().as_deref(), Some(&of(largest)));
}

#[test]
fn refusals_are_limited_and_what_is_not_written_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { audit_refusals_per_second: 3, ..StoreOptions::default() };
    let store = SledStore::open(folder.path(), options).unwrap();
    (0..10).for_each(|_| store.record_event(refusal("RSA of 1024 bits")));
    store.record_event(event(AuditOutcome::Failed));
    keep(&store, &record(1));
    let later = AuditEvent { at: epoch() + TimeDelta::seconds(1), ..refusal("later") };
    store.record_event(later);
    drop(store);
    let weak = ("weak_key RSA of 1024 bits".to_owned(), 0);
    let expected = [
        weak.clone(),
        weak.clone(),
        weak,
        ("failed".to_owned(), 7),
        ("issued repeated=false".to_owned(), 0),
        ("weak_key later".to_owned(), 0),
    ];
    assert_eq!(events(folder.path()), expected);
    assert_eq!(verify(folder.path(), &[]).unwrap().suppressed, 7);
}
