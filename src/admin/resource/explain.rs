//! What would come of a request at a label, and why; nothing is done for it.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{Operator, ReadRegistry};
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{Asking, Json};
use crate::admin::problem::Problem;
use crate::est::trace::Step;
use crate::est::{EstTarget, Label, Operation, transfer};
use crate::pki::device_identity::DeviceId;
use crate::pki::digest::{hex, sha256};
use crate::pki::pem;
use crate::ra::{
    AssumedCredential, ExplainError, Explanation, Inquiry, LabelContext, RegistrationAuthority, RequestKey, Verdict,
};
use crate::store::CertificateRecord;
use estd_asn1::{Certificate, Extension, Oid, oid};

/// More names than any profile gives.
const MAX_ALT_NAMES: usize = 256;

/// Most certificates in a chain that is asked about.
const MAX_CHAIN: usize = 16;

/// A request to be explained. It names a label, or a host and path as a device would.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct Asked {
    /// The label; `path` stands in its place otherwise.
    label: Option<String>,
    /// The label's tenant, where several have one of that name.
    tenant: Option<String>,
    /// What is asked for, with `label`; simpleenroll when nothing is said.
    operation: Option<Enrollment>,
    /// The path of the device's URL, for instance `/.well-known/est/devices/simpleenroll`.
    path: Option<String>,
    /// The host of the device's URL, where tenants have their own.
    host: Option<String>,
    /// The PKCS#10: PEM, or base64 of its DER.
    csr: String,
    /// The certificates that the device presents in the TLS handshake, its own first: PEM. Their key is taken as held.
    certificates: Option<String>,
    /// A credential that is taken as presented, as events name it: user/NAME, token/NAME, issuer/NAME or code/HASH.
    credential: Option<String>,
    /// The device that the credential was made out to: of an issuer's JWT always, of a code where its user name says so.
    credential_device: Option<String>,
}

/// An operation that is explained.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::admin) enum Enrollment {
    #[default]
    SimpleEnroll,
    SimpleReenroll,
    ServerKeyGen,
}

/// What would come of a request, and why.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct Explained {
    /// Whether the device would be answered with a certificate.
    would_issue: bool,
    /// issue, repeat (the certificate that the same request got a moment ago), wait (for an operator) or refuse.
    verdict: &'static str,
    /// The tenant of the label.
    tenant: String,
    /// The label.
    label: String,
    /// What was asked for.
    operation: &'static str,
    /// When it was judged.
    at: String,
    /// The device, once its identity was proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// The RA client that asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    ra: Option<String>,
    /// Why it would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<RefusalShown>,
    /// The rules that it was held against, in order. A refusal ends them.
    steps: Vec<StepShown>,
    /// What the certificate would say.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<Outline>,
    /// Of serverkeygen, the key that would be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    generates: Option<Generated>,
    /// The serial number of the certificate that would be handed out again.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeats: Option<String>,
    /// What names the request that would wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    /// Why an alarm would be raised.
    #[serde(skip_serializing_if = "Option::is_none")]
    alarm: Option<String>,
}

/// A refusal, as the device would see it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct RefusalShown {
    /// The stable code.
    code: &'static str,
    /// The clause of the standard.
    clause: &'static str,
    /// What was expected and what came.
    sentence: String,
}

/// A rule, as it was applied.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct StepShown {
    /// passed, refused or skipped.
    outcome: &'static str,
    /// Which rule.
    rule: &'static str,
    /// What of the request it looks at.
    field: &'static str,
    /// What it wants; where it was skipped, why.
    expected: String,
    /// What came.
    got: String,
    /// The clause of the standard.
    clause: &'static str,
}

/// A key that would be made.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct Generated {
    /// p256, p384, ed25519, rsa2048, rsa3072 or rsa4096.
    key: &'static str,
    /// Whether it would be given out encrypted, and not with TLS alone around it.
    encrypted: bool,
}

/// What a certificate would say.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct Outline {
    /// The subject's name.
    subject: String,
    /// The subjectAltName entries.
    subject_alt_names: Vec<String>,
    /// The issuer's name.
    issuer: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    key: String,
    /// When it begins.
    not_before: String,
    /// When it ends.
    not_after: String,
    /// Its extensions. Where CRLs are sharded, the address of the shard goes by the serial number, which is yet to be drawn.
    extensions: Vec<ExtensionShown>,
}

