//! Who else has a say at a label: asked about each request that would be granted, before anything is made for it.
//!
//! The core does not know how it is asked. Whoever stands behind the port answers in time or not at all, and no answer is no
//! leave.

use std::pin::Pin;

use chrono::{DateTime, Utc};

use super::attempt::Attempt;
use super::judgement::Leave;
use super::label::LabelContext;
use super::refusal::{Fault, Refusal};
use crate::est::trace::lazily;
use crate::est::{Rejection, RejectionCode, Rule};
use crate::pki::public_key::{KeyType, PublicKey};
use crate::pki::trust::AuthenticatedPeer;
use crate::policy::{AuthorizedEnrollment, AuthorizedGeneration, EnrollmentKind, Grant, Proof};
use crate::store::{CertificateId, ClaimGuard};

/// The port to whoever is asked. It remembers nothing of an answer.
pub trait Authorizer: Send + Sync {
    /// Who is asked, for people to read.
    fn asks(&self) -> String;

    /// A turn among those that ask at once. The edge awaits it before it hands a request over, for [`ask`](Self::ask) keeps a
    /// thread; whoever has none asks all the same. Those with a credential that is yet to be verified (`is_unproven`) have a part
    /// of the turns and no more: whoever guesses at passwords leaves the others to devices with certificates.
    ///
    /// # Errors
    /// When none came free in time.
    fn turn(&self, is_unproven: bool) -> TurnFuture;

    /// Asks, and blocks until the answer is there or its time is over.
    ///
    /// # Errors
    /// When no answer came that is one.
    fn ask(&self, question: &Question<'_>) -> Result<Answer, AuthorizationFault>;
}

/// Resolves when it is one's turn.
pub type TurnFuture = Pin<Box<dyn Future<Output = Result<Turn, AuthorizationFault>> + Send>>;

/// A place among those that may do something at once; given back when dropped.
pub struct Turn(#[expect(dead_code, reason = "held for its drop")] Box<dyn Send>);

impl Turn {
    /// A turn that lasts as long as `place` is held.
    pub fn holding(place: impl Send + 'static) -> Self {
        Self(Box::new(place))
    }
}

/// What is asked: what would be certified to whom, by what was proven. It carries no secret.
pub struct Question<'a> {
    /// When the request came.
    pub at: DateTime<Utc>,
    /// What stands in the log lines, the answer and the audit event of the request.
    pub request_id: &'a str,
    /// The peer's address; empty when not known.
    pub source: &'a str,
    /// The tenant.
    pub tenant: &'a str,
    /// The label.
    pub label: &'a str,
    /// The operation's path segment, or what the audit calls it where an operator asks.
    pub operation: &'a str,
    /// Whether the device holds a certificate of this CA that is renewed.
    pub is_renewal: bool,
    /// The device, as it was proven.
    pub device: &'a str,
    /// The RA client or the operator who asks for it.
    pub actor: Option<&'a str>,
    /// Who presented a certificate, where that counts.
    pub peer: Option<&'a AuthenticatedPeer>,
    /// The ids of the credentials that count.
    pub credentials: Vec<&'a str>,
    /// The profile.
    pub profile: &'a str,
    /// The subject to certify.
    pub subject: String,
    /// The subjectAltName entries to certify.
    pub subject_alt_names: Vec<String>,
    /// The kind of the key to certify.
    pub key_type: KeyType,
    /// SHA-256 of its SubjectPublicKeyInfo; `None`: it is yet to be made.
    pub spki_sha256: Option<[u8; 32]>,
    /// The serial number of the certificate that it takes the place of, content octets.
    pub renews: Option<&'a [u8]>,
    /// Whether the birth certificate may be in two devices.
    pub is_clone_suspected: bool,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The certificate may be issued.
    Allowed,
    /// It may not.
    Denied {
        /// Why, for operators; the answerer's words.
        reason: Option<String>,
    },
}

/// Why there is no answer. Its text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizationFault {
    /// None came in time, or none that is one.
    #[error("{asked} did not say whether the device may have a certificate: {cause}")]
    Unanswered {
        /// Who was asked.
        asked: String,
        /// What came instead.
        cause: String,
    },
    /// Too many ask.
    #[error("{asking} requests ask {asked} at once, the limit")]
    Busy {
        /// Who is asked.
        asked: String,
        /// The limit.
        asking: usize,
    },
    /// It came before, and that is not answered yet.
    #[error("the same request is being asked about")]
    InQuestion,
}

