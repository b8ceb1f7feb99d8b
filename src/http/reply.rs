//! Answers, in the exact shape that real EST clients accept.
//!
//! Content-Length always, field names in title case, the head well under 1,024 octets, and everything in one buffer, so
//! that it leaves in one write: clients are known to fail on each of these.

use chrono::{DateTime, SecondsFormat, Utc};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};

use super::multipart::{self, Part};
use super::route;
pub(super) use crate::est::printable::printable;
use crate::est::transfer::{self, LineWrapping};
use crate::est::{DeliveredKey, EstResponse, Operation, Rejection, RejectionCode, RenewalInfo, ResponseBody};
use crate::ra::{Challenge, Fault};

/// An answer; its body is known in full.
pub(super) type Reply = Response<Full<Bytes>>;

/// The field that carries the request id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// RFC 2045; obsolete since RFC 8951, and yet asked for: without it Bouncy Castle takes the body for DER.
const CONTENT_TRANSFER_ENCODING: HeaderName = HeaderName::from_static("content-transfer-encoding");

/// Seconds after which a client that came too often may come again.
const TOO_MANY_REQUESTS_RETRY: u32 = 10;

/// What a certificate is answered as; one client compares it octet by octet.
const CERTS_ONLY: &str = "application/pkcs7-mime; smime-type=certs-only";

/// What a Full PKI Response is answered as.
const CMC_RESPONSE: &str = "application/pkcs7-mime; smime-type=CMC-response";

/// The answer to a request that succeeded.
pub(super) fn success(response: &EstResponse, wrapping: LineWrapping) -> Reply {
    // Compared literally by some clients: no parameter on the first, this one parameter on the second.
    match &response.body {
        // RFC 7030 §4.1.3
        ResponseBody::CaCerts(der) => base64("application/pkcs7-mime", der, wrapping),
        // RFC 7030 §4.2.3
        ResponseBody::Issued(der) => private(base64(CERTS_ONLY, der, wrapping)),
        // RFC 7030 §4.2.3: 202 with Retry-After, in digits, and a text for people.
        ResponseBody::Deferred { retry_after } => {
            let sentence = "estd: deferred: the request waits for an operator; send it again later\n";
            let mut reply = text(StatusCode::ACCEPTED, sentence);
            self::retry_after(reply.headers_mut(), *retry_after);
            reply
        }
        // RFC 7030 §4.4.2
        ResponseBody::KeyGenerated { key, certificate } => {
            let part = |content_type, der: &[u8]| Part { content_type, body: transfer::encode(der, wrapping).into() };
            let key = match key {
                DeliveredKey::Plain(der) => part("application/pkcs8", der),
                DeliveredKey::Encrypted(der) => part("application/pkcs7-mime; smime-type=server-generated-key", der),
            };
            private(mixed(&[key, part(CERTS_ONLY, certificate)]))
        }
        // RFC 7030 §4.3.2, and §4.2.3 for what waits.
        ResponseBody::FullPki { response, retry_after } => {
            let mut reply = private(base64(CMC_RESPONSE, response, wrapping));
            if let Some(seconds) = retry_after {
                *reply.status_mut() = StatusCode::ACCEPTED;
                self::retry_after(reply.headers_mut(), *seconds);
            }
            reply
        }
        // RFC 7030 §4.5.2
        ResponseBody::CsrAttrs { attrs: Some(der), tailored } => {
            let reply = base64("application/csrattrs", der, wrapping);
            if *tailored { private(reply) } else { reply }
        }
        ResponseBody::RenewalInfo(info) => renewal_info(info),
        // RFC 7030 §4.5.2: "the server MAY respond with … 204".
        ResponseBody::CsrAttrs { attrs: None, .. } => {
            let mut reply = Response::new(Full::default());
            *reply.status_mut() = StatusCode::NO_CONTENT;
            reply
        }
    }
}

/// A refusal told by a Full PKI Response (RFC 7030 section 4.3.2): status and fields are what they would be without.
pub(super) fn told_by_cmc(refusal: Reply, response: &[u8], wrapping: LineWrapping) -> Reply {
    let (head, _) = refusal.into_parts();
    let mut reply = base64(CMC_RESPONSE, response, wrapping);
    *reply.status_mut() = head.status;
    for (name, value) in &head.headers {
        if ![CONTENT_TYPE, CONTENT_LENGTH].contains(name) {
            reply.headers_mut().append(name, value.clone());
        }
    }
    private(reply)
}

