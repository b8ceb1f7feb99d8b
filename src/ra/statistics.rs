//! Figures for operators: what happened over time, why requests were refused, when certificates end.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::RegistrationAuthority;
use crate::access::{Grant, ReadRegistry, ReadServer, ServerGrant};
use crate::store::StoreFault;
use crate::store::tally::{Day, Ending, Hour, Tally};

/// Most steps of one answer.
pub const MAX_STEPS: usize = 400;

/// How long each step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// An hour.
    Hour,
    /// A day, UTC.
    Day,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatisticsQuery {
    /// From the step that this is in.
    pub since: DateTime<Utc>,
    /// To the step that this is in.
    pub until: DateTime<Utc>,
    /// How long each step is.
    pub step: Step,
    /// At this label alone.
    pub label: Option<String>,
}

/// Why there are no figures.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StatisticsRefused {
    /// Too many steps, or none.
    #[error("1 to {MAX_STEPS} steps are shown, from since to until; {0} are asked for")]
    Steps(i64),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// What happened within one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Certificates issued.
    pub issued: u64,
    /// Certificates handed out again, the answer having been lost.
    pub repeated: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Requests that began to wait for an operator.
    pub deferred: u64,
    /// Requests that failed by the server's doing.
    pub failed: u64,
    /// Certificates revoked, or put on hold.
    pub revoked: u64,
    /// Certificates released from hold.
    pub released: u64,
}

/// Figures over some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// Step after step, by its first moment; none is left out.
    pub steps: Vec<(DateTime<Utc>, Activity)>,
    /// All refusals by code.
    pub refusals: BTreeMap<String, u64>,
    /// All alarms by code.
    pub alarms: BTreeMap<String, u64>,
}

/// When certificates end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endings {
    /// Day after day from today on; none is left out.
    pub days: Vec<(DateTime<Utc>, u64)>,
    /// Those that end after these days.
    pub later: u64,
}

impl RegistrationAuthority {
    /// Figures of a tenant.
    ///
    /// # Errors
    /// When too much is asked for, or the store cannot tell.
    pub fn statistics(
        &self,
        grant: &Grant<ReadRegistry>,
        query: &StatisticsQuery,
    ) -> Result<Statistics, StatisticsRefused> {
        self.figures(query, [grant.tenant().to_owned()])
    }

    /// Figures of every tenant that is configured together, and of requests that reached none.
    ///
    /// # Errors
    /// When too much is asked for, or the store cannot tell.
    pub fn server_statistics(
        &self,
        _grant: &ServerGrant<ReadServer>,
        query: &StatisticsQuery,
    ) -> Result<Statistics, StatisticsRefused> {
        self.figures(query, self.tenants().into_iter().chain([String::new()]))
    }

    /// When the certificates of a tenant end: those that were issued, revoked and renewed ones among them.
    ///
    /// # Errors
    /// When too much is asked for, or the store cannot tell.
    pub fn endings(&self, grant: &Grant<ReadRegistry>, days: usize) -> Result<Endings, StatisticsRefused> {
        self.endings_of(days, [grant.tenant().to_owned()])
    }

    /// The same of every tenant that is configured.
    ///
    /// # Errors
    /// When too much is asked for, or the store cannot tell.
    pub fn server_endings(&self, _grant: &ServerGrant<ReadServer>, days: usize) -> Result<Endings, StatisticsRefused> {
        self.endings_of(days, self.tenants())
    }

    fn tenants(&self) -> std::collections::BTreeSet<String> {
        self.labels().map(|label| label.tenant.clone()).collect()
    }

