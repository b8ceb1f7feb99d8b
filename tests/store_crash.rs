//! What is acknowledged survives: the process killed, the power cut, the disk full or failing.
//!
//! Each test runs this same binary again as the process that dies: see [`dying_process`].

#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "the process that dies tells the one that watches it what was acknowledged")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use estd::audit::{AuditEvent, AuditOutcome};
use estd::est::{Rejection, RejectionCode};
use estd::store::journal::Tail;
use estd::store::sled::{SledStore, StoreOptions, verify};
use estd::store::{
    CertificateId, CertificateRecord, CertificateStatus, CertificateStore, Claim, RequestKey, Revocation,
    StandingChange,
};

/// Set for the process that dies: the data folder.
const DATA: &str = "ESTD_TEST_STORE_DATA";
/// Set for the process that dies: the first serial number it records.
const FIRST_SERIAL: &str = "ESTD_TEST_STORE_FIRST_SERIAL";
/// How often a process is killed, and the power is cut.
const CYCLES: &str = "ESTD_TEST_STORE_CYCLES";
const DEFAULT_CYCLES: u64 = 20;
/// Threads that record in the process that dies.
const WRITERS: u64 = 8;
/// Serial numbers of one life of the process.
const SERIALS_OF_A_LIFE: u64 = 1 << 32;
/// Every so many certificates one is revoked, and a refusal is recorded.
const REVOKED_EVERY: u64 = 10;
const PAGE: usize = 4096;

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    for cycle in 0..cycles() {
        let mut process = Process::start(folder.path(), cycle * SERIALS_OF_A_LIFE, &[]);
        process.live_for(Duration::from_millis(20 + 13 * (cycle % 12)), &mut acknowledged);
        process.kill(&mut acknowledged);
        acknowledged.check(folder.path());
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_is_cut() {
    let Some(disk) = LossyDisk::new() else { return };
    let mut acknowledged = Acknowledged::default();
    let mut random = SplitMix(7);
    for cycle in 0..cycles() {
        disk.everything_is_durable();
        let mut process = Process::start(&disk.data(), cycle * SERIALS_OF_A_LIFE, &disk.environment());
        process.live_for(Duration::from_millis(20 + 13 * (cycle % 12)), &mut acknowledged);
        process.kill(&mut acknowledged);
        disk.cut_the_power(&mut random);
        acknowledged.check(&disk.data());
    }
}

#[test]
fn a_full_or_failing_disk_loses_nothing_keeps_nothing_it_refused_and_heals() {
    let Some(disk) = LossyDisk::new() else { return };
    disk.everything_is_durable();
    let mut acknowledged = Acknowledged::default();
    let mut process = Process::start(&disk.data(), 0, &disk.environment());
    let faults: [&[(&str, &str)]; 5] = [
        &[("fail-write", "/journal")],
        &[("fail-sync", "/journal")],
        &[("fail-write", "/journal"), ("fail-truncate", "/journal")],
        &[("fail-sync", "/journal"), ("fail-truncate", "/journal")],
        // The disk is full for the index, too.
        &[("fail-write", "/")],
    ];
    for fault in faults {
        process.expect(1000, Answer::is_acknowledged, &mut acknowledged);
        fault.iter().for_each(|(call, files)| fs::write(disk.control().join(call), files).unwrap());
        process.expect(200, Answer::is_refused, &mut acknowledged);
        fault.iter().for_each(|(call, _)| fs::remove_file(disk.control().join(call)).unwrap());
    }
    process.expect(1000, Answer::is_acknowledged, &mut acknowledged);
    process.kill(&mut acknowledged);
    acknowledged.check(&disk.data());

    let store = SledStore::open(&disk.data(), StoreOptions::default()).unwrap();
    for serial in &acknowledged.refused {
        assert_eq!(store.status(&id(*serial)).unwrap(), CertificateStatus::Unknown, "{serial} was refused");
    }
}

/// The process that dies. Run as a test of its own it does nothing.
#[test]
#[expect(clippy::disallowed_methods, reason = "this is how the process that dies is told what to do")]
fn dying_process() {
    let Ok(data) = std::env::var(DATA) else { return };
    let first: u64 = std::env::var(FIRST_SERIAL).unwrap().parse().unwrap();
    let options = StoreOptions { checkpoint_every: 500, ..StoreOptions::default() };
    let store = SledStore::open(Path::new(&data), options).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || {
                for serial in (first + writer..).step_by(WRITERS as usize) {
                    println!("{}", Answer::to(serial, issue(store, serial)).line());
                }
            });
        }
    });
}

