//! The judgement of an enrollment: peer, request, policy, key, registry; it changes nothing, and nothing is left of it.

use std::ops::Deref;
use std::sync::Arc;

use super::RegistrationAuthority;
use super::attempt::Attempt;
use super::authentication::{Shown, peer_id};
use super::key_generation;
use super::label::LabelContext;
use super::peer_session::PeerSession;
use super::refusal::{self, Fault, Refusal};
use super::registration::{Admission, Arrival, AskedKey};
use super::request_key::request_key;
use crate::est::trace::lazily;
use crate::est::{Operation, Rejection, RejectionCode, Rule, Trace};
use crate::pki::digest::{hex, sha256};
use crate::pki::request::{CheckedRequest, VerifiedRequest};
use crate::pki::trust::AuthenticatedPeer;
use crate::policy::{self, AuthorizedEnrollment, AuthorizedGeneration, Grant, Proof, RaClient, Requester};
use crate::store::compromise::is_compromised;
use crate::store::credential_uses::CredentialUses;
use crate::store::{CertificateId, CertificateRecord, Claim, Receipt, RequestKey};
use chrono::{DateTime, TimeDelta, Utc};
use estd_asn1::Certificate;

/// A request as far as it was looked at.
pub(super) enum Asked {
    /// It proves possession of the key to certify.
    Certificate(VerifiedRequest),
    /// RFC 7030 section 4.4.1: its key and its signature are ignored.
    Key(CheckedRequest),
}

/// Both are checked.
impl Deref for Asked {
    type Target = CheckedRequest;

    fn deref(&self) -> &CheckedRequest {
        match self {
            Self::Certificate(request) => request,
            Self::Key(request) => request,
        }
    }
}

/// What policy allowed.
pub(super) enum Leave<'a> {
    /// To certify the key of the request.
    Certify(Box<AuthorizedEnrollment>),
    /// To make a key and certify that.
    Generate {
        authorized: Box<AuthorizedGeneration<'a>>,
        /// SHA-256 of the key in the request, which counts for nothing.
        claimed: [u8; 32],
    },
}

impl Leave<'_> {
    pub(super) fn grant(&self) -> &Grant {
        match self {
            Self::Certify(enrollment) => enrollment,
            Self::Generate { authorized, .. } => authorized.grant(),
        }
    }

    pub(super) fn key(&self) -> AskedKey {
        match self {
            Self::Certify(enrollment) => AskedKey::Held(enrollment.key().spki_sha256()),
            Self::Generate { claimed, .. } => AskedKey::Claimed(*claimed),
        }
    }

    /// What a request that waits for an operator is recognised by, when it comes again. RFC 7030 section 4.4.1 has the
    /// key in a serverkeygen request ignored: a client may make another one each time.
    fn asked_key(&self) -> &[u8] {
        match self {
            Self::Certify(enrollment) => enrollment.key().spki_der(),
            Self::Generate { .. } => Operation::ServerKeyGen.segment().as_bytes(),
        }
    }
}

/// A request that policy would certify, and what the registry says to it. Nothing was changed for it.
pub(super) struct Judged<'a> {
    pub(super) leave: Leave<'a>,
    pub(super) admission: Admission,
    /// The request as the registry knows it.
    pub(super) asked: RequestKey,
    pub(super) proof: Proof<'a>,
    /// The device by its own certificate, if it came so.
    pub(super) holder: Option<&'a AuthenticatedPeer>,
    /// The certificate that the new one takes the place of, if it is a renewal.
    pub(super) renewed: Option<CertificateId>,
}

