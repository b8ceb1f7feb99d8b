//! One request, as its audit event will tell it.

use chrono::{DateTime, Utc};

use super::enroll::Coming;
use super::label::LabelContext;
use super::peer_session::PeerSession;
use super::refusal::Refusal;
use crate::audit::{AuditEvent, AuditOutcome, KeyHandover};
use crate::est::{DeliveredKey, Trace};
use crate::pki::digest::sha256;
use crate::pki::serial::Serial;
use crate::store::{CertificateId, RequestKey};

/// What is known of a request while it is decided.
pub(super) struct Attempt<'a> {
    pub(super) at: DateTime<Utc>,
    label: Option<&'a LabelContext>,
    pub(super) operation: &'a str,
    pub(super) peer: &'a PeerSession,
    pub(super) request_id: &'a str,
    /// Known once the peer's certificate is found on record, or its identity is proven.
    pub(super) device: Option<String>,
    /// The RA client that asks for it.
    pub(super) ra: Option<String>,
    /// The request that a CMC client asks after: no other is decided in its place.
    pub(super) expected: Option<RequestKey>,
    /// The certification request as it came by CMC.
    pub(super) tagged_request: Option<Vec<u8>>,
    /// The credential that was verified, or the declared one that was tried.
    pub(super) credential: Option<String>,
    /// How each rule came out so far.
    pub(super) trace: Trace,
    /// It is asked about and did not come: a wrong credential is no guess, and no event is left.
    pub(super) hypothetical: bool,
    /// How it came to be decided.
    pub(super) coming: Coming,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        at: DateTime<Utc>,
        label: Option<&'a LabelContext>,
        operation: &'a str,
        peer: &'a PeerSession,
        request_id: &'a str,
    ) -> Self {
        Self {
            at,
            label,
            operation,
            peer,
            request_id,
            device: None,
            ra: None,
            expected: None,
            tagged_request: None,
            credential: None,
            trace: Trace::default(),
            hypothetical: false,
            coming: Coming::default(),
        }
    }

    /// The outcome of a request that was granted; of a key that was made, how it is given out.
    pub(super) fn issued(&self, id: &CertificateId, repeated: bool, key: Option<&DeliveredKey>) -> AuditOutcome {
        let generated_key = key.map(|key| match key {
            DeliveredKey::Plain(_) => KeyHandover::Plain,
            DeliveredKey::Encrypted(_) => KeyHandover::Encrypted,
        });
        AuditOutcome::Issued { serial: id.serial.clone(), repeated, generated_key }
    }

    /// The certificate of an appointee, which had to be issued first.
    pub(super) fn appointment(&self, operation: &str, serial: &Serial) -> AuditEvent {
        let serial = serial.octets().to_vec();
        let outcome = AuditOutcome::Issued { serial, repeated: false, generated_key: None };
        AuditEvent { operation: operation.to_owned(), peer: None, device: None, ..self.event(outcome) }
    }

    /// The event of its refusal, with the rule that refused it.
    pub(super) fn refused(&self, refusal: &Refusal) -> AuditEvent {
        self.event(match refusal {
            Refusal::Rejected(rejection) => AuditOutcome::refused(rejection, self.trace.refused()),
            Refusal::Fault(_) => AuditOutcome::Failed,
        })
    }

    pub(super) fn event(&self, outcome: AuditOutcome) -> AuditEvent {
        AuditEvent {
            at: self.at,
            request_id: self.request_id.to_owned(),
            source: self.peer.source().to_owned(),
            tenant: self.label.map(|label| label.tenant.clone()).unwrap_or_default(),
            label: self.label.map(|label| label.label.to_string()).unwrap_or_default(),
            operation: self.operation.to_owned(),
            peer: self.peer.presented().map(|chain| sha256(&[chain.leaf()])),
            device: self.device.clone(),
            actor: self.ra.clone(),
            credential: self.credential.clone(),
            outcome,
        }
    }
}
