//! Renewal and rekey (RFC 7030 section 4.2.2): same subject, same subjectAltName, today's profile.

use std::sync::Arc;

use super::initial::{self, DeviceNames};
use super::name_change::{self, NewNames};
use super::{EnrollmentKind, EnrollmentRules, Grant};
use crate::est::trace::lazily;
use crate::est::{Rejection, RejectionCode, Rule, Trace};
use crate::pki::device_identity::DeviceId;
use crate::pki::request::CheckedRequest;
use estd_asn1::{Certificate, GeneralName, Name};

/// More names than any profile gives.
const MAX_CURRENT_ALT_NAMES: usize = 64;

pub(super) fn authorize(
    request: &CheckedRequest,
    current: &Certificate,
    device: String,
    rules: &EnrollmentRules,
    trace: &mut Trace,
) -> Result<Grant, Rejection> {
    let new = match request.change_subject_name() {
        Some(change) => {
            // Without a birth certificate at hand, the profile may know some of the names alone.
            let given = DeviceId::parse(device.clone()).ok();
            let given = given.and_then(|device| DeviceNames::render(&rules.profile, &device, None).ok());
            Some(name_change::decide(change, given.as_ref(), rules.name_change, trace)?)
        }
        None => None,
    };
    // RFC 7030 §4.2.2: "The request Subject field and SubjectAltName extension MUST be identical to the corresponding
    // fields in the certificate being renewed/rekeyed."
    let (subject, subject_alt_names) = matching_names(request, current, "the certificate being renewed", trace)?;
    // Otherwise the names keep the encoding they were certified with, whatever string types the request used.
    let new = new.unwrap_or(NewNames { subject, subject_alt_names, by_approval: false });
    Ok(Grant {
        device,
        subject: new.subject,
        subject_alt_names: new.subject_alt_names,
        profile: Arc::clone(&rules.profile),
        kind: EnrollmentKind::Renewal,
        by_approval: new.by_approval,
    })
}

/// The names of a certificate, which the request must repeat. `which` says what certificate it is.
pub(super) fn matching_names(
    request: &CheckedRequest,
    certificate: &Certificate,
    which: &str,
    trace: &mut Trace,
) -> Result<(Name, Vec<GeneralName>), Rejection> {
    let outcome = repeated_names(request, certificate, which);
    let expected = lazily(|| {
        let alt_names = certificate.subject_alt_names(MAX_CURRENT_ALT_NAMES).unwrap_or_default();
        format!("as in {which}: {}", initial::listed(certificate.subject(), &alt_names))
    });
    trace.judged(Rule::Names, expected, initial::asked(request), outcome)
}

fn repeated_names(
    request: &CheckedRequest,
    certificate: &Certificate,
    which: &str,
) -> Result<(Name, Vec<GeneralName>), Rejection> {
    if !request.subject().matches(certificate.subject()) {
        let (asked, has) = (shown(request.subject()), shown(certificate.subject()));
        let reason = format!("the request's subject is {asked}, {which} has {has}");
        return Err(Rejection::new(RejectionCode::SubjectMismatch, "RFC 7030 4.2.2", reason));
    }
    let (subject, names) = current_names(certificate)?;
    refuse_other_alt_names(request.subject_alt_names(), &names, which)?;
    Ok((subject, names))
}

/// The names of the certificate being renewed.
pub(super) fn current_names(current: &Certificate) -> Result<(Name, Vec<GeneralName>), Rejection> {
    let names = current
        .subject_alt_names(MAX_CURRENT_ALT_NAMES)
        .map_err(|error| Rejection::new(RejectionCode::SubjectAltNameMismatch, "RFC 7030 4.2.2", error.to_string()))?;
    Ok((current.subject().clone(), names))
}

/// Both are sets: order and repetition carry no meaning.
fn refuse_other_alt_names(asked: &[GeneralName], current: &[GeneralName], which: &str) -> Result<(), Rejection> {
    let mismatch =
        |reason: String| Err(Rejection::new(RejectionCode::SubjectAltNameMismatch, "RFC 7030 4.2.2", reason));
    if let Some(extra) = asked.iter().find(|name| !current.iter().any(|known| known.matches(name))) {
        return mismatch(format!("the request's subjectAltName has {extra}, {which} does not"));
    }
    if let Some(absent) = current.iter().find(|name| !asked.iter().any(|wanted| wanted.matches(name))) {
        return mismatch(format!("{which} has subjectAltName {absent}, the request does not"));
    }
    Ok(())
}

fn shown(name: &Name) -> String {
    if name.is_empty() { "empty".to_owned() } else { name.to_string() }
}
