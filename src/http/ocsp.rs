//! OCSP over HTTP (RFC 6960 appendix A, RFC 9919 section 7): requests out of paths and bodies, answers for caches.

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, EXPIRES, HeaderValue};
use hyper::{Method, Request};

use super::body;
use super::public::{PublicEdge, body_of, caching, http_date, insert, method_not_allowed, with_close};
use super::reply::{self, Reply};
use crate::est::{Rejection, RejectionCode, transfer};
use crate::va::{Issuer, OcspAnswer, OcspResponseStatus, ValidationAuthority};

/// RFC 6960 appendix A.1
const REQUEST: &str = "application/ocsp-request";
const RESPONSE: &str = "application/ocsp-response";

/// Segments of a path before the request in it: `/ocsp/TENANT/AUTHORITY/`.
const SEGMENTS_BEFORE: usize = 4;

/// Answers a request to a responder.
pub(super) async fn answer(
    edge: &PublicEdge,
    authority: &Arc<ValidationAuthority>,
    issuer: &Arc<Issuer>,
    request: Request<Incoming>,
) -> Reply {
    let (head, incoming) = request.into_parts();
    let der = if head.method == Method::GET || head.method == Method::HEAD {
        in_path(head.uri.path())
    } else if head.method == Method::POST {
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_request = content_type.is_some_and(|name| name.trim().eq_ignore_ascii_case(REQUEST));
        match body::receive(incoming, &edge.limits).await {
            Err(rejection) => return with_close(reply::refusal(&rejection, None, None)),
            Ok(_) if !is_request => return unsupported(),
            Ok(body) => Some(body.to_vec()),
        }
    } else {
        return method_not_allowed("GET, HEAD, POST");
    };
    // RFC 6960 §2.3: what does not read is answered too.
    let Some(der) = der else {
        return written(edge, &OcspAnswer::error(OcspResponseStatus::MalformedRequest, authority.now()), authority);
    };
    // Whoever comes when all are at work is told so at once: nothing piles up.
    let Ok(turn) = Arc::clone(&edge.responses).try_acquire_owned() else {
        return written(edge, &OcspAnswer::error(OcspResponseStatus::TryLater, authority.now()), authority);
    };
    let (asked, ports) = (Arc::clone(issuer), authority.ports().clone());
    let answered = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        asked.answer(&der, &ports)
    });
    let answer =
        answered.await.unwrap_or_else(|_| OcspAnswer::error(OcspResponseStatus::InternalError, authority.now()));
    if let Some(fault) = &answer.fault {
        tracing::error!(authority = issuer.name(), error = %fault, "an OCSP request was not answered");
    }
    written(edge, &answer, authority)
}

/// RFC 6960 appendix A.1: base64, percent-encoded where clients think that it must be; slashes of base64 stand as they are.
fn in_path(path: &str) -> Option<Vec<u8>> {
    let text = path.splitn(SEGMENTS_BEFORE + 1, '/').nth(SEGMENTS_BEFORE)?;
    let der = transfer::decode(&percent_decoded(text)?).ok()?;
    (!der.is_empty()).then_some(der)
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let digit = |octet: Option<u8>| char::from(octet?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        octets.push(u8::try_from(high << 4 | low).ok()?);
    }
    Some(octets)
}

fn written(edge: &PublicEdge, answer: &OcspAnswer, authority: &ValidationAuthority) -> Reply {
    edge.metrics.ocsp_answered(&answer.says);
    let mut reply = body_of(&answer.response, RESPONSE);
    match answer.response.next_update.filter(|_| answer.is_shared) {
        // RFC 9919 §7.2: it may be kept until the next one, by whoever it passes.
        Some(next_update) => {
            caching(&mut reply, &answer.response, next_update - authority.now());
            insert(reply.headers_mut(), EXPIRES, &http_date(next_update));
        }
        None => {
            reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
    reply
}

fn unsupported() -> Reply {
    let reason = "the Content-Type of a request is application/ocsp-request";
    let rejection = Rejection::new(RejectionCode::UnsupportedMediaType, "RFC 6960 A.1", reason);
    let mut reply: hyper::Response<Full<Bytes>> = reply::refusal(&rejection, None, None);
    reply.headers_mut().insert(ACCEPT, HeaderValue::from_static(REQUEST));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_in_a_path_is_base64_however_it_is_escaped() {
        // 0xfb 0xff 0xbf holds both signs that URLs have another meaning for.
        for text in ["+/+/", "%2B/%2b%2F", "%2b%2f+/"] {
            assert_eq!(in_path(&format!("/ocsp/acme/issuing/{text}")), Some(vec![0xfb, 0xff, 0xbf]), "{text}");
        }
        assert_eq!(in_path("/ocsp/acme/issuing/AA%3D%3D"), Some(vec![0]));
        for text in ["", "/", "%", "%2", "%zz", "*", "AA"] {
            let read = in_path(&format!("/ocsp/acme/issuing/{text}"));
            assert!(read.is_none(), "{text} {read:?}");
        }
        assert_eq!(in_path("/ocsp/acme/issuing"), None);
    }
}
