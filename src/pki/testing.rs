//! Keys, authorities and certificates for tests, composed by hand so that they can be wrong in every way.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as backend, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use chrono::{DateTime, TimeDelta, Utc};
use estd_asn1::certificate::encode_certificate;
use estd_asn1::{
    AlgorithmIdentifier, AttributeTypeAndValue, BasicConstraints, Certificate, Extension, GeneralName, KeyUsage, Name,
    Oid, SubjectPublicKeyInfo, TbsCertificate, Validity, general_name, oid, pkcs10,
};

use super::profile::{EnrollmentProfile, KeyUsagePolicy, RequestNames};
use super::public_key::{KeyPolicy, KeyType};
use super::signature::SignatureAlgorithm;
use super::template::{SubjectAltNameTemplate, SubjectAttributeTemplate};

/// A key pair that signs with the algorithm its kind usually signs with.
pub(crate) struct TestKey {
    pair: Pair,
    pub(crate) spki: SubjectPublicKeyInfo,
    pub(crate) algorithm: SignatureAlgorithm,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl TestKey {
    pub(crate) fn generate(key_type: KeyType) -> Self {
        match key_type {
            KeyType::Rsa => Self::rsa(KeySize::Rsa2048),
            KeyType::P256 => {
                Self::ecdsa(&backend::ECDSA_P256_SHA256_ASN1_SIGNING, &oid::SECP256R1, SignatureAlgorithm::EcdsaSha256)
            }
            KeyType::P384 => {
                Self::ecdsa(&backend::ECDSA_P384_SHA384_ASN1_SIGNING, &oid::SECP384R1, SignatureAlgorithm::EcdsaSha384)
            }
            KeyType::P521 => {
                Self::ecdsa(&backend::ECDSA_P521_SHA512_ASN1_SIGNING, &oid::SECP521R1, SignatureAlgorithm::EcdsaSha512)
            }
            KeyType::Ed25519 => {
                let pair = Ed25519KeyPair::generate().unwrap();
                let spki = spki(oid::ED25519, None, pair.public_key().as_ref());
                Self { pair: Pair::Ed25519(pair), spki, algorithm: SignatureAlgorithm::Ed25519 }
            }
        }
    }

    pub(crate) fn rsa(size: KeySize) -> Self {
        let pair = RsaKeyPair::generate(size).unwrap();
        let der = pair.public_key().as_der().unwrap();
        let spki = SubjectPublicKeyInfo::decode(der.as_ref()).unwrap();
        Self { pair: Pair::Rsa(pair), spki, algorithm: SignatureAlgorithm::RsaPkcs1Sha256 }
    }

    fn ecdsa(kind: &'static backend::EcdsaSigningAlgorithm, curve: &Oid, algorithm: SignatureAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(kind).unwrap();
        let spki = spki(oid::EC_PUBLIC_KEY, Some(&curve.encode()), pair.public_key().as_ref());
        Self { pair: Pair::Ecdsa(pair), spki, algorithm }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&backend::RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

pub(crate) fn spki(algorithm: Oid, parameters: Option<&[u8]>, key: &[u8]) -> SubjectPublicKeyInfo {
    SubjectPublicKeyInfo::new(AlgorithmIdentifier::new(algorithm, parameters), key)
}

/// `2026-01-01` and the like, at midnight.
pub(crate) fn day(text: &str) -> DateTime<Utc> {
    format!("{text}T00:00:00Z").parse().unwrap()
}

/// From one day to another.
pub(crate) fn validity(from: &str, to: &str) -> Validity {
    Validity { not_before: day(from), not_after: day(to) }
}

/// A name with a single commonName.
pub(crate) fn common_name(text: &str) -> Name {
    Name::from_rdns(&[vec![AttributeTypeAndValue::from_text(oid::AT_COMMON_NAME, text).unwrap()]])
}

pub(crate) fn extension(oid: Oid, critical: bool, value: Vec<u8>) -> Extension {
    Extension { oid, critical, value }
}

pub(crate) fn key_usage(usage: KeyUsage) -> Extension {
    extension(oid::KEY_USAGE, true, usage.encode())
}

pub(crate) fn ext_key_usage(usages: &[Oid]) -> Extension {
    extension(oid::EXT_KEY_USAGE, false, estd_asn1::extension::encode_ext_key_usage(usages))
}

pub(crate) fn basic_constraints(ca: bool, path_len: Option<u32>) -> Extension {
    extension(oid::BASIC_CONSTRAINTS, true, BasicConstraints { ca, path_len }.encode())
}

pub(crate) fn subject_alt_name(critical: bool, names: &[GeneralName]) -> Extension {
    extension(oid::SUBJECT_ALT_NAME, critical, general_name::encode_general_names(names))
}

/// A certificate to be; every part can be changed before it is signed.
pub(crate) struct Draft {
    pub(crate) issuer: Name,
    pub(crate) subject: Name,
    pub(crate) validity: Validity,
    pub(crate) spki: SubjectPublicKeyInfo,
    pub(crate) extensions: Vec<Extension>,
}

impl Draft {
    /// A device's, as IEEE 802.1AR has it: no end, keyUsage, no extendedKeyUsage.
    pub(crate) fn birth(subject: Name, key: &TestKey) -> Self {
        Self {
            issuer: Name::empty(),
            subject,
            validity: Validity { not_before: day("2020-01-01"), not_after: "9999-12-31T23:59:59Z".parse().unwrap() },
            spki: key.spki.clone(),
            extensions: vec![key_usage(KeyUsage::DIGITAL_SIGNATURE)],
        }
    }

    pub(crate) fn ca(subject: &str, key: &TestKey) -> Self {
        Self {
            issuer: common_name(subject),
            subject: common_name(subject),
            validity: validity("2020-01-01", "2040-01-01"),
            spki: key.spki.clone(),
            extensions: vec![
                key_usage(KeyUsage::KEY_CERT_SIGN.union(KeyUsage::CRL_SIGN)),
                basic_constraints(true, None),
            ],
        }
    }

    pub(crate) fn sign(&self, key: &TestKey) -> Certificate {
        self.sign_as(key, key.algorithm.identifier())
    }

    /// Signs, but names another algorithm.
    pub(crate) fn sign_as(&self, key: &TestKey, algorithm: &AlgorithmIdentifier) -> Certificate {
        let tbs = TbsCertificate {
            serial: &[0x01, 0x02],
            signature: algorithm,
            issuer: &self.issuer,
            validity: self.validity,
            subject: &self.subject,
            spki_der: self.spki.der(),
            extensions: &self.extensions,
        };
        let tbs = tbs.encode();
        Certificate::decode(&encode_certificate(&tbs, algorithm, &key.sign(&tbs))).unwrap()
    }
}

/// A CA of the tests.
pub(crate) struct Authority {
    pub(crate) key: TestKey,
    pub(crate) certificate: Certificate,
}

impl Authority {
    pub(crate) fn root(name: &str, key_type: KeyType) -> Self {
        let key = TestKey::generate(key_type);
        let certificate = Draft::ca(name, &key).sign(&key);
        Self { key, certificate }
    }

    pub(crate) fn below(&self, name: &str) -> Self {
        let key = TestKey::generate(KeyType::P256);
        let certificate = self.issue(Draft::ca(name, &key));
        Self { key, certificate }
    }

    pub(crate) fn issue(&self, mut draft: Draft) -> Certificate {
        draft.issuer = self.certificate.subject().clone();
        draft.sign(&self.key)
    }
}

/// A certification request, signed by the key in it.
pub(crate) fn request(subject: &Name, key: &TestKey, extensions: &[Extension]) -> Vec<u8> {
    let info = pkcs10::encode_certification_request_info(subject, key.spki.der(), extensions);
    pkcs10::encode_certification_request(&info, key.algorithm.identifier(), &key.sign(&info))
}

/// A sound profile.
pub(crate) fn profile() -> EnrollmentProfile {
    EnrollmentProfile {
        name: "device".into(),
        validity: TimeDelta::days(398),
        backdate: TimeDelta::hours(1),
        keys: KeyPolicy::default(),
        key_usage: KeyUsagePolicy::ByKeyType,
        ext_key_usage: vec![oid::KP_CLIENT_AUTH],
        subject: vec![SubjectAttributeTemplate::parse("CN={device_id}").unwrap()],
        subject_alt_names: vec![SubjectAltNameTemplate::parse("uri:urn:acme:{device_id}").unwrap()],
        optional_subject_alt_names: vec![],
        request_names: RequestNames::Agree,
        crl_urls: vec!["http://pki.acme.example/issuing.crl".into()],
        ocsp_urls: vec!["http://ocsp.acme.example/".into()],
        ca_issuer_urls: vec!["http://pki.acme.example/issuing.cer".into()],
        policies: vec![Oid::parse("1.3.6.1.4.1.99999.1").unwrap()],
        extensions: vec![custom("1.3.6.1.4.1.99999.2", &[0x04, 0x01, 0x01])],
        allow_key_reuse: true,
        ca_path_len: None,
        ra: false,
    }
}

/// An extension of a profile's own.
pub(crate) fn custom(oid: &str, value: &[u8]) -> Extension {
    Extension { oid: Oid::parse(oid).unwrap(), critical: false, value: value.to_vec() }
}
