//! Signatures: the algorithms that are accepted, and their verification by the crypto backend.

use std::sync::LazyLock;

use aws_lc_rs::signature::{self as backend, UnparsedPublicKey, VerificationAlgorithm};
use estd_asn1::{AlgorithmIdentifier, Oid, oid};

use super::public_key::{KeyType, PublicKey};
use super::rsa_parameters::{self, Digest};

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
    let pss = |digest| AlgorithmIdentifier::new(oid::RSASSA_PSS, Some(&rsa_parameters::pss(digest, true, true)));
    match algorithm {
        SignatureAlgorithm::RsaPkcs1Sha256 => AlgorithmIdentifier::new(oid::SHA256_WITH_RSA, Some(NULL)),
        SignatureAlgorithm::RsaPkcs1Sha384 => AlgorithmIdentifier::new(oid::SHA384_WITH_RSA, Some(NULL)),
        SignatureAlgorithm::RsaPkcs1Sha512 => AlgorithmIdentifier::new(oid::SHA512_WITH_RSA, Some(NULL)),
        SignatureAlgorithm::RsaPssSha256 => pss(Digest::Sha256),
        SignatureAlgorithm::RsaPssSha384 => pss(Digest::Sha384),
        SignatureAlgorithm::RsaPssSha512 => pss(Digest::Sha512),
        SignatureAlgorithm::EcdsaSha256 => AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA256, None),
        SignatureAlgorithm::EcdsaSha384 => AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA384, None),
        SignatureAlgorithm::EcdsaSha512 => AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA512, None),
        SignatureAlgorithm::Ed25519 => AlgorithmIdentifier::new(oid::ED25519, None),
    }
}

