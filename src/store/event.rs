//! Audit events as they are kept: what is read back may be of another version, so that codes are text here.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use minicbor::{Decode, Encode};

use super::record::time;
use crate::audit::{AuditEvent, AuditOutcome};
use crate::est::trace::Step;

/// An [`AuditEvent`] as written; codes are text, so that old journals stay readable when codes are added.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct EventEntry<'a> {
    /// When it was decided.
    #[cbor(n(0), with = "time")]
    pub at: DateTime<Utc>,
    /// The request's id.
    #[b(1)]
    pub request_id: Cow<'a, str>,
    /// The peer's address.
    #[b(2)]
    pub source: Cow<'a, str>,
    /// Tenant.
    #[b(3)]
    pub tenant: Cow<'a, str>,
    /// Label.
    #[b(4)]
    pub label: Cow<'a, str>,
    /// The operation's path segment.
    #[b(5)]
    pub operation: Cow<'a, str>,
    /// SHA-256 of the certificate the peer presented.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub peer: Option<[u8; 32]>,
    /// The device, once its identity was proven.
    #[b(7)]
    pub device: Option<Cow<'a, str>>,
    /// What came of it.
    #[b(8)]
    pub outcome: OutcomeEntry<'a>,
    /// The operator who did it.
    #[b(9)]
    pub actor: Option<Cow<'a, str>>,
    /// The credential that was verified or tried.
    #[b(10)]
    pub credential: Option<Cow<'a, str>>,
}

/// An [`AuditOutcome`] as written.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum OutcomeEntry<'a> {
    /// A certificate was issued or handed out again.
    #[n(0)]
    Issued {
        /// Content octets of the serial number.
        #[cbor(b(0), with = "minicbor::bytes")]
        serial: Cow<'a, [u8]>,
        /// It was handed out again.
        #[n(1)]
        repeated: bool,
        /// How the private key was given out, when it was made here.
        #[b(2)]
        generated_key: Option<Cow<'a, str>>,
    },
    /// The request was refused.
    #[n(1)]
    Refused {
        /// The stable code.
        #[b(0)]
        code: Cow<'a, str>,
        /// The sentence the client saw.
        #[b(1)]
        reason: Cow<'a, str>,
        /// The clause of the standard; events of older versions have none.
        #[b(2)]
        clause: Option<Cow<'a, str>>,
        /// The rule that refused it.
        #[b(3)]
        step: Option<StepEntry<'a>>,
    },
    /// The server failed.
    #[n(2)]
    Failed,
    /// A certificate was revoked by an operator.
    #[n(3)]
    Revoked {
        /// Content octets of the serial number.
        #[cbor(b(0), with = "minicbor::bytes")]
        serial: Cow<'a, [u8]>,
        /// RFC 5280 section 5.3.1 reason code.
        #[n(1)]
        reason: u8,
    },
    /// The request waits for an operator.
    #[n(4)]
    Deferred,
    /// The registry was changed, by an operator or by what a device did.
    #[n(5)]
    Changed {
        /// What is so now.
        #[b(0)]
        what: Cow<'a, str>,
    },
    /// Something that an operator should look at.
    #[n(6)]
    Alarm {
        /// The stable code.
        #[b(0)]
        code: Cow<'a, str>,
        /// Why it is thought so.
        #[b(1)]
        reason: Cow<'a, str>,
    },
    /// Several certificates were revoked at once.
    #[n(7)]
    RevokedTogether {
        /// Content octets of their serial numbers.
        #[n(0)]
        serials: Vec<SerialEntry>,
        /// RFC 5280 section 5.3.1 reason code.
        #[n(1)]
        reason: u8,
    },
    /// A certificate is no longer on hold.
    #[n(8)]
    Released {
        /// Content octets of the serial number.
        #[cbor(b(0), with = "minicbor::bytes")]
        serial: Cow<'a, [u8]>,
    },
}

/// The [`Step`] that a request was refused by, as written.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StepEntry<'a> {
    /// The rule.
    #[b(0)]
    pub rule: Cow<'a, str>,
    /// What of the request it looked at.
    #[b(1)]
    pub field: Cow<'a, str>,
    /// What it wants.
    #[b(2)]
    pub expected: Cow<'a, str>,
    /// What came.
    #[b(3)]
    pub got: Cow<'a, str>,
}

/// The content octets of one of several serial numbers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct SerialEntry(#[cbor(n(0), with = "minicbor::bytes")] pub Vec<u8>);

impl<'a> From<&'a AuditEvent> for EventEntry<'a> {
    fn from(event: &'a AuditEvent) -> Self {
        Self {
            at: event.at,
            request_id: Cow::Borrowed(&event.request_id),
            source: Cow::Borrowed(&event.source),
            tenant: Cow::Borrowed(&event.tenant),
            label: Cow::Borrowed(&event.label),
            operation: Cow::Borrowed(&event.operation),
            peer: event.peer,
            device: event.device.as_deref().map(Cow::Borrowed),
            outcome: (&event.outcome).into(),
            actor: event.actor.as_deref().map(Cow::Borrowed),
            credential: event.credential.as_deref().map(Cow::Borrowed),
        }
    }
}

