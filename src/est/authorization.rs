//! What an Authorization field says (RFC 9110 section 11.6.2), before anybody decided whether it is right.

use std::fmt;

use zeroize::Zeroizing;

/// A credential as presented. Its secrets are wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub enum PresentedCredential {
    /// RFC 7617: name and password.
    Basic {
        /// May be empty (RFC 7030 section 3.2.3).
        user: String,
        /// May be a one-time enrollment code.
        password: Zeroizing<String>,
    },
    /// RFC 7616: what was computed from a password.
    Digest(Box<DigestCredential>),
    /// RFC 6750: an API token or a JWT.
    Bearer(Zeroizing<String>),
    /// RFC 7894 section 3.1: a one-time code in the certification request, as otpChallenge.
    OneTimePassword(Zeroizing<String>),
    /// RFC 5272 section 6.2.1: a proof that a one-time code is known, as identityProofV2.
    Witness {
        /// What it is over.
        signed: Vec<u8>,
        /// The tag.
        witness: Vec<u8>,
    },
}

impl PresentedCredential {
    /// The name of the scheme.
    pub const fn scheme(&self) -> &'static str {
        match self {
            Self::Basic { .. } => "Basic",
            Self::Digest(_) => "Digest",
            Self::Bearer(_) => "Bearer",
            Self::OneTimePassword(_) => "otpChallenge",
            Self::Witness { .. } => "identityProofV2",
        }
    }

    /// The name that the password belongs to.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Basic { user, .. } => Some(user),
            Self::Digest(digest) => Some(&digest.user),
            Self::Bearer(_) | Self::OneTimePassword(_) | Self::Witness { .. } => None,
        }
    }
}

/// No secret, not even a hash of one, goes into a log.
impl fmt::Debug for PresentedCredential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.scheme())
    }
}

/// The hash functions of Digest (RFC 7616 section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    /// SHA-256.
    Sha256,
    /// MD5, for old clients.
    Md5,
}

impl DigestAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Md5];

    /// The name in a challenge; read without regard to case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        }
    }
}

/// The fields of a Digest credential (RFC 7616 section 3.4), and the request that they came with.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestCredential {
    /// username
    pub user: String,
    /// realm
    pub realm: String,
    /// nonce
    pub nonce: String,
    /// uri
    pub uri: String,
    /// algorithm; MD5 where the field has none.
    pub algorithm: DigestAlgorithm,
    /// cnonce
    pub cnonce: String,
    /// nc, as sent.
    pub nonce_count_text: String,
    /// nc, read.
    pub nonce_count: u32,
    /// response
    pub response: String,
    /// The method of the request.
    pub method: String,
    /// The target of the request, as sent.
    pub target: String,
}

/// What it holds is as good as a password to whoever can guess.
impl fmt::Debug for DigestCredential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Digest")
    }
}
