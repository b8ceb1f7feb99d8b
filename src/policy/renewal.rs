//! Renewal and rekey (RFC 7030 section 4.2.2): same subject, same subjectAltName, today's profile.

use std::sync::Arc;

use super::{EnrollmentKind, EnrollmentRules, Grant};
use crate::est::{Rejection, RejectionCode};
use crate::pki::request::CheckedRequest;
use estd_asn1::{Certificate, GeneralName, Name};

/// More names than any profile gives.
const MAX_CURRENT_ALT_NAMES: usize = 64;

pub(super) fn authorize(
    request: &CheckedRequest,
    current: &Certificate,
    device: String,
    rules: &EnrollmentRules,
) -> Result<Grant, Rejection> {
    // RFC 7030 §4.2.2: "The request Subject field and SubjectAltName extension MUST be identical to the corresponding
    // fields in the certificate being renewed/rekeyed."
    if !request.subject().matches(current.subject()) {
        let reason = format!(
            "the request's subject is {}, the certificate being renewed has {}",
            shown(request.subject()),
            shown(current.subject())
        );
        return Err(Rejection::new(RejectionCode::SubjectMismatch, "RFC 7030 4.2.2", reason));
    }
    let (subject, current_names) = current_names(current)?;
    refuse_other_alt_names(request.subject_alt_names(), &current_names)?;
    Ok(Grant {
        device,
        // The names keep the encoding they were certified with, whatever string types the request used.
        subject,
        subject_alt_names: current_names,
        profile: Arc::clone(&rules.profile),
        kind: EnrollmentKind::Renewal,
    })
}

/// The names of the certificate being renewed.
pub(super) fn current_names(current: &Certificate) -> Result<(Name, Vec<GeneralName>), Rejection> {
    let names = current
        .subject_alt_names(MAX_CURRENT_ALT_NAMES)
        .map_err(|error| Rejection::new(RejectionCode::SubjectAltNameMismatch, "RFC 7030 4.2.2", error.to_string()))?;
    Ok((current.subject().clone(), names))
}

/// Both are sets: order and repetition carry no meaning.
fn refuse_other_alt_names(asked: &[GeneralName], current: &[GeneralName]) -> Result<(), Rejection> {
    let mismatch =
        |reason: String| Err(Rejection::new(RejectionCode::SubjectAltNameMismatch, "RFC 7030 4.2.2", reason));
    if let Some(extra) = asked.iter().find(|name| !current.iter().any(|known| known.matches(name))) {
        return mismatch(format!("the request's subjectAltName has {extra}, the certificate being renewed does not"));
    }
    if let Some(absent) = current.iter().find(|name| !asked.iter().any(|wanted| wanted.matches(name))) {
        return mismatch(format!("the certificate being renewed has subjectAltName {absent}, the request does not"));
    }
    Ok(())
}

fn shown(name: &Name) -> String {
    if name.is_empty() { "empty".to_owned() } else { name.to_string() }
}
