//! A store in memory, for tests and fuzzing; it can hold records back to show what happens before they are durable.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};

use super::catalogue::{Catalogue, Direction, ExpiryPlace, LoggedEvent, Span};
use super::claims::locked;
use super::event::EventEntry;
use super::pending::{Durable, Pending, PendingCertificate, PendingFacts, PendingStanding};
use super::tally::{self, Day, Ending, Hour, Subject, Tallies, Tally};
use super::{
    CertificateId, CertificateRecord, CertificateStatus, CertificateStore, Claim, ClaimGuard, Claims, Fact, FactKey,
    LoggedStanding, Receipt, RequestKey, Revocation, StandingChange, StoreFault,
};
use crate::audit::AuditEvent;
use crate::pki::digest::sha256;

/// A [`CertificateStore`] that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    claims: Claims,
    pending: Pending,
    kept: Mutex<Kept>,
    /// `None`: everything is durable at once.
    held_back: Mutex<Option<Vec<Change>>>,
    /// How many certificates were recorded and not lost.
    certificates: AtomicUsize,
}

#[derive(Debug, Default)]
struct Kept {
    certificates: HashMap<CertificateId, Arc<CertificateRecord>>,
    requests: HashMap<RequestKey, Arc<CertificateRecord>>,
    holders: HashMap<(String, [u8; 32]), String>,
    revocations: HashMap<CertificateId, Revocation>,
    facts: BTreeMap<FactKey, Vec<u8>>,
    log: Vec<Logged>,
}

/// A record: what happened, and what it was about.
#[derive(Debug)]
struct Logged {
    event: AuditEvent,
    issued: Option<Arc<CertificateRecord>>,
    standings: Arc<[StandingChange]>,
}

#[derive(Debug)]
enum Change {
    Issued(Arc<PendingCertificate>, AuditEvent),
    Standing(Arc<PendingStanding>, AuditEvent),
    Facts(Arc<PendingFacts>, AuditEvent),
    Event(AuditEvent),
}

impl MemoryStore {
    /// An empty store in which everything is durable at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store in which nothing is durable before [`settle`](Self::settle) says so.
    pub fn holding_back() -> Self {
        Self { held_back: Mutex::new(Some(Vec::new())), ..Self::default() }
    }

    /// Decides what becomes of all that was held back since the last time: kept, or lost with this fault.
    pub fn settle(&self, outcome: Result<(), StoreFault>) {
        let changes = locked(&self.held_back).as_mut().map(std::mem::take).unwrap_or_default();
        for change in changes {
            self.settle_one(change, outcome.clone());
        }
    }

    /// The audit events kept so far, oldest first.
    pub fn events(&self) -> Vec<AuditEvent> {
        locked(&self.kept).log.iter().map(|logged| logged.event.clone()).collect()
    }

    fn submit(&self, change: Change) {
        if let Some(held_back) = &mut *locked(&self.held_back) {
            held_back.push(change);
            return;
        }
        self.settle_one(change, Ok(()));
    }

    fn settle_one(&self, change: Change, outcome: Result<(), StoreFault>) {
        if outcome.is_ok() {
            locked(&self.kept).keep(&change);
        }
        match change {
            Change::Issued(row, _) => {
                if outcome.is_err() {
                    self.certificates.fetch_sub(1, Ordering::Relaxed);
                }
                self.pending.forget_certificate(&row);
                row.commit.settle(outcome);
            }
            Change::Standing(row, _) => {
                self.pending.forget_standing(&row);
                row.commit.settle(outcome);
            }
            Change::Facts(row, _) => {
                self.pending.forget_facts(&row);
                row.commit.settle(outcome);
            }
            Change::Event(_) => {}
        }
    }
}

impl CertificateStore for MemoryStore {
    fn claim(&self, key: &RequestKey, not_older_than: DateTime<Utc>) -> Result<Claim<'_>, StoreFault> {
        let Some(guard) = self.claims.hold_request(key) else { return Ok(Claim::InQuestion) };
        Ok(match self.pending.answer(key, not_older_than, &self.kept)? {
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
        let row = self.pending.issue(record, facts);
        let receipt = row.commit.receipt();
        self.certificates.fetch_add(1, Ordering::Relaxed);
        self.submit(Change::Issued(row, event));
        Ok(receipt)
    }

    fn certificate(&self, id: &CertificateId) -> Result<Option<Arc<CertificateRecord>>, StoreFault> {
        self.pending.certificate(id, &self.kept)
    }

    fn status(&self, id: &CertificateId) -> Result<CertificateStatus, StoreFault> {
        self.pending.status(id, &self.kept)
    }

    fn key_holder(&self, tenant: &str, spki_sha256: &[u8; 32]) -> Result<Option<String>, StoreFault> {
        self.pending.key_holder(tenant, spki_sha256, &self.kept)
    }

    fn device_certificates(&self, tenant: &str, device: &str) -> Result<Vec<Arc<CertificateRecord>>, StoreFault> {
        self.pending.device_certificates(tenant, device, &self.kept)
    }

    fn change_standing(
        &self,
        changes: Vec<StandingChange>,
        facts: Vec<Fact>,
        event: AuditEvent,
    ) -> Result<Receipt, StoreFault> {
        let row = self.pending.change_standing(changes, facts);
        let receipt = row.commit.receipt();
        self.submit(Change::Standing(row, event));
        Ok(receipt)
    }

    fn standing_receipt(&self, id: &CertificateId) -> Receipt {
        self.pending.standing_receipt(id)
    }

    fn hold(&self, key: &FactKey) -> ClaimGuard<'_> {
        self.claims.hold_fact(key)
    }

