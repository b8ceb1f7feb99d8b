//! Signatures: the algorithms that are accepted, and their verification by the crypto backend.

use std::sync::LazyLock;

use aws_lc_rs::signature::{self as backend, UnparsedPublicKey, VerificationAlgorithm};
use estd_asn1::{AlgorithmIdentifier, Oid, oid};

use super::public_key::{KeyType, PublicKey};

/// A signature algorithm that is accepted and can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 4055 section 5).
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaPkcs1Sha512,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and 32 octets of salt (RFC 4055 section 3.1).
    RsaPssSha256,
    /// RSASSA-PSS with SHA-384, MGF1 with SHA-384 and 48 octets of salt.
    RsaPssSha384,
    /// RSASSA-PSS with SHA-512, MGF1 with SHA-512 and 64 octets of salt.
    RsaPssSha512,
    /// ECDSA with SHA-256 (RFC 5758 section 3.2), on any of the curves.
    EcdsaSha256,
    /// ECDSA with SHA-384.
    EcdsaSha384,
    /// ECDSA with SHA-512.
    EcdsaSha512,
    /// Ed25519 (RFC 8410).
    Ed25519,
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// MD5 or SHA-1: collisions are made at will.
    #[error("the digest {digest} is broken: sign with SHA-256 or better")]
    WeakDigest {
        /// Its name.
        digest: &'static str,
    },
    /// Not an algorithm that is supported.
    #[error("the signature algorithm {algorithm} is not supported")]
    Unsupported {
        /// The algorithm.
        algorithm: Oid,
    },
    /// The parameters are not what the algorithm demands.
    #[error("the parameters of the signature algorithm {algorithm} must be {expected}")]
    Parameters {
        /// The algorithm.
        algorithm: Oid,
        /// What they must be.
        expected: &'static str,
    },
    /// The algorithm is not one of the key.
    #[error("a key of type {key_type} makes no such signatures")]
    KeyMismatch {
        /// The kind of the key.
        key_type: KeyType,
    },
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Invalid,
}

