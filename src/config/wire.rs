//! How a label speaks with its clients: the keys `wire`, `strict` and `csrattrs`, checked.

use super::problem::{Place, Problem};
use crate::est::{CsrAttrsForm, Tolerance, WireRules, WireShape};
use crate::policy::{RegistrationRule, RegistrationRules};

/// What stands in the file.
pub(super) struct Speech<'a> {
    pub(super) wire: &'a str,
    pub(super) strict: bool,
    pub(super) csr_attrs: &'a str,
}

/// `None` when a value is wrong, which is then among the problems.
pub(super) fn check(
    speech: &Speech<'_>,
    registration: Option<&RegistrationRules>,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<WireRules> {
    let shape = WireShape::parse(speech.wire);
    if shape.is_none() {
        let names = WireShape::ALL.map(WireShape::as_str).join(", ");
        problems.push(place.key("wire").value(names, format!("{:?}", speech.wire)));
    }
    let defers = registration.is_some_and(|registration| {
        registration.rule == RegistrationRule::Approval && registration.approval.hold.is_zero()
    });
    if defers && shape.is_some_and(|shape| !shape.takes_deferral()) {
        let expected = "approval with a hold, as these clients take nothing but 200 for an answer";
        problems.push(place.key("wire").value(expected, "a hold of 0s"));
    }
    let csr_attrs = CsrAttrsForm::ALL.into_iter().find(|form| form.as_str() == speech.csr_attrs);
    if csr_attrs.is_none() {
        let names = CsrAttrsForm::ALL.map(CsrAttrsForm::as_str).join(", ");
        problems.push(place.key("csrattrs").value(names, format!("{:?}", speech.csr_attrs)));
    }
    let tolerance = if speech.strict { Tolerance::Strict } else { Tolerance::Lenient };
    Some(WireRules { shape: shape?, tolerance, csr_attrs: csr_attrs? })
}
