//! What a frame of the journal carries: one change of the store with the audit event that goes with it, in CBOR.
//!
//! Fields have numbers and are only ever added: an older program ignores those it does not know. A new kind of record
//! stops an older program, which could not tell what it would miss.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use minicbor::{Decode, Encode};

use crate::audit::{AuditEvent, AuditOutcome};
use crate::store::Fact;
use crate::store::record::{CertificateId, CertificateRecord, Revocation, time};

/// One record of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack: a box would cost an allocation a record")]
pub enum Entry<'a> {
    /// A certificate was issued.
    #[n(0)]
    Issued {
        /// What is remembered of it.
        #[b(0)]
        record: Cow<'a, CertificateRecord>,
        /// Who asked for it.
        #[b(1)]
        event: EventEntry<'a>,
        /// Refusals since the record before that were counted and not written.
        #[n(2)]
        suppressed: u64,
        /// What changed with it.
        #[b(3)]
        #[cbor(default)]
        facts: Cow<'a, [Fact]>,
    },
    /// A certificate was revoked.
    #[n(1)]
    Revoked {
        /// Which one.
        #[n(0)]
        id: CertificateId,
        /// Since when and why.
        #[n(1)]
        revocation: Revocation,
        /// Who asked for it.
        #[b(2)]
        event: EventEntry<'a>,
        /// As above.
        #[n(3)]
        suppressed: u64,
        /// What changed with it.
        #[b(4)]
        #[cbor(default)]
        facts: Cow<'a, [Fact]>,
    },
    /// Something happened that changed nothing: a refusal, a failure, a certificate handed out again.
    #[n(2)]
    Event {
        /// What happened.
        #[b(0)]
        event: EventEntry<'a>,
        /// As above.
        #[n(1)]
        suppressed: u64,
    },
    /// Facts changed.
    #[n(3)]
    Facts {
        /// Their keys and values.
        #[b(0)]
        facts: Cow<'a, [Fact]>,
        /// Who changed them.
        #[b(1)]
        event: EventEntry<'a>,
        /// As above.
        #[n(2)]
        suppressed: u64,
    },
}

/// An [`AuditEvent`] as written; codes are text, so that old journals stay readable when codes are added.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct EventEntry<'a> {
    /// When it was decided.
    #[cbor(n(0), with = "time")]
    pub at: DateTime<Utc>,
    /// The request's id.
    #[b(1)]
    pub request_id: &'a str,
    /// The peer's address.
    #[b(2)]
    pub source: &'a str,
    /// Tenant.
    #[b(3)]
    pub tenant: &'a str,
    /// Label.
    #[b(4)]
    pub label: &'a str,
    /// The operation's path segment.
    #[b(5)]
    pub operation: &'a str,
    /// SHA-256 of the certificate the peer presented.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub peer: Option<[u8; 32]>,
    /// The device, once its identity was proven.
    #[b(7)]
    pub device: Option<&'a str>,
    /// What came of it.
    #[b(8)]
    pub outcome: OutcomeEntry<'a>,
    /// The operator who did it.
    #[b(9)]
    pub actor: Option<&'a str>,
    /// The credential that was verified or tried.
    #[b(10)]
    pub credential: Option<&'a str>,
}

/// An [`AuditOutcome`] as written.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum OutcomeEntry<'a> {
    /// A certificate was issued or handed out again.
    #[n(0)]
    Issued {
        /// Content octets of the serial number.
        #[cbor(b(0), with = "minicbor::bytes")]
        serial: &'a [u8],
        /// It was handed out again.
        #[n(1)]
        repeated: bool,
    },
    /// The request was refused.
    #[n(1)]
    Refused {
        /// The stable code.
        #[b(0)]
        code: &'a str,
        /// The sentence the client saw.
        #[b(1)]
        reason: &'a str,
    },
    /// The server failed.
    #[n(2)]
    Failed,
    /// A certificate was revoked by an operator.
    #[n(3)]
    Revoked {
        /// Content octets of the serial number.
        #[cbor(b(0), with = "minicbor::bytes")]
        serial: &'a [u8],
        /// RFC 5280 section 5.3.1 reason code.
        #[n(1)]
        reason: u8,
    },
    /// The request waits for an operator.
    #[n(4)]
    Deferred,
    /// The registry was changed by an operator.
    #[n(5)]
    Changed {
        /// What is so now.
        #[b(0)]
        what: &'a str,
    },
    /// Something that an operator should look at.
    #[n(6)]
    Alarm {
        /// The stable code.
        #[b(0)]
        code: &'a str,
        /// Why it is thought so.
        #[b(1)]
        reason: &'a str,
    },
}

impl<'a> Entry<'a> {
    /// The payload of a frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(1024);
        #[expect(clippy::expect_used, reason = "writing to a vector cannot fail")]
        // Unwrap safety: a vector takes every write, and none of the encoders above makes an error of its own.
        minicbor::encode(self, &mut payload).expect("a vector takes every write");
        payload
    }

    /// Reads the payload of a frame.
    ///
    /// # Errors
    /// When it is of a kind that is not known, or lacks a field.
    pub fn decode(payload: &'a [u8]) -> Result<Self, minicbor::decode::Error> {
        minicbor::decode(payload)
    }
}

impl<'a> From<&'a AuditEvent> for EventEntry<'a> {
    fn from(event: &'a AuditEvent) -> Self {
        Self {
            at: event.at,
            request_id: &event.request_id,
            source: &event.source,
            tenant: &event.tenant,
            label: &event.label,
            operation: &event.operation,
            peer: event.peer,
            device: event.device.as_deref(),
            credential: event.credential.as_deref(),
            outcome: match &event.outcome {
                AuditOutcome::Issued { serial, repeated } => OutcomeEntry::Issued { serial, repeated: *repeated },
                AuditOutcome::Refused { code, reason } => OutcomeEntry::Refused { code: code.as_str(), reason },
                AuditOutcome::Failed => OutcomeEntry::Failed,
                AuditOutcome::Revoked { serial, reason } => OutcomeEntry::Revoked { serial, reason: *reason },
                AuditOutcome::Deferred => OutcomeEntry::Deferred,
                AuditOutcome::Changed { what } => OutcomeEntry::Changed { what },
                AuditOutcome::Alarm { alarm, reason } => OutcomeEntry::Alarm { code: alarm.as_str(), reason },
            },
            actor: event.actor.as_deref(),
        }
    }
}
