//! Public keys of strangers, checked before anything is computed with them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use estd_asn1::{AlgorithmIdentifier, Oid, SubjectPublicKeyInfo, oid};
use rsa::pkcs1;

use super::digest::sha256;
use super::rsa_modulus::{self, ModulusWeakness};

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyType {
    /// RSA (RFC 3279 section 2.3.1).
    Rsa,
    /// ECDSA on the NIST curve P-256 (RFC 5480).
    P256,
    /// ECDSA on the NIST curve P-384 (RFC 5480).
    P384,
    /// ECDSA on the NIST curve P-521 (RFC 5480).
    P521,
    /// Ed25519 (RFC 8410).
    Ed25519,
}

impl KeyType {
    /// Every kind of key.
    pub const ALL: [Self; 5] = [Self::Rsa, Self::P256, Self::P384, Self::P521, Self::Ed25519];

    /// The name used in configuration, logs and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::P521 => "p521",
            Self::Ed25519 => "ed25519",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The text names no kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key type is one of rsa, p256, p384, p521, ed25519")]
pub struct UnknownKeyType;

impl FromStr for KeyType {
    type Err = UnknownKeyType;

    fn from_str(text: &str) -> Result<Self, UnknownKeyType> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownKeyType)
    }
}

/// RSA keys below this many bits are weak, whatever a policy says (NIST SP 800-131A).
pub const RSA_FLOOR_BITS: u32 = 2048;

/// RSA keys above this many bits are refused unseen, whatever a policy says: the backend verifies no larger ones.
pub const RSA_CEILING_BITS: u32 = 8192;

/// Smallest public exponent: with 1 anybody can sign, and small ones have a history (NIST SP 800-56B section 6.2).
pub const RSA_MIN_EXPONENT: u64 = 65_537;

/// Longest public exponent, in bits: the backend verifies with no longer one.
pub const RSA_MAX_EXPONENT_BITS: u32 = 33;

/// Which keys are welcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPolicy {
    /// Kinds of keys.
    pub allowed: BTreeSet<KeyType>,
    /// Fewest bits of an RSA modulus; never below [`RSA_FLOOR_BITS`].
    pub rsa_min_bits: u32,
    /// Most bits of an RSA modulus; never above [`RSA_CEILING_BITS`].
    pub rsa_max_bits: u32,
}

impl Default for KeyPolicy {
    /// All kinds, RSA with 2048 to 4096 bits.
    fn default() -> Self {
        Self { allowed: KeyType::ALL.into(), rsa_min_bits: RSA_FLOOR_BITS, rsa_max_bits: 4096 }
    }
}

impl KeyPolicy {
    /// Every key that can be verified with: for certificates others issued.
    pub fn any_sound() -> Self {
        Self { rsa_max_bits: RSA_CEILING_BITS, ..Self::default() }
    }
}

/// A public key that is well-formed, not known to be weak, and allowed by a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    info: SubjectPublicKeyInfo,
    key_type: KeyType,
    bits: u32,
}