/// draft-ietf-lamps-est-renewal-info section 3.2: JSON as it is, since RFC 8951 has no base64 around what came after it.
fn renewal_info(info: &RenewalInfo) -> Reply {
    let moment = |moment: DateTime<Utc>| moment.to_rfc3339_opts(SecondsFormat::Secs, true);
    let (start, end) = (moment(info.start), moment(info.end));
    let json = format!("{{\"suggestedWindow\":{{\"start\":\"{start}\",\"end\":\"{end}\"}}}}\n");
    let mut reply = private(with_body(StatusCode::OK, "application/json", json));
    retry_after(reply.headers_mut(), info.retry_after);
    reply
}

fn base64(content_type: &'static str, der: &[u8], wrapping: LineWrapping) -> Reply {
    let mut reply = with_body(StatusCode::OK, content_type, transfer::encode(der, wrapping));
    reply.headers_mut().insert(CONTENT_TRANSFER_ENCODING, HeaderValue::from_static("base64"));
    reply
}

/// RFC 2046 section 5.1.3. The transfer encoding is a matter of each part.
fn mixed(parts: &[Part]) -> Reply {
    with_body(StatusCode::OK, multipart::CONTENT_TYPE, multipart::encode(parts))
}

/// Of one client alone: nobody between it and the server keeps it.
fn private(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// A refusal in one line; with the request id, by which its operator finds the event that tells more.
fn sentence(rejection: &Rejection, request_id: Option<&str>) -> String {
    request_id.map_or_else(|| format!("{rejection}\n"), |id| format!("{rejection}, request {id}\n"))
}

/// The answer to a refusal: one sentence. `operation` is the one the path named, if it did; `request_id` is told where the
/// refusal leaves an event.
pub(super) fn refusal(rejection: &Rejection, operation: Option<Operation>, request_id: Option<&str>) -> Reply {
    let mut reply = text(status(rejection.code()), &sentence(rejection, request_id));
    let headers = reply.headers_mut();
    if let (RejectionCode::MethodNotAllowed, Some(operation)) = (rejection.code(), operation) {
        // RFC 9110 §15.5.6
        headers.insert(ALLOW, HeaderValue::from_static(route::allowed_methods(operation)));
    }
    if rejection.code() == RejectionCode::UnsupportedMediaType {
        // RFC 9110 §15.5.16
        headers.insert(ACCEPT, HeaderValue::from_static(route::media_type_of(operation)));
    }
    if [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&status(rejection.code())) {
        retry_after(headers, rejection.retry_after().unwrap_or(TOO_MANY_REQUESTS_RETRY));
    }
    reply
}

/// The answer to a request that may be sent again with a credential: the challenges, one field each, in their order, as
/// some clients read the first alone.
pub(super) fn challenged(rejection: &Rejection, challenges: &[Challenge], request_id: &str) -> Reply {
    // These a client answers by itself, and Bouncy Castle gives up when a body comes with them.
    let answered_unread = [RejectionCode::AuthRequired, RejectionCode::NonceStale].contains(&rejection.code());
    let mut reply = if answered_unread {
        empty(StatusCode::UNAUTHORIZED)
    } else {
        text(status(rejection.code()), &sentence(rejection, Some(request_id)))
    };
    for challenge in challenges {
        if let Ok(value) = HeaderValue::try_from(challenge.to_string()) {
            // RFC 9110 §11.6.1; written as WWW-Authenticate by `field_names`.
            reply.headers_mut().append(WWW_AUTHENTICATE, value);
        }
    }
    reply
}

fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
    reply
}

/// The answer when the server failed: it says nothing of the cause.
pub(super) fn fault(fault: &Fault, request_id: &str) -> Reply {
    let sentence =
        format!("estd: unavailable: the server could not do this, tell its operator request id {request_id}\n");
    match fault.retry_after() {
        Some(seconds) => {
            let mut reply = text(StatusCode::SERVICE_UNAVAILABLE, &sentence);
            retry_after(reply.headers_mut(), apart(seconds, request_id));
            reply
        }
        None => text(StatusCode::INTERNAL_SERVER_ERROR, &sentence),
    }
}

