//! The key generator: signs what it made, and sends it on its way to its owner.
//!
//! RFC 7030 section 4.4.2 has the SignedData "signed by the party that generated the private key". That is this process,
//! not the CA.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use estd_asn1::{key_package, oid};

use super::appointee::{Appointee, AppointmentFault};
use super::authority::CertificateAuthority;
use super::key_envelope::{self, SealFault};
use crate::clock::Entropy;
use crate::pki::certificate::Appointment;
use crate::pki::generated_key::{GeneratedKey, GenerationError};
use crate::pki::key_encryption::Encryption;
use crate::pki::serial::Serial;

/// Why a key was not made or not sent: our failure, never the client's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyGenerationFault {
    /// There is no key.
    #[error(transparent)]
    Generation(#[from] GenerationError),
    /// It was not signed.
    #[error(transparent)]
    Signature(#[from] AppointmentFault),
    /// The package was not encrypted.
    #[error(transparent)]
    Seal(#[from] SealFault),
}

/// Signs keys under the certificate of one authority.
pub struct KeyGenerator(Appointee);

/// A private key ready to leave.
pub struct SealedKey {
    /// EnvelopedData over SignedData over AsymmetricKeyPackage, DER.
    pub der: Vec<u8>,
    /// The serial number of the generator's certificate, when it had to be issued for this.
    pub appointed: Option<Serial>,
}

impl KeyGenerator {
    /// A generator that `authority` certifies once it is needed.
    pub fn new(authority: Arc<CertificateAuthority>) -> Self {
        Self(Appointee::new(authority, Appointment::KeyGenerator))
    }

    /// Signs and encrypts a private key (RFC 7030 section 4.4.2).
    ///
    /// # Errors
    /// When the authority does not certify the generator, or the crypto backend or the random source fails.
    pub fn seal(
        &self,
        key: &GeneratedKey,
        encryption: &Encryption<'_>,
        entropy: &dyn Entropy,
        now: DateTime<Utc>,
    ) -> Result<SealedKey, KeyGenerationFault> {
        let package = key_package::encode(key.private_key_info());
        let signed = self.0.sign(oid::ASYMMETRIC_KEY_PACKAGE, &package, &[], entropy, now)?;
        let der = key_envelope::seal(&signed.signed_data, encryption, entropy)?;
        Ok(SealedKey { der, appointed: signed.appointed })
    }
}
