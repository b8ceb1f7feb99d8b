//! Linking identity and proof-of-possession (RFC 7030 section 3.5): the request was signed for this TLS connection.

use crate::est::{ChannelBinding, Rejection, RejectionCode};
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

/// Checks that every linking value in the request is the binding of the connection that it came in.
pub(super) fn check(
    rule: IdentityLinking,
    request: &CheckedRequest,
    binding: Option<&ChannelBinding>,
) -> Result<(), Rejection> {
    if rule == IdentityLinking::Off {
        return Ok(());
    }
    // RFC 7894 §4: each attribute that is present is judged on its own, and all must hold.
    let values =
        [("challengePassword", request.challenge_password()), ("estIdentityLinking", request.est_identity_linking())];
    let mut linked = false;
    for (attribute, value) in values {
        let Some(value) = value else { continue };
        // RFC 7030 §3.5: fail closed where nothing can be compared, as behind something else that ends TLS.
        let Some(binding) = binding else {
            return refused(format!("the request has {attribute}, and this connection has nothing to hold it against"));
        };
        if !binding.matches(value) {
            let name = binding.name();
            return refused(format!(
                "{attribute} is not the base64 of {name} of the connection that the request came in"
            ));
        }
        linked = true;
    }
    if rule == IdentityLinking::Required && !linked {
        let expected = binding.map_or("the channel binding", ChannelBinding::name);
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
