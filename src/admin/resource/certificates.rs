//! The certificates of a tenant.

#![expect(unused_qualifications, reason = "what documents the parameters is written by a macro")]

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::{Grant, ReadRegistry, RevokeCertificates};
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{self, Answering, Named, Parameters, Permitted};
use crate::admin::page::{Listed, PageQuery, cursor};
use crate::admin::problem::Problem;
use crate::ca::CertificateAuthority;
use crate::pki::digest::hex;
use crate::pki::pem;
use crate::pki::revocation::{RevocationReason, UnknownReason};
use crate::ra::{CertificateFilter, RegistrationAuthority, RevocationError, StandingCertificate};
use crate::store::{CertificateId, CertificateStatus, ExpiryPlace, Receipt};
use estd_asn1::Certificate;

/// A certificate that was issued here.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct CertificateShown {
    /// SHA-256 of the issuer's SubjectPublicKeyInfo.
    issuer: String,
    /// The serial number.
    serial: String,
    /// The device it was issued to.
    device: String,
    /// The label it was issued at.
    label: String,
    /// The subject's name.
    subject: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    key: String,
    /// When it was issued.
    issued_at: String,
    /// When it ends.
    not_after: String,
    /// good, revoked or expired.
    status: &'static str,
    /// Since when it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
    /// Why it is revoked (RFC 5280 section 5.3.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The serial number of the certificate it renews.
    #[serde(skip_serializing_if = "Option::is_none")]
    renews: Option<String>,
    /// The credential that stood beside the birth certificate, or in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

impl CertificateShown {
    fn of(found: &StandingCertificate, now: DateTime<Utc>) -> Self {
        let record = &found.record;
        let subject = Certificate::decode(&record.der).map(|certificate| certificate.subject().to_string());
        let revocation = match &found.status {
            CertificateStatus::Revoked(revocation) => Some(*revocation),
            CertificateStatus::Good { .. } | CertificateStatus::Unknown => None,
        };
        let reason = revocation.and_then(|revocation| RevocationReason::from_code(revocation.reason));
        let status = match revocation {
            Some(_) => "revoked",
            None if record.not_after <= now => "expired",
            None => "good",
        };
        Self {
            issuer: hex(&record.id.issuer),
            serial: hex(&record.id.serial),
            device: record.device.clone(),
            label: record.label.clone(),
            subject: subject.unwrap_or_default(),
            key: hex(&record.spki_sha256),
            issued_at: super::time(record.issued_at),
            not_after: super::time(record.not_after),
            status,
            revoked_at: revocation.map(|revocation| super::time(revocation.at)),
            reason: reason.map(|reason| reason.to_string()),
            renews: record.renews.as_ref().map(|id| hex(&id.serial)),
            credential: record.credential.clone(),
        }
    }
}

/// Which certificates.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(in crate::admin) struct CertificateQuery {
    /// With this serial number, in hexadecimal digits. Found at once; the filters beside it do not count.
    #[param(pattern = "^([0-9A-Fa-f]{2}:?)+$")]
    serial: Option<String>,
    /// Issued at this label.
    label: Option<String>,
    /// Of devices whose ids contain it, whatever the case.
    device: Option<String>,
    /// Over this key: SHA-256 of its SubjectPublicKeyInfo, in hexadecimal digits.
    #[param(pattern = "^([0-9A-Fa-f]{2}:?){32}$")]
    key: Option<String>,
    /// Revoked, or not.
    revoked: Option<bool>,
    /// That end at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    ends_after: Option<DateTime<Utc>>,
    /// That end before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    ends_before: Option<DateTime<Utc>>,
}

