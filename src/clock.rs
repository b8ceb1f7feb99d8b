//! The ports through which the core learns the time and draws randomness.

use chrono::{DateTime, Utc};

/// The time of day.
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> DateTime<Utc>;
}

/// A cryptographically secure random source.
pub trait Entropy: Send + Sync {
    /// Fills `buffer` with random octets.
    ///
    /// # Errors
    /// When the source fails; nothing may be issued then.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyFailure>;
}

/// The random source failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the random source failed")]
pub struct EntropyFailure;

/// The operating system's clock: the only place that asks it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one door to the system clock")]
    fn now(&self) -> DateTime<Utc> {
        std::time::SystemTime::now().into()
    }
}

/// The operating system's random source, through the crypto backend.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyFailure> {
        aws_lc_rs::rand::fill(buffer).map_err(|_| EntropyFailure)
    }
}
