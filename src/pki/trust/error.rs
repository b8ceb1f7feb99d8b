//! Why a presented certificate does not count.

use std::fmt;

use chrono::{DateTime, Utc};
use estd_asn1::DecodeError;

use crate::pki::public_key::PublicKeyError;
use crate::pki::signature::SignatureError;

/// A certificate's place in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathMember {
    /// The peer's own certificate.
    Leaf,
    /// A CA certificate between the peer's and the anchor.
    Intermediate,
    /// The trust anchor.
    Anchor,
}

impl fmt::Display for PathMember {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Leaf => "the presented certificate",
            Self::Intermediate => "a ca certificate above the presented one",
            Self::Anchor => "the trust anchor of the presented certificate",
        })
    }
}

/// Why a presented certificate does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Not a certificate, or an extension that does not decode.
    #[error("{member} does not decode: {source}")]
    Malformed {
        /// Which.
        member: PathMember,
        /// Why.
        source: DecodeError,
    },
    /// More certificates than a label looks at.
    #[error("at most {limit} certificates may come with the presented one, {sent} came")]
    ChainTooLong {
        /// Most certificates above the peer's own.
        limit: usize,
        /// How many came.
        sent: usize,
    },
    /// No anchor of the label issued the certificate, directly or through those that came with it.
    #[error("no ca of this label issued the presented certificate; its issuer is {issuer}")]
    UnknownIssuer {
        /// The issuer of the peer's own certificate, escaped.
        issuer: String,
    },
    /// notBefore lies ahead.
    #[error("{member} is valid from {not_before} only")]
    NotYetValid {
        /// Which.
        member: PathMember,
        /// From when.
        not_before: DateTime<Utc>,
    },
    /// notAfter has passed.
    #[error("{member} expired at {not_after}")]
    Expired {
        /// Which.
        member: PathMember,
        /// When.
        not_after: DateTime<Utc>,
    },
    /// basicConstraints of the peer's certificate say CA:TRUE.
    #[error("the presented certificate is a ca certificate")]
    CaAsLeaf,
    /// keyUsage of the peer's certificate has keyCertSign or cRLSign.
    #[error("the presented certificate may sign certificates or crls, a device's must not")]
    KeyCertSignLeaf,
    /// keyUsage of the peer's certificate lacks digitalSignature.
    #[error("keyUsage of the presented certificate lacks digitalSignature, which tls clients need")]
    KeyUsage,
    /// extendedKeyUsage is present and lacks clientAuth.
    #[error("extendedKeyUsage of {member} lacks clientAuth")]
    ExtKeyUsage {
        /// Which.
        member: PathMember,
    },
    /// A key that is weak or malformed.
    #[error("{member}: {source}")]
    WeakKey {
        /// Which.
        member: PathMember,
        /// Why.
        source: PublicKeyError,
    },
    /// Signed with an algorithm that does not count.
    #[error("{member}: {source}")]
    WeakSignature {
        /// Which.
        member: PathMember,
        /// Why.
        source: SignatureError,
    },
    /// The names fit, the signature does not.
    #[error("a signature on the way from the presented certificate to the trust anchor does not verify")]
    BadSignature,
    /// A certificate that issued another without being a CA's.
    #[error("a certificate above the presented one is not a ca certificate")]
    NotCa,
    /// pathLenConstraint.
    #[error("more ca certificates follow one another than a pathLenConstraint allows")]
    PathLength,
    /// Issued by a CA below the label's own.
    #[error(
        "the presented certificate was issued by a ca below this label's own, and only what that issued itself renews here"
    )]
    Below,
    /// nameConstraints, also those on directory names, which are not evaluated.
    #[error(
        "a name in the presented certificate is outside the name constraints of a ca above it, or those constrain directory \
         names, which is not supported"
    )]
    NameConstraints,
    /// A critical extension that is not understood.
    #[error("a critical extension of the presented certificate or of one above it is not supported")]
    CriticalExtension,
    /// The search for a path was given up.
    #[error("the certificates that came with the presented one lead to too many paths")]
    TooComplex,
    /// Well-formed DER that path validation cannot take, such as version 1 or fields out of use.
    #[error("the presented certificate or one above it is not an X.509 version 3 certificate as RFC 5280 profiles it")]
    Unsupported,
}
