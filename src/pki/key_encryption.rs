//! How a private key on its way to its owner is encrypted: recipients, algorithms, and the choice among those that a
//! client is willing to use (RFC 7030 section 4.4.1).

use estd_asn1::key_protection::MAX_KEY_IDENTIFIER;
use estd_asn1::{AlgorithmIdentifier, Oid, oid};
use zeroize::Zeroizing;

use super::public_key::PublicKey;
use super::rsa_parameters::{self, Digest};

/// A size of AES key, for content (CBC) and for keys (key wrap).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AesSize {
    /// 128 bits.
    Aes128,
    /// 192 bits.
    Aes192,
    /// 256 bits.
    Aes256,
}

impl AesSize {
    /// Every size.
    pub const ALL: [Self; 3] = [Self::Aes128, Self::Aes192, Self::Aes256];

    /// The size of a key of so many octets.
    pub fn of(octets: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.octets() == octets)
    }

    /// Octets of a key.
    pub const fn octets(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    /// Bits of a key, which are its strength as well.
    pub const fn bits(self) -> u16 {
        match self {
            Self::Aes128 => 128,
            Self::Aes192 => 192,
            Self::Aes256 => 256,
        }
    }

    /// RFC 3565 section 2.3.2: the AlgorithmIdentifier of the key wrap, its parameters absent.
    pub fn key_wrap(self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::new(self.key_wrap_oid(), None)
    }

    /// RFC 3565 section 4.1: the AlgorithmIdentifier of AES-CBC; `iv` is the TLV of an OCTET STRING.
    pub fn cbc(self, iv: &[u8]) -> AlgorithmIdentifier {
        AlgorithmIdentifier::new(self.cbc_oid(), Some(iv))
    }

    fn key_wrap_oid(self) -> Oid {
        match self {
            Self::Aes128 => oid::AES128_WRAP,
            Self::Aes192 => oid::AES192_WRAP,
            Self::Aes256 => oid::AES256_WRAP,
        }
    }

    fn cbc_oid(self) -> Oid {
        match self {
            Self::Aes128 => oid::AES128_CBC,
            Self::Aes192 => oid::AES192_CBC,
            Self::Aes256 => oid::AES256_CBC,
        }
    }

    fn of_key_wrap(algorithm: &AlgorithmIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|size| is_plain(algorithm, &size.key_wrap_oid()))
    }

    fn of_cbc(algorithm: &AlgorithmIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|size| is_plain(algorithm, &size.cbc_oid()))
    }
}

/// How a key is encrypted to an RSA key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyTransport {
    /// RSAES-OAEP with SHA-256 for digest and mask (RFC 3560, RFC 4055).
    OaepSha256,
    /// RSAES-PKCS1-v1_5 (RFC 3370 section 4.2.1).
    Pkcs1,
}

impl KeyTransport {
    /// keyEncryptionAlgorithm
    pub fn identifier(self) -> AlgorithmIdentifier {
        match self {
            Self::OaepSha256 => {
                AlgorithmIdentifier::new(oid::RSAES_OAEP, Some(&rsa_parameters::oaep(Digest::Sha256, true, true)))
            }
            Self::Pkcs1 => AlgorithmIdentifier::new(oid::RSA_ENCRYPTION, Some(NULL)),
        }
    }
}

/// The keyEncryptionAlgorithm of a key agreement: ephemeral-static ECDH, X9.63 key derivation with SHA-256, and the key
/// wrap that the agreed key is for (RFC 5753 section 3.1.1).
pub fn key_agreement(key_wrap: AesSize) -> AlgorithmIdentifier {
    AlgorithmIdentifier::new(oid::DH_SINGLE_PASS_STD_DH_SHA256_KDF, Some(key_wrap.key_wrap().der()))
}

/// A key that the server shares with devices, and what they call it. Wiped when dropped; there is no way to show it.
pub struct SharedKey {
    identifier: Vec<u8>,
    size: AesSize,
    octets: Zeroizing<Vec<u8>>,
}

/// Why octets are no shared key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharedKeyError {
    /// The identifier could stand in no request.
    #[error("the identifier of a key has 1 to {MAX_KEY_IDENTIFIER} octets, this one has {0}")]
    Identifier(usize),
    /// Not an AES key.
    #[error("an aes key has 16, 24 or 32 octets, this one has {0}")]
    Size(usize),
}

impl SharedKey {
    /// A key under its identifier.
    ///
    /// # Errors
    /// When one of them has a length that cannot be.
    pub fn new(identifier: Vec<u8>, octets: Zeroizing<Vec<u8>>) -> Result<Self, SharedKeyError> {
        if !(1..=MAX_KEY_IDENTIFIER).contains(&identifier.len()) {
            return Err(SharedKeyError::Identifier(identifier.len()));
        }
        let size = AesSize::of(octets.len()).ok_or(SharedKeyError::Size(octets.len()))?;
        Ok(Self { identifier, size, octets })
    }

    /// What a request calls it.
    pub fn identifier(&self) -> &[u8] {
        &self.identifier
    }

