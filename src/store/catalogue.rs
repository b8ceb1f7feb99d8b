//! What operators look up: certificates in the order in which they end, events in the order in which they were recorded.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::event::EventEntry;
use super::{CertificateId, CertificateRecord, LoggedStanding, StoreFault};

/// The lookups of operators. Unlike the verbs of a [`CertificateStore`](super::CertificateStore) they show what is durable,
/// and nothing else; what a receipt resolved for before the call is shown.
pub trait Catalogue {
    /// Certificates of a tenant in the order of [`ExpiryPlace`], at most `limit`.
    ///
    /// # Errors
    /// When the index or the journal cannot be read.
    fn certificates(
        &self,
        tenant: &str,
        span: &Span<ExpiryPlace>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(ExpiryPlace, Arc<CertificateRecord>)>, StoreFault>;

    /// How many certificates of a tenant end at `moment` or later, revoked or not.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn count_certificates(&self, tenant: &str, moment: DateTime<Utc>) -> Result<u64, StoreFault>;

    /// The events of a device in the order of their sequence numbers, at most `limit`. Ids that differ in case alone name one
    /// device.
    ///
    /// # Errors
    /// When the index or the journal cannot be read.
    fn device_events(
        &self,
        tenant: &str,
        device: &str,
        span: &Span<u64>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, StoreFault>;

    /// All events in the order of their sequence numbers, at most `limit`.
    ///
    /// # Errors
    /// When the index or the journal cannot be read.
    fn events(&self, span: &Span<u64>, direction: Direction, limit: usize) -> Result<Vec<LoggedEvent>, StoreFault>;

    /// How the standing of an issuer's certificates changed after the record `after`, in the order of the records, at most
    /// `limit` records.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn standings(&self, issuer: &[u8; 32], after: u64, limit: usize) -> Result<Vec<LoggedStanding>, StoreFault>;
}

/// A certificate's place among those of its tenant: by notAfter, then by the record that it came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpiryPlace {
    /// notAfter, in seconds since 1970.
    pub not_after: i64,
    /// Sequence number of the record.
    pub sequence: u64,
}

impl ExpiryPlace {
    /// Before every certificate that ends at `moment` or later, and after all others.
    pub const fn first_at(moment: DateTime<Utc>) -> Self {
        Self { not_after: moment.timestamp(), sequence: 0 }
    }
}

/// What lies between two places, without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<T> {
    /// Only what comes after it.
    pub after: Option<T>,
    /// Only what comes before it.
    pub before: Option<T>,
}

impl<T> Span<T> {
    /// Everything.
    pub const fn all() -> Self {
        Self { after: None, before: None }
    }

    /// What follows a place in a direction.
    pub fn beyond(place: T, direction: Direction) -> Self {
        match direction {
            Direction::Ascending => Self { after: Some(place), before: None },
            Direction::Descending => Self { after: None, before: Some(place) },
        }
    }
}

impl<T: Ord> Span<T> {
    /// Whether a place lies within.
    pub fn contains(&self, place: &T) -> bool {
        self.after.as_ref().is_none_or(|after| place > after)
            && self.before.as_ref().is_none_or(|before| place < before)
    }
}

/// Which end is shown first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The smallest first.
    Ascending,
    /// The largest first.
    Descending,
}

impl Direction {
    /// The first `limit` of `rows`, which are in ascending order.
    pub(super) fn take<T>(self, rows: impl DoubleEndedIterator<Item = T>, limit: usize) -> Vec<T> {
        match self {
            Self::Ascending => rows.take(limit).collect(),
            Self::Descending => rows.rev().take(limit).collect(),
        }
    }
}

/// An event as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEvent {
    /// The number of its record; records are numbered from 1 without a gap.
    pub sequence: u64,
    /// What binds the record to all before it. One that was lost had another than the one that has its number now.
    pub hash: [u8; 32],
    /// What happened.
    pub event: EventEntry<'static>,
    /// The certificate that was issued with it, or the one whose standing changed, when it was one alone.
    pub certificate: Option<CertificateId>,
    /// Refusals since the record before that were counted and not written.
    pub suppressed: u64,
}
