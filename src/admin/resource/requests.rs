//! Requests that wait for an operator.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{DecideRequests, ReadRegistry};
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{Answering, Json, Named, Parameters, Permitted};
use crate::admin::page::{Listed, PageQuery, cursor};
use crate::admin::problem::Problem;
use crate::pki::digest::hex;
use crate::ra::RequestKey;
use crate::store::approval::{Decision, PendingRequest};

/// Longest reason of a denial, in octets: the device is told it in one line.
const MAX_REASON_OCTETS: usize = 200;

/// A request that an operator decides.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct RequestShown {
    /// What names it.
    id: String,
    /// The label it came to.
    label: String,
    /// The device that asks.
    device: String,
    /// The subject it would be certified with.
    subject: String,
    /// The subjectAltName entries.
    subject_alt_names: Vec<String>,
    /// SHA-256 of the SubjectPublicKeyInfo to be certified.
    key: String,
    /// SHA-256 of the certificate that was presented with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    /// When it came first.
    requested_at: String,
    /// waiting, approved or denied. What is decided stays until it comes again.
    decision: &'static str,
    /// Why it was denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<&PendingRequest> for RequestShown {
    fn from(request: &PendingRequest) -> Self {
        let (decision, reason) = match &request.decision {
            Decision::Waiting => ("waiting", None),
            Decision::Approved => ("approved", None),
            Decision::Denied { reason } => ("denied", Some(reason.clone())),
        };
        Self {
            id: hex(&request.request.0),
            label: request.label.clone(),
            device: request.device.clone(),
            subject: request.subject.clone(),
            subject_alt_names: request.subject_alt_names.clone(),
            key: hex(&request.spki_sha256),
            peer: request.peer.map(|peer| hex(&peer)),
            requested_at: super::time(request.requested_at),
            decision,
            reason,
        }
    }
}

/// What was said to a request.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct RequestDecided {
    /// The request.
    id: String,
    /// approved or denied.
    decision: &'static str,
}

/// Why a request is denied.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct Denial {
    /// What the device is told; up to 200 octets.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

/// The requests that wait, or were decided and did not come again
#[utoipa::path(get, path = "/tenants/{tenant}/requests", tag = "requests", operation_id = "listRequests",
    params(("tenant" = String, Path, description = "Tenant"), PageQuery),
    responses(
        (status = 200, body = Listed<RequestShown>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn list_requests(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ReadRegistry>,
    Parameters(page): Parameters<PageQuery>,
) -> Result<axum::Json<Listed<RequestShown>>, Problem> {
    let limit = page.limit()?;
    let after = page.place(|octets| octets.try_into().ok().map(RequestKey))?;
    let found = edge.on_store(move |ra| ra.requests(&grant, after, limit)).await??;
    let items = found.rows.iter().map(RequestShown::from).collect();
    Ok(axum::Json(Listed { items, next: found.next.map(|request| cursor(request.0)) }))
}

/// A request
#[utoipa::path(get, path = "/tenants/{tenant}/requests/{request}", tag = "requests", operation_id = "showRequest",
    params(("tenant" = String, Path, description = "Tenant"), ("request" = String, Path, description = "Request id")),
    responses(
        (status = 200, body = RequestShown),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn show_request(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ReadRegistry>,
    Named((_, id)): Named<(String, String)>,
) -> Result<axum::Json<RequestShown>, Problem> {
    let request = key(&id)?;
    let found = edge.on_store(move |ra| ra.request(&grant, &request)).await??;
    let found = found.ok_or_else(|| Problem::not_found("there is no such request"))?;
    Ok(axum::Json((&found).into()))
}

/// Approves a request: it is answered with a certificate when it comes again
#[utoipa::path(post, path = "/tenants/{tenant}/requests/{request}/approve", tag = "requests",
    operation_id = "approveRequest",
    params(("tenant" = String, Path, description = "Tenant"), ("request" = String, Path, description = "Request id")),
    responses(
        (status = 200, body = RequestDecided),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn approve_request(
    State(edge): State<Arc<AdminEdge>>,
    permitted: Permitted<DecideRequests>,
    Named((_, id)): Named<(String, String)>,
) -> Result<Response, Problem> {
    decide(&edge, permitted, &id, Decision::Approved, "approved").await
}

/// Denies a request: it is refused when it comes again
#[utoipa::path(post, path = "/tenants/{tenant}/requests/{request}/deny", tag = "requests", operation_id = "denyRequest",
    params(("tenant" = String, Path, description = "Tenant"), ("request" = String, Path, description = "Request id")),
    request_body = Denial,
    responses(
        (status = 200, body = RequestDecided),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn deny_request(
    State(edge): State<Arc<AdminEdge>>,
    permitted: Permitted<DecideRequests>,
    Named((_, id)): Named<(String, String)>,
    Json(Denial { reason }): Json<Denial>,
) -> Result<Response, Problem> {
    if !(1..=MAX_REASON_OCTETS).contains(&reason.len()) || reason.contains(char::is_control) {
        let expected = format!("a reason has 1 to {MAX_REASON_OCTETS} octets and no control characters");
        return Err(Problem::unprocessable(expected));
    }
    decide(&edge, permitted, &id, Decision::Denied { reason }, "denied").await
}

async fn decide(
    edge: &Arc<AdminEdge>,
    permitted: Permitted<DecideRequests>,
    id: &str,
    decision: Decision,
    word: &'static str,
) -> Result<Response, Problem> {
    let request = key(id)?;
    edge.record(move |ra| {
        let answer = Answering::new(StatusCode::OK, &RequestDecided { id: hex(&request.0), decision: word })?;
        let receipt = ra.decide_request(&permitted.answering(&answer, ra)?, &request, decision)?;
        Ok((receipt, answer))
    })
    .await
}

/// What has another form names no request.
fn key(id: &str) -> Result<RequestKey, Problem> {
    super::digest(id).map(RequestKey).ok_or_else(|| Problem::not_found("there is no such request"))
}