/// The certificates of a tenant, in the order in which they end
#[utoipa::path(get, path = "/tenants/{tenant}/certificates", tag = "certificates", operation_id = "listCertificates",
    params(("tenant" = String, Path, description = "Tenant"), CertificateQuery, PageQuery),
    responses(
        (status = 200, body = Listed<CertificateShown>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn list_certificates(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ReadRegistry>,
    Parameters(query): Parameters<CertificateQuery>,
    Parameters(page): Parameters<PageQuery>,
) -> Result<Json<Listed<CertificateShown>>, Problem> {
    let limit = page.limit()?;
    let after = page.place(|octets| {
        let octets = u128::from_be_bytes(octets.try_into().ok()?);
        Some(ExpiryPlace { not_after: (octets >> 64) as i64, sequence: octets as u64 })
    })?;
    let serial = query.serial.as_deref().map(|serial| super::octets(serial).ok_or_else(|| malformed("serial")));
    let key = query.key.as_deref().map(|key| super::digest(key).ok_or_else(|| malformed("key")));
    let (serial, spki_sha256) = (serial.transpose()?, key.transpose()?);
    let filter = CertificateFilter {
        label: query.label,
        spki_sha256,
        device: query.device,
        revoked: query.revoked,
        ends_after: query.ends_after,
        ends_before: query.ends_before,
    };
    let found = edge.on_store(move |ra| {
        let now = ra.ports().clock.now();
        let (rows, next) = match serial {
            Some(serial) => (ra.certificates_by_serial(&grant, &serial)?, None),
            None => {
                let page = ra.certificates(&grant, &filter, after, limit)?;
                (page.rows, page.next)
            }
        };
        let items = rows.iter().map(|found| CertificateShown::of(found, now)).collect();
        let place = |place: ExpiryPlace| [place.not_after.to_be_bytes(), place.sequence.to_be_bytes()].concat();
        Ok::<_, Problem>(Listed { items, next: next.map(|next| cursor(place(next))) })
    });
    Ok(Json(found.await??))
}

/// A certificate
#[utoipa::path(get, path = "/tenants/{tenant}/certificates/{issuer}/{serial}", tag = "certificates",
    operation_id = "showCertificate",
    params(
        ("tenant" = String, Path, description = "Tenant"),
        ("issuer" = String, Path, description = "SHA-256 of the issuer's SubjectPublicKeyInfo, hexadecimal"),
        ("serial" = String, Path, description = "Serial number, hexadecimal"),
    ),
    responses(
        (status = 200, body = CertificateShown),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn show_certificate(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ReadRegistry>,
    Named((_, issuer, serial)): Named<(String, String, String)>,
) -> Result<Json<CertificateShown>, Problem> {
    let id = id(&issuer, &serial)?;
    let found = edge.on_store(move |ra| {
        let found = find(ra, &grant, &id)?;
        Ok::<_, Problem>(CertificateShown::of(&found, ra.ports().clock.now()))
    });
    Ok(Json(found.await??))
}

/// In which form a certificate is downloaded.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::admin) enum Form {
    /// One PEM block.
    #[default]
    Pem,
    /// DER.
    Der,
    /// PEM, with the certificates of its CAs after it.
    Chain,
}

/// See [`Form`].
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(in crate::admin) struct FormQuery {
    /// pem, der or chain.
    form: Form,
}

/// Downloads a certificate
#[utoipa::path(get, path = "/tenants/{tenant}/certificates/{issuer}/{serial}/file", tag = "certificates",
    operation_id = "downloadCertificate",
    params(
        ("tenant" = String, Path, description = "Tenant"),
        ("issuer" = String, Path, description = "SHA-256 of the issuer's SubjectPublicKeyInfo, hexadecimal"),
        ("serial" = String, Path, description = "Serial number, hexadecimal"),
        FormQuery,
    ),
    responses(
        (status = 200, description = "The certificate", content(
            (String = "application/x-pem-file"), (String = "application/pkix-cert"),
        )),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn download_certificate(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ReadRegistry>,
    Named((_, issuer, serial)): Named<(String, String, String)>,
    Parameters(FormQuery { form }): Parameters<FormQuery>,
) -> Result<Response, Problem> {
    let id = id(&issuer, &serial)?;
    let file = edge.on_store(move |ra| {
        let found = find(ra, &grant, &id)?;
        let der = found.record.der.clone();
        Ok::<_, Problem>(match form {
            Form::Der => ("application/pkix-cert", "cer", der),
            Form::Pem => ("application/x-pem-file", "pem", pem::certificate(&der).into_bytes()),
            Form::Chain => ("application/x-pem-file", "pem", chain(ra, &found, &der).into_bytes()),
        })
    });
    let (media_type, extension, octets) = file.await??;
    let disposition = format!("attachment; filename=\"{}.{extension}\"", serial.replace(':', "").to_ascii_lowercase());
    let mut response = octets.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.extend(HeaderValue::from_str(&disposition).map(|value| (CONTENT_DISPOSITION, value)));
    Ok(response)
}

/// Why a certificate or a device is revoked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct RevocationRequest {
    /// A reason of RFC 5280 section 5.3.1: unspecified, keyCompromise, cACompromise, affiliationChanged, superseded,
    /// cessationOfOperation, certificateHold (for a certificate: the one that can be lifted), privilegeWithdrawn,
    /// aACompromise.
    #[schema(
        value_type = String,
        example = "cessationOfOperation",
        pattern = "^(unspecified|keyCompromise|cACompromise|affiliationChanged|superseded|cessationOfOperation|certificateHold|privilegeWithdrawn|aACompromise)$"
    )]
    reason: ReasonText,
}

