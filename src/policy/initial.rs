//! The first certificate of a device: its names come from what it proved, through the profile's templates.

use std::fmt::Display;
use std::sync::Arc;

use super::{EnrollmentKind, EnrollmentRules, Grant, name_change, renewal};
use crate::est::trace::lazily;
use crate::est::{Rejection, RejectionCode, Rule, Trace};
use crate::pki::device_identity::{DeviceId, MAX_BIRTH_ALT_NAMES};
use crate::pki::profile::{EnrollmentProfile, RequestNames};
use crate::pki::request::CheckedRequest;
use crate::pki::template::TemplateValues;
use crate::pki::trust::AuthenticatedPeer;
use estd_asn1::{AttributeTypeAndValue, Certificate, GeneralName, Name, oid};

/// The names a profile gives to one device.
pub(super) struct DeviceNames {
    subject: Name,
    /// In the certificate in any case.
    subject_alt_names: Vec<GeneralName>,
    /// In the certificate when the request asks for them.
    optional: Vec<GeneralName>,
    /// What else was proven of the device: a request may repeat it, it is not certified.
    proven_subject: Name,
    proven_alt_names: Vec<GeneralName>,
}

pub(super) fn authorize(
    request: &CheckedRequest,
    peer: &AuthenticatedPeer,
    rules: &EnrollmentRules,
    trace: &mut Trace,
) -> Result<Grant, Rejection> {
    let device = super::identified(rules.identity.as_str(), device_id(peer, rules), trace)?;
    let names = names_of(&device, Some(peer.certificate()), request, rules, trace)?;
    let Some(change) = request.change_subject_name() else { return names.authorize(request, &device, rules, trace) };
    let new = name_change::decide(change, Some(&names), rules.name_change, trace)?;
    // RFC 6402 §2.8: "The name in the certification request MUST match the name in the certificate used to verify the
    // request".
    renewal::matching_names(request, peer.certificate(), "the presented certificate", trace)?;
    Ok(Grant {
        device: device.as_str().to_owned(),
        subject: new.subject,
        subject_alt_names: new.subject_alt_names,
        profile: Arc::clone(&rules.profile),
        kind: EnrollmentKind::Initial,
        by_approval: new.by_approval,
    })
}

/// For a device that is known by another credential than a certificate.
pub(super) fn authorize_without_certificate(
    request: &CheckedRequest,
    device: &DeviceId,
    rules: &EnrollmentRules,
    trace: &mut Trace,
) -> Result<Grant, Rejection> {
    if request.change_subject_name().is_some() {
        let reason =
            "changeSubjectName changes the names of a certificate, there is none; ask for the names themselves";
        let refused = Rejection::new(RejectionCode::NameChange, "RFC 6402 2.8", reason);
        return Err(trace.refuse(Rule::NameChange, "no other names, without a certificate", "other names", refused));
    }
    names_of(device, None, request, rules, trace)?.authorize(request, device, rules, trace)
}

/// The names that the profile gives to a device; that it cannot is a rule that does not hold.
fn names_of(
    device: &DeviceId,
    birth: Option<&Certificate>,
    request: &CheckedRequest,
    rules: &EnrollmentRules,
    trace: &mut Trace,
) -> Result<DeviceNames, Rejection> {
    DeviceNames::render(&rules.profile, device, birth).map_err(|refused| {
        let expected = format_args!("names by the templates of profile {}", rules.profile.name);
        trace.refuse(Rule::Names, expected, asked(request), refused)
    })
}

/// The names of [`super::expected_names`], for a device that has its birth certificate alone.
pub(super) fn expected_names(
    peer: &AuthenticatedPeer,
    rules: &EnrollmentRules,
) -> Result<(Name, Vec<GeneralName>), Rejection> {
    device_names(peer, rules).map(|(_, names)| (names.subject, names.subject_alt_names))
}

fn device_names(peer: &AuthenticatedPeer, rules: &EnrollmentRules) -> Result<(DeviceId, DeviceNames), Rejection> {
    let device = device_id(peer, rules)?;
    let names = DeviceNames::render(&rules.profile, &device, Some(peer.certificate()))?;
    Ok((device, names))
}

/// The device by its birth certificate.
pub(super) fn device_id(peer: &AuthenticatedPeer, rules: &EnrollmentRules) -> Result<DeviceId, Rejection> {
    let device = rules.identity.device_id(peer.certificate());
    device.map_err(|error| Rejection::new(RejectionCode::IdentityMissing, "IEEE 802.1AR 8", error.to_string()))
}

/// The names in a request, for people to read.
pub(super) fn asked(request: &CheckedRequest) -> impl Display {
    listed(request.subject(), request.subject_alt_names())
}