/// An extension of a certificate.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct ExtensionShown {
    /// Its object identifier.
    oid: String,
    /// Its name, where RFC 5280 gives it one.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    /// Whether it is critical.
    critical: bool,
    /// Its DER, hexadecimal.
    value: String,
}

/// Tells what would come of a request at a label, and why; nothing is issued or recorded
#[utoipa::path(post, path = "/explain", tag = "tenants", operation_id = "explainRequest", request_body = Asked,
    responses(
        (status = 200, body = Explained),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn explain_request(
    State(edge): State<Arc<AdminEdge>>,
    Asking(operator): Asking,
    Json(asked): Json<Asked>,
) -> Result<axum::Json<Explained>, Problem> {
    edge.on_store(move |ra| {
        let (label, operation) = place(&asked, &operator, ra)?;
        let grant = operator.within::<ReadRegistry>(&label.tenant)?;
        let inquiry = inquiry(&asked, label, operation)?;
        let explanation = ra.explain(&grant, &inquiry)?;
        Ok(axum::Json(Explained::of(explanation, label, operation)))
    })
    .await?
}

/// The label and the operation that are asked about. A label of another tenant is no label.
fn place<'a>(
    asked: &Asked,
    operator: &Operator,
    ra: &'a RegistrationAuthority,
) -> Result<(&'a LabelContext, Operation), Problem> {
    let none = || Problem::not_found("there is no such label");
    match (&asked.label, &asked.path) {
        (Some(name), None) => {
            if asked.host.is_some() {
                return Err(Problem::unprocessable("host goes with path, label came"));
            }
            let is_named = |label: &&Arc<LabelContext>| {
                label.label.as_str() == name
                    && operator.sees(&label.tenant)
                    && asked.tenant.as_ref().is_none_or(|tenant| label.tenant == *tenant)
            };
            let mut found = ra.labels().filter(is_named);
            let label = found.next().ok_or_else(none)?;
            if found.next().is_some() {
                return Err(Problem::unprocessable("several tenants have a label of this name: name the tenant"));
            }
            let operation = match asked.operation.unwrap_or_default() {
                Enrollment::SimpleEnroll => Operation::SimpleEnroll,
                Enrollment::SimpleReenroll => Operation::SimpleReenroll,
                Enrollment::ServerKeyGen => Operation::ServerKeyGen,
            };
            Ok((label.as_ref(), operation))
        }
        (None, Some(path)) => {
            if asked.operation.is_some() || asked.tenant.is_some() {
                return Err(Problem::unprocessable("operation and tenant go with label, path came"));
            }
            let target =
                EstTarget::parse(path).ok_or_else(|| Problem::not_found("the path names no operation of EST"))?;
            let host = asked.host.as_ref().map(|host| host.to_ascii_lowercase());
            let label = ra.label(host.as_deref(), target.label.as_ref()).filter(|label| operator.sees(&label.tenant));
            Ok((label.ok_or_else(none)?.as_ref(), target.operation))
        }
        (None, None) | (Some(_), Some(_)) => Err(Problem::unprocessable("expected label, or path")),
    }
}

fn inquiry(asked: &Asked, label: &LabelContext, operation: Operation) -> Result<Inquiry, Problem> {
    let request = transfer::decode(asked.csr.as_bytes());
    let request = request.map_err(|error| Problem::unprocessable(format!("csr: {error}")))?;
    let chain = asked.certificates.as_deref().map_or(Ok(Vec::new()), |text| pem::certificates(text, MAX_CHAIN));
    let chain = chain.map_err(|error| Problem::unprocessable(format!("certificates: {error}")))?;
    let device = asked.credential_device.as_deref().map(DeviceId::parse).transpose();
    let device = device.map_err(|error| Problem::unprocessable(format!("credential_device: {error}")))?;
    if device.is_some() && asked.credential.is_none() {
        return Err(Problem::unprocessable("credential_device goes with credential, none came"));
    }
    let credential = asked.credential.clone().map(|id| AssumedCredential { id, device });
    Ok(Inquiry { label: Label::clone(&label.label), operation, request, chain, credential })
}

