//! How often what happened, hour by hour, and how many certificates end on which day.

use std::ops::Range;

use chrono::{DateTime, Utc};

use super::event::{EventEntry, OutcomeEntry};

/// Seconds of an hour.
const HOUR: i64 = 3_600;
/// Seconds of a day.
const DAY: i64 = 86_400;

/// An hour, counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(pub i64);

/// A day (UTC), counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i64);

impl Hour {
    /// The hour of a moment.
    pub const fn of(moment: DateTime<Utc>) -> Self {
        Self(moment.timestamp().div_euclid(HOUR))
    }

    /// Its first moment.
    pub fn start(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.0.checked_mul(HOUR)?, 0)
    }

    /// The day it is in.
    pub const fn day(self) -> Day {
        Day(self.0.div_euclid(DAY / HOUR))
    }
}

impl Day {
    /// The day of a moment.
    pub const fn of(moment: DateTime<Utc>) -> Self {
        Self(moment.timestamp().div_euclid(DAY))
    }

    /// Its first hour.
    pub const fn first_hour(self) -> Hour {
        Hour(self.0.saturating_mul(DAY / HOUR))
    }

    /// Its first moment.
    pub fn start(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.0.checked_mul(DAY)?, 0)
    }
}

/// What is counted together: events of one kind, with one code, at one label, within one hour.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// When.
    pub hour: Hour,
    /// The label; empty for what is of none.
    pub label: String,
    /// As [`OutcomeEntry::kind`] has it.
    pub kind: String,
    /// Of a refusal or an alarm, its code.
    pub code: Option<String>,
}

/// How often it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// What.
    pub subject: Subject,
    /// How often.
    pub count: u64,
}

/// How many certificates end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// When.
    pub day: Day,
    /// Those that were issued, whatever became of them.
    pub certificates: u64,
}

/// What an event counts as, and how much. `issued` says whether a certificate came with it: what the server certifies for
/// itself is counted nowhere.
pub(super) fn counted(event: &EventEntry<'_>, issued: bool) -> Option<(Subject, u64)> {
    let amount = match &event.outcome {
        OutcomeEntry::Issued { repeated: false, .. } if !issued => return None,
        OutcomeEntry::RevokedTogether { serials, .. } => serials.len() as u64,
        OutcomeEntry::Issued { .. }
        | OutcomeEntry::Refused { .. }
        | OutcomeEntry::Failed
        | OutcomeEntry::Revoked { .. }
        | OutcomeEntry::Deferred
        | OutcomeEntry::Changed { .. }
        | OutcomeEntry::Alarm { .. }
        | OutcomeEntry::Released { .. } => 1,
    };
    let subject = Subject {
        hour: Hour::of(event.at),
        label: event.label.to_string(),
        kind: event.outcome.kind().to_owned(),
        code: event.outcome.code().map(str::to_owned),
    };
    Some((subject, amount))
}

/// Lookups of what was counted. Like those of a [`Catalogue`](super::Catalogue) they show what is durable. Refusals that
/// were not written, there being too many, are not counted.
pub trait Tallies {
    /// What happened to a tenant within some hours, in the order of the subjects; `""` is the server itself.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn tallies(&self, tenant: &str, hours: Range<Hour>) -> Result<Vec<Tally>, super::StoreFault>;

    /// How many certificates of a tenant end on some days; days without any are left out.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn endings(&self, tenant: &str, days: Range<Day>) -> Result<Vec<Ending>, super::StoreFault>;
}
