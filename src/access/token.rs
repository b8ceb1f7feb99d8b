//! API tokens of operators: `estd_<id>_<secret>`, shown once, kept as a hash.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::clock::{Entropy, EntropyFailure};
use crate::pki::digest::{hex, sha256};

/// Random octets of the id, which names a token in lists and in the audit.
const ID_OCTETS: usize = 8;
/// Random octets of the secret: nobody guesses 256 bits, not even from a plain hash.
const SECRET_OCTETS: usize = 32;
const PREFIX: &str = "estd_";

/// A token as somebody presents it, or as it was just made.
pub struct PresentedToken {
    id: String,
    text: Zeroizing<String>,
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not look like one.
    #[error("a token of the form estd_<id>_<secret> is expected")]
    Malformed,
    /// There is none, it was revoked, or its secret is another.
    #[error("the token is not known")]
    Unknown,
    /// It had an end.
    #[error("the token has expired")]
    Expired,
}

impl PresentedToken {
    /// Reads a token.
    ///
    /// # Errors
    /// When it has another form.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let (id, secret) =
            text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(TokenError::Malformed)?;
        let is_hex = |text: &str, octets: usize| {
            text.len() == 2 * octets && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !is_hex(id, ID_OCTETS) || !is_hex(secret, SECRET_OCTETS) {
            return Err(TokenError::Malformed);
        }
        Ok(Self { id: id.to_owned(), text: Zeroizing::new(text.to_owned()) })
    }

    /// Makes a new one.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyFailure> {
        let mut random = Zeroizing::new([0; ID_OCTETS + SECRET_OCTETS]);
        entropy.fill(random.as_mut())?;
        let (id, secret) = random.split_at(ID_OCTETS);
        let id = hex(id);
        let secret = Zeroizing::new(hex(secret));
        Ok(Self { text: Zeroizing::new(format!("{PREFIX}{id}_{}", *secret)), id })
    }

    /// What names it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What is kept of it.
    pub fn hash(&self) -> [u8; 32] {
        sha256(&[self.text.as_bytes()])
    }

    /// Whether it is the one of which `hash` was kept.
    pub fn is(&self, hash: &[u8; 32]) -> bool {
        self.hash().ct_eq(hash).into()
    }

    /// To be shown once, to who asked for it.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for PresentedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedToken").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemEntropy;

    #[test]
    fn a_token_is_read_as_it_was_made() {
        let made = PresentedToken::generate(&SystemEntropy).unwrap();
        let read = PresentedToken::parse(made.reveal()).unwrap();
        assert_eq!(read.id(), made.id());
        assert!(read.is(&made.hash()));
        assert!(!PresentedToken::generate(&SystemEntropy).unwrap().is(&made.hash()));
        assert!(!format!("{made:?}").contains(&made.reveal()[22..]), "the secret is not shown");
    }

    #[test]
    fn other_forms_are_no_tokens() {
        let made = PresentedToken::generate(&SystemEntropy).unwrap();
        let text = made.reveal();
        for other in ["", "estd_", "estd__", &text[1..], &text[..text.len() - 1], &text.to_uppercase()] {
            assert_eq!(PresentedToken::parse(other).unwrap_err(), TokenError::Malformed, "{other}");
        }
    }
}
