//! Keys in memory: read from PEM or generated, signing with the crypto backend.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use estd_asn1::{Oid, SubjectPublicKeyInfo, oid};
use pkcs8::der::pem::LineEnding;
use pkcs8::{PrivateKeyInfo, SecretDocument};
use zeroize::Zeroizing;

use super::signer::{Signer, SignerError};
use crate::pki::generated_key::{GeneratedKey, KeySpec};
use crate::pki::public_key::{self, KeyPolicy, KeyType, PublicKey};
use crate::pki::signature::SignatureAlgorithm;

/// Size of the RSA keys that are generated: as strong as P-256 (NIST SP 800-57 part 1 section 5.6.1).
const GENERATED_RSA: KeySpec = KeySpec::Rsa3072;

/// A private key in the memory of this process. The backend wipes it on drop; there is no way to copy or show it.
pub struct SoftwareSigner {
    key: PrivateKey,
    public_key: SubjectPublicKeyInfo,
}

/// The key in the form the backend takes.
enum PrivateKey {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SoftwareSigner {
    /// Reads the first private key in a PEM text: PKCS #8 (RFC 5958), SEC 1 (RFC 5915) or PKCS #1 (RFC 8017). Other
    /// blocks are passed over, so a file may hold EC parameters or certificates as well.
    ///
    /// # Errors
    /// When there is no such block, or the key in it is encrypted, invalid, weak or of a kind that does not sign here.
    pub fn from_pem(pem: &str) -> Result<Self, SignerError> {
        let (label, block) = private_key_block(pem)?;
        let malformed = |_| SignerError::Malformed { label: label.as_str() };
        let (_, der) = SecretDocument::from_pem(block).map_err(malformed)?;
        let key = match label {
            Label::Pkcs8 => PrivateKey::from_pkcs8(der.as_bytes())?,
            Label::Sec1 => PrivateKey::from_sec1(der.as_bytes())?,
            Label::Pkcs1 => PrivateKey::from_pkcs1(der.as_bytes(), label)?,
        };
        Self::new(key)
    }

    /// Generates a key, and gives it together with its PKCS #8 in PEM, to be stored. RSA keys have 3072 bits.
    ///
    /// # Errors
    /// When the backend fails, or for a kind of key that does not sign here.
    pub fn generate(key_type: KeyType) -> Result<(Self, Zeroizing<String>), SignerError> {
        let spec = match key_type {
            KeyType::P256 => KeySpec::P256,
            KeyType::P384 => KeySpec::P384,
            KeyType::Ed25519 => KeySpec::Ed25519,
            KeyType::Rsa => GENERATED_RSA,
            KeyType::P521 => return Err(SignerError::Unsupported { found: key_type.to_string() }),
        };
        let key = GeneratedKey::generate(spec).map_err(|_| SignerError::Generation)?;
        let document = SecretDocument::try_from(key.private_key_info()).map_err(|_| SignerError::Generation)?;
        let pem = document.to_pem(Label::Pkcs8.as_str(), LineEnding::LF).map_err(|_| SignerError::Generation)?;
        let signer = Self::new(PrivateKey::from_pkcs8(document.as_bytes())?)?;
        Ok((signer, pem))
    }

    fn new(key: PrivateKey) -> Result<Self, SignerError> {
        let public_key = key.public_key();
        PublicKey::check(&public_key, &KeyPolicy::default())?;
        Ok(Self { key, public_key })
    }
}

impl Signer for SoftwareSigner {
    fn algorithm(&self) -> SignatureAlgorithm {
        match &self.key {
            PrivateKey::P256(_) => SignatureAlgorithm::EcdsaSha256,
            PrivateKey::P384(_) => SignatureAlgorithm::EcdsaSha384,
            PrivateKey::Rsa(_) => SignatureAlgorithm::RsaPkcs1Sha256,
            PrivateKey::Ed25519(_) => SignatureAlgorithm::Ed25519,
        }
    }

    fn public_key(&self) -> &SubjectPublicKeyInfo {
        &self.public_key
    }

