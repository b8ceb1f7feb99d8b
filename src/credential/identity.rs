//! Who a verified credential says it is.

use std::fmt;
use std::sync::Arc;

use super::scope::DeviceScope;
use crate::pki::device_identity::DeviceId;

/// Names a declared credential within its tenant, as it stands in records and audit events: `user/line-7`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CredentialId(String);

impl CredentialId {
    pub(super) fn new(kind: &'static str, name: &str) -> Self {
        Self(format!("{kind}/{name}"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A credential that was verified, and the devices it speaks for.
///
/// Only verification makes one, an operator's word, and [`assume`](super::Credentials::assume) for an explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpIdentity {
    credential: CredentialId,
    devices: Arc<DeviceScope>,
    max_uses: Option<u32>,
}

impl HttpIdentity {
    pub(super) fn new(credential: CredentialId, devices: Arc<DeviceScope>, max_uses: Option<u32>) -> Self {
        Self { credential, devices, max_uses }
    }

    /// The word of an operator, who may give it, for one device.
    pub fn vouched(operator: &str, device: DeviceId) -> Self {
        Self::new(CredentialId::new("operator", operator), Arc::new(DeviceScope::only(device)), None)
    }

    /// Which credential.
    pub fn credential(&self) -> &CredentialId {
        &self.credential
    }

    /// The device, when the credential is one device's.
    pub fn device(&self) -> Option<&DeviceId> {
        self.devices.device()
    }

    /// Whether it speaks for `device`.
    pub fn speaks_for(&self, device: &str) -> bool {
        self.devices.contains(device)
    }

    /// How many certificates it is good for; `None` when that is not counted.
    pub fn max_uses(&self) -> Option<u32> {
        self.max_uses
    }
}
