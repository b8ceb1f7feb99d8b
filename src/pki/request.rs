//! Certification requests: checked in themselves, then in their key and that their sender holds it.

use std::ops::Deref;

use estd_asn1::change_subject_name::ChangeSubjectName;
use estd_asn1::extension;
use estd_asn1::pkcs10::{Deviation, RequestLimits};
use estd_asn1::{
    Attribute, BasicConstraints, CertificationRequest, DecodeError, Extension, GeneralName, KeyUsage, Name, Oid,
    SubjectPublicKeyInfo, oid,
};

use super::name_rules::{self, NameError};
use super::public_key::{KeyPolicy, PublicKey, PublicKeyError};
use super::signature::{self, SignatureAlgorithm, SignatureError};
use crate::est::Leniency;

/// Most usages in a requested extendedKeyUsage.
pub const MAX_EXT_KEY_USAGES: usize = 32;

/// A PKCS#10 request after every check that needs nothing but itself, apart from those of its key and of its signature:
/// well-formed, names clean.
#[derive(Debug, Clone)]
pub struct CheckedRequest {
    request: CertificationRequest,
    key_usage: Option<KeyUsage>,
    ext_key_usage: Vec<Oid>,
    basic_constraints: Option<BasicConstraints>,
    leniencies: Vec<Leniency>,
}

/// A checked request whose key is sound and allowed, and whose sender has proven to hold it.
#[derive(Debug, Clone)]
pub struct VerifiedRequest {
    request: CheckedRequest,
    key: PublicKey,
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

impl CheckedRequest {
    /// Decodes a request and checks syntax and names.
    ///
    /// # Errors
    /// The first thing found wrong; see [`RequestError`].
    pub fn check(der: &[u8], limits: &RequestLimits) -> Result<Self, RequestError> {
        Self::check_decoded(CertificationRequest::decode(der, limits)?)
    }

    /// Checks the names of a decoded request, which may have come in another form than PKCS#10.
    ///
    /// # Errors
    /// The first thing found wrong; see [`RequestError`].
    pub fn check_decoded(request: CertificationRequest) -> Result<Self, RequestError> {
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
        if let Some(change) = request.change_subject_name() {
            change.subject.as_ref().map_or(Ok(()), name_rules::distinguished_name)?;
            change.subject_alt_names.iter().flatten().try_for_each(name_rules::general_name)?;
        }
        let mut leniencies: Vec<_> = request.deviations().iter().copied().map(leniency).collect();
        let is_der = |oid: Oid, der: Option<Vec<u8>>| der.is_none_or(|der| value(oid) == Some(&der));
        if !is_der(oid::KEY_USAGE, key_usage.map(KeyUsage::encode)) {
            leniencies.push(Leniency::UntrimmedKeyUsage);
        }
        if !is_der(oid::BASIC_CONSTRAINTS, basic_constraints.map(BasicConstraints::encode)) {
            leniencies.push(Leniency::WrittenDefault);
        }
        Ok(Self { request, key_usage, ext_key_usage, basic_constraints, leniencies })
    }

    /// Checks the key and that the sender holds it, cheap before dear: algorithm, key, proof-of-possession.
    ///
    /// # Errors
    /// The first thing found wrong; see [`RequestError`].
    pub fn verify(self, keys: &KeyPolicy) -> Result<VerifiedRequest, RequestError> {
        let request = &self.request;
        let algorithm =
            SignatureAlgorithm::from_identifier(request.signature_algorithm()).map_err(RequestError::Algorithm)?;
        let key = PublicKey::check(request.public_key(), keys)?;
        verify_possession(request, &key, algorithm)?;
        Ok(VerifiedRequest { request: self, key })
    }

    /// The key in the request as it came: nobody looked at it.
    pub fn claimed_key(&self) -> &SubjectPublicKeyInfo {
        self.request.public_key()
    }

    /// The subject asked for; empty when the server shall fill it in.
    pub fn subject(&self) -> &Name {
        self.request.subject()
    }