impl RegistrationAuthority {
    /// Judges a request, whatever message it came in, by what was shown. What becomes known of it is noted in `attempt`.
    pub(super) fn judge<'a>(
        &self,
        label: &'a LabelContext,
        operation: Operation,
        asked: &Asked,
        shown: &'a Shown,
        session: &PeerSession,
        attempt: &mut Attempt<'_>,
    ) -> Result<Judged<'a>, Refusal> {
        let proof = shown.proof(label.authentication.rule)?;
        let client = label.rules.ra_client(&proof, shown.recorded_device.as_deref());
        if let (Some(client), Some(peer)) = (&client, proof.peer()) {
            let judged = self.judge_ra(label, client, peer, attempt.at);
            attempt.trace.judged(Rule::RaClient, "an ra client in good standing", client.id(), judged)?;
            // What follows is about another device, which is yet to be named.
            attempt.ra = Some(client.id().to_owned());
            attempt.device = client.device(asked).ok().map(|device| device.as_str().to_owned());
        }
        // Who presents the device's own certificate.
        let holder = proof.peer().filter(|_| client.is_none());
        let current = self.current(label, operation, &proof, client.as_ref(), asked);
        let current = match current {
            Err(refused) => {
                let (expected, got) = ("a certificate of the device on record, not revoked", "none");
                return attempt.trace.judged(Rule::CurrentCertificate, expected, got, Err(refused));
            }
            Ok(current) => current,
        };
        if let Some((_, certificate)) = &current {
            let expected = "a certificate of the device on record, not revoked";
            attempt.trace.passed(Rule::CurrentCertificate, expected, certificate.subject());
        }
        let requester = Requester {
            proof,
            recorded_device: shown.recorded_device.as_deref(),
            current: current.as_ref().map(|(_, certificate)| certificate),
            binding: session.binding(),
            cipher_strength: session.cipher_strength(),
        };
        let leave = authorize(label, operation, asked, &requester, attempt.at, &mut attempt.trace)?;
        let forbidden = refuse_forbidden_names(label, leave.grant());
        let names = leave.grant().listed_names();
        attempt.trace.judged(Rule::NameConstraints, "names that no ca above forbids", names, forbidden)?;
        attempt.device = Some(leave.grant().device().to_owned());
        if let Leave::Certify(enrollment) = &leave {
            let judged = self.refuse_foreign_key(label, enrollment);
            let key = lazily(|| hex(&enrollment.key().spki_sha256()));
            attempt.trace.judged(Rule::KeyHolder, "a key that nobody else has", key, judged)?;
        }

        let asked = request_key(label, &proof, leave.grant(), leave.asked_key());
        if attempt.expected.is_some_and(|expected| expected != asked) {
            let reason =
                "the pendToken is of another requester, or what it stands for would be certified otherwise now";
            let refused = Rejection::new(RejectionCode::CmcControl, "RFC 5272 6.13", reason);
            let (expected, got) = ("the request that waits under the pendToken", "another");
            return Err(attempt.trace.refuse(Rule::PendToken, expected, got, refused).into());
        }
        let (grant, key) = (leave.grant(), leave.key());
        let arrival = Arrival { label, grant, key, peer: holder, request: &asked, now: attempt.at };
        let admission = self.admit(&arrival);
        let waits = matches!(admission, Ok(Admission::Deferred { .. }));
        let got = lazily(|| format!("{}{}", grant.device(), if waits { ", which waits for an operator" } else { "" }));
        let admission = attempt.trace.judged(Rule::Registration, arrival.expected(), got, admission)?;
        let renewed = holder.map(peer_id).or(current.map(|(id, _)| id));
        Ok(Judged { leave, admission, asked, proof, holder, renewed })
    }

    /// What was shown, when it is what the label demands. The device that it is proven to be is noted.
    pub(super) fn prove<'a>(
        &self,
        label: &LabelContext,
        shown: &'a Shown,
        attempt: &mut Attempt<'_>,
    ) -> Result<Proof<'a>, Rejection> {
        let rule = label.authentication.rule;
        let proof = attempt.trace.judged(Rule::Authentication, rule.as_str(), shown, shown.proof(rule))?;
        if attempt.device.is_none() {
            attempt.device = proof.proven_device(&label.rules).map(|device| device.as_str().to_owned());
        }
        Ok(proof)
    }

    /// The certificate that was issued to the same request of late: its answer may have been lost.
    pub(super) fn answered(
        &self,
        label: &LabelContext,
        request: &RequestKey,
        attempt: &mut Attempt<'_>,
    ) -> Result<Option<(Arc<CertificateRecord>, Receipt)>, Refusal> {
        match self.ports.store.claim(request, attempt.at - repeat_window(label)).map_err(Fault::from)? {
            Claim::Recorded { record, receipt } => {
                let serial = hex(&record.id.serial);
                let window = repeat_window(label).num_minutes();
                let expected = format_args!("the same request within {window} min gets the same certificate");
                attempt.trace.passed(Rule::RepeatedRequest, expected, format_args!("{serial} was issued to it"));
                Ok(Some((record, receipt)))
            }
            Claim::Granted(_) | Claim::InQuestion => Ok(None),
        }
    }

    /// The answer to what an operator granted: its approval was used up, its certificate is there.
    pub(super) fn granted_before(
        &self,
        label: &LabelContext,
        grant: &Grant,
        asked: &RequestKey,
        attempt: &mut Attempt<'_>,
    ) -> Result<Option<(Arc<CertificateRecord>, Receipt)>, Refusal> {
        if grant.awaits_approval() { self.answered(label, asked, attempt) } else { Ok(None) }
    }

    /// Judges what is judged once it is clear that the request was not answered before.
    pub(super) fn judge_issuance(
        &self,
        label: &LabelContext,
        enrollment: &AuthorizedEnrollment,
        proof: &Proof<'_>,
        attempt: &mut Attempt<'_>,
    ) -> Result<(), Refusal> {
        let key = lazily(|| hex(&enrollment.key().spki_sha256()));
        if label.rules.profile.allow_key_reuse {
            attempt.trace.skipped(Rule::KeyReuse, "the profile allows keys that were certified before", key);
        } else {
            let judged = self.refuse_known_key(label, enrollment, proof.peer());
            attempt.trace.judged(Rule::KeyReuse, "a key that was not certified before", key, judged)?;
        }
        self.judge_uses(label, proof, attempt)
    }

    /// Judges whether a credential that is good for so many certificates has one left.
    pub(super) fn judge_uses(
        &self,
        label: &LabelContext,
        proof: &Proof<'_>,
        attempt: &mut Attempt<'_>,
    ) -> Result<(), Refusal> {
        let Some((credential, most)) = proof.counted() else { return Ok(()) };
        let uses = self.uses_left(label, proof);
        let got = match &uses {
            Ok(uses) => format!("{credential}, used {} times", uses.map_or(0, |uses| uses.0)),
            Err(_) => format!("{credential}, used as often"),
        };
        attempt.trace.judged(Rule::CodeUses, format_args!("used less than {most} times"), got, uses).map(|_| ())
    }

    /// Room for a certificate where a tenant has so much of it alone: taken by [`room_for`](Self::room_for), or looked at.
    pub(super) fn judge_room<Room>(
        &self,
        room: Result<Option<Room>, Refusal>,
        is_new_device: bool,
        attempt: &mut Attempt<'_>,
    ) -> Result<Option<Room>, Refusal> {
        if let Ok(None) = room {
            return room;
        }
        let wanted = if is_new_device { "one device and one certificate more" } else { "one certificate more" };
        attempt.trace.judged(Rule::Quota, "room among what the tenant may have", wanted, room)
    }

    /// How often a credential was used that is good for so many certificates; refused when it was used as often.
    pub(super) fn uses_left(&self, label: &LabelContext, proof: &Proof<'_>) -> Result<Option<CredentialUses>, Refusal> {
        let Some((credential, most)) = proof.counted() else { return Ok(None) };
        let uses = CredentialUses::of(self.ports.store.as_ref(), &label.tenant, credential.as_str());
        let uses = uses.map_err(Fault::from)?;
        if uses.0 < most {
            return Ok(Some(uses));
        }
        let reason = format!("the enrollment code is good for {most} certificates and was used as often");
        Err(Rejection::new(RejectionCode::CodeUsed, "RFC 7030 3.7", reason).into())
    }

    /// The certificate on record that is renewed for a requester who does not present it: by HTTP authentication, or an RA.
    fn current(
        &self,
        label: &LabelContext,
        operation: Operation,
        proof: &Proof<'_>,
        client: Option<&RaClient<'_>>,
        request: &CheckedRequest,
    ) -> Result<Option<(CertificateId, Certificate)>, Refusal> {
        if operation != Operation::SimpleReenroll {
            return Ok(None);
        }
        let device = match (client, proof.peer()) {
            (Some(client), _) => client.device(request)?,
            (None, None) => proof.device(request)?,
            (None, Some(_)) => return Ok(None),
        };
        self.certificate_on_record(label, device.as_str())
    }

    /// One key is one device's: a key that was certified for another device, is a CA's, or is known to be in the wrong
    /// hands, is not certified.
    pub(super) fn refuse_foreign_key(
        &self,
        label: &LabelContext,
        enrollment: &AuthorizedEnrollment,
    ) -> Result<(), Refusal> {
        let refused = |code, reason| Err(Rejection::new(code, "RFC 7030 3.7", reason).into());
        if self.is_ca_key(enrollment.key().spki_der()) {
            let reason = "the key of the request is the key of a certificate authority";
            return refused(RejectionCode::KeyInUse, reason);
        }
        let key = enrollment.key().spki_sha256();
        if self.blocked_keys.contain(&key) {
            let reason = "the key of the request is on the list of keys that others have; make a new key";
            return refused(RejectionCode::KeyCompromised, reason);
        }
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
        let key = enrollment.key();
        let holder = self.ports.store.key_holder(&label.tenant, &key.spki_sha256()).map_err(Fault::from)?;
        if holder.is_some() || peer.is_some_and(|peer| key.spki_der() == peer.certificate().public_key().der()) {
            let reason = "this profile expects a new key each time, the key of the request was certified before";
            return Err(Rejection::new(RejectionCode::KeyNotAllowed, "RFC 7030 4.2.2", reason).into());
        }
        Ok(())
    }
}

