//! Keys of an issuer (RFC 7517, RFC 7518 section 6), each with the algorithms that its type allows.

use aws_lc_rs::signature::{self as backend, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::Value;

use crate::est::transfer;

/// Most keys of one issuer.
const MAX_KEYS: usize = 32;

/// Least octets of an RSA modulus; the most and the exponent are the backend's to judge.
const LEAST_MODULUS_OCTETS: usize = 256;

/// A public key that verifies JWTs.
#[derive(Debug, Clone)]
pub(super) struct VerificationKey {
    id: Option<String>,
    /// What its owner says it is for; pins one algorithm of those its type allows.
    algorithm: Option<String>,
    material: Material,
}

#[derive(Debug, Clone)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// Uncompressed point.
    P256(Vec<u8>),
    /// Uncompressed point.
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// Why a file is no JWK Set that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Not JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// No `keys`.
    #[error("expected a JWK Set (RFC 7517 section 5): an object with the member keys, a list of 1 to {MAX_KEYS} keys")]
    Shape,
    /// A key of a type that is not accepted, or for something else.
    #[error("key {position}: expected kty RSA, EC with crv P-256 or P-384, or OKP with crv Ed25519, for signatures")]
    Kind {
        /// Which, from 1.
        position: usize,
    },
    /// A key whose numbers are not what its type wants.
    #[error("key {position}: expected {expected}")]
    Material {
        /// Which, from 1.
        position: usize,
        /// What would do.
        expected: &'static str,
    },
    /// A private or secret key.
    #[error("key {position} is a private key: the issuer's public keys belong here")]
    Private {
        /// Which, from 1.
        position: usize,
    },
}

/// The keys of a JWK Set.
pub(super) fn parse_set(text: &str) -> Result<Vec<VerificationKey>, JwksError> {
    let set: Value = serde_json::from_str(text).map_err(|error| JwksError::Json(error.to_string()))?;
    let keys = set.get("keys").and_then(Value::as_array).ok_or(JwksError::Shape)?;
    if keys.is_empty() || keys.len() > MAX_KEYS {
        return Err(JwksError::Shape);
    }
    keys.iter().zip(1..).map(|(key, position)| VerificationKey::parse(key, position)).collect()
}

