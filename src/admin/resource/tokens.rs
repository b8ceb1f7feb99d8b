//! The API tokens of operators.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Response};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{ManageServer, ManageTokens, ReadServer, Role, Standing};
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{Answering, Json, Named, Permitted, ServerPermitted};
use crate::admin::page::Listed;
use crate::admin::problem::Problem;
use crate::ra::{MadeToken, RegistrationAuthority, TokenRequest};
use crate::store::operator_token::OperatorToken;

/// How long a token lasts when nothing is said.
const DEFAULT_DAYS: u32 = 90;

/// A token, without what is needed to use it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct TokenShown {
    /// What names it.
    id: String,
    /// What people call it by; stands in the audit.
    name: String,
    /// The role it gives.
    role: String,
    /// The tenant the role is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// When it was made.
    created_at: String,
    /// Who made it.
    created_by: String,
    /// When it ends.
    expires_at: String,
}

impl From<&OperatorToken> for TokenShown {
    fn from(token: &OperatorToken) -> Self {
        Self {
            id: token.id.clone(),
            name: token.name.clone(),
            role: token.role.clone(),
            tenant: token.tenant.clone(),
            created_at: super::time(token.created_at),
            created_by: token.created_by.clone(),
            expires_at: super::time(token.expires_at),
        }
    }
}

/// A token of the server's operators to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct NewToken {
    /// What people call it by; stands in the audit. Up to 64 octets.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// What it gives.
    role: ServerRole,
    /// How long it lasts.
    #[schema(default = 90, minimum = 1, maximum = 3650)]
    days: Option<u32>,
}

/// A token of a tenant's operators to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct NewTenantToken {
    /// What people call it by; stands in the audit. Up to 64 octets.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// What it gives within the tenant.
    role: TenantRole,
    /// How long it lasts.
    #[schema(default = 90, minimum = 1, maximum = 3650)]
    days: Option<u32>,
}

/// A role of the whole server.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::admin) enum ServerRole {
    Admin,
    Auditor,
}

/// A role within one tenant.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
pub(in crate::admin) enum TenantRole {
    #[serde(rename = "tenant-admin")]
    Admin,
    #[serde(rename = "tenant-operator")]
    Operator,
    #[serde(rename = "tenant-auditor")]
    Auditor,
}

impl From<ServerRole> for Role {
    fn from(role: ServerRole) -> Self {
        match role {
            ServerRole::Admin => Self::Admin,
            ServerRole::Auditor => Self::Auditor,
        }
    }
}

impl From<TenantRole> for Role {
    fn from(role: TenantRole) -> Self {
        match role {
            TenantRole::Admin => Self::TenantAdmin,
            TenantRole::Operator => Self::TenantOperator,
            TenantRole::Auditor => Self::TenantAuditor,
        }
    }
}

/// A token that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct TokenMade {
    /// The token itself: shown this once. Missing where the request was answered before.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// What names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// What people call it by.
    name: String,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

/// A token that is no more.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct TokenRevoked {
    /// What named it.
    id: String,
    /// revoked.
    now: &'static str,
}

fn requested(name: String, role: Role, tenant: Option<String>, days: Option<u32>) -> Result<TokenRequest, Problem> {
    let standing = Standing::new(role, tenant).map_err(|error| Problem::unprocessable(error.to_string()))?;
    Ok(TokenRequest { name, standing, life: TimeDelta::days(days.unwrap_or(DEFAULT_DAYS).into()) })
}

/// Every token, whoever's
#[utoipa::path(get, path = "/tokens", tag = "tokens", operation_id = "listTokens", responses(
    (status = 200, body = Listed<TokenShown>),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::admin) async fn list_tokens(
    State(edge): State<Arc<AdminEdge>>,
    ServerPermitted { grant, .. }: ServerPermitted<ReadServer>,
) -> Result<axum::Json<Listed<TokenShown>>, Problem> {
    let tokens = edge.on_store(move |ra| ra.tokens(&grant)).await??;
    Ok(axum::Json(Listed { items: tokens.iter().map(TokenShown::from).collect(), next: None }))
}

