//! What a composed request deserves, from what it was composed of.

use super::input::{AltName, Request, RequestAttribute, Subject, Wish};
use super::oracle::{Credential, Kind};
use super::stage::Stage;

/// Whether a request is one that a device sends that does everything right. `bound`: its connection has what requests
/// are linked to.
pub fn is_welcome(stage: &Stage, request: &Request, peer: &Credential, bound: bool) -> bool {
    let untouched = request.edits_before.is_empty() && request.edits_after.is_empty() && request.forgery.is_none();
    let linked = match request.attributes.as_slice() {
        [] => true,
        [RequestAttribute::Linked] => bound,
        _ => false,
    };
    let names = match peer.kind {
        Kind::Birth => {
            matches!(request.subject, Subject::Fitting | Subject::Empty | Subject::Own | Subject::Presented)
                && request.names.iter().all(|name| matches!(name, AltName::OwnUri | AltName::OwnHost))
        }
        Kind::Operational { .. } => matches!(
            (&request.subject, request.names.as_slice()),
            (Subject::Fitting, []) | (Subject::Presented, [AltName::Presented])
        ),
    };
    // What a manufacturer composed may be no name at all; what devices are born with are names.
    let named = peer.kind != Kind::Birth || stage.born.iter().any(|born| born.der == peer.der);
    // Thirty-two names are the limit of a request.
    untouched && linked && request.wishes.is_empty() && names && named && request.names.len() <= 32
}

/// Whether a request that says what it was made to say asks for what no device gets, or for another's.
pub fn oversteps(stage: &Stage, request: &Request, peer: &Credential, bound: bool) -> bool {
    let subject = match &request.subject {
        // Distinguished names are compared without regard to case.
        Subject::Of(index) => !stage.device(*index).device.eq_ignore_ascii_case(peer.device.trim()),
        Subject::Fitting | Subject::Empty | Subject::Own | Subject::Presented | Subject::Composed(_) => false,
    };
    let mut names = request.names.iter().map(|name| match name {
        AltName::UriOf(index) => stage.device(*index).device != peer.device,
        AltName::Email(_) | AltName::Ip(_) | AltName::Other(_) | AltName::Directory(_) => true,
        AltName::Presented | AltName::OwnUri | AltName::OwnHost | AltName::Dns(_) | AltName::Uri(_) => false,
    });
    let mut wishes = request.wishes.iter().map(|wish| match wish {
        Wish::BasicConstraints { ca, .. } => *ca,
        // keyCertSign and cRLSign
        Wish::KeyUsage(bits) => bits & 0b0110_0000 != 0,
        Wish::ExtKeyUsage(_) | Wish::Other { .. } => false,
    });
    // RFC 7030 section 3.5: what is there must be of this connection.
    let mut links = request.attributes.iter().map(|attribute| match attribute {
        RequestAttribute::ChallengePassword(_)
        | RequestAttribute::IdentityLinking(_)
        | RequestAttribute::LinkedElsewhere => true,
        RequestAttribute::Linked => !bound,
        RequestAttribute::UnstructuredName(_) => false,
    });
    let untouched = request.edits_before.is_empty() && request.edits_after.is_empty();
    untouched && (subject || names.any(|it| it) || wishes.any(|it| it) || links.any(|it| it))
}
