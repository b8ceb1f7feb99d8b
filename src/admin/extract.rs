//! What a handler is given: grants, bodies, queries and preconditions, or the problem that stands in their place.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::edge::AdminEdge;
use super::problem::Problem;
use super::replay::Keyed;
use crate::access::{Denied, Grant, Operator, Permission, ServerGrant};
use crate::pki::digest::hex;
use crate::ra::RegistrationAuthority;
use crate::store::StoreFault;
use crate::store::device::DeviceVersion;

/// The right to do `P` within the tenant that the path names.
pub(super) struct Permitted<P> {
    pub(super) grant: Grant<P>,
    keyed: Option<Keyed>,
}

/// The right to do `P` for the whole server.
pub(super) struct ServerPermitted<P> {
    pub(super) grant: ServerGrant<P>,
    keyed: Option<Keyed>,
}

/// Who asks.
pub(super) struct Asking(pub(super) Operator);

/// What a change is answered with.
pub(super) struct Answering {
    status: StatusCode,
    body: Vec<u8>,
}

impl Answering {
    pub(super) fn new(status: StatusCode, body: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(body).map_err(|error| {
            tracing::error!(%error, "an answer cannot be written");
            Problem::internal()
        })?;
        Ok(Self { status, body })
    }

    pub(super) fn into_response(self) -> Response {
        let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        (self.status, headers, self.body).into_response()
    }

    fn facts(&self, keyed: Option<&Keyed>, ra: &RegistrationAuthority) -> Result<Vec<crate::store::Fact>, StoreFault> {
        let Some(keyed) = keyed else { return Ok(Vec::new()) };
        keyed.answer(ra.ports().store.as_ref(), ra.ports().clock.now(), self.status, self.body.clone())
    }
}

fn refuse_key(keyed: Option<&Keyed>) -> Result<(), Problem> {
    match keyed {
        None => Ok(()),
        Some(_) => Err(Problem::bad_request("this cannot be answered again: no Idempotency-Key is expected")),
    }
}

impl<P> Permitted<P> {
    /// The grant, for what cannot be answered again: a key would promise that it can.
    pub(super) fn unkeyed(self) -> Result<Grant<P>, Problem> {
        refuse_key(self.keyed.as_ref())?;
        Ok(self.grant)
    }

    /// The grant, by which the answer is recorded along with the change.
    pub(super) fn answering(self, answer: &Answering, ra: &RegistrationAuthority) -> Result<Grant<P>, StoreFault> {
        Ok(self.grant.answering(answer.facts(self.keyed.as_ref(), ra)?))
    }
}

impl<P> ServerPermitted<P> {
    /// The grant, for what cannot be answered again: a key would promise that it can.
    pub(super) fn unkeyed(self) -> Result<ServerGrant<P>, Problem> {
        refuse_key(self.keyed.as_ref())?;
        Ok(self.grant)
    }

    /// The grant, by which the answer is recorded along with the change.
    pub(super) fn answering(
        self,
        answer: &Answering,
        ra: &RegistrationAuthority,
    ) -> Result<ServerGrant<P>, StoreFault> {
        Ok(self.grant.answering(answer.facts(self.keyed.as_ref(), ra)?))
    }
}

impl FromRequestParts<Arc<AdminEdge>> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, _: &Arc<AdminEdge>) -> Result<Self, Problem> {
        head.extensions.get::<Operator>().cloned().map(Self).ok_or_else(Problem::nobody)
    }
}

/// What is answered in the place of a handler.
pub(super) enum Instead {
    /// A refusal.
    Refused(Problem),
    /// What the same request was answered before.
    Answered(Box<Response>),
}

impl From<Problem> for Instead {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<Denied> for Instead {
    fn from(denied: Denied) -> Self {
        Self::Refused(denied.into())
    }
}

impl IntoResponse for Instead {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(problem) => problem.into_response(),
            Self::Answered(response) => *response,
        }
    }
}

/// The key of the request, unless it was answered before. Only to be asked once it is clear that the operator may.
async fn unanswered(head: &Parts, edge: &Arc<AdminEdge>) -> Result<Option<Keyed>, Instead> {
    let Some(keyed) = head.extensions.get::<Keyed>().cloned() else { return Ok(None) };
    let found = keyed.clone();
    let before = edge.on_store(move |ra| found.before(ra.ports().store.as_ref(), ra.ports().clock.now())).await??;
    before.map_or(Ok(Some(keyed)), |response| Err(Instead::Answered(Box::new(response))))
}

