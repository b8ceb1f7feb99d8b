//! Tenants and labels as they are configured, and who asks.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::ReadRegistry;
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{Asking, Permitted};
use crate::admin::page::Listed;
use crate::admin::problem::Problem;
use crate::pki::digest::hex;
use crate::policy::RegistrationRule;
use crate::ra::LabelContext;

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct WhoAmI {
    /// The operator, as the audit names it.
    operator: String,
    /// Its role.
    role: &'static str,
    /// The tenant the role is of; none for a role of the whole server.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct Tenant {
    /// Its name.
    name: String,
    /// Its labels.
    labels: Vec<String>,
}

/// A label, as it is configured.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct LabelShown {
    /// Its name.
    name: String,
    /// Which devices are let in: open, listed or approval.
    registration: &'static str,
    /// The enrollment profile.
    profile: String,
    /// Subject of the CA that signs.
    authority: String,
    /// SHA-256 of the CA's SubjectPublicKeyInfo, which names it in certificates' addresses.
    issuer: String,
    /// When the CA's certificate ends.
    authority_ends: String,
    /// Who is asked before a certificate is issued, without the query; none: nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_webhook: Option<String>,
}

impl LabelShown {
    fn of(label: &LabelContext) -> Self {
        Self {
            name: label.label.to_string(),
            registration: match label.registration.rule {
                RegistrationRule::Open => "open",
                RegistrationRule::Listed => "listed",
                RegistrationRule::Approval => "approval",
            },
            profile: label.rules.profile.name.clone(),
            authority: label.authority.certificate().subject().to_string(),
            issuer: hex(&label.authority.issuer_id()),
            authority_ends: super::time(label.authority.certificate().validity().not_after),
            authorization_webhook: label.authorizer.as_ref().map(|authorizer| authorizer.asks()),
        }
    }
}

/// Who asks, and as what
#[utoipa::path(get, path = "/whoami", tag = "server", operation_id = "whoAmI", responses(
    (status = 200, body = WhoAmI),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::admin) async fn who_am_i(Asking(operator): Asking) -> Json<WhoAmI> {
    let standing = operator.standing();
    Json(WhoAmI {
        operator: operator.actor().name.clone(),
        role: standing.role().as_str(),
        tenant: standing.tenant().map(str::to_owned),
    })
}

/// The tenants that the operator sees
#[utoipa::path(get, path = "/tenants", tag = "tenants", operation_id = "listTenants", responses(
    (status = 200, body = Listed<Tenant>),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::admin) async fn list_tenants(
    State(edge): State<Arc<AdminEdge>>,
    Asking(operator): Asking,
) -> Json<Listed<Tenant>> {
    let authority = edge.authority.load_full();
    let mut items: Vec<Tenant> = Vec::new();
    for label in authority.labels().filter(|label| operator.sees(&label.tenant)) {
        match items.iter_mut().find(|tenant| tenant.name == label.tenant) {
            Some(tenant) => tenant.labels.push(label.label.to_string()),
            None => items.push(Tenant { name: label.tenant.clone(), labels: vec![label.label.to_string()] }),
        }
    }
    for tenant in &mut items {
        tenant.labels.sort();
    }
    items.sort_by(|one, other| one.name.cmp(&other.name));
    Json(Listed { items, next: None })
}

/// The labels of a tenant
#[utoipa::path(get, path = "/tenants/{tenant}/labels", tag = "tenants", operation_id = "listLabels",
    params(("tenant" = String, Path, description = "Tenant")),
    responses(
        (status = 200, body = Listed<LabelShown>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn list_labels(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ReadRegistry>,
) -> Json<Listed<LabelShown>> {
    let authority = edge.authority.load_full();
    let labels = authority.labels().filter(|label| label.tenant == grant.tenant());
    let mut items: Vec<_> = labels.map(|label| LabelShown::of(label)).collect();
    items.sort_by(|one, other| one.name.cmp(&other.name));
    Json(Listed { items, next: None })
}
