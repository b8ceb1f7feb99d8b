//! What happened: to the server, to a tenant, to a device.

#![expect(unused_qualifications, reason = "what documents the parameters is written by a macro")]

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::access::{ReadRegistry, ReadServer};
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{Named, Parameters, Permitted, ServerPermitted};
use crate::admin::page::{Listed, PageQuery, cursor};
use crate::admin::problem::Problem;
use crate::ra::{EventFilter, Page};
use crate::store::{Direction, LoggedEvent};
use crate::trail::Event;

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
    /// Of the request with this id: the X-Request-Id of its answer, which a refusal tells too.
    request: Option<String>,
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
        let Self { kind, code, label, actor, request, since, until, order, after } = self;
        let direction = Direction::from(order);
        let after = after.map(u64::try_from).transpose();
        let after = after.map_err(|_| Problem::bad_request("after is the sequence number of an event"))?;
        let begin = after.filter(|_| direction == Direction::Ascending);
        Ok((EventFilter { kind, code, label, actor, request, since, until }, direction, begin))
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
