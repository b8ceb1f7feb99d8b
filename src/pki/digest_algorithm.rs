//! The digests that messages of others are made with, through the crypto backend.

use aws_lc_rs::digest::{self as backend, SHA256, SHA384, SHA512};
use estd_asn1::{AlgorithmIdentifier, oid};

use super::signature::SignatureError;

/// A digest that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl DigestAlgorithm {
    /// Reads an AlgorithmIdentifier.
    ///
    /// # Errors
    /// For a broken digest, an unknown one, or parameters that are neither absent nor NULL.
    pub fn from_identifier(identifier: &AlgorithmIdentifier) -> Result<Self, SignatureError> {
        let algorithm = identifier.oid();
        let known = [(oid::SHA256, Self::Sha256), (oid::SHA384, Self::Sha384), (oid::SHA512, Self::Sha512)];
        let Some((_, digest)) = known.into_iter().find(|(known, _)| known == algorithm) else {
            return Err(match BROKEN.iter().find(|(broken, _)| broken == algorithm) {
                Some((_, digest)) => SignatureError::WeakDigest { digest },
                None => SignatureError::Unsupported { algorithm: algorithm.clone() },
            });
        };
        // RFC 5754 §2: absent is right, and NULL MUST be accepted.
        match identifier.parameters() {
            None | Some([0x05, 0x00]) => Ok(digest),
            Some(_) => Err(SignatureError::Parameters { algorithm: algorithm.clone(), expected: "absent or NULL" }),
        }
    }

    /// The digest of a message.
    pub fn digest(self, message: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
        };
        backend::digest(algorithm, message).as_ref().to_vec()
    }
}

/// Digests of which collisions are made at will.
const BROKEN: [(estd_asn1::Oid, &str); 2] = [(oid::SHA1, "SHA-1"), (oid::MD5, "MD5")];

#[cfg(test)]
mod tests {
    use super::*;
    use rsa::sha2::{Digest as _, Sha256, Sha384, Sha512};

    #[test]
    fn digests_are_those_of_a_second_implementation_and_broken_ones_are_told() {
        let read = |oid, parameters| DigestAlgorithm::from_identifier(&AlgorithmIdentifier::new(oid, parameters));
        let expected = [
            (oid::SHA256, Sha256::digest(b"abc").to_vec()),
            (oid::SHA384, Sha384::digest(b"abc").to_vec()),
            (oid::SHA512, Sha512::digest(b"abc").to_vec()),
        ];
        for (oid, digest) in expected {
            for parameters in [None, Some(&[5, 0][..])] {
                assert_eq!(read(oid.clone(), parameters).unwrap().digest(b"abc"), digest);
            }
            assert!(matches!(read(oid, Some(&[2, 1, 0])), Err(SignatureError::Parameters { .. })));
        }
        assert_eq!(read(oid::SHA1, None), Err(SignatureError::WeakDigest { digest: "SHA-1" }));
        assert!(matches!(read(oid::DATA, None), Err(SignatureError::Unsupported { .. })));
    }
}
