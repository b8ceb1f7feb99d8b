//! The journal under damage: what is a torn write, and what is not.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::frame::FRAME_HEADER_OCTETS;
use super::{Damage, DamageKind, Frame, Head, Journal, JournalError, JournalReader, Tail};

/// A journal of three writes, of 3, 1 and 3 frames.
struct Sample {
    folder: TempDir,
    heads: Vec<Head>,
    payloads: Vec<Vec<u8>>,
}

const WRITES: [usize; 3] = [3, 1, 3];

impl Sample {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let payloads: Vec<Vec<u8>> = (0..7_u8).map(|number| vec![number; 100 + 7 * usize::from(number)]).collect();
        let mut journal = Journal::open(folder.path()).unwrap();
        assert_eq!(journal.recover(Head::genesis(), 0, |_| Ok::<_, JournalError>(())).unwrap(), Tail::Whole);
        let mut left = &payloads[..];
        for write in WRITES {
            let (now, later) = left.split_at(write);
            let places = journal.append(now.iter().map(Vec::as_slice)).unwrap();
            for (payload, place) in now.iter().zip(places) {
                assert_eq!(journal.reader().payload(place).unwrap().0, *payload);
            }
            left = later;
        }
        drop(journal);
        // The mark is not synced: a power cut may take it.
        fs::remove_file(folder.path().join("journal.head")).unwrap();
        let mut heads = Vec::new();
        let reader = JournalReader::open(folder.path()).unwrap();
        let note = |frame: Frame<'_>| {
            heads.push(frame.head);
            Ok::<_, JournalError>(())
        };
        reader.scan(Head::genesis(), 0, note).unwrap();
        Self { folder, heads, payloads }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    /// Opens the journal for appending; the payloads that are left, and what stood at the end.
    fn recover(&self, from: Head, durable_to: u64) -> Result<(Vec<Vec<u8>>, Tail), JournalError> {
        let mut payloads = Vec::new();
        let mut journal = Journal::open(self.folder.path())?;
        journal.accept_loss()?;
        let tail = journal.recover(from, durable_to, |frame| {
            payloads.push(frame.payload.to_vec());
            Ok::<_, JournalError>(())
        })?;
        Ok((payloads, tail))
    }

    fn damage(&self, durable_to: u64) -> Damage {
        match self.recover(Head::genesis(), durable_to) {
            Err(JournalError::Damaged { damage, .. }) => damage,
            other => panic!("no damage seen: {other:?}"),
        }
    }

    fn overwrite(&self, offset: u64, octets: &[u8]) {
        OpenOptions::new().write(true).open(self.path()).unwrap().write_all_at(octets, offset).unwrap();
    }

    fn flip(&self, offset: u64) {
        let octet = fs::read(self.path()).unwrap()[offset as usize];
        self.overwrite(offset, &[octet ^ 0x10]);
    }
}

