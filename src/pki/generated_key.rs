//! Key pairs made here (RFC 7030 section 4.4): for devices that cannot make their own, and for signers of ours.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use estd_asn1::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use super::public_key::{self, KeyPolicy, KeyType, PublicKey, PublicKeyError};

/// A kind and size of key that is made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySpec {
    /// P-256.
    P256,
    /// P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA of 2048 bits.
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
    /// RSA of 4096 bits.
    Rsa4096,
}

impl KeySpec {
    /// All of them; those that serve most purposes at the least cost first.
    pub const ALL: [Self; 6] = [Self::P256, Self::P384, Self::Ed25519, Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];

    /// Its name: p256, p384, ed25519, rsa2048, rsa3072 or rsa4096.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Ed25519 => "ed25519",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
        }
    }

    /// The key for a device, of those that `policy` allows: of the kind in its request, if that can be, and for RSA at
    /// least as long as that one. `None` when the policy allows none that can be made.
    ///
    /// RFC 7030 section 4.4.1 has the server ignore the key in a request; it is taken for no more than a wish.
    pub fn choose(policy: &KeyPolicy, claimed: &SubjectPublicKeyInfo) -> Option<Self> {
        let allowed = || Self::ALL.into_iter().filter(|spec| spec.is_allowed(policy));
        let wished = public_key::claimed_kind(claimed).and_then(|(key_type, bits)| {
            let of_kind = || allowed().filter(move |spec| spec.key_type() == key_type);
            of_kind().find(|spec| u64::from(spec.rsa_bits()) >= bits).or_else(|| of_kind().next_back())
        });
        wished.or_else(|| allowed().next())
    }

    /// The kind of key.
    pub const fn key_type(self) -> KeyType {
        match self {
            Self::P256 => KeyType::P256,
            Self::P384 => KeyType::P384,
            Self::Ed25519 => KeyType::Ed25519,
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => KeyType::Rsa,
        }
    }

    /// What protects such a key must offer as many bits of security (NIST SP 800-57 part 1 section 5.6.1; the levels in
    /// between are rounded up).
    pub const fn strength(self) -> u16 {
        match self {
            Self::Rsa2048 => 112,
            Self::P256 | Self::Ed25519 | Self::Rsa3072 => 128,
            Self::P384 | Self::Rsa4096 => 192,
        }
    }

    const fn rsa_bits(self) -> u32 {
        match self {
            Self::P256 | Self::P384 | Self::Ed25519 => 0,
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
        }
    }

    /// Whether `policy` allows such keys.
    pub fn is_allowed(self, policy: &KeyPolicy) -> bool {
        let size = policy.rsa_min_bits..=policy.rsa_max_bits;
        policy.allowed.contains(&self.key_type()) && (self.rsa_bits() == 0 || size.contains(&self.rsa_bits()))
    }
}

/// No key was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenerationError {
    /// By the crypto backend's doing.
    #[error("the crypto backend made no key")]
    Backend,
    /// One came that nobody should use.
    #[error("the crypto backend made a key that is unsound: {0}")]
    Unsound(#[from] PublicKeyError),
}

/// A key pair made here. The private half is wiped when it is dropped; there is no way to copy or show it.
pub struct GeneratedKey {
    private_key_info: Zeroizing<Vec<u8>>,
    public_key: PublicKey,
}

impl GeneratedKey {
    /// Makes a key pair with the backend's own random source. RSA takes a good part of a second.
    ///
    /// # Errors
    /// When the backend fails, or what it made is unsound.
    pub fn generate(spec: KeySpec) -> Result<Self, GenerationError> {
        let (private_key_info, public_key) = match spec {
            KeySpec::P256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeySpec::P384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            KeySpec::Ed25519 => ed25519(),
            KeySpec::Rsa2048 => rsa(KeySize::Rsa2048),
            KeySpec::Rsa3072 => rsa(KeySize::Rsa3072),
            KeySpec::Rsa4096 => rsa(KeySize::Rsa4096),
        }
        .map_err(|_| GenerationError::Backend)?;
        let info = public_key::subject_public_key_info(spec.key_type(), &public_key);
        Ok(Self { private_key_info, public_key: PublicKey::check(&info, &KeyPolicy::default())? })
    }

    /// PrivateKeyInfo (RFC 5958) of version 1, DER.
    pub fn private_key_info(&self) -> &[u8] {
        &self.private_key_info
    }

