//! What operators do to certificates: revoked for a reason, put on hold, released, and all those of a device at once.

use std::sync::Arc;

use super::RegistrationAuthority;
use crate::access::{Grant, RevokeCertificates};
use crate::audit::AuditOutcome;
use crate::pki::revocation::RevocationReason;
use crate::store::compromise::facts_of_revocation;
use crate::store::device::{DeviceRecord, DeviceState, DeviceVersion};
use crate::store::{
    CertificateId, CertificateRecord, CertificateStatus, Fact, Receipt, Revocation, StandingChange, StoreFault,
};
use chrono::{DateTime, Utc};

/// Why nothing was revoked or released.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RevocationError {
    /// The tenant has no such certificate.
    #[error("there is no such certificate")]
    NoCertificate,
    /// The tenant has no such device.
    #[error("there is no device {0}")]
    NoDevice(String),
    /// Only a hold can be lifted (RFC 5280 section 5.3.1).
    #[error("the certificate is revoked for good: {reason}; only a hold can be lifted")]
    NotOnHold {
        /// Why it is revoked.
        reason: RevocationReason,
    },
    /// A device is suspended, not held.
    #[error("a device cannot be revoked for certificateHold, which is not for good; suspend it")]
    HoldOfDevice,
    /// It was changed by somebody else since it was looked at.
    #[error("the device {0} was changed since; look at it again")]
    Changed(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl RegistrationAuthority {
    /// Revokes a certificate of a tenant, or puts it on hold: it can neither renew nor enroll from the next request on. What
    /// is revoked keeps its date and reason, unless it was on hold or its key turns out to be compromised. A key that is
    /// compromised takes the other certificates of the device over it along.
    ///
    /// # Errors
    /// When the tenant has no such certificate.
    pub fn revoke_certificate(
        &self,
        grant: &Grant<RevokeCertificates>,
        id: &CertificateId,
        reason: RevocationReason,
    ) -> Result<Receipt, RevocationError> {
        let (store, tenant) = (self.ports.store.as_ref(), grant.tenant());
        let record = self.certificate_of(tenant, id)?;
        // An enrollment that is under way looks at the certificate again once it holds the device.
        let _device = store.hold(&DeviceRecord::key(tenant, &record.device));
        let now = self.ports.clock.now();
        let mut records = vec![Arc::clone(&record)];
        if reason.is_compromise() {
            // Also those that ended: within its label's grace such a certificate may renew.
            let over_key = |other: &Arc<CertificateRecord>| other.id != *id && other.spki_sha256 == record.spki_sha256;
            records.extend(store.device_certificates(tenant, &record.device)?.into_iter().filter(over_key));
        }
        let _standing = store.hold(&StandingChange::key());
        let revocations = self.revocations(&records, reason, now)?;
        if revocations.changes.is_empty() {
            let mut receipts = revocations.earlier;
            receipts.extend(self.record_answer(grant, &record.device, "certificate.revoke")?);
            return Ok(Receipt::all(receipts));
        }
        let event =
            grant.actor().event(tenant, Some(&record.device), "certificate.revoke", now, revocations.outcome(reason));
        revocations.recorded(|changes, mut facts| {
            facts.extend(grant.answer());
            store.change_standing(changes, facts, event)
        })
    }

    /// Lifts the hold on a certificate of a tenant. One that is not revoked stays so.
    ///
    /// # Errors
    /// When the tenant has no such certificate, or it is revoked for another reason.
    pub fn release_hold(
        &self,
        grant: &Grant<RevokeCertificates>,
        id: &CertificateId,
    ) -> Result<Receipt, RevocationError> {
        let (store, tenant) = (self.ports.store.as_ref(), grant.tenant());
        let record = self.certificate_of(tenant, id)?;
        let _standing = store.hold(&StandingChange::key());
        match self.revocation_reason(id)? {
            None => {
                let mut receipts = vec![store.standing_receipt(id)];
                receipts.extend(self.record_answer(grant, &record.device, "certificate.release")?);
                Ok(Receipt::all(receipts))
            }
            // RFC 5280 §5.3.1: removeFromCRL is for what was on hold.
            Some(reason) if !reason.is_hold() => Err(RevocationError::NotOnHold { reason }),
            Some(_) => {
                let outcome = AuditOutcome::Released { serial: id.serial.clone() };
                let now = self.ports.clock.now();
                let event = grant.actor().event(tenant, Some(&record.device), "certificate.release", now, outcome);
                Ok(store.change_standing(vec![StandingChange::of(&record, None)], grant.answer(), event)?)
            }
        }
    }

    /// Revokes a device of a tenant for good, with all its certificates that have not expired, in one record: neither it nor
    /// they enroll from the next request on.
    ///
    /// # Errors
    /// When there is no such device, or the reason is one that can be lifted.
    pub fn revoke_device(
        &self,
        grant: &Grant<RevokeCertificates>,
        device: &str,
        seen: Option<DeviceVersion>,
        reason: RevocationReason,
    ) -> Result<Receipt, RevocationError> {
        if reason.is_hold() {
            return Err(RevocationError::HoldOfDevice);
        }
        let (store, tenant) = (self.ports.store.as_ref(), grant.tenant());
        let _device = store.hold(&DeviceRecord::key(tenant, device));
        let known = DeviceRecord::find(store, tenant, device)?;
        let known = known.ok_or_else(|| RevocationError::NoDevice(device.to_owned()))?;
        if seen.is_some_and(|seen| seen != known.version()) {
            return Err(RevocationError::Changed(known.id));
        }
        let now = self.ports.clock.now();
        let mut records = store.device_certificates(tenant, device)?;
        records.retain(|record| record.not_after > now);
        let _standing = store.hold(&StandingChange::key());
        let revocations = self.revocations(&records, reason, now)?;
        let event = grant.actor().event(tenant, Some(&known.id), "device.revoke", now, revocations.together(reason));
        let device = DeviceRecord { state: DeviceState::Revoked, ..known };
        // Recorded also when it was revoked before: that record may not be durable yet, and this one will be.
        revocations.recorded(|changes, mut facts| {
            facts.push(device.to_fact(tenant));
            facts.extend(grant.answer());
            store.change_standing(changes, facts, event)
        })
    }

    /// Records what an operator is told although nothing changes: asked again later, it is told the same and nothing is done.
    fn record_answer(
        &self,
        grant: &Grant<RevokeCertificates>,
        device: &str,
        operation: &str,
    ) -> Result<Option<Receipt>, StoreFault> {
        let answer = grant.answer();
        if answer.is_empty() {
            return Ok(None);
        }
        let outcome = AuditOutcome::Changed { what: "nothing, it was so".to_owned() };
        let event = grant.actor().event(grant.tenant(), Some(device), operation, self.ports.clock.now(), outcome);
        self.ports.store.record_facts(answer, event).map(Some)
    }

    /// A certificate that is another tenant's is none.
    fn certificate_of(&self, tenant: &str, id: &CertificateId) -> Result<Arc<CertificateRecord>, RevocationError> {
        let record = self.ports.store.certificate(id)?;
        record.filter(|record| record.tenant == tenant).ok_or(RevocationError::NoCertificate)
    }

    fn revocation_reason(&self, id: &CertificateId) -> Result<Option<RevocationReason>, StoreFault> {
        Ok(self.revocation_of(id)?.map(|(_, reason)| reason))
    }

    fn revocation_of(&self, id: &CertificateId) -> Result<Option<(Revocation, RevocationReason)>, StoreFault> {
        match self.ports.store.status(id)? {
            CertificateStatus::Revoked(revocation) => {
                let reason = RevocationReason::from_code(revocation.reason)
                    .ok_or_else(|| StoreFault::Corrupt(format!("{} is no reason of a CRL", revocation.reason)))?;
                Ok(Some((revocation, reason)))
            }
            CertificateStatus::Good { .. } | CertificateStatus::Unknown => Ok(None),
        }
    }

    /// What is to be recorded so that all of them are revoked.
    fn revocations(
        &self,
        records: &[Arc<CertificateRecord>],
        reason: RevocationReason,
        now: DateTime<Utc>,
    ) -> Result<Revocations, StoreFault> {
        let mut revocations = Revocations::default();
        for record in records {
            let revocation = match self.revocation_of(&record.id)? {
                None => Some(Revocation { at: now, reason: reason.code() }),
                // It was not to be relied on since then, whatever for.
                Some((Revocation { at, .. }, stands)) => {
                    stands.revised(reason).map(|reason| Revocation { at, reason: reason.code() })
                }
            };
            match revocation {
                Some(revocation) => {
                    revocations.changes.push(StandingChange::of(record, Some(revocation)));
                    revocations.facts.extend(facts_of_revocation(record, reason));
                }
                None => revocations.earlier.push(self.ports.store.standing_receipt(&record.id)),
            }
        }
        Ok(revocations)
    }
}

#[derive(Default)]
struct Revocations {
    changes: Vec<StandingChange>,
    facts: Vec<Fact>,
    /// When those that were revoked before are so for good.
    earlier: Vec<Receipt>,
}

impl Revocations {
    fn outcome(&self, reason: RevocationReason) -> AuditOutcome {
        match self.changes.as_slice() {
            [only] => AuditOutcome::Revoked { serial: only.id.serial.clone(), reason: reason.code() },
            _ => self.together(reason),
        }
    }

    fn together(&self, reason: RevocationReason) -> AuditOutcome {
        let serials = self.changes.iter().map(|change| change.id.serial.clone()).collect();
        AuditOutcome::RevokedTogether { serials, reason: reason.code() }
    }

    fn recorded(
        self,
        record: impl FnOnce(Vec<StandingChange>, Vec<Fact>) -> Result<Receipt, StoreFault>,
    ) -> Result<Receipt, RevocationError> {
        let Self { changes, facts, mut earlier } = self;
        earlier.push(record(changes, facts)?);
        Ok(Receipt::all(earlier))
    }
}