/// Why a key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// The algorithm is none that is supported.
    #[error("the key algorithm {algorithm} is not supported")]
    UnsupportedAlgorithm {
        /// Algorithm of the SubjectPublicKeyInfo.
        algorithm: Oid,
    },
    /// The parameters are not what the algorithm demands.
    #[error("the parameters of a key of algorithm {algorithm} must be {expected}")]
    Parameters {
        /// Algorithm of the SubjectPublicKeyInfo.
        algorithm: Oid,
        /// What they must be.
        expected: &'static str,
    },
    /// A named curve other than P-256, P-384, P-521.
    #[error("the curve is not supported: use P-256, P-384 or P-521")]
    UnsupportedCurve,
    /// The policy has no place for this kind of key.
    #[error("keys of type {key_type} are not allowed here")]
    NotAllowed {
        /// What it is.
        key_type: KeyType,
    },
    /// An RSA modulus of a size the policy does not allow.
    #[error("an rsa key must have {min} to {max} bits, this one has {actual}")]
    RsaSize {
        /// Fewest bits.
        min: u32,
        /// Most bits.
        max: u32,
        /// Bits of this one.
        actual: u64,
    },
    /// The key is not encoded as its algorithm demands.
    #[error("the {key_type} key is malformed: expected {expected}")]
    Malformed {
        /// What it claims to be.
        key_type: KeyType,
        /// What stands there in a well-formed key.
        expected: &'static str,
    },
    /// An RSA exponent that is even, too small or too long.
    #[error(
        "the public exponent of an rsa key must be odd, at least {RSA_MIN_EXPONENT} and at most \
         {RSA_MAX_EXPONENT_BITS} bits long"
    )]
    RsaExponent,
    /// An even RSA modulus.
    #[error("the modulus of an rsa key must be odd")]
    RsaModulusEven,
    /// An RSA modulus whose factors are easy to find.
    #[error("the rsa modulus is weak: {0}")]
    RsaModulusWeak(#[from] ModulusWeakness),
    /// The point is not on the curve, is infinity, or has coordinates out of range.
    #[error("the {key_type} key is not a point on its curve")]
    NotOnCurve {
        /// What it claims to be.
        key_type: KeyType,
    },
    /// An Ed25519 point with which signatures over anything verify.
    #[error("the ed25519 key is a point of small order")]
    SmallOrder,
}

impl PublicKeyError {
    /// Whether nobody should use such a key, in contrast to a sound one that is not welcome here.
    pub fn is_weak(&self) -> bool {
        match self {
            Self::UnsupportedAlgorithm { .. } | Self::UnsupportedCurve | Self::NotAllowed { .. } => false,
            Self::RsaSize { actual, .. } => !(RSA_FLOOR_BITS.into()..=RSA_CEILING_BITS.into()).contains(actual),
            Self::Parameters { .. }
            | Self::Malformed { .. }
            | Self::RsaExponent
            | Self::RsaModulusEven
            | Self::RsaModulusWeak(_)
            | Self::NotOnCurve { .. }
            | Self::SmallOrder => true,
        }
    }
}

impl PublicKey {
    /// Checks a stranger's key, cheap before dear and sizes before arithmetic.
    ///
    /// # Errors
    /// The first thing found wrong; see [`PublicKeyError`].
    pub fn check(info: &SubjectPublicKeyInfo, policy: &KeyPolicy) -> Result<Self, PublicKeyError> {
        let key_type = key_type(info)?;
        if !policy.allowed.contains(&key_type) {
            return Err(PublicKeyError::NotAllowed { key_type });
        }
        let bits = match key_type {
            KeyType::Rsa => check_rsa(info.key(), policy)?,
            KeyType::P256 => {
                check_point(key_type, 256, info.key(), |point| p256::PublicKey::from_sec1_bytes(point).is_ok())?
            }
            KeyType::P384 => {
                check_point(key_type, 384, info.key(), |point| p384::PublicKey::from_sec1_bytes(point).is_ok())?
            }
            KeyType::P521 => {
                check_point(key_type, 521, info.key(), |point| p521::PublicKey::from_sec1_bytes(point).is_ok())?
            }
            KeyType::Ed25519 => check_ed25519(info.key())?,
        };
        Ok(Self { info: info.clone(), key_type, bits })
    }

    /// The kind of key.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// Bits of the modulus, or of the field of the curve.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// The SubjectPublicKeyInfo, exactly as received.
    pub fn spki_der(&self) -> &[u8] {
        self.info.der()
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&[self.info.der()])
    }

    /// The key identifier estd gives this key: RFC 7093 section 2 method 1, the leftmost 160 bits of the SHA-256 of the
    /// BIT STRING's content.
    pub fn key_identifier(&self) -> [u8; 20] {
        let digest = sha256(&[self.info.key()]);
        let mut identifier = [0; 20];
        identifier.copy_from_slice(&digest[..20]);
        identifier
    }

    /// The content of the BIT STRING, in the form the crypto backend takes.
    pub fn key_octets(&self) -> &[u8] {
        self.info.key()
    }

    /// The algorithm of the key.
    pub fn algorithm(&self) -> &AlgorithmIdentifier {
        self.info.algorithm()
    }
}