    /// The entries of the subjectAltName asked for; empty when none was.
    pub fn subject_alt_names(&self) -> &[GeneralName] {
        self.request.subject_alt_names()
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

    /// What it has that no standard allows, apart from what its values mean.
    pub fn leniencies(&self) -> &[Leniency] {
        &self.leniencies
    }

    /// Every extension asked for.
    pub fn extensions(&self) -> &[Extension] {
        self.request.extension_request()
    }

    /// The challengePassword (RFC 2985 section 5.4.1): a channel binding (RFC 7030 section 3.5).
    pub fn challenge_password(&self) -> Option<&str> {
        self.request.challenge_password()
    }

    /// The estIdentityLinking (RFC 7894 section 3.3): a channel binding under a name of its own.
    pub fn est_identity_linking(&self) -> Option<&str> {
        self.request.est_identity_linking()
    }

    /// The otpChallenge (RFC 7894 section 3.1): a one-time password.
    ///
    /// # Errors
    /// When it is there and is no text of 1 to 255 characters.
    pub fn otp_challenge(&self) -> Result<Option<String>, RequestError> {
        Ok(self.request.otp_challenge()?)
    }

    /// The changeSubjectName (RFC 6402 section 2.8): the names asked for in place of those the request repeats.
    pub fn change_subject_name(&self) -> Option<&ChangeSubjectName> {
        self.request.change_subject_name()
    }

    /// Every attribute of the request. Attributes nobody knows are left alone.
    pub fn attributes(&self) -> &[Attribute] {
        self.request.attributes()
    }
}

impl VerifiedRequest {
    /// [`CheckedRequest::check`] and [`CheckedRequest::verify`] at once.
    ///
    /// # Errors
    /// The first thing found wrong; see [`RequestError`].
    pub fn verify(der: &[u8], limits: &RequestLimits, keys: &KeyPolicy) -> Result<Self, RequestError> {
        CheckedRequest::check(der, limits)?.verify(keys)
    }

    /// The public key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

const fn leniency(deviation: Deviation) -> Leniency {
    match deviation {
        Deviation::OmittedAttributes => Leniency::OmittedAttributes,
        Deviation::UnsortedSet => Leniency::UnsortedSet,
        Deviation::Ia5Challenge => Leniency::Ia5Challenge,
        Deviation::MicrosoftExtensionRequest => Leniency::MicrosoftExtensionRequest,
    }
}

/// A verified request is a checked one.
impl Deref for VerifiedRequest {
    type Target = CheckedRequest;

    fn deref(&self) -> &CheckedRequest {
        &self.request
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::public_key::KeyType;
    use crate::pki::testing::{
        self, TestKey, basic_constraints, common_name, ext_key_usage, key_usage, spki, subject_alt_name,
    };
    use estd_asn1::{AlgorithmIdentifier, AttributeTypeAndValue, pkcs10};
    use proptest::prelude::*;

    fn verify(der: &[u8]) -> Result<VerifiedRequest, RequestError> {
        VerifiedRequest::verify(der, &RequestLimits::default(), &KeyPolicy::default())
    }

    #[test]
    fn a_request_of_every_kind_of_key_proves_possession() {
        let name = GeneralName::DnsName("device-1.acme.example".into());
        let asked = [
            key_usage(KeyUsage::DIGITAL_SIGNATURE),
            ext_key_usage(&[oid::KP_CLIENT_AUTH]),
            basic_constraints(false, None),
            subject_alt_name(false, std::slice::from_ref(&name)),
        ];
        for key_type in KeyType::ALL {
            let key = TestKey::generate(key_type);
            let request = verify(&testing::request(&common_name("device-1"), &key, &asked)).unwrap();
            assert_eq!(request.key().spki_der(), key.spki.der());
            assert_eq!(*request.subject(), common_name("device-1"));
            assert_eq!(request.subject_alt_names(), std::slice::from_ref(&name));
            assert_eq!(request.key_usage(), Some(KeyUsage::DIGITAL_SIGNATURE));
            assert_eq!(request.ext_key_usage(), [oid::KP_CLIENT_AUTH]);
            assert_eq!(request.basic_constraints(), Some(BasicConstraints::default()));
            assert_eq!(request.extensions(), asked);
        }
    }

    #[test]
    fn a_request_signed_by_another_key_proves_nothing() {
        let (key, other) = (TestKey::generate(KeyType::P256), TestKey::generate(KeyType::P256));
        let info = pkcs10::encode_certification_request_info(&common_name("x"), key.spki.der(), &[]);
        let forged = pkcs10::encode_certification_request(&info, key.algorithm.identifier(), &other.sign(&info));
        assert_eq!(verify(&forged).unwrap_err(), RequestError::Possession);
    }

    /// Threat 20: with exponent 1 the signature is the padded digest itself, and openssl says OK.
    #[test]
    fn a_request_forged_with_exponent_one_is_refused() {
        let modulus = [vec![0, 0xc0], vec![0x11; 254], vec![0x0f]].concat();
        let key = [&[0x30, 0x82, 0x01, 0x08, 0x02, 0x82, 0x01, 0x01][..], &modulus, &[0x02, 0x01, 0x01]].concat();
        let spki = spki(oid::RSA_ENCRYPTION, Some(&[5, 0]), &key);
        let info = pkcs10::encode_certification_request_info(&common_name("x"), spki.der(), &[]);
        let digest = super::super::digest::sha256(&[&info]);
        let digest_info =
            [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 1, 5, 0, 4, 0x20];
        let padding = vec![0xff; 256 - 3 - digest_info.len() - digest.len()];
        let signature = [&[0, 1][..], &padding, &[0], &digest_info, &digest].concat();
        let algorithm = SignatureAlgorithm::RsaPkcs1Sha256.identifier();
        let forged = pkcs10::encode_certification_request(&info, algorithm, &signature);
        assert_eq!(verify(&forged).unwrap_err(), RequestError::Key(PublicKeyError::RsaExponent));
    }

    #[test]
    fn algorithms_that_are_weak_or_not_the_keys_are_refused_as_such() {
        let key = TestKey::generate(KeyType::P256);
        let info = pkcs10::encode_certification_request_info(&common_name("x"), key.spki.der(), &[]);
        let with = |identifier: &AlgorithmIdentifier| {
            verify(&pkcs10::encode_certification_request(&info, identifier, &key.sign(&info))).unwrap_err()
        };
        let sha1 = AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA1, None);
        assert!(matches!(with(&sha1), RequestError::Algorithm(SignatureError::WeakDigest { digest: "SHA-1" })));
        let rsa = SignatureAlgorithm::RsaPkcs1Sha256.identifier();
        assert!(matches!(with(rsa), RequestError::Algorithm(SignatureError::KeyMismatch { .. })));
    }

