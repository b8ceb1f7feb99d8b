//! Who asks: by certificate, by HTTP authentication, or by both, as the label demands.

use std::fmt;

use super::attempt::Attempt;
use super::label::LabelContext;
use super::peer_session::PeerSession;
use super::refusal::{Fault, Refusal};
use super::{RegistrationAuthority, refusal};
use crate::credential::{
    AssumedCredential, AssumedError, Challenge, CredentialError, HttpIdentity, HttpScheme, LockedOut, Place,
};
use crate::est::trace::lazily;
use crate::est::{PresentedCredential, Rejection, RejectionCode, Rule, Trace};
use crate::pki::request::CheckedRequest;
use crate::pki::revocation::RevocationReason;
use crate::pki::trust::{AnchorClass, AuthenticatedPeer, TrustError};
use crate::policy::{AuthenticationRule, Proof};
use crate::store::{CertificateId, CertificateStatus, Revocation};
use chrono::{DateTime, TimeDelta, Utc};
use estd_asn1::Certificate;
use zeroize::Zeroizing;

/// What a requester has shown so far, each of it verified.
#[derive(Default)]
pub(super) struct Shown {
    peer: Option<AuthenticatedPeer>,
    /// The device the store knows the peer's certificate to belong to.
    pub(super) recorded_device: Option<String>,
    /// Why there is no peer, where a credential may stand in.
    refused: Option<Rejection>,
    credentials: Vec<HttpIdentity>,
    /// An operator's word stands in the place of what the label demands.
    vouched: bool,
}

impl Shown {
    /// Nothing but an operator's word.
    pub(super) fn vouched(word: HttpIdentity) -> Self {
        Self { credentials: vec![word], vouched: true, ..Self::default() }
    }

    /// What it proves, if that is enough.
    pub(super) fn proof(&self, rule: AuthenticationRule) -> Result<Proof<'_>, Rejection> {
        let rule = if self.vouched { AuthenticationRule::Http } else { rule };
        rule.satisfied(self.peer.as_ref(), &self.credentials).ok_or_else(|| self.missing())
    }

    fn missing(&self) -> Rejection {
        let reason = match &self.refused {
            Some(refused) => format!("{}; a credential would do instead, none came", refused.reason()),
            None => "a credential is expected in the Authorization field, none came".to_owned(),
        };
        // RFC 7030 §3.2.3, RFC 9110 §15.5.2
        Rejection::new(RejectionCode::AuthRequired, "RFC 7030 3.2.3", reason)
    }

    pub(super) fn add(&mut self, identity: HttpIdentity) -> Result<(), Rejection> {
        if self.credentials.iter().any(|known| known.credential() == identity.credential()) {
            return Ok(());
        }
        if identity.max_uses().is_some() && self.credentials.iter().any(|known| known.max_uses().is_some()) {
            let reason = "one enrollment code is expected, two came";
            return Err(Rejection::new(RejectionCode::AuthFailed, "RFC 7894 3.1", reason));
        }
        self.credentials.push(identity);
        Ok(())
    }
}

/// What it is, for people to read.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificate = self.peer.as_ref().map(|peer| match peer.class() {
            AnchorClass::Explicit => "a certificate of this ca",
            AnchorClass::Implicit => "a birth certificate",
        });
        let credentials = self.credentials.iter().map(|identity| identity.credential().as_str());
        let shown: Vec<_> = certificate.into_iter().chain(credentials).collect();
        f.write_str(&if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") })
    }
}

impl RegistrationAuthority {
    /// The refusal of a request that came without Authorization, where that is known before its body is read.
    pub fn missing_credential(&self, label: &LabelContext, session: &PeerSession) -> Option<Rejection> {
        let (now, mut trace) = (self.ports.clock.now(), Trace::default());
        match label.authentication.rule {
            AuthenticationRule::Certificate => None,
            AuthenticationRule::Http => Some(Shown::default().missing()),
            AuthenticationRule::CertificateOrHttp => match self.certificate_peer(label, session, now, &mut trace) {
                Err(Refusal::Rejected(refused)) if may_stand_in(&refused) => {
                    Some(Shown { refused: Some(refused), ..Shown::default() }.missing())
                }
                Ok(_) | Err(_) => None,
            },
            AuthenticationRule::CertificateAndHttp => match self.certificate_peer(label, session, now, &mut trace) {
                Ok(_) => Some(Shown::default().missing()),
                Err(_) => None,
            },
        }
    }

