//! The description of the API (OpenAPI 3.1), made from the code, and the routes it describes.

use std::sync::Arc;

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::edge::AdminEdge;
use super::resource::{
    backup, certificates, checkpoints, codes, crls, devices, events, explain, export, former, issuance, requests,
    server, statistics, tenants, tokens, webhooks,
};

/// Where it is served.
pub(super) const PATH: &str = "/api/v1/openapi.json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "estd admin API",
        description = "What operators of an EST server do: devices, certificates, requests that wait, enrollment codes, tokens, events. \
                       Whatever is refused is a problem document (RFC 9457). A request that changes something may carry an \
                       Idempotency-Key; sent again within a day it is answered again and not done again."
    ),
    components(schemas(
        certificates::Form,
        codes::StateName,
        devices::StateName,
        events::Order,
        explain::Enrollment,
        export::FormatName,
        statistics::By
    )),
    modifiers(&Bearer),
    security(("token" = []))
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("estd_<id>_<secret>").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Every resource.
pub(super) fn routes() -> OpenApiRouter<Arc<AdminEdge>> {
    let api = OpenApiRouter::new()
        .routes(routes!(tenants::who_am_i))
        .routes(routes!(tenants::list_tenants))
        .routes(routes!(tenants::list_labels))
        .routes(routes!(explain::explain_request))
        .routes(routes!(devices::list_devices, devices::import_devices))
        .routes(routes!(devices::show_device, devices::tag_device, devices::unlist_device))
        .routes(routes!(devices::suspend_device))
        .routes(routes!(devices::resume_device))
        .routes(routes!(devices::reset_device))
        .routes(routes!(devices::revoke_device))
        .routes(routes!(events::device_events))
        .routes(routes!(certificates::list_certificates))
        .routes(routes!(certificates::show_certificate))
        .routes(routes!(certificates::download_certificate))
        .routes(routes!(certificates::revoke_certificate))
        .routes(routes!(certificates::release_certificate))
        .routes(routes!(issuance::issue_certificate))
        .routes(routes!(requests::list_requests))
        .routes(routes!(requests::show_request))
        .routes(routes!(requests::approve_request))
        .routes(routes!(requests::deny_request))
        .routes(routes!(codes::list_codes, codes::make_codes))
        .routes(routes!(codes::revoke_code))
        .routes(routes!(crls::list_crls))
        .routes(routes!(crls::download_crl))
        .routes(routes!(events::tenant_events))
        .routes(routes!(events::server_events))
        .routes(routes!(export::export_tenant_events))
        .routes(routes!(export::export_events))
        .routes(routes!(checkpoints::list_checkpoints))
        .routes(routes!(webhooks::list_webhooks))
        .routes(routes!(webhooks::list_dead_letters))
        .routes(routes!(webhooks::redeliver_dead_letter))
        .routes(routes!(webhooks::redeliver_all))
        .routes(routes!(tokens::list_tenant_tokens, tokens::make_tenant_token))
        .routes(routes!(tokens::revoke_tenant_token))
        .routes(routes!(tokens::list_tokens, tokens::make_token))
        .routes(routes!(tokens::revoke_token))
        .routes(routes!(backup::make_backup))
        .routes(routes!(former::take_over))
        .routes(routes!(statistics::tenant_statistics))
        .routes(routes!(statistics::tenant_expiry))
        .routes(routes!(statistics::server_statistics))
        .routes(routes!(statistics::server_expiry))
        .routes(routes!(server::reload));
    OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", api)
}