/// Makes a token for an operator of the whole server
#[utoipa::path(post, path = "/tokens", tag = "tokens", operation_id = "makeToken", request_body = NewToken, responses(
    (status = 200, body = TokenMade),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::admin) async fn make_token(
    State(edge): State<Arc<AdminEdge>>,
    permitted: ServerPermitted<ManageServer>,
    Json(new): Json<NewToken>,
) -> Result<Response, Problem> {
    let request = requested(new.name, new.role.into(), None, new.days)?;
    make(&edge, request, move |ra, request, answer| {
        Ok(ra.make_server_token(&permitted.answering(answer, ra)?, request)?)
    })
    .await
}

/// Revokes a token, whoever's: it opens nothing from the next request on
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", operation_id = "revokeToken",
    params(("id" = String, Path, description = "Token id")),
    responses(
        (status = 200, body = TokenRevoked),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn revoke_token(
    State(edge): State<Arc<AdminEdge>>,
    permitted: ServerPermitted<ManageServer>,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    edge.record(move |ra| {
        let answer = Answering::new(StatusCode::OK, &TokenRevoked { id: id.clone(), now: "revoked" })?;
        let receipt = ra.revoke_server_token(&permitted.answering(&answer, ra)?, &id)?;
        Ok((receipt, answer))
    })
    .await
}

/// The tokens of a tenant's operators
#[utoipa::path(get, path = "/tenants/{tenant}/tokens", tag = "tokens", operation_id = "listTenantTokens",
    params(("tenant" = String, Path, description = "Tenant")),
    responses(
        (status = 200, body = Listed<TokenShown>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn list_tenant_tokens(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ManageTokens>,
) -> Result<axum::Json<Listed<TokenShown>>, Problem> {
    let tokens = edge.on_store(move |ra| ra.tenant_tokens(&grant)).await??;
    Ok(axum::Json(Listed { items: tokens.iter().map(TokenShown::from).collect(), next: None }))
}

/// Makes a token for an operator of a tenant
#[utoipa::path(post, path = "/tenants/{tenant}/tokens", tag = "tokens", operation_id = "makeTenantToken",
    params(("tenant" = String, Path, description = "Tenant")),
    request_body = NewTenantToken,
    responses(
        (status = 200, body = TokenMade),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn make_tenant_token(
    State(edge): State<Arc<AdminEdge>>,
    permitted: Permitted<ManageTokens>,
    Json(NewTenantToken { name, role, days }): Json<NewTenantToken>,
) -> Result<Response, Problem> {
    let tenant = Some(permitted.grant.tenant().to_owned());
    let request = requested(name, role.into(), tenant, days)?;
    make(&edge, request, move |ra, request, answer| {
        Ok(ra.make_tenant_token(&permitted.answering(answer, ra)?, request)?)
    })
    .await
}

/// Revokes a token of a tenant's operator
#[utoipa::path(delete, path = "/tenants/{tenant}/tokens/{id}", tag = "tokens", operation_id = "revokeTenantToken",
    params(("tenant" = String, Path, description = "Tenant"), ("id" = String, Path, description = "Token id")),
    responses(
        (status = 200, body = TokenRevoked),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn revoke_tenant_token(
    State(edge): State<Arc<AdminEdge>>,
    permitted: Permitted<ManageTokens>,
    Named((_, id)): Named<(String, String)>,
) -> Result<Response, Problem> {
    edge.record(move |ra| {
        let answer = Answering::new(StatusCode::OK, &TokenRevoked { id: id.clone(), now: "revoked" })?;
        let receipt = ra.revoke_tenant_token(&permitted.answering(&answer, ra)?, &id)?;
        Ok((receipt, answer))
    })
    .await
}

/// Makes a token, and shows it once it is durable. What is recorded of the answer does not have it.
async fn make(
    edge: &Arc<AdminEdge>,
    request: TokenRequest,
    make: impl FnOnce(&RegistrationAuthority, &TokenRequest, &Answering) -> Result<MadeToken, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    let done = edge.on_store(move |ra| {
        let without = TokenMade { token: None, id: None, name: request.name.clone(), expires_at: None };
        let answer = Answering::new(StatusCode::OK, &without)?;
        make(ra, &request, &answer)
    });
    let MadeToken { token, record, receipt } = done.await??;
    receipt.await?;
    let made = TokenMade {
        token: Some(token.reveal().to_owned()),
        id: Some(record.id),
        name: record.name,
        expires_at: Some(super::time(record.expires_at)),
    };
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(made)).into_response())
}
