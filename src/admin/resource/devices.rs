//! The devices of a tenant.

#![expect(unused_qualifications, reason = "what documents the parameters is written by a macro")]

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::certificates::RevocationRequest;
use super::import;
use crate::access::{Grant, ManageDevices, ReadRegistry, RevokeCertificates};
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{Answering, Json, Named, Octets, Parameters, Permitted, Seen, tagged};
use crate::admin::page::{Listed, PageQuery, cursor};
use crate::admin::problem::Problem;
use crate::pki::digest::hex;
use crate::ra::{DeviceFilter, RegistrationAuthority, RegistryError};
use crate::store::Receipt;
use crate::store::device::{BirthCertificate, DeviceRecord, DeviceState};

/// A device of the registry.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct Device {
    /// Its id, unique within the tenant.
    id: String,
    /// listed, active, suspended or revoked.
    state: &'static str,
    /// When it was listed, or came for the first time.
    registered_at: String,
    /// What operators call it by.
    tags: Vec<String>,
    /// The birth certificate it came with last.
    #[serde(skip_serializing_if = "Option::is_none")]
    birth: Option<Birth>,
    /// The certificate issued to it last at each label.
    certificates: Vec<Latest>,
}

/// A birth certificate.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct Birth {
    /// SHA-256 of the certificate.
    sha256: String,
    /// SHA-256 of the SubjectPublicKeyInfo of the CA that signed it.
    issuer: String,
}

/// A certificate, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct Latest {
    /// The label it was issued at.
    label: String,
    /// SHA-256 of the issuer's SubjectPublicKeyInfo.
    issuer: String,
    /// The serial number.
    serial: String,
    /// When it ends.
    not_after: String,
}

impl From<&DeviceRecord> for Device {
    fn from(record: &DeviceRecord) -> Self {
        let birth = |birth: &BirthCertificate| Birth { sha256: hex(&birth.fingerprint), issuer: hex(&birth.issuer) };
        let latest = record.latest.iter().map(|latest| Latest {
            label: latest.label.clone(),
            issuer: hex(&latest.id.issuer),
            serial: hex(&latest.id.serial),
            not_after: super::time(latest.not_after),
        });
        Self {
            id: record.id.clone(),
            state: record.state.as_str(),
            registered_at: super::time(record.registered_at),
            tags: record.tags.clone(),
            birth: record.birth.as_ref().map(birth),
            certificates: latest.collect(),
        }
    }
}

/// Which devices.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(in crate::admin) struct DeviceQuery {
    /// Ids that begin with it, whatever the case.
    prefix: String,
    /// In this state.
    state: Option<StateName>,
    /// With this tag.
    tag: Option<String>,
}

/// Where a device is in its life.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = DeviceState)]
pub(in crate::admin) enum StateName {
    Listed,
    Active,
    Suspended,
    Revoked,
}

impl From<StateName> for DeviceState {
    fn from(state: StateName) -> Self {
        match state {
            StateName::Listed => Self::Listed,
            StateName::Active => Self::Active,
            StateName::Suspended => Self::Suspended,
            StateName::Revoked => Self::Revoked,
        }
    }
}

/// The devices of a tenant, in the order of their ids
#[utoipa::path(get, path = "/tenants/{tenant}/devices", tag = "devices", operation_id = "listDevices",
    params(("tenant" = String, Path, description = "Tenant"), DeviceQuery, PageQuery),
    responses(
        (status = 200, body = Listed<Device>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn list_devices(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ReadRegistry>,
    Parameters(query): Parameters<DeviceQuery>,
    Parameters(page): Parameters<PageQuery>,
) -> Result<axum::Json<Listed<Device>>, Problem> {
    let limit = page.limit()?;
    let after = page.place(|octets| String::from_utf8(octets.to_vec()).ok())?;
    let filter = DeviceFilter { prefix: query.prefix, state: query.state.map(Into::into), tag: query.tag };
    let found = edge.on_store(move |ra| ra.devices(&grant, &filter, after.as_deref(), limit)).await??;
    let items = found.rows.iter().map(Device::from).collect();
    Ok(axum::Json(Listed { items, next: found.next.map(cursor) }))
}

/// How devices are imported.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(in crate::admin) struct ImportQuery {
    /// Everything is checked and nothing changed.
    dry_run: bool,
}

/// What an import did.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct Imported {
    /// Devices that are listed now, or would be.
    devices: usize,
    /// Nothing was changed.
    dry_run: bool,
}

