//! What is counted in the index, so that a figure costs a row an hour and not a look at every record.
//!
//! The row of the current hour would be written with each record, and sled copies a leaf for each row it writes. What was
//! counted since the last checkpoint is therefore held in memory, and written with the next one: from there records are
//! applied again after a crash. Counting twice must do no harm then: each count knows the last record that is in it, and
//! skips what is not after that.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::Mutex;

use sled::{Db, IVec};

use super::SledStore;
use super::index::{Index, corrupt};
use crate::store::claims::locked;
use crate::store::event::EventEntry;
use crate::store::journal::Entry;
use crate::store::tally::{self, Day, Ending, Hour, Subject, Tallies, Tally};
use crate::store::{CertificateRecord, Direction, StoreFault};

/// Most counts that are held in memory; with more, all are written.
const MOST_HELD: usize = 4_096;

/// What is to be counted: keys, with the records that add to each and how much, in their order.
pub(super) type Additions = BTreeMap<Vec<u8>, Vec<(u64, u64)>>;

/// A count, and the last record that is in it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    count: u64,
    last: u64,
}

/// The counts that the tree does not have yet, each with all that it has of them.
#[derive(Debug, Default)]
pub(super) struct HeldCounts(Mutex<BTreeMap<Vec<u8>, Count>>);

impl HeldCounts {
    /// Adds to counts.
    pub(super) fn add(&self, tree: &Db, additions: Additions) -> sled::Result<()> {
        let mut held = locked(&self.0);
        for (key, added) in additions {
            let before = match held.get(&key) {
                Some(count) => *count,
                None => tree.get(&key)?.and_then(|value| Count::decode(&value)).unwrap_or_default(),
            };
            held.insert(key, before.and(&added));
        }
        if held.len() > MOST_HELD { write(&mut held, tree) } else { Ok(()) }
    }

    /// Writes all of them.
    pub(super) fn write(&self, tree: &Db) -> sled::Result<()> {
        write(&mut locked(&self.0), tree)
    }

    /// Forgets them: the tree is another, or is brought up to date anew.
    pub(super) fn forget(&self) {
        locked(&self.0).clear();
    }

    fn within(&self, range: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> Vec<(Vec<u8>, Count)> {
        locked(&self.0).range(range.clone()).map(|(key, count)| (key.clone(), *count)).collect()
    }
}

fn write(held: &mut BTreeMap<Vec<u8>, Count>, tree: &Db) -> sled::Result<()> {
    for (key, count) in held.iter() {
        tree.insert(key, IVec::from(&count.encode()))?;
    }
    held.clear();
    Ok(())
}

impl Count {
    /// With those of the records that are not in it already.
    fn and(self, added: &[(u64, u64)]) -> Self {
        added
            .iter()
            .filter(|(sequence, _)| *sequence > self.last)
            .fold(self, |sum, (sequence, amount)| Self { count: sum.count.saturating_add(*amount), last: *sequence })
    }

    fn encode(self) -> [u8; 16] {
        let mut value = [0; 16];
        value[..8].copy_from_slice(&self.count.to_be_bytes());
        value[8..].copy_from_slice(&self.last.to_be_bytes());
        value
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let octets = u128::from_be_bytes(value.try_into().ok()?);
        Some(Self { count: (octets >> 64) as u64, last: octets as u64 })
    }
}

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
        // Before the rows: what is written meanwhile is found in both, and what is held is never less.
        let held = self.counts.within(&range);
        let rows = self.rows(under, range, Direction::Ascending, usize::MAX)?;
        let row = |(key, value): (IVec, IVec)| Some((key.to_vec(), Count::decode(&value)?));
        let mut counts: BTreeMap<_, _> =
            rows.into_iter().map(|found| row(found).ok_or_else(|| corrupt("no count"))).collect::<Result<_, _>>()?;
        for (key, count) in held {
            let known = counts.entry(key).or_default();
            if count.last > known.last {
                *known = count;
            }
        }
        Ok(counts.into_iter().map(|(key, count)| (key, count.count)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_held_up_to_a_limit_and_then_written() {
        let tree = sled::Config::new().temporary(true).open().unwrap();
        let held = HeldCounts::default();
        let key = |number: usize| number.to_be_bytes().to_vec();
        let add = |numbers: Range<usize>, sequence, amount| {
            held.add(&tree, numbers.map(|number| (key(number), vec![(sequence, amount)])).collect()).unwrap();
        };
        let written = |number| tree.get(key(number)).unwrap().map(|value| Count::decode(&value).unwrap());

        add(0..MOST_HELD, 1, 2);
        assert_eq!(tree.len(), 0);
        add(MOST_HELD..MOST_HELD + 1, 2, 3);
        assert_eq!((tree.len(), held.0.lock().unwrap().len()), (MOST_HELD + 1, 0));
        assert_eq!(written(MOST_HELD), Some(Count { count: 3, last: 2 }));

        // Applied again, and then what follows.
        add(0..1, 1, 2);
        add(0..1, 3, 5);
        held.write(&tree).unwrap();
        assert_eq!(written(0), Some(Count { count: 7, last: 3 }));
    }
}