impl Explained {
    fn of(explanation: Explanation, label: &LabelContext, operation: Operation) -> Self {
        let mut explained = Self {
            would_issue: explanation.would_issue(),
            verdict: "issue",
            tenant: label.tenant.clone(),
            label: label.label.to_string(),
            operation: operation.segment(),
            at: super::time(explanation.at),
            device: explanation.device,
            ra: explanation.ra,
            refusal: None,
            steps: explanation.trace.steps().iter().map(StepShown::from).collect(),
            certificate: None,
            generates: None,
            repeats: None,
            request: None,
            alarm: None,
        };
        match explanation.verdict {
            Verdict::Issue { certificate, alarm } => {
                (explained.certificate, explained.alarm) = (Some((&certificate).into()), alarm);
            }
            Verdict::Generate { key, is_encrypted, alarm } => {
                let generated = Generated { key: key.as_str(), encrypted: is_encrypted };
                (explained.generates, explained.alarm) = (Some(generated), alarm);
            }
            Verdict::Repeat(record) => {
                let CertificateRecord { id, .. } = record.as_ref();
                (explained.verdict, explained.repeats) = ("repeat", Some(hex(&id.serial)));
            }
            Verdict::Wait { request: RequestKey(request), .. } => {
                (explained.verdict, explained.request) = ("wait", Some(hex(&request)));
            }
            Verdict::Refuse(rejection) => {
                explained.verdict = "refuse";
                explained.refusal = Some(RefusalShown {
                    code: rejection.code().as_str(),
                    clause: rejection.clause(),
                    sentence: rejection.reason().to_owned(),
                });
            }
        }
        explained
    }
}

impl From<&Step> for StepShown {
    fn from(step: &Step) -> Self {
        Self {
            outcome: step.outcome.as_str(),
            rule: step.rule.as_str(),
            field: step.rule.field(),
            expected: step.expected.clone(),
            got: step.got.clone(),
            clause: step.clause,
        }
    }
}

impl From<&Certificate> for Outline {
    fn from(certificate: &Certificate) -> Self {
        let alt_names = certificate.subject_alt_names(MAX_ALT_NAMES).unwrap_or_default();
        let validity = certificate.validity();
        Self {
            subject: certificate.subject().to_string(),
            subject_alt_names: alt_names.iter().map(ToString::to_string).collect(),
            issuer: certificate.issuer().to_string(),
            key: hex(&sha256(&[certificate.public_key().der()])),
            not_before: super::time(validity.not_before),
            not_after: super::time(validity.not_after),
            extensions: certificate.extensions().iter().map(ExtensionShown::from).collect(),
        }
    }
}

impl From<&Extension> for ExtensionShown {
    fn from(extension: &Extension) -> Self {
        let Extension { oid, critical, value } = extension;
        Self { oid: oid.to_string(), name: extension_name(oid), critical: *critical, value: hex(value) }
    }
}

/// The name that RFC 5280 gives to an extension.
fn extension_name(extension: &Oid) -> Option<&'static str> {
    const NAMES: [(Oid, &str); 9] = [
        (oid::AUTHORITY_KEY_IDENTIFIER, "authorityKeyIdentifier"),
        (oid::SUBJECT_KEY_IDENTIFIER, "subjectKeyIdentifier"),
        (oid::KEY_USAGE, "keyUsage"),
        (oid::CERTIFICATE_POLICIES, "certificatePolicies"),
        (oid::SUBJECT_ALT_NAME, "subjectAltName"),
        (oid::BASIC_CONSTRAINTS, "basicConstraints"),
        (oid::EXT_KEY_USAGE, "extKeyUsage"),
        (oid::CRL_DISTRIBUTION_POINTS, "cRLDistributionPoints"),
        (oid::AUTHORITY_INFO_ACCESS, "authorityInfoAccess"),
    ];
    NAMES.iter().find(|(known, _)| known == extension).map(|(_, name)| *name)
}

impl From<ExplainError> for Problem {
    fn from(error: ExplainError) -> Self {
        let detail = error.to_string();
        match error {
            ExplainError::NoLabel => Self::not_found(detail),
            ExplainError::Operation(_) => Self::unprocessable(detail),
            ExplainError::Fault(fault) => {
                tracing::error!(%fault, "a request cannot be explained");
                if fault.retry_after().is_some() { Self::unavailable() } else { Self::internal() }
            }
        }
    }
}
