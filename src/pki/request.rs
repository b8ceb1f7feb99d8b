//! A certification request whose key is welcome and whose sender holds it.

use estd_asn1::extension;
use estd_asn1::pkcs10::RequestLimits;
use estd_asn1::{
    Attribute, BasicConstraints, CertificationRequest, DecodeError, Extension, GeneralName, KeyUsage, Name, Oid, oid,
};

use super::name_rules::{self, NameError};
use super::public_key::{KeyPolicy, PublicKey, PublicKeyError};
use super::signature::{self, SignatureAlgorithm, SignatureError};

/// Most usages in a requested extendedKeyUsage.
pub const MAX_EXT_KEY_USAGES: usize = 32;

/// A PKCS#10 request after every check that needs nothing but itself: well-formed, names clean, key sound and allowed,
/// possession of the private key proven.
#[derive(Debug, Clone)]
pub struct VerifiedRequest {
    request: CertificationRequest,
    key: PublicKey,
    key_usage: Option<KeyUsage>,
    ext_key_usage: Vec<Oid>,
    basic_constraints: Option<BasicConstraints>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not the DER of a PKCS#10, or beyond a limit.
    #[error(transparent)]
    Syntax(#[from] DecodeError),
    /// A name that is not well-formed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The public key is weak, malformed or not allowed.
    #[error(transparent)]
    Key(#[from] PublicKeyError),
    /// The signature algorithm is not accepted, or not one of the key.
    #[error(transparent)]
    Algorithm(SignatureError),
    /// The signature does not verify: the sender has not shown that it holds the private key.
    #[error("the signature of the request does not verify with the public key in it")]
    Possession,
}

impl VerifiedRequest {
    /// Decodes a request and checks it, cheap before dear: syntax, names, key, algorithm, proof-of-possession.
    ///
    /// # Errors
    /// The first thing found wrong; see [`RequestError`].
    pub fn verify(der: &[u8], limits: &RequestLimits, keys: &KeyPolicy) -> Result<Self, RequestError> {
        let request = CertificationRequest::decode(der, limits)?;
        let extensions = request.extension_request();
        let value = |oid: Oid| extensions.iter().find(|extension| extension.oid == oid).map(|found| &found.value[..]);
        let key_usage = value(oid::KEY_USAGE).map(KeyUsage::decode).transpose()?;
        let ext_key_usage = value(oid::EXT_KEY_USAGE)
            .map(|value| extension::decode_ext_key_usage(value, MAX_EXT_KEY_USAGES))
            .transpose()?
            .unwrap_or_default();
        let basic_constraints = value(oid::BASIC_CONSTRAINTS).map(BasicConstraints::decode).transpose()?;
        name_rules::distinguished_name(request.subject())?;
        request.subject_alt_names().iter().try_for_each(name_rules::general_name)?;
        let algorithm =
            SignatureAlgorithm::from_identifier(request.signature_algorithm()).map_err(RequestError::Algorithm)?;
        let key = PublicKey::check(request.public_key(), keys)?;
        verify_possession(&request, &key, algorithm)?;
        Ok(Self { request, key, key_usage, ext_key_usage, basic_constraints })
    }

    /// The subject asked for; empty when the server shall fill it in.
    pub fn subject(&self) -> &Name {
        self.request.subject()
    }

    /// The entries of the subjectAltName asked for; empty when none was.
    pub fn subject_alt_names(&self) -> &[GeneralName] {
        self.request.subject_alt_names()
    }

    /// The public key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The keyUsage asked for.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.key_usage
    }

    /// The extendedKeyUsage asked for; empty when none was.
    pub fn ext_key_usage(&self) -> &[Oid] {
        &self.ext_key_usage
    }

    /// The basicConstraints asked for.
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.basic_constraints
    }

    /// Every extension asked for.
    pub fn extensions(&self) -> &[Extension] {
        self.request.extension_request()
    }

    /// The challengePassword (RFC 2985 section 5.4.1): a secret, or a channel binding (RFC 7030 section 3.5).
    pub fn challenge_password(&self) -> Option<&str> {
        self.request.challenge_password()
    }

    /// Every attribute of the request. Attributes nobody knows are left alone.
    pub fn attributes(&self) -> &[Attribute] {
        self.request.attributes()
    }
}

/// RFC 7030 §3.4, RFC 2986 §3 note 2: the signature is over the CertificationRequestInfo as received.
fn verify_possession(
    request: &CertificationRequest,
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
) -> Result<(), RequestError> {
    match signature::verify(key, algorithm, request.info_der(), request.signature()) {
        Ok(()) => Ok(()),
        Err(SignatureError::Invalid) => Err(RequestError::Possession),
        Err(
            mismatch @ (SignatureError::KeyMismatch { .. }
            | SignatureError::WeakDigest { .. }
            | SignatureError::Unsupported { .. }
            | SignatureError::Parameters { .. }),
        ) => Err(RequestError::Algorithm(mismatch)),
    }
}
