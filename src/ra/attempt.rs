//! One request, as its audit event will tell it.

use chrono::{DateTime, Utc};

use super::label::LabelContext;
use super::peer_session::PeerSession;
use crate::audit::{AuditEvent, AuditOutcome};
use crate::pki::digest::sha256;

/// What is known of a request while it is decided.
pub(super) struct Attempt<'a> {
    pub(super) at: DateTime<Utc>,
    label: Option<&'a LabelContext>,
    operation: &'a str,
    peer: &'a PeerSession,
    request_id: &'a str,
    /// Known once the peer's certificate is found on record, or its identity is proven.
    pub(super) device: Option<String>,
    /// The credential that was verified, or the declared one that was tried.
    pub(super) credential: Option<String>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        at: DateTime<Utc>,
        label: Option<&'a LabelContext>,
        operation: &'a str,
        peer: &'a PeerSession,
        request_id: &'a str,
    ) -> Self {
        Self { at, label, operation, peer, request_id, device: None, credential: None }
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
            actor: None,
            credential: self.credential.clone(),
            outcome,
        }
    }
}