impl VerificationKey {
    fn parse(key: &Value, position: usize) -> Result<Self, JwksError> {
        let text = |member: &str| key.get(member).and_then(Value::as_str);
        if key.get("d").is_some() || key.get("k").is_some() {
            return Err(JwksError::Private { position });
        }
        let octets = |member: &str| text(member).and_then(transfer::decode_base64url);
        let wrong = |expected| JwksError::Material { position, expected };
        let kind = JwksError::Kind { position };
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return Err(kind);
        }
        let point = |size: usize| {
            let (x, y) = (octets("x")?, octets("y")?);
            (x.len() == size && y.len() == size).then(|| [&[4], x.as_slice(), &y].concat())
        };
        let material = match (text("kty"), text("crv")) {
            (Some("RSA"), _) => {
                let (modulus, exponent) = octets("n").zip(octets("e")).ok_or(wrong("n and e in base64url"))?;
                if modulus.len() < LEAST_MODULUS_OCTETS || modulus.first() == Some(&0) {
                    return Err(wrong("a modulus of 2048 bits at least, without leading zeros"));
                }
                Material::Rsa { modulus, exponent }
            }
            (Some("EC"), Some("P-256")) => Material::P256(point(32).ok_or(wrong("x and y of 32 octets"))?),
            (Some("EC"), Some("P-384")) => Material::P384(point(48).ok_or(wrong("x and y of 48 octets"))?),
            (Some("OKP"), Some("Ed25519")) => {
                let x = octets("x").filter(|x| x.len() == 32);
                Material::Ed25519(x.ok_or(wrong("x of 32 octets"))?)
            }
            (_, _) => return Err(kind),
        };
        let key = Self { id: text("kid").map(str::to_owned), algorithm: text("alg").map(str::to_owned), material };
        let usable = key.algorithm.as_deref().is_none_or(|algorithm| key.material.algorithms().contains(&algorithm));
        if usable { Ok(key) } else { Err(kind) }
    }

    /// Whether a JWT with this header may be this key's. The type of the key decides what `alg` can be, never the JWT.
    pub(super) fn fits(&self, algorithm: &str, id: Option<&str>) -> bool {
        let id_agrees = id.is_none() || self.id.is_none() || self.id.as_deref() == id;
        let pinned = self.algorithm.as_deref().is_none_or(|pinned| pinned == algorithm);
        id_agrees && pinned && self.material.algorithms().contains(&algorithm)
    }

    /// Whether `signature` is this key's over `message`, by an algorithm that [`fits`](Self::fits) it.
    pub(super) fn verify(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        let point = |verifier: &'static dyn VerificationAlgorithm, octets: &[u8]| {
            UnparsedPublicKey::new(verifier, octets).verify(message, signature).is_ok()
        };
        match &self.material {
            Material::Rsa { modulus, exponent } => {
                let verifier = match algorithm {
                    "RS256" => &backend::RSA_PKCS1_2048_8192_SHA256,
                    "PS256" => &backend::RSA_PSS_2048_8192_SHA256,
                    _ => return false,
                };
                RsaPublicKeyComponents { n: modulus, e: exponent }.verify(verifier, message, signature).is_ok()
            }
            // RFC 7518 §3.4: r and s of fixed length, not DER.
            Material::P256(octets) => point(&backend::ECDSA_P256_SHA256_FIXED, octets),
            Material::P384(octets) => point(&backend::ECDSA_P384_SHA384_FIXED, octets),
            Material::Ed25519(octets) => point(&backend::ED25519, octets),
        }
    }
}

impl Material {
    /// RFC 7518 section 3.1, RFC 8037: neither `none` nor a keyed hash is among them.
    const fn algorithms(&self) -> &'static [&'static str] {
        match self {
            Self::Rsa { .. } => &["RS256", "PS256"],
            Self::P256(_) => &["ES256"],
            Self::P384(_) => &["ES384"],
            Self::Ed25519(_) => &["EdDSA"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_public_signature_keys_is_read_and_nothing_else() {
        // RFC 7517 appendix A.1, and RFC 8037 appendix A.2.
        let sound = r#"{"keys":[
            {"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
             "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","kid":"1"},
            {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        let keys = parse_set(sound).unwrap();
        assert!(keys[0].fits("ES256", Some("1")) && keys[0].fits("ES256", None));
        assert!(keys[1].fits("EdDSA", Some("any")));
        for (algorithm, id) in [("ES256", Some("2")), ("none", None), ("HS256", None), ("ES384", None), ("RS256", None)]
        {
            assert!(!keys[0].fits(algorithm, id), "{algorithm} {id:?}");
        }
        let one = |key: &str| parse_set(&format!(r#"{{"keys":[{key}]}}"#)).unwrap_err();
        let kind = JwksError::Kind { position: 1 };
        assert_eq!(one(r#"{"kty":"oct","k":"AAAA"}"#), JwksError::Private { position: 1 });
        assert_eq!(one(r#"{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}"#), JwksError::Private { position: 1 });
        assert_eq!(one(r#"{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}"#), kind);
        assert_eq!(one(r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA","use":"enc"}"#), kind);
        let pinned = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","alg":"HS256"}"#;
        assert_eq!(one(pinned), kind);
        assert!(matches!(one(r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#), JwksError::Material { .. }));
        assert!(matches!(one(r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#), JwksError::Material { .. }));
        assert!(matches!(parse_set("{"), Err(JwksError::Json(_))));
        for text in ["[]", "{}", r#"{"keys":[]}"#] {
            assert_eq!(parse_set(text).err(), Some(JwksError::Shape), "{text}");
        }
    }
}
