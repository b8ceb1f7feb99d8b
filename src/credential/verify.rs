//! From what was presented to who it is.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use subtle::ConstantTimeEq as _;

use super::declared::{self, Credentials, EnrollmentCode};
use super::identity::{CredentialId, HttpIdentity};
use super::jwt;
use super::nonce::Nonces;
use super::place::Place;
use super::scope::DeviceScope;
use super::secret;
use crate::est::{DigestAlgorithm, DigestCredential, EstTarget, Leniency, PresentedCredential, Tolerance, transfer};
use crate::pki::device_identity::DeviceId;
use crate::pki::digest::MacKey;

/// A way to present a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HttpScheme {
    /// RFC 7617.
    Basic,
    /// RFC 7616.
    Digest,
    /// RFC 6750.
    Bearer,
    /// A one-time enrollment code: as password of Basic, or as otpChallenge (RFC 7894) in the request.
    Code,
}

impl HttpScheme {
    /// Every scheme.
    pub const ALL: [Self; 4] = [Self::Basic, Self::Digest, Self::Bearer, Self::Code];

    /// The name used in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Digest => "digest",
            Self::Bearer => "bearer",
            Self::Code => "code",
        }
    }
}

/// What a label takes, in the order in which it asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accepted {
    /// The schemes.
    pub schemes: Vec<HttpScheme>,
    /// The hash functions of Digest.
    pub digest: Vec<DigestAlgorithm>,
}

impl Accepted {
    /// Whether it takes a scheme.
    pub fn takes(&self, scheme: HttpScheme) -> bool {
        self.schemes.contains(&scheme)
    }

    /// Whether anything of this kind is looked at.
    pub fn is_welcome(&self, presented: &PresentedCredential) -> bool {
        match presented {
            PresentedCredential::Basic { .. } => self.takes(HttpScheme::Basic) || self.takes(HttpScheme::Code),
            PresentedCredential::Digest(digest) => {
                self.takes(HttpScheme::Digest) && self.digest.contains(&digest.algorithm)
            }
            PresentedCredential::Bearer(_) => self.takes(HttpScheme::Bearer),
            PresentedCredential::OneTimePassword(_) | PresentedCredential::Witness { .. } => {
                self.takes(HttpScheme::Code)
            }
        }
    }
}

/// Why a credential is not taken. It never says which part is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// No such user, another password, an expired token: all alike.
    #[error("the credential is wrong")]
    Wrong,
    /// Right but for the nonce.
    #[error("the nonce is too old or was used before")]
    Stale,
    /// Made for another request.
    #[error("the Digest credential is for another URI than the request's")]
    Uri,
}

impl Credentials {
    /// Verifies what nobody can guess: codes, API tokens, JWTs. `None` also when it may still be a password.
    pub fn verify_secret(
        &self,
        presented: &PresentedCredential,
        accepted: &Accepted,
        tolerance: Tolerance,
        now: DateTime<Utc>,
    ) -> Option<HttpIdentity> {
        match presented {
            PresentedCredential::Basic { .. }
            | PresentedCredential::OneTimePassword(_)
            | PresentedCredential::Witness { .. }
                if accepted.takes(HttpScheme::Code) =>
            {
                self.verify_code(presented, now)
            }
            PresentedCredential::Bearer(token) if accepted.takes(HttpScheme::Bearer) => {
                self.verify_token(token, now).or_else(|| {
                    // libest sends its tokens in base64.
                    tolerance.judge(Leniency::EncodedBearerToken).ok()?;
                    let decoded = transfer::decode_token68(token)?;
                    self.verify_token(std::str::from_utf8(&decoded).ok()?, now)
                })
            }
            PresentedCredential::Basic { .. }
            | PresentedCredential::OneTimePassword(_)
            | PresentedCredential::Witness { .. }
            | PresentedCredential::Bearer(_)
            | PresentedCredential::Digest(_) => None,
        }
    }

    /// Verifies a password, or what Digest made of it. Whoever does not exist takes as long as whoever does.
    ///
    /// # Errors
    /// When it is not right; see [`CredentialError`].
    pub fn verify_password(
        &self,
        presented: &PresentedCredential,
        accepted: &Accepted,
        tolerance: Tolerance,
        place: Place<'_>,
        nonces: &Nonces,
        now: DateTime<Utc>,
    ) -> Result<HttpIdentity, CredentialError> {
        match presented {
            PresentedCredential::Basic { user, password } if accepted.takes(HttpScheme::Basic) => {
                self.verify_basic(user, password)
            }
            PresentedCredential::Digest(digest) if accepted.is_welcome(presented) => {
                self.verify_digest(digest, tolerance, place, nonces, now)
            }
            PresentedCredential::Basic { .. }
            | PresentedCredential::Digest(_)
            | PresentedCredential::Bearer(_)
            | PresentedCredential::OneTimePassword(_)
            | PresentedCredential::Witness { .. } => Err(CredentialError::Wrong),
        }
    }

    /// RFC 7617. One verification of one cost, whoever is named.
    fn verify_basic(&self, user: &str, password: &str) -> Result<HttpIdentity, CredentialError> {
        let user = self.users.get(user);
        let hash = user.and_then(|user| user.password.as_ref());
        let right = hash.unwrap_or(&self.decoy).verify(password);
        match user {
            Some(user) if right && hash.is_some() => Ok(HttpIdentity::new(user.id(), Arc::clone(&user.devices), None)),
            Some(_) | None => Err(CredentialError::Wrong),
        }
    }

