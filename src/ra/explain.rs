//! What would come of a request, and why: judged by the code that judges for real, of which nothing is left.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use estd_asn1::Certificate;

use super::attempt::Attempt;
use super::authentication::Offered;
use super::authorization::{self, Sought};
use super::judgement::{Judged, Leave, look_at};
use super::label::LabelContext;
use super::peer_session::PeerSession;
use super::refusal::{Fault, Refusal};
use super::registration::{Admission, Admitted};
use super::request_key::request_key;
use super::{RegistrationAuthority, RequestKey};
use crate::access::{Grant, ReadRegistry};
use crate::credential::AssumedCredential;
use crate::est::{Label, Operation, PresentedChain, Rejection, Rule, Trace};
use crate::pki::generated_key::KeySpec;
use crate::policy;
use crate::store::CertificateRecord;

/// A request that an operator asks about.
#[derive(Debug, Clone)]
pub struct Inquiry {
    /// The label it would come to, of the tenant of the grant.
    pub label: Label,
    /// simpleenroll, simplereenroll or serverkeygen.
    pub operation: Operation,
    /// The PKCS#10, DER.
    pub request: Vec<u8>,
    /// The certificates that the client would present, its own first, DER; its key is taken as held. Empty: none.
    pub chain: Vec<Vec<u8>>,
    /// The credential that it would present.
    pub credential: Option<AssumedCredential>,
}

/// What would come of a request now.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// When it was judged.
    pub at: DateTime<Utc>,
    /// The device, once its identity was proven.
    pub device: Option<String>,
    /// The RA client that asks for it.
    pub ra: Option<String>,
    /// How each rule came out, in the order in which they are looked at. It ends with the one that refuses.
    pub trace: Trace,
    /// What would be answered.
    pub verdict: Verdict,
}

/// What would be answered.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one at a time, for an operator")]
pub enum Verdict {
    /// A certificate would be issued.
    Issue {
        /// What it would say. Nobody signed it, and its serial number stands for one that is drawn when it is issued.
        certificate: Certificate,
        /// Why an alarm would be raised.
        alarm: Option<String>,
    },
    /// A key would be made, and a certificate over it issued.
    Generate {
        /// The key.
        key: KeySpec,
        /// Whether it would be given out encrypted.
        is_encrypted: bool,
        /// Why an alarm would be raised.
        alarm: Option<String>,
    },
    /// The certificate that was issued to the same request would be handed out again.
    Repeat(Arc<CertificateRecord>),
    /// It would wait for an operator.
    Wait {
        /// What names the request while it waits.
        request: RequestKey,
        /// It waits already.
        is_waiting: bool,
    },
    /// It would be refused.
    Refuse(Rejection),
}

