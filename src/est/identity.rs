//! What a peer proved in the TLS handshake, before anybody decided whether to trust it.

use std::sync::Arc;

/// A certificate chain whose leaf key the peer was seen to hold (TLS CertificateVerify checked), leaf first, DER.
///
/// Nothing is known of its validity or issuer: that is decided for each label in [`crate::pki::trust`].
#[derive(Debug, Clone)]
pub struct PresentedChain {
    certificates: Arc<[Vec<u8>]>,
}

impl PresentedChain {
    /// A chain after a completed handshake that verified possession of the leaf's key; `None` when it is empty.
    pub fn possession_proven(certificates: Vec<Vec<u8>>) -> Option<Self> {
        (!certificates.is_empty()).then(|| Self { certificates: certificates.into() })
    }

    /// The end-entity certificate.
    pub fn leaf(&self) -> &[u8] {
        // Unwrap safety: the constructor refuses an empty chain.
        &self.certificates[0]
    }

    /// The rest of what was sent, in the order it was sent.
    pub fn intermediates(&self) -> &[Vec<u8>] {
        &self.certificates[1..]
    }
}
