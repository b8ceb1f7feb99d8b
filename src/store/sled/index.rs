//! The index over the journal: one sled tree that may be deleted at any time and is made anew from the journal.
//!
//! sled's `flush` does not reach the disk, so nothing here is relied on after a power cut: a checkpoint, kept in a file
//! of its own, says up to where the tree was synced for real, and the journal is replayed from there.

use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use minicbor::{Decode, Encode};
use sled::{Db, IVec};

use super::key::{
    Key, decode_place, device_certificates_prefix, encode_place, expiry_place, expiry_prefix, is_milestone,
    standings_prefix,
};
use super::tallies::{self, Additions, HeldCounts};
use crate::durable_file;
use crate::pki::digest::sha256;
use crate::store::fact::encoded;
use crate::store::journal::{Entry, Head, JournalReader, Place};
use crate::store::pending::Durable;
use crate::store::{
    CertificateId, CertificateRecord, Direction, ExpiryPlace, Fact, FactKey, RequestKey, Revocation, StandingChange,
    StoreFault,
};

/// Name of the index's folder within the data folder.
const FOLDER: &str = "index";
const TREE: &str = "sled";
const CHECKPOINT: &str = "checkpoint";
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// sled lets go of its file some time after it was closed: so often, and so long between, is it asked again.
const OPEN_ATTEMPTS: u32 = 50;
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// The index could not be opened, read or written: it is to be opened anew, or rebuilt.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IndexError {
    /// sled says so.
    #[error(transparent)]
    Sled(#[from] sled::Error),
    /// The file system says so.
    #[error(transparent)]
    Io(Arc<io::Error>),
    /// sled panicked, as it does on some damage to its files.
    #[error("sled panicked")]
    Panicked,
    /// It failed before and was not opened since.
    #[error("the index is being recovered")]
    Down,
}

/// How far the index has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) struct Progress {
    /// The last frame that is in it.
    #[n(0)]
    pub(super) head: Head,
    /// Certificates in the journal up to there.
    #[n(1)]
    pub(super) certificates: u64,
    /// What the tree holds: one of another kind is made anew.
    #[n(2)]
    #[cbor(default)]
    kind: u32,
}

/// Raised whenever the keys or values of the tree change.
const KIND: u32 = 3;

impl Progress {
    /// An empty index.
    pub(super) fn none() -> Self {
        Self { head: Head::genesis(), certificates: 0, kind: KIND }
    }

    /// The index after a journal's `head`, with so many certificates more.
    pub(super) fn advanced(&self, head: Head, certificates: u64) -> Self {
        Self { head, certificates: self.certificates + certificates, kind: KIND }
    }
}

/// The index, open or down.
#[derive(Debug)]
pub(super) struct Index {
    folder: PathBuf,
    cache_octets: u64,
    pub(super) journal: JournalReader,
    tree: RwLock<Option<Db>>,
    pub(super) counts: HeldCounts,
}

impl Index {
    /// The index of a data folder over its journal; down until [`open`](Self::open)ed.
    pub(super) fn of(directory: &Path, cache_octets: u64, journal: JournalReader) -> Self {
        let folder = directory.join(FOLDER);
        Self { folder, cache_octets, journal, tree: RwLock::new(None), counts: HeldCounts::default() }
    }

    /// Opens what is there, or an empty tree.
    pub(super) fn open(&self) -> Result<(), IndexError> {
        self.close();
        durable_file::folder(&self.folder, FOLDER_MODE)?;
        let config = sled::Config::new()
            .path(self.folder.join(TREE))
            .cache_capacity(self.cache_octets)
            // Durability comes from checkpoints: a background flush would only cost.
            .flush_every_ms(None);
        let mut attempts = 0;
        let tree = loop {
            match guarded(|| config.open()) {
                Err(IndexError::Sled(sled::Error::Io(error)))
                    if error.kind() == io::ErrorKind::Other && attempts < OPEN_ATTEMPTS =>
                {
                    attempts += 1;
                    std::thread::sleep(OPEN_PAUSE);
                }
                opened => break opened?,
            }
        };
        *self.tree.write().unwrap_or_else(PoisonError::into_inner) = Some(tree);
        Ok(())
    }

    /// Closes it: every lookup fails until it is opened again.
    pub(super) fn close(&self) {
        let tree = self.tree.write().unwrap_or_else(PoisonError::into_inner).take();
        // What sled does when it is dropped after a failure must not end this thread.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(tree)));
        self.counts.forget();
    }