/// What somebody would be certified as, once all else was judged.
pub(super) struct Sought<'a> {
    grant: &'a Grant,
    key_type: KeyType,
    /// `None`: it is yet to be made.
    key: Option<&'a PublicKey>,
    proof: Proof<'a>,
    renews: Option<&'a CertificateId>,
    is_clone_suspected: bool,
}

impl<'a> Sought<'a> {
    /// By the leave that policy gave.
    pub(super) fn of(leave: &'a Leave<'_>, proof: Proof<'a>, renews: Option<&'a CertificateId>) -> Self {
        match leave {
            Leave::Certify(enrollment) => Self::certified(enrollment, proof, renews),
            Leave::Generate { authorized, .. } => Self::generated(authorized, proof, renews),
        }
    }

    /// By leave to make a key.
    pub(super) fn generated(
        authorized: &'a AuthorizedGeneration<'_>,
        proof: Proof<'a>,
        renews: Option<&'a CertificateId>,
    ) -> Self {
        let (grant, key_type) = (authorized.grant(), authorized.spec().key_type());
        Self { grant, key_type, key: None, proof, renews, is_clone_suspected: false }
    }

    /// By an enrollment whose key is there.
    pub(super) fn certified(
        enrollment: &'a AuthorizedEnrollment,
        proof: Proof<'a>,
        renews: Option<&'a CertificateId>,
    ) -> Self {
        let key = enrollment.key();
        let (grant, key_type) = (enrollment, key.key_type());
        Self { grant, key_type, key: Some(key), proof, renews, is_clone_suspected: false }
    }

    /// The same of a device whose birth certificate may be in another one, too.
    pub(super) fn suspected(self, is_clone_suspected: bool) -> Self {
        Self { is_clone_suspected, ..self }
    }
}

/// Has whoever has a say at the label decide, last of all rules: what would be refused anyway is nothing to ask about. With the
/// claim of the request, where there is one, the same request is asked about by one at a time.
pub(super) fn judge(
    label: &LabelContext,
    sought: &Sought<'_>,
    claim: Option<&ClaimGuard<'_>>,
    attempt: &mut Attempt<'_>,
) -> Result<(), Refusal> {
    let Some(authorizer) = &label.authorizer else { return Ok(()) };
    let asked = lazily(|| format!("leave of {}", authorizer.asks()));
    if attempt.hypothetical {
        let got = lazily(|| format!("{} was not asked", authorizer.asks()));
        attempt.trace.skipped(Rule::AuthorizationWebhook, "asked about requests that come", got);
        return Ok(());
    }
    // Who verifies credentials need not wait for it.
    attempt.coming.turn = None;
    let ask = || authorizer.ask(&question(label, sought, attempt));
    let answer = match claim {
        Some(claim) => claim.while_asking(ask),
        None => ask(),
    };
    match answer.map_err(Fault::from)? {
        Answer::Allowed => {
            attempt.trace.passed(Rule::AuthorizationWebhook, asked, "allowed");
            Ok(())
        }
        Answer::Denied { reason } => {
            // What it says is for operators: of its insides a device learns nothing.
            let said = reason.map_or_else(|| "denied, and no reason".to_owned(), |reason| format!("denied: {reason}"));
            let sentence = "the operator's own system, which is asked at this label, denied the certificate";
            let denied = Rejection::new(RejectionCode::AuthorizationDenied, "RFC 7030 3.7", sentence);
            Err(attempt.trace.refuse(Rule::AuthorizationWebhook, asked, said, denied).into())
        }
    }
}

fn question<'a>(label: &'a LabelContext, sought: &'a Sought<'_>, attempt: &'a Attempt<'_>) -> Question<'a> {
    let Sought { grant, key_type, key, proof, renews, is_clone_suspected } = sought;
    Question {
        at: attempt.at,
        request_id: attempt.request_id,
        source: attempt.peer.source(),
        tenant: &label.tenant,
        label: label.label.as_str(),
        operation: attempt.operation,
        is_renewal: grant.kind() == EnrollmentKind::Renewal,
        device: grant.device(),
        actor: attempt.ra.as_deref(),
        peer: proof.peer(),
        credentials: proof.credentials().iter().map(|identity| identity.credential().as_str()).collect(),
        profile: &label.rules.profile.name,
        subject: grant.subject().to_string(),
        subject_alt_names: grant.subject_alt_names().iter().map(ToString::to_string).collect(),
        key_type: *key_type,
        spki_sha256: key.map(PublicKey::spki_sha256),
        renews: renews.filter(|_| grant.kind() == EnrollmentKind::Renewal).map(|id| id.serial.as_slice()),
        is_clone_suspected: *is_clone_suspected,
    }
}
