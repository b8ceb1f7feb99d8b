//! What a label resolves to.

use std::sync::Arc;

use chrono::TimeDelta;

use super::authorization::Authorizer;
use super::key_generation::KeyGeneration;
use crate::ca::{CertificateAuthority, CmcResponder, Rollover};
use crate::credential::{Accepted, Credentials, GuessLimits};
use crate::est::{Label, Leniency, Rejection, WireRules};
use crate::pki::request::CheckedRequest;
use crate::pki::trust::{PathLimits, TrustAnchors};
use crate::policy::{
    AuthenticationRule, EnrollmentRules, IdentityLinking, RegistrationRules, RenewalRules, UsageLimits,
};
use estd_asn1::pkcs10::RequestLimits;

/// A label with everything an enrollment at it needs.
pub struct LabelContext {
    /// The tenant that owns it.
    pub tenant: String,
    /// Its name.
    pub label: Label,
    /// Who signs.
    pub authority: Arc<CertificateAuthority>,
    /// The way to its successor, while it is on it.
    pub rollover: Option<Arc<Rollover>>,
    /// Who may enroll for what.
    pub rules: EnrollmentRules,
    /// Explicit and implicit trust anchors (RFC 7030 section 3.3.2), kept apart.
    pub anchors: Arc<TrustAnchors>,
    /// Which devices are let in.
    pub registration: RegistrationRules,
    /// Whether and how requesters authenticate over HTTP.
    pub authentication: Authentication,
    /// Bounds and windows.
    pub requests: RequestRules,
    /// When its certificates are to be renewed.
    pub renewal: RenewalRules,
    /// How much it and its tenant may ask for.
    pub limits: UsageLimits,
    /// How it speaks with its clients.
    pub wire: WireRules,
    /// How it makes keys; `None`: it makes none.
    pub key_generation: Option<KeyGeneration>,
    /// Who answers Full PKI Requests; `None`: they are not taken.
    pub cmc_responder: Option<Arc<CmcResponder>>,
    /// Who else has a say; `None`: nobody.
    pub authorizer: Option<Arc<dyn Authorizer>>,
}

impl LabelContext {
    /// The authorities whose certificates it knows: the one that signs, and during a rollover the other one as well.
    pub fn authorities(&self) -> impl Iterator<Item = &Arc<CertificateAuthority>> {
        std::iter::once(&self.authority).chain(self.rollover.iter().flat_map(|rollover| rollover.authorities()))
    }

    /// Takes what a request has that no standard allows, where the label does.
    pub(super) fn tolerate(&self, request: &CheckedRequest) -> Result<(), Rejection> {
        let tolerance = self.wire.tolerance;
        request.leniencies().iter().try_for_each(|used| tolerance.judge(*used))?;
        // Where nothing is linked, challengePassword is any text.
        let linked = self.rules.identity_linking != IdentityLinking::Off;
        let values = [request.challenge_password(), request.est_identity_linking()];
        if linked && values.into_iter().flatten().any(|value| value.contains(char::is_whitespace)) {
            tolerance.judge(Leniency::WrappedChallenge)?;
        }
        Ok(())
    }
}

/// What a label demands as proof of identity, and what it holds credentials against.
#[derive(Debug, Clone)]
pub struct Authentication {
    /// What is demanded.
    pub rule: AuthenticationRule,
    /// The ways to present a credential that it takes.
    pub accepted: Accepted,
    /// The tenant's credentials.
    pub credentials: Arc<Credentials>,
    /// When guessing ends.
    pub guesses: GuessLimits,
}

impl Default for Authentication {
    /// By certificate alone.
    fn default() -> Self {
        Self {
            rule: AuthenticationRule::default(),
            accepted: Accepted::default(),
            credentials: Arc::new(Credentials::none()),
            guesses: GuessLimits::default(),
        }
    }
}

/// Bounds on what is read, and how long an answer may be asked for again.
#[derive(Debug, Clone)]
pub struct RequestRules {
    /// Bounds on a PKCS#10.
    pub limits: RequestLimits,
    /// Bounds on a presented chain.
    pub path: PathLimits,
    /// The same request within this time gets the same certificate.
    pub repeat_window: TimeDelta,
}