/// Checks of a request what needs nothing but the request and the profile.
pub(super) fn look_at(
    label: &LabelContext,
    operation: Operation,
    body: &[u8],
    trace: &mut Trace,
) -> Result<Asked, Rejection> {
    let checked = CheckedRequest::check(body, &label.requests.limits).map_err(refusal::request_rejection);
    let checked = checked.and_then(|checked| label.tolerate(&checked).map(|()| checked));
    let checked = trace.judged(Rule::RequestSyntax, "a PKCS#10", format_args!("{} octets", body.len()), checked)?;
    match operation {
        Operation::ServerKeyGen => {
            let makes_keys = key_generation::of(label).map(|_| ());
            trace.judged(Rule::KeyGeneration, "a label that makes keys", &label.label, makes_keys)?;
            Ok(Asked::Key(checked))
        }
        Operation::SimpleEnroll
        | Operation::SimpleReenroll
        | Operation::CaCerts
        | Operation::CsrAttrs
        | Operation::RenewalInfo
        | Operation::FullCmc => Ok(Asked::Certificate(verify_possession(label, checked, trace)?)),
    }
}

/// RFC 5280 §4.2.1.10: a certificate with a name that a CA above it forbids validates nowhere.
fn refuse_forbidden_names(label: &LabelContext, grant: &Grant) -> Result<(), Rejection> {
    let constraints = label.authority.name_constraints();
    constraints
        .check(grant.subject(), grant.subject_alt_names())
        .map_err(|error| Rejection::new(RejectionCode::BadName, "RFC 5280 4.2.1.10", error.to_string()))
}