    /// Deletes it and opens an empty one.
    pub(super) fn recreate(&self) -> Result<(), IndexError> {
        self.close();
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => self.open(),
        }
    }

    /// How far the tree says it has come; `None` when it is empty.
    pub(super) fn progress(&self) -> Result<Option<Progress>, IndexError> {
        let marker = self.get(&Key::Marker)?;
        Ok(marker
            .and_then(|marker| minicbor::decode::<Progress>(&marker).ok())
            .filter(|progress| progress.kind == KIND))
    }

    /// How far the tree was synced for real; `None` when it never was.
    pub(super) fn checkpoint(&self) -> Option<Progress> {
        let written = fs::read(self.folder.join(CHECKPOINT)).ok()?;
        let (hash, progress) = written.split_first_chunk::<32>()?;
        (*hash == sha256(&[progress])).then(|| minicbor::decode(progress).ok()).flatten()
    }

    /// Syncs the tree for real, then says so.
    pub(super) fn sync(&self, progress: &Progress) -> Result<(), IndexError> {
        self.with(|tree| self.counts.write(tree).and_then(|()| tree.flush()))?;
        let tree = self.folder.join(TREE);
        for file in fs::read_dir(&tree)? {
            let path = file?.path();
            File::open(path)?.sync_all()?;
        }
        durable_file::sync_folder(&tree)?;

        let progress = encoded(progress);
        let content = [&sha256(&[&progress])[..], &progress].concat();
        Ok(durable_file::replace(&self.folder.join(CHECKPOINT), FILE_MODE, &content)?)
    }

    /// Applies changes, then says how far they bring the index.
    ///
    /// One by one: sled's batches cost two writes and the waking of all its threads each. Nothing needs them: sled's log
    /// keeps the order, so whoever finds the marker finds what came before it, and what is found without it is replayed.
    pub(super) fn apply(&self, changes: Changes, progress: &Progress) -> Result<(), IndexError> {
        self.with(|tree| {
            for (key, value) in changes.inserts {
                match value {
                    Some(value) => tree.insert(key, value)?,
                    None => tree.remove(key)?,
                };
            }
            self.counts.add(tree, changes.counts)?;
            tree.insert(Key::Marker.octets(), encoded(progress)).map(drop)
        })
    }

    pub(super) fn get(&self, key: &Key<'_>) -> Result<Option<IVec>, IndexError> {
        self.with(|tree| tree.get(key.octets()))
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&Db) -> sled::Result<T>) -> Result<T, IndexError> {
        let tree = self.tree.read().unwrap_or_else(PoisonError::into_inner);
        let tree = tree.as_ref().ok_or(IndexError::Down)?;
        guarded(|| work(tree))
    }

    fn record(&self, key: &Key<'_>) -> Result<Option<Arc<CertificateRecord>>, StoreFault> {
        let Some(place) = self.get(key)? else { return Ok(None) };
        self.record_at(&place).map(Some)
    }

    /// The certificate of the record at a place.
    pub(super) fn record_at(&self, place: &[u8]) -> Result<Arc<CertificateRecord>, StoreFault> {
        let (payload, _) = self.payload_at(place)?;
        match Entry::decode(&payload).map_err(corrupt)? {
            Entry::Issued { record, .. } => Ok(Arc::new(record.into_owned())),
            Entry::Revoked { .. } | Entry::Standing { .. } | Entry::Facts { .. } | Entry::Event { .. } => {
                Err(corrupt("no certificate at its place in the journal"))
            }
        }
    }

    /// The record at a place, and its hash.
    pub(super) fn payload_at(&self, place: &[u8]) -> Result<(Vec<u8>, [u8; 32]), StoreFault> {
        let place = decode_place(place).ok_or_else(|| corrupt("no place in the journal"))?;
        self.journal.payload(place).map_err(corrupt)
    }

    /// The rows of a range of keys that begin with `under`, the first `limit` in a direction.
    pub(super) fn rows(
        &self,
        under: &[u8],
        (from, to): (Bound<Vec<u8>>, Bound<Vec<u8>>),
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(IVec, IVec)>, IndexError> {
        self.with(|tree| {
            let rows = tree.range::<Vec<u8>, _>((from, to));
            let within =
                |row: &sled::Result<(IVec, IVec)>| row.as_ref().map_or(true, |(key, _)| key.starts_with(under));
            match direction {
                Direction::Ascending => rows.take_while(within).take(limit).collect(),
                Direction::Descending => rows.rev().take_while(within).take(limit).collect(),
            }
        })
    }
}

/// What is kept does not hold together.
pub(super) fn corrupt(what: impl ToString) -> StoreFault {
    StoreFault::Corrupt(what.to_string())
}

impl Durable for Index {
    fn answer(&self, request: &RequestKey) -> Result<Option<Arc<CertificateRecord>>, StoreFault> {
        self.record(&Key::Request(request))
    }

    fn certificate(&self, id: &CertificateId) -> Result<Option<Arc<CertificateRecord>>, StoreFault> {
        self.record(&Key::Certificate(id))
    }

    fn revocation(&self, id: &CertificateId) -> Result<Option<Revocation>, StoreFault> {
        let Some(revocation) = self.get(&Key::Revocation(id))? else { return Ok(None) };
        minicbor::decode(&revocation).map(Some).map_err(|error| StoreFault::Corrupt(error.to_string()))
    }

