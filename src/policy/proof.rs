//! What was proven of a requester, and whether a label is content with it (RFC 7030 section 3.2.3).

use super::EnrollmentRules;
use crate::credential::{CredentialId, HttpIdentity};
use crate::est::{Rejection, RejectionCode, Rule, Trace};
use crate::pki::device_identity::{DeviceId, IdentityError};
use crate::pki::request::CheckedRequest;
use crate::pki::trust::{AnchorClass, AuthenticatedPeer};
use estd_asn1::oid;

/// What a label demands as proof of identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthenticationRule {
    /// A certificate; HTTP authentication is not looked at.
    #[default]
    Certificate,
    /// HTTP authentication; a certificate is not looked at.
    Http,
    /// A certificate, or else HTTP authentication.
    CertificateOrHttp,
    /// Both, and they must speak for the same device.
    CertificateAndHttp,
}

impl AuthenticationRule {
    /// Every rule.
    pub const ALL: [Self; 4] = [Self::Certificate, Self::Http, Self::CertificateOrHttp, Self::CertificateAndHttp];

    /// The name used in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Http => "http",
            Self::CertificateOrHttp => "certificate-or-http",
            Self::CertificateAndHttp => "certificate-and-http",
        }
    }

    /// Whether certificates are looked at.
    pub const fn takes_certificates(self) -> bool {
        match self {
            Self::Certificate | Self::CertificateOrHttp | Self::CertificateAndHttp => true,
            Self::Http => false,
        }
    }

    /// Whether HTTP authentication is looked at.
    pub const fn takes_http(self) -> bool {
        match self {
            Self::Http | Self::CertificateOrHttp | Self::CertificateAndHttp => true,
            Self::Certificate => false,
        }
    }

    /// What was proven, when it is enough; the only way to a [`Proof`].
    pub fn satisfied<'a>(
        self,
        peer: Option<&'a AuthenticatedPeer>,
        credentials: &'a [HttpIdentity],
    ) -> Option<Proof<'a>> {
        let (peer, credentials) = match self {
            Self::Certificate => (Some(peer?), [].as_slice()),
            Self::Http => (None, credentials),
            Self::CertificateOrHttp => (peer, credentials),
            Self::CertificateAndHttp if credentials.is_empty() => return None,
            Self::CertificateAndHttp => (Some(peer?), credentials),
        };
        (peer.is_some() || !credentials.is_empty()).then_some(Proof { peer, credentials })
    }
}

/// A requester who proved what the label demands. Everything that was proven must speak for one device.
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    peer: Option<&'a AuthenticatedPeer>,
    credentials: &'a [HttpIdentity],
}

impl<'a> Proof<'a> {
    /// The holder of the presented certificate. Its validity in time, revocation and label were judged before.
    pub fn peer(&self) -> Option<&'a AuthenticatedPeer> {
        self.peer
    }

    /// The credentials that count here.
    pub fn credentials(&self) -> &'a [HttpIdentity] {
        self.credentials
    }

    /// The credential that is good for so many certificates, if one of them is, and for how many.
    pub fn counted(&self) -> Option<(&'a CredentialId, u32)> {
        self.credentials.iter().find_map(|identity| Some((identity.credential(), identity.max_uses()?)))
    }

    /// The credential that goes on record: the one that is counted, or else the first.
    pub fn credential(&self) -> Option<&'a CredentialId> {
        let first = self.credentials.first().map(HttpIdentity::credential);
        self.counted().map(|(credential, _)| credential).or(first)
    }

    /// The device of a requester without certificate: the credential's own, or, when that speaks for several, the one of
    /// them that the request's subject names, by serialNumber or else by commonName.
    ///
    /// # Errors
    /// When the request names none, or one that the credential does not speak for.
    pub fn device(&self, request: &CheckedRequest) -> Result<DeviceId, Rejection> {
        let own = self.credentials.iter().find_map(HttpIdentity::device);
        let device = match own {
            Some(device) => device.clone(),
            None => named_device(request)?,
        };
        self.agree_on(device.as_str())?;
        Ok(device)
    }

    /// The device, as far as what was proven says it, whatever the request names.
    pub fn proven_device(&self, rules: &EnrollmentRules) -> Option<DeviceId> {
        match self.peer {
            Some(peer) => match peer.class() {
                AnchorClass::Implicit => rules.identity.device_id(peer.certificate()).ok(),
                AnchorClass::Explicit => super::unrecorded_device(peer).ok(),
            },
            None => self.credentials.iter().find_map(HttpIdentity::device).cloned(),
        }
    }

    /// [`Self::agree_on`], where there is something to agree.
    pub(super) fn judge_scope(&self, device: &str, trace: &mut Trace) -> Result<(), Rejection> {
        if self.credentials.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = self.credentials.iter().map(|identity| identity.credential().as_str()).collect();
        let expected = format_args!("a device that {} speaks for", names.join(" and "));
        trace.judged(Rule::CredentialScope, expected, device, self.agree_on(device))
    }

    /// Refuses a device that one of the credentials does not speak for.
    fn agree_on(&self, device: &str) -> Result<(), Rejection> {
        match self.credentials.iter().find(|credential| !credential.speaks_for(device)) {
            None => Ok(()),
            Some(_) => {
                let reason = format!("the credential does not speak for device {device:?}");
                Err(Rejection::new(RejectionCode::IdentityMismatch, "RFC 7030 3.7", reason))
            }
        }
    }
}

/// The device that a request's subject names, by serialNumber or else by commonName.
pub(super) fn named_device(request: &CheckedRequest) -> Result<DeviceId, Rejection> {
    let missing = |reason: String| Rejection::new(RejectionCode::IdentityMissing, "RFC 7030 4.2", reason);
    for attribute in [oid::AT_SERIAL_NUMBER, oid::AT_COMMON_NAME] {
        let mut values = request.subject().rdns().iter().flatten().filter(|candidate| candidate.oid == attribute);
        let Some(value) = values.next() else { continue };
        let text = value.text().filter(|_| values.next().is_none());
        let text = text.ok_or_else(|| missing("the request's subject names more than one device".to_owned()))?;
        return DeviceId::parse(text).map_err(|error: IdentityError| missing(error.to_string()));
    }
    let reason = "whoever asks speaks for several devices: expected serialNumber or commonName in the request's subject to \
                  say which, found neither";
    Err(missing(reason.to_owned()))
}
