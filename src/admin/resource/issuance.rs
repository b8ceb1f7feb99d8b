//! Certificates that operators ask for.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{Grant, IssueCertificates};
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{Json, Named, Permitted};
use crate::admin::problem::Problem;
use crate::est::printable::printable;
use crate::est::{ResponseBody, transfer};
use crate::pki::digest::hex;
use crate::pki::pem;
use crate::ra::{Fault, IssueRefused, PendingResponse, Refusal, RegistrationAuthority, Turn};
use estd_asn1::{Certificate, certs_only};

/// A certificate to be issued.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct NewCertificate {
    /// The device. That it is this one is the operator's word; its names come from the profile.
    device: String,
    /// The certification request (PKCS#10): PEM, or base64 of its DER.
    request: String,
}

/// What became of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct CertificateIssued {
    /// issued, or waiting: somebody is to approve it, and then it is sent again.
    now: &'static str,
    /// The device.
    device: String,
    /// The request that waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    /// SHA-256 of the issuer's SubjectPublicKeyInfo.
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    /// The serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
    /// The certificate, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    /// The certificates of its CAs, PEM, the one that signed first.
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<String>,
}

/// Issues a first certificate to a device, for a certification request that the operator brings. The same request within
/// the label's `repeat_window` is answered with the same certificate
#[utoipa::path(post, path = "/tenants/{tenant}/labels/{label}/certificates", tag = "certificates",
    operation_id = "issueCertificate",
    params(("tenant" = String, Path, description = "Tenant"), ("label" = String, Path, description = "Label")),
    request_body = NewCertificate,
    description = "An Idempotency-Key is refused: the same request within repeat_window is answered with the same certificate.",
    responses(
        (status = 200, body = CertificateIssued, description = "Issued"),
        (status = 202, body = CertificateIssued, description = "It waits for approval"),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn issue_certificate(
    State(edge): State<Arc<AdminEdge>>,
    permitted: Permitted<IssueCertificates>,
    Named((_, label)): Named<(String, String)>,
    Json(NewCertificate { device, request }): Json<NewCertificate>,
) -> Result<Response, Problem> {
    let grant = Arc::new(permitted.unkeyed()?);
    let (tenant, name) = (grant.tenant().to_owned(), label.clone());
    let asked_by = Arc::clone(&grant);
    let request = transfer::decode(request.as_bytes());
    let request = request.map_err(|error| Problem::unprocessable(format!("request: {error}")))?;
    let turn = turn_to_ask(&edge, &grant, &label).await?;
    let done = edge.on_store(move |ra| {
        let _turn = turn;
        let pending = ra.issue_for_operator(&grant, &label, &device, &request);
        let pending = pending.map_err(|refused| told(refused, &grant))?;
        let answer = answer(ra, grant.tenant(), &label, device, &pending)?;
        Ok::<_, Problem>((pending, answer))
    });
    // The rest of it keeps the tenant's room until the record is durable.
    let (pending, answer) = done.await??;
    if let Some(alarm) = pending.alarm {
        edge.metrics.alarm(alarm);
    }
    if let Err(fault) = pending.receipt.await {
        edge.authority.load().failed_for_operator(&asked_by, &name);
        let fault = Refusal::Fault(Fault::Store(fault));
        return Err(told(fault.into(), &asked_by));
    }
    if answer.certificate.is_none() {
        return Ok((StatusCode::ACCEPTED, axum::Json(answer)).into_response());
    }
    edge.metrics.certificate_issued(tenant, name);
    Ok((StatusCode::OK, axum::Json(answer)).into_response())
}

/// A turn where somebody else has a say: see [`crate::ra::Authorizer::turn`].
async fn turn_to_ask(edge: &AdminEdge, grant: &Grant<IssueCertificates>, label: &str) -> Result<Option<Turn>, Problem> {
    let authority = edge.authority.load_full();
    let named = authority.label_of(grant.tenant(), label);
    let Some(authorizer) = named.and_then(|label| label.authorizer.as_ref()) else { return Ok(None) };
    // It is an operator who vouches for the device, and who that is was proven.
    let turn = authorizer.turn(false).await.map_err(|fault| {
        authority.failed_for_operator(grant, label);
        told(Refusal::from(Fault::from(fault)).into(), grant)
    });
    turn.map(Some)
}

/// What the operator is told; of a fault of ours the log tells more, under the request id.
fn told(refused: IssueRefused, grant: &Grant<IssueCertificates>) -> Problem {
    if let IssueRefused::Refusal(Refusal::Fault(fault)) = &refused {
        let (request_id, cause) = (grant.actor().request_id.as_str(), fault.to_string());
        let cause = printable(&cause);
        tracing::error!(request_id, %cause, "a certificate that an operator asked for was not issued");
    }
    refused.into()
}

fn answer(
    ra: &RegistrationAuthority,
    tenant: &str,
    label: &str,
    device: String,
    pending: &PendingResponse,
) -> Result<CertificateIssued, Problem> {
    let waiting = CertificateIssued {
        now: "waiting",
        device,
        request: pending.waits.map(|request| hex(&request.0)),
        issuer: None,
        serial: None,
        not_after: None,
        certificate: None,
        chain: None,
    };
    let ResponseBody::Issued(certificates) = &pending.response.body else { return Ok(waiting) };
    let issued = certs_only::decode(certificates, 1).ok().and_then(|mut certificates| certificates.pop());
    let issued = issued.and_then(|der| Certificate::decode(&der).ok()).ok_or_else(Problem::internal)?;
    // One of the label's authorities signed it, the one that signs now or, asked again during a rollover, the other one. They
    // have one name, and each a key of its own.
    let label = ra.label_of(tenant, label);
    let key = issued.authority_key_identifier().ok().flatten().ok_or_else(Problem::internal)?;
    let signed = label.and_then(|label| label.authorities().find(|ca| ca.key_identifier() == key));
    let chain = signed.map(|ca| ca.path().map(|ca| pem::certificate(ca.der())).collect::<String>());
    Ok(CertificateIssued {
        now: "issued",
        issuer: signed.map(|ca| hex(&ca.issuer_id())),
        serial: Some(hex(issued.serial())),
        not_after: Some(super::time(issued.validity().not_after)),
        certificate: Some(pem::certificate(issued.der())),
        chain,
        ..waiting
    })
}
