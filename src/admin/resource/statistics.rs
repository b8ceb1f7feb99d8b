//! Figures: what happened over time, why requests were refused, when certificates end.

#![expect(unused_qualifications, reason = "what documents the parameters is written by a macro")]

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::{ReadRegistry, ReadServer};
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{Parameters, Permitted, ServerPermitted};
use crate::admin::problem::Problem;
use crate::ra::{Endings, Statistics, StatisticsQuery, Step};

/// Days that are shown when nothing is said.
const DEFAULT_DAYS: u16 = 90;

/// What happened within one step.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct StepShown {
    /// Its first moment.
    start: String,
    /// Certificates issued.
    issued: u64,
    /// Certificates handed out again, the answer having been lost.
    repeated: u64,
    /// Requests refused.
    refused: u64,
    /// Requests that began to wait for an operator.
    deferred: u64,
    /// Requests that failed by the server's doing.
    failed: u64,
    /// Certificates revoked, or put on hold.
    revoked: u64,
    /// Certificates released from hold.
    released: u64,
}

/// Figures over some time.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct StatisticsShown {
    /// Step after step; none is left out.
    steps: Vec<StepShown>,
    /// All refusals by their code. Refusals that came too fast to be written are not among them.
    refusals: BTreeMap<String, u64>,
    /// All alarms by their code.
    alarms: BTreeMap<String, u64>,
}

impl From<Statistics> for StatisticsShown {
    fn from(figures: Statistics) -> Self {
        let steps = figures.steps.iter().map(|(start, activity)| StepShown {
            start: super::time(*start),
            issued: activity.issued,
            repeated: activity.repeated,
            refused: activity.refused,
            deferred: activity.deferred,
            failed: activity.failed,
            revoked: activity.revoked,
            released: activity.released,
        });
        Self { steps: steps.collect(), refusals: figures.refusals, alarms: figures.alarms }
    }
}

/// Certificates that end on a day.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct DayShown {
    /// Its first moment, UTC.
    start: String,
    /// How many; revoked and renewed ones are among them.
    certificates: u64,
}

/// When certificates end.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct ExpiryShown {
    /// Day after day from today on; none is left out.
    days: Vec<DayShown>,
    /// Certificates that end after these days.
    later: u64,
}

impl From<Endings> for ExpiryShown {
    fn from(endings: Endings) -> Self {
        let day = |(start, certificates): &(_, _)| DayShown { start: super::time(*start), certificates: *certificates };
        Self { days: endings.days.iter().map(day).collect(), later: endings.later }
    }
}

/// How long each step is.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::admin) enum By {
    /// A day, UTC.
    #[default]
    Day,
    /// An hour.
    Hour,
}

impl From<By> for Step {
    fn from(by: By) -> Self {
        match by {
            By::Day => Self::Day,
            By::Hour => Self::Hour,
        }
    }
}

/// Which figures.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(in crate::admin) struct FiguresQuery {
    /// day or hour.
    by: By,
    /// From the step that this is in; without it 30 days, or 48 hours. At most 400 steps are shown.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<DateTime<Utc>>,
    /// To the step that this is in; without it to now.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<DateTime<Utc>>,
    /// At this label alone.
    label: Option<String>,
}

impl FiguresQuery {
    fn at(self, now: DateTime<Utc>) -> StatisticsQuery {
        let (step, until) = (Step::from(self.by), self.until.unwrap_or(now));
        StatisticsQuery { since: self.since.unwrap_or_else(|| step.since(until)), until, step, label: self.label }
    }
}

/// How many days.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(in crate::admin) struct ExpiryQuery {
    /// Days that are shown, from today on.
    #[param(minimum = 1, maximum = 400, default = 90)]
    days: Option<u16>,
}

impl ExpiryQuery {
    fn days(&self) -> usize {
        self.days.unwrap_or(DEFAULT_DAYS).into()
    }
}

/// What happened to a tenant over time, and why requests were refused
#[utoipa::path(get, path = "/tenants/{tenant}/statistics", tag = "statistics", operation_id = "showTenantStatistics",
    params(("tenant" = String, Path, description = "Tenant"), FiguresQuery),
    responses(
        (status = 200, body = StatisticsShown),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn tenant_statistics(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ReadRegistry>,
    Parameters(query): Parameters<FiguresQuery>,
) -> Result<Json<StatisticsShown>, Problem> {
    let found = edge.on_store(move |ra| ra.statistics(&grant, &query.at(ra.ports().clock.now())));
    Ok(Json(found.await??.into()))
}

/// The same of all tenants together, and of requests that reached none
#[utoipa::path(get, path = "/statistics", tag = "statistics", operation_id = "showStatistics", params(FiguresQuery),
    responses(
        (status = 200, body = StatisticsShown),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn server_statistics(
    State(edge): State<Arc<AdminEdge>>,
    ServerPermitted { grant, .. }: ServerPermitted<ReadServer>,
    Parameters(query): Parameters<FiguresQuery>,
) -> Result<Json<StatisticsShown>, Problem> {
    let found = edge.on_store(move |ra| ra.server_statistics(&grant, &query.at(ra.ports().clock.now())));
    Ok(Json(found.await??.into()))
}

/// How many certificates of a tenant end on which day
#[utoipa::path(get, path = "/tenants/{tenant}/statistics/expiry", tag = "statistics", operation_id = "showTenantExpiry",
    params(("tenant" = String, Path, description = "Tenant"), ExpiryQuery),
    responses(
        (status = 200, body = ExpiryShown),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn tenant_expiry(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ReadRegistry>,
    Parameters(query): Parameters<ExpiryQuery>,
) -> Result<Json<ExpiryShown>, Problem> {
    Ok(Json(edge.on_store(move |ra| ra.endings(&grant, query.days())).await??.into()))
}

/// The same of all tenants together
#[utoipa::path(get, path = "/statistics/expiry", tag = "statistics", operation_id = "showExpiry", params(ExpiryQuery),
    responses(
        (status = 200, body = ExpiryShown),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn server_expiry(
    State(edge): State<Arc<AdminEdge>>,
    ServerPermitted { grant, .. }: ServerPermitted<ReadServer>,
    Parameters(query): Parameters<ExpiryQuery>,
) -> Result<Json<ExpiryShown>, Problem> {
    Ok(Json(edge.on_store(move |ra| ra.server_endings(&grant, query.days())).await??.into()))
}