/// Up to half as long again, by request: those who failed together do not come back together.
fn apart(seconds: u32, request_id: &str) -> u32 {
    let mixed =
        request_id.bytes().fold(0x811c_9dc5_u32, |hash, octet| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193));
    seconds.saturating_add(mixed % (seconds / 2 + 1))
}

/// Text that may carry what a client sent.
pub(super) fn text(status: StatusCode, sentence: &str) -> Reply {
    with_body(status, "text/plain; charset=utf-8", printable(sentence).into_owned().into_bytes())
}

/// An answer with a body of a known type.
pub(super) fn with_body(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let body = body.into();
    let length = HeaderValue::from(body.len());
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Set here and not left to hyper, so that HEAD has it too.
    reply.headers_mut().insert(CONTENT_LENGTH, length);
    reply
}

/// Adds the request id.
pub(super) fn identify(reply: &mut Reply, request_id: &str) {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        reply.headers_mut().insert(REQUEST_ID, value);
    }
}

/// Makes it the last answer of its connection.
pub(super) fn close_after(reply: &mut Reply) {
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

fn retry_after(headers: &mut HeaderMap, seconds: u32) {
    // RFC 9110 §10.2.3: in digits, the one form that clients read.
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
}

/// The status of each refusal.
const fn status(code: RejectionCode) -> StatusCode {
    match code {
        RejectionCode::NotFound => StatusCode::NOT_FOUND,
        RejectionCode::Misdirected => StatusCode::MISDIRECTED_REQUEST,
        RejectionCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        RejectionCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        RejectionCode::HeaderTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        RejectionCode::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        RejectionCode::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
        RejectionCode::TooManyRequests
        | RejectionCode::LockedOut
        | RejectionCode::RateLimited
        | RejectionCode::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
        RejectionCode::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        RejectionCode::AuthRequired | RejectionCode::AuthFailed | RejectionCode::NonceStale => StatusCode::UNAUTHORIZED,
        RejectionCode::BadRequest
        | RejectionCode::BadEncoding
        | RejectionCode::BadRequestSyntax
        | RejectionCode::BadCmc
        | RejectionCode::CmcSignature
        | RejectionCode::CmcControl
        | RejectionCode::PossessionMissing
        | RejectionCode::PossessionInvalid
        | RejectionCode::SignatureAlgorithm
        | RejectionCode::WeakKey
        | RejectionCode::KeyNotAllowed
        | RejectionCode::ExtensionNotAllowed
        | RejectionCode::BadName
        | RejectionCode::DecryptKeyUnknown
        | RejectionCode::DecryptKeyUnfit
        | RejectionCode::NoCommonAlgorithm => StatusCode::BAD_REQUEST,
        RejectionCode::KeyInUse
        | RejectionCode::KeyCompromised
        | RejectionCode::AuthMissing
        | RejectionCode::Untrusted
        | RejectionCode::NotInValidity
        | RejectionCode::CertificateUsage
        | RejectionCode::Revoked
        | RejectionCode::CrossTenant
        | RejectionCode::IdentityMissing
        | RejectionCode::IdentityMismatch
        | RejectionCode::SubjectMismatch
        | RejectionCode::SubjectAltNameMismatch
        | RejectionCode::NotRenewable
        | RejectionCode::Superseded
        | RejectionCode::DeviceNotListed
        | RejectionCode::DeviceSuspended
        | RejectionCode::DeviceRevoked
        | RejectionCode::IdentityConflict
        | RejectionCode::CloneSuspected
        | RejectionCode::NotApproved
        | RejectionCode::AuthorizationDenied
        | RejectionCode::RaScope
        | RejectionCode::NameChange
        | RejectionCode::CodeUsed
        | RejectionCode::IdentityLinking
        | RejectionCode::KeyGenerationDenied
        | RejectionCode::EncryptionRequired
        | RejectionCode::CipherTooWeak => StatusCode::FORBIDDEN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7030 section 3.2.1: a client follows no redirect without its user.
    #[test]
    fn nobody_is_redirected() {
        for code in RejectionCode::ALL {
            let status = status(*code);
            assert!(status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE, "{}", code.as_str());
        }
    }
}
