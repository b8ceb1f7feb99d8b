//! What happened: to the server, to a tenant, to a device.

#![expect(unused_qualifications, reason = "what documents the parameters is written by a macro")]

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::{ReadRegistry, ReadServer};
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{Named, Parameters, Permitted, ServerPermitted};
use crate::admin::page::{Listed, PageQuery, cursor};
use crate::admin::problem::Problem;
use crate::pki::digest::hex;
use crate::pki::revocation::RevocationReason;
use crate::ra::{EventFilter, Page};
use crate::store::event::OutcomeEntry;
use crate::store::{Direction, LoggedEvent};

/// An event of the audit.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct Event {
    /// The number of its record in the journal.
    sequence: u64,
    /// When it was decided.
    at: String,
    /// issued, repeated, refused, deferred, failed, revoked, released, changed or alarm.
    kind: &'static str,
    /// The stable code of a refusal or an alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// Why, or what is so now, for people to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<String>,
    /// The serial numbers of the certificates it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    serials: Vec<String>,
    /// Tenant.
    #[serde(skip_serializing_if = "String::is_empty")]
    tenant: String,
    /// Label.
    #[serde(skip_serializing_if = "String::is_empty")]
    label: String,
    /// What was asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    operation: String,
    /// The device, once its identity was proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// The operator who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    /// The credential that was verified or tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
    /// SHA-256 of the certificate the peer presented.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    /// The peer's address.
    #[serde(skip_serializing_if = "String::is_empty")]
    source: String,
    /// What stands in the log lines and the answer of the request.
    #[serde(skip_serializing_if = "String::is_empty")]
    request_id: String,
    /// Refusals since the record before that were counted and not written.
    #[serde(skip_serializing_if = "is_zero")]
    suppressed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A reason of a CRL by its name.
fn reason_text(code: u8) -> Option<String> {
    RevocationReason::from_code(code).map(|reason| reason.to_string())
}

impl From<&LoggedEvent> for Event {
    fn from(logged: &LoggedEvent) -> Self {
        let event = &logged.event;
        let (what, serials) = match &event.outcome {
            OutcomeEntry::Issued { serial, .. } | OutcomeEntry::Released { serial } => (None, vec![hex(serial)]),
            OutcomeEntry::Revoked { serial, reason } => (reason_text(*reason), vec![hex(serial)]),
            OutcomeEntry::RevokedTogether { serials, reason } => {
                (reason_text(*reason), serials.iter().map(|serial| hex(&serial.0)).collect())
            }
            OutcomeEntry::Refused { reason, .. } | OutcomeEntry::Alarm { reason, .. } => {
                (Some(reason.to_string()), Vec::new())
            }
            OutcomeEntry::Changed { what } => (Some(what.to_string()), Vec::new()),
            OutcomeEntry::Failed | OutcomeEntry::Deferred => (None, Vec::new()),
        };
        Self {
            sequence: logged.sequence,
            at: super::time(event.at),
            kind: event.outcome.kind(),
            code: event.outcome.code().map(str::to_owned),
            what,
            serials,
            tenant: event.tenant.to_string(),
            label: event.label.to_string(),
            operation: event.operation.to_string(),
            device: event.device.as_deref().map(str::to_owned),
            actor: event.actor.as_deref().map(str::to_owned),
            credential: event.credential.as_deref().map(str::to_owned),
            peer: event.peer.map(|peer| hex(&peer)),
            source: event.source.to_string(),
            request_id: event.request_id.to_string(),
            suppressed: logged.suppressed,
        }
    }
}

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(in crate::admin) struct EventQuery {
    /// issued, repeated, refused, deferred, failed, revoked, released, changed or alarm.
    kind: Option<String>,
    /// Refusals and alarms with this code.
    code: Option<String>,
    /// At this label.
    label: Option<String>,
    /// Of this operator.
    actor: Option<String>,
    /// Not earlier.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<DateTime<Utc>>,
    /// Earlier.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<DateTime<Utc>>,
    /// Which is shown first.
    order: Order,
    /// Only what comes after this sequence number, with `order=oldest`: to read on as more happens.
    #[param(minimum = 0)]
    after: Option<i64>,
}

