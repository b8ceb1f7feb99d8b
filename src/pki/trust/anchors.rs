//! A label's trust anchors, explicit and implicit ones kept apart.

use std::collections::HashSet;

use estd_asn1::{Certificate, DecodeError, KeyUsage};
use rustls_pki_types::{CertificateDer, TrustAnchor};

use super::AnchorClass;
use crate::pki::public_key::{KeyPolicy, PublicKey, PublicKeyError};

/// The CAs a label trusts to say who a peer is (RFC 7030 section 1.1).
#[derive(Debug)]
pub struct TrustAnchors {
    explicit: AnchorSet,
    implicit: AnchorSet,
}

/// Anchors of one class; the two vectors run in parallel.
#[derive(Debug)]
pub(super) struct AnchorSet {
    pub(super) certificates: Vec<Certificate>,
    pub(super) anchors: Vec<TrustAnchor<'static>>,
}

/// Why a certificate cannot be a trust anchor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// Versions 1 and 2 cannot say that they are a CA's.
    #[error("{subject}: a trust anchor must be an X.509 version 3 certificate, this one is version {version}")]
    Version {
        /// Whose.
        subject: String,
        /// Its version.
        version: u8,
    },
    /// basicConstraints do not say CA:TRUE (RFC 5280 section 4.2.1.9).
    #[error("{subject}: a trust anchor must have basicConstraints with CA:TRUE")]
    NotCa {
        /// Whose.
        subject: String,
    },
    /// keyUsage lacks keyCertSign (RFC 5280 section 4.2.1.3).
    #[error("{subject}: keyUsage of a trust anchor must have keyCertSign, or be absent")]
    KeyUsage {
        /// Whose.
        subject: String,
    },
    /// An extension does not decode.
    #[error("{subject}: {source}")]
    Malformed {
        /// Whose.
        subject: String,
        /// Why.
        source: DecodeError,
    },
    /// The key is weak.
    #[error("{subject}: {source}")]
    WeakKey {
        /// Whose.
        subject: String,
        /// Why.
        source: PublicKeyError,
    },
    /// Path validation cannot use it.
    #[error("{subject}: the certificate has fields that path validation does not take")]
    Unsupported {
        /// Whose.
        subject: String,
    },
    /// The same key as explicit and as implicit anchor: nobody could tell renewals from births.
    #[error("{subject}: the label's own ca must not be a manufacturer's ca as well")]
    InBothClasses {
        /// Whose.
        subject: String,
    },
}

impl TrustAnchors {
    /// Takes the label's own CA certificates, which need not be self-signed, and those of manufacturers.
    ///
    /// Expiry is not looked at here but on every enrollment.
    ///
    /// # Errors
    /// For the first certificate that cannot be an anchor.
    pub fn new(explicit: Vec<Certificate>, implicit: Vec<Certificate>) -> Result<Self, AnchorError> {
        let explicit_keys: HashSet<&[u8]> = explicit.iter().map(|anchor| anchor.public_key().der()).collect();
        // RFC 7030 §3.3.2, TLS-14: the two databases stay distinct.
        if let Some(both) = implicit.iter().find(|anchor| explicit_keys.contains(anchor.public_key().der())) {
            return Err(AnchorError::InBothClasses { subject: both.subject().to_string() });
        }
        Ok(Self { explicit: AnchorSet::new(explicit)?, implicit: AnchorSet::new(implicit)? })
    }

    /// The label's own CAs.
    pub fn explicit(&self) -> &[Certificate] {
        &self.explicit.certificates
    }

    /// Manufacturers' CAs.
    pub fn implicit(&self) -> &[Certificate] {
        &self.implicit.certificates
    }

    pub(super) fn of(&self, class: AnchorClass) -> &AnchorSet {
        match class {
            AnchorClass::Explicit => &self.explicit,
            AnchorClass::Implicit => &self.implicit,
        }
    }
}

impl AnchorSet {
    fn new(certificates: Vec<Certificate>) -> Result<Self, AnchorError> {
        let anchors = certificates.iter().map(anchor).collect::<Result<_, _>>()?;
        Ok(Self { certificates, anchors })
    }
}

/// webpki takes any certificate for an anchor; what RFC 5280 asks of a CA certificate is asked here.
fn anchor(certificate: &Certificate) -> Result<TrustAnchor<'static>, AnchorError> {
    let subject = || certificate.subject().to_string();
    let malformed = |source| AnchorError::Malformed { subject: subject(), source };
    if certificate.version() != 3 {
        return Err(AnchorError::Version { subject: subject(), version: certificate.version() });
    }
    if !certificate.basic_constraints().map_err(malformed)?.is_some_and(|constraints| constraints.ca) {
        return Err(AnchorError::NotCa { subject: subject() });
    }
    if certificate.key_usage().map_err(malformed)?.is_some_and(|usage| !usage.contains(KeyUsage::KEY_CERT_SIGN)) {
        return Err(AnchorError::KeyUsage { subject: subject() });
    }
    PublicKey::check(certificate.public_key(), &KeyPolicy::any_sound())
        .map_err(|source| AnchorError::WeakKey { subject: subject(), source })?;
    let anchor = webpki::anchor_from_trusted_cert(&CertificateDer::from(certificate.der()))
        .map_err(|_| AnchorError::Unsupported { subject: subject() })?
        .to_owned();
    Ok(anchor)
}
