//! Certificates that no enrollment asks for: CAs, the server's own, and birth certificates for demonstrations.

use chrono::{DateTime, TimeDelta, Utc};
use estd_asn1::general_name::HardwareModuleName;
use estd_asn1::{
    AttributeTypeAndValue, Certificate, DecodeError, Extension, GeneralName, Name, Oid, SubjectPublicKeyInfo,
    TbsCertificate, Validity, certificate, oid,
};

use super::authority::CertificateAuthority;
use super::signer::{Signer, SignerError};
use crate::pki::certificate::{
    Appointment, appointee_extensions, birth_extensions, ca_extensions, cross_extensions, server_extensions,
};
use crate::pki::public_key::{KeyPolicy, PublicKey, PublicKeyError};
use crate::pki::serial::Serial;
use crate::pki::signature::{self, SignatureError};

/// How far notBefore lies in the past, for clocks that are behind.
const BACKDATE: TimeDelta = TimeDelta::hours(1);

/// 9999-12-31T23:59:59Z: there is no well-defined end (RFC 5280 section 4.1.2.5).
const NO_WELL_DEFINED_END: DateTime<Utc> = match DateTime::from_timestamp(253_402_300_799, 0) {
    Some(end) => end,
    None => panic!("a time that chrono can tell"),
};

/// Longest common name (RFC 5280 appendix A.1, ub-common-name), in characters.
const MAX_COMMON_NAME: usize = 64;

/// The common name of a key generator.
const KEY_GENERATOR_NAME: &str = "Key Generator";

/// The name of CMC responders.
const CMC_RESPONDER_NAME: &str = "CMC Responder";

/// The name of OCSP responders.
const OCSP_RESPONDER_NAME: &str = "OCSP Responder";

/// Why a certificate was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CeremonyError {
    /// The key to be certified is unsound.
    #[error(transparent)]
    Key(#[from] PublicKeyError),
    /// The issuer did not sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The issuer's signature does not verify under its own key.
    #[error("the signature made for the certificate does not verify: {0}")]
    Signature(#[from] SignatureError),
    /// A name or extension of the new certificate, or of its issuer, is not what its type allows.
    #[error(transparent)]
    Encoding(#[from] DecodeError),
    /// A certificate for nobody.
    #[error("a server certificate needs at least one name")]
    NoName,
    /// A CA must not certify CAs, or not as long a path (RFC 5280 section 4.2.1.9).
    #[error("the path length of {issuer} allows no such CA below it")]
    PathLength {
        /// The CA.
        issuer: String,
    },
    /// Roots vouch for another key of their own alone.
    #[error(
        "{issuer} and {subject} are not two keys of one ca: expected the same name, and a subjectKeyIdentifier in each"
    )]
    OtherName {
        /// Who should sign.
        issuer: String,
        /// Whose key.
        subject: String,
    },
    /// A certificate does not outlive its CA.
    #[error("{issuer} is valid until {until}: a certificate valid longer, or only from then on, would be of no use")]
    OutlivesIssuer {
        /// The CA.
        issuer: String,
        /// Its notAfter.
        until: DateTime<Utc>,
    },
}

/// Makes a self-signed CA certificate: a root.
///
/// # Errors
/// When the key is unsound or does not sign.
pub fn self_signed_ca(
    signer: &dyn Signer,
    subject: &Name,
    validity: Validity,
    path_len: Option<u32>,
    serial: &Serial,
) -> Result<Certificate, CeremonyError> {
    let key = PublicKey::check(signer.public_key(), &KeyPolicy::default())?;
    // RFC 5280 §4.2.1.1: a self-signed certificate may leave out the authorityKeyIdentifier.
    let extensions = ca_extensions(&key, None, path_len);
    let issuer = Issuer { signer, key: &key, name: subject };
    issuer.sign(&Contents { subject, key: &key, validity, serial, extensions: &extensions })
}

