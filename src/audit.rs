//! What happened, as a record for people who must find out later.

use chrono::{DateTime, Utc};

use crate::est::trace::Step;
use crate::est::{Rejection, RejectionCode};

/// One audit event. It carries no secret and no certificate request; names in it are data, to be escaped where shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// The id that stands in the log lines and the answer of the request.
    pub request_id: String,
    /// The peer's address, as text; empty when not known.
    pub source: String,
    /// Tenant and label, as configured; empty when the request named none that exists.
    pub tenant: String,
    /// See `tenant`.
    pub label: String,
    /// The operation's path segment.
    pub operation: String,
    /// SHA-256 of the certificate the peer presented, if any.
    pub peer: Option<[u8; 32]>,
    /// The device, once its identity is proven.
    pub device: Option<String>,
    /// Who did it in place of the device: an operator, or the RA client that asked for it (RFC 7030 section 3.7).
    pub actor: Option<String>,
    /// The credential that was verified beside the certificate or in its place; with a refusal, the declared one that was
    /// tried.
    pub credential: Option<String>,
    /// What came of it.
    pub outcome: AuditOutcome,
}

impl AuditEvent {
    /// Of the server itself, which nobody asked for.
    pub fn of_server(at: DateTime<Utc>, operation: &str, outcome: AuditOutcome) -> Self {
        Self {
            at,
            request_id: String::new(),
            source: String::new(),
            tenant: String::new(),
            label: String::new(),
            operation: operation.to_owned(),
            peer: None,
            device: None,
            actor: None,
            credential: None,
            outcome,
        }
    }
}

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditOutcome {
    /// A certificate was issued or handed out again.
    Issued {
        /// Content octets of the serial number.
        serial: Vec<u8>,
        /// An earlier certificate was handed out again (the answer had been lost).
        repeated: bool,
        /// How the private key was given out, when it was made here.
        generated_key: Option<KeyHandover>,
    },
    /// The request was refused.
    Refused {
        /// Why, stable.
        code: RejectionCode,
        /// The sentence the client saw.
        reason: String,
        /// The clause of the standard.
        clause: &'static str,
        /// The rule that refused it, where one was being applied.
        step: Option<Box<Step>>,
    },
    /// The request waits for an operator.
    Deferred,
    /// The server failed.
    Failed,
    /// A certificate was revoked by an operator.
    Revoked {
        /// Content octets of the serial number.
        serial: Vec<u8>,
        /// RFC 5280 section 5.3.1 reason code.
        reason: u8,
    },
    /// Several certificates were revoked at once: those of a device, or those over one key.
    RevokedTogether {
        /// Content octets of their serial numbers.
        serials: Vec<Vec<u8>>,
        /// RFC 5280 section 5.3.1 reason code.
        reason: u8,
    },
    /// A certificate is no longer on hold.
    Released {
        /// Content octets of the serial number.
        serial: Vec<u8>,
    },
    /// The registry was changed, by an operator or by what a device did.
    Changed {
        /// What is so now, for people to read.
        what: String,
    },
    /// Something that an operator should look at.
    Alarm {
        /// What.
        alarm: Alarm,
        /// Why it is thought so.
        reason: String,
    },
}

/// What an operator should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alarm {
    /// A birth certificate came with a new key while the certificate issued for it before was in use: two devices may
    /// have it.
    CloneSuspected,
    /// An event was not delivered to a webhook, as often as it was tried.
    DeadLetter,
    /// The clock was set, or runs behind what was recorded under it: what was issued meanwhile may begin or end at the
    /// wrong time.
    ClockJump,
}

impl Alarm {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::CloneSuspected, Self::DeadLetter, Self::ClockJump];

    /// As it stands in logs, metrics and the journal; never renamed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CloneSuspected => "clone_suspected",
            Self::DeadLetter => "webhook_dead_letter",
            Self::ClockJump => "clock_jump",
        }
    }
}

/// How a private key was given out. Of the key itself nothing is ever told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyHandover {
    /// With nothing but TLS around it.
    Plain,
    /// Encrypted to the key that the request named.
    Encrypted,
}

impl KeyHandover {
    /// As it stands in the journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Encrypted => "encrypted",
        }
    }
}

impl AuditOutcome {
    /// The outcome of a rejection, as the client saw it, with the rule that refused it.
    pub fn refused(rejection: &Rejection, step: Option<&Step>) -> Self {
        Self::Refused {
            code: rejection.code(),
            reason: rejection.reason().to_owned(),
            clause: rejection.clause(),
            step: step.cloned().map(Box::new),
        }
    }
}
