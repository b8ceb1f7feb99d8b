//! Challenges (RFC 9110 section 11.6.1), as they stand in WWW-Authenticate.

use std::fmt;

use crate::est::DigestAlgorithm;

/// One challenge, one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// RFC 7617 section 2.
    Basic {
        /// What the credentials are for.
        realm: String,
    },
    /// RFC 7616 section 3.3.
    Digest {
        /// What the credentials are for.
        realm: String,
        /// The hash function.
        algorithm: DigestAlgorithm,
        /// To be answered.
        nonce: String,
        /// The one before was too old, and nothing else was wrong.
        stale: bool,
    },
    /// RFC 6750 section 3.
    Bearer {
        /// What the credentials are for.
        realm: String,
    },
}

impl fmt::Display for Challenge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { realm } => write!(formatter, "Basic realm=\"{realm}\", charset=\"UTF-8\""),
            Self::Digest { realm, algorithm, nonce, stale } => {
                write!(formatter, "Digest realm=\"{realm}\", qop=\"auth\", nonce=\"{nonce}\"")?;
                match algorithm {
                    // RFC 7616 §3.3: no quotes around it.
                    DigestAlgorithm::Sha256 => write!(formatter, ", algorithm={}", algorithm.as_str())?,
                    // RFC 7616 §3.3: "If this is not present, it is assumed to be MD5"; Bouncy Castle reads it only
                    // in quotes, which the RFC forbids.
                    DigestAlgorithm::Md5 => {}
                }
                if *stale { formatter.write_str(", stale=true") } else { Ok(()) }
            }
            Self::Bearer { realm } => write!(formatter, "Bearer realm=\"{realm}\""),
        }
    }
}