    /// How long it is.
    pub fn size(&self) -> AesSize {
        self.size
    }

    /// The key.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }
}

/// Whom a private key is encrypted to, and how.
pub enum Recipient<'a> {
    /// Whoever holds this key.
    SharedKey(&'a SharedKey),
    /// Whoever holds the private half of this RSA key.
    KeyTransport {
        /// What the request called it.
        identifier: Vec<u8>,
        /// The key.
        key: PublicKey,
        /// How.
        transport: KeyTransport,
    },
    /// Whoever holds the private half of this key on a NIST curve.
    KeyAgreement {
        /// What the request called it.
        identifier: Vec<u8>,
        /// The key.
        key: PublicKey,
        /// What the agreed key is for.
        key_wrap: AesSize,
    },
}

/// How a private key is encrypted.
pub struct Encryption<'a> {
    /// To whom.
    pub recipient: Recipient<'a>,
    /// With what.
    pub content: AesSize,
}

/// The algorithms that a client is willing to use, in its order of preference.
#[derive(Debug, Clone, Copy)]
pub struct Capabilities<'a>(pub &'a [AlgorithmIdentifier]);

impl Capabilities<'_> {
    /// Whether the client unwraps keys with a key of this size.
    pub fn has_key_wrap(self, size: AesSize) -> bool {
        self.0.iter().any(|algorithm| AesSize::of_key_wrap(algorithm) == Some(size))
    }

    /// The best way to encrypt to an RSA key: OAEP before PKCS #1 v1.5, in whatever order they are listed.
    pub fn key_transport(self) -> Option<KeyTransport> {
        if self.0.iter().any(is_oaep_sha256) {
            Some(KeyTransport::OaepSha256)
        } else {
            let pkcs1 = self.0.iter().any(|algorithm| is_plain(algorithm, &oid::RSA_ENCRYPTION));
            pkcs1.then_some(KeyTransport::Pkcs1)
        }
    }

    /// The key wrap for a key agreement; see `preferred`.
    ///
    /// RFC 5753 section 6: the key wrap stands in the parameters of the scheme.
    pub fn key_agreement(self, strength: u16) -> Option<AesSize> {
        let key_wrap = |algorithm: &AlgorithmIdentifier| {
            let parameters = algorithm.parameters()?;
            (*algorithm.oid() == oid::DH_SINGLE_PASS_STD_DH_SHA256_KDF)
                .then(|| AlgorithmIdentifier::decode(parameters).ok())
                .flatten()
                .and_then(|key_wrap| AesSize::of_key_wrap(&key_wrap))
        };
        preferred(self.0.iter().filter_map(key_wrap), strength)
    }

    /// The content encryption; see `preferred`. A list that names none at all, since RFC 7030 asks for the key
    /// encryption alone, leaves it to the server.
    pub fn content_encryption(self, strength: u16) -> Option<AesSize> {
        let ours = preferred(self.0.iter().filter_map(AesSize::of_cbc), strength);
        let names_others = || self.0.iter().any(|algorithm| OTHER_CONTENT_ENCRYPTION.contains(algorithm.oid()));
        ours.or_else(|| (!names_others()).then_some(AesSize::Aes256))
    }
}

/// The first that is as strong as the key to be protected; when none is, the strongest.
fn preferred(listed: impl Iterator<Item = AesSize> + Clone, strength: u16) -> Option<AesSize> {
    listed.clone().find(|size| size.bits() >= strength).or_else(|| listed.max())
}

/// Content encryption that clients are known to list and that is not used here: broken, or of another content type.
const OTHER_CONTENT_ENCRYPTION: [Oid; 5] =
    [oid::DES_EDE3_CBC, oid::RC2_CBC, oid::AES128_GCM, oid::AES192_GCM, oid::AES256_GCM];

/// DER of NULL.
const NULL: &[u8] = &[0x05, 0x00];

/// The algorithm without parameters. RFC 8551 section 2.5.2 has them omitted; NULL says as little.
fn is_plain(algorithm: &AlgorithmIdentifier, oid: &Oid) -> bool {
    algorithm.oid() == oid && algorithm.parameters().is_none_or(|parameters| parameters == NULL)
}

