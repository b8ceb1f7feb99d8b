//! The enrollment: judgement, key, claim, certificate, record; each step takes the proof of the one before.

use super::attempt::Attempt;
use super::authentication::{Offered, Shown};
use super::authorization::{self, AuthorizationFault, Sought, Turn};
use super::judgement::{Asked, Judged, Leave, look_at, repeat_window};
use super::label::LabelContext;
use super::peer_session::PeerSession;
use super::quota::Room;
use super::refusal::{Fault, Refusal};
use super::registration::{Admission, Admitted, Arrival, AskedKey};
use super::request_key::request_key;
use super::{AuditOutcome, RegistrationAuthority};
use crate::audit::Alarm;
use crate::ca::SignedCertificate;
use crate::est::{DeliveredKey, EstRequest, EstResponse, Operation, ResponseBody, Rule};
use crate::pki::trust::AuthenticatedPeer;
use crate::policy::{AuthorizedEnrollment, EnrollmentKind, Proof};
use crate::store::approval::PendingRequest;
use crate::store::credential_uses::CredentialUses;
use crate::store::device::{DeviceRecord, LatestCertificate};
use crate::store::succession::Succession;
use crate::store::{CertificateId, CertificateRecord, Claim, ClaimGuard, Fact, FactKey, FactKind, Receipt, RequestKey};
use estd_asn1::certs_only;

/// How a request comes to be decided.
#[derive(Default)]
pub struct Coming {
    /// A turn that is lent for the judgement: it is given back at the end, or before somebody else is asked.
    pub turn: Option<Turn>,
    /// It was counted when it came, and its answer held back since for an operator to decide.
    pub is_counted: bool,
}

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
    /// Held until the record is durable.
    pub(super) _room: Option<Room>,
}

