//! An RA client (RFC 7030 section 3.7) at the door: what it must be besides listed, and what it finds on record.

use super::RegistrationAuthority;
use super::authentication::{peer_id, revoked};
use super::label::LabelContext;
use super::refusal::{self, Fault, Refusal};
use crate::est::{Rejection, RejectionCode};
use crate::pki::trust::AuthenticatedPeer;
use crate::policy::RaClient;
use crate::store::device::{DeviceRecord, DeviceState};
use crate::store::succession::Succession;
use crate::store::{CertificateId, CertificateStatus, StoreFault};
use chrono::{DateTime, TimeDelta, Utc};
use estd_asn1::{Certificate, DecodeError};

impl RegistrationAuthority {
    /// Judges whether an RA that is listed may act now: within its validity, in good standing, by its newest certificate.
    ///
    /// RFC 6402 §2.12: "If it is not identified or authorized, then any request MUST be rejected."
    pub(super) fn judge_ra(
        &self,
        label: &LabelContext,
        client: &RaClient<'_>,
        peer: &AuthenticatedPeer,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        // The grace is for those who renew themselves.
        peer.check_time(now, TimeDelta::zero()).map_err(|error| refusal::trust_rejection(&error))?;
        let store = self.ports.store.as_ref();
        let refused = |code, reason| Err(Rejection::new(code, "RFC 6402 2.12", reason).into());
        match DeviceRecord::find(store, &label.tenant, client.id()).map_err(Fault::from)?.map(|ra| ra.state) {
            Some(DeviceState::Suspended) => {
                return refused(
                    RejectionCode::DeviceSuspended,
                    "the ra client is suspended; its operator can resume it",
                );
            }
            Some(DeviceState::Revoked) => {
                return refused(RejectionCode::DeviceRevoked, "the ra client was revoked by its operator");
            }
            Some(DeviceState::Listed | DeviceState::Active) | None => {}
        }
        match Succession::of(store, &peer_id(peer)).map_err(Fault::from)? {
            Some(succession) if succession.seen => {
                let reason = "the certificate of the ra client was renewed, and the one that renewed it is in use";
                refused(RejectionCode::Superseded, reason)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The certificate on record that is renewed for a device which does not present it.
    pub(super) fn certificate_on_record(
        &self,
        label: &LabelContext,
        device: &str,
    ) -> Result<Option<(CertificateId, Certificate)>, Refusal> {
        let store = self.ports.store.as_ref();
        let known = DeviceRecord::find(store, &label.tenant, device).map_err(Fault::from)?;
        let latest = known.as_ref().and_then(|known| known.latest_at(label.label.as_str()));
        let Some(id) = latest.map(|latest| latest.id.clone()) else { return Ok(None) };
        let Some(record) = store.certificate(&id).map_err(Fault::from)? else { return Ok(None) };
        if let CertificateStatus::Revoked(revocation) = store.status(&id).map_err(Fault::from)? {
            return Err(revoked("the device's certificate", &revocation).into());
        }
        let corrupt = |error: DecodeError| Fault::from(StoreFault::Corrupt(error.to_string()));
        let certificate = Certificate::decode(&record.der).map_err(corrupt)?;
        Ok(Some((id, certificate)))
    }
}