/// Lists devices, all of them or none: JSON, one JSON object a line, or CSV with a header of `id` and `tags` (separated by
/// semicolons)
#[utoipa::path(post, path = "/tenants/{tenant}/devices", tag = "devices", operation_id = "importDevices",
    params(("tenant" = String, Path, description = "Tenant"), ImportQuery),
    request_body(content(
        (Vec<import::Row> = "application/json"),
        (String = "application/x-ndjson"),
        (String = "text/csv"),
    )),
    responses(
        (status = 200, body = Imported, description = "They are listed, or would be"),
        (status = "default", description = "Refused; nothing was changed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn import_devices(
    State(edge): State<Arc<AdminEdge>>,
    permitted: Permitted<ManageDevices>,
    Parameters(ImportQuery { dry_run }): Parameters<ImportQuery>,
    body: Octets,
) -> Result<Response, Problem> {
    edge.record(move |ra| {
        let rows = import::rows(&body.media_type, &body.octets)?;
        let answer = Answering::new(StatusCode::OK, &Imported { devices: rows.len(), dry_run })?;
        let grant = permitted.answering(&answer, ra)?;
        let receipt = ra.list_devices(&grant, &rows, dry_run)?;
        Ok((receipt, answer))
    })
    .await
}

/// A device
#[utoipa::path(get, path = "/tenants/{tenant}/devices/{device}", tag = "devices", operation_id = "showDevice",
    params(("tenant" = String, Path, description = "Tenant"), ("device" = String, Path, description = "Device id")),
    responses(
        (status = 200, body = Device, headers(("ETag" = String, description = "Names this state of the device"))),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn show_device(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ReadRegistry>,
    Named((_, id)): Named<(String, String)>,
) -> Result<Response, Problem> {
    let device = edge.on_store(move |ra| ra.device(&grant, &id)).await??;
    let device = device.ok_or_else(|| Problem::not_found("there is no such device"))?;
    Ok(tagged(axum::Json(Device::from(&device)).into_response(), device.version()))
}

/// What can be changed of a device.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct DevicePatch {
    /// What operators call it by, in place of what they called it by.
    tags: Vec<String>,
}

/// What was done to a device.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct DeviceChanged {
    /// The device.
    device: String,
    /// tagged, unlisted, suspended, active, reset or revoked.
    now: &'static str,
}