/// A device about to be certified.
struct Candidate<'a> {
    enrollment: AuthorizedEnrollment,
    /// The private key, if it was made here.
    key: Option<DeliveredKey>,
    /// Room for the certificate, where it was taken already.
    room: Option<Room>,
    admitted: Admitted,
    /// The request as it was admitted.
    asked: RequestKey,
    proof: Proof<'a>,
    /// The device by its own certificate, if it came so.
    holder: Option<&'a AuthenticatedPeer>,
    /// The certificate that it takes the place of.
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
        self.enroll_as(label, request, peer, request_id, Coming::default())
    }

    /// The same of a request of which there is more to say.
    ///
    /// # Errors
    /// A refusal, which left exactly one audit event and no other trace.
    pub fn enroll_as(
        &self,
        label: &LabelContext,
        request: &EstRequest,
        peer: &PeerSession,
        request_id: &str,
        coming: Coming,
    ) -> Result<PendingResponse, Refusal> {
        let operation = request.target.operation;
        let mut attempt = Attempt::new(self.ports.clock.now(), Some(label), operation.segment(), peer, request_id);
        attempt.coming = coming;
        let outcome = match operation {
            Operation::FullCmc => self.decide_full_cmc(label, request, peer, &mut attempt),
            Operation::CaCerts
            | Operation::CsrAttrs
            | Operation::RenewalInfo
            | Operation::SimpleEnroll
            | Operation::SimpleReenroll
            | Operation::ServerKeyGen => self.decide(label, request, peer, &mut attempt),
        };
        if let Err(refusal) = &outcome {
            self.ports.store.record_event(attempt.refused(refusal));
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
        let operation = request.target.operation;
        let mut shown = self.shown(label, request.credential.as_ref().map(Offered::Presented), session, attempt)?;
        let asked = look_at(label, operation, &request.body, &mut attempt.trace)?;
        self.show_code(label, &asked, session, attempt, &mut shown)?;
        self.prove(label, &shown, attempt)?;
        self.decide_shown(label, operation, asked, &shown, session, attempt)
    }

    /// Decides about a request, whatever message it came in, by what was shown.
    pub(super) fn decide_shown(
        &self,
        label: &LabelContext,
        operation: Operation,
        asked: Asked,
        shown: &Shown,
        session: &PeerSession,
        attempt: &mut Attempt<'_>,
    ) -> Result<PendingResponse, Refusal> {
        if attempt.coming.is_counted {
            attempt.trace.skipped(
                Rule::RequestRate,
                "counted for requests that come",
                "it was held back, and had come",
            );
        } else {
            // Strangers use up nobody's share: who it is was proven by now.
            let counted = self.count_request(label, attempt.at);
            attempt.trace.judged(
                Rule::RequestRate,
                "no more than the label and its tenant may ask",
                "one more",
                counted,
            )?;
        }
        let judged = self.judge(label, operation, &asked, shown, session, attempt)?;
        let Judged { leave, admission, asked, proof, holder, renewed } = judged;
        let admitted = match admission {
            Admission::Granted(admitted) => admitted,
            Admission::Deferred { request, is_new } => {
                if let Some((record, receipt)) = self.granted_before(label, leave.grant(), &asked, attempt)? {
                    return Ok(self.repeat(&record, receipt, None, attempt));
                }
                let sought = Sought::of(&leave, proof, renewed.as_ref());
                return self.defer(label, *request, is_new, &sought, attempt);
            }
        };
        let (enrollment, key, room) = match leave {
            Leave::Certify(enrollment) => (*enrollment, None, None),
            Leave::Generate { authorized, .. } => {
                // Looked at before a key is made, which costs far more; it is counted when the certificate is recorded.
                self.judge_uses(label, &proof, attempt)?;
                let is_new_device = admitted.is_new_device();
                let room = self.room_for(label, is_new_device, authorized.grant().kind());
                let room = self.judge_room(room, is_new_device, attempt)?;
                let sought = Sought::generated(&authorized, proof, renewed.as_ref());
                // Each of these gets a key of its own, so that no two of them are the same.
                authorization::judge(label, &sought.suspected(admitted.suspicion.is_some()), None, attempt)?;
                let (enrollment, key) = self.generate_key(label, *authorized, attempt)?;
                (enrollment, Some(key), room)
            }
        };
        self.certify(label, Candidate { enrollment, key, room, admitted, asked, proof, holder, renewed }, attempt)
    }

    /// The same certificate again: the answer had been lost.
    fn repeat(
        &self,
        record: &CertificateRecord,
        receipt: Receipt,
        key: Option<DeliveredKey>,
        attempt: &Attempt<'_>,
    ) -> PendingResponse {
        self.ports.store.record_event(attempt.event(attempt.issued(&record.id, true, key.as_ref())));
        PendingResponse { response: answer(&record.der, key), receipt, waits: None, alarm: None, _room: None }
    }

    /// Issues, or hands out again what was issued to the same request.
    fn certify(
        &self,
        label: &LabelContext,
        mut candidate: Candidate<'_>,
        attempt: &mut Attempt<'_>,
    ) -> Result<PendingResponse, Refusal> {
        // A key that was made here is another one each time, so that no such request is a repeated one.
        let key = candidate.enrollment.key().spki_der();
        let request = request_key(label, &candidate.proof, &candidate.enrollment, key);
        match self.ports.store.claim(&request, attempt.at - repeat_window(label)).map_err(Fault::from)? {
            Claim::Recorded { record, receipt } => Ok(self.repeat(&record, receipt, candidate.key, attempt)),
            Claim::InQuestion => Err(Fault::from(AuthorizationFault::InQuestion).into()),
            Claim::Granted(claim) => {
                self.judge_issuance(label, &candidate.enrollment, &candidate.proof, attempt)?;
                if candidate.key.is_none() {
                    let is_new_device = candidate.admitted.is_new_device();
                    let room = self.room_for(label, is_new_device, candidate.enrollment.kind());
                    candidate.room = self.judge_room(room, is_new_device, attempt)?;
                    let sought = Sought::certified(&candidate.enrollment, candidate.proof, candidate.renewed.as_ref());
                    let is_suspected = candidate.admitted.suspicion.is_some();
                    // Under the claim: the same request twice at once is asked about once.
                    authorization::judge(label, &sought.suspected(is_suspected), Some(&claim), attempt)?;
                }
                attempt.credential = candidate.proof.credential().map(ToString::to_string);
                self.issue(label, candidate, claim, attempt)
            }
        }
    }

    fn issue(
        &self,
        label: &LabelContext,
        candidate: Candidate<'_>,
        claim: ClaimGuard<'_>,
        attempt: &Attempt<'_>,
    ) -> Result<PendingResponse, Refusal> {
        let Candidate { enrollment, key, mut room, admitted, asked, proof, holder, renewed } = candidate;
        // Held until the certificate is recorded: of two uses at once one comes first, and the other uses nothing.
        let counted = self.claim_use(label, &proof)?;
        let entropy = self.ports.entropy.as_ref();
        let prepared = label.authority.prepare(enrollment, claim, entropy, attempt.at).map_err(Fault::from)?;
        let signed = label.authority.sign(prepared).map_err(Fault::from)?;
        let SignedCertificate { enrollment, claim, id, validity, der } = signed;
        let event = attempt.event(attempt.issued(&id, false, key.as_ref()));
        let response = answer(&der, key);
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
        proof.peer().map(|peer| self.device_on_record(label, peer)).transpose()?;
        self.refuse_revoked_codes(label, &proof, attempt.at)?;
        let key = AskedKey::Held(record.spki_sha256);
        let arrival = Arrival { label, grant: &enrollment, key, peer: holder, request: &asked, now: attempt.at };
        let admitted = self.admit_again(admitted, &arrival)?;
        if let Some(room) = room.as_mut().filter(|_| !admitted.is_new_device()) {
            room.without_device();
        }
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
        let (expected, _slot) = self.take_slot(label, &record)?.unzip();
        facts.extend(expected.unwrap_or_default());
        let receipt = self.ports.store.record_issued(claim, record, facts, event).map_err(Fault::from)?;
        room.as_mut().into_iter().for_each(Room::note_recorded);
        let alarm = suspicion.map(|reason| {
            let alarm = Alarm::CloneSuspected;
            self.ports.store.record_event(attempt.event(AuditOutcome::Alarm { alarm, reason }));
            alarm.as_str()
        });
        Ok(PendingResponse { response, receipt, waits: None, alarm, _room: room })
    }

    /// One use of a credential that is good for so many certificates, as it will be recorded.
    fn claim_use(&self, label: &LabelContext, proof: &Proof<'_>) -> Result<Option<(Fact, ClaimGuard<'_>)>, Refusal> {
        let Some((credential, _)) = proof.counted() else { return Ok(None) };
        let (tenant, credential) = (label.tenant.as_str(), credential.as_str());
        let held = self.ports.store.hold(&CredentialUses::key(tenant, credential));
        let uses = self.uses_left(label, proof)?;
        Ok(uses.map(|uses| (uses.once_more(tenant, credential), held)))
    }

    /// The claim of a request that somebody is asked about and nothing is issued to yet; `None` where a certificate was issued to
    /// it before.
    fn claim_to_ask(
        &self,
        label: &LabelContext,
        request: &RequestKey,
        attempt: &Attempt<'_>,
    ) -> Result<Option<ClaimGuard<'_>>, Refusal> {
        match self.ports.store.claim(request, attempt.at - repeat_window(label)).map_err(Fault::from)? {
            Claim::Granted(claim) => Ok(Some(claim)),
            Claim::Recorded { .. } => Ok(None),
            Claim::InQuestion => Err(Fault::from(AuthorizationFault::InQuestion).into()),
        }
    }

    /// The request waits for an operator: it is recorded when it comes for the first time. No operator is to look at what is
    /// denied in any case; what waits is asked about again when it is granted.
    fn defer(
        &self,
        label: &LabelContext,
        request: PendingRequest,
        is_new: bool,
        sought: &Sought<'_>,
        attempt: &mut Attempt<'_>,
    ) -> Result<PendingResponse, Refusal> {
        let store = self.ports.store.as_ref();
        // Held until it is on the list: whoever comes second is told to come back, or finds it there.
        let claim = match label.authorizer.as_ref().filter(|_| is_new) {
            Some(_) => self.claim_to_ask(label, &request.request, attempt)?,
            None => None,
        };
        let is_new = is_new && (claim.is_none() || self.listed(label, &request.request, attempt.at)?.is_none());
        if is_new {
            authorization::judge(label, sought, claim.as_ref(), attempt)?;
        }
        let (ra, tagged_request) = (attempt.ra.clone(), attempt.tagged_request.clone());
        let request = PendingRequest { ra, tagged_request, ..request };
        let receipt = if is_new {
            store.record_facts(vec![request.to_fact(&label.tenant)], attempt.event(AuditOutcome::Deferred))
        } else {
            Ok(Receipt::durable())
        };
        let body = ResponseBody::Deferred { retry_after: label.registration.approval.retry_after };
        let receipt = receipt.map_err(Fault::from)?;
        Ok(PendingResponse {
            response: EstResponse { body },
            receipt,
            waits: Some(request.request),
            alarm: None,
            _room: None,
        })
    }
}

fn answer(der: &[u8], key: Option<DeliveredKey>) -> EstResponse {
    // RFC 7030 §4.2.3: "only the issued certificate". §4.4.2: with a key, the certificate "exactly matches" that.
    let certificate = certs_only::encode([der]);
    let body = match key {
        None => ResponseBody::Issued(certificate),
        Some(key) => ResponseBody::KeyGenerated { key, certificate },
    };
    EstResponse { body }
}
