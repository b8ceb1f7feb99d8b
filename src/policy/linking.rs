//! Linking identity and proof-of-possession (RFC 7030 section 3.5): the request was signed for this TLS connection.

use std::fmt::Display;

use crate::est::trace::lazily;
use crate::est::{ChannelBinding, Rejection, RejectionCode, Rule, Trace};
use crate::pki::request::CheckedRequest;

/// What a label asks of the values that link a request to its TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdentityLinking {
    /// They are not looked at: devices put something else into challengePassword.
    Off,
    /// A request may be linked; one that is must be linked to its own connection.
    #[default]
    IfPresent,
    /// A request must be linked.
    Required,
}

/// What the values of a request are held against.
#[derive(Debug, Clone, Copy)]
pub enum Binding<'a> {
    /// Nothing can link a request to its connection, as behind something else that ends TLS.
    Unknown,
    /// The binding of the connection that the request came in.
    Of(&'a ChannelBinding),
    /// The request did not come: whatever links it would be right on its connection.
    Assumed,
}

impl<'a> From<Option<&'a ChannelBinding>> for Binding<'a> {
    fn from(binding: Option<&'a ChannelBinding>) -> Self {
        binding.map_or(Self::Unknown, Self::Of)
    }
}

/// Checks that every linking value in the request is the binding of the connection that it came in.
pub(super) fn check(
    rule: IdentityLinking,
    request: &CheckedRequest,
    binding: Binding<'_>,
    trace: &mut Trace,
) -> Result<(), Rejection> {
    let (found, linked) = (found(request), Rule::IdentityLinking);
    let expected = match rule {
        IdentityLinking::Off => {
            trace.skipped(linked, "not looked at by this label", found);
            return Ok(());
        }
        IdentityLinking::IfPresent => "none, or the channel binding of the connection",
        IdentityLinking::Required => "the channel binding of the connection",
    };
    let outcome = judge(rule, request, binding);
    if outcome.is_ok() && matches!(binding, Binding::Assumed) && !values(request).is_empty() {
        trace.skipped(linked, "taken as right: the connection is not there to hold it against", found);
        return outcome;
    }
    trace.judged(linked, expected, found, outcome)
}

/// Which values came; what they are is nobody's business.
pub(super) fn found(request: &CheckedRequest) -> impl Display {
    lazily(|| {
        let names: Vec<_> = values(request).into_iter().map(|(attribute, _)| attribute).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    })
}

fn values(request: &CheckedRequest) -> Vec<(&'static str, &str)> {
    let values =
        [("challengePassword", request.challenge_password()), ("estIdentityLinking", request.est_identity_linking())];
    values.into_iter().filter_map(|(attribute, value)| Some((attribute, value?))).collect()
}

fn judge(rule: IdentityLinking, request: &CheckedRequest, binding: Binding<'_>) -> Result<(), Rejection> {
    // RFC 7894 §4: each attribute that is present is judged on its own, and all must hold.
    let values = values(request);
    for (attribute, value) in &values {
        match binding {
            // RFC 7030 §3.5: fail closed where nothing can be compared, as behind something else that ends TLS.
            Binding::Unknown => {
                let reason = format!("the request has {attribute}, and this connection has nothing to hold it against");
                return refused(reason);
            }
            Binding::Of(binding) if !binding.matches(value) => {
                let name = binding.name();
                return refused(format!(
                    "{attribute} is not the base64 of {name} of the connection that the request came in"
                ));
            }
            Binding::Of(_) | Binding::Assumed => {}
        }
    }
    if rule == IdentityLinking::Required && values.is_empty() {
        let expected = match binding {
            Binding::Of(binding) => binding.name(),
            Binding::Unknown | Binding::Assumed => "the channel binding",
        };
        return refused(format!(
            "linking of identity and proof-of-possession is required: expected challengePassword with the base64 of \
             {expected}, none came"
        ));
    }
    Ok(())
}

fn refused(reason: String) -> Result<(), Rejection> {
    Err(Rejection::new(RejectionCode::IdentityLinking, "RFC 7030 3.5", reason))
}