impl SignatureAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 10] = [
        Self::RsaPkcs1Sha256,
        Self::RsaPkcs1Sha384,
        Self::RsaPkcs1Sha512,
        Self::RsaPssSha256,
        Self::RsaPssSha384,
        Self::RsaPssSha512,
        Self::EcdsaSha256,
        Self::EcdsaSha384,
        Self::EcdsaSha512,
        Self::Ed25519,
    ];

    /// Reads an AlgorithmIdentifier, parameters included.
    ///
    /// # Errors
    /// For a broken digest, an unknown algorithm, or parameters that are not the algorithm's.
    pub fn from_identifier(identifier: &AlgorithmIdentifier) -> Result<Self, SignatureError> {
        if let Some(known) = Self::ALL.into_iter().find(|known| known.identifier() == identifier) {
            return Ok(known);
        }
        let algorithm = identifier.oid();
        if let Some((_, digest)) = BROKEN.iter().find(|(broken, _)| broken == algorithm) {
            return Err(SignatureError::WeakDigest { digest });
        }
        if *algorithm == oid::RSASSA_PSS {
            return from_pss_parameters(identifier.parameters());
        }
        let Some(known) = Self::ALL.into_iter().find(|known| known.identifier().oid() == algorithm) else {
            return Err(SignatureError::Unsupported { algorithm: algorithm.clone() });
        };
        // RFC 4055 §5: for RSA the parameters MUST be NULL, and their absence MUST be accepted.
        if known.identifier().parameters() == Some(NULL) && identifier.parameters().is_none() {
            return Ok(known);
        }
        let expected = if known.identifier().parameters().is_some() { "NULL" } else { "absent" };
        Err(SignatureError::Parameters { algorithm: algorithm.clone(), expected })
    }

    /// The AlgorithmIdentifier written for this algorithm (X509-03: NULL parameters for RSA, none for ECDSA and EdDSA).
    pub fn identifier(self) -> &'static AlgorithmIdentifier {
        static IDENTIFIERS: LazyLock<[AlgorithmIdentifier; 10]> =
            LazyLock::new(|| SignatureAlgorithm::ALL.map(build_identifier));
        &IDENTIFIERS[self as usize]
    }

    /// What the backend calls this algorithm for keys of this kind.
    fn backend(self, key_type: KeyType) -> Option<&'static dyn VerificationAlgorithm> {
        Some(match (key_type, self) {
            (KeyType::Rsa, Self::RsaPkcs1Sha256) => &backend::RSA_PKCS1_2048_8192_SHA256,
            (KeyType::Rsa, Self::RsaPkcs1Sha384) => &backend::RSA_PKCS1_2048_8192_SHA384,
            (KeyType::Rsa, Self::RsaPkcs1Sha512) => &backend::RSA_PKCS1_2048_8192_SHA512,
            (KeyType::Rsa, Self::RsaPssSha256) => &backend::RSA_PSS_2048_8192_SHA256,
            (KeyType::Rsa, Self::RsaPssSha384) => &backend::RSA_PSS_2048_8192_SHA384,
            (KeyType::Rsa, Self::RsaPssSha512) => &backend::RSA_PSS_2048_8192_SHA512,
            (KeyType::P256, Self::EcdsaSha256) => &backend::ECDSA_P256_SHA256_ASN1,
            (KeyType::P256, Self::EcdsaSha384) => &backend::ECDSA_P256_SHA384_ASN1,
            (KeyType::P256, Self::EcdsaSha512) => &backend::ECDSA_P256_SHA512_ASN1,
            (KeyType::P384, Self::EcdsaSha256) => &backend::ECDSA_P384_SHA256_ASN1,
            (KeyType::P384, Self::EcdsaSha384) => &backend::ECDSA_P384_SHA384_ASN1,
            (KeyType::P384, Self::EcdsaSha512) => &backend::ECDSA_P384_SHA512_ASN1,
            (KeyType::P521, Self::EcdsaSha256) => &backend::ECDSA_P521_SHA256_ASN1,
            (KeyType::P521, Self::EcdsaSha384) => &backend::ECDSA_P521_SHA384_ASN1,
            (KeyType::P521, Self::EcdsaSha512) => &backend::ECDSA_P521_SHA512_ASN1,
            (KeyType::Ed25519, Self::Ed25519) => &backend::ED25519,
            (KeyType::Rsa | KeyType::P256 | KeyType::P384 | KeyType::P521 | KeyType::Ed25519, _) => return None,
        })
    }
}

/// Verifies a signature over a message. ECDSA signatures are an ECDSA-Sig-Value in DER with r and s in range.
///
/// # Errors
/// [`SignatureError::KeyMismatch`] when the key makes no such signatures, [`SignatureError::Invalid`] when it did not
/// make this one.
pub fn verify(
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let key_type = key.key_type();
    let backend = algorithm.backend(key_type).ok_or(SignatureError::KeyMismatch { key_type })?;
    let public_key = UnparsedPublicKey::new(backend, key.key_octets());
    public_key.verify(message, signature).map_err(|_| SignatureError::Invalid)
}

/// DER of NULL.
const NULL: &[u8] = &[0x05, 0x00];

/// Algorithms whose digest is broken.
const BROKEN: [(Oid, &str); 3] =
    [(oid::MD5_WITH_RSA, "MD5"), (oid::SHA1_WITH_RSA, "SHA-1"), (oid::ECDSA_WITH_SHA1, "SHA-1")];

