//! The port to a signing key: software today, hardware tomorrow.

use estd_asn1::SubjectPublicKeyInfo;

use crate::pki::public_key::PublicKeyError;
use crate::pki::signature::SignatureAlgorithm;

/// A private key that signs without being seen.
pub trait Signer: Send + Sync {
    /// The one algorithm that this key signs with.
    fn algorithm(&self) -> SignatureAlgorithm;

    /// The public half.
    fn public_key(&self) -> &SubjectPublicKeyInfo;

    /// Signs a message, not its digest. May block: an HSM is a device on a bus.
    ///
    /// # Errors
    /// When the key does not sign; nothing was issued then.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError>;

    /// Does the key sign outside this process? What comes back from there is verified before it is used.
    fn is_external(&self) -> bool {
        true
    }
}

/// Why there is no key to sign with, or why it did not sign. Never says what stands in a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// No PEM block of a private key.
    #[error("expected a PEM block labelled PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY, found none")]
    NoPrivateKey,
    /// The key is encrypted, and there is nobody to ask for the passphrase.
    #[error("the private key is encrypted: store it decrypted, readable by the server alone")]
    Encrypted,
    /// The block does not decode, or private and public half do not belong together.
    #[error("the block labelled {label} holds no valid private key")]
    Malformed {
        /// Label of the block.
        label: &'static str,
    },
    /// A kind of key that does not sign certificates here.
    #[error("a key must be P-256, P-384, RSA of 2048 to 4096 bits or Ed25519, this one is {found}")]
    Unsupported {
        /// Name or object identifier of what it is.
        found: String,
    },
    /// The public half is unsound.
    #[error(transparent)]
    PublicKey(#[from] PublicKeyError),
    /// The crypto backend made no key.
    #[error("the key could not be generated")]
    Generation,
    /// The crypto backend or the device did not sign.
    #[error("the key did not sign")]
    Signing,
}
