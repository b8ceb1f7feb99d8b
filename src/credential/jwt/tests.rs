//! An issuer's keys and JWTs, right ones and forged ones.

use super::*;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as backend, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::json;

/// An issuer's key.
pub(crate) enum SigningKey {
    P256(Box<EcdsaKeyPair>),
    P384(Box<EcdsaKeyPair>),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<backend::RsaKeyPair>),
}

impl SigningKey {
    pub(crate) fn all() -> [Self; 4] {
        [
            Self::P256(Box::new(EcdsaKeyPair::generate(&backend::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())),
            Self::P384(Box::new(EcdsaKeyPair::generate(&backend::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())),
            Self::Ed25519(Ed25519KeyPair::generate().unwrap()),
            Self::Rsa(Box::new(backend::RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap())),
        ]
    }

    fn jwk(&self) -> Value {
        let point = |pair: &EcdsaKeyPair, curve: &str, size: usize| {
            let (x, y) = pair.public_key().as_ref()[1..].split_at(size);
            json!({"kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y)})
        };
        match self {
            Self::P256(pair) => point(pair, "P-256", 32),
            Self::P384(pair) => point(pair, "P-384", 48),
            Self::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref())})
            }
            Self::Rsa(pair) => {
                let key = rsa::RsaPublicKey::from_pkcs1_der(pair.public_key().as_ref()).unwrap();
                let (n, e) = (key.n().to_bytes_be(), key.e().to_bytes_be());
                json!({"kty": "RSA", "n": base64url(&n), "e": base64url(&e)})
            }
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Ed25519(_) => "EdDSA",
            Self::Rsa(_) => "PS256",
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(pair) | Self::P384(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&backend::RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
        }
    }
}

fn base64url(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

pub(crate) fn issuer(keys: &[SigningKey]) -> Issuer {
    let jwks = json!({"keys": keys.iter().map(SigningKey::jwk).collect::<Vec<_>>()}).to_string();
    let devices = DeviceScope::parse(&["SN-*".to_owned()]).unwrap();
    let text = str::to_owned;
    Issuer::new(text("factory"), text("https://idp.example"), text("estd"), text("sub"), devices, &jwks).unwrap()
}

pub(crate) fn sign(key: &SigningKey, header: Value, claims: &Value) -> String {
    let message = format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
    format!("{message}.{}", base64url(&key.sign(message.as_bytes())))
}

pub(crate) fn token(key: &SigningKey, claims: &Value) -> String {
    sign(key, json!({"alg": key.algorithm(), "typ": "JWT"}), claims)
}

pub(crate) fn claims(now: DateTime<Utc>) -> Value {
    json!({"iss": "https://idp.example", "aud": "estd", "sub": "SN-1", "exp": now.timestamp() + 300})
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

#[test]
fn every_kind_of_key_signs_for_a_device() {
    let keys = SigningKey::all();
    let issuer = issuer(&keys);
    for key in &keys {
        let device = issuer.device(&token(key, &claims(now())), now());
        assert_eq!(device.unwrap().as_str(), "SN-1", "{}", key.algorithm());
    }
}

#[test]
fn claims_must_be_of_the_issuer_for_us_and_in_their_time() {
    let keys = SigningKey::all();
    let issuer = issuer(&keys);
    let device = |change: Value| {
        let mut claims = claims(now());
        for (claim, value) in change.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(claim);
            } else {
                claims[claim] = value.clone();
            }
        }
        issuer.device(&token(&keys[0], &claims), now())
    };
    let second = now().timestamp();
    for sound in [
        json!({}),
        json!({"aud": ["other", "estd"]}),
        json!({"exp": second - 59}),
        json!({"exp": second as f64 + 0.5}),
        json!({"nbf": second + 60}),
    ] {
        assert!(device(sound.clone()).is_some(), "{sound}");
    }
    for wrong in [
        json!({"iss": "https://other.example"}),
        json!({"iss": null}),
        json!({"aud": "other"}),
        json!({"aud": ["other"]}),
        json!({"aud": null}),
        json!({"exp": second - 60}),
        json!({"exp": null}),
        json!({"exp": "soon"}),
        json!({"exp": 1e300}),
        json!({"nbf": second + 61}),
        json!({"nbf": "later"}),
        json!({"sub": null}),
        json!({"sub": "AX-1"}),
        json!({"sub": "SN-1\n"}),
        json!({"sub": 7}),
    ] {
        assert_eq!(device(wrong.clone()), None, "{wrong}");
    }
}

#[test]
fn the_key_decides_the_algorithm_and_nothing_unsigned_is_read() {
    let keys = SigningKey::all();
    let issuer = issuer(&keys);
    let claims = claims(now());
    let good = token(&keys[0], &claims);
    assert!(issuer.device(&good, now()).is_some());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let none = base64url(br#"{"alg":"none"}"#);
    for forged in [
        sign(&keys[0], json!({"alg": "none"}), &claims),
        sign(&keys[0], json!({"alg": "HS256"}), &claims),
        sign(&keys[0], json!({"alg": "ES384"}), &claims),
        sign(&keys[0], json!({"alg": "es256"}), &claims),
        sign(&keys[0], json!({"typ": "JWT"}), &claims),
        sign(&keys[0], json!({"alg": "ES256", "crit": ["exp"]}), &claims),
        sign(&SigningKey::all()[0], json!({"alg": "ES256"}), &claims),
        format!("{none}.{payload}."),
        format!("{message}."),
        format!("{message}.{}", &signature[1..]),
        format!("{header}.{}.{signature}", base64url(b"{}")),
        format!("{good}="),
        "..".to_owned(),
        String::new(),
    ] {
        assert_eq!(issuer.device(&forged, now()), None, "{forged}");
    }
}
