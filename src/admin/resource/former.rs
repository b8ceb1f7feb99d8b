//! Certificates that an authority issued before its key came here.

#![expect(unused_qualifications, reason = "what documents the parameters is written by a macro")]

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::ManageServer;
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{Answering, Octets, Parameters, ServerPermitted};
use crate::admin::problem::Problem;
use crate::pki::openssl_index::{self, IndexedCertificate};
use crate::pki::pem;
use crate::ra::{MAX_TAKEN_OVER_AT_ONCE, Takeover, TakeoverError};
use crate::store::Receipt;

/// What is taken over, and whether it is.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::admin) struct TakeoverQuery {
    /// The authority, tenant/name.
    #[param(example = "acme/issuing")]
    authority: String,
    /// Checks everything and changes nothing.
    #[serde(default)]
    dry_run: bool,
}

/// What was taken over.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct TakenOver {
    /// Certificates that are revoked from now on.
    revoked: usize,
    /// Certificates that OCSP calls good from now on.
    good: usize,
    /// Certificates that ended, of which nothing is kept.
    expired: usize,
    /// Certificates of which the same was known.
    known: usize,
    /// Whether nothing was changed, as asked.
    dry_run: bool,
}

impl TakenOver {
    const fn new(takeover: Takeover, dry_run: bool) -> Self {
        let Takeover { revoked, good, expired, known } = takeover;
        Self { revoked, good, expired, known, dry_run }
    }
}

/// What a former installation left.
enum Brought {
    Index(Vec<IndexedCertificate>),
    /// DER.
    Certificates(Vec<Vec<u8>>),
}

/// Takes over what openssl ca knew of the certificates of an authority, all of it or nothing
#[utoipa::path(post, path = "/former-certificates", tag = "server", operation_id = "takeOverCertificates",
    params(TakeoverQuery),
    request_body(description = "index.txt of openssl ca, or certificates of the authority", content(
        (String = "text/plain"),
        (String = "application/pem-certificate-chain"),
    )),
    responses(
        (status = 200, body = TakenOver),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn take_over(
    State(edge): State<Arc<AdminEdge>>,
    permitted: ServerPermitted<ManageServer>,
    Parameters(TakeoverQuery { authority, dry_run }): Parameters<TakeoverQuery>,
    body: Octets,
) -> Result<Response, Problem> {
    let text = || std::str::from_utf8(&body.octets).map_err(|_| Problem::unprocessable("UTF-8 is expected"));
    let brought = match body.media_type.as_str() {
        "text/plain" => {
            let read = openssl_index::read(text()?);
            Brought::Index(read.map_err(|error| Problem::unprocessable(error.to_string()))?)
        }
        "application/pem-certificate-chain" => {
            let read = pem::certificates(text()?, MAX_TAKEN_OVER_AT_ONCE);
            Brought::Certificates(read.map_err(|error| Problem::unprocessable(error.to_string()))?)
        }
        other => {
            let expected = "text/plain or application/pem-certificate-chain";
            return Err(Problem::media_type(format!("{expected} is expected, {other:?} came")));
        }
    };
    edge.record(move |ra| {
        let certificates = match brought {
            Brought::Index(certificates) => certificates,
            Brought::Certificates(certificates) => ra.former_certificates(&authority, &certificates)?,
        };
        let prepared = ra.prepare_takeover(&authority, &certificates)?;
        let answer = Answering::new(StatusCode::OK, &TakenOver::new(prepared.takeover(), dry_run))?;
        let receipt = match dry_run {
            true => Receipt::durable(),
            false => prepared.record(&permitted.answering(&answer, ra)?)?,
        };
        Ok((receipt, answer))
    })
    .await
}

impl From<TakeoverError> for Problem {
    fn from(error: TakeoverError) -> Self {
        let detail = error.to_string();
        match error {
            TakeoverError::NoAuthority(_) => Self::not_found(detail),
            TakeoverError::RevokedInFuture { .. } | TakeoverError::NotOfAuthority { .. } => Self::unprocessable(detail),
            TakeoverError::TooMany(_) => Self::too_large(detail),
            TakeoverError::IssuedHere { .. } => Self::conflict(detail),
            TakeoverError::Store(fault) => fault.into(),
        }
    }
}