/// Gives a device other tags
#[utoipa::path(patch, path = "/tenants/{tenant}/devices/{device}", tag = "devices", operation_id = "tagDevice",
    params(("tenant" = String, Path, description = "Tenant"), ("device" = String, Path, description = "Device id")),
    request_body = DevicePatch,
    responses(
        (status = 200, body = DeviceChanged, headers(("ETag" = String, description = "Names the new state"))),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn tag_device(
    State(edge): State<Arc<AdminEdge>>,
    permitted: Permitted<ManageDevices>,
    Named((_, id)): Named<(String, String)>,
    Seen(seen): Seen,
    Json(DevicePatch { tags }): Json<DevicePatch>,
) -> Result<Response, Problem> {
    change(&edge, permitted, id, "tagged", move |ra, grant, id| ra.tag_device(grant, id, &tags, seen)).await
}

/// Takes a device off the list that never came
#[utoipa::path(delete, path = "/tenants/{tenant}/devices/{device}", tag = "devices", operation_id = "unlistDevice",
    params(("tenant" = String, Path, description = "Tenant"), ("device" = String, Path, description = "Device id")),
    responses(
        (status = 200, body = DeviceChanged),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn unlist_device(
    State(edge): State<Arc<AdminEdge>>,
    permitted: Permitted<ManageDevices>,
    Named((_, id)): Named<(String, String)>,
    Seen(seen): Seen,
) -> Result<Response, Problem> {
    edge.record(move |ra| {
        let answer = Answering::new(StatusCode::OK, &DeviceChanged { device: id.clone(), now: "unlisted" })?;
        let receipt = ra.unlist_device(&permitted.answering(&answer, ra)?, &id, seen)?;
        Ok((receipt, answer))
    })
    .await
}

/// Keeps a device out until it is resumed: it neither enrolls nor renews
#[utoipa::path(post, path = "/tenants/{tenant}/devices/{device}/suspend", tag = "devices", operation_id = "suspendDevice",
    params(("tenant" = String, Path, description = "Tenant"), ("device" = String, Path, description = "Device id")),
    responses(
        (status = 200, body = DeviceChanged, headers(("ETag" = String, description = "Names the new state"))),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn suspend_device(
    State(edge): State<Arc<AdminEdge>>,
    permitted: Permitted<ManageDevices>,
    Named((_, id)): Named<(String, String)>,
    Seen(seen): Seen,
) -> Result<Response, Problem> {
    let state = DeviceState::Suspended;
    change(&edge, permitted, id, state.as_str(), move |ra, grant, id| ra.set_device_state(grant, id, state, seen)).await
}

/// Lets a suspended device in again
#[utoipa::path(post, path = "/tenants/{tenant}/devices/{device}/resume", tag = "devices", operation_id = "resumeDevice",
    params(("tenant" = String, Path, description = "Tenant"), ("device" = String, Path, description = "Device id")),
    responses(
        (status = 200, body = DeviceChanged, headers(("ETag" = String, description = "Names the new state"))),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn resume_device(
    State(edge): State<Arc<AdminEdge>>,
    permitted: Permitted<ManageDevices>,
    Named((_, id)): Named<(String, String)>,
    Seen(seen): Seen,
) -> Result<Response, Problem> {
    let state = DeviceState::Active;
    change(&edge, permitted, id, state.as_str(), move |ra, grant, id| ra.set_device_state(grant, id, state, seen)).await
}

/// Revokes a device for good, with all its certificates that have not expired
#[utoipa::path(post, path = "/tenants/{tenant}/devices/{device}/revoke", tag = "devices", operation_id = "revokeDevice",
    params(("tenant" = String, Path, description = "Tenant"), ("device" = String, Path, description = "Device id")),
    request_body = RevocationRequest,
    responses(
        (status = 200, body = DeviceChanged),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn revoke_device(
    State(edge): State<Arc<AdminEdge>>,
    permitted: Permitted<RevokeCertificates>,
    Named((_, id)): Named<(String, String)>,
    Seen(seen): Seen,
    Json(request): Json<RevocationRequest>,
) -> Result<Response, Problem> {
    edge.record(move |ra| {
        let answer = Answering::new(StatusCode::OK, &DeviceChanged { device: id.clone(), now: "revoked" })?;
        let receipt = ra.revoke_device(&permitted.answering(&answer, ra)?, &id, seen, request.reason())?;
        Ok((receipt, answer))
    })
    .await
}

/// Forgets the birth certificate and the certificates of a device, so that it may enroll anew: it was repaired
#[utoipa::path(post, path = "/tenants/{tenant}/devices/{device}/reset", tag = "devices", operation_id = "resetDevice",
    params(("tenant" = String, Path, description = "Tenant"), ("device" = String, Path, description = "Device id")),
    responses(
        (status = 200, body = DeviceChanged, headers(("ETag" = String, description = "Names the new state"))),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn reset_device(
    State(edge): State<Arc<AdminEdge>>,
    permitted: Permitted<ManageDevices>,
    Named((_, id)): Named<(String, String)>,
    Seen(seen): Seen,
) -> Result<Response, Problem> {
    change(&edge, permitted, id, "reset", move |ra, grant, id| ra.reset_device(grant, id, seen)).await
}

/// Changes a device, and answers once that is durable.
async fn change(
    edge: &Arc<AdminEdge>,
    permitted: Permitted<ManageDevices>,
    id: String,
    now: &'static str,
    change: impl FnOnce(
        &RegistrationAuthority,
        &Grant<ManageDevices>,
        &str,
    ) -> Result<(DeviceRecord, Receipt), RegistryError>
    + Send
    + 'static,
) -> Result<Response, Problem> {
    let done = edge.on_store(move |ra| {
        let answer = Answering::new(StatusCode::OK, &DeviceChanged { device: id.clone(), now })?;
        let (device, receipt) = change(ra, &permitted.answering(&answer, ra)?, &id)?;
        Ok::<_, Problem>((device.version(), receipt, answer))
    });
    let (version, receipt, answer) = done.await??;
    receipt.await?;
    Ok(tagged(answer.into_response(), version))
}
