//! What a frame of the journal carries: one change of the store with the audit event that goes with it, in CBOR.
//!
//! Fields have numbers and are only ever added: an older program ignores those it does not know. A new kind of record
//! stops an older program, which could not tell what it would miss.

use std::borrow::Cow;

use minicbor::{Decode, Encode};

use crate::store::event::EventEntry;
use crate::store::record::{CertificateId, CertificateRecord, Revocation};
use crate::store::{Fact, StandingChange};

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
    /// A certificate was revoked; written by earlier versions, which had no other standing.
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
    /// The standing of certificates changed.
    #[n(4)]
    Standing {
        /// How, in this order.
        #[b(0)]
        changes: Cow<'a, [StandingChange]>,
        /// Who changed it.
        #[b(1)]
        event: EventEntry<'a>,
        /// As above.
        #[n(2)]
        suppressed: u64,
        /// What changed with it.
        #[b(3)]
        #[cbor(default)]
        facts: Cow<'a, [Fact]>,
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

    /// Its audit event.
    pub const fn event(&self) -> &EventEntry<'a> {
        match self {
            Self::Issued { event, .. }
            | Self::Revoked { event, .. }
            | Self::Event { event, .. }
            | Self::Facts { event, .. }
            | Self::Standing { event, .. } => event,
        }
    }

    /// Reads the payload of a frame.
    ///
    /// # Errors
    /// When it is of a kind that is not known, or lacks a field.
    pub fn decode(payload: &'a [u8]) -> Result<Self, minicbor::decode::Error> {
        minicbor::decode(payload)
    }
}
