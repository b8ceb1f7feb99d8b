//! How many devices are ready for a new CA, counted from the journal, also while a server appends to it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use chrono::{DateTime, Utc};

use super::device::{DeviceRecord, DeviceState};
use super::fetched_anchors::FetchedAnchors;
use super::journal::{Entry, Head, JournalError, JournalReader};
use super::{CertificateId, Fact, FactKey, StoreFault};

/// How far the devices of an old CA are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// Those of them that were given the certificates of the new CA.
    pub ready: usize,
    /// Those that hold a valid certificate of the old CA.
    pub devices: usize,
}

/// Why they were not counted.
#[derive(Debug, thiserror::Error)]
pub enum CensusError {
    /// The journal cannot be read, or is damaged.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What is recorded of a device does not decode.
    #[error(transparent)]
    Record(#[from] StoreFault),
}

/// An old CA and the new one, each named by SHA-256 of its SubjectPublicKeyInfo, within a tenant.
#[derive(Debug, Clone, Copy)]
pub struct Transition<'a> {
    /// Whose devices.
    pub tenant: &'a str,
    /// The CA whose place is taken.
    pub old: [u8; 32],
    /// The CA that takes it.
    pub new: [u8; 32],
}

/// Counts the devices of a data folder.
///
/// # Errors
/// When the journal cannot be read to its end.
pub fn readiness(data_dir: &Path, transition: &Transition<'_>, now: DateTime<Utc>) -> Result<Readiness, CensusError> {
    let mut census = Census::new(transition, now);
    JournalReader::open(data_dir)?.scan(Head::genesis(), 0, |frame| match frame.entry() {
        Ok(entry) => census.take(&entry).map_err(CensusError::from),
        // A record of a kind that a later version writes.
        Err(_) => Ok(()),
    })?;
    Ok(census.readiness())
}

/// What is known of the devices so far; they are named by what their keys end with.
struct Census {
    devices: FactKey,
    fetched: FactKey,
    old: [u8; 32],
    now: DateTime<Utc>,
    /// The serial numbers of the valid certificates of the old CA that each holds.
    holders: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    ready: HashSet<Vec<u8>>,
    /// Serial numbers of the old CA.
    revoked: HashSet<Vec<u8>>,
}

impl Census {
    fn new(transition: &Transition<'_>, now: DateTime<Utc>) -> Self {
        Self {
            devices: DeviceRecord::prefix(transition.tenant),
            fetched: FetchedAnchors::prefix(transition.tenant, &transition.new),
            old: transition.old,
            now,
            holders: HashMap::new(),
            ready: HashSet::new(),
            revoked: HashSet::new(),
        }
    }

    fn take(&mut self, entry: &Entry<'_>) -> Result<(), StoreFault> {
        match entry {
            Entry::Issued { facts, .. } | Entry::Facts { facts, .. } => {
                facts.iter().try_for_each(|fact| self.note(fact))
            }
            Entry::Revoked { id, facts, .. } => {
                self.note_standing(id, true);
                facts.iter().try_for_each(|fact| self.note(fact))
            }
            Entry::Standing { changes, facts, .. } => {
                changes.iter().for_each(|change| self.note_standing(&change.id, change.revocation.is_some()));
                facts.iter().try_for_each(|fact| self.note(fact))
            }
            Entry::Event { .. } => Ok(()),
        }
    }

    fn note_standing(&mut self, id: &CertificateId, is_revoked: bool) {
        if id.issuer != self.old {
            return;
        }
        if is_revoked {
            self.revoked.insert(id.serial.clone());
        } else {
            self.revoked.remove(&id.serial);
        }
    }

    fn note(&mut self, fact: &Fact) -> Result<(), StoreFault> {
        let name = |prefix: &FactKey| fact.key.octets()[prefix.octets().len()..].to_vec();
        if fact.key.is_under(&self.fetched) {
            self.ready.insert(name(&self.fetched));
        } else if fact.key.is_under(&self.devices) {
            let held = fact.value.as_deref().map(|value| self.held(value)).transpose()?.unwrap_or_default();
            if held.is_empty() {
                self.holders.remove(&name(&self.devices));
            } else {
                self.holders.insert(name(&self.devices), held);
            }
        }
        Ok(())
    }

    fn held(&self, value: &[u8]) -> Result<Vec<Vec<u8>>, StoreFault> {
        let device = DeviceRecord::decode(value)?;
        let counts = match device.state {
            DeviceState::Active => true,
            DeviceState::Listed | DeviceState::Suspended | DeviceState::Revoked => false,
        };
        let valid =
            device.latest.into_iter().filter(|latest| latest.id.issuer == self.old && latest.not_after > self.now);
        Ok(valid.filter(|_| counts).map(|latest| latest.id.serial).collect())
    }

