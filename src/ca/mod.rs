//! The certificate authority: signs what policy authorized, and nothing else.

mod appointee;
pub mod authority;
pub mod ceremony;
pub mod cmc_responder;
pub mod crl;
pub mod issuance;
mod key_envelope;
pub mod key_generator;
pub mod publication;
pub mod rollover;
pub mod signer;
pub mod software_signer;

pub use appointee::AppointmentFault;
pub use authority::{AuthorityError, CertificateAuthority};
pub use cmc_responder::{CmcResponder, SignedResponse};
pub use crl::CrlContents;
pub use issuance::{IssuanceFault, PreparedCertificate, SignedCertificate};
pub use key_envelope::SealFault;
pub use key_generator::{KeyGenerationFault, KeyGenerator, SealedKey};
pub use publication::{Publication, Resource, StatusRules};
pub use rollover::{CrossCertificates, Rollover, RolloverError, RolloverPhase};
pub use signer::{Signer, SignerError};
pub use software_signer::SoftwareSigner;
