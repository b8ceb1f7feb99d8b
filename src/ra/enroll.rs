//! The enrollment: peer, request, policy, claim, certificate, record; each step takes the proof of the one before.

use super::attempt::Attempt;
use super::label::LabelContext;
use super::peer_session::PeerSession;
use super::refusal::{self, Fault, Refusal};
use super::registration::{Admission, Admitted};
use super::request_key::request_key;
use super::{AuditOutcome, RegistrationAuthority};
use crate::audit::Alarm;
use crate::ca::SignedCertificate;
use crate::est::{EstRequest, EstResponse, Operation, Rejection, RejectionCode, ResponseBody};
use crate::pki::request::VerifiedRequest;
use crate::pki::trust::{AnchorClass, AuthenticatedPeer, TrustError};
use crate::policy::{self, AuthorizedEnrollment, EnrollmentKind, Proof, Requester};
use crate::store::approval::PendingRequest;
use crate::store::compromise::is_compromised;
use crate::store::credential_uses::CredentialUses;
use crate::store::device::{DeviceRecord, LatestCertificate};
use crate::store::succession::Succession;
use crate::store::{
    CertificateId, CertificateRecord, CertificateStatus, Claim, ClaimGuard, Fact, FactKey, FactKind, Receipt,
    RequestKey, Revocation, StoreFault,
};
use chrono::{DateTime, TimeDelta, Utc};
use estd_asn1::{Certificate, DecodeError, certs_only};

/// An answer that must not leave before its receipt resolves to `Ok`.
pub struct PendingResponse {
    /// The answer.
    pub response: EstResponse,
    /// Resolves when the record is durable.
    pub receipt: Receipt,
    /// The request that waits for an operator, when it does.
    pub waits: Option<RequestKey>,
    /// What an operator should look at.
    pub alarm: Option<&'static str>,
}

/// Who gets a certificate, and the one it takes the place of.
struct Grantee<'a> {
    proof: Proof<'a>,
    renewed: Option<CertificateId>,
}

impl RegistrationAuthority {
    /// Enrolls or renews. Synchronous: signs, hands the record to the store, and returns the answer with the receipt
    /// the caller waits for.
    ///
    /// # Errors
    /// A refusal, which left exactly one audit event and no other trace.
    pub fn enroll(
        &self,
        label: &LabelContext,
        request: &EstRequest,
        peer: &PeerSession,
        request_id: &str,
    ) -> Result<PendingResponse, Refusal> {
        let operation = request.target.operation;
        let mut attempt = Attempt::new(self.ports.clock.now(), Some(label), operation.segment(), peer, request_id);
        let outcome = self.decide(label, request, peer, &mut attempt);
        if let Err(refusal) = &outcome {
            self.ports.store.record_event(attempt.event(refusal.outcome()));
        }
        outcome
    }

    fn decide(
        &self,
        label: &LabelContext,
        request: &EstRequest,
        session: &PeerSession,
        attempt: &mut Attempt<'_>,
    ) -> Result<PendingResponse, Refusal> {
        let mut shown = self.shown(label, request, session, attempt)?;
        let profile = &label.rules.profile;
        let verified = VerifiedRequest::verify(&request.body, &label.requests.limits, &profile.keys)
            .map_err(refusal::request_rejection)?;
        self.show_code(label, &verified, session, attempt, &mut shown)?;
        let proof = shown.proof(label.authentication.rule)?;
        let operation = request.target.operation;
        let current = self.current(label, operation, &proof, &verified)?;
        let requester = Requester {
            proof,
            recorded_device: shown.recorded_device.as_deref(),
            current: current.as_ref().map(|(_, certificate)| certificate),
            binding: session.binding(),
        };
        let enrollment = policy::authorize(operation, &verified, &requester, &label.rules)?;
        attempt.device = Some(enrollment.device().to_owned());
        self.refuse_foreign_key(label, &enrollment)?;

        // A certificate that is about to end is of no use to a device that asks again.
        let window = label.requests.repeat_window.min(profile.validity / 2);
        let key = request_key(label, &proof, &enrollment);
        let admitted = match self.admit(label, &enrollment, proof.peer(), &key, attempt.at)? {
            Admission::Granted(admitted) => admitted,
            Admission::Deferred { request, is_new } => return self.defer(label, &request, is_new, attempt),
        };
        match self.ports.store.claim(&key, attempt.at - window).map_err(Fault::from)? {
            Claim::Recorded { record, receipt } => {
                let serial = record.id.serial.clone();
                self.ports.store.record_event(attempt.event(AuditOutcome::Issued { serial, repeated: true }));
                Ok(PendingResponse { response: issued(&record.der), receipt, waits: None, alarm: None })
            }
            Claim::Granted(claim) => {
                self.refuse_known_key(label, &enrollment, proof.peer())?;
                attempt.credential = proof.credential().map(ToString::to_string);
                let renewed = proof.peer().map(peer_id).or(current.map(|(id, _)| id));
                self.issue(label, enrollment, admitted, claim, Grantee { proof, renewed }, attempt)
            }
        }
    }

