//! Which devices have fetched the certificates of a new CA (RFC 7030 section 4.1.3): what says when it can take over.

use super::RegistrationAuthority;
use super::attempt::Attempt;
use super::label::LabelContext;
use super::peer_session::PeerSession;
use super::refusal::{Fault, Refusal};
use crate::audit::AuditOutcome;
use crate::est::Operation;
use crate::pki::trust::AnchorClass;
use crate::store::Receipt;
use crate::store::device::{DeviceRecord, DeviceState};
use crate::store::fetched_anchors::FetchedAnchors;
use chrono::{DateTime, Utc};

impl RegistrationAuthority {
    /// Takes note that a device is given the certificates of a new CA, when it is for the first time; `None` when there is
    /// nothing to note. Nobody is refused: `/cacerts` asks nobody who it is, and only who shows it counts.
    ///
    /// # Errors
    /// When the store cannot be read, or takes nothing.
    pub fn note_fetched_anchors(
        &self,
        label: &LabelContext,
        session: &PeerSession,
        request_id: &str,
    ) -> Result<Option<Receipt>, Fault> {
        let Some(rollover) = &label.rollover else { return Ok(None) };
        let (store, tenant, new) = (self.ports.store.as_ref(), label.tenant.as_str(), rollover.successor().issuer_id());
        let mut attempt =
            Attempt::new(self.ports.clock.now(), Some(label), Operation::CaCerts.segment(), session, request_id);
        let Some(device) = self.device_that_asks(label, session, attempt.at)? else { return Ok(None) };
        let _held = store.hold(&FetchedAnchors::key(tenant, &new, &device));
        if FetchedAnchors::is_known(store, tenant, &new, &device)? {
            return Ok(None);
        }
        let fact = FetchedAnchors { at: attempt.at }.to_fact(tenant, &new, &device);
        attempt.device = Some(device);
        let what = "was given the certificates of the new CA".to_owned();
        Ok(Some(store.record_facts(vec![fact], attempt.event(AuditOutcome::Changed { what }))?))
    }

    /// The device that shows its certificate, if it is one of the registry and counts here and now. Strangers, whatever they
    /// hold, leave no note.
    fn device_that_asks(
        &self,
        label: &LabelContext,
        session: &PeerSession,
        now: DateTime<Utc>,
    ) -> Result<Option<String>, Fault> {
        let Ok(peer) = self.authenticate(label, session, now) else { return Ok(None) };
        let recorded = match self.device_on_record(label, &peer) {
            Ok(recorded) => recorded,
            Err(Refusal::Rejected(_)) => return Ok(None),
            Err(Refusal::Fault(fault)) => return Err(fault),
        };
        let (device, birth) = match peer.class() {
            AnchorClass::Explicit => (recorded, None),
            AnchorClass::Implicit => {
                let device = label.rules.identity.device_id(peer.certificate()).ok();
                (device.map(|device| device.as_str().to_owned()), Some(peer.fingerprint()))
            }
        };
        let Some(device) = device else { return Ok(None) };
        let known = DeviceRecord::find(self.ports.store.as_ref(), &label.tenant, &device)?;
        Ok(known.is_some_and(|known| counts(&known, birth.as_ref())).then_some(device))
    }
}

/// Whether a device is let in, and the birth certificate that it shows is the one it enrolled with.
fn counts(device: &DeviceRecord, birth: Option<&[u8; 32]>) -> bool {
    let is_own = |shown: &[u8; 32]| device.birth.as_ref().is_some_and(|birth| birth.fingerprint == *shown);
    match device.state {
        DeviceState::Listed | DeviceState::Active => birth.is_none_or(is_own),
        DeviceState::Suspended | DeviceState::Revoked => false,
    }
}