/// The SubjectPublicKeyInfo of a key of ours: `key` is the content of the BIT STRING.
pub fn subject_public_key_info(key_type: KeyType, key: &[u8]) -> SubjectPublicKeyInfo {
    let on_curve = |curve: Oid| AlgorithmIdentifier::new(oid::EC_PUBLIC_KEY, Some(&curve.encode()));
    let algorithm = match key_type {
        KeyType::P256 => on_curve(oid::SECP256R1),
        KeyType::P384 => on_curve(oid::SECP384R1),
        KeyType::P521 => on_curve(oid::SECP521R1),
        // RFC 3279 §2.3.1: the parameters are NULL.
        KeyType::Rsa => AlgorithmIdentifier::new(oid::RSA_ENCRYPTION, Some(NULL)),
        // RFC 8410 §3: the parameters are absent.
        KeyType::Ed25519 => AlgorithmIdentifier::new(oid::ED25519, None),
    };
    SubjectPublicKeyInfo::new(algorithm, key)
}

/// What a key claims to be, and the bits of its modulus if that is RSA: read, not checked.
pub(super) fn claimed_kind(info: &SubjectPublicKeyInfo) -> Option<(KeyType, u64)> {
    let key_type = key_type(info).ok()?;
    let bits = match key_type {
        KeyType::Rsa => bit_length(pkcs1::RsaPublicKey::try_from(info.key()).ok()?.modulus.as_bytes()),
        KeyType::P256 | KeyType::P384 | KeyType::P521 | KeyType::Ed25519 => 0,
    };
    Some((key_type, bits))
}

/// DER of NULL.
const NULL: &[u8] = &[0x05, 0x00];

/// First octet of an OBJECT IDENTIFIER.
const OBJECT_IDENTIFIER_TAG: u8 = 0x06;

/// The curves, as the parameters name them (RFC 5480 section 2.1.1.1).
const CURVES: [(&[u8], KeyType); 3] = [
    (&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], KeyType::P256),
    (&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22], KeyType::P384),
    (&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23], KeyType::P521),
];

fn key_type(info: &SubjectPublicKeyInfo) -> Result<KeyType, PublicKeyError> {
    let algorithm = info.algorithm().oid();
    let parameters = info.algorithm().parameters();
    let demand = |holds: bool, expected: &'static str, key_type: KeyType| {
        if holds { Ok(key_type) } else { Err(PublicKeyError::Parameters { algorithm: algorithm.clone(), expected }) }
    };
    if *algorithm == oid::EC_PUBLIC_KEY {
        // RFC 5480 §2.1.1: implicitCurve and specifiedCurve MUST NOT be used.
        let named = parameters.filter(|parameters| parameters.first() == Some(&OBJECT_IDENTIFIER_TAG));
        let Some(named) = named else {
            return demand(false, "a named curve", KeyType::P256);
        };
        let curve = CURVES.iter().find(|(curve, _)| *curve == named);
        curve.map(|(_, key_type)| *key_type).ok_or(PublicKeyError::UnsupportedCurve)
    } else if *algorithm == oid::RSA_ENCRYPTION {
        // RFC 3279 §2.3.1: the parameters MUST be NULL.
        demand(parameters == Some(NULL), "NULL", KeyType::Rsa)
    } else if *algorithm == oid::ED25519 {
        // RFC 8410 §3: the parameters MUST be absent.
        demand(parameters.is_none(), "absent", KeyType::Ed25519)
    } else {
        Err(PublicKeyError::UnsupportedAlgorithm { algorithm: algorithm.clone() })
    }
}

