//! Whom to trust: paths from a presented certificate to a label's trust anchors (RFC 5280 section 6, RFC 7030 section
//! 3.3.2), by webpki, with the rules it leaves to its callers.

mod anchors;
mod error;
mod path;
mod peer;

#[cfg(test)]
mod tests;

pub use anchors::{AnchorError, TrustAnchors};
pub use error::{PathMember, TrustError};
pub use path::PathLimits;
pub use peer::{AuthenticatedPeer, Freshness};

/// Which of a label's trust anchors vouches for a peer (RFC 7030 section 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnchorClass {
    /// The label's own CA: the peer holds a certificate that was issued here.
    Explicit,
    /// A manufacturer's CA: the peer holds a birth certificate.
    Implicit,
}

/// Most names in the subjectAltName of a peer's certificate.
pub const MAX_PEER_ALT_NAMES: usize = 64;