impl<P: Permission> FromRequestParts<Arc<AdminEdge>> for Permitted<P> {
    type Rejection = Instead;

    async fn from_request_parts(head: &mut Parts, edge: &Arc<AdminEdge>) -> Result<Self, Instead> {
        let Asking(operator) = Asking::from_request_parts(head, edge).await?;
        let params = RawPathParams::from_request_parts(head, edge).await;
        let params = params.map_err(|error| Problem::bad_request(error.to_string()))?;
        let tenant = params.iter().find(|(name, _)| *name == "tenant").map(|(_, tenant)| tenant);
        let tenant = tenant.ok_or_else(Problem::internal)?;
        let grant = operator.within::<P>(tenant)?;
        if !edge.authority.load().has_tenant(tenant) {
            return Err(Problem::not_found("there is no such tenant").into());
        }
        Ok(Self { grant, keyed: unanswered(head, edge).await? })
    }
}

impl<P: Permission> FromRequestParts<Arc<AdminEdge>> for ServerPermitted<P> {
    type Rejection = Instead;

    async fn from_request_parts(head: &mut Parts, edge: &Arc<AdminEdge>) -> Result<Self, Instead> {
        let Asking(operator) = Asking::from_request_parts(head, edge).await?;
        Ok(Self { grant: operator.everywhere::<P>()?, keyed: unanswered(head, edge).await? })
    }
}

/// The parameters after the question mark.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<AdminEdge>> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, edge: &Arc<AdminEdge>) -> Result<Self, Problem> {
        let query = Query::from_request_parts(head, edge).await;
        query.map(|Query(parameters)| Self(parameters)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// What the path names, in order.
pub(super) struct Named<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<AdminEdge>> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, edge: &Arc<AdminEdge>) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(head, edge).await;
        path.map(|axum::extract::Path(named)| Self(named)).map_err(|error| Problem::bad_request(error.body_text()))
    }
}

/// A body of JSON.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<AdminEdge>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, edge: &Arc<AdminEdge>) -> Result<Self, Problem> {
        let body = Octets::from_request(request, edge).await?;
        if body.media_type != "application/json" {
            return Err(Problem::media_type(format!("application/json is expected, {:?} came", body.media_type)));
        }
        let decoded = serde_json::from_slice(&body.octets);
        decoded.map(Self).map_err(|error| Problem::unprocessable(format!("the body: {error}")))
    }
}

/// A body with its media type, in lower case and without parameters.
pub(super) struct Octets {
    pub(super) media_type: String,
    pub(super) octets: axum::body::Bytes,
}

impl FromRequest<Arc<AdminEdge>> for Octets {
    type Rejection = Problem;

    async fn from_request(request: Request, edge: &Arc<AdminEdge>) -> Result<Self, Problem> {
        let field = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = field.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        // The gate has received it, within its limits.
        let octets = axum::body::Bytes::from_request(request, edge).await;
        let octets = octets.map_err(|error| Problem::bad_request(error.body_text()))?;
        Ok(Self { media_type, octets })
    }
}

/// The state of a device that the client has seen (RFC 9110 section 13.1.1).
pub(super) struct Seen(pub(super) Option<DeviceVersion>);

impl FromRequestParts<Arc<AdminEdge>> for Seen {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, _: &Arc<AdminEdge>) -> Result<Self, Problem> {
        let Some(field) = head.headers.get(IF_MATCH) else { return Ok(Self(None)) };
        let text = field.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(None));
        }
        let digits = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let version =
            digits.filter(|digits| digits.len() == 16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        // A tag that was never given out is that of another state.
        let version = version.ok_or_else(|| Problem::changed("If-Match names no state of the device"))?;
        Ok(Self(Some(DeviceVersion(version.to_be_bytes()))))
    }
}

/// Names a state in an answer (RFC 9110 section 8.8.3).
pub(super) fn tagged(mut response: Response, version: DeviceVersion) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", hex(&version.0))) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}
