//! A private key encrypted to its recipient: EnvelopedData (RFC 5652 section 6) by the crypto backend.

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, EphemeralPrivateKey, UnparsedPublicKey};
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, EncryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use estd_asn1::enveloped_data::{self, EncryptedContent, RecipientInfo, RecipientKind};
use estd_asn1::{AlgorithmIdentifier, oid};
use zeroize::Zeroizing;

use crate::clock::{Entropy, EntropyFailure};
use crate::pki::digest::sha256;
use crate::pki::key_encryption::{AesSize, Encryption, KeyTransport, Recipient, key_agreement};
use crate::pki::public_key::{KeyType, PublicKey};

/// Why nothing was encrypted: our failure, never the client's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    /// No randomness for the key of the content.
    #[error(transparent)]
    Entropy(#[from] EntropyFailure),
    /// The crypto backend failed.
    #[error("the crypto backend did not encrypt")]
    Backend,
    /// A kind of key that nothing can be encrypted to; policy chooses none.
    #[error("nothing can be encrypted to a key of type {key_type}")]
    KeyType {
        /// What it is.
        key_type: KeyType,
    },
}

impl From<Unspecified> for SealFault {
    fn from(_: Unspecified) -> Self {
        Self::Backend
    }
}

/// Encrypts SignedData to its recipient, with a fresh key for the content. Everything secret is wiped.
///
/// # Errors
/// When the crypto backend or the random source fails.
pub(super) fn seal(
    signed_data: &[u8],
    encryption: &Encryption<'_>,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, SealFault> {
    let mut content_key = Zeroizing::new(vec![0; encryption.content.octets()]);
    entropy.fill(&mut content_key)?;
    let (algorithm, content) = encrypt_content(signed_data, encryption.content, &content_key)?;
    let content = EncryptedContent { content_type: oid::SIGNED_DATA, algorithm: &algorithm, octets: &content };
    match &encryption.recipient {
        Recipient::SharedKey(key) => {
            let recipient = RecipientInfo {
                kind: RecipientKind::SharedKey,
                key_identifier: key.identifier(),
                algorithm: &key.size().key_wrap(),
                encrypted_key: &wrap_key(key.octets(), key.size(), &content_key)?,
            };
            Ok(enveloped_data::encode(&recipient, &content))
        }
        Recipient::KeyTransport { identifier, key, transport } => {
            let recipient = RecipientInfo {
                kind: RecipientKind::KeyTransport,
                key_identifier: identifier,
                algorithm: &transport.identifier(),
                encrypted_key: &transport_key(key, *transport, &content_key)?,
            };
            Ok(enveloped_data::encode(&recipient, &content))
        }
        Recipient::KeyAgreement { identifier, key, key_wrap } => {
            let agreed = agree(key, *key_wrap)?;
            let recipient = RecipientInfo {
                kind: RecipientKind::KeyAgreement { originator: (key.algorithm(), &agreed.ephemeral) },
                key_identifier: identifier,
                algorithm: &key_agreement(*key_wrap),
                encrypted_key: &wrap_key(&agreed.key[..key_wrap.octets()], *key_wrap, &content_key)?,
            };
            Ok(enveloped_data::encode(&recipient, &content))
        }
    }
}

/// AES-CBC with PKCS #7 padding (RFC 3565 section 2.4.1) under a fresh IV.
fn encrypt_content(content: &[u8], size: AesSize, key: &[u8]) -> Result<(AlgorithmIdentifier, Vec<u8>), SealFault> {
    // Room for the padding: a buffer that grows would leave a copy of the content behind.
    let mut buffer = Zeroizing::new(Vec::with_capacity(content.len() + BLOCK));
    buffer.extend_from_slice(content);
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(cipher(size), key)?)?;
    let context = key.encrypt(&mut *buffer)?;
    let iv = <&[u8]>::try_from(&context)?;
    let parameters = [&[0x04, iv.len() as u8], iv].concat();
    Ok((size.cbc(&parameters), buffer.to_vec()))
}

/// RFC 3394 section 2.2.1. The backend's own key wrap has neither AES-192 nor wipes its copy of the key.
fn wrap_key(wrapping: &[u8], size: AesSize, key: &[u8]) -> Result<Vec<u8>, SealFault> {
    let cipher = EncryptingKey::ecb(UnboundCipherKey::new(cipher(size), wrapping)?)?;
    let mut wrapped = Zeroizing::new([&KEY_WRAP_IV[..], key].concat());
    let count = key.len() / HALF_BLOCK;
    let mut block = Zeroizing::new([0; BLOCK]);
    for step in 0..6 * count {
        let at = HALF_BLOCK * (1 + step % count);
        block[..HALF_BLOCK].copy_from_slice(&wrapped[..HALF_BLOCK]);
        block[HALF_BLOCK..].copy_from_slice(&wrapped[at..at + HALF_BLOCK]);
        cipher.encrypt(&mut block[..])?;
        for (octet, counter) in block.iter_mut().zip((step as u64 + 1).to_be_bytes()) {
            *octet ^= counter;
        }
        wrapped[..HALF_BLOCK].copy_from_slice(&block[..HALF_BLOCK]);
        wrapped[at..at + HALF_BLOCK].copy_from_slice(&block[HALF_BLOCK..]);
    }
    Ok(wrapped.to_vec())
}

