//! A peer whose certificate leads to a trust anchor of the label.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use estd_asn1::{Certificate, GeneralName, Validity};

use super::{AnchorClass, PathMember, TrustError};

/// A peer that proved possession of its key in the handshake, and whose certificate leads to an anchor of the label.
///
/// Only `TrustAnchors::authenticate` makes one. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AuthenticatedPeer(Arc<Peer>);

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) class: AnchorClass,
    pub(super) certificate: Certificate,
    pub(super) fingerprint: [u8; 32],
    pub(super) subject_alt_names: Vec<GeneralName>,
    /// From the one that signed the peer's certificate up to the one the anchor signed; may be empty.
    pub(super) intermediates: Vec<Certificate>,
    pub(super) anchor: Certificate,
    pub(super) issuer_spki_sha256: [u8; 32],
}

/// Where in its life a peer's certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Within its validity.
    Current,
    /// After its end, but not longer than the grace.
    ExpiredWithinGrace,
}

impl AuthenticatedPeer {
    pub(super) fn new(peer: Peer) -> Self {
        Self(Arc::new(peer))
    }

    /// Which anchors vouch for the peer.
    pub fn class(&self) -> AnchorClass {
        self.0.class
    }

    /// The peer's own certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.0.certificate
    }

    /// SHA-256 of the peer's own certificate.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.0.fingerprint
    }

    /// The entries of its subjectAltName; empty when it has none.
    pub fn subject_alt_names(&self) -> &[GeneralName] {
        &self.0.subject_alt_names
    }

    /// The anchor at the end of the path.
    pub fn anchor(&self) -> &Certificate {
        &self.0.anchor
    }

    /// SHA-256 of the SubjectPublicKeyInfo of the certificate that signed the peer's: with the serial number it names
    /// the peer's certificate.
    pub fn issuer_spki_sha256(&self) -> [u8; 32] {
        self.0.issuer_spki_sha256
    }

    /// Judges the validity in time of the whole path. `grace` is how long after its end the peer's own certificate, and
    /// nothing else on the path, still counts.
    ///
    /// # Errors
    /// [`TrustError::NotYetValid`] or [`TrustError::Expired`], with the certificate that is out of its time.
    pub fn check_time(&self, now: DateTime<Utc>, grace: TimeDelta) -> Result<Freshness, TrustError> {
        let Peer { certificate, intermediates, anchor, .. } = self.0.as_ref();
        // RFC 5280 §6.1 leaves the anchor's own validity to the application; an expired CA vouches for nobody.
        in_time(anchor.validity(), PathMember::Anchor, now, TimeDelta::zero())?;
        for intermediate in intermediates {
            in_time(intermediate.validity(), PathMember::Intermediate, now, TimeDelta::zero())?;
        }
        in_time(certificate.validity(), PathMember::Leaf, now, grace)
    }
}

fn in_time(
    validity: Validity,
    member: PathMember,
    now: DateTime<Utc>,
    grace: TimeDelta,
) -> Result<Freshness, TrustError> {
    let Validity { not_before, not_after } = validity;
    // RFC 5280 §4.1.2.5: notBefore through notAfter, inclusive; certificates count in whole seconds.
    let now = now.timestamp();
    if now < not_before.timestamp() {
        Err(TrustError::NotYetValid { member, not_before })
    } else if now <= not_after.timestamp() {
        Ok(Freshness::Current)
    } else if now <= not_after.timestamp().saturating_add(grace.num_seconds()) {
        Ok(Freshness::ExpiredWithinGrace)
    } else {
        Err(TrustError::Expired { member, not_after })
    }
}
