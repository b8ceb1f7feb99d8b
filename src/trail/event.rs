//! An event of the audit, as it is shown to whoever may read it.

use chrono::SecondsFormat;
use serde::Serialize;
use utoipa::ToSchema;

use crate::pki::digest::hex;
use crate::pki::revocation::RevocationReason;
use crate::store::LoggedEvent;
use crate::store::event::OutcomeEntry;

/// An event of the audit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Event {
    /// The number of its record in the journal.
    pub(crate) sequence: u64,
    /// When it was decided.
    pub(crate) at: String,
    /// issued, repeated, refused, deferred, failed, revoked, released, changed or alarm.
    pub(crate) kind: &'static str,
    /// The stable code of a refusal or an alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    /// Why, or what is so now, for people to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) what: Option<String>,
    /// The clause of the standard that a refusal rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clause: Option<String>,
    /// The rule that a request was refused by; POST /explain shows those before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused_by: Option<RefusedBy>,
    /// The serial numbers of the certificates it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) serials: Vec<String>,
    /// Tenant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) tenant: String,
    /// Label.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) label: String,
    /// What was asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) operation: String,
    /// The device, once its identity was proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<String>,
    /// The operator who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<String>,
    /// The credential that was verified or tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credential: Option<String>,
    /// SHA-256 of the certificate the peer presented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peer: Option<String>,
    /// The peer's address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) source: String,
    /// What stands in the log lines and the answer of the request.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) request_id: String,
    /// Refusals since the record before that were counted and not written.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) suppressed: u64,
}

/// A rule that did not hold.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusedBy {
    /// Which rule.
    rule: String,
    /// What of the request it looks at.
    field: String,
    /// What it wants.
    expected: String,
    /// What came.
    got: String,
}

impl RefusedBy {
    fn of(outcome: &OutcomeEntry<'_>) -> (Option<String>, Option<Self>) {
        let OutcomeEntry::Refused { clause, step, .. } = outcome else { return (None, None) };
        let step = step.as_ref().map(|step| Self {
            rule: step.rule.to_string(),
            field: step.field.to_string(),
            expected: step.expected.to_string(),
            got: step.got.to_string(),
        });
        (clause.as_deref().map(str::to_owned), step)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A reason of a CRL by its name.
fn reason_text(code: u8) -> Option<String> {
    RevocationReason::from_code(code).map(|reason| reason.to_string())
}

impl From<&LoggedEvent> for Event {
    fn from(logged: &LoggedEvent) -> Self {
        let event = &logged.event;
        let (what, serials) = match &event.outcome {
            OutcomeEntry::Issued { serial, .. } | OutcomeEntry::Released { serial } => (None, vec![hex(serial)]),
            OutcomeEntry::Revoked { serial, reason } => (reason_text(*reason), vec![hex(serial)]),
            OutcomeEntry::RevokedTogether { serials, reason } => {
                (reason_text(*reason), serials.iter().map(|serial| hex(&serial.0)).collect())
            }
            OutcomeEntry::Refused { reason, .. } | OutcomeEntry::Alarm { reason, .. } => {
                (Some(reason.to_string()), Vec::new())
            }
            OutcomeEntry::Changed { what } => (Some(what.to_string()), Vec::new()),
            OutcomeEntry::Failed | OutcomeEntry::Deferred => (None, Vec::new()),
        };
        let (clause, refused_by) = RefusedBy::of(&event.outcome);
        Self {
            sequence: logged.sequence,
            at: event.at.to_rfc3339_opts(SecondsFormat::Secs, true),
            kind: event.outcome.kind(),
            code: event.outcome.code().map(str::to_owned),
            what,
            clause,
            refused_by,
            serials,
            tenant: event.tenant.to_string(),
            label: event.label.to_string(),
            operation: event.operation.to_string(),
            device: event.device.as_deref().map(str::to_owned),
            actor: event.actor.as_deref().map(str::to_owned),
            credential: event.credential.as_deref().map(str::to_owned),
            peer: event.peer.map(|peer| hex(&peer)),
            source: event.source.to_string(),
            request_id: event.request_id.to_string(),
            suppressed: logged.suppressed,
        }
    }
}
