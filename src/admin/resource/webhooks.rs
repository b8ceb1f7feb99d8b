//! Webhooks: how they are doing, and what they gave up on.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{ManageServer, ReadServer};
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{Answering, Named, Parameters, ServerPermitted};
use crate::admin::page::{Listed, PageQuery, cursor};
use crate::admin::problem::Problem;
use crate::ra::RedeliveryError;
use crate::store::dead_letter::DeadLetter;
use crate::webhook::{EventType, WebhookState};

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct WebhookShown {
    /// Its name.
    name: String,
    /// Where events are posted to, without the query.
    url: String,
    /// Whose events; none for those of every tenant and of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenants: Option<Vec<String>>,
    /// Which events.
    events: Vec<&'static str>,
    /// The last record of the journal that is done with.
    cursor: u64,
    /// Attempts for the event that is under way, all of which failed.
    attempts: u32,
    /// Why the last attempt failed, until one succeeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    /// When the next attempt is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
    /// When an event was delivered last, since the server started.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_at: Option<String>,
    /// Events that were given up.
    dead_letters: usize,
}

impl WebhookShown {
    fn of(state: &WebhookState, dead_letters: usize) -> Self {
        let webhook = &state.webhook;
        Self {
            name: webhook.name.clone(),
            url: webhook.receiver.endpoint.to_string(),
            tenants: webhook.tenants.clone(),
            events: webhook.events.iter().copied().map(EventType::as_str).collect(),
            cursor: state.cursor,
            attempts: state.attempts,
            last_error: state.last_error.clone(),
            next_attempt_at: state.next_attempt_at.map(super::time),
            delivered_at: state.delivered_at.map(super::time),
            dead_letters,
        }
    }
}

/// An event that a webhook gave up on.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct DeadLetterShown {
    /// The number of its record in the journal, by which `listEvents` shows it.
    sequence: u64,
    /// When it was given up.
    at: String,
    /// How often it was tried.
    attempts: u32,
    /// Why the last attempt failed.
    error: String,
    /// An operator asked for another attempt, which was not made yet.
    requested: bool,
}

impl From<&DeadLetter> for DeadLetterShown {
    fn from(letter: &DeadLetter) -> Self {
        let DeadLetter { sequence, at, attempts, error, requested } = letter;
        Self {
            sequence: *sequence,
            at: super::time(*at),
            attempts: *attempts,
            error: error.clone(),
            requested: *requested,
        }
    }
}

/// Events that will be sent again.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct Redelivery {
    /// The webhook.
    webhook: String,
    /// How many.
    events: usize,
}

fn sequence(octets: &[u8]) -> Option<u64> {
    octets.try_into().ok().map(u64::from_be_bytes)
}

fn known(edge: &AdminEdge, webhook: &str) -> Result<(), Problem> {
    if edge.outbox.has(webhook) { Ok(()) } else { Err(Problem::not_found("there is no such webhook")) }
}

/// The webhooks, and how they are doing
#[utoipa::path(get, path = "/webhooks", tag = "webhooks", operation_id = "listWebhooks", responses(
    (status = 200, body = Listed<WebhookShown>),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::admin) async fn list_webhooks(
    State(edge): State<Arc<AdminEdge>>,
    ServerPermitted { grant, .. }: ServerPermitted<ReadServer>,
) -> Result<Json<Listed<WebhookShown>>, Problem> {
    let states = edge.outbox.states();
    let items = edge.on_store(move |ra| {
        let shown = states.iter().map(|state| {
            let dead_letters = ra.dead_letter_count(&grant, &state.webhook.name)?;
            Ok::<_, Problem>(WebhookShown::of(state, dead_letters))
        });
        shown.collect::<Result<_, _>>()
    });
    Ok(Json(Listed { items: items.await??, next: None }))
}

/// The events that a webhook gave up on, the first one first
#[utoipa::path(get, path = "/webhooks/{webhook}/dead-letters", tag = "webhooks", operation_id = "listDeadLetters",
    params(("webhook" = String, Path, description = "Webhook"), PageQuery),
    responses(
        (status = 200, body = Listed<DeadLetterShown>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn list_dead_letters(
    State(edge): State<Arc<AdminEdge>>,
    ServerPermitted { grant, .. }: ServerPermitted<ReadServer>,
    Named(webhook): Named<String>,
    Parameters(page): Parameters<PageQuery>,
) -> Result<Json<Listed<DeadLetterShown>>, Problem> {
    let (limit, place) = (page.limit()?, page.place(sequence)?);
    known(&edge, &webhook)?;
    let found = edge.on_store(move |ra| ra.dead_letters(&grant, &webhook, place, limit)).await??;
    let items = found.rows.iter().map(DeadLetterShown::from).collect();
    Ok(Json(Listed { items, next: found.next.map(|sequence| cursor(sequence.to_be_bytes())) }))
}

/// Try an event again that a webhook gave up on
#[utoipa::path(post, path = "/webhooks/{webhook}/dead-letters/{sequence}/redeliver", tag = "webhooks",
    operation_id = "redeliverDeadLetter",
    params(
        ("webhook" = String, Path, description = "Webhook"),
        ("sequence" = u64, Path, description = "The number of the event's record"),
    ),
    responses(
        (status = 202, body = Redelivery),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn redeliver_dead_letter(
    State(edge): State<Arc<AdminEdge>>,
    permitted: ServerPermitted<ManageServer>,
    Named((webhook, sequence)): Named<(String, u64)>,
) -> Result<Response, Problem> {
    redeliver(edge, permitted, webhook, Some(sequence)).await
}

/// Try all events again that a webhook gave up on
#[utoipa::path(post, path = "/webhooks/{webhook}/redeliver", tag = "webhooks", operation_id = "redeliverAll",
    params(("webhook" = String, Path, description = "Webhook")),
    responses(
        (status = 202, body = Redelivery),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn redeliver_all(
    State(edge): State<Arc<AdminEdge>>,
    permitted: ServerPermitted<ManageServer>,
    Named(webhook): Named<String>,
) -> Result<Response, Problem> {
    redeliver(edge, permitted, webhook, None).await
}

async fn redeliver(
    edge: Arc<AdminEdge>,
    permitted: ServerPermitted<ManageServer>,
    webhook: String,
    sequence: Option<u64>,
) -> Result<Response, Problem> {
    known(&edge, &webhook)?;
    let name = webhook.clone();
    let response = edge.record(move |ra| {
        // What is answered stands in the record, so the number must be known before it is made.
        let events = ra.asked_for(&permitted.grant, &name, sequence)?;
        let answer = Answering::new(StatusCode::ACCEPTED, &Redelivery { webhook: name.clone(), events })?;
        let grant = permitted.answering(&answer, ra)?;
        Ok((ra.redeliver(&grant, &name, sequence)?, answer))
    });
    let response = response.await?;
    edge.outbox.wake(&webhook);
    Ok(response)
}

impl From<RedeliveryError> for Problem {
    fn from(error: RedeliveryError) -> Self {
        let detail = error.to_string();
        match error {
            RedeliveryError::NoLetter => Self::not_found(detail),
            RedeliveryError::Store(fault) => fault.into(),
        }
    }
}