/// RFC 4055 section 2.1: the digests stand with NULL parameters or with none; and as RFC 3560 section 5 prints it.
fn is_oaep_sha256(algorithm: &AlgorithmIdentifier) -> bool {
    let forms = [
        rsa_parameters::oaep(Digest::Sha256, true, true),
        rsa_parameters::oaep(Digest::Sha256, false, false),
        rsa_parameters::oaep_as_printed(Digest::Sha256),
    ];
    *algorithm.oid() == oid::RSAES_OAEP
        && algorithm.parameters().is_some_and(|parameters| forms.iter().any(|form| form == parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(oid: Oid) -> AlgorithmIdentifier {
        AlgorithmIdentifier::new(oid, None)
    }

    #[test]
    fn a_key_wrap_counts_when_it_is_listed_in_that_size() {
        let listed = [plain(oid::AES128_WRAP), AlgorithmIdentifier::new(oid::AES256_WRAP, Some(NULL))];
        let capabilities = Capabilities(&listed);
        assert!(capabilities.has_key_wrap(AesSize::Aes128) && capabilities.has_key_wrap(AesSize::Aes256));
        assert!(!capabilities.has_key_wrap(AesSize::Aes192));
        let odd = [AlgorithmIdentifier::new(oid::AES128_WRAP, Some(&[0x30, 0]))];
        assert!(!Capabilities(&odd).has_key_wrap(AesSize::Aes128));
    }

    #[test]
    fn oaep_comes_before_pkcs1_and_only_with_sha256() {
        let oaep = |parameters: Option<&[u8]>| AlgorithmIdentifier::new(oid::RSAES_OAEP, parameters);
        let chosen = |listed: &[AlgorithmIdentifier]| Capabilities(listed).key_transport();
        let sha256 = KeyTransport::OaepSha256.identifier();
        assert_eq!(chosen(&[plain(oid::RSA_ENCRYPTION), sha256]), Some(KeyTransport::OaepSha256));
        let printed = oaep(Some(&rsa_parameters::oaep_as_printed(Digest::Sha256)));
        assert_eq!(chosen(&[printed]), Some(KeyTransport::OaepSha256));
        // SHA-1, by default and so in an empty SEQUENCE; and another digest.
        let sha512 = rsa_parameters::oaep(Digest::Sha512, true, true);
        for other in [oaep(None), oaep(Some(&[0x30, 0])), oaep(Some(&sha512))] {
            assert_eq!(chosen(std::slice::from_ref(&other)), None);
            assert_eq!(chosen(&[other, plain(oid::RSA_ENCRYPTION)]), Some(KeyTransport::Pkcs1));
        }
        assert_eq!(chosen(&[plain(oid::AES256_WRAP)]), None);
    }

    #[test]
    fn an_agreement_counts_with_a_key_wrap_of_ours() {
        let chosen = |listed: &[AlgorithmIdentifier], strength| Capabilities(listed).key_agreement(strength);
        let (weak, strong) = (key_agreement(AesSize::Aes128), key_agreement(AesSize::Aes256));
        // RFC 5753 section 6, KA=ECDH standard KDF=SHA-256 Wrap=AES-128.
        let printed = [
            0x30, 0x15, 0x06, 0x06, 0x2b, 0x81, 0x04, 0x01, 0x0b, 0x01, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
            0x65, 0x03, 0x04, 0x01, 0x05,
        ];
        assert_eq!(weak.der(), printed);
        assert_eq!(chosen(&[weak.clone(), strong.clone()], 128), Some(AesSize::Aes128), "the client's preference");
        assert_eq!(chosen(&[weak.clone(), strong], 192), Some(AesSize::Aes256), "as strong as the key");
        assert_eq!(chosen(&[weak], 192), Some(AesSize::Aes128), "or as strong as can be");
        for other in [plain(oid::AES256_WRAP), plain(oid::DH_SINGLE_PASS_STD_DH_SHA256_KDF)] {
            assert_eq!(chosen(&[other], 128), None);
        }
    }

    #[test]
    fn content_is_encrypted_as_the_client_lists_it_or_as_the_server_likes() {
        let chosen = |listed: &[Oid], strength| {
            let listed: Vec<_> = listed.iter().cloned().map(plain).collect();
            Capabilities(&listed).content_encryption(strength)
        };
        assert_eq!(chosen(&[oid::AES128_CBC, oid::AES256_CBC], 128), Some(AesSize::Aes128));
        assert_eq!(chosen(&[oid::AES128_CBC, oid::AES256_CBC], 192), Some(AesSize::Aes256));
        assert_eq!(chosen(&[oid::AES128_CBC, oid::AES192_CBC], 256), Some(AesSize::Aes192));
        assert_eq!(chosen(&[oid::AES256_WRAP], 128), Some(AesSize::Aes256));
        assert_eq!(chosen(&[oid::AES256_WRAP, oid::DES_EDE3_CBC], 128), None, "it does without AES-CBC");
        assert_eq!(chosen(&[oid::AES256_GCM, oid::AES128_CBC], 128), Some(AesSize::Aes128));
    }

    #[test]
    fn a_shared_key_is_an_aes_key_with_a_name() {
        let new = |identifier: usize, octets: usize| {
            SharedKey::new(vec![1; identifier], Zeroizing::new(vec![2; octets])).map(|key| key.size()).err()
        };
        for octets in [16, 24, 32] {
            assert_eq!(new(1, octets), None);
        }
        assert_eq!(new(MAX_KEY_IDENTIFIER, 16), None);
        assert_eq!(new(0, 16), Some(SharedKeyError::Identifier(0)));
        assert_eq!(new(MAX_KEY_IDENTIFIER + 1, 16), Some(SharedKeyError::Identifier(MAX_KEY_IDENTIFIER + 1)));
        for octets in [0, 15, 17, 33] {
            assert_eq!(new(1, octets), Some(SharedKeyError::Size(octets)));
        }
    }
}