/// Names, for people to read.
pub(super) fn listed(subject: &Name, alt_names: &[GeneralName]) -> impl Display {
    lazily(move || {
        let subject = if subject.is_empty() { "no subject".to_owned() } else { format!("subject {subject}") };
        if alt_names.is_empty() {
            return subject;
        }
        let alt_names: Vec<_> = alt_names.iter().map(ToString::to_string).collect();
        format!("{subject}; {}", alt_names.join(", "))
    })
}

impl DeviceNames {
    pub(super) fn render(
        profile: &EnrollmentProfile,
        device: &DeviceId,
        birth: Option<&Certificate>,
    ) -> Result<Self, Rejection> {
        let values = TemplateValues { device_id: device.as_str(), birth };
        let missing =
            |error: &dyn Display| Rejection::new(RejectionCode::IdentityMissing, "IEEE 802.1AR 8", error.to_string());
        Ok(Self {
            subject: profile.render_subject(&values).map_err(|error| missing(&error))?,
            subject_alt_names: profile.render_subject_alt_names(&values).map_err(|error| missing(&error))?,
            optional: profile.render_optional_subject_alt_names(&values).map_err(|error| missing(&error))?,
            proven_subject: birth.map_or_else(|| device_subject(device), |birth| birth.subject().clone()),
            proven_alt_names: birth
                .map_or(Ok(Vec::new()), |birth| birth.subject_alt_names(MAX_BIRTH_ALT_NAMES))
                .map_err(|error| missing(&error))?,
        })
    }

    fn authorize(
        self,
        request: &CheckedRequest,
        device: &DeviceId,
        rules: &EnrollmentRules,
        trace: &mut Trace,
    ) -> Result<Grant, Rejection> {
        match rules.profile.request_names {
            RequestNames::Agree => {
                let names = listed(&self.subject, &self.subject_alt_names);
                let expected = format_args!("names of the device, as in {names}; or none");
                trace.judged(Rule::Names, expected, asked(request), self.refuse_others(request))?;
            }
            RequestNames::Replace => trace.skipped(Rule::Names, "the profile replaces them", asked(request)),
        }
        Ok(Grant {
            device: device.as_str().to_owned(),
            subject_alt_names: self.granted_alt_names(request),
            subject: self.subject,
            profile: Arc::clone(&rules.profile),
            kind: EnrollmentKind::Initial,
            by_approval: false,
        })
    }

    pub(super) fn subject(&self) -> &Name {
        &self.subject
    }

    /// Whether a name in a subjectAltName is one of this device's.
    pub(super) fn gives(&self, name: &GeneralName) -> bool {
        self.subject_alt_names.iter().chain(&self.optional).any(|given| given.matches(name))
    }

    /// RFC 7030 §4.2 and 3.7: the request may name the device that was authenticated, and nobody else.
    fn refuse_others(&self, request: &CheckedRequest) -> Result<(), Rejection> {
        let known_attributes = || self.subject.rdns().iter().chain(self.proven_subject.rdns()).flatten();
        for attribute in request.subject().rdns().iter().flatten() {
            if !known_attributes().any(|known| same_attribute(known, attribute)) {
                let shown = Name::from_rdns(&[vec![attribute.clone()]]);
                let reason = format!(
                    "the request's subject has {shown}, which is not proven; expected {} or an empty \
                     subject",
                    self.subject
                );
                return Err(Rejection::new(RejectionCode::IdentityMismatch, "RFC 7030 4.2", reason));
            }
        }
        let known_names = || self.subject_alt_names.iter().chain(&self.optional).chain(&self.proven_alt_names);
        for name in request.subject_alt_names() {
            if !known_names().any(|known| known.matches(name)) {
                let reason = format!("the request's subjectAltName has {name}, which is not a name of this device");
                return Err(Rejection::new(RejectionCode::IdentityMismatch, "RFC 7030 4.2", reason));
            }
        }
        Ok(())
    }

    fn granted_alt_names(&self, request: &CheckedRequest) -> Vec<GeneralName> {
        let asked = |name: &&GeneralName| request.subject_alt_names().iter().any(|wanted| wanted.matches(name));
        let optional = self.optional.iter().filter(|name| !self.subject_alt_names.contains(name)).filter(asked);
        self.subject_alt_names.iter().chain(optional).cloned().collect()
    }
}

/// The names by which a request may call a device that has no birth certificate.
fn device_subject(device: &DeviceId) -> Name {
    let named = |attribute| AttributeTypeAndValue::from_text(attribute, device.as_str()).ok();
    let names = [oid::AT_SERIAL_NUMBER, oid::AT_COMMON_NAME].into_iter().filter_map(named);
    Name::from_rdns(&names.map(|name| vec![name]).collect::<Vec<_>>())
}

/// RFC 5280 §7.1 comparison of single attributes.
fn same_attribute(left: &AttributeTypeAndValue, right: &AttributeTypeAndValue) -> bool {
    left.oid == right.oid
        && (left.value == right.value
            || Name::from_rdns(&[vec![left.clone()]]).matches(&Name::from_rdns(&[vec![right.clone()]])))
}