#[test]
fn frames_are_numbered_chained_and_found_again() {
    let sample = Sample::new();
    assert_eq!(sample.heads.iter().map(|head| head.sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(sample.recover(Head::genesis(), 0).unwrap(), (sample.payloads.clone(), Tail::Whole));
    assert_eq!(sample.recover(sample.heads[4], 0).unwrap().0, sample.payloads[5..]);
    let reader = JournalReader::open(sample.folder.path()).unwrap();
    assert!(sample.heads.iter().all(|head| reader.holds(head).unwrap()));
    assert!(!reader.holds(&Head { hash: [0; 32], ..sample.heads[3] }).unwrap());
    assert!(!reader.holds(&Head { start: sample.heads[3].start + 1, ..sample.heads[3] }).unwrap());
}

#[test]
fn a_write_cut_short_anywhere_is_cut_and_writing_goes_on() {
    let whole = Sample::new();
    let content = fs::read(whole.path()).unwrap();
    // Every third octet, and those around the ends of frames: each costs a few syncs.
    let ends = whole.heads.iter().flat_map(|head| [head.start + 1, head.end - 1, head.end]);
    for length in (0..content.len() as u64).step_by(3).chain(ends) {
        let sample = Sample { folder: tempfile::tempdir().unwrap(), heads: Vec::new(), payloads: Vec::new() };
        fs::write(sample.path(), &content[..length as usize]).unwrap();
        let left = whole.heads.iter().filter(|head| head.end <= length).count();
        let (payloads, tail) = sample.recover(Head::genesis(), 0).unwrap();
        assert_eq!(payloads, whole.payloads[..left]);
        let end = left.checked_sub(1).map_or(Head::genesis().end, |last| whole.heads[last].end);
        let torn = length.saturating_sub(end);
        assert_eq!(tail, if torn == 0 { Tail::Whole } else { Tail::Torn { octets: torn } });

        let mut journal = Journal::open(sample.folder.path()).unwrap();
        journal.recover(Head::genesis(), 0, |_| Ok::<_, JournalError>(())).unwrap();
        journal.append([&b"next"[..]]).unwrap();
        drop(journal);
        assert_eq!(sample.recover(Head::genesis(), 0).unwrap().0.last().unwrap(), b"next");
    }
}

#[test]
fn a_hole_in_the_last_write_is_a_torn_write_although_whole_frames_follow() {
    let sample = Sample::new();
    let (hole, behind) = (sample.heads[4], sample.heads[5]);
    sample.overwrite(hole.start, &vec![0; (hole.end - hole.start) as usize]);
    let (payloads, tail) = sample.recover(Head::genesis(), 0).unwrap();
    assert_eq!(payloads, sample.payloads[..4]);
    assert!(matches!(tail, Tail::Torn { octets } if octets > behind.end - behind.start));
}

#[test]
fn damage_before_the_last_write_is_never_cut() {
    for frame in 0..4 {
        let whole = Sample::new();
        for offset in (whole.heads[frame].start..whole.heads[frame].end).step_by(13) {
            let sample = Sample::new();
            sample.flip(offset);
            let before = fs::read(sample.path()).unwrap();
            let damage = sample.damage(0);
            assert_eq!((damage.offset, damage.sequence), (whole.heads[frame].start, frame as u64 + 1));
            assert_eq!(fs::read(sample.path()).unwrap(), before);
        }
    }
}

#[test]
fn damage_in_what_is_known_to_have_been_durable_is_never_cut() {
    let sample = Sample::new();
    let last = sample.heads[6];
    sample.flip(last.end - 1);
    let damage = sample.damage(last.end);
    assert_eq!(damage, Damage { offset: last.start, sequence: 7, kind: DamageKind::Checksum });
    assert!(sample.recover(Head::genesis(), last.start).is_ok());
}

#[test]
fn a_journal_is_held_against_its_mark() {
    let sample = Sample::new();
    let open = || {
        let mut journal = Journal::open(sample.folder.path()).unwrap();
        journal.recover(Head::genesis(), 0, |_| Ok::<_, JournalError>(())).map(|_| journal)
    };
    drop(open().unwrap());
    let (whole, last) = (fs::read(sample.path()).unwrap(), sample.heads[6]);
    // Without its last record, with the last one damaged, or with another one in its place.
    fs::write(sample.path(), &whole[..last.start as usize]).unwrap();
    assert!(matches!(open(), Err(JournalError::Lost { found: 6, known: 7, .. })));
    fs::write(sample.path(), &whole[..last.end as usize - 1]).unwrap();
    assert!(matches!(open(), Err(JournalError::Lost { found: 6, known: 7, .. })));
    fs::write(sample.path(), &whole).unwrap();
    sample.flip(last.end - 1);
    assert!(matches!(open(), Err(JournalError::Damaged { damage: Damage { sequence: 7, .. }, .. })));
    fs::write(sample.path(), &whole[..last.start as usize]).unwrap();
    let mut journal = Journal::open(sample.folder.path()).unwrap();
    journal.accept_loss().unwrap();
    journal.recover(Head::genesis(), 0, |_| Ok::<_, JournalError>(())).unwrap();
    journal.append([&b"another"[..]]).unwrap();
    drop(journal);
    drop(open().unwrap());
    // The mark is of the journal with the other record.
    fs::write(sample.path(), &whole).unwrap();
    assert!(matches!(open(), Err(JournalError::Lost { found: 7, known: 7, .. })));
    // A mark that a power cut left half written proves nothing.
    let mark = sample.folder.path().join("journal.head");
    let noted = fs::read(&mark).unwrap();
    fs::write(&mark, &noted[..noted.len() - 1]).unwrap();
    assert!(open().is_ok());
}

#[test]
fn a_frame_taken_out_put_in_or_moved_breaks_the_chain() {
    let sample = Sample::new();
    let content = fs::read(sample.path()).unwrap();
    let part = |from: Head, to: Head| &content[from.start as usize..to.end as usize];
    let heads = &sample.heads;
    let before = &content[..heads[4].start as usize];
    for forged in [
        [before, part(heads[5], heads[6])].concat(),
        [before, part(heads[3], heads[3]), part(heads[4], heads[6])].concat(),
        [before, part(heads[5], heads[5]), part(heads[4], heads[4]), part(heads[6], heads[6])].concat(),
    ] {
        fs::write(sample.path(), forged).unwrap();
        let damage = sample.damage(0);
        assert_eq!(damage, Damage { offset: heads[4].start, sequence: 5, kind: DamageKind::Chain });
    }
}

#[test]
fn a_length_from_damage_is_not_believed() {
    let sample = Sample::new();
    sample.overwrite(sample.heads[1].start + 4, &u32::MAX.to_be_bytes());
    assert_eq!(sample.damage(0).kind, DamageKind::Header);
    sample.overwrite(sample.heads[1].start + 4, &(1_u32 << 20).to_be_bytes());
    assert_eq!(sample.damage(0).kind, DamageKind::Short);
    assert!(sample.payloads.iter().all(|payload| payload.len() > FRAME_HEADER_OCTETS));
}

#[test]
fn one_process_appends_and_others_may_read() {
    let sample = Sample::new();
    let journal = Journal::open(sample.folder.path()).unwrap();
    assert!(matches!(Journal::open(sample.folder.path()), Err(JournalError::Locked { .. })));
    assert!(JournalReader::open(sample.folder.path()).is_ok());
    drop(journal);
    assert!(Journal::open(sample.folder.path()).is_ok());
}

#[test]
fn only_a_journal_of_this_version_is_opened() {
    let open = |content: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("journal"), content).unwrap();
        let outcome = Journal::open(folder.path()).map(|_| ());
        assert!(outcome.is_ok() || fs::read(folder.path().join("journal")).unwrap() == content);
        outcome
    };
    assert!(matches!(open(b"a note"), Err(JournalError::NotAJournal { .. })));
    assert!(matches!(open(b"a much longer note of somebody"), Err(JournalError::NotAJournal { .. })));
    let later = open(b"estd-journal\0\0\x01\x02");
    assert!(matches!(later, Err(JournalError::Version { found: 258, known: 1, .. })));
    // A power cut while it was created.
    assert!(open(b"estd-jou").is_ok());
    assert!(open(&[0; 9]).is_ok());
    assert!(open(b"").is_ok());
}

#[test]
fn nobody_else_reads_who_enrolled() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("of/acme");
    drop(Journal::open(&data).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&data), mode(&data.join("journal"))), (0o700, 0o600));
}
