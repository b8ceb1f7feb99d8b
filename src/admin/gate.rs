//! What every request passes: who asks, from where, with what body, and whether it was answered before.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::edge::{AdminEdge, Arrival, Caller};
use super::problem::Problem;
use super::replay::{Keyed, MAX_KEY_OCTETS};
use crate::access::{Actor, Operator, PresentedToken, Standing};
use crate::http::receive;
use crate::pki::digest::{hex, sha256};
use crate::ra::LOCAL_PREFIX;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Lets a request through to its resource, or answers in its place.
pub(super) async fn pass(State(edge): State<Arc<AdminEdge>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let arrival = request.extensions().get::<Arrival>().cloned();
    let mut who = None;
    let response = match admit(&edge, request, &mut who).await {
        Ok(request) => run(request, next).await,
        Err(problem) => problem.into_response(),
    };
    if let Some(Arrival { source, request_id, .. }) = arrival {
        let status = response.status().as_u16();
        edge.metrics.admin_request(status);
        tracing::info!(request_id, peer = source, operator = who.as_deref(), %method, path = ?path, status, "operator");
    }
    response
}

/// Runs to its end, whether somebody still waits for it or not: the key of a request is given back when what it changed is
/// durable, and not before.
async fn run(request: Request, next: Next) -> Response {
    let keyed = request.extensions().get::<Keyed>().cloned();
    let running = tokio::spawn(async move {
        let response = next.run(request).await;
        drop(keyed);
        response
    });
    running.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request of an operator ended by a fault of ours");
        Problem::internal().into_response()
    })
}

async fn admit(edge: &Arc<AdminEdge>, request: Request, who: &mut Option<String>) -> Result<Request, Problem> {
    let (mut head, body) = request.into_parts();
    let Some(arrival) = head.extensions.get::<Arrival>().cloned() else { return Err(Problem::internal()) };
    let changes = !matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if changes && is_cross_site(&head.headers) {
        return Err(Problem::cross_site());
    }
    let presented = bearer(&head.headers)?;
    let operator = identify(edge, arrival, presented).await?;
    let Some(operator) = operator else {
        // Nobody changes anything, and of nobody nothing more is read.
        return if changes { Err(Problem::nobody()) } else { Ok(Request::from_parts(head, Body::empty())) };
    };
    let limits = edge.settings.load().limits;
    let body = receive(body, &limits).await.map_err(|rejection| Problem::of_body(&rejection))?;
    *who = Some(operator.actor().name.clone());
    if changes && let Some(keyed) = keyed(edge, &head, &operator, &body)? {
        head.extensions.insert(keyed);
    }
    head.extensions.insert(operator);
    Ok(Request::from_parts(head, Body::from(body)))
}

/// Who asks; `None` when nothing says so, which the documents that everybody may read do not mind.
async fn identify(
    edge: &Arc<AdminEdge>,
    arrival: Arrival,
    presented: Option<PresentedToken>,
) -> Result<Option<Operator>, Problem> {
    let Arrival { caller, source, request_id } = arrival;
    // What the request says counts before what the connection says: an admin at the console may act as another.
    if let Some(token) = presented {
        let recognised = edge.on_store(move |ra| ra.recognise(&token, &source, &request_id)).await??;
        return recognised.map(Some).map_err(|error| Problem::unauthenticated(error.to_string()));
    }
    let (name, credential, standing) = match caller {
        Caller::Local { uid } => (format!("{LOCAL_PREFIX}{uid}"), None, Standing::admin()),
        Caller::Remote { certificate } => {
            // Looked up for each request: who is removed from the configuration is nobody from the reload on.
            let settings = edge.settings.load();
            let pinned = settings.operators.iter().find(|operator| Some(operator.certificate) == certificate);
            let Some(pinned) = pinned else { return Ok(None) };
            let now = edge.authority.load().ports().clock.now();
            if !(pinned.valid.not_before..=pinned.valid.not_after).contains(&now) {
                return Err(Problem::unauthenticated("the operator's certificate is not valid now"));
            }
            let credential = format!("certificate:{}", hex(&pinned.certificate));
            (pinned.name.clone(), Some(credential), pinned.standing.clone())
        }
    };
    Ok(Some(Operator::proven(Actor { name, credential, source, request_id }, standing)))
}

fn bearer(headers: &HeaderMap) -> Result<Option<PresentedToken>, Problem> {
    let Some(field) = headers.get(AUTHORIZATION) else { return Ok(None) };
    // RFC 6750 §2.1; the scheme is compared without regard to case (RFC 9110 §11.1).
    let text = field.to_str().ok().and_then(|text| text.split_once(' '));
    let token = text.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let token = token.ok_or_else(|| Problem::unauthenticated("Authorization: Bearer and a token are expected"))?;
    PresentedToken::parse(token).map(Some).map_err(|error| Problem::unauthenticated(error.to_string()))
}

/// Whether a browser sends it on behalf of another site: a certificate would vouch for whoever made the page.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text(SEC_FETCH_SITE).is_some_and(|site| !matches!(site, "same-origin" | "none"));
    let origin = headers.contains_key(ORIGIN) && {
        let authority =
            text(ORIGIN.as_str()).and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
        authority.is_none() || authority != text(HOST.as_str())
    };
    site || origin
}

/// The request under its key, when it has one.
fn keyed(edge: &AdminEdge, head: &Parts, operator: &Operator, body: &Bytes) -> Result<Option<Keyed>, Problem> {
    let Some(key) = head.headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=MAX_KEY_OCTETS).contains(&key.len()));
    let key = key.ok_or_else(|| {
        Problem::bad_request(format!("an Idempotency-Key has 1 to {MAX_KEY_OCTETS} visible ASCII characters"))
    })?;
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    let parts = [head.method.as_str().as_bytes(), b" ", target.as_bytes(), b"\n", body];
    edge.in_flight.take_up(operator.identity(), key, sha256(&parts)).map(Some)
}