/// Which event is shown first.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::admin) enum Order {
    /// The last one.
    #[default]
    Newest,
    /// The first one.
    Oldest,
}

impl From<Order> for Direction {
    fn from(order: Order) -> Self {
        match order {
            Order::Newest => Self::Descending,
            Order::Oldest => Self::Ascending,
        }
    }
}

impl EventQuery {
    /// The filter, and where to begin when no page was there before.
    fn split(self) -> Result<(EventFilter, Direction, Option<u64>), Problem> {
        let Self { kind, code, label, actor, since, until, order, after } = self;
        let direction = Direction::from(order);
        let after = after.map(u64::try_from).transpose();
        let after = after.map_err(|_| Problem::bad_request("after is the sequence number of an event"))?;
        let begin = after.filter(|_| direction == Direction::Ascending);
        Ok((EventFilter { kind, code, label, actor, since, until }, direction, begin))
    }
}

fn sequence(octets: &[u8]) -> Option<u64> {
    octets.try_into().ok().map(u64::from_be_bytes)
}

fn shown(found: &Page<LoggedEvent, u64>) -> Json<Listed<Event>> {
    let items = found.rows.iter().map(Event::from).collect();
    Json(Listed { items, next: found.next.map(|sequence| cursor(sequence.to_be_bytes())) })
}

/// What happened, to whichever tenant and to the server
#[utoipa::path(get, path = "/events", tag = "events", operation_id = "listEvents", params(EventQuery, PageQuery), responses(
    (status = 200, body = Listed<Event>),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::admin) async fn server_events(
    State(edge): State<Arc<AdminEdge>>,
    ServerPermitted { grant, .. }: ServerPermitted<ReadServer>,
    Parameters(query): Parameters<EventQuery>,
    Parameters(page): Parameters<PageQuery>,
) -> Result<Json<Listed<Event>>, Problem> {
    let (limit, place) = (page.limit()?, page.place(sequence)?);
    let (filter, direction, begin) = query.split()?;
    let place = place.or(begin);
    let found = edge.on_store(move |ra| ra.server_events(&grant, &filter, place, direction, limit)).await??;
    Ok(shown(&found))
}

/// What happened to a tenant
#[utoipa::path(get, path = "/tenants/{tenant}/events", tag = "events", operation_id = "listTenantEvents",
    params(("tenant" = String, Path, description = "Tenant"), EventQuery, PageQuery),
    responses(
        (status = 200, body = Listed<Event>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn tenant_events(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ReadRegistry>,
    Parameters(query): Parameters<EventQuery>,
    Parameters(page): Parameters<PageQuery>,
) -> Result<Json<Listed<Event>>, Problem> {
    let (limit, place) = (page.limit()?, page.place(sequence)?);
    let (filter, direction, begin) = query.split()?;
    let place = place.or(begin);
    let found = edge.on_store(move |ra| ra.tenant_events(&grant, &filter, place, direction, limit)).await??;
    Ok(shown(&found))
}

/// What happened to a device, the last first
#[utoipa::path(get, path = "/tenants/{tenant}/devices/{device}/events", tag = "devices", operation_id = "listDeviceEvents",
    params(
        ("tenant" = String, Path, description = "Tenant"),
        ("device" = String, Path, description = "Device id"),
        PageQuery,
    ),
    responses(
        (status = 200, body = Listed<Event>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn device_events(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ReadRegistry>,
    Named((_, device)): Named<(String, String)>,
    Parameters(page): Parameters<PageQuery>,
) -> Result<Json<Listed<Event>>, Problem> {
    let (limit, place) = (page.limit()?, page.place(sequence)?);
    let found = edge.on_store(move |ra| ra.timeline(&grant, &device, place, limit)).await??;
    Ok(shown(&found))
}