/// Why nothing can be told.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExplainError {
    /// The tenant has none of that name.
    #[error("there is no such label")]
    NoLabel,
    /// An operation that is not asked for by a PKCS#10.
    #[error("simpleenroll, simplereenroll and serverkeygen are explained, {} is not", .0.segment())]
    Operation(Operation),
    /// Our failure.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl RegistrationAuthority {
    /// Tells what would come of a request now. Nothing is recorded for it, no wrong code is counted as a guess, and no use of
    /// a credential is used up.
    ///
    /// # Errors
    /// When there is no such label, the operation is none that is explained, or the store cannot tell.
    pub fn explain(&self, grant: &Grant<ReadRegistry>, inquiry: &Inquiry) -> Result<Explanation, ExplainError> {
        let label = self.label_of(grant.tenant(), inquiry.label.as_str()).ok_or(ExplainError::NoLabel)?;
        match inquiry.operation {
            Operation::SimpleEnroll | Operation::SimpleReenroll | Operation::ServerKeyGen => {}
            operation @ (Operation::CaCerts | Operation::CsrAttrs | Operation::RenewalInfo | Operation::FullCmc) => {
                return Err(ExplainError::Operation(operation));
            }
        }
        let chain = PresentedChain::assumed(inquiry.chain.clone());
        let session = PeerSession::assumed(chain, grant.actor().source.clone());
        let (now, operation) = (self.ports.clock.now(), inquiry.operation.segment());
        let mut attempt = Attempt::new(now, Some(label), operation, &session, &grant.actor().request_id);
        attempt.hypothetical = true;
        attempt.trace = Trace::whole();
        let verdict = match self.foresee(label, inquiry, &session, &mut attempt) {
            Ok(verdict) => verdict,
            Err(Refusal::Rejected(rejection)) => Verdict::Refuse(rejection),
            Err(Refusal::Fault(fault)) => return Err(fault.into()),
        };
        let Attempt { device, ra, trace, .. } = attempt;
        Ok(Explanation { at: now, device, ra, trace, verdict })
    }

    fn foresee(
        &self,
        label: &LabelContext,
        inquiry: &Inquiry,
        session: &PeerSession,
        attempt: &mut Attempt<'_>,
    ) -> Result<Verdict, Refusal> {
        let offered = inquiry.credential.as_ref().map(Offered::Assumed);
        let mut shown = self.shown(label, offered, session, attempt)?;
        let asked = look_at(label, inquiry.operation, &inquiry.request, &mut attempt.trace)?;
        self.show_code(label, &asked, session, attempt, &mut shown)?;
        self.prove(label, &shown, attempt)?;
        attempt.trace.skipped(Rule::RequestRate, "counted for requests that come", "none came");
        let judged = self.judge(label, inquiry.operation, &asked, &shown, session, attempt)?;
        let Judged { leave, admission, asked, proof, renewed, .. } = judged;
        let admitted = match admission {
            Admission::Granted(admitted) => admitted,
            Admission::Deferred { request, is_new } => {
                if let Some((record, _)) = self.granted_before(label, leave.grant(), &asked, attempt)? {
                    return Ok(Verdict::Repeat(record));
                }
                if is_new {
                    authorization::judge(label, &Sought::of(&leave, proof, renewed.as_ref()), None, attempt)?;
                }
                return Ok(Verdict::Wait { request: request.request, is_waiting: !is_new });
            }
        };
        let enrollment = match leave {
            Leave::Certify(enrollment) => enrollment,
            Leave::Generate { authorized, .. } => {
                let (key, is_encrypted) = (authorized.spec(), authorized.is_encrypted());
                self.judge_uses(label, &proof, attempt)?;
                self.foresee_room(label, &admitted, authorized.grant(), attempt)?;
                let sought = Sought::generated(&authorized, proof, renewed.as_ref());
                authorization::judge(label, &sought, None, attempt)?;
                return Ok(Verdict::Generate { key, is_encrypted, alarm: admitted.suspicion });
            }
        };
        let request = request_key(label, &proof, &enrollment, enrollment.key().spki_der());
        if let Some((record, _)) = self.answered(label, &request, attempt)? {
            return Ok(Verdict::Repeat(record));
        }
        self.judge_issuance(label, &enrollment, &proof, attempt)?;
        self.foresee_room(label, &admitted, &enrollment, attempt)?;
        authorization::judge(label, &Sought::certified(&enrollment, proof, renewed.as_ref()), None, attempt)?;
        let certificate = label.authority.outline(&enrollment, attempt.at).map_err(Fault::from)?;
        Ok(Verdict::Issue { certificate, alarm: admitted.suspicion })
    }

    fn foresee_room(
        &self,
        label: &LabelContext,
        admitted: &Admitted,
        grant: &policy::Grant,
        attempt: &mut Attempt<'_>,
    ) -> Result<(), Refusal> {
        let is_new_device = admitted.is_new_device();
        let room = self.room_is_left(label, is_new_device, grant.kind());
        self.judge_room(room, is_new_device, attempt).map(|_| ())
    }
}

impl Explanation {
    /// Whether the client would be answered with a certificate.
    pub const fn would_issue(&self) -> bool {
        match self.verdict {
            Verdict::Issue { .. } | Verdict::Generate { .. } | Verdict::Repeat(_) => true,
            Verdict::Wait { .. } | Verdict::Refuse(_) => false,
        }
    }

    /// The rule that refuses, when one does.
    pub fn refused_by(&self) -> Option<Rule> {
        self.trace.refused().map(|step| step.rule)
    }
}