fn transport_key(recipient: &PublicKey, transport: KeyTransport, key: &[u8]) -> Result<Vec<u8>, SealFault> {
    let recipient = PublicEncryptingKey::from_der(recipient.spki_der()).map_err(|_| SealFault::Backend)?;
    let mut encrypted = vec![0; recipient.key_size_bytes()];
    let length = match transport {
        KeyTransport::OaepSha256 => {
            let recipient = OaepPublicEncryptingKey::new(recipient)?;
            recipient.encrypt(&OAEP_SHA256_MGF1SHA256, key, &mut encrypted, None)?.len()
        }
        KeyTransport::Pkcs1 => Pkcs1PublicEncryptingKey::new(recipient)?.encrypt(key, &mut encrypted)?.len(),
    };
    encrypted.truncate(length);
    Ok(encrypted)
}

/// A key agreed with a recipient.
struct Agreed {
    /// Our half, as the recipient needs it: an uncompressed point.
    ephemeral: Vec<u8>,
    /// As long as the longest key.
    key: Zeroizing<[u8; 32]>,
}

/// RFC 5753 section 3.1.2: standard ECDH with a fresh key of ours, and the key derivation of SEC 1 section 3.6.1 with
/// SHA-256.
fn agree(recipient: &PublicKey, key_wrap: AesSize) -> Result<Agreed, SealFault> {
    let curve = match recipient.key_type() {
        KeyType::P256 => &ECDH_P256,
        KeyType::P384 => &ECDH_P384,
        KeyType::P521 => &ECDH_P521,
        key_type @ (KeyType::Rsa | KeyType::Ed25519) => return Err(SealFault::KeyType { key_type }),
    };
    let private = EphemeralPrivateKey::generate(curve, &SystemRandom::new())?;
    let ephemeral = private.compute_public_key()?.as_ref().to_vec();
    let info = enveloped_data::shared_info(&key_wrap.key_wrap(), key_wrap.bits().into());
    // One block of the derivation is as long as the longest key.
    let derive = |shared: &[u8]| Ok(Zeroizing::new(sha256(&[shared, &1_u32.to_be_bytes(), &info])));
    let recipient = UnparsedPublicKey::new(curve, recipient.key_octets());
    let key = agreement::agree_ephemeral(private, recipient, SealFault::Backend, derive)?;
    Ok(Agreed { ephemeral, key })
}

/// Octets of a block of AES.
const BLOCK: usize = 16;

/// What a key is wrapped by.
const HALF_BLOCK: usize = 8;

/// RFC 3394 section 2.2.3.1.
const KEY_WRAP_IV: [u8; HALF_BLOCK] = [0xa6; HALF_BLOCK];

fn cipher(size: AesSize) -> &'static Algorithm {
    match size {
        AesSize::Aes128 => &AES_128,
        AesSize::Aes192 => &AES_192,
        AesSize::Aes256 => &AES_256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap as _};

    fn octets(hexadecimal: &str) -> Vec<u8> {
        let digit = |octet: u8| char::from(octet).to_digit(16).unwrap() as u8;
        hexadecimal.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    /// RFC 3394 section 4.1 to 4.6.
    #[test]
    fn keys_are_wrapped_as_the_rfc_wraps_them() {
        let kek = octets("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");
        let data = octets("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F");
        for (size, length, expected) in [
            (AesSize::Aes128, 16, "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"),
            (AesSize::Aes192, 16, "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D"),
            (AesSize::Aes256, 16, "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"),
            (AesSize::Aes192, 24, "031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2"),
            (AesSize::Aes256, 24, "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1"),
            (AesSize::Aes256, 32, "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"),
        ] {
            let wrapped = wrap_key(&kek[..size.octets()], size, &data[..length]).unwrap();
            assert_eq!(wrapped, octets(expected), "{size:?} around {length} octets");
        }
    }

    #[test]
    fn the_backends_own_key_wrap_unwraps_what_was_wrapped() {
        for (size, cipher) in [(AesSize::Aes128, &key_wrap::AES_128), (AesSize::Aes256, &key_wrap::AES_256)] {
            for length in [16, 24, 32] {
                let (kek, key) = (vec![7; size.octets()], vec![9; length]);
                let wrapped = wrap_key(&kek, size, &key).unwrap();
                let mut output = vec![0; length];
                let unwrapped = AesKek::new(cipher, &kek).unwrap().unwrap(&wrapped, &mut output).unwrap();
                assert_eq!(unwrapped, key, "{size:?} around {length} octets");
            }
        }
    }
}
