//! What the world may know of the certificates of each CA, over plain HTTP on a listener of its own.

use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, RETRY_AFTER,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

use super::connection::{HttpLimits, drive};
use super::metrics::Metrics;
use super::ocsp;
use super::reply::{self, Reply};
use crate::est::{Rejection, RejectionCode};
use crate::va::{Issuer, Published, Resource, ValidationAuthority};

/// How long a list may be kept before it is asked for anew, which costs next to nothing: a revocation is seen so soon.
const LIST_MAX_AGE: TimeDelta = TimeDelta::minutes(5);
/// The same of a CA certificate.
const CERTIFICATE_MAX_AGE: TimeDelta = TimeDelta::days(1);
/// Octets of a body: an OCSP request for as many certificates as any CA may be asked for, each by SHA-256, has them.
const MAX_BODY: usize = 16 * 1024;
/// Seconds after which what is not there yet may be asked for again.
const NOT_YET_RETRY: u32 = 1;
/// RFC 9110 section 5.6.7
const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

/// What the public listener shows.
pub struct PublicEdge {
    authority: Arc<ArcSwap<ValidationAuthority>>,
    pub(super) limits: HttpLimits,
    pub(super) metrics: Arc<Metrics>,
    /// One for each OCSP answer that may be worked at.
    pub(super) responses: Arc<Semaphore>,
}

impl PublicEdge {
    /// `authority` is looked at for each request.
    pub fn new(authority: Arc<ArcSwap<ValidationAuthority>>, limits: HttpLimits, metrics: Arc<Metrics>) -> Self {
        // A request for a status is small; nothing else has a body here.
        let limits = HttpLimits { max_body: limits.max_body.min(MAX_BODY), ..limits };
        Self { authority, limits, metrics, responses: Arc::new(Semaphore::new(limits.max_ocsp_responses)) }
    }

    async fn answer(&self, request: Request<Incoming>, refused: Option<Rejection>) -> Reply {
        let (resource, reply) = match refused {
            Some(rejection) => ("-", reply::refusal(&rejection, None, None)),
            None => self.serve(request).await,
        };
        self.metrics.public_request(resource, reply.status().as_u16());
        reply
    }

    /// The kind of what was asked for, and the answer.
    async fn serve(&self, request: Request<Incoming>) -> (&'static str, Reply) {
        let authority = self.authority.load_full();
        // Byte for byte: no two spellings of a path name one document.
        let Some((issuer, resource)) = authority.find(request.uri().path()) else {
            return ("-", not_found());
        };
        match resource {
            Resource::Crl(_) => ("crl", document(&request, issuer, resource, authority.now())),
            Resource::Delta(_) => ("delta", document(&request, issuer, resource, authority.now())),
            Resource::Certificate => ("ca", document(&request, issuer, resource, authority.now())),
            Resource::Ocsp => ("ocsp", ocsp::answer(self, &authority, issuer, request).await),
        }
    }
}

/// Serves the public pages on a connection until it closes.
pub async fn serve_public_connection<Io>(io: Io, edge: Arc<PublicEdge>, shutdown: impl Future<Output = ()>)
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let limits = edge.limits;
    drive(io, limits, shutdown, move |request, refused| {
        let edge = Arc::clone(&edge);
        async move { edge.answer(request, refused).await }
    })
    .await;
}

fn document(request: &Request<Incoming>, issuer: &Issuer, resource: Resource, now: DateTime<Utc>) -> Reply {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return method_not_allowed("GET, HEAD");
    }
    let Some(published) = issuer.document(resource) else {
        // A list that will be there in a moment, or none that ever was.
        return if issuer.lists().is_empty() { not_yet() } else { not_found() };
    };
    let (content_type, max_age) = match resource {
        // RFC 2585 §4
        Resource::Crl(_) | Resource::Delta(_) => ("application/pkix-crl", LIST_MAX_AGE),
        Resource::Certificate | Resource::Ocsp => ("application/pkix-cert", CERTIFICATE_MAX_AGE),
    };
    let left = published.next_update.map_or(max_age, |end| (end - now).min(max_age));
    let mut reply = if is_current(request.headers(), &published) {
        // RFC 9110 §15.4.5
        status_only(StatusCode::NOT_MODIFIED)
    } else {
        body_of(&published, content_type)
    };
    caching(&mut reply, &published, left);
    reply
}

/// What caches need to know of a document that is true for so long.
pub(super) fn caching(reply: &mut Reply, published: &Published, left: TimeDelta) {
    let headers = reply.headers_mut();
    let left = left.num_seconds().max(0);
    insert(headers, CACHE_CONTROL, &format!("public, max-age={left}, no-transform, must-revalidate"));
    insert(headers, ETAG, &published.tag);
    insert(headers, LAST_MODIFIED, &http_date(published.this_update));
}

/// The octets are those that are held ready: nothing is copied.
pub(super) fn body_of(published: &Published, content_type: &'static str) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from_owner(Arc::clone(&published.der))));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Set here and not left to hyper, so that HEAD has it too.
    headers.insert(CONTENT_LENGTH, HeaderValue::from(published.der.len()));
    reply
}

/// Whether who asks has it already (RFC 9110 section 13.2.2: the tag counts before the date).
fn is_current(headers: &HeaderMap, published: &Published) -> bool {
    if headers.contains_key(IF_NONE_MATCH) {
        // RFC 9110 §13.1.2: weak comparison.
        let tags = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut tags = tags.flat_map(|value| value.split(',')).map(|tag| tag.trim());
        return tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == published.tag);
    }
    let since = headers.get(IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
    let since = since.and_then(|text| NaiveDateTime::parse_from_str(text, HTTP_DATE).ok());
    since.is_some_and(|since| published.this_update <= since.and_utc())
}

pub(super) fn http_date(time: DateTime<Utc>) -> String {
    time.format(HTTP_DATE).to_string()
}

fn not_found() -> Reply {
    let reason = "no such path, expected one under /crl/, /ca/ or /ocsp/";
    reply::refusal(&Rejection::new(RejectionCode::NotFound, "RFC 9110 15.5.5", reason), None, None)
}

pub(super) fn method_not_allowed(allowed: &'static str) -> Reply {
    let reason = format!("this takes {allowed}");
    let mut reply =
        reply::refusal(&Rejection::new(RejectionCode::MethodNotAllowed, "RFC 9110 15.5.6", reason), None, None);
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}

/// The last answer of its connection: the rest of a body may still be on its way.
pub(super) fn with_close(mut reply: Reply) -> Reply {
    reply::close_after(&mut reply);
    reply
}

fn not_yet() -> Reply {
    let mut reply = reply::text(StatusCode::SERVICE_UNAVAILABLE, "estd: unavailable: the list is being made\n");
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(NOT_YET_RETRY));
    reply
}

fn status_only(status: StatusCode) -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = status;
    reply
}

pub(super) fn insert(headers: &mut HeaderMap, name: hyper::header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