    #[test]
    fn names_that_deceive_are_refused_before_anything_is_verified() {
        let key = TestKey::generate(KeyType::P256);
        for text in ["a\0b", "a\r\nb", "a\u{1b}[2J", "a\u{202e}b"] {
            let attribute = AttributeTypeAndValue::from_text(oid::AT_COMMON_NAME, text).unwrap();
            let der = testing::request(&Name::from_rdns(&[vec![attribute]]), &key, &[]);
            assert!(matches!(verify(&der).unwrap_err(), RequestError::Name(NameError::Character { .. })), "{text:?}");
        }
        for name in ["*.acme.example", "192.0.2.1", "acme.example.", "a_b.example"] {
            let asked = subject_alt_name(false, &[GeneralName::DnsName(name.into())]);
            let der = testing::request(&common_name("x"), &key, &[asked]);
            assert!(matches!(verify(&der).unwrap_err(), RequestError::Name(NameError::DnsName(_))), "{name}");
        }
    }

    #[test]
    fn too_many_names_are_refused() {
        let key = TestKey::generate(KeyType::P256);
        let names = |count: usize| {
            let names: Vec<_> = (0..count).map(|i| GeneralName::DnsName(format!("d{i}.example"))).collect();
            verify(&testing::request(&common_name("x"), &key, &[subject_alt_name(false, &names)]))
        };
        assert!(names(32).is_ok());
        for count in [33, 5_000] {
            assert!(matches!(names(count).unwrap_err(), RequestError::Syntax(DecodeError::TooMany { .. })));
        }
    }

    proptest! {
        /// No mutant of a good request verifies: whatever is changed is signed, or is the signature.
        #[test]
        fn no_change_goes_unseen(position in 0..10_000_usize, flip in 1..=255_u8) {
            use std::sync::LazyLock;
            static REQUEST: LazyLock<Vec<u8>> = LazyLock::new(|| {
                testing::request(&common_name("device-1"), &TestKey::generate(KeyType::P256), &[])
            });
            let mut mutant = REQUEST.clone();
            let position = position % mutant.len();
            mutant[position] ^= flip;
            prop_assert!(verify(&mutant).is_err());
        }
    }
}