/// Makes the certificate of a CA below `issuer`.
///
/// # Errors
/// When the key is unsound, the issuer must not certify such a CA or ends before it, or does not sign.
pub fn subordinate_ca(
    issuer: &CertificateAuthority,
    subject: &Name,
    spki: &SubjectPublicKeyInfo,
    validity: Validity,
    path_len: Option<u32>,
    serial: &Serial,
) -> Result<Certificate, CeremonyError> {
    let key = PublicKey::check(spki, &KeyPolicy::default())?;
    let issuer_limit = issuer.certificate().basic_constraints()?.unwrap_or_default().path_len;
    // RFC 5280 §4.2.1.9: how many CAs may follow the issuer; the new one is the first of them.
    let allowed = match (issuer_limit, path_len) {
        (None, _) => true,
        (Some(limit), Some(length)) => length < limit,
        (Some(limit), None) => limit > 0,
    };
    if !allowed {
        return Err(CeremonyError::PathLength { issuer: issuer.certificate().subject().to_string() });
    }
    check_end(validity, issuer.certificate())?;
    let extensions = ca_extensions(&key, Some(issuer.key_identifier()), path_len);
    Issuer::of(issuer).sign(&Contents { subject, key: &key, validity, serial, extensions: &extensions })
}

/// Makes the certificate by which `issuer`, a root, vouches for the key of another root of the same CA (RFC 4210 section 4.4):
/// OldWithNew or NewWithOld.
///
/// # Errors
/// When they are not roots of one name, or the issuer does not sign.
pub fn cross_certificate(
    issuer: &CertificateAuthority,
    root: &Certificate,
    validity: Validity,
    serial: &Serial,
) -> Result<Certificate, CeremonyError> {
    let key = PublicKey::check(root.public_key(), &KeyPolicy::default())?;
    let other_name = || CeremonyError::OtherName {
        issuer: issuer.certificate().subject().to_string(),
        subject: root.subject().to_string(),
    };
    if root.subject().der() != issuer.certificate().subject().der() {
        return Err(other_name());
    }
    let extensions = cross_extensions(root, issuer.key_identifier()).ok_or_else(other_name)?;
    check_end(validity, issuer.certificate())?;
    Issuer::of(issuer).sign(&Contents { subject: root.subject(), key: &key, validity, serial, extensions: &extensions })
}

/// Makes a TLS server certificate. The first DNS name that fits is the common name as well, for people to read.
///
/// # Errors
/// When there is no name, the key is unsound, the issuer ends before the certificate, or does not sign.
pub fn server_certificate(
    issuer: &CertificateAuthority,
    names: &[GeneralName],
    spki: &SubjectPublicKeyInfo,
    validity: Validity,
    serial: &Serial,
) -> Result<Certificate, CeremonyError> {
    let key = PublicKey::check(spki, &KeyPolicy::default())?;
    if names.is_empty() {
        return Err(CeremonyError::NoName);
    }
    check_end(validity, issuer.certificate())?;
    let common_name = names.iter().find_map(|name| {
        let GeneralName::DnsName(name) = name else { return None };
        (name.len() <= MAX_COMMON_NAME).then_some(name)
    });
    let subject = match common_name {
        Some(common_name) => single_attribute(oid::AT_COMMON_NAME, common_name)?,
        None => Name::empty(),
    };
    let extensions = server_extensions(&key, issuer.key_identifier(), &subject, names);
    Issuer::of(issuer).sign(&Contents { subject: &subject, key: &key, validity, serial, extensions: &extensions })
}