    // The backend signs in memory and checks its RSA signatures for faults by itself; to verify each ECDSA signature again
    // would be a third of the CPU of an enrollment. That the key fits its certificate was proven at start.
    fn is_external(&self) -> bool {
        false
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        let random = SystemRandom::new();
        match &self.key {
            PrivateKey::P256(key) | PrivateKey::P384(key) => {
                let signature = key.sign(&random, message).map_err(|_| SignerError::Signing)?;
                Ok(signature.as_ref().to_vec())
            }
            PrivateKey::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| SignerError::Signing)?;
                Ok(signature)
            }
            PrivateKey::Ed25519(key) => {
                let signature = key.try_sign(message).map_err(|_| SignerError::Signing)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }
}

impl PrivateKey {
    fn from_pkcs8(der: &[u8]) -> Result<Self, SignerError> {
        let malformed = SignerError::Malformed { label: Label::Pkcs8.as_str() };
        let info = PrivateKeyInfo::try_from(der).map_err(|_| malformed.clone())?;
        let parse = |oid: pkcs8::ObjectIdentifier| Oid::parse(&oid.to_string()).ok_or(malformed.clone());
        let algorithm = parse(info.algorithm.oid)?;
        if algorithm == oid::RSA_ENCRYPTION {
            return Self::from_pkcs1(info.private_key, Label::Pkcs8);
        }
        if algorithm == oid::ED25519 {
            return Ed25519KeyPair::from_pkcs8(der).map(Self::Ed25519).map_err(|_| malformed);
        }
        if algorithm != oid::EC_PUBLIC_KEY {
            return Err(SignerError::Unsupported { found: algorithm.to_string() });
        }
        // RFC 5480 §2.1.1: the parameters of a key on a named curve are the curve's identifier.
        let curve = parse(info.algorithm.parameters_oid().map_err(|_| malformed.clone())?)?;
        let (algorithm, wrap) = ecdsa(&curve)?;
        EcdsaKeyPair::from_pkcs8(algorithm, der).map(wrap).map_err(|_| malformed)
    }

    /// RFC 5915: the curve stands inside the key, where the backend holds it against the one asked for.
    fn from_sec1(der: &[u8]) -> Result<Self, SignerError> {
        let read = |curve: Oid| {
            let (algorithm, wrap) = ecdsa(&curve).ok()?;
            EcdsaKeyPair::from_private_key_der(algorithm, der).ok().map(wrap)
        };
        let key = read(oid::SECP256R1).or_else(|| read(oid::SECP384R1));
        key.ok_or(SignerError::Malformed { label: Label::Sec1.as_str() })
    }

    fn from_pkcs1(der: &[u8], label: Label) -> Result<Self, SignerError> {
        RsaKeyPair::from_der(der).map(Self::Rsa).map_err(|_| SignerError::Malformed { label: label.as_str() })
    }

    fn public_key(&self) -> SubjectPublicKeyInfo {
        let (key_type, key) = match self {
            Self::P256(key) => (KeyType::P256, key.public_key().as_ref()),
            Self::P384(key) => (KeyType::P384, key.public_key().as_ref()),
            Self::Rsa(key) => (KeyType::Rsa, key.public_key().as_ref()),
            Self::Ed25519(key) => (KeyType::Ed25519, key.public_key().as_ref()),
        };
        public_key::subject_public_key_info(key_type, key)
    }
}

/// The backend's algorithm for a curve, and where its key pairs go.
type Ecdsa = (&'static EcdsaSigningAlgorithm, fn(EcdsaKeyPair) -> PrivateKey);

fn ecdsa(curve: &Oid) -> Result<Ecdsa, SignerError> {
    if *curve == oid::SECP256R1 {
        Ok((&ECDSA_P256_SHA256_ASN1_SIGNING, PrivateKey::P256))
    } else if *curve == oid::SECP384R1 {
        Ok((&ECDSA_P384_SHA384_ASN1_SIGNING, PrivateKey::P384))
    } else {
        Err(SignerError::Unsupported { found: format!("on curve {curve}") })
    }
}

/// A PEM label of a private key.
#[derive(Clone, Copy)]
enum Label {
    Pkcs8,
    Sec1,
    Pkcs1,
}

impl Label {
    const ALL: [Self; 3] = [Self::Pkcs8, Self::Sec1, Self::Pkcs1];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Pkcs8 => "PRIVATE KEY",
            Self::Sec1 => "EC PRIVATE KEY",
            Self::Pkcs1 => "RSA PRIVATE KEY",
        }
    }
}