fn check_rsa(key: &[u8], policy: &KeyPolicy) -> Result<u32, PublicKeyError> {
    let min = policy.rsa_min_bits.max(RSA_FLOOR_BITS);
    let max = policy.rsa_max_bits.min(RSA_CEILING_BITS);
    // RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER } (RFC 8017 appendix A.1.1); borrowed, not
    // computed with, until its size is known.
    let malformed = PublicKeyError::Malformed { key_type: KeyType::Rsa, expected: "an RSAPublicKey in DER" };
    let parsed = pkcs1::RsaPublicKey::try_from(key).map_err(|_| malformed)?;
    let modulus = parsed.modulus.as_bytes();
    let actual = bit_length(modulus);
    let bits = u32::try_from(actual).ok().filter(|bits| (min..=max).contains(bits));
    let bits = bits.ok_or(PublicKeyError::RsaSize { min, max, actual })?;
    let exponent = parsed.public_exponent.as_bytes();
    if bit_length(exponent) > RSA_MAX_EXPONENT_BITS.into() {
        return Err(PublicKeyError::RsaExponent);
    }
    let exponent = exponent.iter().fold(0, |value: u64, &octet| value << 8 | u64::from(octet));
    if exponent < RSA_MIN_EXPONENT || exponent.is_multiple_of(2) {
        return Err(PublicKeyError::RsaExponent);
    }
    if modulus.last().is_some_and(|octet| octet.is_multiple_of(2)) {
        return Err(PublicKeyError::RsaModulusEven);
    }
    match rsa_modulus::find_weakness(modulus) {
        Some(weakness) => Err(weakness.into()),
        None => Ok(bits),
    }
}

/// Bits of a big-endian number.
fn bit_length(number: &[u8]) -> u64 {
    let significant = number.iter().skip_while(|octet| **octet == 0).count() as u64;
    let leading = number.iter().find(|octet| **octet != 0).map_or(0, |octet| octet.leading_zeros());
    8 * significant - u64::from(leading)
}

fn check_point(
    key_type: KeyType,
    bits: u32,
    point: &[u8],
    is_on_curve: impl Fn(&[u8]) -> bool,
) -> Result<u32, PublicKeyError> {
    // RFC 5480 §2.2: the compressed form is optional; no device needs it, and one key has one encoding here. Infinity,
    // a single zero octet, fails as well.
    if point.len() != 1 + 2 * bits.div_ceil(8) as usize || point.first() != Some(&0x04) {
        return Err(PublicKeyError::Malformed { key_type, expected: "an uncompressed point" });
    }
    // The cofactor of these curves is 1: a point on the curve that is not infinity has the right order.
    if is_on_curve(point) { Ok(bits) } else { Err(PublicKeyError::NotOnCurve { key_type }) }
}

/// The y coordinates of the points of small order that are below the field's prime, little endian: 0, 1, -1 and the two
/// of order 8. Their signs do not matter.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = FIELD_PRIME;
        minus_one[0] -= 1;
        minus_one
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// 2^255 - 19, little endian.
const FIELD_PRIME: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[0] = 0xed;
    prime[31] = 0x7f;
    prime
};