/// One certificate, as a registration authority records it; some are revoked, some requests are refused.
fn issue(store: &SledStore, serial: u64) -> Result<(), estd::store::StoreFault> {
    let record = record(serial);
    let Claim::Granted(claim) = store.claim(&record.request, DateTime::<Utc>::MIN_UTC)? else {
        panic!("nobody else asks for {serial}")
    };
    let issued = AuditOutcome::Issued { serial: record.id.serial.clone(), repeated: false, generated_key: None };
    store.record_issued(claim, record.clone(), Vec::new(), event(issued))?.wait()?;
    if serial.is_multiple_of(REVOKED_EVERY) {
        store.record_event(event(AuditOutcome::refused(
            &Rejection::new(RejectionCode::WeakKey, "RFC 5280 4.1.2.7", "weak"),
            None,
        )));
        let revoked = AuditOutcome::Revoked { serial: record.id.serial.clone(), reason: 1 };
        // Whether this one lasts does not decide whether the certificate does.
        let change = StandingChange::of(&record, Some(revocation()));
        if let Ok(receipt) = store.change_standing(vec![change], Vec::new(), event(revoked)) {
            let lasts = receipt.wait().is_ok();
            println!("{}", if lasts { Answer::Revoked(serial) } else { Answer::Noise }.line());
        }
    }
    Ok(())
}

/// What the dying process tells of one serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Acknowledged(u64),
    Revoked(u64),
    Refused(u64),
    Noise,
}

impl Answer {
    fn to<T, E>(serial: u64, outcome: Result<T, E>) -> Self {
        outcome.map_or(Self::Refused(serial), |_| Self::Acknowledged(serial))
    }

    fn line(self) -> String {
        match self {
            Self::Acknowledged(serial) => format!("acknowledged {serial}."),
            Self::Revoked(serial) => format!("revoked {serial}."),
            Self::Refused(serial) => format!("refused {serial}."),
            Self::Noise => String::new(),
        }
    }

    /// A line that the process could not finish counts for nothing.
    fn read(line: &str) -> Self {
        let answer = line.strip_suffix('.').and_then(|line| line.split_once(' '));
        match answer.and_then(|(word, serial)| Some((word, serial.parse().ok()?))) {
            Some(("acknowledged", serial)) => Self::Acknowledged(serial),
            Some(("revoked", serial)) => Self::Revoked(serial),
            Some(("refused", serial)) => Self::Refused(serial),
            _ => Self::Noise,
        }
    }

    fn is_acknowledged(&self) -> bool {
        matches!(self, Self::Acknowledged(_))
    }

    fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

/// Everything the processes told.
#[derive(Debug, Default)]
struct Acknowledged {
    certificates: BTreeSet<u64>,
    revoked: BTreeSet<u64>,
    refused: BTreeSet<u64>,
}

impl Acknowledged {
    fn note(&mut self, answer: Answer) {
        match answer {
            Answer::Acknowledged(serial) => assert!(self.certificates.insert(serial), "{serial} was issued twice"),
            Answer::Revoked(serial) => assert!(self.revoked.insert(serial)),
            Answer::Refused(serial) => assert!(self.refused.insert(serial)),
            Answer::Noise => {}
        }
    }

    /// Opens the store the dead process left: the chain is whole and all that was acknowledged is there.
    fn check(&self, data: &Path) {
        let store = SledStore::open(data, StoreOptions::default()).unwrap();
        for serial in &self.certificates {
            let expected = record(*serial);
            assert_eq!(store.certificate(&expected.id).unwrap().as_deref(), Some(&expected));
            assert_eq!(store.key_holder("acme", &expected.spki_sha256).unwrap(), Some(expected.device));
        }
        for serial in &self.revoked {
            assert_eq!(store.status(&id(*serial)).unwrap(), CertificateStatus::Revoked(revocation()));
        }
        let contents = verify(data, &[]).unwrap();
        assert_eq!(contents.tail, Tail::Whole);
        assert_eq!(contents.certificates, store.certificate_count().unwrap());
        assert!(contents.certificates >= self.certificates.len() as u64);
    }
}

/// A run of [`dying_process`].
struct Process {
    child: Child,
    answers: mpsc::Receiver<Answer>,
}

impl Process {
    fn start(data: &Path, first_serial: u64, environment: &[(&str, PathBuf)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "dying_process", "--nocapture"])
            .env(DATA, data)
            .env(FIRST_SERIAL, first_serial.to_string())
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(Answer::read(&line)))
        });
        Self { child, answers }
    }

    /// Lets it work for a while after its first acknowledgement.
    fn live_for(&mut self, time: Duration, acknowledged: &mut Acknowledged) {
        self.expect(1, Answer::is_acknowledged, acknowledged);
        std::thread::sleep(time);
    }

    /// Waits for so many answers of a kind.
    fn expect(&mut self, count: usize, kind: impl Fn(&Answer) -> bool, acknowledged: &mut Acknowledged) {
        let mut seen = 0;
        while seen < count {
            let answer = self.answers.recv_timeout(Duration::from_secs(60)).expect("the process answers");
            seen += usize::from(kind(&answer));
            acknowledged.note(answer);
        }
    }

    fn kill(mut self, acknowledged: &mut Acknowledged) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // What it had told before it died still counts.
        self.answers.iter().for_each(|answer| acknowledged.note(answer));
    }
}