/// Makes the certificate of somebody who signs messages in the CA's name.
///
/// # Errors
/// When the key is unsound, the issuer ends before the certificate, or does not sign.
pub fn appointed_certificate(
    issuer: &CertificateAuthority,
    appointment: Appointment,
    spki: &SubjectPublicKeyInfo,
    validity: Validity,
    serial: &Serial,
) -> Result<Certificate, CeremonyError> {
    let key = PublicKey::check(spki, &KeyPolicy::default())?;
    check_end(validity, issuer.certificate())?;
    let name = match appointment {
        Appointment::KeyGenerator => KEY_GENERATOR_NAME,
        Appointment::CmcResponder => CMC_RESPONDER_NAME,
        Appointment::OcspResponder => OCSP_RESPONDER_NAME,
    };
    let subject = single_attribute(oid::AT_COMMON_NAME, name)?;
    let extensions = appointee_extensions(&key, issuer.key_identifier(), appointment);
    Issuer::of(issuer).sign(&Contents { subject: &subject, key: &key, validity, serial, extensions: &extensions })
}

/// What IEEE 802.1AR says about a device.
#[derive(Debug, Clone, Copy)]
pub struct DeviceIdentity<'a> {
    /// The serialNumber of the subject, unique for the manufacturer: PrintableString characters.
    pub serial_number: &'a str,
    /// The hardwareModuleName of the subjectAltName.
    pub hardware_module_name: Option<&'a HardwareModuleName>,
}

/// Makes a birth certificate (IDevID) as manufacturers do: no extended key usage and no end, so it outlives its CA.
///
/// # Errors
/// When the serial number is not a PrintableString, the key is unsound, or the issuer does not sign.
pub fn birth_certificate(
    issuer: &CertificateAuthority,
    device: DeviceIdentity<'_>,
    spki: &SubjectPublicKeyInfo,
    not_before: DateTime<Utc>,
    serial: &Serial,
) -> Result<Certificate, CeremonyError> {
    let key = PublicKey::check(spki, &KeyPolicy::default())?;
    let subject = single_attribute(oid::AT_SERIAL_NUMBER, device.serial_number)?;
    let names: Vec<_> = device.hardware_module_name.iter().map(|module| module.to_general_name()).collect();
    let extensions = birth_extensions(&key, issuer.key_identifier(), &subject, &names);
    let validity = Validity { not_before, not_after: NO_WELL_DEFINED_END };
    Issuer::of(issuer).sign(&Contents { subject: &subject, key: &key, validity, serial, extensions: &extensions })
}

/// From a little before `now` for `life`, but not past the end of the issuer.
///
/// # Errors
/// When the issuer has ended.
pub fn validity(now: DateTime<Utc>, life: TimeDelta, issuer: &Certificate) -> Result<Validity, CeremonyError> {
    let issuer_validity = issuer.validity();
    let validity = Validity {
        not_before: (now - BACKDATE).max(issuer_validity.not_before),
        not_after: now.checked_add_signed(life).unwrap_or(issuer_validity.not_after).min(issuer_validity.not_after),
    };
    if validity.not_after <= now { Err(outlives(issuer)) } else { Ok(validity) }
}

fn check_end(validity: Validity, issuer: &Certificate) -> Result<(), CeremonyError> {
    if validity.not_after > issuer.validity().not_after { Err(outlives(issuer)) } else { Ok(()) }
}

fn outlives(issuer: &Certificate) -> CeremonyError {
    CeremonyError::OutlivesIssuer { issuer: issuer.subject().to_string(), until: issuer.validity().not_after }
}

/// Who signs.
struct Issuer<'a> {
    signer: &'a dyn Signer,
    key: &'a PublicKey,
    name: &'a Name,
}

/// What is signed.
struct Contents<'a> {
    subject: &'a Name,
    key: &'a PublicKey,
    validity: Validity,
    serial: &'a Serial,
    extensions: &'a [Extension],
}

impl<'a> Issuer<'a> {
    fn of(authority: &'a CertificateAuthority) -> Self {
        Self { signer: authority.signer(), key: authority.key(), name: authority.certificate().subject() }
    }