/// Checks size, range and order. That the point is on the curve shows when the backend verifies a signature with it,
/// which comes before anything else is done with a key.
fn check_ed25519(key: &[u8]) -> Result<u32, PublicKeyError> {
    let malformed = PublicKeyError::Malformed { key_type: KeyType::Ed25519, expected: "32 octets" };
    let mut y: [u8; 32] = key.try_into().map_err(|_| malformed)?;
    y[31] &= 0x7f;
    // RFC 8032 §5.1.3: y >= p does not decode.
    if y.iter().rev().ge(FIELD_PRIME.iter().rev()) {
        return Err(PublicKeyError::NotOnCurve { key_type: KeyType::Ed25519 });
    }
    if SMALL_ORDER.contains(&y) {
        return Err(PublicKeyError::SmallOrder);
    }
    Ok(256)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing::{TestKey, spki};
    use aws_lc_rs::rsa::KeySize;
    use proptest::prelude::*;
    use rsa::BigUint;

    fn check(info: &SubjectPublicKeyInfo) -> Result<PublicKey, PublicKeyError> {
        PublicKey::check(info, &KeyPolicy::default())
    }

    #[test]
    fn sound_keys_of_every_kind_pass_and_are_kept_bit_for_bit() {
        for (key_type, bits) in KeyType::ALL.into_iter().zip([2048, 256, 384, 521, 256]) {
            let key = TestKey::generate(key_type);
            let checked = check(&key.spki).unwrap();
            assert_eq!((checked.key_type(), checked.bits()), (key_type, bits));
            assert_eq!(checked.spki_der(), key.spki.der());
            assert_eq!(checked.key_identifier(), sha256(&[key.spki.key()])[..20]);
            assert_eq!(key_type.as_str().parse(), Ok(key_type));
        }
        assert_eq!(check(&TestKey::rsa(KeySize::Rsa4096).spki).unwrap().bits(), 4096);
    }

    #[test]
    fn a_policy_narrows_what_is_welcome_but_does_not_call_it_weak() {
        let ec_only = KeyPolicy { allowed: [KeyType::P256].into(), ..KeyPolicy::default() };
        let error = PublicKey::check(&TestKey::generate(KeyType::Ed25519).spki, &ec_only).unwrap_err();
        assert_eq!(error, PublicKeyError::NotAllowed { key_type: KeyType::Ed25519 });
        assert!(!error.is_weak());
        let large = KeyPolicy { rsa_min_bits: 3072, ..KeyPolicy::default() };
        let error = PublicKey::check(&TestKey::generate(KeyType::Rsa).spki, &large).unwrap_err();
        assert_eq!(error, PublicKeyError::RsaSize { min: 3072, max: 4096, actual: 2048 });
        assert!(!error.is_weak());
    }

    /// DER of a non-negative INTEGER.
    fn integer(number: &[u8]) -> Vec<u8> {
        let sign = number.first().is_some_and(|octet| octet & 0x80 != 0);
        let content = [if sign { &[0][..] } else { &[] }, number].concat();
        tlv(0x02, &content)
    }

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        let significant: Vec<u8> = length.into_iter().skip_while(|octet| *octet == 0).collect();
        let header = match content.len() {
            short @ 0..128 => vec![tag, short as u8],
            _ => [vec![tag, 0x80 | significant.len() as u8], significant].concat(),
        };
        [header, content.to_vec()].concat()
    }

    fn rsa_key(modulus: &[u8], exponent: &[u8]) -> SubjectPublicKeyInfo {
        let key = tlv(0x30, &[integer(modulus), integer(exponent)].concat());
        spki(oid::RSA_ENCRYPTION, Some(NULL), &key)
    }

    const F4: &[u8] = &[1, 0, 1];

    /// A modulus of the given size without a weakness that is looked for.
    fn modulus(bits: usize) -> Vec<u8> {
        let start = (BigUint::from(1_u32) << (bits - 1)) + (BigUint::from(1_u32) << (bits / 3)) + 1_u32;
        let candidates = (0_u32..).map(|step| (&start + 2 * step).to_bytes_be());
        candidates.into_iter().find(|candidate| rsa_modulus::find_weakness(candidate).is_none()).unwrap()
    }

    #[test]
    fn rsa_sizes_are_judged_before_anything_is_computed() {
        for bits in [512, 1024, 2047, 4097, 16_384, 65_536] {
            // A power of two: were it computed with, another error would come.
            let modulus = (BigUint::from(1_u32) << (bits - 1)).to_bytes_be();
            let error = check(&rsa_key(&modulus, F4)).unwrap_err();
            assert_eq!(error, PublicKeyError::RsaSize { min: 2048, max: 4096, actual: bits as u64 }, "{bits}");
            assert_eq!(error.is_weak(), bits != 4097, "{bits}");
        }
        assert_eq!(check(&rsa_key(&modulus(2048), F4)).unwrap().bits(), 2048);
        assert_eq!(check(&rsa_key(&modulus(4096), F4)).unwrap().bits(), 4096);
    }

    #[test]
    fn rsa_exponents_with_which_signatures_are_forged_are_refused() {
        let modulus = modulus(2048);
        for exponent in [&[0][..], &[1], &[3], &[0xff, 0xff], &[1, 0, 0], &[2, 0, 0, 0, 1], &[1; 256]] {
            let error = check(&rsa_key(&modulus, exponent)).unwrap_err();
            assert_eq!(error, PublicKeyError::RsaExponent, "{exponent:?}");
            assert!(error.is_weak());
        }
        assert!(check(&rsa_key(&modulus, &[1, 0, 0, 0, 1])).is_ok());
    }

    #[test]
    fn weak_moduli_are_refused() {
        let mut even = modulus(2048);
        *even.last_mut().unwrap() &= 0xfe;
        assert_eq!(check(&rsa_key(&even, F4)), Err(PublicKeyError::RsaModulusEven));
        let sound = BigUint::from_bytes_be(&modulus(2041));
        let divisible = check(&rsa_key(&(sound * 251_u32).to_bytes_be(), F4));
        assert_eq!(divisible, Err(PublicKeyError::RsaModulusWeak(ModulusWeakness::SmallFactor(251))));
    }

    #[test]
    fn rsa_keys_have_null_parameters_and_strict_der() {
        let modulus = modulus(2048);
        let good = rsa_key(&modulus, F4);
        for parameters in [None, Some(&[0x04, 0x00][..])] {
            let error = check(&spki(oid::RSA_ENCRYPTION, parameters, good.key())).unwrap_err();
            assert!(matches!(error, PublicKeyError::Parameters { expected: "NULL", .. }));
        }
        let trailing = [good.key(), &[0]].concat();
        let negative = tlv(0x30, &[tlv(0x02, &modulus), integer(F4)].concat());
        let padded = tlv(0x30, &[tlv(0x02, &[&[0, 0], &modulus[..]].concat()), integer(F4)].concat());
        let third = tlv(0x30, &[integer(&modulus), integer(F4), integer(F4)].concat());
        for key in [&trailing[..], &negative, &padded, &third, &[]] {
            let error = check(&spki(oid::RSA_ENCRYPTION, Some(NULL), key)).unwrap_err();
            assert!(matches!(error, PublicKeyError::Malformed { key_type: KeyType::Rsa, .. }), "{error}");
        }
    }

    #[test]
    fn points_are_on_their_curve_and_uncompressed() {
        for (key_type, octets) in [(KeyType::P256, 32), (KeyType::P384, 48), (KeyType::P521, 66)] {
            let key = TestKey::generate(key_type);
            let with =
                |point: &[u8]| check(&spki(oid::EC_PUBLIC_KEY, key.spki.algorithm().parameters(), point)).unwrap_err();
            let point = key.spki.key();
            let mut off_curve = point.to_vec();
            off_curve[2 * octets] ^= 1;
            assert_eq!(with(&off_curve), PublicKeyError::NotOnCurve { key_type });
            assert_eq!(with(&[&[4][..], &vec![0; 2 * octets]].concat()), PublicKeyError::NotOnCurve { key_type });
            // Every coordinate of all ones is beyond the field's prime.
            assert_eq!(with(&[&[4][..], &vec![0xff; 2 * octets]].concat()), PublicKeyError::NotOnCurve { key_type });
            let compressed = [&[2 + (point[2 * octets] & 1)], &point[1..=octets]].concat();
            for malformed in [&[0][..], &[], &compressed, &point[..2 * octets], &[point, &[0]].concat()] {
                let error = with(malformed);
                assert!(matches!(error, PublicKeyError::Malformed { .. }), "{error}");
                assert!(error.is_weak());
            }
        }
    }

    /// x + p is the same point to whoever reduces first.
    #[test]
    fn coordinates_beyond_the_prime_are_refused() {
        let prime = hex_number("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
        // x = 5 is on P-256.
        let y = hex_number("459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc");
        let point = |x: BigUint| {
            let x = x.to_bytes_be();
            [&[4][..], &vec![0; 32 - x.len()], &x, &y.to_bytes_be()].concat()
        };
        let curve = oid::SECP256R1.encode();
        assert!(check(&spki(oid::EC_PUBLIC_KEY, Some(&curve), &point(BigUint::from(5_u32)))).is_ok());
        let error = check(&spki(oid::EC_PUBLIC_KEY, Some(&curve), &point(prime + 5_u32)));
        assert_eq!(error, Err(PublicKeyError::NotOnCurve { key_type: KeyType::P256 }));
    }

    fn hex_number(text: &str) -> BigUint {
        BigUint::parse_bytes(text.as_bytes(), 16).unwrap()
    }

    #[test]
    fn curves_are_named_and_known() {
        let point = TestKey::generate(KeyType::P256);
        let with =
            |parameters: Option<&[u8]>| check(&spki(oid::EC_PUBLIC_KEY, parameters, point.spki.key())).unwrap_err();
        let p192 = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x01];
        let error = with(Some(&p192));
        assert_eq!(error, PublicKeyError::UnsupportedCurve);
        assert!(!error.is_weak());
        // secp256k1
        assert_eq!(with(Some(&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a])), PublicKeyError::UnsupportedCurve);
        for not_named in [None, Some(NULL), Some(&[0x30, 0x03, 0x02, 0x01, 0x01])] {
            assert!(matches!(with(not_named), PublicKeyError::Parameters { expected: "a named curve", .. }));
        }
        // A P-256 point under the name of another curve.
        assert!(matches!(with(Some(&oid::SECP384R1.encode())), PublicKeyError::Malformed { .. }));
    }

    #[test]
    fn ed25519_keys_are_32_octets_of_a_point_of_large_order() {
        let with = |parameters, key: &[u8]| check(&spki(oid::ED25519, parameters, key));
        for y in SMALL_ORDER {
            let mut negative = y;
            negative[31] |= 0x80;
            assert_eq!(with(None, &y), Err(PublicKeyError::SmallOrder));
            assert_eq!(with(None, &negative), Err(PublicKeyError::SmallOrder));
        }
        let mut beyond = FIELD_PRIME;
        beyond[0] += 1;
        for not_reduced in [FIELD_PRIME, beyond, [0xff; 32]] {
            assert_eq!(with(None, &not_reduced), Err(PublicKeyError::NotOnCurve { key_type: KeyType::Ed25519 }));
        }
        let key = TestKey::generate(KeyType::Ed25519);
        assert!(matches!(with(Some(NULL), key.spki.key()), Err(PublicKeyError::Parameters { .. })));
        assert!(matches!(with(None, &key.spki.key()[1..]), Err(PublicKeyError::Malformed { .. })));
    }

    #[test]
    fn other_algorithms_are_not_supported() {
        let error = check(&spki(oid::RSASSA_PSS, None, &[])).unwrap_err();
        assert_eq!(error, PublicKeyError::UnsupportedAlgorithm { algorithm: oid::RSASSA_PSS });
        assert!(!error.is_weak());
    }

    proptest! {
        #[test]
        fn no_key_makes_it_panic(kind in 0..5_usize, key in proptest::collection::vec(any::<u8>(), 0..140)) {
            let (algorithm, parameters) = match KeyType::ALL[kind] {
                KeyType::Rsa => (oid::RSA_ENCRYPTION, Some(NULL.to_vec())),
                KeyType::P256 => (oid::EC_PUBLIC_KEY, Some(oid::SECP256R1.encode())),
                KeyType::P384 => (oid::EC_PUBLIC_KEY, Some(oid::SECP384R1.encode())),
                KeyType::P521 => (oid::EC_PUBLIC_KEY, Some(oid::SECP521R1.encode())),
                KeyType::Ed25519 => (oid::ED25519, None),
            };
            let _ = check(&spki(algorithm, parameters.as_deref(), &key));
        }
    }
}
