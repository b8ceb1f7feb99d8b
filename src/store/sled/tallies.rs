//! What is counted in the index, so that a figure costs a row an hour and not a look at every record.
//!
//! Counting twice must do no harm: after a crash records are applied again that the tree has already. Each count therefore
//! knows the last record that is in it, and skips what is not after that.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use super::SledStore;
use super::index::{Index, corrupt};
use crate::store::event::EventEntry;
use crate::store::journal::Entry;
use crate::store::tally::{self, Day, Ending, Hour, Subject, Tallies, Tally};
use crate::store::{CertificateRecord, Direction, StoreFault};

/// What is to be counted: keys, with the records that add to each and how much, in their order.
pub(super) type Counts = BTreeMap<Vec<u8>, Vec<(u64, u64)>>;

/// Stands between kind and code.
const BETWEEN: u8 = 0;

/// The key that a record adds to, and how much.
pub(super) fn tally_of(entry: &Entry<'_>) -> Option<(Vec<u8>, u64)> {
    let issued = match entry {
        Entry::Issued { .. } => true,
        Entry::Revoked { .. } | Entry::Event { .. } | Entry::Facts { .. } | Entry::Standing { .. } => false,
    };
    let event: &EventEntry<'_> = entry.event();
    let (subject, amount) = tally::counted(event, issued)?;
    let code = subject.code.as_deref().unwrap_or_default();
    let (label, kind) = (subject.label.as_bytes(), subject.kind.as_bytes());
    let key = [&hour_key(&event.tenant, subject.hour)[..], &length(label), label, kind, &[BETWEEN], code.as_bytes()];
    Some((key.concat(), amount))
}

/// The key of the certificates that end with this one.
pub(super) fn ending_key(record: &CertificateRecord) -> Vec<u8> {
    day_key(&record.tenant, Day::of(record.not_after))
}

/// The value that follows the one that is there, if it does not have all of it already.
pub(super) fn counted(value: Option<&[u8]>, added: &[(u64, u64)]) -> Option<[u8; 16]> {
    let (count, last) = value.and_then(decode).unwrap_or_default();
    let new: Vec<_> = added.iter().filter(|(sequence, _)| *sequence > last).collect();
    let (last, _) = new.last()?;
    let count = new.iter().fold(count, |count, (_, amount)| count.saturating_add(*amount));
    let mut value = [0; 16];
    value[..8].copy_from_slice(&count.to_be_bytes());
    value[8..].copy_from_slice(&last.to_be_bytes());
    Some(value)
}

/// The count, and the last record in it.
fn decode(value: &[u8]) -> Option<(u64, u64)> {
    let octets = u128::from_be_bytes(value.try_into().ok()?);
    Some(((octets >> 64) as u64, octets as u64))
}

fn length(name: &[u8]) -> [u8; 4] {
    (name.len() as u32).to_be_bytes()
}

fn hours_prefix(tenant: &str) -> Vec<u8> {
    [b"n", &length(tenant.as_bytes())[..], tenant.as_bytes()].concat()
}

fn days_prefix(tenant: &str) -> Vec<u8> {
    [b"y", &length(tenant.as_bytes())[..], tenant.as_bytes()].concat()
}

/// The sign turned, as negative numbers come first.
fn number(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
}

fn hour_key(tenant: &str, hour: Hour) -> Vec<u8> {
    [&hours_prefix(tenant)[..], &number(hour.0)].concat()
}

fn day_key(tenant: &str, day: Day) -> Vec<u8> {
    [&days_prefix(tenant)[..], &number(day.0)].concat()
}

/// What follows the number in a key, with the number.
fn split(key: &[u8], prefix: usize) -> Option<(i64, &[u8])> {
    let (octets, rest) = key.get(prefix..)?.split_first_chunk()?;
    Some((i64::from_be_bytes(*octets) ^ i64::MIN, rest))
}

fn subject(key: &[u8], prefix: usize) -> Option<Subject> {
    let (hour, rest) = split(key, prefix)?;
    let (length, rest) = rest.split_first_chunk()?;
    let (label, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let between = rest.iter().position(|octet| *octet == BETWEEN)?;
    let text = |octets: &[u8]| std::str::from_utf8(octets).ok().map(str::to_owned);
    let code = text(&rest[between + 1..])?;
    Some(Subject {
        hour: Hour(hour),
        label: text(label)?,
        kind: text(&rest[..between])?,
        code: (!code.is_empty()).then_some(code),
    })
}

impl Tallies for SledStore {
    fn tallies(&self, tenant: &str, hours: Range<Hour>) -> Result<Vec<Tally>, StoreFault> {
        self.shared.reach.catch_up();
        let under = hours_prefix(tenant);
        let rows = self.shared.index.counts(&under, hour_key(tenant, hours.start), hour_key(tenant, hours.end))?;
        let tally = |(key, count): (Vec<u8>, u64)| Some(Tally { subject: subject(&key, under.len())?, count });
        rows.into_iter().map(|row| tally(row).ok_or_else(|| corrupt("no subject of a count"))).collect()
    }

    fn endings(&self, tenant: &str, days: Range<Day>) -> Result<Vec<Ending>, StoreFault> {
        self.shared.reach.catch_up();
        let under = days_prefix(tenant);
        let rows = self.shared.index.counts(&under, day_key(tenant, days.start), day_key(tenant, days.end))?;
        let ending =
            |(key, certificates): (Vec<u8>, u64)| Some(Ending { day: Day(split(&key, under.len())?.0), certificates });
        rows.into_iter().map(|row| ending(row).ok_or_else(|| corrupt("no day of a count"))).collect()
    }
}

impl Index {
    /// The counts from one key to before another.
    fn counts(&self, under: &[u8], from: Vec<u8>, to: Vec<u8>) -> Result<Vec<(Vec<u8>, u64)>, StoreFault> {
        if from >= to {
            return Ok(Vec::new());
        }
        let range = (Bound::Included(from), Bound::Excluded(to));
        let rows = self.rows(under, range, Direction::Ascending, usize::MAX)?;
        let count = |value: &[u8]| decode(value).map(|(count, _)| count).ok_or_else(|| corrupt("no count"));
        rows.into_iter().map(|(key, value)| Ok((key.to_vec(), count(&value)?))).collect()
    }
}
