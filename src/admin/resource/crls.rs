//! The CRLs that a tenant's authorities publish.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, ETAG};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::ReadRegistry;
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{Named, Permitted};
use crate::admin::page::Listed;
use crate::admin::problem::Problem;
use crate::pki::digest::hex;
use crate::va::{Issuer, Published, Resource};

/// A CRL as it is published.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct CrlShown {
    /// The authority, as it is configured: `tenant/name`.
    authority: String,
    /// SHA-256 of the issuer's SubjectPublicKeyInfo.
    issuer: String,
    /// What names the list among those of its issuer: `full`, `delta`, or, of a part, `4-of-16` and `4-of-16-delta`.
    list: String,
    /// CRL number (RFC 5280 section 5.2.3).
    number: u64,
    /// Certificates in it.
    entries: usize,
    /// thisUpdate.
    this_update: String,
    /// nextUpdate.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_update: Option<String>,
    /// Its size.
    octets: usize,
    /// Where relying parties fetch it; none when no certificate names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

/// The CRLs that are published now; none without `public_listen`
#[utoipa::path(get, path = "/tenants/{tenant}/crls", tag = "crls", operation_id = "listCrls",
    params(("tenant" = String, Path, description = "Tenant")),
    responses(
        (status = 200, body = Listed<CrlShown>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn list_crls(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ReadRegistry>,
) -> Json<Listed<CrlShown>> {
    let validation = edge.validation.load_full();
    let issuers = validation.issuers().filter(|issuer| is_of(issuer, grant.tenant()));
    let items = issuers.flat_map(|issuer| {
        let lists = issuer.lists();
        lists.into_iter().filter_map(|(resource, published)| shown(issuer, resource, &published)).collect::<Vec<_>>()
    });
    Json(Listed { items: items.collect(), next: None })
}

/// Downloads a CRL, DER
#[utoipa::path(get, path = "/tenants/{tenant}/crls/{issuer}/{list}", tag = "crls", operation_id = "downloadCrl",
    params(
        ("tenant" = String, Path, description = "Tenant"),
        ("issuer" = String, Path, description = "SHA-256 of the issuer's SubjectPublicKeyInfo, hexadecimal"),
        ("list" = String, Path, description = "The list, as it is named in listCrls"),
    ),
    responses(
        (status = 200, description = "The list", body = String, content_type = "application/pkix-crl"),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn download_crl(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ReadRegistry>,
    Named((_, named, list)): Named<(String, String, String)>,
) -> Result<Response, Problem> {
    let validation = edge.validation.load_full();
    let wanted = super::digest(&named);
    let mut issuers = validation.issuers().filter(|issuer| is_of(issuer, grant.tenant()));
    let found = issuers.find(|issuer| Some(issuer.authority().issuer_id()) == wanted).and_then(|issuer| {
        let lists = issuer.lists();
        lists.into_iter().find(|(resource, _)| name(*resource).as_ref() == Some(&list)).map(|(_, published)| published)
    });
    let published = found.ok_or_else(|| Problem::not_found("there is no such list"))?;
    let mut response = published.der.to_vec().into_response();
    let headers = response.headers_mut();
    // RFC 2585 §4
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/pkix-crl"));
    headers.extend(HeaderValue::from_str(&published.tag).map(|tag| (ETAG, tag)));
    let disposition = format!("attachment; filename=\"{list}.crl\"");
    headers.extend(HeaderValue::from_str(&disposition).map(|value| (CONTENT_DISPOSITION, value)));
    Ok(response)
}

fn is_of(issuer: &Issuer, tenant: &str) -> bool {
    issuer.name().split_once('/').is_some_and(|(owner, _)| owner == tenant)
}

fn shown(issuer: &Issuer, resource: Resource, published: &Published) -> Option<CrlShown> {
    let contents = published.list?;
    Some(CrlShown {
        authority: issuer.name().to_owned(),
        issuer: hex(&issuer.authority().issuer_id()),
        list: name(resource)?,
        number: contents.number,
        entries: contents.entries,
        this_update: super::time(published.this_update),
        next_update: published.next_update.map(super::time),
        octets: published.der.len(),
        url: issuer.publication().url(resource),
    })
}

/// `None` of what is no list. Parts are counted from 1.
fn name(resource: Resource) -> Option<String> {
    match resource {
        Resource::Crl(shard) if shard.is_complete() => Some("full".to_owned()),
        Resource::Delta(shard) if shard.is_complete() => Some("delta".to_owned()),
        Resource::Crl(shard) => Some(format!("{}-of-{}", shard.number() + 1, shard.of())),
        Resource::Delta(shard) => Some(format!("{}-of-{}-delta", shard.number() + 1, shard.of())),
        Resource::Certificate | Resource::Ocsp => None,
    }
}