/// A reason as it stands in a request.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct ReasonText(pub(super) RevocationReason);

impl TryFrom<String> for ReasonText {
    type Error = UnknownReason;

    fn try_from(text: String) -> Result<Self, UnknownReason> {
        text.parse().map(Self)
    }
}

impl RevocationRequest {
    pub(super) const fn reason(&self) -> RevocationReason {
        self.reason.0
    }
}

/// What was done to a certificate.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct CertificateChanged {
    /// Its serial number.
    serial: String,
    /// revoked or good.
    now: &'static str,
}

/// Revokes a certificate, or puts it on hold: it neither renews nor enrolls from the next request on
#[utoipa::path(post, path = "/tenants/{tenant}/certificates/{issuer}/{serial}/revoke", tag = "certificates",
    operation_id = "revokeCertificate",
    params(
        ("tenant" = String, Path, description = "Tenant"),
        ("issuer" = String, Path, description = "SHA-256 of the issuer's SubjectPublicKeyInfo, hexadecimal"),
        ("serial" = String, Path, description = "Serial number, hexadecimal"),
    ),
    request_body = RevocationRequest,
    responses(
        (status = 200, body = CertificateChanged),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn revoke_certificate(
    State(edge): State<Arc<AdminEdge>>,
    permitted: Permitted<RevokeCertificates>,
    Named((_, issuer, serial)): Named<(String, String, String)>,
    extract::Json(request): extract::Json<RevocationRequest>,
) -> Result<Response, Problem> {
    let id = id(&issuer, &serial)?;
    change(&edge, permitted, id, "revoked", move |ra, grant, id| ra.revoke_certificate(grant, id, request.reason()))
        .await
}

/// Lifts the hold on a certificate
#[utoipa::path(post, path = "/tenants/{tenant}/certificates/{issuer}/{serial}/release", tag = "certificates",
    operation_id = "releaseCertificate",
    params(
        ("tenant" = String, Path, description = "Tenant"),
        ("issuer" = String, Path, description = "SHA-256 of the issuer's SubjectPublicKeyInfo, hexadecimal"),
        ("serial" = String, Path, description = "Serial number, hexadecimal"),
    ),
    responses(
        (status = 200, body = CertificateChanged),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn release_certificate(
    State(edge): State<Arc<AdminEdge>>,
    permitted: Permitted<RevokeCertificates>,
    Named((_, issuer, serial)): Named<(String, String, String)>,
) -> Result<Response, Problem> {
    let id = id(&issuer, &serial)?;
    change(&edge, permitted, id, "good", |ra, grant, id| ra.release_hold(grant, id)).await
}

async fn change(
    edge: &Arc<AdminEdge>,
    permitted: Permitted<RevokeCertificates>,
    id: CertificateId,
    now: &'static str,
    change: impl FnOnce(
        &RegistrationAuthority,
        &Grant<RevokeCertificates>,
        &CertificateId,
    ) -> Result<Receipt, RevocationError>
    + Send
    + 'static,
) -> Result<Response, Problem> {
    edge.record(move |ra| {
        let answer = Answering::new(StatusCode::OK, &CertificateChanged { serial: hex(&id.serial), now })?;
        let receipt = change(ra, &permitted.answering(&answer, ra)?, &id)?;
        Ok((receipt, answer))
    })
    .await
}

/// The certificate, then those of its CAs as far as they are configured.
fn chain(ra: &RegistrationAuthority, found: &StandingCertificate, der: &[u8]) -> String {
    let mut text = pem::certificate(der);
    let issuer = |ca: &&Arc<CertificateAuthority>| ca.issuer_id() == found.record.id.issuer;
    if let Some(authority) = ra.labels().flat_map(|label| label.authorities()).find(issuer) {
        for ca in authority.path() {
            text.push_str(&pem::certificate(ca.der()));
        }
    }
    text
}

fn malformed(what: &str) -> Problem {
    Problem::bad_request(format!("{what} is hexadecimal digits, two an octet"))
}

/// What has another form names no certificate.
fn id(issuer: &str, serial: &str) -> Result<CertificateId, Problem> {
    let id = super::digest(issuer).zip(super::octets(serial)).map(|(issuer, serial)| CertificateId { issuer, serial });
    id.ok_or_else(|| Problem::not_found("there is no such certificate"))
}

fn find(
    ra: &RegistrationAuthority,
    grant: &Grant<ReadRegistry>,
    id: &CertificateId,
) -> Result<StandingCertificate, Problem> {
    ra.certificate(grant, id)?.ok_or_else(|| Problem::not_found("there is no such certificate"))
}
