//! What is recorded but not durable yet, laid over what is, so that every lookup sees both.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, Weak};

use chrono::{DateTime, Utc};

use super::claims::locked;
use super::receipt::Commit;
use super::{
    CertificateId, CertificateRecord, CertificateStatus, Fact, FactKey, Receipt, RequestKey, Revocation,
    StandingChange, StoreFault,
};

/// What is durable, as a store keeps it. A row must be found here before [`Pending`] forgets it.
pub(super) trait Durable {
    /// The certificate last recorded under a request key.
    fn answer(&self, request: &RequestKey) -> Result<Option<Arc<CertificateRecord>>, StoreFault>;
    /// A certificate.
    fn certificate(&self, id: &CertificateId) -> Result<Option<Arc<CertificateRecord>>, StoreFault>;
    /// A revocation.
    fn revocation(&self, id: &CertificateId) -> Result<Option<Revocation>, StoreFault>;
    /// The certificates of a device, in the order in which they were issued.
    fn device_certificates(&self, tenant: &str, device: &str) -> Result<Vec<Arc<CertificateRecord>>, StoreFault>;
    /// The device a key was last certified for.
    fn key_holder(&self, tenant: &str, spki_sha256: &[u8; 32]) -> Result<Option<String>, StoreFault>;
    /// The value of a fact.
    fn fact(&self, key: &FactKey) -> Result<Option<Vec<u8>>, StoreFault>;
    /// The facts under a prefix and after a key, in order, at most so many.
    fn facts(
        &self,
        prefix: &FactKey,
        after: Option<&FactKey>,
        limit: usize,
    ) -> Result<Vec<(FactKey, Vec<u8>)>, StoreFault>;
}

/// A certificate on its way to the disk.
#[derive(Debug)]
pub(super) struct PendingCertificate {
    pub(super) record: Arc<CertificateRecord>,
    pub(super) facts: Arc<[Fact]>,
    pub(super) commit: Commit,
}

/// Changes of standing on their way to the disk.
#[derive(Debug)]
pub(super) struct PendingStanding {
    pub(super) changes: Arc<[StandingChange]>,
    pub(super) facts: Arc<[Fact]>,
    pub(super) commit: Commit,
}

/// Facts on their way to the disk.
#[derive(Debug)]
pub(super) struct PendingFacts {
    pub(super) facts: Arc<[Fact]>,
    pub(super) commit: Commit,
}

/// The rows that are not durable yet.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<Rows>);

#[derive(Debug, Default)]
struct Rows {
    certificates: HashMap<CertificateId, Arc<PendingCertificate>>,
    /// The last one of each request.
    requests: HashMap<RequestKey, Arc<PendingCertificate>>,
    /// All of each public key, in the order they came.
    keys: HashMap<[u8; 32], Vec<Arc<PendingCertificate>>>,
    /// All changes of each standing, in the order they came: the last one counts.
    standings: HashMap<CertificateId, Vec<Arc<PendingStanding>>>,
    /// All that were laid for each key, in the order they came: the last one counts.
    facts: BTreeMap<FactKey, Vec<Laid>>,
    /// For those who wait when nothing more becomes durable.
    changes: Vec<Weak<PendingFacts>>,
}

/// A fact among those it was laid with.
#[derive(Debug)]
struct Laid {
    facts: Arc<[Fact]>,
    index: usize,
}

impl Laid {
    fn value(&self) -> Option<Vec<u8>> {
        self.facts[self.index].value.clone()
    }
}

impl Rows {
    fn lay(&mut self, facts: &Arc<[Fact]>) {
        for (index, fact) in facts.iter().enumerate() {
            let laid = Laid { facts: Arc::clone(facts), index };
            self.facts.entry(fact.key.clone()).or_default().push(laid);
        }
    }

    fn take_off(&mut self, facts: &Arc<[Fact]>) {
        for fact in facts.iter() {
            if let Some(of_key) = self.facts.get_mut(&fact.key) {
                of_key.retain(|other| !Arc::ptr_eq(&other.facts, facts));
                if of_key.is_empty() {
                    self.facts.remove(&fact.key);
                }
            }
        }
    }
}

impl Pending {
    /// Lays a certificate on top.
    pub(super) fn issue(&self, record: CertificateRecord, facts: Vec<Fact>) -> Arc<PendingCertificate> {
        let row = Arc::new(PendingCertificate { record: Arc::new(record), facts: facts.into(), commit: Commit::new() });
        let mut rows = locked(&self.0);
        rows.lay(&row.facts);
        rows.certificates.insert(row.record.id.clone(), Arc::clone(&row));
        rows.requests.insert(row.record.request, Arc::clone(&row));
        rows.keys.entry(row.record.spki_sha256).or_default().push(Arc::clone(&row));
        row
    }

