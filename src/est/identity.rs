//! What the TLS handshake says of a peer, before anybody decided whether to trust it.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use super::transfer;

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

    /// A chain whose holder is not there, to tell what would come of it; nothing is issued for it.
    pub fn assumed(certificates: Vec<Vec<u8>>) -> Option<Self> {
        Self::possession_proven(certificates)
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

/// What ties a request to the TLS connection that it comes in (RFC 7030 section 3.5): both ends know it, nobody between
/// them does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ChannelBinding {
    /// The first Finished of the handshake, TLS 1.2 (RFC 5929 section 3.1).
    TlsUnique([u8; 12]),
    /// Exported keying material, TLS 1.3 (RFC 9266).
    TlsExporter([u8; 32]),
}

impl ChannelBinding {
    /// The name of the binding type, as IANA registered it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TlsUnique(_) => "tls-unique",
            Self::TlsExporter(_) => "tls-exporter",
        }
    }

    /// Whether `challenge` is the base64 of this binding; white space in it is skipped, as some clients wrap it. Takes as
    /// long for a wrong value as for the right one of the same length.
    pub fn matches(&self, challenge: &str) -> bool {
        let octets: &[u8] = match self {
            Self::TlsUnique(octets) => octets,
            Self::TlsExporter(octets) => octets,
        };
        // RFC 7030 §3.5: "the challengePassword field is set to the base64 encoding of the tls-unique value".
        let expected = transfer::encode(octets, transfer::LineWrapping::SingleLine);
        let given: Vec<u8> = challenge.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
        bool::from(expected.ct_eq(&given))
    }
}

/// The octets are not shown: whoever reads them in a log could not use them for long, but need not have them.
impl fmt::Debug for ChannelBinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_the_base64_of_the_binding_and_nothing_else() {
        let unique = ChannelBinding::TlsUnique(*b"\xfa\xba\xc2\x8a\xbe\xff\xf8\x46\x2e\xe7\x44\xf8");
        let right = "+rrCir7/+EYu50T4";
        assert!(unique.matches(right), "the value of RFC 7030 appendix A.3");
        assert!(unique.matches("+rrCir7/\r\n+EYu50T4\n"));
        for wrong in
            ["", "AAAAAAAAAAAAAAAA", "+rrCir7/+EYu50T5", "+rrCir7/+EYu50T4A", "-rrCir7_-EYu50T4", "+rrCir7/+EYu50T"]
        {
            assert!(!unique.matches(wrong), "{wrong:?}");
        }
        let exporter = ChannelBinding::TlsExporter([0; 32]);
        assert!(exporter.matches("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
        assert!(!exporter.matches("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "padding belongs to it");
        assert_eq!(format!("{exporter:?}"), "tls-exporter");
    }
}
