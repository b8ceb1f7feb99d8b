//! Full CMC (RFC 7030 section 4.3): a message is read, and what it asks for is decided as any enrollment is.

mod message;
mod response;

use std::sync::Arc;

use chrono::TimeDelta;
use estd_asn1::cmc::{
    BodyPartReference, CmcFailInfo, CmcStatus, CmcStatusInfoV2, OtherStatusInfo, PendInfo, RequestBody, TaggedRequest,
    WHOLE_MESSAGE,
};
use estd_asn1::crmf::ProofOfPossession;
use estd_asn1::{Certificate, DecodeError, certs_only, oid};

use super::attempt::Attempt;
use super::authentication::{Offered, Shown, told};
use super::enroll::PendingResponse;
use super::judgement::{Asked, verify_possession};
use super::label::LabelContext;
use super::peer_session::PeerSession;
use super::refusal::{self, Fault, Refusal};
use super::{RegistrationAuthority, RequestKey};
use crate::ca::CmcResponder;
use crate::credential::HttpScheme;
use crate::est::{
    EstRequest, EstResponse, Operation, PresentedCredential, Rejection, RejectionCode, ResponseBody, Rule, Trace,
};
use crate::pki::request::{CheckedRequest, VerifiedRequest};
use crate::store::StoreFault;
use crate::store::approval::PendingRequest;
use message::{Echo, Message, Unfit, Wanted};

pub use message::MAX_CONTROLS;

/// What the certificate of a responder is told under.
const APPOINTMENT: &str = "cmc-responder";

/// Who answers Full PKI Requests at `label`.
fn responder(label: &LabelContext) -> Result<&Arc<CmcResponder>, Rejection> {
    let none = || Rejection::new(RejectionCode::NotFound, "RFC 7030 4.3", "this label does not take full cmc");
    label.cmc_responder.as_ref().ok_or_else(none)
}

impl RegistrationAuthority {
    /// Decides a Full PKI Request: the connection proves who asks, the message must be signed by the same, or by the key
    /// to certify.
    pub(super) fn decide_full_cmc(
        &self,
        label: &LabelContext,
        request: &EstRequest,
        session: &PeerSession,
        attempt: &mut Attempt<'_>,
    ) -> Result<PendingResponse, Refusal> {
        responder(label)?;
        let credential = request.credential.as_ref().map(Offered::Presented);
        let mut shown = self.shown(label, credential, session, attempt)?;
        let (message, octets) = (Message::read(&request.body, &label.requests.limits), request.body.len());
        let expected = "a full pki request";
        let message = attempt.trace.judged(Rule::CmcMessage, expected, format_args!("{octets} octets"), message)?;
        let wanted = message.wanted().map_err(|unfit| {
            let expected = "one request, or a pendToken, and controls that are taken";
            attempt.trace.refuse(Rule::CmcMessage, expected, "something else", unfit.rejection)
        });
        let (part, tagged) = match wanted? {
            Wanted::Certificate(tagged) => (tagged.id, tagged.clone()),
            Wanted::Pending { part, request } => {
                attempt.expected = Some(request);
                (part, self.waiting(label, &request)?)
            }
        };
        let asked = verify(&tagged, label, &mut attempt.trace)?;
        self.show_code(label, &asked, session, attempt, &mut shown)?;
        self.show_identity_proof(label, &message, session, attempt, &mut shown)?;
        let proof = self.prove(label, &shown, attempt)?;
        let signed = message.verify_signer(proof.peer(), asked.claimed_key());
        let expected = "a signature by who asks, or with the key to certify";
        attempt.trace.judged(Rule::CmcSignature, expected, "a signature", signed)?;
        attempt.tagged_request = Some(tagged.der);
        let pending =
            self.decide_shown(label, Operation::FullCmc, Asked::Certificate(asked), &shown, session, attempt)?;
        self.answer_full_cmc(label, &message.echo(), part, pending, attempt)
    }

    /// The request that waits under a pendToken, as it came. Whose it is shows when it is decided again.
    fn waiting(&self, label: &LabelContext, request: &RequestKey) -> Result<TaggedRequest, Refusal> {
        let waiting = PendingRequest::find(self.ports.store.as_ref(), &label.tenant, request).map_err(Fault::from)?;
        let waiting = waiting.filter(|waiting| waiting.label == label.label.as_str());
        let Some(der) = waiting.and_then(|waiting| waiting.tagged_request) else {
            let reason = "no request waits under this pendToken; send the request itself again";
            return Err(Rejection::new(RejectionCode::CmcControl, "RFC 5272 6.13", reason).into());
        };
        let corrupt = |error: DecodeError| Fault::from(StoreFault::Corrupt(error.to_string()));
        Ok(TaggedRequest::decode(&der, &label.requests.limits).map_err(corrupt)?)
    }

