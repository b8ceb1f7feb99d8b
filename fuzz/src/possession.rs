//! Whether a key made a signature, by the RustCrypto crates: estd itself verifies with another library.

use ed25519_dalek::Verifier as _;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use pkcs8::DecodePublicKey as _;
use rsa::{Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::tlv::{Signed, Tlv};

/// Whether a certification request is signed with the key in it.
pub fn is_proven(request: &[u8]) -> bool {
    let Some(signed) = Signed::read(request) else { return false };
    public_key(request).is_some_and(|key| verifies(key, &signed))
}

/// The SubjectPublicKeyInfo of a certification request: version, subject, then the key.
pub fn public_key(request: &[u8]) -> Option<&[u8]> {
    let info = Signed::read(request)?.content.elements()?;
    Some(info.get(2)?.whole)
}

/// Whether the key of `spki` made the signature, with an algorithm nobody has broken.
pub fn verifies(spki: &[u8], signed: &Signed<'_>) -> bool {
    let (message, signature) = (signed.content.whole, signed.signature);
    let Some(algorithm) = algorithm(&signed.algorithm) else { return false };
    match algorithm {
        Algorithm::Ed25519 => is_ed25519(spki, message, signature),
        Algorithm::Ecdsa(digest) => is_ecdsa(spki, &digest.of(message), signature),
        Algorithm::RsaPkcs1(digest) => is_rsa(spki, |key| {
            let scheme = match digest {
                Digest::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
                Digest::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
                Digest::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
            };
            key.verify(scheme, &digest.of(message), signature).is_ok()
        }),
        // Which of the digests it is stands in the parameters; that it is one of them is what counts here.
        Algorithm::RsaPss => is_rsa(spki, |key| {
            let made_with = |digest: Digest, scheme: Pss| key.verify(scheme, &digest.of(message), signature).is_ok();
            made_with(Digest::Sha256, Pss::new_with_salt::<Sha256>(32))
                || made_with(Digest::Sha384, Pss::new_with_salt::<Sha384>(48))
                || made_with(Digest::Sha512, Pss::new_with_salt::<Sha512>(64))
        }),
    }
}

#[derive(Clone, Copy)]
enum Algorithm {
    Ed25519,
    Ecdsa(Digest),
    RsaPkcs1(Digest),
    RsaPss,
}

#[derive(Clone, Copy)]
enum Digest {
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    fn of(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha384 => Sha384::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }
}

/// By the content octets of the object identifier.
fn algorithm(identifier: &Tlv<'_>) -> Option<Algorithm> {
    let elements = identifier.elements()?;
    Some(match elements.first()?.content {
        // 1.3.101.112
        b"\x2b\x65\x70" => Algorithm::Ed25519,
        // 1.2.840.10045.4.3.{2,3,4}
        b"\x2a\x86\x48\xce\x3d\x04\x03\x02" => Algorithm::Ecdsa(Digest::Sha256),
        b"\x2a\x86\x48\xce\x3d\x04\x03\x03" => Algorithm::Ecdsa(Digest::Sha384),
        b"\x2a\x86\x48\xce\x3d\x04\x03\x04" => Algorithm::Ecdsa(Digest::Sha512),
        // 1.2.840.113549.1.1.{10,11,12,13}
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a" => Algorithm::RsaPss,
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b" => Algorithm::RsaPkcs1(Digest::Sha256),
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c" => Algorithm::RsaPkcs1(Digest::Sha384),
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d" => Algorithm::RsaPkcs1(Digest::Sha512),
        _ => return None,
    })
}

fn is_ecdsa(spki: &[u8], digest: &[u8], signature: &[u8]) -> bool {
    if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_der(spki) {
        let signature = p256::ecdsa::Signature::from_der(signature);
        return signature.is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok());
    }
    if let Ok(key) = p384::ecdsa::VerifyingKey::from_public_key_der(spki) {
        let signature = p384::ecdsa::Signature::from_der(signature);
        return signature.is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok());
    }
    let Ok(key) = p521::PublicKey::from_public_key_der(spki) else { return false };
    let (Ok(key), Ok(signature)) =
        (p521::ecdsa::VerifyingKey::from_affine(*key.as_affine()), p521::ecdsa::Signature::from_der(signature))
    else {
        return false;
    };
    // The crate takes no digest shorter than half of the field; as a number it is the same with zeros before it.
    let widened = [vec![0; 66 - digest.len()], digest.to_vec()].concat();
    key.verify_prehash(&widened, &signature).is_ok()
}

fn is_rsa(spki: &[u8], verify: impl Fn(&RsaPublicKey) -> bool) -> bool {
    RsaPublicKey::from_public_key_der(spki).is_ok_and(|key| verify(&key))
}

fn is_ed25519(spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    // RFC 8410 §4: the key is the last 32 octets, behind a fixed head.
    let Some(key) = spki.strip_prefix(b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00") else { return false };
    let (Ok(key), Ok(signature)) = (key.try_into(), ed25519_dalek::Signature::from_slice(signature)) else {
        return false;
    };
    ed25519_dalek::VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify(message, &signature).is_ok())
}