    fn figures(
        &self,
        query: &StatisticsQuery,
        tenants: impl IntoIterator<Item = String>,
    ) -> Result<Statistics, StatisticsRefused> {
        let (first, last) = (query.step.of(query.since), query.step.of(query.until));
        let count = last.saturating_sub(first).saturating_add(1);
        let steps = usize::try_from(count).ok().filter(|steps| (1..=MAX_STEPS).contains(steps));
        let steps = steps.ok_or(StatisticsRefused::Steps(count))?;
        let starts = (first..=last).filter_map(|number| query.step.start(number));
        let mut figures = Statistics {
            steps: starts.map(|start| (start, Activity::default())).collect(),
            refusals: BTreeMap::new(),
            alarms: BTreeMap::new(),
        };
        if figures.steps.len() < steps {
            return Err(StatisticsRefused::Steps(count));
        }
        let hours = query.step.first_hour(first)..query.step.first_hour(last + 1);
        for tenant in tenants {
            for tally in self.ports.store.tallies(&tenant, hours.clone())? {
                if query.label.as_ref().is_none_or(|label| tally.subject.label == *label) {
                    figures.add(&tally, query.step.of_hour(tally.subject.hour) - first);
                }
            }
        }
        Ok(figures)
    }

    fn endings_of(&self, days: usize, tenants: impl IntoIterator<Item = String>) -> Result<Endings, StatisticsRefused> {
        if !(1..=MAX_STEPS).contains(&days) {
            return Err(StatisticsRefused::Steps(i64::try_from(days).unwrap_or(i64::MAX)));
        }
        let today = Day::of(self.ports.clock.now());
        let day = |number: usize| Day(today.0 + i64::try_from(number).unwrap_or(i64::MAX));
        let starts = (0..days).filter_map(|number| day(number).start());
        let mut endings = Endings { days: starts.map(|start| (start, 0)).collect(), later: 0 };
        for tenant in tenants {
            for Ending { day, certificates } in self.ports.store.endings(&tenant, today..Day(i64::MAX))? {
                let number = usize::try_from(day.0 - today.0).unwrap_or(usize::MAX);
                match endings.days.get_mut(number) {
                    Some((_, count)) => *count += certificates,
                    None => endings.later += certificates,
                }
            }
        }
        Ok(endings)
    }
}

impl Statistics {
    fn add(&mut self, tally: &Tally, step: i64) {
        let place = usize::try_from(step).ok().and_then(|step| self.steps.get_mut(step));
        let Some((_, activity)) = place else { return };
        let count = match tally.subject.kind.as_str() {
            "issued" => &mut activity.issued,
            "repeated" => &mut activity.repeated,
            "refused" => &mut activity.refused,
            "deferred" => &mut activity.deferred,
            "failed" => &mut activity.failed,
            "revoked" => &mut activity.revoked,
            "released" => &mut activity.released,
            "alarm" => {
                let code = tally.subject.code.clone().unwrap_or_default();
                *self.alarms.entry(code).or_default() += tally.count;
                return;
            }
            _ => return,
        };
        *count += tally.count;
        if let ("refused", Some(code)) = (tally.subject.kind.as_str(), &tally.subject.code) {
            *self.refusals.entry(code.clone()).or_default() += tally.count;
        }
    }
}

impl Step {
    /// The number of the step that a moment is in.
    const fn of(self, moment: DateTime<Utc>) -> i64 {
        match self {
            Self::Hour => Hour::of(moment).0,
            Self::Day => Day::of(moment).0,
        }
    }

    const fn of_hour(self, hour: Hour) -> i64 {
        match self {
            Self::Hour => hour.0,
            Self::Day => hour.day().0,
        }
    }

    const fn first_hour(self, number: i64) -> Hour {
        match self {
            Self::Hour => Hour(number),
            Self::Day => Day(number).first_hour(),
        }
    }

    fn start(self, number: i64) -> Option<DateTime<Utc>> {
        match self {
            Self::Hour => Hour(number).start(),
            Self::Day => Day(number).start(),
        }
    }

    /// From when on figures are shown, when nothing is said: two days, or thirty.
    pub fn since(self, until: DateTime<Utc>) -> DateTime<Utc> {
        until
            - match self {
                Self::Hour => TimeDelta::hours(47),
                Self::Day => TimeDelta::days(29),
            }
    }
}