    fn device_certificates(&self, tenant: &str, device: &str) -> Result<Vec<Arc<CertificateRecord>>, StoreFault> {
        let under = device_certificates_prefix(tenant, device);
        let all = (Bound::Included(under.clone()), Bound::Unbounded);
        let rows = self.rows(&under, all, Direction::Ascending, usize::MAX)?;
        rows.iter().map(|(_, place)| self.record_at(place)).collect()
    }

    fn key_holder(&self, tenant: &str, spki_sha256: &[u8; 32]) -> Result<Option<String>, StoreFault> {
        let Some(device) = self.get(&Key::Holder(spki_sha256, tenant))? else { return Ok(None) };
        let device = std::str::from_utf8(&device).map_err(|error| StoreFault::Corrupt(error.to_string()))?;
        Ok(Some(device.to_owned()))
    }

    fn fact(&self, key: &FactKey) -> Result<Option<Vec<u8>>, StoreFault> {
        Ok(self.get(&Key::Fact(key))?.map(|value| value.to_vec()))
    }

    fn facts(
        &self,
        prefix: &FactKey,
        after: Option<&FactKey>,
        limit: usize,
    ) -> Result<Vec<(FactKey, Vec<u8>)>, StoreFault> {
        let under = Key::Fact(prefix).octets();
        let from = after.map_or_else(|| Bound::Included(under.clone()), |key| Bound::Excluded(Key::Fact(key).octets()));
        let found = self.rows(&under, (from, Bound::Unbounded), Direction::Ascending, limit)?;
        Ok(found.into_iter().map(|(key, value)| (FactKey::from_octets(&key[1..]), value.to_vec())).collect())
    }
}

impl From<io::Error> for IndexError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl From<IndexError> for StoreFault {
    fn from(error: IndexError) -> Self {
        Self::Index(error.to_string())
    }
}

/// Changes to be applied together.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// In order; without a value a key is removed.
    inserts: Vec<(Vec<u8>, Option<IVec>)>,
    /// What they add to.
    counts: Additions,
    /// Certificates among them.
    pub(super) certificates: u64,
}

impl Changes {
    /// A record, with what the keys of the records of its device begin with.
    pub(super) fn recorded(&mut self, sequence: u64, place: Place, timeline: Option<&[u8]>) {
        if is_milestone(sequence) {
            self.insert(&Key::Milestone(sequence), &place.frame_start().to_be_bytes());
        }
        if let Some(timeline) = timeline {
            let key = [timeline, &sequence.to_be_bytes()].concat();
            self.inserts.push((key, Some(IVec::from(&encode_place(place)))));
        }
    }

    /// A certificate, recorded at a place in the journal.
    pub(super) fn issued(&mut self, record: &CertificateRecord, sequence: u64, place: Place) {
        let place = encode_place(place);
        let at = ExpiryPlace { not_after: record.not_after.timestamp(), sequence };
        let key = [&expiry_prefix(&record.tenant)[..], &expiry_place(at)].concat();
        self.inserts.push((key, Some(IVec::from(&place))));
        let key = [&device_certificates_prefix(&record.tenant, &record.device)[..], &sequence.to_be_bytes()].concat();
        self.inserts.push((key, Some(IVec::from(&place))));
        self.insert(&Key::Certificate(&record.id), &place);
        self.insert(&Key::Request(&record.request), &place);
        self.insert(&Key::Holder(&record.spki_sha256, &record.tenant), record.device.as_bytes());
        self.certificates += 1;
        self.tallied(sequence, tallies::ending_key(record), 1);
    }

    /// What a record counts as.
    pub(super) fn tallied(&mut self, sequence: u64, key: Vec<u8>, amount: u64) {
        self.counts.entry(key).or_default().push((sequence, amount));
    }

    /// Facts.
    pub(super) fn facts(&mut self, facts: &[Fact]) {
        for Fact { key, value } in facts {
            self.inserts.push((Key::Fact(key).octets(), value.as_deref().map(IVec::from)));
        }
    }

    fn insert(&mut self, key: &Key<'_>, value: &[u8]) {
        self.inserts.push((key.octets(), Some(IVec::from(value))));
    }

    /// Changes of standing, recorded together.
    pub(super) fn standings(&mut self, changes: &[StandingChange], sequence: u64) {
        for change in changes {
            let value = change.revocation.as_ref().map(|revocation| IVec::from(encoded(revocation)));
            self.inserts.push((Key::Revocation(&change.id).octets(), value));
        }
        let mut issuers: Vec<_> = changes.iter().map(|change| change.id.issuer).collect();
        issuers.sort_unstable();
        issuers.dedup();
        for issuer in issuers {
            let of_issuer: Vec<_> = changes.iter().filter(|change| change.id.issuer == issuer).collect();
            let key = [&standings_prefix(&issuer)[..], &sequence.to_be_bytes()].concat();
            self.inserts.push((key, Some(IVec::from(encoded(&of_issuer)))));
        }
    }
}

/// Turns sled's panics into errors: a damaged index is rebuilt, it does not end the server.
fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, IndexError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(IndexError::Panicked),
    }
}