    /// Takes a certificate off: it is durable, or lost.
    pub(super) fn forget_certificate(&self, row: &Arc<PendingCertificate>) {
        let mut rows = locked(&self.0);
        rows.take_off(&row.facts);
        rows.certificates.remove(&row.record.id);
        if rows.requests.get(&row.record.request).is_some_and(|last| Arc::ptr_eq(last, row)) {
            rows.requests.remove(&row.record.request);
        }
        if let Some(of_key) = rows.keys.get_mut(&row.record.spki_sha256) {
            of_key.retain(|other| !Arc::ptr_eq(other, row));
            if of_key.is_empty() {
                rows.keys.remove(&row.record.spki_sha256);
            }
        }
    }

    /// Lays changes of standing on top.
    pub(super) fn change_standing(&self, changes: Vec<StandingChange>, facts: Vec<Fact>) -> Arc<PendingStanding> {
        let row = Arc::new(PendingStanding { changes: changes.into(), facts: facts.into(), commit: Commit::new() });
        let mut rows = locked(&self.0);
        rows.lay(&row.facts);
        for change in row.changes.iter() {
            rows.standings.entry(change.id.clone()).or_default().push(Arc::clone(&row));
        }
        row
    }

    /// Takes changes of standing off: they are durable, or lost.
    pub(super) fn forget_standing(&self, row: &Arc<PendingStanding>) {
        let mut rows = locked(&self.0);
        rows.take_off(&row.facts);
        for change in row.changes.iter() {
            if let Some(of_certificate) = rows.standings.get_mut(&change.id) {
                of_certificate.retain(|other| !Arc::ptr_eq(other, row));
                if of_certificate.is_empty() {
                    rows.standings.remove(&change.id);
                }
            }
        }
    }

    /// Resolves when the last change of a certificate's standing is durable.
    pub(super) fn standing_receipt(&self, id: &CertificateId) -> Receipt {
        let rows = locked(&self.0);
        rows.standings.get(id).and_then(|laid| laid.last()).map_or(Receipt::durable(), |row| row.commit.receipt())
    }

    /// Lays facts on top.
    pub(super) fn change(&self, facts: Vec<Fact>) -> Arc<PendingFacts> {
        let row = Arc::new(PendingFacts { facts: facts.into(), commit: Commit::new() });
        let mut rows = locked(&self.0);
        rows.lay(&row.facts);
        rows.changes.retain(|other| other.strong_count() > 0);
        rows.changes.push(Arc::downgrade(&row));
        row
    }

    /// Takes facts off: they are durable, or lost.
    pub(super) fn forget_facts(&self, row: &PendingFacts) {
        locked(&self.0).take_off(&row.facts);
    }

    /// The value of a fact, durable or not.
    pub(super) fn fact(&self, key: &FactKey, durable: &dyn Durable) -> Result<Option<Vec<u8>>, StoreFault> {
        let pending = locked(&self.0).facts.get(key).map(|laid| laid.last().and_then(Laid::value));
        pending.map_or_else(|| durable.fact(key), Ok)
    }