    /// What is answered to a refusal that a credential would avert; empty for all others.
    pub fn challenges(&self, label: &LabelContext, refused: RejectionCode) -> Vec<Challenge> {
        let stale = refused == RejectionCode::NonceStale;
        if !stale && !matches!(refused, RejectionCode::AuthRequired | RejectionCode::AuthFailed) {
            return Vec::new();
        }
        let accepted = &label.authentication.accepted;
        let realm = || label.authentication.credentials.realm().to_owned();
        let mut challenges = Vec::new();
        for scheme in &accepted.schemes {
            match scheme {
                // A code comes as the password of Basic.
                HttpScheme::Basic | HttpScheme::Code => challenges.push(Challenge::Basic { realm: realm() }),
                HttpScheme::Digest => challenges.extend(accepted.digest.iter().map(|&algorithm| {
                    let nonce = self.ports.gate.nonces.make(place(label), self.ports.clock.now());
                    Challenge::Digest { realm: realm(), algorithm, nonce, stale }
                })),
                HttpScheme::Bearer => challenges.push(Challenge::Bearer { realm: realm() }),
            }
        }
        let mut first = None;
        challenges.retain(|challenge| {
            let double = matches!(challenge, Challenge::Basic { .. }) && first.replace(()).is_some();
            !double
        });
        challenges
    }

    /// What connection and head of a request show. A certificate comes first: where it is enough, no password is verified.
    pub(super) fn shown(
        &self,
        label: &LabelContext,
        credential: Option<Offered<'_>>,
        session: &PeerSession,
        attempt: &mut Attempt<'_>,
    ) -> Result<Shown, Refusal> {
        let rule = label.authentication.rule;
        let mut shown = Shown::default();
        if rule.takes_certificates() {
            match self.certificate_peer(label, session, attempt.at, &mut attempt.trace) {
                Ok((peer, device)) => {
                    attempt.device.clone_from(&device);
                    shown = Shown { peer: Some(peer), recorded_device: device, ..Shown::default() };
                }
                Err(Refusal::Rejected(refused))
                    if rule == AuthenticationRule::CertificateOrHttp && may_stand_in(&refused) =>
                {
                    attempt.trace.excuse();
                    shown.refused = Some(refused);
                }
                Err(refusal) => return Err(refusal),
            }
        }
        let enough = rule == AuthenticationRule::Certificate
            || (rule == AuthenticationRule::CertificateOrHttp && shown.peer.is_some());
        match credential {
            Some(_) if enough => {
                attempt.trace.skipped(Rule::HttpCredential, "the certificate is enough at this label", "a credential");
            }
            Some(Offered::Presented(presented)) => {
                let identity = self.http_identity(label, session, presented, attempt);
                shown.add(told(Rule::HttpCredential, identity, label, attempt)?)?;
            }
            Some(Offered::Assumed(assumed)) => {
                let identity = self.assumed_identity(label, assumed, attempt);
                shown.add(told(Rule::HttpCredential, identity, label, attempt)?)?;
            }
            None if !enough && !label.authentication.accepted.takes(HttpScheme::Code) => {
                let missing = shown.missing();
                let expected = expected_credential(label);
                return Err(attempt.trace.refuse(Rule::HttpCredential, expected, "none", missing).into());
            }
            None => {}
        }
        Ok(shown)
    }

    /// RFC 7894 §4: an otpChallenge that is present is judged, whatever else was shown; where codes are taken.
    pub(super) fn show_code(
        &self,
        label: &LabelContext,
        request: &CheckedRequest,
        session: &PeerSession,
        attempt: &mut Attempt<'_>,
        shown: &mut Shown,
    ) -> Result<(), Refusal> {
        let authentication = &label.authentication;
        if !authentication.rule.takes_http() || !authentication.accepted.takes(HttpScheme::Code) {
            return Ok(());
        }
        let code = request.otp_challenge().map_err(refusal::request_rejection).map_err(|refused| {
            attempt.trace.refuse(Rule::EnrollmentCode, "a text of 1 to 255 characters", "another value", refused)
        });
        if let Some(code) = code? {
            let presented = PresentedCredential::OneTimePassword(Zeroizing::new(code));
            let identity = self.http_identity(label, session, &presented, attempt);
            shown.add(told(Rule::EnrollmentCode, identity, label, attempt)?)?;
        }
        Ok(())
    }

