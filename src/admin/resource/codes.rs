//! The enrollment codes of a tenant.

#![expect(unused_qualifications, reason = "what documents the parameters is written by a macro")]

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::{ManageCodes, ReadRegistry};
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{Answering, Json, Named, Parameters, Permitted};
use crate::admin::page::{Listed, PageQuery, cursor};
use crate::admin::problem::Problem;
use crate::pki::digest::hex;
use crate::ra::{CodeRequest, CodeState, MadeCodes, StandingCode};
use crate::store::enrollment_code::{CODE_ID_OCTETS, StoredCode};

/// How long a code lasts when nothing is said.
const DEFAULT_DAYS: u32 = 30;

/// A code, without what is needed to use it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct CodeShown {
    /// What names it: half of its hash. Certificates that were issued by it have `code/` and this as their credential.
    id: String,
    /// The devices it speaks for: ids, and patterns with a star at the end.
    devices: Vec<String>,
    /// How many certificates it is good for.
    uses: u32,
    /// How many were issued by it.
    used: u32,
    /// good, used, revoked or expired.
    state: &'static str,
    /// When it was made.
    created_at: String,
    /// Who made it.
    created_by: String,
    /// When it ends.
    expires_at: String,
}

impl CodeShown {
    fn of(code: &StandingCode, now: DateTime<Utc>) -> Self {
        let StandingCode { record, used } = code;
        Self {
            id: id(record),
            devices: record.devices.clone(),
            uses: record.uses,
            used: *used,
            state: code.state(now).as_str(),
            created_at: super::time(record.created_at),
            created_by: record.created_by.clone(),
            expires_at: super::time(record.expires_at),
        }
    }
}

/// Whether a code is of any use.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = CodeState)]
pub(in crate::admin) enum StateName {
    Good,
    Used,
    Revoked,
    Expired,
}

impl From<StateName> for CodeState {
    fn from(state: StateName) -> Self {
        match state {
            StateName::Good => Self::Good,
            StateName::Used => Self::Used,
            StateName::Revoked => Self::Revoked,
            StateName::Expired => Self::Expired,
        }
    }
}

/// Which codes.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(in crate::admin) struct CodeQuery {
    /// In this state.
    state: Option<StateName>,
}

/// Codes to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct NewCodes {
    /// Device ids, or patterns with a star at the end; each gets codes of its own.
    #[schema(min_items = 1, max_items = 1000)]
    devices: Vec<String>,
    /// How many codes each gets.
    #[schema(default = 1, minimum = 1, maximum = 1000)]
    count: Option<u16>,
    /// How many certificates a code is good for.
    #[schema(default = 1, minimum = 1, maximum = 1000)]
    uses: Option<u32>,
    /// How long a code lasts.
    #[schema(default = 30, minimum = 1, maximum = 3650)]
    days: Option<u32>,
}

/// Codes that were just made.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct CodesMade {
    /// How many.
    made: usize,
    /// The codes, device after device: shown this once. Missing where the request was answered before.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<CodeMade>>,
}

/// A code that was just made.
#[derive(Serialize, ToSchema)]
pub(in crate::admin) struct CodeMade {
    /// The code itself.
    code: String,
    /// What names it.
    id: String,
    /// The devices it speaks for.
    devices: Vec<String>,
    /// When it ends.
    expires_at: String,
}

/// A code is not shown but to who made it.
impl std::fmt::Debug for CodeMade {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CodeMade").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A code that is no more.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct CodeRevoked {
    /// What names it.
    id: String,
    /// revoked.
    now: &'static str,
}

/// The enrollment codes that operators of a tenant made; those of its credentials file are not among them
#[utoipa::path(get, path = "/tenants/{tenant}/codes", tag = "codes", operation_id = "listCodes",
    params(("tenant" = String, Path, description = "Tenant"), CodeQuery, PageQuery),
    responses(
        (status = 200, body = Listed<CodeShown>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn list_codes(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ReadRegistry>,
    Parameters(query): Parameters<CodeQuery>,
    Parameters(page): Parameters<PageQuery>,
) -> Result<axum::Json<Listed<CodeShown>>, Problem> {
    let limit = page.limit()?;
    let after = page.place(|octets| octets.try_into().ok())?;
    let state = query.state.map(Into::into);
    let found = edge.on_store(move |ra| {
        let found = ra.codes(&grant, state, after, limit)?;
        let now = ra.ports().clock.now();
        let items = found.rows.iter().map(|code| CodeShown::of(code, now)).collect();
        Ok::<_, Problem>(Listed { items, next: found.next.map(cursor) })
    });
    Ok(axum::Json(found.await??))
}

/// Makes enrollment codes
#[utoipa::path(post, path = "/tenants/{tenant}/codes", tag = "codes", operation_id = "makeCodes",
    params(("tenant" = String, Path, description = "Tenant")),
    request_body = NewCodes,
    responses(
        (status = 200, body = CodesMade),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn make_codes(
    State(edge): State<Arc<AdminEdge>>,
    permitted: Permitted<ManageCodes>,
    Json(NewCodes { devices, count, uses, days }): Json<NewCodes>,
) -> Result<Response, Problem> {
    let life = TimeDelta::days(days.unwrap_or(DEFAULT_DAYS).into());
    let count = usize::from(count.unwrap_or(1));
    let request = CodeRequest { devices, count, uses: uses.unwrap_or(1), life };
    let done = edge.on_store(move |ra| {
        // What is recorded of the answer does not have the codes.
        let without = CodesMade { made: request.devices.len().saturating_mul(count), items: None };
        let answer = Answering::new(StatusCode::OK, &without)?;
        Ok::<_, Problem>(ra.make_codes(&permitted.answering(&answer, ra)?, &request)?)
    });
    let MadeCodes { codes, receipt } = done.await??;
    receipt.await?;
    let items = codes.iter().map(|made| CodeMade {
        code: made.code.to_string(),
        id: id(&made.record),
        devices: made.record.devices.clone(),
        expires_at: super::time(made.record.expires_at),
    });
    let made = CodesMade { made: codes.len(), items: Some(items.collect()) };
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(made)).into_response())
}

/// Revokes an enrollment code: it opens nothing from the next request on
#[utoipa::path(delete, path = "/tenants/{tenant}/codes/{code}", tag = "codes", operation_id = "revokeCode",
    params(("tenant" = String, Path, description = "Tenant"), ("code" = String, Path, description = "Id of the code")),
    responses(
        (status = 200, body = CodeRevoked),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn revoke_code(
    State(edge): State<Arc<AdminEdge>>,
    permitted: Permitted<ManageCodes>,
    Named((_, named)): Named<(String, String)>,
) -> Result<Response, Problem> {
    let octets = super::octets(&named).ok_or_else(|| Problem::not_found("there is no such enrollment code"))?;
    edge.record(move |ra| {
        let answer = Answering::new(StatusCode::OK, &CodeRevoked { id: hex(&octets), now: "revoked" })?;
        let receipt = ra.revoke_code(&permitted.answering(&answer, ra)?, &octets)?;
        Ok((receipt, answer))
    })
    .await
}

fn id(code: &StoredCode) -> String {
    hex(&code.sha256[..CODE_ID_OCTETS])
}