    /// The facts under a prefix and after a key, durable or not, in order, at most so many.
    pub(super) fn facts(
        &self,
        prefix: &FactKey,
        after: Option<&FactKey>,
        limit: usize,
        durable: &dyn Durable,
    ) -> Result<Vec<(FactKey, Vec<u8>)>, StoreFault> {
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        // Looked at first: what becomes durable in between is then found twice, and not missed.
        let pending: Vec<_> = locked(&self.0)
            .facts
            .range::<FactKey, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.is_under(prefix))
            .map(|(key, laid)| (key.clone(), laid.last().and_then(Laid::value)))
            .collect();
        // Some of what is durable may be forgotten by what is pending.
        let mut found: BTreeMap<_, _> = durable.facts(prefix, after, limit + pending.len())?.into_iter().collect();
        // Past a full page of durable facts there may be more of them: what is pending there waits for the next page.
        let end = (found.len() == limit + pending.len()).then(|| found.keys().next_back().cloned()).flatten();
        for (key, value) in pending {
            if end.as_ref().is_some_and(|end| key > *end) {
                continue;
            }
            match value {
                Some(value) => found.insert(key, value),
                None => found.remove(&key),
            };
        }
        Ok(found.into_iter().take(limit).collect())
    }

    /// Leaves nobody waiting: nothing more will become durable.
    #[cfg(feature = "server")]
    pub(super) fn abandon(&self) {
        let rows = locked(&self.0);
        rows.certificates.values().for_each(|row| row.commit.settle(Err(StoreFault::Closed)));
        rows.standings.values().flatten().for_each(|row| row.commit.settle(Err(StoreFault::Closed)));
        rows.changes.iter().filter_map(Weak::upgrade).for_each(|row| row.commit.settle(Err(StoreFault::Closed)));
    }

    /// What answered `request` at or after `not_older_than` and still stands.
    pub(super) fn answer(
        &self,
        request: &RequestKey,
        not_older_than: DateTime<Utc>,
        durable: &dyn Durable,
    ) -> Result<Option<(Arc<CertificateRecord>, Receipt)>, StoreFault> {
        let pending = locked(&self.0).requests.get(request).cloned();
        let answer = match pending {
            Some(row) => Some((Arc::clone(&row.record), row.commit.receipt())),
            None => durable.answer(request)?.map(|record| (record, Receipt::durable())),
        };
        match answer {
            Some((record, _)) if record.issued_at < not_older_than => Ok(None),
            Some((record, _)) if self.revocation(&record.id, durable)?.is_some() => Ok(None),
            answer => Ok(answer),
        }
    }

    /// A certificate, durable or not.
    pub(super) fn certificate(
        &self,
        id: &CertificateId,
        durable: &dyn Durable,
    ) -> Result<Option<Arc<CertificateRecord>>, StoreFault> {
        let pending = locked(&self.0).certificates.get(id).map(|row| Arc::clone(&row.record));
        pending.map_or_else(|| durable.certificate(id), |record| Ok(Some(record)))
    }

    /// The certificates of a device, durable or not.
    pub(super) fn device_certificates(
        &self,
        tenant: &str,
        device: &str,
        durable: &dyn Durable,
    ) -> Result<Vec<Arc<CertificateRecord>>, StoreFault> {
        // Looked at first: what becomes durable in between is then found twice, and not missed.
        let of_device = |row: &&Arc<PendingCertificate>| {
            row.record.tenant == tenant && row.record.device.to_lowercase() == device.to_lowercase()
        };
        let mut pending: Vec<_> = {
            let rows = locked(&self.0);
            rows.certificates.values().filter(of_device).map(|row| Arc::clone(&row.record)).collect()
        };
        pending.sort_by_key(|record| record.issued_at);
        let mut found = durable.device_certificates(tenant, device)?;
        pending.retain(|record| !found.iter().any(|known| known.id == record.id));
        found.extend(pending);
        Ok(found)
    }

    /// The standing of a certificate, durable or not: a revocation counts from the moment it is asked for.
    pub(super) fn status(&self, id: &CertificateId, durable: &dyn Durable) -> Result<CertificateStatus, StoreFault> {
        if let Some(revocation) = self.revocation(id, durable)? {
            return Ok(CertificateStatus::Revoked(revocation));
        }
        Ok(match self.certificate(id, durable)? {
            None => CertificateStatus::Unknown,
            Some(record) => CertificateStatus::Good {
                tenant: record.tenant.clone(),
                label: record.label.clone(),
                device: record.device.clone(),
            },
        })
    }

    /// The device a key was last certified for, durable or not.
    pub(super) fn key_holder(
        &self,
        tenant: &str,
        spki_sha256: &[u8; 32],
        durable: &dyn Durable,
    ) -> Result<Option<String>, StoreFault> {
        let pending = locked(&self.0).keys.get(spki_sha256).and_then(|of_key| {
            let last = of_key.iter().rev().find(|row| row.record.tenant == tenant)?;
            Some(last.record.device.clone())
        });
        pending.map_or_else(|| durable.key_holder(tenant, spki_sha256), |device| Ok(Some(device)))
    }

    fn revocation(&self, id: &CertificateId, durable: &dyn Durable) -> Result<Option<Revocation>, StoreFault> {
        let pending = {
            let rows = locked(&self.0);
            let last = rows.standings.get(id).and_then(|laid| laid.last());
            last.and_then(|row| row.changes.iter().rfind(|change| change.id == *id).map(|change| change.revocation))
        };
        pending.map_or_else(|| durable.revocation(id), Ok)
    }
}
