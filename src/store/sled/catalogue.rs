//! The lookups of operators, once the index has caught up with the journal.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::SledStore;
use super::index::{Index, IndexError, corrupt};
use super::key::{
    Key, MILESTONE_EVERY, bounds, decode_expiry_place, expiry_place, expiry_prefix, standings_prefix, timeline_prefix,
};
use crate::store::journal::Entry;
use crate::store::{
    Catalogue, CertificateRecord, Direction, ExpiryPlace, LoggedEvent, LoggedStanding, Span, StoreFault,
};

impl Catalogue for SledStore {
    fn certificates(
        &self,
        tenant: &str,
        span: &Span<ExpiryPlace>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(ExpiryPlace, Arc<CertificateRecord>)>, StoreFault> {
        self.shared.reach.catch_up();
        self.shared.index.certificates(tenant, span, direction, limit)
    }

    fn count_certificates(&self, tenant: &str, moment: DateTime<Utc>) -> Result<u64, StoreFault> {
        self.shared.reach.catch_up();
        Ok(self.shared.index.count_certificates(tenant, moment)?)
    }

    fn device_events(
        &self,
        tenant: &str,
        device: &str,
        span: &Span<u64>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, StoreFault> {
        self.shared.reach.catch_up();
        self.shared.index.device_events(tenant, device, span, direction, limit)
    }

    fn events(&self, span: &Span<u64>, direction: Direction, limit: usize) -> Result<Vec<LoggedEvent>, StoreFault> {
        self.shared.reach.catch_up();
        self.shared.index.events(span, direction, limit)
    }

    fn standings(&self, issuer: &[u8; 32], after: u64, limit: usize) -> Result<Vec<LoggedStanding>, StoreFault> {
        self.shared.reach.catch_up();
        self.shared.index.standings(issuer, after, limit)
    }
}

impl Index {
    fn certificates(
        &self,
        tenant: &str,
        span: &Span<ExpiryPlace>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(ExpiryPlace, Arc<CertificateRecord>)>, StoreFault> {
        let under = expiry_prefix(tenant);
        let bounds = bounds(&under, span, |place| expiry_place(*place));
        let rows = self.rows(&under, bounds, direction, limit)?;
        let shown = rows.into_iter().map(|(key, place)| {
            let at = key[under.len()..].first_chunk().ok_or_else(|| corrupt("no place in the index"))?;
            Ok((decode_expiry_place(at), self.record_at(&place)?))
        });
        shown.collect()
    }

    /// Looks at keys alone.
    fn count_certificates(&self, tenant: &str, moment: DateTime<Utc>) -> Result<u64, IndexError> {
        let under = expiry_prefix(tenant);
        let from = [&under[..], &expiry_place(ExpiryPlace::first_at(moment))].concat();
        self.with(|tree| {
            let keys = tree.range(from..).keys();
            let within = keys.take_while(|key| key.as_ref().map_or(true, |key| key.starts_with(&under)));
            within.map(|key| key.map(|_| 1)).sum()
        })
    }

    fn device_events(
        &self,
        tenant: &str,
        device: &str,
        span: &Span<u64>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, StoreFault> {
        let under = timeline_prefix(tenant, device);
        let rows = self.rows(&under, bounds(&under, span, |sequence| sequence.to_be_bytes()), direction, limit)?;
        let shown = rows.into_iter().map(|(key, place)| {
            let sequence = key[under.len()..].first_chunk().ok_or_else(|| corrupt("no number in the index"))?;
            let (payload, hash) = self.payload_at(&place)?;
            shown(u64::from_be_bytes(*sequence), hash, &payload)
        });
        shown.collect()
    }

    fn standings(&self, issuer: &[u8; 32], after: u64, limit: usize) -> Result<Vec<LoggedStanding>, StoreFault> {
        let under = standings_prefix(issuer);
        let beyond = Span { after: Some(after), before: None };
        let bounds = bounds(&under, &beyond, |sequence: &u64| sequence.to_be_bytes());
        let rows = self.rows(&under, bounds, Direction::Ascending, limit)?;
        let logged = rows.into_iter().map(|(key, changes)| {
            let sequence = key[under.len()..].first_chunk().ok_or_else(|| corrupt("no number in the index"))?;
            let changes = minicbor::decode(&changes).map_err(corrupt)?;
            Ok(LoggedStanding { sequence: u64::from_be_bytes(*sequence), changes })
        });
        logged.collect()
    }

    fn events(&self, span: &Span<u64>, direction: Direction, limit: usize) -> Result<Vec<LoggedEvent>, StoreFault> {
        let last = self.progress()?.map_or(0, |progress| progress.head.sequence);
        let first = span.after.unwrap_or(0) + 1;
        let last = span.before.map_or(last, |before| last.min(before.saturating_sub(1)));
        let mut events = Vec::new();
        if last < first {
            return Ok(events);
        }
        // The journal is read forward from milestone to milestone.
        let numbers = first / MILESTONE_EVERY..=last / MILESTONE_EVERY;
        for number in direction.take(numbers, limit / MILESTONE_EVERY as usize + 2) {
            let start = (number * MILESTONE_EVERY).max(1);
            let stretch = self.stretch(start, first.max(start), last.min((number + 1) * MILESTONE_EVERY - 1))?;
            events.append(&mut direction.take(stretch.into_iter(), usize::MAX));
        }
        events.truncate(limit);
        Ok(events)
    }

    /// The records `from` to `to`, found by reading on from a milestone.
    fn stretch(&self, milestone: u64, from: u64, to: u64) -> Result<Vec<LoggedEvent>, StoreFault> {
        let start = self.get(&Key::Milestone(milestone))?.ok_or_else(|| corrupt("a milestone is missing"))?;
        let mut start = u64::from_be_bytes(*start.first_chunk().ok_or_else(|| corrupt("a milestone without a place"))?);
        let mut events = Vec::new();
        for sequence in milestone..=to {
            let frame = self.journal.frame(start).map_err(corrupt)?;
            let (head, payload) = frame
                .filter(|(head, _)| head.sequence == sequence)
                .ok_or_else(|| corrupt(format!("record {sequence} is not at its place in the journal")))?;
            if sequence >= from {
                events.push(shown(sequence, head.hash, &payload)?);
            }
            start = head.end;
        }
        Ok(events)
    }
}

fn shown(sequence: u64, hash: [u8; 32], payload: &[u8]) -> Result<LoggedEvent, StoreFault> {
    let (event, certificate, suppressed) = match Entry::decode(payload).map_err(corrupt)? {
        Entry::Issued { record, event, suppressed, .. } => (event, Some(record.id.clone()), suppressed),
        Entry::Revoked { id, event, suppressed, .. } => (event, Some(id), suppressed),
        Entry::Standing { changes, event, suppressed, .. } => {
            let id = match &*changes {
                [change] => Some(change.id.clone()),
                _ => None,
            };
            (event, id, suppressed)
        }
        Entry::Facts { event, suppressed, .. } | Entry::Event { event, suppressed } => (event, None, suppressed),
    };
    Ok(LoggedEvent { sequence, hash, event: event.into_owned(), certificate, suppressed })
}