    /// The peer by its certificate, with the device it is on record for.
    fn certificate_peer(
        &self,
        label: &LabelContext,
        session: &PeerSession,
        now: DateTime<Utc>,
        trace: &mut Trace,
    ) -> Result<(AuthenticatedPeer, Option<String>), Refusal> {
        let expected = "a certificate that leads to an anchor of the label";
        let peer = self.path(label, session, now);
        let peer = trace.judged(Rule::CertificatePath, expected, presented_certificate(session), peer)?;
        let validity = peer.certificate().validity();
        let period = lazily(|| format!("{} to {}", stamp(validity.not_before), stamp(validity.not_after)));
        let in_time = check_time(label, &peer, now);
        trace.judged(Rule::CertificateValidity, lazily(|| format!("valid at {}", stamp(now))), period, in_time)?;
        let device = self.device_on_record(label, &peer);
        let got = match &device {
            Ok(Some(device)) => format!("of the device {device}, not revoked"),
            Ok(None) => "not on record".to_owned(),
            Err(_) => "on record as another".to_owned(),
        };
        let device = trace.judged(Rule::CertificateStanding, "not revoked, of this label", got, device)?;
        Ok((peer, device))
    }

    /// Who the peer is, at this label and now.
    pub(super) fn authenticate(
        &self,
        label: &LabelContext,
        session: &PeerSession,
        now: DateTime<Utc>,
    ) -> Result<AuthenticatedPeer, Rejection> {
        let peer = self.path(label, session, now)?;
        check_time(label, &peer, now)?;
        Ok(peer)
    }

    /// Who the peer is, whether it is in time or not.
    fn path(
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
        outcome.map_err(|error| self.trust_rejection(label, session, &error))
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
            // RFC 7030 §3.7: RAs are certified at a label of their own.
            CertificateStatus::Good { tenant, device, .. }
                if tenant == label.tenant && label.rules.is_ra_client(peer, Some(&device)) =>
            {
                Ok(Some(device))
            }
            CertificateStatus::Good { tenant, label: issued_at, .. }
                if tenant != label.tenant || issued_at != label.label.as_str() =>
            {
                let reason = "the presented certificate was issued at another label; renew it there";
                Err(Rejection::new(RejectionCode::CrossTenant, "RFC 7030 4.2.2", reason).into())
            }
            CertificateStatus::Good { device, .. } => Ok(Some(device)),
        }
    }

    /// A declared credential, as if its owner had presented it.
    fn assumed_identity(
        &self,
        label: &LabelContext,
        assumed: &AssumedCredential,
        attempt: &mut Attempt<'_>,
    ) -> Result<HttpIdentity, Refusal> {
        let authentication = &label.authentication;
        attempt.credential = Some(assumed.id.clone());
        if let Some(user) = assumed.user() {
            self.ports.gate.guesses.admit_user(place(label), user, attempt.at).map_err(locked_out)?;
        }
        let declared = authentication.credentials.assume(assumed, &authentication.accepted, attempt.at);
        let identity = match declared {
            Err(AssumedError::Unknown) => self.assumed_code(label, assumed, attempt.at)?,
            declared => declared,
        };
        let refused =
            |error: AssumedError| Rejection::new(RejectionCode::AuthFailed, "RFC 9110 15.5.2", error.to_string());
        Ok(identity.map_err(refused)?)
    }

    /// Verifies a credential. Codes, tokens and JWTs come first, so that nobody's wrong guesses at a password stand in
    /// their way. As many guesses may run past a limit as are verified at once.
    pub(super) fn http_identity(
        &self,
        label: &LabelContext,
        session: &PeerSession,
        presented: &PresentedCredential,
        attempt: &mut Attempt<'_>,
    ) -> Result<HttpIdentity, Refusal> {
        let authentication = &label.authentication;
        let (accepted, credentials) = (&authentication.accepted, &authentication.credentials);
        let (gate, place, now, tolerance) = (&self.ports.gate, place(label), attempt.at, label.wire.tolerance);
        if !accepted.is_welcome(presented) {
            let reason = format!("{} credentials are not taken here, see WWW-Authenticate", presented.scheme());
            return Err(Rejection::new(RejectionCode::AuthFailed, "RFC 9110 11.6.2", reason).into());
        }
        let address = session.network();
        if !attempt.hypothetical {
            gate.guesses.admit_address(address, now).map_err(locked_out)?;
        }
        let declared = credentials.verify_secret(presented, accepted, tolerance, now);
        let identity = match declared {
            Some(identity) => Some(identity),
            None => self.stored_code(label, presented, now)?,
        };
        if let Some(identity) = identity {
            attempt.credential = Some(identity.credential().to_string());
            return Ok(identity);
        }
        let user = presented.user();
        // An event tells which of the declared users was tried; what else was sent may be anything, even a password.
        attempt.credential = user.and_then(|user| credentials.user_id(user)).map(|id| id.to_string());
        if let Some(user) = user {
            gate.guesses.admit_user(place, user, now).map_err(locked_out)?;
        }
        match credentials.verify_password(presented, accepted, tolerance, place, &gate.nonces, now) {
            Ok(identity) => {
                gate.guesses.succeeded(place, user.unwrap_or_default());
                Ok(identity)
            }
            Err(error @ CredentialError::Wrong) => {
                let of_user = user.map(|user| (place, user));
                // What is asked about by an operator is nobody's guess.
                if !attempt.hypothetical {
                    gate.guesses.failed(address, of_user, &authentication.guesses, now).map_err(locked_out)?;
                }
                Err(Rejection::new(RejectionCode::AuthFailed, "RFC 9110 15.5.2", error.to_string()).into())
            }
            Err(error @ CredentialError::Stale) => {
                Err(Rejection::new(RejectionCode::NonceStale, "RFC 7616 3.3", error.to_string()).into())
            }
            Err(error @ CredentialError::Uri) => {
                Err(Rejection::new(RejectionCode::BadRequest, "RFC 7616 3.4.6", error.to_string()).into())
            }
        }
    }
}

