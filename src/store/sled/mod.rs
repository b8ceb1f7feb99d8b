//! The store of one node: a journal that is the truth, and a sled index over it that can always be made anew.

mod catalogue;
mod committer;
mod contents;
mod index;
mod key;
mod recovery;
mod refusals;
mod shared;
mod tallies;
#[cfg(test)]
mod tests;

pub use committer::Backlog;
pub use contents::{Contents, verify};
pub use index::IndexError;
pub use recovery::{OpenError, Recovery};

use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, Utc};

use self::committer::{Committer, Effect, Queue, Submission};
use self::index::Index;
use self::key::timeline_of;
use self::refusals::RefusalBucket;
use self::shared::{Reach, Shared};
use self::tallies::tally_of;
use super::claims::locked;
use super::journal::{Entry, Head, Journal, JournalError, JournalReader, MAX_PAYLOAD_OCTETS, Snapshot};
use super::pending::Pending;
use super::{
    CertificateId, CertificateRecord, CertificateStatus, CertificateStore, Claim, ClaimGuard, Claims, Fact, FactKey,
    Receipt, RequestKey, StandingChange, StoreFault,
};
use crate::audit::{AuditEvent, AuditOutcome};

/// The limits of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreOptions {
    /// Records that may wait for the disk.
    pub queue: usize,
    /// How long records gather after a sync before the next: a busy store syncs less often, for less CPU and wear, and one
    /// that rested answers at once.
    pub sync_pause: Duration,
    /// Refusals written to the journal each second; those above are counted.
    pub audit_refusals_per_second: u32,
    /// Memory sled may use to cache the index, in octets.
    pub index_cache_octets: u64,
    /// Records after which the index is synced: so many are replayed at most after a crash.
    pub checkpoint_every: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            queue: 1024,
            sync_pause: Duration::from_millis(1),
            audit_refusals_per_second: 200,
            index_cache_octets: 8 << 20,
            checkpoint_every: 32_768,
        }
    }
}

/// A [`CertificateStore`] in a folder: `journal`, and `index/` beside it.
#[derive(Debug)]
pub struct SledStore {
    shared: Arc<Shared>,
    claims: Claims,
    refusals: Mutex<RefusalBucket>,
    recovery: Recovery,
    reader: JournalReader,
    committer: Mutex<Option<JoinHandle<()>>>,
}

impl SledStore {
    /// Opens the store of a data folder, creating it when it is not there.
    ///
    /// # Errors
    /// When another process uses it, the journal is damaged or cannot be written, or the index cannot be rebuilt.
    pub fn open(directory: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        let mut journal = Journal::open(directory)?;
        let index = Index::of(directory, options.index_cache_octets, journal.reader().clone());
        let (progress, recovery) = recovery::recover(&mut journal, &index)?;
        let shared = Arc::new(Shared {
            queue: Queue::bounded(options.queue),
            index,
            pending: Pending::default(),
            certificates: AtomicU64::new(progress.certificates),
            suppressed: AtomicU64::new(0),
            healthy: AtomicBool::new(true),
            reach: Reach::at(journal.head()),
        });
        let reader = journal.reader().clone();
        let committer = Committer::new(Arc::clone(&shared), journal, progress, &options);
        let thread = std::thread::Builder::new()
            .name("committer".into())
            .spawn(|| committer.run())
            .map_err(|source| JournalError::Io { path: directory.to_owned(), source })?;
        Ok(Self {
            shared,
            claims: Claims::default(),
            refusals: Mutex::new(RefusalBucket::new(options.audit_refusals_per_second)),
            recovery,
            reader,
            committer: Mutex::new(Some(thread)),
        })
    }

    /// What it took to open it.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Whether the last write reached the disk and the index can be read. A store that is not healthy tries again by itself.
    pub fn is_healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Relaxed)
    }

    /// The last record that is durable.
    pub fn head(&self) -> Head {
        self.shared.reach.head()
    }

    /// The journal as far as it is durable now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.reader.clone(), self.head())
    }

    /// What waits for the disk.
    pub fn backlog(&self) -> Backlog {
        self.shared.queue.backlog()
    }

    /// The last record that is durable, and the last that is in the index.
    pub fn reach(&self) -> (u64, u64) {
        self.shared.reach.sequences()
    }

    /// Refusals that were counted and not written, since the last record.
    pub fn suppressed(&self) -> u64 {
        self.shared.suppressed.load(Ordering::Relaxed)
    }

    /// Writes what waits, syncs the index and stops; every later verb that writes fails with [`StoreFault::Closed`],
    /// those that look something up still work. Dropping the store does the same.
    pub fn close(&self) {
        self.shared.queue.close();
        if let Some(thread) = locked(&self.committer).take() {
            // A committer that panicked has left nobody waiting.
            let _ = thread.join();
        }
    }

    /// Encodes a record, with the count of events that were not written before it, and lines it up.
    fn submit<'e>(&self, effect: Effect, entry: impl FnOnce(u64) -> Entry<'e>) -> Result<(), StoreFault> {
        let suppressed = match self.shared.suppressed.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.shared.suppressed.swap(0, Ordering::Relaxed),
        };
        let entry = entry(suppressed);
        let timeline = timeline_of(entry.event()).map(Vec::into_boxed_slice);
        let (tally, at) = (tally_of(&entry), entry.event().at);
        let payload = entry.encode();
        let too_large = payload.len() > MAX_PAYLOAD_OCTETS;
        let submission = Submission { payload, suppressed, timeline, tally, at, effect };
        if too_large {
            let fault = StoreFault::NotDurable(Arc::new(std::io::ErrorKind::FileTooLarge.into()));
            self.shared.lose(submission, &fault);
            return Err(fault);
        }
        self.shared.submit(submission)
    }
}

