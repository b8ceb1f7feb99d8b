//! What is asked of an authorization webhook, and what of its answer counts.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::message::Message;
use crate::pki::digest::hex;
use crate::pki::trust::{AnchorClass, AuthenticatedPeer};
use crate::ra::{Answer, Question};

/// The type of the message.
const KIND: &str = "enrollment.authorize";

#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    request_id: &'a str,
    tenant: &'a str,
    label: &'a str,
    operation: &'a str,
    /// initial or renewal, whichever operation asks for it.
    kind: &'static str,
    device: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    source: &'a str,
    authentication: Authentication<'a>,
    profile: &'a str,
    subject: &'a str,
    subject_alt_names: &'a [String],
    key: Key,
    #[serde(skip_serializing_if = "Option::is_none")]
    renews: Option<String>,
    clone_suspected: bool,
}

#[derive(Serialize)]
struct Authentication<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<Shown>,
    credentials: &'a [&'a str],
}

/// A certificate that was presented; the proof of its key came by TLS.
#[derive(Serialize)]
struct Shown {
    /// birth, or operational where it was issued by the label's own CA.
    kind: &'static str,
    subject: String,
    issuer: String,
    serial: String,
    not_before: String,
    not_after: String,
    sha256: String,
    issuer_spki_sha256: String,
}

#[derive(Serialize)]
struct Key {
    #[serde(rename = "type")]
    kind: String,
    /// Missing where the key is yet to be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    spki_sha256: Option<String>,
}

/// An answer. What else stands there is for others.
#[derive(Deserialize)]
struct Said {
    allow: bool,
    #[serde(default)]
    reason: Option<String>,
}

impl Shown {
    fn of(peer: &AuthenticatedPeer) -> Self {
        let certificate = peer.certificate();
        let validity = certificate.validity();
        Self {
            kind: match peer.class() {
                AnchorClass::Implicit => "birth",
                AnchorClass::Explicit => "operational",
            },
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            serial: hex(certificate.serial()),
            not_before: stamp(validity.not_before),
            not_after: stamp(validity.not_after),
            sha256: hex(&peer.fingerprint()),
            issuer_spki_sha256: hex(&peer.issuer_spki_sha256()),
        }
    }
}

/// The message that asks, under an id of its own.
///
/// # Errors
/// When it has no form as JSON.
pub(super) fn message(id: String, question: &Question<'_>) -> Result<Message, serde_json::Error> {
    let data = Data {
        request_id: question.request_id,
        tenant: question.tenant,
        label: question.label,
        operation: question.operation,
        kind: if question.is_renewal { "renewal" } else { "initial" },
        device: question.device,
        actor: question.actor,
        source: question.source,
        authentication: Authentication {
            certificate: question.peer.map(Shown::of),
            credentials: &question.credentials,
        },
        profile: question.profile,
        subject: &question.subject,
        subject_alt_names: &question.subject_alt_names,
        key: Key { kind: question.key_type.to_string(), spki_sha256: question.spki_sha256.map(|key| hex(&key)) },
        renews: question.renews.map(hex),
        clone_suspected: question.is_clone_suspected,
    };
    let payload = Payload { kind: KIND, timestamp: stamp(question.at), data };
    Ok(Message { id, body: serde_json::to_vec(&payload)? })
}

/// What an answer says; `None` when it is none. What stands there in place of one is not told: it may come from where
/// nobody should ask.
pub(super) fn answer(body: &[u8]) -> Option<Answer> {
    // A list whose first member is true would be read as if the names stood there.
    let object = Some(body).filter(|body| body.trim_ascii_start().starts_with(b"{"))?;
    let Said { allow, reason } = serde_json::from_slice(object).ok()?;
    Some(if allow { Answer::Allowed } else { Answer::Denied { reason } })
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_and_nothing_else_does() {
        let denied = |reason: Option<&str>| Some(Answer::Denied { reason: reason.map(str::to_owned) });
        for (body, expected) in [
            ("{\"allow\": true}", Some(Answer::Allowed)),
            (" {\"allow\":true,\"reason\":\"known\",\"ttl\":[1]}\n", Some(Answer::Allowed)),
            ("{\"allow\":false}", denied(None)),
            ("{\"allow\":false,\"reason\":null}", denied(None)),
            ("{\"allow\":false,\"reason\":\"not paid\",\"more\":{}}", denied(Some("not paid"))),
            ("{}", None),
            ("{\"Allow\":true}", None),
            ("{\"allow\":\"true\"}", None),
            ("{\"allow\":1}", None),
            ("{\"allow\":null}", None),
            ("{\"allow\":true,\"allow\":false}", None),
            ("{\"allow\":true,\"reason\":7}", None),
            ("{\"allow\":true}{\"allow\":true}", None),
            ("true", None),
            ("[true]", None),
            (" [true, null]", None),
            ("", None),
            ("<html>", None),
        ] {
            assert_eq!(answer(body.as_bytes()), expected, "{body}");
        }
    }
}