    /// RFC 5272 §6.2: a proof that comes is judged, or the request is refused; where codes are taken, the secret is one.
    fn show_identity_proof(
        &self,
        label: &LabelContext,
        message: &Message,
        session: &PeerSession,
        attempt: &mut Attempt<'_>,
        shown: &mut Shown,
    ) -> Result<(), Refusal> {
        let Some((proof, signed)) = message.identity_proof() else { return Ok(()) };
        let authentication = &label.authentication;
        if !authentication.rule.takes_http() || !authentication.accepted.takes(HttpScheme::Code) {
            let reason = "identityProofV2 is looked at where enrollment codes are taken, this label takes none";
            return Err(Rejection::new(RejectionCode::CmcControl, "RFC 5272 6.2", reason).into());
        }
        // RFC 10004 §5.1: SHA-256 and HMAC-SHA256.
        if *proof.hash.oid() != oid::SHA256 || *proof.mac.oid() != oid::HMAC_WITH_SHA256 {
            let reason = "identityProofV2 is expected with SHA-256 and HMAC-SHA-256";
            return Err(Rejection::new(RejectionCode::SignatureAlgorithm, "RFC 10004 5.1", reason).into());
        }
        let presented = PresentedCredential::Witness { signed: signed.to_vec(), witness: proof.witness.clone() };
        let identity = self.http_identity(label, session, &presented, attempt);
        Ok(shown.add(told(Rule::EnrollmentCode, identity, label, attempt)?)?)
    }

    fn answer_full_cmc(
        &self,
        label: &LabelContext,
        echo: &Echo,
        part: u32,
        pending: PendingResponse,
        attempt: &Attempt<'_>,
    ) -> Result<PendingResponse, Refusal> {
        let corrupt = |error: DecodeError| Fault::from(StoreFault::Corrupt(error.to_string()));
        let (status, other, certificate, retry_after) = match (&pending.response.body, pending.waits) {
            (ResponseBody::Deferred { retry_after }, Some(waits)) => {
                let time = attempt.at + TimeDelta::seconds((*retry_after).into());
                let pend_info = PendInfo { token: waits.0.to_vec(), time };
                (CmcStatus::Pending, Some(OtherStatusInfo::PendInfo(pend_info)), None, Some(*retry_after))
            }
            (ResponseBody::Issued(der), _) => {
                let certificates = certs_only::decode(der, 1).map_err(corrupt)?;
                let certificate = certificates.first().map(|der| Certificate::decode(der)).transpose();
                (CmcStatus::Success, None, certificate.map_err(corrupt)?, None)
            }
            (
                ResponseBody::Deferred { .. }
                | ResponseBody::CaCerts(_)
                | ResponseBody::CsrAttrs { .. }
                | ResponseBody::RenewalInfo(_)
                | ResponseBody::KeyGenerated { .. }
                | ResponseBody::FullPki { .. },
                _,
            ) => return Err(Fault::Abandoned.into()),
        };
        let status = CmcStatusInfoV2 { status, body_list: vec![BodyPartReference::Id(part)], text: None, other };
        let response = self.respond(label, &status, echo, certificate.as_ref(), attempt)?;
        let body = ResponseBody::FullPki { response, retry_after };
        Ok(PendingResponse { response: EstResponse { body }, ..pending })
    }

