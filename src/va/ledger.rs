//! The revocations of one CA in memory, encoded once, in the order in which any part of them is spliced into a list.

use std::collections::BTreeMap;
use std::ops::Bound;

use chrono::{DateTime, Utc};
use estd_asn1::CrlReason;
use estd_asn1::crl::encode_entry;

use crate::pki::revocation::RevocationReason;
use crate::pki::shard::{SerialPlace, Shard};
use crate::store::crl::CrlBase;
use crate::store::{CertificateId, CertificateStore, Revocation, StandingChange, StoreFault};

/// Records read from the store at once.
const PAGE: usize = 4096;

/// A serial number, in the order of the parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    place: SerialPlace,
    serial: Box<[u8]>,
}

/// A revocation as it stands in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    entry: Box<[u8]>,
    /// Since when.
    at: DateTime<Utc>,
    /// notAfter, in seconds since 1970.
    not_after: i64,
    /// The record that made it so.
    sequence: u64,
}

/// A change since the oldest list that a delta CRL may build on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Recent {
    entry: Box<[u8]>,
    sequence: u64,
}

/// The revocations of one CA.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    seen: u64,
    listed: BTreeMap<Key, Listed>,
    recent: BTreeMap<Key, Recent>,
}

impl Ledger {
    /// Reads what changed since the last time; adds the places of the certificates whose lists are no longer true.
    ///
    /// # Errors
    /// When the store cannot be read; what was read so far is kept.
    pub fn follow(
        &mut self,
        store: &dyn CertificateStore,
        issuer: &[u8; 32],
        changed: &mut Vec<SerialPlace>,
    ) -> Result<(), StoreFault> {
        loop {
            let page = store.standings(issuer, self.seen, PAGE)?;
            let Some(last) = page.last().map(|logged| logged.sequence) else { return Ok(()) };
            for logged in page {
                for change in logged.changes {
                    let not_after = match change.not_after {
                        Some(not_after) => not_after,
                        None => end_of(store, &change.id)?,
                    };
                    changed.extend(self.apply(&change, not_after, logged.sequence));
                }
            }
            self.seen = last;
        }
    }

    /// The last record that was read.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// How many certificates are revoked.
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// The place of the certificate when its list changes with it.
    pub fn apply(&mut self, change: &StandingChange, not_after: i64, sequence: u64) -> Option<SerialPlace> {
        let serial = change.id.serial.as_slice();
        let place = SerialPlace::of(serial);
        let key = Key { place, serial: serial.into() };
        match change.revocation {
            Some(revocation) => {
                let entry: Box<[u8]> = encode(serial, &revocation).into();
                if self.listed.get(&key).is_some_and(|listed| listed.entry == entry) {
                    return None;
                }
                self.recent.insert(key.clone(), Recent { entry: entry.clone(), sequence });
                self.listed.insert(key, Listed { entry, at: revocation.at, not_after, sequence });
            }
            None => {
                let Listed { at, .. } = self.listed.remove(&key)?;
                // RFC 5280 §5.3.1: removeFromCRL stands in delta CRLs alone, for what was on hold.
                let entry = encode_entry(serial, at, CrlReason::RemoveFromCrl).into();
                self.recent.insert(key, Recent { entry, sequence });
            }
        }
        Some(place)
    }

    /// Drops what ended before `last`, a list of the schedule that had it, and changes that came before `oldest`.
    pub fn trim(&mut self, last: Option<&CrlBase>, oldest: Option<&CrlBase>) {
        // RFC 5280 §3.3: an entry stays "until it appears on one regularly scheduled CRL issued beyond the revoked
        // certificate's validity period".
        if let Some(last) = last {
            let at = last.at.timestamp();
            self.listed.retain(|_, listed| listed.not_after >= at || listed.sequence > last.sequence);
        }
        if let Some(oldest) = oldest {
            self.recent.retain(|_, recent| recent.sequence > oldest.sequence);
        }
    }

    /// The entries of a part, one after the other.
    pub fn entries(&self, shard: Shard) -> Vec<u8> {
        let mut spliced = Vec::new();
        within(&self.listed, shard).for_each(|listed| spliced.extend_from_slice(&listed.entry));
        spliced
    }

    /// The entries of a part that changed after a record, one after the other.
    pub fn changes(&self, shard: Shard, after: u64) -> Vec<u8> {
        let mut spliced = Vec::new();
        let changed = within(&self.recent, shard).filter(|recent| recent.sequence > after);
        changed.for_each(|recent| spliced.extend_from_slice(&recent.entry));
        spliced
    }
}

fn within<T>(map: &BTreeMap<Key, T>, shard: Shard) -> impl Iterator<Item = &T> {
    // No serial number is empty: the key without one stands before all of its place.
    let first = |place| Key { place, serial: Box::default() };
    let (from, to) = shard.places();
    let to = to.map_or(Bound::Unbounded, |place| Bound::Excluded(first(place)));
    map.range((Bound::Included(first(from)), to)).map(|(_, value)| value)
}

fn encode(serial: &[u8], revocation: &Revocation) -> Vec<u8> {
    let reason = RevocationReason::from_code(revocation.reason).unwrap_or(RevocationReason::Unspecified);
    encode_entry(serial, revocation.at, reason.crl_reason())
}

/// Of a record that does not say when the certificate ends.
fn end_of(store: &dyn CertificateStore, id: &CertificateId) -> Result<i64, StoreFault> {
    Ok(store.certificate(id)?.map_or(i64::MAX, |record| record.not_after.timestamp()))
}