    fn sign(&self, contents: &Contents<'_>) -> Result<Certificate, CeremonyError> {
        let algorithm = self.signer.algorithm();
        let tbs = TbsCertificate {
            serial: contents.serial.octets(),
            signature: algorithm.identifier(),
            issuer: self.name,
            validity: contents.validity,
            subject: contents.subject,
            spki_der: contents.key.spki_der(),
            extensions: contents.extensions,
        }
        .encode();
        let signature = self.signer.sign(&tbs)?;
        signature::verify(self.key, algorithm, &tbs, &signature)?;
        Ok(Certificate::decode(&certificate::encode_certificate(&tbs, algorithm.identifier(), &signature))?)
    }
}

fn single_attribute(oid: Oid, text: &str) -> Result<Name, DecodeError> {
    Ok(Name::from_rdns(&[vec![AttributeTypeAndValue::from_text(oid, text)?]]))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ca::SoftwareSigner;
    use crate::pki::public_key::KeyType;
    use estd_asn1::{BasicConstraints, KeyUsage};

    fn time(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn decade() -> Validity {
        Validity { not_before: time("2026-01-01T00:00:00Z"), not_after: time("2036-01-01T00:00:00Z") }
    }

    fn serial(octet: u8) -> Serial {
        Serial::from_entropy([octet; 20])
    }

    fn root(key_type: KeyType, path_len: Option<u32>) -> CertificateAuthority {
        let (signer, _) = SoftwareSigner::generate(key_type).unwrap();
        let subject = single_attribute(oid::AT_COMMON_NAME, "Root").unwrap();
        let certificate = self_signed_ca(&signer, &subject, decade(), path_len, &serial(1)).unwrap();
        CertificateAuthority::new(certificate, vec![], Arc::new(signer)).unwrap()
    }

    fn key() -> SoftwareSigner {
        SoftwareSigner::generate(KeyType::P256).unwrap().0
    }

    /// Types and criticality in order.
    fn shape(certificate: &Certificate) -> Vec<(&Oid, bool)> {
        certificate.extensions().iter().map(|extension| (&extension.oid, extension.critical)).collect()
    }

    #[test]
    fn a_root_of_every_kind_of_key_is_a_ca() {
        for key_type in [KeyType::P256, KeyType::P384, KeyType::Rsa, KeyType::Ed25519] {
            let root = root(key_type, None);
            let certificate = root.certificate();
            assert_eq!(certificate.issuer(), certificate.subject());
            assert_eq!(certificate.serial(), serial(1).octets());
            assert_eq!(certificate.validity(), decade());
            assert_eq!(certificate.signature_algorithm(), root.signer().algorithm().identifier());
            let expected =
                [(&oid::SUBJECT_KEY_IDENTIFIER, false), (&oid::KEY_USAGE, true), (&oid::BASIC_CONSTRAINTS, true)];
            assert_eq!(shape(certificate), expected);
        }
    }

    #[test]
    fn a_subordinate_ca_stands_below_its_issuer() {
        let root = root(KeyType::P256, Some(1));
        let signer = key();
        let subject = single_attribute(oid::AT_COMMON_NAME, "Issuing").unwrap();
        let certificate = subordinate_ca(&root, &subject, signer.public_key(), decade(), Some(0), &serial(2)).unwrap();
        assert_eq!(certificate.issuer(), root.certificate().subject());
        assert_eq!(certificate.authority_key_identifier().unwrap().as_deref(), Some(root.key_identifier()));
        let constraints = BasicConstraints { ca: true, path_len: Some(0) };
        assert_eq!(certificate.basic_constraints(), Ok(Some(constraints)));

        let issuing =
            CertificateAuthority::new(certificate, vec![root.certificate().clone()], Arc::new(signer)).unwrap();
        for path_len in [None, Some(0)] {
            let refused = subordinate_ca(&issuing, &subject, key().public_key(), decade(), path_len, &serial(3));
            assert_eq!(refused, Err(CeremonyError::PathLength { issuer: "CN=Issuing".into() }));
        }
    }

    #[test]
    fn a_server_certificate_has_names_and_server_auth() {
        let root = root(KeyType::P256, None);
        let names = [GeneralName::IpAddress(vec![127, 0, 0, 1]), GeneralName::DnsName("est.example".into())];
        let signer = key();
        let certificate = server_certificate(&root, &names, signer.public_key(), decade(), &serial(2)).unwrap();
        assert_eq!(certificate.subject().to_string(), "CN=est.example");
        assert_eq!(certificate.subject_alt_names(2).unwrap(), names);
        assert_eq!(certificate.ext_key_usage().unwrap().unwrap(), [oid::KP_SERVER_AUTH]);
        assert_eq!(certificate.key_usage(), Ok(Some(KeyUsage::DIGITAL_SIGNATURE)));
        assert_eq!(certificate.public_key(), signer.public_key());
        assert_eq!(certificate.basic_constraints(), Ok(None));

        let addresses = server_certificate(&root, &names[..1], signer.public_key(), decade(), &serial(3)).unwrap();
        assert!(addresses.subject().is_empty());
        assert!(addresses.extension(&oid::SUBJECT_ALT_NAME).unwrap().critical);

        let nobody = server_certificate(&root, &[], signer.public_key(), decade(), &serial(4));
        assert_eq!(nobody, Err(CeremonyError::NoName));
        let longer = Validity { not_after: decade().not_after + TimeDelta::seconds(1), ..decade() };
        let outliving = server_certificate(&root, &names, signer.public_key(), longer, &serial(5));
        assert!(matches!(outliving, Err(CeremonyError::OutlivesIssuer { .. })));
    }

    #[test]
    fn a_birth_certificate_is_as_802_1ar_has_it() {
        let root = root(KeyType::P256, None);
        let module = HardwareModuleName { hw_type: Oid::parse("1.3.6.1.4.1.1.1").unwrap(), hw_serial_num: vec![8, 15] };
        let device = DeviceIdentity { serial_number: "0815-4711", hardware_module_name: Some(&module) };
        let not_before = decade().not_before;
        let certificate = birth_certificate(&root, device, key().public_key(), not_before, &serial(2)).unwrap();
        assert_eq!(certificate.subject().to_string(), "serialNumber=0815-4711");
        assert_eq!(certificate.validity().not_after, time("9999-12-31T23:59:59Z"));
        assert_eq!(certificate.subject_alt_names(1).unwrap(), [module.to_general_name()]);
        assert_eq!(certificate.ext_key_usage(), Ok(None));
        assert_eq!(certificate.key_usage(), Ok(Some(KeyUsage::DIGITAL_SIGNATURE)));

        let plain = DeviceIdentity { hardware_module_name: None, ..device };
        let certificate = birth_certificate(&root, plain, key().public_key(), not_before, &serial(3)).unwrap();
        assert!(certificate.extension(&oid::SUBJECT_ALT_NAME).is_none());
        let unprintable = DeviceIdentity { serial_number: "0815_4711", ..plain };
        let refused = birth_certificate(&root, unprintable, key().public_key(), not_before, &serial(4));
        assert_eq!(refused, Err(CeremonyError::Encoding(DecodeError::Text { what: "attribute value" })));
    }

    #[test]
    fn validity_stays_within_the_issuer() {
        let root = root(KeyType::P256, None);
        let of = |now: &str, days| validity(time(now), TimeDelta::days(days), root.certificate());
        let within = of("2030-01-01T00:00:00Z", 10).unwrap();
        assert_eq!(within.not_before, time("2029-12-31T23:00:00Z"));
        assert_eq!(within.not_after, time("2030-01-11T00:00:00Z"));
        assert_eq!(of("2026-01-01T00:00:01Z", 9_999).unwrap(), decade());
        assert!(matches!(of("2036-01-01T00:00:00Z", 10), Err(CeremonyError::OutlivesIssuer { .. })));
    }
}