impl CertificateStore for SledStore {
    fn claim(&self, key: &RequestKey, not_older_than: DateTime<Utc>) -> Result<Claim<'_>, StoreFault> {
        let Some(guard) = self.claims.hold_request(key) else { return Ok(Claim::InQuestion) };
        Ok(match self.shared.pending.answer(key, not_older_than, &self.shared.index)? {
            Some((record, receipt)) => Claim::Recorded { record, receipt },
            None => Claim::Granted(guard),
        })
    }

    fn record_issued(
        &self,
        claim: ClaimGuard<'_>,
        record: CertificateRecord,
        facts: Vec<Fact>,
        event: AuditEvent,
    ) -> Result<Receipt, StoreFault> {
        debug_assert_eq!(*claim.key(), record.request, "a record answers the request that was claimed");
        let row = self.shared.pending.issue(record, facts);
        let receipt = row.commit.receipt();
        self.shared.certificates.fetch_add(1, Ordering::Relaxed);
        self.submit(Effect::Issued(Arc::clone(&row)), |suppressed| Entry::Issued {
            record: Cow::Borrowed(&row.record),
            event: (&event).into(),
            suppressed,
            facts: Cow::Borrowed(&row.facts),
        })?;
        Ok(receipt)
    }

    fn hold(&self, key: &FactKey) -> ClaimGuard<'_> {
        self.claims.hold_fact(key)
    }

    fn fact(&self, key: &FactKey) -> Result<Option<Vec<u8>>, StoreFault> {
        self.shared.pending.fact(key, &self.shared.index)
    }

    fn facts(
        &self,
        prefix: &FactKey,
        after: Option<&FactKey>,
        limit: usize,
    ) -> Result<Vec<(FactKey, Vec<u8>)>, StoreFault> {
        self.shared.pending.facts(prefix, after, limit, &self.shared.index)
    }

    fn record_facts(&self, facts: Vec<Fact>, event: AuditEvent) -> Result<Receipt, StoreFault> {
        let row = self.shared.pending.change(facts);
        let receipt = row.commit.receipt();
        self.submit(Effect::Facts(Arc::clone(&row)), |suppressed| Entry::Facts {
            facts: Cow::Borrowed(&row.facts),
            event: (&event).into(),
            suppressed,
        })?;
        Ok(receipt)
    }

    fn certificate(&self, id: &CertificateId) -> Result<Option<Arc<CertificateRecord>>, StoreFault> {
        self.shared.pending.certificate(id, &self.shared.index)
    }

    fn status(&self, id: &CertificateId) -> Result<CertificateStatus, StoreFault> {
        self.shared.pending.status(id, &self.shared.index)
    }

    fn key_holder(&self, tenant: &str, spki_sha256: &[u8; 32]) -> Result<Option<String>, StoreFault> {
        self.shared.pending.key_holder(tenant, spki_sha256, &self.shared.index)
    }

    fn device_certificates(&self, tenant: &str, device: &str) -> Result<Vec<Arc<CertificateRecord>>, StoreFault> {
        self.shared.pending.device_certificates(tenant, device, &self.shared.index)
    }

    fn change_standing(
        &self,
        changes: Vec<StandingChange>,
        facts: Vec<Fact>,
        event: AuditEvent,
    ) -> Result<Receipt, StoreFault> {
        let row = self.shared.pending.change_standing(changes, facts);
        let receipt = row.commit.receipt();
        self.submit(Effect::Standing(Arc::clone(&row)), |suppressed| Entry::Standing {
            changes: Cow::Borrowed(&row.changes),
            event: (&event).into(),
            suppressed,
            facts: Cow::Borrowed(&row.facts),
        })?;
        Ok(receipt)
    }

    fn standing_receipt(&self, id: &CertificateId) -> Receipt {
        self.shared.pending.standing_receipt(id)
    }

    fn record_event(&self, event: AuditEvent) {
        let limited = match event.outcome {
            AuditOutcome::Refused { .. } => true,
            AuditOutcome::Issued { .. }
            | AuditOutcome::Deferred
            | AuditOutcome::Failed
            | AuditOutcome::Revoked { .. }
            | AuditOutcome::RevokedTogether { .. }
            | AuditOutcome::Released { .. }
            | AuditOutcome::Changed { .. }
            | AuditOutcome::Alarm { .. } => false,
        };
        if limited && !locked(&self.refusals).admit(event.at) {
            self.shared.suppressed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // One that finds no place is counted.
        let _ = self.submit(Effect::Event, |suppressed| Entry::Event { event: (&event).into(), suppressed });
    }

    fn certificate_count(&self) -> Result<u64, StoreFault> {
        Ok(self.shared.certificates.load(Ordering::Relaxed))
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// Deletes the index of a data folder and makes it anew from the journal; no server may be running. With `accept_loss` the
/// journal is taken as it is, also when records are known to be missing or its last write is damaged.
///
/// # Errors
/// When another process uses the store, the journal is damaged, or the index cannot be written.
pub fn rebuild(directory: &Path, accept_loss: bool) -> Result<Recovery, OpenError> {
    let mut journal = Journal::open(directory)?;
    if accept_loss {
        journal.accept_loss()?;
    }
    let index = Index::of(directory, StoreOptions::default().index_cache_octets, journal.reader().clone());
    let (_, recovery) = recovery::rebuild(&mut journal, &index, 0)?;
    index.close();
    Ok(recovery)
}
