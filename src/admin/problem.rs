//! What is refused, as a problem document (RFC 9457).

use std::borrow::Cow;

use axum::Json;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Denied;
use crate::est::{Rejection, RejectionCode};
use crate::ra::{CodeRefused, IssueRefused, Refusal, RegistryError, RevocationError, StatisticsRefused, TokenRefused};

/// Why a request was refused (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Problem {
    /// What kind of problem it is: `urn:estd:problem:` and a stable code.
    #[serde(rename = "type")]
    kind: String,
    /// The same for people, and for every problem of the kind.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What was expected and what came.
    detail: Cow<'static, str>,
    /// Why a device's request was refused, as the audit and docs/refusals.md have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// The clause of the standard that it is refused by.
    #[serde(skip_serializing_if = "Option::is_none")]
    clause: Option<&'static str>,
    /// One by one, where there are several.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    #[schema(value_type = Vec<String>)]
    problems: Box<[String]>,
}

impl Problem {
    fn new(status: StatusCode, code: &str, title: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let kind = format!("urn:estd:problem:{code}");
        Self {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            code: None,
            clause: None,
            problems: Box::default(),
        }
    }

    pub(super) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "The request is malformed", detail)
    }

    pub(super) fn unauthenticated(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Nobody vouches for who asks", detail)
    }

    /// Nothing says who asks.
    pub(super) fn nobody() -> Self {
        Self::unauthenticated("a token or the certificate of an operator is expected, none came")
    }

    pub(super) fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "The operator may not", detail)
    }

    pub(super) fn cross_site() -> Self {
        let detail = "a request that changes something is expected from this origin, it came from another";
        Self::new(StatusCode::FORBIDDEN, "cross-site", "The request comes from another site", detail)
    }

    pub(super) fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", detail)
    }

    pub(super) fn method_not_allowed() -> Self {
        let detail = "the resource takes other methods";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed", detail)
    }

    pub(super) fn timeout(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", "The request took too long", detail)
    }

    pub(super) fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "It is not so any more", detail)
    }

    pub(super) fn changed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "changed", "It was changed by somebody else", detail)
    }

    pub(super) fn too_large(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large", detail)
    }

    /// What is wrong with the octets of a body.
    pub(super) fn of_body(rejection: &Rejection) -> Self {
        let detail = rejection.reason().to_owned();
        if rejection.code() == RejectionCode::BodyTooLarge {
            Self::too_large(detail)
        } else if rejection.code() == RejectionCode::BodyTimeout {
            Self::timeout(detail)
        } else {
            Self::bad_request(detail)
        }
    }

    pub(super) fn media_type(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "The body is of another type", detail)
    }

    pub(super) fn unprocessable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "unprocessable",
            "What was sent does not say what is expected",
            detail,
        )
    }

    /// What a device would have been refused by.
    pub(super) fn of_enrollment(rejection: &Rejection) -> Self {
        let title = "The request is refused";
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", title, rejection.reason().to_owned());
        Self { code: Some(rejection.code().as_str()), clause: Some(rejection.clause()), ..problem }
    }

    pub(super) fn configuration(problems: Vec<String>) -> Self {
        let title = "The configuration does not check";
        let detail = "everything stays as it was; see problems";
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "configuration", title, detail);
        Self { problems: problems.into_boxed_slice(), ..problem }
    }

    pub(super) fn key_reused() -> Self {
        let detail = "the Idempotency-Key was used with another request";
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "The key stands for another request",
            detail,
        )
    }

    pub(super) fn internal() -> Self {
        let detail = "the server failed; its log says why, under the X-Request-Id of this answer";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed", detail)
    }

    pub(super) fn unavailable() -> Self {
        let detail = "nothing was changed; the request may be sent again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The server cannot do it now", detail)
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2: a 401 comes with a challenge.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"estd admin\""));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::OtherTenant => Self::not_found(denied.to_string()),
            Denied::Role { .. } => Self::forbidden(denied.to_string()),
        }
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        let detail = error.to_string();
        match error {
            RegistryError::Id { .. } | RegistryError::Tags { .. } | RegistryError::Duplicate { .. } => {
                Self::unprocessable(detail)
            }
            RegistryError::TooMany(_) => Self::too_large(detail),
            RegistryError::Registered { .. } | RegistryError::State { .. } | RegistryError::Quota { .. } => {
                Self::conflict(detail)
            }
            RegistryError::NoDevice(_) | RegistryError::NoRequest => Self::not_found(detail),
            RegistryError::Changed(_) => Self::changed(detail),
            RegistryError::Store(fault) => fault.into(),
        }
    }
}

impl From<RevocationError> for Problem {
    fn from(error: RevocationError) -> Self {
        let detail = error.to_string();
        match error {
            RevocationError::NoCertificate | RevocationError::NoDevice(_) => Self::not_found(detail),
            RevocationError::NotOnHold { .. } => Self::conflict(detail),
            RevocationError::Changed(_) => Self::changed(detail),
            RevocationError::HoldOfDevice => Self::unprocessable(detail),
            RevocationError::Store(fault) => fault.into(),
        }
    }
}

impl From<TokenRefused> for Problem {
    fn from(refused: TokenRefused) -> Self {
        let detail = refused.to_string();
        match refused {
            TokenRefused::Name | TokenRefused::Life => Self::unprocessable(detail),
            TokenRefused::Standing => Self::forbidden(detail),
            TokenRefused::TooMany => Self::conflict(detail),
            TokenRefused::Unknown(_) => Self::not_found(detail),
            TokenRefused::Entropy(failure) => {
                tracing::error!(%failure, "no token can be made");
                Self::internal()
            }
            TokenRefused::Store(fault) => fault.into(),
        }
    }
}

impl From<CodeRefused> for Problem {
    fn from(refused: CodeRefused) -> Self {
        let detail = refused.to_string();
        match refused {
            CodeRefused::Scope(_) | CodeRefused::Count(_) | CodeRefused::Uses(_) | CodeRefused::Life => {
                Self::unprocessable(detail)
            }
            CodeRefused::TooMany => Self::conflict(detail),
            CodeRefused::Unknown(_) => Self::not_found(detail),
            CodeRefused::Entropy(failure) => {
                tracing::error!(%failure, "no enrollment code can be made");
                Self::internal()
            }
            CodeRefused::Store(fault) => fault.into(),
        }
    }
}

impl From<StatisticsRefused> for Problem {
    fn from(refused: StatisticsRefused) -> Self {
        match refused {
            StatisticsRefused::Steps(_) => Self::unprocessable(refused.to_string()),
            StatisticsRefused::Store(fault) => fault.into(),
        }
    }
}

impl From<IssueRefused> for Problem {
    fn from(refused: IssueRefused) -> Self {
        let detail = refused.to_string();
        match refused {
            IssueRefused::NoLabel(_) => Self::not_found(detail),
            IssueRefused::Device(_) => Self::unprocessable(detail),
            IssueRefused::Refusal(Refusal::Rejected(rejection)) => Self::of_enrollment(&rejection),
            IssueRefused::Refusal(Refusal::Fault(fault)) if fault.retry_after().is_some() => Self::unavailable(),
            IssueRefused::Refusal(Refusal::Fault(_)) => Self::internal(),
        }
    }
}