    fn readiness(&self) -> Readiness {
        let standing = |serials: &Vec<Vec<u8>>| serials.iter().any(|serial| !self.revoked.contains(serial));
        let holders = || self.holders.iter().filter(|(_, serials)| standing(serials));
        Readiness {
            ready: holders().filter(|(device, _)| self.ready.contains(*device)).count(),
            devices: holders().count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::device::LatestCertificate;
    use crate::store::event::EventEntry;
    use crate::store::{CertificateId, Revocation, StandingChange};
    use std::borrow::Cow;

    const OLD: [u8; 32] = [1; 32];
    const NEW: [u8; 32] = [2; 32];

    fn now() -> DateTime<Utc> {
        "2026-06-01T12:00:00Z".parse().unwrap()
    }

    fn census() -> Census {
        Census::new(&Transition { tenant: "acme", old: OLD, new: NEW }, now())
    }

    fn event() -> EventEntry<'static> {
        EventEntry {
            at: now(),
            request_id: Cow::Borrowed(""),
            source: Cow::Borrowed(""),
            tenant: Cow::Borrowed("acme"),
            label: Cow::Borrowed(""),
            operation: Cow::Borrowed(""),
            peer: None,
            device: None,
            outcome: crate::store::event::OutcomeEntry::Failed,
            actor: None,
            credential: None,
        }
    }

    fn tell(census: &mut Census, facts: Vec<Fact>) {
        census.take(&Entry::Facts { facts: Cow::Owned(facts), event: event(), suppressed: 0 }).unwrap();
    }

    /// A device that holds a certificate with this number of this CA, for so many more days.
    fn device(id: &str, issuer: [u8; 32], serial: u8, days: i64) -> DeviceRecord {
        let mut device = DeviceRecord::listed(id.to_owned(), now());
        device.state = DeviceState::Active;
        device.note_latest(LatestCertificate {
            id: CertificateId { issuer, serial: vec![serial] },
            label: "devices".to_owned(),
            spki_sha256: [serial; 32],
            not_after: now() + chrono::TimeDelta::days(days),
        });
        device
    }

    fn fetched(tenant: &str, authority: [u8; 32], id: &str) -> Fact {
        FetchedAnchors { at: now() }.to_fact(tenant, &authority, id)
    }

    #[test]
    fn devices_of_the_old_ca_are_counted_and_nobody_else() {
        let mut census = census();
        let suspended = DeviceRecord { state: DeviceState::Suspended, ..device("SN-4", OLD, 4, 30) };
        let mut facts: Vec<Fact> =
            [device("SN-1", OLD, 1, 30), device("SN-2", NEW, 2, 30), device("SN-3", OLD, 3, -1), suspended]
                .map(|device| device.to_fact("acme"))
                .into();
        facts.push(device("SN-5", OLD, 5, 30).to_fact("globex"));
        facts.push(device("SN-6", OLD, 6, 30).to_fact("acme"));
        tell(&mut census, facts);
        assert_eq!(census.readiness(), Readiness { ready: 0, devices: 2 });
        // Of another tenant, of another CA, of nobody who counts, and of one who does however it is spelt.
        let told = [("globex", NEW, "SN-1"), ("acme", OLD, "SN-1"), ("acme", NEW, "SN-2"), ("acme", NEW, "sn-6")];
        tell(&mut census, told.map(|(tenant, authority, id)| fetched(tenant, authority, id)).into());
        assert_eq!(census.readiness(), Readiness { ready: 1, devices: 2 });
    }

    #[test]
    fn what_comes_later_counts() {
        let mut census = census();
        tell(&mut census, vec![device("SN-1", OLD, 1, 30).to_fact("acme"), device("SN-2", OLD, 2, 30).to_fact("acme")]);
        tell(&mut census, vec![fetched("acme", NEW, "SN-1"), fetched("acme", NEW, "SN-2")]);
        assert_eq!(census.readiness(), Readiness { ready: 2, devices: 2 });
        // Renewed by the new CA; on hold, released, and revoked as earlier versions wrote it.
        tell(&mut census, vec![device("SN-1", NEW, 3, 30).to_fact("acme")]);
        assert_eq!(census.readiness(), Readiness { ready: 1, devices: 1 });
        let mut stand = |issuer, is_revoked: bool, expected| {
            let revocation = is_revoked.then(|| Revocation { at: now(), reason: 6 });
            let change = StandingChange { id: CertificateId { issuer, serial: vec![2] }, revocation, not_after: None };
            let (changes, facts) = (Cow::Owned(vec![change]), Cow::Owned(Vec::new()));
            census.take(&Entry::Standing { changes, event: event(), suppressed: 0, facts }).unwrap();
            assert_eq!(census.readiness(), Readiness { ready: expected, devices: expected });
        };
        stand(NEW, true, 1);
        stand(OLD, true, 0);
        stand(OLD, false, 1);
        let (id, revocation) = (CertificateId { issuer: OLD, serial: vec![2] }, Revocation { at: now(), reason: 0 });
        let facts = Cow::Owned(Vec::new());
        census.take(&Entry::Revoked { id, revocation, event: event(), suppressed: 0, facts }).unwrap();
        assert_eq!(census.readiness(), Readiness { ready: 0, devices: 0 });
        let forgotten = Fact { key: DeviceRecord::key("acme", "SN-1"), value: None };
        tell(&mut census, vec![forgotten]);
        assert_eq!(census.readiness(), Readiness { ready: 0, devices: 0 });
    }
}
