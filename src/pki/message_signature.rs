//! Signed messages (CMS SignedData, RFC 5652 section 5): that the holder of a key signed a content, and which.

use chrono::{DateTime, Utc};
use estd_asn1::signed_message::{ReceivedSigner, SignedMessage};
use estd_asn1::{AlgorithmIdentifier, Oid, SubjectPublicKeyInfo, oid};
use subtle::ConstantTimeEq as _;

use super::digest_algorithm::DigestAlgorithm;
use super::public_key::{KeyPolicy, PublicKey, PublicKeyError};
use super::signature::{self, SignatureAlgorithm, SignatureError};

/// A content that the holder of a key was seen to have signed.
#[derive(Debug, Clone, Copy)]
pub struct SignedContent<'a> {
    message: &'a SignedMessage,
    signing_time: Option<DateTime<Utc>>,
}

/// Why a signature of a message does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Nobody signed, or several did.
    #[error("a message has one signer, this one has {signers}")]
    Signers {
        /// How many.
        signers: usize,
    },
    /// A digest or a signature algorithm that is not accepted, or not one of the key.
    #[error("the signature of the message: {0}")]
    Algorithm(#[source] SignatureError),
    /// The key of the signer is weak or malformed.
    #[error("the key of the message's signer: {0}")]
    Key(#[from] PublicKeyError),
    /// The content is not the one that was signed.
    #[error("the content of the message is not the one that was signed: its digest differs")]
    Content,
    /// The signature does not verify.
    #[error("the signature of the message does not verify with the key of its signer")]
    Signature,
}

impl<'a> SignedContent<'a> {
    /// Verifies that the holder of `key` signed the content of `message`, cheap before dear.
    ///
    /// # Errors
    /// The first thing found wrong; see [`MessageError`].
    pub fn verify(message: &'a SignedMessage, key: &SubjectPublicKeyInfo) -> Result<Self, MessageError> {
        let signer = the_signer(message)?;
        let digest = DigestAlgorithm::from_identifier(&signer.digest_algorithm).map_err(MessageError::Algorithm)?;
        let algorithm = signature_algorithm(&signer.signature_algorithm, digest).map_err(MessageError::Algorithm)?;
        let key = PublicKey::check(key, &KeyPolicy::any_sound())?;
        // RFC 5652 §5.6: "For the signature to be valid, the message digest value calculated by the recipient MUST be the
        // same as the value of the messageDigest attribute".
        let found = digest.digest(&message.content);
        if !bool::from(found.as_slice().ct_eq(signer.attributes.message_digest())) {
            return Err(MessageError::Content);
        }
        match signature::verify(&key, algorithm, signer.attributes.to_be_verified(), &signer.signature) {
            Ok(()) => Ok(Self { message, signing_time: signer.attributes.signing_time() }),
            Err(SignatureError::Invalid) => Err(MessageError::Signature),
            Err(
                other @ (SignatureError::KeyMismatch { .. }
                | SignatureError::WeakDigest { .. }
                | SignatureError::Unsupported { .. }
                | SignatureError::Parameters { .. }),
            ) => Err(MessageError::Algorithm(other)),
        }
    }

    /// What the content is.
    pub fn content_type(&self) -> &'a Oid {
        &self.message.content_type
    }

    /// The content.
    pub fn content(&self) -> &'a [u8] {
        &self.message.content
    }

    /// When it was signed, as the signer says.
    pub fn signing_time(&self) -> Option<DateTime<Utc>> {
        self.signing_time
    }
}

/// The one signer of a message, of whom nothing is proven.
///
/// # Errors
/// [`MessageError::Signers`] when there is another number of them.
pub fn the_signer(message: &SignedMessage) -> Result<&ReceivedSigner, MessageError> {
    match message.signers.as_slice() {
        [signer] => Ok(signer),
        signers => Err(MessageError::Signers { signers: signers.len() }),
    }
}

/// RFC 3370 §3.2 and RFC 5754 §3.2: an RSA signature may go by the name of the key, and the digest then is that of the
/// content.
fn signature_algorithm(
    identifier: &AlgorithmIdentifier,
    digest: DigestAlgorithm,
) -> Result<SignatureAlgorithm, SignatureError> {
    if *identifier.oid() != oid::RSA_ENCRYPTION {
        return SignatureAlgorithm::from_identifier(identifier);
    }
    Ok(match digest {
        DigestAlgorithm::Sha256 => SignatureAlgorithm::RsaPkcs1Sha256,
        DigestAlgorithm::Sha384 => SignatureAlgorithm::RsaPkcs1Sha384,
        DigestAlgorithm::Sha512 => SignatureAlgorithm::RsaPkcs1Sha512,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::public_key::KeyType;
    use crate::pki::testing::TestKey;
    use estd_asn1::Certificate;
    use estd_asn1::signed_message::MessageLimits;

    const LIMITS: MessageLimits = MessageLimits { max_certificates: 7 };

    fn openssl(name: &str) -> (SignedMessage, SubjectPublicKeyInfo) {
        let path = format!("{}/asn1/tests/vectors/constructed/{name}.der", env!("CARGO_MANIFEST_DIR"));
        let message = SignedMessage::decode(&std::fs::read(path).unwrap(), &LIMITS).unwrap();
        let key = Certificate::decode(&message.certificates[0]).unwrap().public_key().clone();
        (message, key)
    }

    #[test]
    fn what_openssl_signs_verifies_with_its_key_and_no_other() {
        for name in ["cmc-openssl-p256", "cmc-openssl-p256-keyid", "cmc-openssl-rsa", "cmc-openssl-rsa-pss"] {
            let (message, key) = openssl(name);
            let content = SignedContent::verify(&message, &key).unwrap();
            assert_eq!((content.content_type(), content.content()), (&oid::PKI_DATA, &message.content[..]));
            assert!(content.signing_time().is_some());
            let other = TestKey::generate(if name.contains("rsa") { KeyType::Rsa } else { KeyType::P256 });
            assert_eq!(SignedContent::verify(&message, &other.spki).unwrap_err(), MessageError::Signature, "{name}");
        }
    }

    #[test]
    fn what_was_changed_after_signing_is_told_from_what_was_signed_otherwise() {
        let (good, key) = openssl("cmc-openssl-p256");
        let verify = |change: fn(&mut SignedMessage)| {
            let mut message = good.clone();
            change(&mut message);
            SignedContent::verify(&message, &key).map(|_| ()).unwrap_err()
        };
        assert_eq!(verify(|message| message.content[9] ^= 1), MessageError::Content);
        assert_eq!(verify(|message| message.signers[0].signature[9] ^= 1), MessageError::Signature);
        assert_eq!(verify(|message| message.signers.clear()), MessageError::Signers { signers: 0 });
        let twice = |message: &mut SignedMessage| message.signers.push(message.signers[0].clone());
        assert_eq!(verify(twice), MessageError::Signers { signers: 2 });
        let sha1 = |message: &mut SignedMessage| {
            message.signers[0].digest_algorithm = AlgorithmIdentifier::new(oid::SHA1, None);
        };
        let weak = SignatureError::WeakDigest { digest: "SHA-1" };
        assert_eq!(verify(sha1), MessageError::Algorithm(weak.clone()));
        let sha1 = |message: &mut SignedMessage| {
            message.signers[0].signature_algorithm = AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA1, None);
        };
        assert_eq!(verify(sha1), MessageError::Algorithm(weak));
    }
}
