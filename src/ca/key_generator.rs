//! The key generator: signs what it made, and sends it on its way to its owner.
//!
//! RFC 7030 section 4.4.2 has the SignedData "signed by the party that generated the private key". That is this process,
//! not the CA: a CA's key signs certificates. So the CA certifies a key that lives in the memory of this process alone, for
//! this one purpose, and another one when that is due or the process starts anew.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use estd_asn1::signed_data::{self, SignedAttributes, SignerInfo};
use estd_asn1::{AlgorithmIdentifier, Certificate, key_package, oid};
use zeroize::Zeroizing;

use super::authority::CertificateAuthority;
use super::ceremony::{self, CeremonyError};
use super::key_envelope::{self, SealFault};
use super::signer::{Signer as _, SignerError};
use super::software_signer::SoftwareSigner;
use crate::clock::{Entropy, EntropyFailure};
use crate::pki::digest::sha256;
use crate::pki::generated_key::{GeneratedKey, GenerationError};
use crate::pki::key_encryption::Encryption;
use crate::pki::public_key::KeyType;
use crate::pki::serial::Serial;

/// How long a certificate of the generator is valid.
const LIFE: TimeDelta = TimeDelta::days(30);

/// Why a key was not made or not sent: our failure, never the client's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyGenerationFault {
    /// There is no key.
    #[error(transparent)]
    Generation(#[from] GenerationError),
    /// The key generator has no key to sign with, or did not sign.
    #[error("the key generator: {0}")]
    Signer(#[from] SignerError),
    /// The authority does not certify the key generator.
    #[error("the certificate of the key generator cannot be issued: {0}")]
    Certificate(#[from] CeremonyError),
    /// No randomness for a serial number.
    #[error(transparent)]
    Entropy(#[from] EntropyFailure),
    /// The package was not encrypted.
    #[error(transparent)]
    Seal(#[from] SealFault),
}

/// Signs keys under the certificate of one authority.
pub struct KeyGenerator {
    authority: Arc<CertificateAuthority>,
    current: Mutex<Option<Arc<Identity>>>,
}

/// Whom the generator signs as.
struct Identity {
    signer: SoftwareSigner,
    certificate: Certificate,
    renew_at: DateTime<Utc>,
}

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
        Self { authority, current: Mutex::default() }
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
        let (identity, appointed) = self.identity(entropy, now)?;
        let signed_data = self.sign(&identity, &key_package::encode(key.private_key_info()))?;
        Ok(SealedKey { der: key_envelope::seal(&signed_data, encryption, entropy)?, appointed })
    }

    fn sign(&self, identity: &Identity, package: &[u8]) -> Result<Zeroizing<Vec<u8>>, SignerError> {
        let attributes = SignedAttributes::new(oid::ASYMMETRIC_KEY_PACKAGE, &sha256(&[package]));
        let signature = identity.signer.sign(attributes.to_be_signed())?;
        let signer = SignerInfo {
            certificate: &identity.certificate,
            // RFC 5754 §2.2: the parameters are absent.
            digest_algorithm: &AlgorithmIdentifier::new(oid::SHA256, None),
            attributes: &attributes,
            signature_algorithm: identity.signer.algorithm().identifier(),
            signature: &signature,
        };
        let certificates: Vec<&Certificate> =
            std::iter::once(&identity.certificate).chain(self.authority.below_root()).collect();
        Ok(signed_data::encode(package, &certificates, &signer))
    }

    /// Who signs now; a new one when there is none, or when two thirds of its life are over.
    fn identity(
        &self,
        entropy: &dyn Entropy,
        now: DateTime<Utc>,
    ) -> Result<(Arc<Identity>, Option<Serial>), KeyGenerationFault> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let usable =
            |identity: &&Arc<Identity>| (identity.certificate.validity().not_before..identity.renew_at).contains(&now);
        if let Some(identity) = current.as_ref().filter(usable) {
            return Ok((Arc::clone(identity), None));
        }
        let (signer, _) = SoftwareSigner::generate(KeyType::P256)?;
        let mut random = [0; 20];
        entropy.fill(&mut random)?;
        let serial = Serial::from_entropy(random);
        let validity = ceremony::validity(now, LIFE, self.authority.certificate())?;
        let certificate = ceremony::key_generator_certificate(&self.authority, signer.public_key(), validity, &serial)?;
        let renew_at = validity.not_before + (validity.not_after - validity.not_before) * 2 / 3;
        let identity = Arc::new(Identity { signer, certificate, renew_at });
        *current = Some(Arc::clone(&identity));
        Ok((identity, Some(serial)))
    }
}