fn from_pss_parameters(parameters: Option<&[u8]>) -> Result<SignatureAlgorithm, SignatureError> {
    // RFC 4055 §3.1: by default SHA-1 is used throughout.
    if parameters == Some(&[0x30, 0x00]) {
        return Err(SignatureError::WeakDigest { digest: "SHA-1" });
    }
    let variants = [(true, true), (true, false), (false, true), (false, false)];
    let matches =
        |digest| variants.iter().any(|&(hash, mask)| parameters == Some(&rsa_parameters::pss(digest, hash, mask)));
    if matches(Digest::Sha256) {
        Ok(SignatureAlgorithm::RsaPssSha256)
    } else if matches(Digest::Sha384) {
        Ok(SignatureAlgorithm::RsaPssSha384)
    } else if matches(Digest::Sha512) {
        Ok(SignatureAlgorithm::RsaPssSha512)
    } else {
        Err(SignatureError::Parameters {
            algorithm: oid::RSASSA_PSS,
            expected: "SHA-256, SHA-384 or SHA-512 for digest and mask, with a salt as long as the digest",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::public_key::KeyPolicy;
    use crate::pki::testing::{TestKey, spki};
    use p256::ecdsa::signature::hazmat::PrehashSigner as _;
    use p256::ecdsa::signature::{RandomizedSigner as _, SignatureEncoding as _, Signer as _};
    use rsa::pkcs8::EncodePublicKey as _;
    use rsa::rand_core::OsRng;
    use rsa::sha2::{Digest as _, Sha256, Sha384, Sha512};
    use rustls_pki_types::alg_id;

    const MESSAGE: &[u8] = b"CertificationRequestInfo";

    fn checked(info: &estd_asn1::SubjectPublicKeyInfo) -> PublicKey {
        PublicKey::check(info, &KeyPolicy::default()).unwrap()
    }

    fn ec_key(curve: &Oid, point: &[u8]) -> PublicKey {
        checked(&spki(oid::EC_PUBLIC_KEY, Some(&curve.encode()), point))
    }

    /// The signature verifies, over this message only and under this algorithm only.
    fn assert_signs(key: &PublicKey, algorithm: SignatureAlgorithm, signature: &[u8]) {
        assert_eq!(verify(key, algorithm, MESSAGE, signature), Ok(()), "{algorithm:?}");
        assert_eq!(verify(key, algorithm, b"another", signature), Err(SignatureError::Invalid));
        for other in SignatureAlgorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            assert!(verify(key, other, MESSAGE, signature).is_err(), "{algorithm:?} as {other:?}");
        }
    }

    #[test]
    fn ecdsa_of_a_second_implementation_verifies_with_every_curve_and_digest() {
        let key = p256::ecdsa::SigningKey::random(&mut OsRng);
        let public = ec_key(&oid::SECP256R1, key.verifying_key().to_encoded_point(false).as_bytes());
        let sign = |digest: &[u8]| -> p256::ecdsa::Signature { key.sign_prehash(digest).unwrap() };
        for (algorithm, digest) in digests() {
            assert_signs(&public, algorithm, sign(&digest).to_der().as_bytes());
        }
        let key = p384::ecdsa::SigningKey::random(&mut OsRng);
        let public = ec_key(&oid::SECP384R1, key.verifying_key().to_encoded_point(false).as_bytes());
        let sign = |digest: &[u8]| -> p384::ecdsa::Signature { key.sign_prehash(digest).unwrap() };
        for (algorithm, digest) in digests() {
            assert_signs(&public, algorithm, sign(&digest).to_der().as_bytes());
        }
        let key = p521::ecdsa::SigningKey::random(&mut OsRng);
        let point = p521::ecdsa::VerifyingKey::from(&key).to_encoded_point(false);
        let public = ec_key(&oid::SECP521R1, point.as_bytes());
        let signature: p521::ecdsa::Signature = key.sign(MESSAGE);
        assert_signs(&public, SignatureAlgorithm::EcdsaSha512, signature.to_der().as_bytes());
    }

    fn digests() -> [(SignatureAlgorithm, Vec<u8>); 3] {
        [
            (SignatureAlgorithm::EcdsaSha256, Sha256::digest(MESSAGE).to_vec()),
            (SignatureAlgorithm::EcdsaSha384, Sha384::digest(MESSAGE).to_vec()),
            (SignatureAlgorithm::EcdsaSha512, Sha512::digest(MESSAGE).to_vec()),
        ]
    }

    #[test]
    fn rsa_of_a_second_implementation_verifies_with_every_padding_and_digest() {
        let key = rsa::RsaPrivateKey::new(&mut OsRng, 2048).unwrap();
        let der = key.to_public_key().to_public_key_der().unwrap();
        let public = checked(&estd_asn1::SubjectPublicKeyInfo::decode(der.as_bytes()).unwrap());
        let rng = &mut OsRng;
        let pkcs1 = [
            rsa::pkcs1v15::SigningKey::<Sha256>::new(key.clone()).sign(MESSAGE).to_vec(),
            rsa::pkcs1v15::SigningKey::<Sha384>::new(key.clone()).sign(MESSAGE).to_vec(),
            rsa::pkcs1v15::SigningKey::<Sha512>::new(key.clone()).sign(MESSAGE).to_vec(),
        ];
        let pss = [
            rsa::pss::SigningKey::<Sha256>::new(key.clone()).sign_with_rng(rng, MESSAGE).to_vec(),
            rsa::pss::SigningKey::<Sha384>::new(key.clone()).sign_with_rng(rng, MESSAGE).to_vec(),
            rsa::pss::SigningKey::<Sha512>::new(key.clone()).sign_with_rng(rng, MESSAGE).to_vec(),
        ];
        for (algorithm, signature) in SignatureAlgorithm::ALL.into_iter().zip(pkcs1.iter().chain(&pss)) {
            assert_signs(&public, algorithm, signature);
        }
        // RFC 4055 §3.1: the salt is as long as the digest.
        let short_salt =
            rsa::pss::SigningKey::<Sha256>::new_with_salt_len(key, 20).sign_with_rng(rng, MESSAGE).to_vec();
        assert_eq!(
            verify(&public, SignatureAlgorithm::RsaPssSha256, MESSAGE, &short_salt),
            Err(SignatureError::Invalid)
        );
    }

    #[test]
    fn ed25519_verifies() {
        let key = TestKey::generate(KeyType::Ed25519);
        let (public, signature) = (checked(&key.spki), key.sign(MESSAGE));
        assert_signs(&public, SignatureAlgorithm::Ed25519, &signature);
        for bad in [&[][..], &signature[1..], &[0; 64], &[&signature[..], &[0]].concat()] {
            assert_eq!(verify(&public, SignatureAlgorithm::Ed25519, MESSAGE, bad), Err(SignatureError::Invalid));
        }
    }

    /// Threat 23, after Wycheproof: values that lax verifiers let through.
    #[test]
    fn ecdsa_signatures_are_strict_der_with_numbers_in_range() {
        let key = TestKey::generate(KeyType::P256);
        let public = checked(&key.spki);
        let signature = key.sign(MESSAGE);
        let numbers = p256::ecdsa::Signature::from_der(&signature).unwrap();
        let (r, s) = (numbers.r().to_bytes().to_vec(), numbers.s().to_bytes().to_vec());
        let order =
            rsa::BigUint::parse_bytes(b"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16).unwrap();
        let plus_order = |number: &[u8]| (rsa::BigUint::from_bytes_be(number) + &order).to_bytes_be();
        assert_eq!(sequence(&integer(&r), &integer(&s)), signature, "the encoder of this test");

        let long_length = [&[0x30, 0x81, signature[1]], &signature[2..]].concat();
        let indefinite = [&[0x30, 0x80], &signature[2..], &[0, 0]].concat();
        let bad: [Vec<u8>; 14] = [
            vec![],
            vec![0x30, 0x00],
            vec![0xa5; 64],
            [r.clone(), s.clone()].concat(),
            sequence(&integer(&[0]), &integer(&[0])),
            sequence(&integer(&[0]), &integer(&s)),
            sequence(&integer(&r), &integer(&[0])),
            sequence(&integer(&plus_order(&r)), &integer(&s)),
            sequence(&integer(&r), &integer(&plus_order(&s))),
            sequence(&integer(&order.to_bytes_be()), &integer(&order.to_bytes_be())),
            sequence(&[&[0x02, r.len() as u8 + 2, 0, 0], &r[..]].concat(), &integer(&s)),
            [&signature[..], &[0]].concat(),
            long_length,
            indefinite,
        ];
        for signature in &bad {
            let verdict = verify(&public, SignatureAlgorithm::EcdsaSha256, MESSAGE, signature);
            assert_eq!(verdict, Err(SignatureError::Invalid), "{signature:02x?}");
        }
        // The twin (r, n - s) is as good a signature: requests are told apart by what is signed, not by signatures.
        let twin = (&order - rsa::BigUint::from_bytes_be(&s)).to_bytes_be();
        let twin = sequence(&integer(&r), &integer(&twin));
        assert_eq!(verify(&public, SignatureAlgorithm::EcdsaSha256, MESSAGE, &twin), Ok(()));
    }

    fn integer(number: &[u8]) -> Vec<u8> {
        let significant = &number[number.iter().position(|octet| *octet != 0).unwrap_or(number.len() - 1)..];
        let sign: &[u8] = if significant[0] & 0x80 != 0 { &[0] } else { &[] };
        [&[0x02, (significant.len() + sign.len()) as u8], sign, significant].concat()
    }

    fn sequence(r: &[u8], s: &[u8]) -> Vec<u8> {
        [&[0x30, (r.len() + s.len()) as u8], r, s].concat()
    }

    #[test]
    fn identifiers_are_those_of_the_standards_and_read_back() {
        let expected = [
            alg_id::RSA_PKCS1_SHA256,
            alg_id::RSA_PKCS1_SHA384,
            alg_id::RSA_PKCS1_SHA512,
            alg_id::RSA_PSS_SHA256,
            alg_id::RSA_PSS_SHA384,
            alg_id::RSA_PSS_SHA512,
            alg_id::ECDSA_SHA256,
            alg_id::ECDSA_SHA384,
            alg_id::ECDSA_SHA512,
            alg_id::ED25519,
        ];
        for (algorithm, expected) in SignatureAlgorithm::ALL.into_iter().zip(expected) {
            // Theirs is without the header of the SEQUENCE.
            assert_eq!(algorithm.identifier().der()[2..], *expected.as_ref(), "{algorithm:?}");
            assert_eq!(SignatureAlgorithm::from_identifier(algorithm.identifier()), Ok(algorithm));
        }
    }

    #[test]
    fn parameters_are_read_strictly() {
        let read = |oid, parameters: Option<&[u8]>| {
            SignatureAlgorithm::from_identifier(&AlgorithmIdentifier::new(oid, parameters))
        };
        assert_eq!(read(oid::SHA256_WITH_RSA, None), Ok(SignatureAlgorithm::RsaPkcs1Sha256));
        assert!(matches!(read(oid::SHA256_WITH_RSA, Some(&[4, 0])), Err(SignatureError::Parameters { .. })));
        assert!(matches!(read(oid::ECDSA_WITH_SHA256, Some(NULL)), Err(SignatureError::Parameters { .. })));
        assert!(matches!(read(oid::ED25519, Some(NULL)), Err(SignatureError::Parameters { .. })));
        for (hash, mask) in [(true, false), (false, true), (false, false)] {
            let parameters = rsa_parameters::pss(Digest::Sha384, hash, mask);
            assert_eq!(read(oid::RSASSA_PSS, Some(&parameters)), Ok(SignatureAlgorithm::RsaPssSha384));
        }
        let mut other_salt = rsa_parameters::pss(Digest::Sha256, true, true);
        *other_salt.last_mut().unwrap() = 20;
        let mut other_mask = rsa_parameters::pss(Digest::Sha256, true, true);
        // The last octet of the mask's digest.
        let position = other_mask.len() - 8;
        assert_eq!(other_mask[position], 1);
        other_mask[position] = 2;
        for parameters in [None, Some(&other_salt[..]), Some(&other_mask[..])] {
            assert!(matches!(read(oid::RSASSA_PSS, parameters), Err(SignatureError::Parameters { .. })));
        }
    }

    #[test]
    fn broken_digests_and_unknown_algorithms_are_told_apart() {
        let read = |oid, parameters: Option<&[u8]>| {
            SignatureAlgorithm::from_identifier(&AlgorithmIdentifier::new(oid, parameters))
        };
        assert_eq!(read(oid::MD5_WITH_RSA, Some(NULL)), Err(SignatureError::WeakDigest { digest: "MD5" }));
        assert_eq!(read(oid::SHA1_WITH_RSA, Some(NULL)), Err(SignatureError::WeakDigest { digest: "SHA-1" }));
        assert_eq!(read(oid::ECDSA_WITH_SHA1, None), Err(SignatureError::WeakDigest { digest: "SHA-1" }));
        assert_eq!(read(oid::RSASSA_PSS, Some(&[0x30, 0])), Err(SignatureError::WeakDigest { digest: "SHA-1" }));
        let unknown = oid::ECDSA_WITH_SHA224;
        assert_eq!(read(unknown.clone(), None), Err(SignatureError::Unsupported { algorithm: unknown }));
    }
}