impl<'a> From<&'a AuditOutcome> for OutcomeEntry<'a> {
    fn from(outcome: &'a AuditOutcome) -> Self {
        match outcome {
            AuditOutcome::Issued { serial, repeated, generated_key } => Self::Issued {
                serial: Cow::Borrowed(serial),
                repeated: *repeated,
                generated_key: generated_key.map(|key| Cow::Borrowed(key.as_str())),
            },
            AuditOutcome::Refused { code, reason, clause, step } => Self::Refused {
                code: Cow::Borrowed(code.as_str()),
                reason: Cow::Borrowed(reason),
                clause: Some(Cow::Borrowed(clause)),
                step: step.as_deref().map(StepEntry::from),
            },
            AuditOutcome::Failed => Self::Failed,
            AuditOutcome::Revoked { serial, reason } => {
                Self::Revoked { serial: Cow::Borrowed(serial), reason: *reason }
            }
            AuditOutcome::RevokedTogether { serials, reason } => {
                Self::RevokedTogether { serials: serials.iter().cloned().map(SerialEntry).collect(), reason: *reason }
            }
            AuditOutcome::Released { serial } => Self::Released { serial: Cow::Borrowed(serial) },
            AuditOutcome::Deferred => Self::Deferred,
            AuditOutcome::Changed { what } => Self::Changed { what: Cow::Borrowed(what) },
            AuditOutcome::Alarm { alarm, reason } => {
                Self::Alarm { code: Cow::Borrowed(alarm.as_str()), reason: Cow::Borrowed(reason) }
            }
        }
    }
}

impl<'a> From<&'a Step> for StepEntry<'a> {
    fn from(step: &'a Step) -> Self {
        Self {
            rule: Cow::Borrowed(step.rule.as_str()),
            field: Cow::Borrowed(step.rule.field()),
            expected: Cow::Borrowed(&step.expected),
            got: Cow::Borrowed(&step.got),
        }
    }
}

impl StepEntry<'_> {
    fn into_owned(self) -> StepEntry<'static> {
        StepEntry {
            rule: owned(self.rule),
            field: owned(self.field),
            expected: owned(self.expected),
            got: owned(self.got),
        }
    }
}

impl EventEntry<'_> {
    /// A copy that borrows nothing.
    pub fn into_owned(self) -> EventEntry<'static> {
        EventEntry {
            at: self.at,
            request_id: owned(self.request_id),
            source: owned(self.source),
            tenant: owned(self.tenant),
            label: owned(self.label),
            operation: owned(self.operation),
            peer: self.peer,
            device: self.device.map(owned),
            outcome: self.outcome.into_owned(),
            actor: self.actor.map(owned),
            credential: self.credential.map(owned),
        }
    }
}

impl OutcomeEntry<'_> {
    /// What it is, in one word; never renamed.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Issued { repeated: false, .. } => "issued",
            Self::Issued { repeated: true, .. } => "repeated",
            Self::Refused { .. } => "refused",
            Self::Failed => "failed",
            Self::Revoked { .. } | Self::RevokedTogether { .. } => "revoked",
            Self::Released { .. } => "released",
            Self::Deferred => "deferred",
            Self::Changed { .. } => "changed",
            Self::Alarm { .. } => "alarm",
        }
    }

    /// The stable code of a refusal or an alarm.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } | Self::Alarm { code, .. } => Some(code),
            Self::Issued { .. }
            | Self::Failed
            | Self::Revoked { .. }
            | Self::RevokedTogether { .. }
            | Self::Released { .. }
            | Self::Deferred
            | Self::Changed { .. } => None,
        }
    }

    fn into_owned(self) -> OutcomeEntry<'static> {
        match self {
            Self::Issued { serial, repeated, generated_key } => {
                OutcomeEntry::Issued { serial: owned(serial), repeated, generated_key: generated_key.map(owned) }
            }
            Self::Refused { code, reason, clause, step } => OutcomeEntry::Refused {
                code: owned(code),
                reason: owned(reason),
                clause: clause.map(owned),
                step: step.map(StepEntry::into_owned),
            },
            Self::Failed => OutcomeEntry::Failed,
            Self::Revoked { serial, reason } => OutcomeEntry::Revoked { serial: owned(serial), reason },
            Self::RevokedTogether { serials, reason } => OutcomeEntry::RevokedTogether { serials, reason },
            Self::Released { serial } => OutcomeEntry::Released { serial: owned(serial) },
            Self::Deferred => OutcomeEntry::Deferred,
            Self::Changed { what } => OutcomeEntry::Changed { what: owned(what) },
            Self::Alarm { code, reason } => OutcomeEntry::Alarm { code: owned(code), reason: owned(reason) },
        }
    }
}

fn owned<T: ToOwned + ?Sized + 'static>(value: Cow<'_, T>) -> Cow<'static, T> {
    Cow::Owned(value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::est::{Rejection, RejectionCode, Rule, Trace};

    #[test]
    fn a_refusal_is_read_back_with_its_rule_and_one_of_an_older_version_without() {
        let mut trace = Trace::default();
        let rejection = Rejection::new(RejectionCode::IdentityMismatch, "RFC 7030 4.2", "no");
        let rejection = trace.refuse(Rule::Names, "CN=SN-1", "CN=SN-2", rejection);
        let outcome = AuditOutcome::refused(&rejection, trace.refused());
        let octets = minicbor::to_vec(OutcomeEntry::from(&outcome)).unwrap();
        let read: OutcomeEntry<'_> = minicbor::decode(&octets).unwrap();
        let OutcomeEntry::Refused { clause: Some(clause), step: Some(step), .. } = read else { panic!("{read:?}") };
        assert_eq!((&*clause, &*step.rule, &*step.got), ("RFC 7030 4.2", "names", "CN=SN-2"));

        // [1, ["weak_key", "no"]], as it was written before there were clauses.
        let old = [&[0x82, 0x01, 0x82, 0x68][..], b"weak_key", &[0x62], b"no"].concat();
        let read: OutcomeEntry<'_> = minicbor::decode(&old).unwrap();
        let expected = OutcomeEntry::Refused { code: "weak_key".into(), reason: "no".into(), clause: None, step: None };
        assert_eq!(read, expected);
    }
}
