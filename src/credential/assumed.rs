//! A declared credential taken as presented and verified, to tell what would come of it; nothing is issued for it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::declared::{Credentials, EnrollmentCode, in_time};
use super::identity::{CredentialId, HttpIdentity};
use super::scope::DeviceScope;
use super::verify::{Accepted, HttpScheme};
use crate::pki::device_identity::DeviceId;

/// Which credential is taken as presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumedCredential {
    /// As events name it: `user/NAME`, `token/NAME`, `issuer/NAME` or `code/HASH`.
    pub id: String,
    /// The device that it was made out to: of a JWT always, of a code where its user name says so.
    pub device: Option<DeviceId>,
}

/// Why the credential would not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssumedError {
    /// There is none.
    #[error("the tenant has no such credential: expected user/, token/, issuer/ or code/ and what events name it by")]
    Unknown,
    /// Its time is over.
    #[error("the credential has expired")]
    Expired,
    /// There is no way to present it.
    #[error("the label takes no credential that is presented so, see http_schemes")]
    Scheme,
    /// A JWT is one device's.
    #[error("a JWT says which device bears it: name the device")]
    DeviceMissing,
    /// It speaks for others.
    #[error("the credential does not speak for this device")]
    DeviceForeign,
}

impl AssumedCredential {
    /// The name of the user, when it is a user's.
    pub fn user(&self) -> Option<&str> {
        self.id.strip_prefix("user/")
    }
}

impl Credentials {
    /// Whom a credential would speak for, were it presented now where `accepted` is taken.
    ///
    /// # Errors
    /// When it would not be taken; see [`AssumedError`].
    pub fn assume(
        &self,
        assumed: &AssumedCredential,
        accepted: &Accepted,
        now: DateTime<Utc>,
    ) -> Result<HttpIdentity, AssumedError> {
        let (kind, name) = assumed.id.split_once('/').ok_or(AssumedError::Unknown)?;
        let takes = |scheme| accepted.takes(scheme).then_some(()).ok_or(AssumedError::Scheme);
        match kind {
            "user" => {
                let user = self.users.get(name).ok_or(AssumedError::Unknown)?;
                let basic = accepted.takes(HttpScheme::Basic) && user.password.is_some();
                let digest = accepted.takes(HttpScheme::Digest)
                    && accepted.digest.iter().any(|algorithm| user.ha1(*algorithm).is_some());
                (basic || digest).then_some(()).ok_or(AssumedError::Scheme)?;
                Ok(HttpIdentity::new(user.id(), Arc::clone(&user.devices), None))
            }
            "token" => {
                takes(HttpScheme::Bearer)?;
                let token = self.tokens.values().find(|token| token.name == name).ok_or(AssumedError::Unknown)?;
                in_time(token.not_after, now).then_some(()).ok_or(AssumedError::Expired)?;
                Ok(HttpIdentity::new(token.id(), Arc::clone(&token.devices), None))
            }
            "issuer" => {
                takes(HttpScheme::Bearer)?;
                let issuer = self.issuers.iter().find(|issuer| issuer.name() == name).ok_or(AssumedError::Unknown)?;
                let device = assumed.device.clone().ok_or(AssumedError::DeviceMissing)?;
                issuer.speaks_for(&device).then_some(()).ok_or(AssumedError::DeviceForeign)?;
                let devices = Arc::new(DeviceScope::only(device));
                Ok(HttpIdentity::new(CredentialId::new("issuer", name), devices, None))
            }
            "code" => {
                takes(HttpScheme::Code)?;
                let code = self.codes.values().find(|code| code.id().as_str() == assumed.id);
                code.ok_or(AssumedError::Unknown)?.assume(assumed, now)
            }
            _ => Err(AssumedError::Unknown),
        }
    }
}

impl EnrollmentCode {
    /// Whom the code would speak for, were it presented now.
    ///
    /// # Errors
    /// When it has expired, or is not for the device.
    pub fn assume(&self, assumed: &AssumedCredential, now: DateTime<Utc>) -> Result<HttpIdentity, AssumedError> {
        in_time(self.not_after, now).then_some(()).ok_or(AssumedError::Expired)?;
        let user = assumed.device.as_ref().map_or("", DeviceId::as_str);
        self.speaking_as(user).ok_or(AssumedError::DeviceForeign)
    }
}