    fn fact(&self, key: &FactKey) -> Result<Option<Vec<u8>>, StoreFault> {
        self.pending.fact(key, &self.kept)
    }

    fn facts(
        &self,
        prefix: &FactKey,
        after: Option<&FactKey>,
        limit: usize,
    ) -> Result<Vec<(FactKey, Vec<u8>)>, StoreFault> {
        self.pending.facts(prefix, after, limit, &self.kept)
    }

    fn record_facts(&self, facts: Vec<Fact>, event: AuditEvent) -> Result<Receipt, StoreFault> {
        let row = self.pending.change(facts);
        let receipt = row.commit.receipt();
        self.submit(Change::Facts(row, event));
        Ok(receipt)
    }

    fn record_event(&self, event: AuditEvent) {
        self.submit(Change::Event(event));
    }

    fn certificate_count(&self) -> Result<u64, StoreFault> {
        Ok(self.certificates.load(Ordering::Relaxed) as u64)
    }
}

impl Catalogue for MemoryStore {
    fn certificates(
        &self,
        tenant: &str,
        span: &Span<ExpiryPlace>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(ExpiryPlace, Arc<CertificateRecord>)>, StoreFault> {
        let kept = locked(&self.kept);
        let rows = kept.numbered().filter_map(|(sequence, logged)| {
            let record = logged.issued.as_ref().filter(|record| record.tenant == tenant)?;
            Some((ExpiryPlace { not_after: record.not_after.timestamp(), sequence }, Arc::clone(record)))
        });
        let rows: BTreeMap<_, _> = rows.filter(|(place, _)| span.contains(place)).collect();
        Ok(direction.take(rows.into_iter(), limit))
    }

    fn count_certificates(&self, tenant: &str, moment: DateTime<Utc>) -> Result<u64, StoreFault> {
        let kept = locked(&self.kept);
        let of_tenant = kept.certificates.values().filter(|record| record.tenant == tenant);
        Ok(of_tenant.filter(|record| record.not_after.timestamp() >= moment.timestamp()).count() as u64)
    }

    fn device_events(
        &self,
        tenant: &str,
        device: &str,
        span: &Span<u64>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, StoreFault> {
        let of_device = |event: &AuditEvent| {
            event.tenant == tenant
                && event.device.as_deref().is_some_and(|other| other.to_lowercase() == device.to_lowercase())
        };
        let kept = locked(&self.kept);
        let rows = kept.numbered().filter(|(sequence, logged)| span.contains(sequence) && of_device(&logged.event));
        Ok(direction.take(rows.map(Logged::shown), limit))
    }

    fn events(&self, span: &Span<u64>, direction: Direction, limit: usize) -> Result<Vec<LoggedEvent>, StoreFault> {
        let kept = locked(&self.kept);
        let rows = kept.numbered().filter(|(sequence, _)| span.contains(sequence));
        Ok(direction.take(rows.map(Logged::shown), limit))
    }

    fn standings(&self, issuer: &[u8; 32], after: u64, limit: usize) -> Result<Vec<LoggedStanding>, StoreFault> {
        let kept = locked(&self.kept);
        let rows = kept.numbered().filter(|(sequence, _)| *sequence > after).map(|(sequence, logged)| {
            let of_issuer = logged.standings.iter().filter(|change| change.id.issuer == *issuer);
            LoggedStanding { sequence, changes: of_issuer.cloned().collect() }
        });
        Ok(rows.filter(|logged| !logged.changes.is_empty()).take(limit).collect())
    }
}

impl Tallies for MemoryStore {
    fn tallies(&self, tenant: &str, hours: Range<Hour>) -> Result<Vec<Tally>, StoreFault> {
        let kept = locked(&self.kept);
        let mut counts: BTreeMap<Subject, u64> = BTreeMap::new();
        let of_tenant = kept.numbered().filter(|(_, logged)| logged.event.tenant == tenant);
        for (subject, amount) in
            of_tenant.filter_map(|(_, logged)| tally::counted(&(&logged.event).into(), logged.issued.is_some()))
        {
            *counts.entry(subject).or_default() += amount;
        }
        let within = counts.into_iter().filter(|(subject, _)| hours.contains(&subject.hour));
        Ok(within.map(|(subject, count)| Tally { subject, count }).collect())
    }

    fn endings(&self, tenant: &str, days: Range<Day>) -> Result<Vec<Ending>, StoreFault> {
        let kept = locked(&self.kept);
        let mut counts: BTreeMap<Day, u64> = BTreeMap::new();
        let issued = kept.numbered().filter_map(|(_, logged)| logged.issued.as_ref());
        for record in issued.filter(|record| record.tenant == tenant) {
            *counts.entry(Day::of(record.not_after)).or_default() += 1;
        }
        let within = counts.into_iter().filter(|(day, _)| days.contains(day));
        Ok(within.map(|(day, certificates)| Ending { day, certificates }).collect())
    }
}

impl Logged {
    fn shown((sequence, logged): (u64, &Self)) -> LoggedEvent {
        LoggedEvent {
            sequence,
            hash: sha256(&[&sequence.to_be_bytes(), format!("{:?}", logged.event).as_bytes()]),
            event: EventEntry::from(&logged.event).into_owned(),
            certificate: logged.issued.as_ref().map(|record| record.id.clone()).or_else(|| match &*logged.standings {
                [change] => Some(change.id.clone()),
                _ => None,
            }),
            suppressed: 0,
        }
    }
}

impl Kept {
    fn keep(&mut self, change: &Change) {
        match change {
            Change::Issued(row, event) => {
                let record = &row.record;
                self.certificates.insert(record.id.clone(), Arc::clone(record));
                self.requests.insert(record.request, Arc::clone(record));
                self.holders.insert((record.tenant.clone(), record.spki_sha256), record.device.clone());
                self.keep_facts(&row.facts);
                self.log(event, Some(Arc::clone(record)), Arc::default());
            }
            Change::Standing(row, event) => {
                for change in row.changes.iter() {
                    match change.revocation {
                        Some(revocation) => self.revocations.insert(change.id.clone(), revocation),
                        None => self.revocations.remove(&change.id),
                    };
                }
                self.keep_facts(&row.facts);
                self.log(event, None, Arc::clone(&row.changes));
            }
            Change::Facts(row, event) => {
                self.keep_facts(&row.facts);
                self.log(event, None, Arc::default());
            }
            Change::Event(event) => self.log(event, None, Arc::default()),
        }
    }

    fn log(&mut self, event: &AuditEvent, issued: Option<Arc<CertificateRecord>>, standings: Arc<[StandingChange]>) {
        self.log.push(Logged { event: event.clone(), issued, standings });
    }

    /// The records with their sequence numbers.
    fn numbered(&self) -> impl DoubleEndedIterator<Item = (u64, &Logged)> + ExactSizeIterator {
        self.log.iter().enumerate().map(|(index, logged)| (index as u64 + 1, logged))
    }

    fn keep_facts(&mut self, facts: &[Fact]) {
        for Fact { key, value } in facts {
            match value {
                Some(value) => self.facts.insert(key.clone(), value.clone()),
                None => self.facts.remove(key),
            };
        }
    }
}

impl Durable for Mutex<Kept> {
    fn answer(&self, request: &RequestKey) -> Result<Option<Arc<CertificateRecord>>, StoreFault> {
        Ok(locked(self).requests.get(request).cloned())
    }

    fn certificate(&self, id: &CertificateId) -> Result<Option<Arc<CertificateRecord>>, StoreFault> {
        Ok(locked(self).certificates.get(id).cloned())
    }

    fn revocation(&self, id: &CertificateId) -> Result<Option<Revocation>, StoreFault> {
        Ok(locked(self).revocations.get(id).copied())
    }

    fn device_certificates(&self, tenant: &str, device: &str) -> Result<Vec<Arc<CertificateRecord>>, StoreFault> {
        let kept = locked(self);
        let issued = kept.log.iter().filter_map(|logged| logged.issued.as_ref());
        let of_device =
            issued.filter(|record| record.tenant == tenant && record.device.to_lowercase() == device.to_lowercase());
        Ok(of_device.cloned().collect())
    }

    fn key_holder(&self, tenant: &str, spki_sha256: &[u8; 32]) -> Result<Option<String>, StoreFault> {
        Ok(locked(self).holders.get(&(tenant.to_owned(), *spki_sha256)).cloned())
    }

    fn fact(&self, key: &FactKey) -> Result<Option<Vec<u8>>, StoreFault> {
        Ok(locked(self).facts.get(key).cloned())
    }

    fn facts(
        &self,
        prefix: &FactKey,
        after: Option<&FactKey>,
        limit: usize,
    ) -> Result<Vec<(FactKey, Vec<u8>)>, StoreFault> {
        let kept = locked(self);
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let range = kept.facts.range::<FactKey, _>((from, Bound::Unbounded));
        let under = range.take_while(|(key, _)| key.is_under(prefix));
        Ok(under.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}