fn build_identifier(algorithm: SignatureAlgorithm) -> AlgorithmIdentifier {
    let pss = |digest| AlgorithmIdentifier::new(oid::RSASSA_PSS, Some(&pss_parameters(digest, true, true)));
    match algorithm {
        SignatureAlgorithm::RsaPkcs1Sha256 => AlgorithmIdentifier::new(oid::SHA256_WITH_RSA, Some(NULL)),
        SignatureAlgorithm::RsaPkcs1Sha384 => AlgorithmIdentifier::new(oid::SHA384_WITH_RSA, Some(NULL)),
        SignatureAlgorithm::RsaPkcs1Sha512 => AlgorithmIdentifier::new(oid::SHA512_WITH_RSA, Some(NULL)),
        SignatureAlgorithm::RsaPssSha256 => pss(PssDigest::Sha256),
        SignatureAlgorithm::RsaPssSha384 => pss(PssDigest::Sha384),
        SignatureAlgorithm::RsaPssSha512 => pss(PssDigest::Sha512),
        SignatureAlgorithm::EcdsaSha256 => AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA256, None),
        SignatureAlgorithm::EcdsaSha384 => AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA384, None),
        SignatureAlgorithm::EcdsaSha512 => AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA512, None),
        SignatureAlgorithm::Ed25519 => AlgorithmIdentifier::new(oid::ED25519, None),
    }
}

/// A digest that RSASSA-PSS is used with.
#[derive(Clone, Copy)]
enum PssDigest {
    Sha256,
    Sha384,
    Sha512,
}

impl PssDigest {
    /// Last arc of id-sha256, id-sha384, id-sha512 (2.16.840.1.101.3.4.2.x).
    const fn arc(self) -> u8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha384 => 2,
            Self::Sha512 => 3,
        }
    }

    const fn octets(self) -> u8 {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// ```text
/// RSASSA-PSS-params ::= SEQUENCE {
///     hashAlgorithm     [0] HashAlgorithm      DEFAULT sha1Identifier,
///     maskGenAlgorithm  [1] MaskGenAlgorithm   DEFAULT mgf1SHA1Identifier,
///     saltLength        [2] INTEGER            DEFAULT 20,
///     trailerField      [3] INTEGER            DEFAULT 1 }
/// ```
/// (RFC 4055 section 3.1): one digest for both, a salt as long as the digest, the trailer by default. Of such values DER
/// leaves open only whether the two digests carry NULL parameters or none, and RFC 4055 section 2.1 demands that both
/// be accepted; so parameters are read by comparison.
fn pss_parameters(digest: PssDigest, hash_null: bool, mask_null: bool) -> Vec<u8> {
    let hash = |null: bool| {
        let identifier = [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, digest.arc()];
        tlv(0x30, &[&identifier, if null { NULL } else { &[] }])
    };
    let mgf1 = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];
    let mask = tlv(0x30, &[&mgf1, &hash(mask_null)]);
    let salt = [0x02, 0x01, digest.octets()];
    tlv(0x30, &[&tlv(0xa0, &[&hash(hash_null)]), &tlv(0xa1, &[&mask]), &tlv(0xa2, &[&salt])])
}

/// A TLV whose content is shorter than 128 octets.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    debug_assert!(content.len() < 128, "short form");
    [&[tag, content.len() as u8], content.as_slice()].concat()
}

fn from_pss_parameters(parameters: Option<&[u8]>) -> Result<SignatureAlgorithm, SignatureError> {
    // RFC 4055 §3.1: by default SHA-1 is used throughout.
    if parameters == Some(&[0x30, 0x00]) {
        return Err(SignatureError::WeakDigest { digest: "SHA-1" });
    }
    let variants = [(true, true), (true, false), (false, true), (false, false)];
    let matches = |digest| variants.iter().any(|&(hash, mask)| parameters == Some(&pss_parameters(digest, hash, mask)));
    if matches(PssDigest::Sha256) {
        Ok(SignatureAlgorithm::RsaPssSha256)
    } else if matches(PssDigest::Sha384) {
        Ok(SignatureAlgorithm::RsaPssSha384)
    } else if matches(PssDigest::Sha512) {
        Ok(SignatureAlgorithm::RsaPssSha512)
    } else {
        Err(SignatureError::Parameters {
            algorithm: oid::RSASSA_PSS,
            expected: "SHA-256, SHA-384 or SHA-512 for digest and mask, with a salt as long as the digest",
        })
    }
}