/// What stands in the place of a password, a token or a code.
pub(super) enum Offered<'a> {
    /// What the Authorization field says.
    Presented(&'a PresentedCredential),
    /// A declared credential that is taken as verified: for an explanation.
    Assumed(&'a AssumedCredential),
}

/// Takes down which credential it was, or that it was wrong; what was sent may be anything, even a password.
pub(super) fn told(
    rule: Rule,
    identity: Result<HttpIdentity, Refusal>,
    label: &LabelContext,
    attempt: &mut Attempt<'_>,
) -> Result<HttpIdentity, Refusal> {
    let got = match (&identity, &attempt.credential) {
        (Ok(identity), _) => identity.credential().to_string(),
        (Err(_), Some(tried)) => format!("{tried}, not taken"),
        (Err(_), None) => "one that is not taken".to_owned(),
    };
    attempt.trace.judged(rule, expected_credential(label), got, identity)
}

fn expected_credential(label: &LabelContext) -> String {
    let schemes: Vec<_> = label.authentication.accepted.schemes.iter().map(|scheme| scheme.as_str()).collect();
    format!("a credential of the tenant by {}", schemes.join(", "))
}

/// Only a certificate of this CA renews itself after its end; a birth certificate has no grace.
fn check_time(label: &LabelContext, peer: &AuthenticatedPeer, now: DateTime<Utc>) -> Result<(), Rejection> {
    let grace = match peer.class() {
        AnchorClass::Explicit => label.rules.renewal_grace,
        AnchorClass::Implicit => TimeDelta::zero(),
    };
    peer.check_time(now, grace).map(|_| ()).map_err(|error| refusal::trust_rejection(&error))
}

fn presented_certificate(session: &PeerSession) -> impl fmt::Display {
    lazily(|| {
        let Some(chain) = session.presented() else { return "none".to_owned() };
        match Certificate::decode(chain.leaf()) {
            Ok(leaf) => format!("{}, issued by {}", leaf.subject(), leaf.issuer()),
            Err(_) => "what is no certificate".to_owned(),
        }
    })
}

fn stamp(time: DateTime<Utc>) -> impl fmt::Display {
    time.format("%Y-%m-%dT%H:%M:%SZ")
}

pub(super) fn peer_id(peer: &AuthenticatedPeer) -> CertificateId {
    CertificateId { issuer: peer.issuer_spki_sha256(), serial: peer.certificate().serial().to_vec() }
}

pub(super) fn revoked(which: &str, revocation: &Revocation) -> Rejection {
    let since = revocation.at.format("%Y-%m-%dT%H:%M:%SZ");
    let on_hold = RevocationReason::from_code(revocation.reason).is_some_and(RevocationReason::is_hold);
    let became = if on_hold { "put on hold" } else { "revoked" };
    Rejection::new(RejectionCode::Revoked, "RFC 7030 3.3.2", format!("{which} was {became} at {since}"))
}

fn place(label: &LabelContext) -> Place<'_> {
    Place { tenant: &label.tenant, label: label.label.as_str() }
}

/// Whether HTTP authentication may stand in for a certificate that was refused so: what was revoked does not come back
/// by another door.
fn may_stand_in(refused: &Rejection) -> bool {
    refused.code() != RejectionCode::Revoked
}

fn locked_out(locked: LockedOut) -> Rejection {
    let reason = format!("too many wrong credentials came, none is looked at for {} s", locked.seconds);
    // RFC 6585 §4
    Rejection::new(RejectionCode::LockedOut, "RFC 6585 4", reason).with_retry_after(locked.seconds)
}