/// Checks the key of a request, and that its sender holds it.
pub(super) fn verify_possession(
    label: &LabelContext,
    request: CheckedRequest,
    trace: &mut Trace,
) -> Result<VerifiedRequest, Rejection> {
    let keys = &label.rules.profile.keys;
    let algorithm = request.claimed_key().algorithm().oid().to_string();
    let verified = request.verify(keys).map_err(refusal::request_rejection);
    let got = verified.as_ref().map_or(algorithm, |verified| verified.key().key_type().to_string());
    let allowed: Vec<_> = keys.allowed.iter().map(ToString::to_string).collect();
    let expected = format_args!("a key of {}, and a signature with it", allowed.join(", "));
    trace.judged(Rule::ProofOfPossession, expected, got, verified)
}

/// What policy says to a request.
fn authorize<'a>(
    label: &'a LabelContext,
    operation: Operation,
    asked: &Asked,
    requester: &Requester<'_>,
    now: DateTime<Utc>,
    trace: &mut Trace,
) -> Result<Leave<'a>, Rejection> {
    match asked {
        Asked::Key(request) => {
            let rules = &key_generation::of(label)?.rules;
            let authorized = policy::authorize_generation(request, requester, &label.rules, rules, now, trace)?;
            let claimed = sha256(&[request.claimed_key().der()]);
            Ok(Leave::Generate { authorized: Box::new(authorized), claimed })
        }
        Asked::Certificate(request) => {
            let enrollment = policy::authorize(operation, request, requester, &label.rules, trace)?;
            Ok(Leave::Certify(Box::new(enrollment)))
        }
    }
}

/// A certificate that is about to end is of no use to a device that asks again.
pub(super) fn repeat_window(label: &LabelContext) -> TimeDelta {
    label.requests.repeat_window.min(label.rules.profile.validity / 2)
}
