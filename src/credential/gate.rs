//! What HTTP authentication remembers between requests, in memory and bounded.

use super::guesses::Guesses;
use super::nonce::Nonces;

/// Nonces and failures. One for the life of the process, over all configurations.
#[derive(Debug)]
pub struct Gate {
    /// The nonces of Digest.
    pub nonces: Nonces,
    /// The failures of late.
    pub guesses: Guesses,
}

impl Gate {
    /// `key` is random; see [`Nonces::new`].
    pub fn new(key: &[u8; 32]) -> Self {
        Self { nonces: Nonces::new(key), guesses: Guesses::default() }
    }
}
