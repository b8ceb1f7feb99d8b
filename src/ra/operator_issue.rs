//! Certificates that an operator asks for in a device's place: the device is the operator's word, all else is judged as ever.

use super::RegistrationAuthority;
use super::attempt::Attempt;
use super::authentication::Shown;
use super::enroll::PendingResponse;
use super::judgement::look_at;
use super::peer_session::PeerSession;
use super::refusal::Refusal;
use crate::access::{Grant, IssueCertificates};
use crate::credential::HttpIdentity;
use crate::est::Operation;
use crate::pki::device_identity::{DeviceId, IdentityError};

/// What the audit calls it.
const OPERATION: &str = "issue";

/// Why an operator's request is not answered with a certificate.
#[derive(Debug, thiserror::Error)]
pub enum IssueRefused {
    /// The tenant has no such label.
    #[error("there is no label {0}")]
    NoLabel(String),
    /// The id names no device.
    #[error("device: {0}")]
    Device(#[from] IdentityError),
    /// The request was refused, or could not be answered.
    #[error(transparent)]
    Refusal(#[from] Refusal),
}

impl RegistrationAuthority {
    /// Issues a first certificate to `device` for a certification request (DER) that an operator brings. Names come from the
    /// profile, the key must prove possession, and the label's rule of registration stands: a device that is not listed is
    /// refused where it must be, and waits where somebody is to approve it.
    ///
    /// # Errors
    /// A refusal, which left one audit event.
    pub fn issue_for_operator(
        &self,
        grant: &Grant<IssueCertificates>,
        label: &str,
        device: &str,
        request: &[u8],
    ) -> Result<PendingResponse, IssueRefused> {
        let named = self.label_of(grant.tenant(), label);
        let label = named.ok_or_else(|| IssueRefused::NoLabel(label.to_owned()))?;
        let device = DeviceId::parse(device)?;
        let actor = grant.actor();
        let session = PeerSession::new(None, actor.source.clone());
        let mut attempt = Attempt::new(self.ports.clock.now(), Some(label), OPERATION, &session, &actor.request_id);
        attempt.ra = Some(actor.name.clone());
        let vouched = Shown::vouched(HttpIdentity::vouched(actor.credential.as_deref().unwrap_or(&actor.name), device));
        let asked = look_at(label, Operation::SimpleEnroll, request, &mut attempt.trace);
        let outcome = asked.map_err(Refusal::from).and_then(|asked| {
            self.prove(label, &vouched, &mut attempt)?;
            self.decide_shown(label, Operation::SimpleEnroll, asked, &vouched, &session, &mut attempt)
        });
        if let Err(refusal) = &outcome {
            self.ports.store.record_event(attempt.refused(refusal));
        }
        Ok(outcome?)
    }

    /// Leaves the audit event of such a request that failed outside: it got no turn to have somebody asked, or its record did
    /// not become durable.
    pub fn failed_for_operator(&self, grant: &Grant<IssueCertificates>, label: &str) {
        if let Some(label) = self.label_of(grant.tenant(), label) {
            let actor = grant.actor();
            let session = PeerSession::new(None, actor.source.clone());
            self.failed_to_record(label, OPERATION, &session, &actor.request_id);
        }
    }
}