/// A data folder on a disk that keeps what was synced: `tests/fault/lossy_disk.c`.
struct LossyDisk {
    folder: tempfile::TempDir,
}

impl LossyDisk {
    /// Compiles it; `None` where there is no C compiler.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fault/lossy_disk.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(folder.path().join("lossy_disk.so"))
            .arg(source)
            .arg("-ldl")
            .status();
        match compiled {
            Ok(status) => assert!(status.success(), "the disk does not compile"),
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "not run, there is no C compiler: {error}");
                return None;
            }
        }
        let disk = Self { folder };
        [disk.data(), disk.shadow(), disk.control()].iter().for_each(|folder| fs::create_dir(folder).unwrap());
        Some(disk)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn shadow(&self) -> PathBuf {
        self.folder.path().join("shadow")
    }

    fn control(&self) -> PathBuf {
        self.folder.path().join("control")
    }

    fn environment(&self) -> [(&'static str, PathBuf); 4] {
        [
            ("LD_PRELOAD", self.folder.path().join("lossy_disk.so")),
            ("LOSSY_ROOT", self.data()),
            ("LOSSY_SHADOW", self.shadow()),
            ("LOSSY_CONTROL", self.control()),
        ]
    }

    /// What is on the disk now survives the next power cut.
    fn everything_is_durable(&self) {
        fs::remove_dir_all(self.shadow()).unwrap();
        copy_folder(&self.data(), &self.shadow());
    }

    /// Leaves what was synced, and of what was not some pages, as a disk does that writes them back in any order.
    fn cut_the_power(&self, random: &mut SplitMix) {
        for file in files_below(&self.shadow()) {
            let written = self.data().join(file.strip_prefix(self.shadow()).unwrap());
            if let Ok(written) = fs::read(written) {
                mix_pages(&file, &written, random);
            }
        }
        fs::remove_dir_all(self.data()).unwrap();
        copy_folder(&self.shadow(), &self.data());
    }
}

/// Brings some of the pages that differ from `written` into `file`; often those at the end are not there at all.
fn mix_pages(file: &Path, written: &[u8], random: &mut SplitMix) {
    let kept = fs::read(file).unwrap();
    let file = fs::OpenOptions::new().write(true).open(file).unwrap();
    let share = random.below(5);
    for (page, content) in written.chunks(PAGE).enumerate() {
        let at = page * PAGE;
        if kept.get(at..at + content.len()) != Some(content) && random.below(4) < share {
            file.write_all_at(content, at as u64).unwrap();
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in files_below(from) {
        let copy = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// A small generator, so that a failing run can be repeated.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a test runs is for its caller to say")]
fn cycles() -> u64 {
    std::env::var(CYCLES).map_or(DEFAULT_CYCLES, |cycles| cycles.parse().unwrap())
}

fn id(serial: u64) -> CertificateId {
    CertificateId { issuer: [7; 32], serial: serial.to_be_bytes().to_vec() }
}

fn record(serial: u64) -> CertificateRecord {
    let issued_at = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
    // Spread as hashes are.
    let mut random = SplitMix(serial);
    let mut hash = || [(); 4].map(|()| random.below(u64::MAX).to_be_bytes()).concat().try_into().unwrap();
    CertificateRecord {
        id: id(serial),
        request: RequestKey(hash()),
        tenant: "acme".into(),
        label: "devices".into(),
        device: format!("device-{serial}"),
        spki_sha256: hash(),
        renews: None,
        issued_at,
        not_after: issued_at + chrono::TimeDelta::days(398),
        der: serial.to_be_bytes().repeat(90),
        credential: None,
    }
}

fn revocation() -> Revocation {
    Revocation { at: DateTime::from_timestamp(1_790_000_100, 0).unwrap(), reason: 1 }
}

fn event(outcome: AuditOutcome) -> AuditEvent {
    AuditEvent {
        at: DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
        request_id: "0123456789abcdef".into(),
        source: "192.0.2.1".into(),
        tenant: "acme".into(),
        label: "devices".into(),
        operation: "simpleenroll".into(),
        peer: None,
        device: Some("device".into()),
        actor: None,
        credential: None,
        outcome,
    }
}
