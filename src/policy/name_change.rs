//! Changes of names (ChangeSubjectName, RFC 6402 section 2.8): which names are certified in place of those a device has.

use super::initial::{self, DeviceNames};
use crate::est::{Rejection, RejectionCode, Rule, Trace};
use estd_asn1::change_subject_name::ChangeSubjectName;
use estd_asn1::{GeneralName, Name};

/// What becomes of a request for other names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameChange {
    /// It is refused.
    #[default]
    Refuse,
    /// It is granted where the profile gives the device these names.
    Profile,
    /// It is granted where the profile gives the device these names; others wait for an operator.
    Approval,
}

/// The names that are certified.
pub(super) struct NewNames {
    pub(super) subject: Name,
    pub(super) subject_alt_names: Vec<GeneralName>,
    /// An operator decides first.
    pub(super) by_approval: bool,
}

/// Decides about the names asked for. `given` are those that the profile gives to the device, as far as it can.
///
/// RFC 6402 §2.12 and RFC 7030 §3.7: what is not granted is refused, never passed over: the client would get a certificate
/// that it did not ask for.
pub(super) fn decide(
    change: &ChangeSubjectName,
    given: Option<&DeviceNames>,
    rule: NameChange,
    trace: &mut Trace,
) -> Result<NewNames, Rejection> {
    let expected = match rule {
        NameChange::Refuse => "no other names at this label",
        NameChange::Profile => "names that the profile gives to the device",
        NameChange::Approval => "names that the profile gives to the device, or that an operator approves",
    };
    let subject = change.subject.clone().unwrap_or_else(Name::empty);
    let got = initial::listed(&subject, change.subject_alt_names.as_deref().unwrap_or_default());
    trace.judged(Rule::NameChange, expected, got, judge(change, given, rule))
}

fn judge(change: &ChangeSubjectName, given: Option<&DeviceNames>, rule: NameChange) -> Result<NewNames, Rejection> {
    // RFC 6402 §2.8: "If the subject field is absent, the name field of the template will be set to a empty sequence. …
    // If the subjectAlt field is absent, the subjectAltName extension is removed from the certificate template."
    let subject = change.subject.clone().unwrap_or_else(Name::empty);
    let subject_alt_names = change.subject_alt_names.clone().unwrap_or_default();
    if subject.is_empty() && subject_alt_names.is_empty() {
        let reason = "changeSubjectName leaves neither a subject nor a subjectAltName";
        return Err(Rejection::new(RejectionCode::BadName, "RFC 5280 4.1.2.6", reason));
    }
    let foreign = match given {
        None => Some(shown(&subject)),
        Some(given) if !subject.is_empty() && !given.subject().matches(&subject) => Some(shown(&subject)),
        Some(given) => subject_alt_names.iter().find(|name| !given.gives(name)).map(ToString::to_string),
    };
    let by_approval = match (rule, foreign) {
        (NameChange::Profile | NameChange::Approval, None) => false,
        (NameChange::Approval, Some(_)) => true,
        (NameChange::Refuse, _) => return refused("names are not changed at this label".to_owned()),
        (NameChange::Profile, Some(name)) => {
            return refused(format!(
                "changeSubjectName asks for {name}, which the profile does not give to this device"
            ));
        }
    };
    Ok(NewNames { subject, subject_alt_names, by_approval })
}

fn shown(subject: &Name) -> String {
    if subject.is_empty() { "an empty subject".to_owned() } else { format!("the subject {subject}") }
}

fn refused<T>(reason: String) -> Result<T, Rejection> {
    Err(Rejection::new(RejectionCode::NameChange, "RFC 6402 2.8", reason))
}