    /// The certificate on record that a requester without one renews.
    fn current(
        &self,
        label: &LabelContext,
        operation: Operation,
        proof: &Proof<'_>,
        request: &VerifiedRequest,
    ) -> Result<Option<(CertificateId, Certificate)>, Refusal> {
        if operation != Operation::SimpleReenroll || proof.peer().is_some() {
            return Ok(None);
        }
        let (store, device) = (self.ports.store.as_ref(), proof.device(request)?);
        let known = DeviceRecord::find(store, &label.tenant, device.as_str()).map_err(Fault::from)?;
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

    /// Who the peer is, at this label and now.
    pub(super) fn authenticate(
        &self,
        label: &LabelContext,
        session: &PeerSession,
        now: DateTime<Utc>,
    ) -> Result<AuthenticatedPeer, Rejection> {
        let Some(outcome) = session.authenticate(&label.anchors, &label.requests.path, now) else {
            return Err(Rejection::new(
                RejectionCode::AuthMissing,
                "RFC 7030 3.3.2",
                "a client certificate is expected in the TLS handshake, none came",
            ));
        };
        let peer = outcome.map_err(|error| self.trust_rejection(label, session, &error))?;
        // Only a certificate of this CA renews itself after its end; a birth certificate has no grace.
        let grace = match peer.class() {
            AnchorClass::Explicit => label.rules.renewal_grace,
            AnchorClass::Implicit => TimeDelta::zero(),
        };
        peer.check_time(now, grace).map_err(|error| refusal::trust_rejection(&error))?;
        Ok(peer)
    }

    /// A stranger at this label may be at home at another tenant's: operators want to know (identity that strays, or a
    /// device set up for the wrong tenant). Told by the issuer's name alone, which costs nothing.
    fn trust_rejection(&self, label: &LabelContext, session: &PeerSession, error: &TrustError) -> Rejection {
        let rejection = refusal::trust_rejection(error);
        let TrustError::UnknownIssuer { .. } = error else { return rejection };
        let leaf = session.presented().and_then(|chain| Certificate::decode(chain.leaf()).ok());
        let strays = leaf.is_some_and(|leaf| {
            self.labels().filter(|other| other.tenant != label.tenant).any(|other| {
                let anchors = other.anchors.explicit().iter().chain(other.anchors.implicit());
                anchors.into_iter().any(|anchor| anchor.subject() == leaf.issuer())
            })
        });
        if !strays {
            return rejection;
        }
        // The sentence stays the same: whose label it would be welcome at is not its business.
        Rejection::new(RejectionCode::CrossTenant, rejection.clause(), rejection.reason().to_owned())
    }

    /// The device the presented certificate was issued to here, when it is on record.
    pub(super) fn device_on_record(
        &self,
        label: &LabelContext,
        peer: &AuthenticatedPeer,
    ) -> Result<Option<String>, Refusal> {
        match self.ports.store.status(&peer_id(peer)).map_err(Fault::from)? {
            // "Unknown" is not "revoked": birth certificates, and those of a CA taken over, are not on record.
            CertificateStatus::Unknown => Ok(None),
            CertificateStatus::Revoked(revocation) => Err(revoked("the presented certificate", &revocation).into()),
            CertificateStatus::Good { tenant, label: issued_at, .. }
                if tenant != label.tenant || issued_at != label.label.as_str() =>
            {
                let reason = "the presented certificate was issued at another label; renew it there";
                Err(Rejection::new(RejectionCode::CrossTenant, "RFC 7030 4.2.2", reason).into())
            }
            CertificateStatus::Good { device, .. } => Ok(Some(device)),
        }
    }

    /// One key is one device's: a key that was certified for another device, is a CA's, or is known to be in the wrong
    /// hands, is not certified.
    fn refuse_foreign_key(&self, label: &LabelContext, enrollment: &AuthorizedEnrollment) -> Result<(), Refusal> {
        let refused = |code, reason| Err(Rejection::new(code, "RFC 7030 3.7", reason).into());
        if self.is_ca_key(enrollment.key().spki_der()) {
            let reason = "the key of the request is the key of a certificate authority";
            return refused(RejectionCode::KeyInUse, reason);
        }
        let key = enrollment.key().spki_sha256();
        let store = self.ports.store.as_ref();
        if is_compromised(store, &key).map_err(Fault::from)? {
            let reason = "a certificate over the key of the request was revoked because the key was compromised; make a new \
                          key";
            return refused(RejectionCode::KeyCompromised, reason);
        }
        match store.key_holder(&label.tenant, &key).map_err(Fault::from)? {
            Some(holder) if holder != enrollment.device() => {
                let reason =
                    "the key of the request was certified for another device; each device needs a key of its own";
                refused(RejectionCode::KeyInUse, reason)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Where a profile wants a new key each time, one that was certified before is none, and neither is the birth key.
    fn refuse_known_key(
        &self,
        label: &LabelContext,
        enrollment: &AuthorizedEnrollment,
        peer: Option<&AuthenticatedPeer>,
    ) -> Result<(), Refusal> {
        if label.rules.profile.allow_key_reuse {
            return Ok(());
        }
        let key = enrollment.key();
        let holder = self.ports.store.key_holder(&label.tenant, &key.spki_sha256()).map_err(Fault::from)?;
        if holder.is_some() || peer.is_some_and(|peer| key.spki_der() == peer.certificate().public_key().der()) {
            let reason = "this profile expects a new key each time, the key of the request was certified before";
            return Err(Rejection::new(RejectionCode::KeyNotAllowed, "RFC 7030 4.2.2", reason).into());
        }
        Ok(())
    }

    fn issue(
        &self,
        label: &LabelContext,
        enrollment: AuthorizedEnrollment,
        admitted: Admitted,
        claim: ClaimGuard<'_>,
        grantee: Grantee<'_>,
        attempt: &Attempt<'_>,
    ) -> Result<PendingResponse, Refusal> {
        let Grantee { proof, renewed } = grantee;
        // Held until the certificate is recorded: of two uses at once one comes first, and the other uses nothing.
        let counted = self.claim_use(label, &proof)?;
        let entropy = self.ports.entropy.as_ref();
        let prepared = label.authority.prepare(enrollment, claim, entropy, attempt.at).map_err(Fault::from)?;
        let signed = label.authority.sign(prepared).map_err(Fault::from)?;
        let SignedCertificate { enrollment, claim, id, validity, der } = signed;
        let event = attempt.event(AuditOutcome::Issued { serial: id.serial.clone(), repeated: false });
        let response = issued(&der);
        let record = CertificateRecord {
            id,
            request: *claim.key(),
            tenant: label.tenant.clone(),
            label: label.label.to_string(),
            device: enrollment.device().to_owned(),
            spki_sha256: enrollment.key().spki_sha256(),
            renews: match enrollment.kind() {
                EnrollmentKind::Initial => None,
                EnrollmentKind::Renewal => renewed,
            },
            issued_at: attempt.at,
            not_after: validity.not_after,
            der,
            credential: attempt.credential.clone(),
        };
        // What was judged before signing is judged again: another request may have come first.
        let _device = self.ports.store.hold(&DeviceRecord::key(&label.tenant, &record.device));
        let _key = self.ports.store.hold(&FactKey::new(FactKind::Key, &label.tenant, &record.spki_sha256));
        self.refuse_foreign_key(label, &enrollment)?;
        let admitted = self.admit_again(admitted, label, &enrollment, proof.peer(), claim.key(), attempt.at)?;
        let suspicion = admitted.suspicion.clone();
        let latest = LatestCertificate {
            id: record.id.clone(),
            label: record.label.clone(),
            spki_sha256: record.spki_sha256,
            not_after: record.not_after,
        };
        let mut facts = admitted.facts(&label.tenant, latest);
        if let Some(renewed) = &record.renews {
            facts.push(Succession { successor: record.id.clone(), seen: false }.to_fact(renewed));
        }
        facts.extend(counted.map(|(use_of_it, _held)| use_of_it));
        let receipt = self.ports.store.record_issued(claim, record, facts, event).map_err(Fault::from)?;
        let alarm = suspicion.map(|reason| {
            let alarm = Alarm::CloneSuspected;
            self.ports.store.record_event(attempt.event(AuditOutcome::Alarm { alarm, reason }));
            alarm.as_str()
        });
        Ok(PendingResponse { response, receipt, waits: None, alarm })
    }

    /// One use of a credential that is good for so many certificates, as it will be recorded.
    fn claim_use(&self, label: &LabelContext, proof: &Proof<'_>) -> Result<Option<(Fact, ClaimGuard<'_>)>, Refusal> {
        let Some((credential, most)) = proof.counted() else { return Ok(None) };
        let (store, tenant, credential) = (self.ports.store.as_ref(), label.tenant.as_str(), credential.as_str());
        let held = store.hold(&CredentialUses::key(tenant, credential));
        let uses = CredentialUses::of(store, tenant, credential).map_err(Fault::from)?;
        if uses.0 < most {
            return Ok(Some((uses.once_more(tenant, credential), held)));
        }
        let reason = format!("the enrollment code is good for {most} certificates and was used as often");
        Err(Rejection::new(RejectionCode::CodeUsed, "RFC 7030 3.7", reason).into())
    }

    /// The request waits for an operator: it is recorded when it comes for the first time.
    fn defer(
        &self,
        label: &LabelContext,
        request: &PendingRequest,
        is_new: bool,
        attempt: &Attempt<'_>,
    ) -> Result<PendingResponse, Refusal> {
        let store = self.ports.store.as_ref();
        let receipt = if is_new {
            store.record_facts(vec![request.to_fact(&label.tenant)], attempt.event(AuditOutcome::Deferred))
        } else {
            Ok(Receipt::durable())
        };
        let body = ResponseBody::Deferred { retry_after: label.registration.approval.retry_after };
        let receipt = receipt.map_err(Fault::from)?;
        Ok(PendingResponse { response: EstResponse { body }, receipt, waits: Some(request.request), alarm: None })
    }
}

fn revoked(which: &str, revocation: &Revocation) -> Rejection {
    let since = revocation.at.format("%Y-%m-%dT%H:%M:%SZ");
    Rejection::new(RejectionCode::Revoked, "RFC 7030 3.3.2", format!("{which} was revoked at {since}"))
}

pub(super) fn peer_id(peer: &AuthenticatedPeer) -> CertificateId {
    CertificateId { issuer: peer.issuer_spki_sha256(), serial: peer.certificate().serial().to_vec() }
}

/// RFC 7030 §4.2.3: "only the issued certificate".
fn issued(der: &[u8]) -> EstResponse {
    EstResponse { body: ResponseBody::Issued(certs_only::encode([der])) }
}