    /// The same, to be handed on.
    pub fn into_private_key_info(self) -> Zeroizing<Vec<u8>> {
        self.private_key_info
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

/// PrivateKeyInfo, and the public half in the backend's form. The backend wipes its own copies.
type Halves = (Zeroizing<Vec<u8>>, Vec<u8>);

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Result<Halves, aws_lc_rs::error::Unspecified> {
    let key = EcdsaKeyPair::generate(algorithm)?;
    Ok((Zeroizing::new(key.to_pkcs8v1()?.as_ref().to_vec()), key.public_key().as_ref().to_vec()))
}

fn ed25519() -> Result<Halves, aws_lc_rs::error::Unspecified> {
    let key = Ed25519KeyPair::generate()?;
    Ok((Zeroizing::new(key.to_pkcs8v1()?.as_ref().to_vec()), key.public_key().as_ref().to_vec()))
}

fn rsa(size: KeySize) -> Result<Halves, aws_lc_rs::error::Unspecified> {
    let key = RsaKeyPair::generate(size)?;
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&key)?;
    Ok((Zeroizing::new(der.as_ref().to_vec()), key.public_key().as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing::TestKey;
    use estd_asn1::{AlgorithmIdentifier, oid};
    use pkcs8::{DecodePrivateKey as _, EncodePublicKey as _, PrivateKeyInfo};
    use rsa::traits::PublicKeyParts as _;

    fn generate(spec: KeySpec) -> GeneratedKey {
        GeneratedKey::generate(spec).unwrap()
    }

    /// KEY-01, and that the halves belong together, in the eyes of a second implementation.
    #[test]
    fn every_kind_is_a_private_key_info_of_version_1_with_its_public_half() {
        for spec in KeySpec::ALL {
            let key = generate(spec);
            assert_eq!(key.public_key().key_type(), spec.key_type());
            let info = PrivateKeyInfo::try_from(key.private_key_info()).unwrap();
            // RFC 5958 §2: version 2 is for a publicKey field.
            assert_eq!(info.public_key, None, "{spec:?}");
            let public = match spec {
                KeySpec::P256 => {
                    // RFC 5915 §3: the public key stands inside.
                    let inner = p256::SecretKey::from_sec1_der(info.private_key).unwrap();
                    inner.public_key().to_public_key_der().unwrap()
                }
                KeySpec::P384 => {
                    let inner = p384::SecretKey::from_sec1_der(info.private_key).unwrap();
                    inner.public_key().to_public_key_der().unwrap()
                }
                KeySpec::Ed25519 => {
                    // RFC 8410 §7: CurvePrivateKey is an OCTET STRING in the OCTET STRING.
                    assert!(matches!(info.private_key, [0x04, 0x20, seed @ ..] if seed.len() == 32));
                    continue;
                }
                KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => {
                    let inner = rsa::RsaPrivateKey::from_pkcs8_der(key.private_key_info()).unwrap();
                    assert_eq!(inner.n().bits(), spec.rsa_bits() as usize);
                    inner.to_public_key().to_public_key_der().unwrap()
                }
            };
            assert_eq!(key.public_key().spki_der(), public.as_bytes(), "{spec:?}");
        }
        assert_ne!(generate(KeySpec::P256).private_key_info(), generate(KeySpec::P256).private_key_info());
    }

    fn only(allowed: &[KeyType]) -> KeyPolicy {
        KeyPolicy { allowed: allowed.iter().copied().collect(), ..KeyPolicy::default() }
    }

    #[test]
    fn the_key_in_a_request_is_a_wish_among_what_is_allowed() {
        let any = KeyPolicy::default();
        for (key_type, expected) in [
            (KeyType::P256, KeySpec::P256),
            (KeyType::P384, KeySpec::P384),
            (KeyType::Ed25519, KeySpec::Ed25519),
            (KeyType::Rsa, KeySpec::Rsa2048),
            // Not made here: the first that is.
            (KeyType::P521, KeySpec::P256),
        ] {
            let claimed = TestKey::generate(key_type).spki;
            assert_eq!(KeySpec::choose(&any, &claimed), Some(expected), "{key_type}");
            assert_eq!(KeySpec::choose(&only(&[KeyType::Ed25519]), &claimed), Some(KeySpec::Ed25519));
            assert_eq!(KeySpec::choose(&only(&[KeyType::P521]), &claimed), None);
        }
        let unknown = SubjectPublicKeyInfo::new(AlgorithmIdentifier::new(oid::SHA256, None), &[0]);
        assert_eq!(KeySpec::choose(&any, &unknown), Some(KeySpec::P256));
    }

    #[test]
    fn an_rsa_key_is_as_long_as_the_one_in_the_request_within_what_is_allowed() {
        let claimed = |bits: usize| {
            let modulus = [&[0x30, 0x82, 0, 0, 0x02, 0x82, 0, 0, 0][..], &vec![0xff; bits / 8]].concat();
            let mut key = [modulus, vec![0x02, 0x03, 0x01, 0x00, 0x01]].concat();
            let (whole, inner) = (key.len() - 4, bits / 8 + 1);
            key[2..4].copy_from_slice(&(whole as u16).to_be_bytes());
            key[6..8].copy_from_slice(&(inner as u16).to_be_bytes());
            public_key::subject_public_key_info(KeyType::Rsa, &key)
        };
        let choose = |min, max, bits| {
            let policy = KeyPolicy { rsa_min_bits: min, rsa_max_bits: max, ..only(&[KeyType::Rsa]) };
            KeySpec::choose(&policy, &claimed(bits))
        };
        for (bits, expected) in [
            (1024, KeySpec::Rsa2048),
            (2048, KeySpec::Rsa2048),
            (2056, KeySpec::Rsa3072),
            (3072, KeySpec::Rsa3072),
            (4096, KeySpec::Rsa4096),
            (8192, KeySpec::Rsa4096),
        ] {
            assert_eq!(choose(2048, 4096, bits), Some(expected), "{bits}");
        }
        assert_eq!(choose(3072, 4096, 2048), Some(KeySpec::Rsa3072));
        assert_eq!(choose(2048, 3072, 4096), Some(KeySpec::Rsa3072));
        assert_eq!(choose(2049, 3071, 2048), None);
    }
}