/// The first block of a private key, and what it is.
fn private_key_block(pem: &str) -> Result<(Label, &str), SignerError> {
    let starts = Label::ALL.into_iter().filter_map(|label| {
        let start = pem.find(&format!("-----BEGIN {}-----", label.as_str()))?;
        Some((start, label))
    });
    let Some((start, label)) = starts.min_by_key(|(start, _)| *start) else {
        let encrypted = pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----");
        return Err(if encrypted { SignerError::Encrypted } else { SignerError::NoPrivateKey });
    };
    let end = format!("-----END {}-----", label.as_str());
    let block = &pem[start..];
    let length = block.find(&end).ok_or(SignerError::Malformed { label: label.as_str() })? + end.len();
    let block = &block[..length];
    // RFC 1421's headers, which openssl's traditional formats use for encryption alone.
    if block.contains("Proc-Type: 4,ENCRYPTED") { Err(SignerError::Encrypted) } else { Ok((label, block)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ecdsa::signature::Verifier as _;
    use p256::pkcs8::EncodePrivateKey as _;
    use pkcs8::DecodePublicKey as _;
    use rsa::pkcs1::EncodeRsaPrivateKey as _;
    use rsa::pkcs8::DecodePrivateKey as _;
    use rsa::traits::PublicKeyParts as _;

    const MESSAGE: &[u8] = b"to be signed";

    /// The RustCrypto crates verify what the backend signed, with the key in the form it leaves us.
    fn verifies_elsewhere(signer: &SoftwareSigner) -> bool {
        let signature = signer.sign(MESSAGE).unwrap();
        let spki = signer.public_key().der();
        match signer.algorithm() {
            SignatureAlgorithm::EcdsaSha256 => {
                let key = p256::ecdsa::VerifyingKey::from_public_key_der(spki).unwrap();
                key.verify(MESSAGE, &p256::ecdsa::DerSignature::from_bytes(&signature).unwrap()).is_ok()
            }
            SignatureAlgorithm::EcdsaSha384 => {
                let key = p384::ecdsa::VerifyingKey::from_public_key_der(spki).unwrap();
                key.verify(MESSAGE, &p384::ecdsa::DerSignature::from_bytes(&signature).unwrap()).is_ok()
            }
            SignatureAlgorithm::RsaPkcs1Sha256 => {
                let key = rsa::RsaPublicKey::from_public_key_der(spki).unwrap();
                let digest = crate::pki::digest::sha256(&[MESSAGE]);
                let scheme = rsa::Pkcs1v15Sign {
                    hash_len: Some(digest.len()),
                    prefix: SHA256_DIGEST_INFO.to_vec().into_boxed_slice(),
                };
                key.verify(scheme, &digest, &signature).is_ok()
            }
            // The vector of RFC 8032 below is the second opinion.
            SignatureAlgorithm::Ed25519 => {
                let key = PublicKey::check(signer.public_key(), &KeyPolicy::default()).unwrap();
                crate::pki::signature::verify(&key, SignatureAlgorithm::Ed25519, MESSAGE, &signature).is_ok()
            }
            other @ (SignatureAlgorithm::RsaPkcs1Sha384
            | SignatureAlgorithm::RsaPkcs1Sha512
            | SignatureAlgorithm::RsaPssSha256
            | SignatureAlgorithm::RsaPssSha384
            | SignatureAlgorithm::RsaPssSha512
            | SignatureAlgorithm::EcdsaSha512) => panic!("no signer uses {other:?}"),
        }
    }

    /// What stands before a SHA-256 digest in PKCS #1 v1.5 (RFC 8017 section 9.2 note 1).
    const SHA256_DIGEST_INFO: &[u8] = &[
        0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04,
        0x20,
    ];

    #[test]
    fn generated_keys_sign_and_are_read_again() {
        for key_type in [KeyType::P256, KeyType::P384, KeyType::Rsa, KeyType::Ed25519] {
            let (signer, pem) = SoftwareSigner::generate(key_type).unwrap();
            assert!(verifies_elsewhere(&signer), "{key_type}");
            let read = SoftwareSigner::from_pem(&pem).unwrap();
            assert_eq!(read.public_key(), signer.public_key());
            assert!(verifies_elsewhere(&read), "{key_type}");
        }
        assert!(matches!(SoftwareSigner::generate(KeyType::P521), Err(SignerError::Unsupported { .. })));
    }

    #[test]
    fn a_generated_rsa_key_has_3072_bits() {
        let (_, pem) = SoftwareSigner::generate(KeyType::Rsa).unwrap();
        assert_eq!(rsa::RsaPrivateKey::from_pkcs8_pem(&pem).unwrap().n().bits(), 3072);
    }

    /// RFC 8032 section 7.1, test 2: an Ed25519 signature has one value.
    #[test]
    fn ed25519_signs_as_the_rfc_does() {
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n\
                   -----END PRIVATE KEY-----\n";
        let signature = SoftwareSigner::from_pem(pem).unwrap().sign(&[0x72]).unwrap();
        let expected = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                        085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(crate::pki::digest::hex(&signature), expected);
    }

    #[test]
    fn every_format_of_a_key_gives_the_same_key() {
        let (signer, pem) = SoftwareSigner::generate(KeyType::P256).unwrap();
        let secret = p256::SecretKey::from_pkcs8_pem(&pem).unwrap();
        let sec1 = secret.to_sec1_pem(LineEnding::CRLF).unwrap();
        // What `openssl ecparam -genkey` writes, certificates in the same file.
        let bundle = format!(
            "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}\n\
             -----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
            sec1.as_str()
        );
        for text in [sec1.as_str(), &bundle, &secret.to_pkcs8_pem(LineEnding::LF).unwrap()] {
            assert_eq!(SoftwareSigner::from_pem(text).unwrap().public_key(), signer.public_key());
        }

        let (signer, pem) = SoftwareSigner::generate(KeyType::Rsa).unwrap();
        let pkcs1 = rsa::RsaPrivateKey::from_pkcs8_pem(&pem).unwrap().to_pkcs1_pem(LineEnding::LF).unwrap();
        assert_eq!(SoftwareSigner::from_pem(&pkcs1).unwrap().public_key(), signer.public_key());
    }

    #[test]
    fn what_is_no_usable_key_says_why() {
        let (_, pem) = SoftwareSigner::generate(KeyType::P256).unwrap();
        let encrypted = pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let traditional = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAA==\n\
                           -----END EC PRIVATE KEY-----\n";
        let curve = p521::SecretKey::from_slice(&[[0; 65].as_slice(), &[7]].concat()).unwrap();
        let curve = curve.to_pkcs8_pem(LineEnding::LF).unwrap();
        let malformed = |label| SignerError::Malformed { label };
        for (text, error) in [
            ("", SignerError::NoPrivateKey),
            ("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", SignerError::NoPrivateKey),
            (&encrypted, SignerError::Encrypted),
            (traditional, SignerError::Encrypted),
            (pem.trim_end_matches("-----\n"), malformed("PRIVATE KEY")),
            ("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", malformed("PRIVATE KEY")),
            ("-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n", malformed("EC PRIVATE KEY")),
            ("-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n", malformed("RSA PRIVATE KEY")),
            (&curve, SignerError::Unsupported { found: "on curve 1.3.132.0.35".into() }),
        ] {
            assert_eq!(SoftwareSigner::from_pem(text).err(), Some(error), "{text}");
        }
    }
}
