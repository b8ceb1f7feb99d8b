//! When the certificates of a label are to be renewed (draft-ietf-lamps-est-renewal-info).

use super::RegistrationAuthority;
use super::label::LabelContext;
use super::refusal::{Fault, Refusal};
use crate::est::{EstResponse, Rejection, RejectionCode, RenewalIdentifier, ResponseBody};
use crate::policy::{Renewable, Slot};
use crate::store::renewal_slot::{MovedTo, SlotLoad};
use crate::store::{CertificateId, CertificateRecord, CertificateStatus, ClaimGuard, Fact};

/// So many slots are looked at for one with room; if there is none, the emptiest of them is taken.
const MOST_SLOTS: usize = 64;

impl RegistrationAuthority {
    /// The suggested window of a certificate, to whoever names it. The draft asks nobody who it is, and a certificate that
    /// has ended, or was revoked, could not prove it. To name it is to hold it: the serial number is random, and one that
    /// is not of this label is answered as one that never was.
    ///
    /// # Errors
    /// When this label issued no such certificate, or the store cannot tell.
    pub fn renewal_info(&self, label: &LabelContext, named: &RenewalIdentifier) -> Result<EstResponse, Refusal> {
        let unknown = || {
            let reason = "this label issued no such certificate";
            Refusal::from(Rejection::new(RejectionCode::NotFound, "draft-ietf-lamps-est-renewal-info 3.1", reason))
        };
        let issuer = label.authorities().find(|ca| ca.key_identifier() == named.key_identifier).ok_or_else(unknown)?;
        let id = CertificateId { issuer: issuer.issuer_id(), serial: named.serial.clone() };
        let store = self.ports.store.as_ref();
        let record = store.certificate(&id).map_err(Fault::from)?.ok_or_else(unknown)?;
        if record.tenant != label.tenant || record.label != label.label.as_str() {
            return Err(unknown());
        }
        let revoked_at = match store.status(&id).map_err(Fault::from)? {
            CertificateStatus::Revoked(revocation) => Some(revocation.at),
            CertificateStatus::Good { .. } | CertificateStatus::Unknown => None,
        };
        let moved_to = MovedTo::of(store, &id).map_err(Fault::from)?;
        let moved_to = moved_to.map(|MovedTo { start, end }| Slot { start, end });
        let info = label.renewal.info(&Renewable { revoked_at, moved_to, ..renewable(&record) });
        Ok(EstResponse { body: ResponseBody::RenewalInfo(info) })
    }

    /// Takes note that a certificate will be renewed in its slot, or, where that is full, in a later one. The slot is held until
    /// this is recorded. `None` where the label counts none.
    pub(super) fn take_slot(
        &self,
        label: &LabelContext,
        record: &CertificateRecord,
    ) -> Result<Option<(Vec<Fact>, ClaimGuard<'_>)>, Refusal> {
        let Some(capacity) = label.renewal.capacity else { return Ok(None) };
        let (store, tenant, name) = (self.ports.store.as_ref(), label.tenant.as_str(), label.label.as_str());
        let slots: Vec<Slot> = label.renewal.slots(&renewable(record)).take(MOST_SLOTS).collect();
        let Some(own) = slots.first().copied() else { return Ok(None) };
        let load = |slot: &Slot| SlotLoad::of(store, &SlotLoad::key(tenant, name, slot.start)).map_err(Fault::from);
        let mut chosen = (own, u32::MAX);
        for slot in slots {
            let SlotLoad(expected) = load(&slot)?;
            if expected < chosen.1 {
                chosen = (slot, expected);
            }
            if expected < capacity {
                break;
            }
        }
        // Of two at once that choose one slot, the second counts after the first: a few too many, never one too few.
        let (slot, key) = (chosen.0, SlotLoad::key(tenant, name, chosen.0.start));
        let held = store.hold(&key);
        let mut facts = vec![load(&slot)?.once_more(key)];
        if slot != own {
            facts.push(MovedTo { start: slot.start, end: slot.end }.to_fact(&record.id));
        }
        facts.extend(SlotLoad::past(store, tenant, name, record.issued_at.timestamp()).map_err(Fault::from)?);
        Ok(Some((facts, held)))
    }
}

fn renewable(record: &CertificateRecord) -> Renewable<'_> {
    Renewable {
        issuer: &record.id.issuer,
        serial: &record.id.serial,
        issued_at: record.issued_at,
        not_after: record.not_after,
        revoked_at: None,
        moved_to: None,
    }
}
