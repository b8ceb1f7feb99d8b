//! Credentials beside the birth certificate (RFC 7030 section 3.2.3): what a tenant declares, and its verification.
//!
//! Verification is pure: what was declared, what was presented and the time give an [`HttpIdentity`] or a
//! [`CredentialError`]. What must be remembered between requests, nonces and failures, stands beside it, bounded.

mod assumed;
mod challenge;
pub mod declared;
pub mod digest;
mod gate;
mod guesses;
mod identity;
mod jwk;
pub mod jwt;
mod nonce;
pub mod password;
mod place;
pub mod scope;
pub mod secret;
mod verify;

pub use assumed::{AssumedCredential, AssumedError};
pub use challenge::Challenge;
pub use declared::{ApiToken, Credentials, CredentialsError, EnrollmentCode, User};
pub use gate::Gate;
pub use guesses::{GuessLimits, Guesses, LockedOut};
pub use identity::{CredentialId, HttpIdentity};
pub use jwt::Issuer;
pub use nonce::Nonces;
pub use place::Place;
pub use scope::DeviceScope;
pub use verify::{Accepted, CredentialError, HttpScheme, code_hash};