    fn verify_digest(
        &self,
        presented: &DigestCredential,
        tolerance: Tolerance,
        place: Place<'_>,
        nonces: &Nonces,
        now: DateTime<Utc>,
    ) -> Result<HttpIdentity, CredentialError> {
        // RFC 7616 §3.4.6: a credential for another URI is no credential for this one.
        if !is_for(&presented.uri, &presented.target, place.label, tolerance) {
            return Err(CredentialError::Uri);
        }
        let user = self.users.get(&presented.user);
        let ha1 = user.and_then(|user| user.ha1(presented.algorithm));
        let nonce = nonces.check(&presented.nonce, place, now);
        let right = super::digest::verify(presented, ha1.unwrap_or_default()) & (presented.realm == self.realm);
        match (user, nonce) {
            (Some(user), nonce) if right && ha1.is_some() => {
                // RFC 7616 §3.3: stale says that the password was right, so it is said to nobody else.
                let nonce = nonce.map_err(|_| CredentialError::Stale)?;
                nonces.use_up(nonce, presented.nonce_count).map_err(|_| CredentialError::Stale)?;
                Ok(HttpIdentity::new(user.id(), Arc::clone(&user.devices), None))
            }
            (Some(_) | None, _) => Err(CredentialError::Wrong),
        }
    }

    /// A witness does not say of which code it is, so all are tried, each of them to the end.
    fn verify_code(&self, presented: &PresentedCredential, now: DateTime<Utc>) -> Option<HttpIdentity> {
        match code_hash(presented) {
            Some(sha256) => self.code(&sha256)?.verify(presented, now),
            None => self.codes.values().fold(None, |found, code| code.verify(presented, now).or(found)),
        }
    }

    fn verify_token(&self, token: &str, now: DateTime<Utc>) -> Option<HttpIdentity> {
        if jwt::is_jwt(token) {
            let proven = |issuer: &jwt::Issuer| Some((issuer.name().to_owned(), issuer.device(token, now)?));
            let (name, device) = self.issuers.iter().find_map(proven)?;
            return Some(HttpIdentity::new(
                CredentialId::new("issuer", &name),
                Arc::new(DeviceScope::only(device)),
                None,
            ));
        }
        let token = self.token(token).filter(|token| declared::in_time(token.not_after, now))?;
        Some(HttpIdentity::new(token.id(), Arc::clone(&token.devices), None))
    }
}

impl EnrollmentCode {
    /// Who it says that it is, when it is what was presented, and in time.
    pub fn verify(&self, presented: &PresentedCredential, now: DateTime<Utc>) -> Option<HttpIdentity> {
        if !declared::in_time(self.not_after, now) {
            return None;
        }
        let user = match presented {
            PresentedCredential::Basic { user, .. } if self.is(presented) => user.as_str(),
            PresentedCredential::OneTimePassword(_) if self.is(presented) => "",
            // The key of a witness is the hash of the secret (RFC 5272 section 6.2.1), and that is what is known of a code.
            PresentedCredential::Witness { signed, witness }
                if MacKey::new(&self.sha256).tag(&[signed]).as_slice().ct_eq(witness).into() =>
            {
                ""
            }
            PresentedCredential::Basic { .. }
            | PresentedCredential::OneTimePassword(_)
            | PresentedCredential::Witness { .. }
            | PresentedCredential::Bearer(_)
            | PresentedCredential::Digest(_) => return None,
        };
        self.speaking_as(user)
    }

    fn is(&self, presented: &PresentedCredential) -> bool {
        code_hash(presented).is_some_and(|sha256| sha256.ct_eq(&self.sha256).into())
    }

    /// The user name of a code is empty, or the device it is used for.
    pub(super) fn speaking_as(&self, user: &str) -> Option<HttpIdentity> {
        let devices = if user.is_empty() {
            Arc::clone(&self.devices)
        } else {
            let device = DeviceId::parse(user).ok().filter(|device| self.devices.contains(device.as_str()))?;
            Arc::new(DeviceScope::only(device))
        };
        Some(HttpIdentity::new(self.id(), devices, Some(self.uses)))
    }
}

/// The hash that a code is found by, where what was presented says which one it is.
pub fn code_hash(presented: &PresentedCredential) -> Option<[u8; 32]> {
    match presented {
        PresentedCredential::Basic { password, .. } => Some(secret::hash(password)),
        PresentedCredential::OneTimePassword(code) => Some(secret::hash(code)),
        PresentedCredential::Witness { .. } | PresentedCredential::Bearer(_) | PresentedCredential::Digest(_) => None,
    }
}

/// Whether a Digest credential is for the target of the request. libest leaves the label out of it; that the nonce was
/// made for this label keeps it from being used at another.
fn is_for(uri: &str, target: &str, label: &str, tolerance: Tolerance) -> bool {
    let without_label = || {
        let operation = target.strip_prefix(EstTarget::PREFIX)?.strip_prefix(label)?.strip_prefix('/')?;
        uri.strip_prefix(EstTarget::PREFIX).filter(|rest| *rest == operation)
    };
    uri == target || (tolerance.judge(Leniency::DigestUriWithoutLabel).is_ok() && without_label().is_some())
}

#[cfg(test)]
mod tests;