    /// The Full PKI Response that tells a refusal, of whatever the request was. `body` is its DER, if it came so far.
    ///
    /// RFC 7030 §4.3.2: a CMC response comes with every error, beside its HTTP status. `None`: it cannot be signed.
    pub fn full_cmc_refusal(
        &self,
        label: &LabelContext,
        body: Option<&[u8]>,
        refusal: &Refusal,
        session: &PeerSession,
        request_id: &str,
    ) -> Option<Vec<u8>> {
        let message = body.and_then(|body| Message::read(body, &label.requests.limits).ok());
        let (info, text) = match refusal {
            Refusal::Rejected(rejection) => {
                let text = format!("{rejection}, request {request_id}");
                (response::fail_info(rejection.code()), text)
            }
            Refusal::Fault(fault) => {
                let info =
                    if fault.retry_after().is_some() { CmcFailInfo::TryLater } else { CmcFailInfo::InternalCaError };
                (info, format!("estd: unavailable: tell the operator request id {request_id}"))
            }
        };
        let status = CmcStatusInfoV2 {
            status: CmcStatus::Failed,
            body_list: message.as_ref().map_or_else(whole_message, |message| blamed(message, refusal)),
            text: Some(text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()),
            other: Some(OtherStatusInfo::FailInfo(info)),
        };
        let echo = message.map(|message| message.echo()).unwrap_or_default();
        let operation = Operation::FullCmc.segment();
        let attempt = Attempt::new(self.ports.clock.now(), Some(label), operation, session, request_id);
        self.respond(label, &status, &echo, None, &attempt).ok()
    }

    fn respond(
        &self,
        label: &LabelContext,
        status: &CmcStatusInfoV2,
        echo: &Echo,
        issued: Option<&Certificate>,
        attempt: &Attempt<'_>,
    ) -> Result<Vec<u8>, Refusal> {
        let entropy = self.ports.entropy.as_ref();
        let mut nonce = [0; response::NONCE_OCTETS];
        entropy.fill(&mut nonce).map_err(|failure| Fault::Response(failure.into()))?;
        let content = response::encode(status, echo, &nonce);
        let signed = responder(label)?.respond(&content, issued, entropy, attempt.at).map_err(Fault::from)?;
        if let Some(serial) = signed.appointed {
            self.ports.store.record_event(attempt.appointment(APPOINTMENT, &serial));
        }
        Ok(signed.der)
    }
}

/// Possession is proven of either form, whoever asks: neither raVerified nor an RA's witness stands for it.
fn verify(tagged: &TaggedRequest, label: &LabelContext, trace: &mut Trace) -> Result<VerifiedRequest, Rejection> {
    let checked = trace.judged(Rule::RequestSyntax, "a PKCS#10 or CRMF", "one request", check(tagged, label))?;
    verify_possession(label, checked, trace)
}

fn check(tagged: &TaggedRequest, label: &LabelContext) -> Result<CheckedRequest, Rejection> {
    let limits = &label.requests.limits;
    let missing =
        |reason: &'static str| Err(Rejection::new(RejectionCode::PossessionMissing, "RFC 5272 3.2.1.2.2", reason));
    let checked = match &tagged.body {
        RequestBody::Pkcs10(der) => CheckedRequest::check(der, limits),
        RequestBody::Crmf(Ok(message)) => match &message.possession {
            ProofOfPossession::Signature(request) => CheckedRequest::check_decoded(request.clone()),
            ProofOfPossession::Absent => return missing("the request has no proof of possession"),
            ProofOfPossession::RaVerified => {
                return missing("raVerified is not taken: expected a signature by the request's key");
            }
            ProofOfPossession::Other => {
                return missing("expected a signature by the request's key as proof of possession");
            }
        },
        RequestBody::Crmf(Err(error)) => {
            return Err(Rejection::new(RejectionCode::BadRequestSyntax, "RFC 4211 3", error.to_string()));
        }
        RequestBody::Other => {
            let reason = "expected a request as PKCS#10 or CRMF, another form came";
            return Err(Rejection::new(RejectionCode::BadRequestSyntax, "RFC 5272 3.2.1.2", reason));
        }
    };
    let checked = checked.map_err(refusal::request_rejection)?;
    label.tolerate(&checked)?;
    Ok(checked)
}

/// The parts of a message that a refusal is about.
fn blamed(message: &Message, refusal: &Refusal) -> Vec<BodyPartReference> {
    let of_request = match refusal {
        Refusal::Rejected(rejection) => rejection.code() != RejectionCode::CmcSignature,
        Refusal::Fault(_) => false,
    };
    match message.wanted() {
        Err(Unfit { parts, .. }) => parts,
        Ok(_) if !of_request => whole_message(),
        Ok(Wanted::Certificate(request)) => vec![BodyPartReference::Id(request.id)],
        Ok(Wanted::Pending { part, .. }) => vec![BodyPartReference::Id(part)],
    }
}

/// RFC 5272 §3.2.2: 0 stands for the message.
fn whole_message() -> Vec<BodyPartReference> {
    vec![BodyPartReference::Id(WHOLE_MESSAGE)]
}
