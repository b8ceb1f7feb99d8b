//! What goes into a certificate before it is signed: validity, extensions, TBSCertificate (RFC 5280 section 4).

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use estd_asn1::{
    BasicConstraints, Certificate, Extension, GeneralName, KeyUsage, Name, Oid, TbsCertificate, Validity, extension,
    general_name, oid,
};

use super::profile::EnrollmentProfile;
use super::public_key::{KeyType, PublicKey};
use super::serial::Serial;
use super::signature::SignatureAlgorithm;

/// Why a certificate cannot be composed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The CA has expired: what it would issue could never be valid.
    #[error("the ca certificate expired at {not_after}")]
    CaExpired {
        /// When.
        not_after: DateTime<Utc>,
    },
    /// The CA is not valid yet, or the clock is wrong.
    #[error("the ca certificate is valid from {not_before} only")]
    CaNotYetValid {
        /// When it becomes valid.
        not_before: DateTime<Utc>,
    },
    /// The validity asked for is not longer than nothing.
    #[error("a certificate must be valid for a second at least")]
    NoValidity,
    /// Neither subject nor subjectAltName.
    #[error("a certificate needs a subject or a subjectAltName")]
    NoName,
    /// The same extension twice.
    #[error("the extension {oid} stands twice")]
    DuplicateExtension {
        /// Which.
        oid: Oid,
    },
}

/// When a certificate issued now is valid: from `backdate` ago, for `validity` from now, in whole seconds and never
/// outside the validity of its CA.
///
/// # Errors
/// When the CA is not valid now, or nothing remains.
pub fn clamp_validity(
    now: DateTime<Utc>,
    backdate: TimeDelta,
    validity: TimeDelta,
    ca: &Certificate,
) -> Result<Validity, CertificateError> {
    let Validity { not_before: ca_begin, not_after: ca_end } = ca.validity();
    if now > ca_end {
        return Err(CertificateError::CaExpired { not_after: ca_end });
    }
    if now < ca_begin {
        return Err(CertificateError::CaNotYetValid { not_before: ca_begin });
    }
    // A time beyond what the calendar has is outside the CA's validity as well.
    let begin = now.checked_sub_signed(backdate).unwrap_or(ca_begin);
    let end = now.checked_add_signed(validity).unwrap_or(ca_end);
    let not_before = begin.trunc_subsecs(0).max(ca_begin);
    let not_after = end.trunc_subsecs(0).min(ca_end);
    if not_before < not_after { Ok(Validity { not_before, not_after }) } else { Err(CertificateError::NoValidity) }
}

/// What a certificate says, ready to be encoded and signed.
#[derive(Debug, Clone)]
pub struct CertificateContents<'a> {
    /// Serial number.
    pub serial: &'a Serial,
    /// How it will be signed.
    pub signature: SignatureAlgorithm,
    /// The subject of the CA certificate.
    pub issuer: &'a Name,
    /// When it is valid; see [`clamp_validity`].
    pub validity: Validity,
    /// Whose it is.
    pub subject: &'a Name,
    /// SubjectPublicKeyInfo.
    pub spki_der: &'a [u8],
    /// Extensions in the order in which they are written.
    pub extensions: Vec<Extension>,
}

impl CertificateContents<'_> {
    /// The TBSCertificate. Issuer and SubjectPublicKeyInfo are copied bit for bit (X509-04, X509-19).
    ///
    /// # Errors
    /// When there is no name in it, or an extension stands twice.
    pub fn tbs_der(&self) -> Result<Vec<u8>, CertificateError> {
        // RFC 5280 §4.2: "A certificate MUST NOT include more than one instance of a particular extension."
        for (position, Extension { oid, .. }) in self.extensions.iter().enumerate() {
            if self.extensions[..position].iter().any(|earlier| earlier.oid == *oid) {
                return Err(CertificateError::DuplicateExtension { oid: oid.clone() });
            }
        }
        // RFC 5280 §4.1.2.6: an empty subject needs a subjectAltName.
        let has_alt_name = self.extensions.iter().any(|extension| extension.oid == oid::SUBJECT_ALT_NAME);
        if self.subject.is_empty() && !has_alt_name {
            return Err(CertificateError::NoName);
        }
        let tbs = TbsCertificate {
            serial: self.serial.octets(),
            signature: self.signature.identifier(),
            issuer: self.issuer,
            validity: self.validity,
            subject: self.subject,
            spki_der: self.spki_der,
            extensions: &self.extensions,
        };
        Ok(tbs.encode())
    }
}

/// The URLs that a certificate names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locations {
    /// cRLDistributionPoints
    pub crls: Vec<String>,
    /// id-ad-ocsp in authorityInfoAccess
    pub ocsp: Vec<String>,
    /// id-ad-caIssuers in authorityInfoAccess
    pub ca_issuers: Vec<String>,
}

/// A device certificate to be.
#[derive(Debug, Clone, Copy)]
pub struct EndEntity<'a> {
    /// Serial number.
    pub serial: &'a Serial,
    /// How it will be signed.
    pub signature: SignatureAlgorithm,
    /// The subject of the CA certificate.
    pub issuer: &'a Name,
    /// The subjectKeyIdentifier of the CA certificate.
    pub issuer_key_identifier: &'a [u8],
    /// When it is valid; see [`clamp_validity`].
    pub validity: Validity,
    /// Whose it is.
    pub subject: &'a Name,
    /// Whose else it is.
    pub subject_alt_names: &'a [GeneralName],
    /// The device's key.
    pub key: &'a PublicKey,
    /// What its CA says where its standing is told; what the profile says stands instead.
    pub locations: &'a Locations,
    /// Everything else.
    pub profile: &'a EnrollmentProfile,
}

/// The TBSCertificate of a device certificate.
///
/// # Errors
/// When there is no name to certify, or an extension of the profile's own stands twice.
pub fn end_entity_tbs(contents: &EndEntity<'_>) -> Result<Vec<u8>, CertificateError> {
    let contents = CertificateContents {
        serial: contents.serial,
        signature: contents.signature,
        issuer: contents.issuer,
        validity: contents.validity,
        subject: contents.subject,
        spki_der: contents.key.spki_der(),
        extensions: end_entity_extensions(contents),
    };
    contents.tbs_der()
}

/// The extensions of a device certificate. basicConstraints is left out, which says that it is no CA (RFC 5280 section
/// 4.2.1.9), unless the profile is one of CAs; those have no extendedKeyUsage, which would bind what they issue.
fn end_entity_extensions(contents: &EndEntity<'_>) -> Vec<Extension> {
    let EndEntity { key, profile, .. } = contents;
    let mut extensions = vec![
        authority_key_identifier(contents.issuer_key_identifier),
        subject_key_identifier(key),
        key_usage(profile.key_usage_for(key.key_type())),
    ];
    match profile.ca_path_len {
        Some(path_len) => extensions.push(basic_constraints(Some(path_len))),
        None => extensions.extend(ext_key_usage(&profile.ext_key_usage)),
    }
    extensions.extend(certificate_policies(&profile.policies));
    extensions.extend(subject_alt_name(contents.subject, contents.subject_alt_names));
    let Locations { crls, ocsp, ca_issuers } = contents.locations;
    extensions.extend(crl_distribution_points(or(&profile.crl_urls, crls)));
    extensions.extend(authority_info_access(or(&profile.ocsp_urls, ocsp), or(&profile.ca_issuer_urls, ca_issuers)));
    extensions.extend(profile.extensions.iter().cloned());
    extensions
}

/// The extensions of a CA certificate. `issuer_key_identifier` is `None` for a self-signed one, which needs none
/// (RFC 5280 section 4.2.1.1).
pub fn ca_extensions(key: &PublicKey, issuer_key_identifier: Option<&[u8]>, path_len: Option<u32>) -> Vec<Extension> {
    let mut extensions: Vec<_> = issuer_key_identifier.map(authority_key_identifier).into_iter().collect();
    extensions.push(subject_key_identifier(key));
    extensions.push(key_usage(KeyUsage::KEY_CERT_SIGN.union(KeyUsage::CRL_SIGN)));
    extensions.push(basic_constraints(path_len));
    extensions
}

/// The extensions by which another root certifies what a root says of itself: the same, with another issuer. `None` when what
/// it says of itself has no subjectKeyIdentifier, without which two keys of one name are not told apart.
pub fn cross_extensions(root: &Certificate, issuer_key_identifier: &[u8]) -> Option<Vec<Extension>> {
    root.extension(&oid::SUBJECT_KEY_IDENTIFIER)?;
    let own = root.extensions().iter().filter(|extension| extension.oid != oid::AUTHORITY_KEY_IDENTIFIER).cloned();
    Some(std::iter::once(authority_key_identifier(issuer_key_identifier)).chain(own).collect())
}

fn basic_constraints(path_len: Option<u32>) -> Extension {
    // RFC 5280 §4.2.1.9: critical in certificates of CAs that sign certificates.
    critical(oid::BASIC_CONSTRAINTS, BasicConstraints { ca: true, path_len }.encode())
}

/// The extensions of a TLS server's certificate.
pub fn server_extensions(
    key: &PublicKey,
    issuer_key_identifier: &[u8],
    subject: &Name,
    names: &[GeneralName],
) -> Vec<Extension> {
    let usage = match key.key_type() {
        KeyType::Rsa => KeyUsage::DIGITAL_SIGNATURE.union(KeyUsage::KEY_ENCIPHERMENT),
        KeyType::P256 | KeyType::P384 | KeyType::P521 | KeyType::Ed25519 => KeyUsage::DIGITAL_SIGNATURE,
    };
    let mut extensions =
        vec![authority_key_identifier(issuer_key_identifier), subject_key_identifier(key), key_usage(usage)];
    extensions.extend(ext_key_usage(&[oid::KP_SERVER_AUTH]));
    extensions.extend(subject_alt_name(subject, names));
    extensions
}

/// What somebody signs in the CA's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appointment {
    /// Private keys that were made here (RFC 7030 section 4.4.2).
    KeyGenerator,
    /// Full PKI Responses (RFC 7030 section 4.3.2).
    CmcResponder,
    /// OCSP answers (RFC 6960 section 4.2.2.2).
    OcspResponder,
}

/// The extensions of an appointee's certificate: its purpose alone, so that nobody takes it for a device's or a server's.
pub fn appointee_extensions(key: &PublicKey, issuer_key_identifier: &[u8], appointment: Appointment) -> Vec<Extension> {
    let purpose = match appointment {
        // The purpose of CMS signatures: there is none for key generators.
        Appointment::KeyGenerator => oid::KP_EMAIL_PROTECTION,
        // RFC 6402 §2.10
        Appointment::CmcResponder => oid::KP_CMC_CA,
        Appointment::OcspResponder => oid::KP_OCSP_SIGNING,
    };
    let mut extensions = vec![
        authority_key_identifier(issuer_key_identifier),
        subject_key_identifier(key),
        key_usage(KeyUsage::DIGITAL_SIGNATURE),
    ];
    extensions.extend(ext_key_usage(&[purpose]));
    if appointment == Appointment::OcspResponder {
        // RFC 6960 §4.2.2.2.1: whoever asks need not ask of the responder itself; the value is NULL.
        extensions.push(plain(oid::OCSP_NO_CHECK, vec![0x05, 0x00]));
    }
    extensions
}

/// The extensions of a birth certificate (IEEE 802.1AR section 8.10): no extendedKeyUsage, so that it serves for all.
pub fn birth_extensions(
    key: &PublicKey,
    issuer_key_identifier: &[u8],
    subject: &Name,
    names: &[GeneralName],
) -> Vec<Extension> {
    let mut extensions = vec![
        authority_key_identifier(issuer_key_identifier),
        subject_key_identifier(key),
        key_usage(KeyUsage::DIGITAL_SIGNATURE),
    ];
    extensions.extend(subject_alt_name(subject, names));
    extensions
}

fn authority_key_identifier(identifier: &[u8]) -> Extension {
    // RFC 5280 §4.2.1.1: the same as the subjectKeyIdentifier of the CA certificate, not critical.
    plain(oid::AUTHORITY_KEY_IDENTIFIER, extension::encode_authority_key_identifier(identifier))
}

fn subject_key_identifier(key: &PublicKey) -> Extension {
    plain(oid::SUBJECT_KEY_IDENTIFIER, extension::encode_subject_key_identifier(&key.key_identifier()))
}

fn key_usage(usage: KeyUsage) -> Extension {
    // RFC 5280 §4.2.1.3: "conforming CAs SHOULD mark this extension as critical".
    critical(oid::KEY_USAGE, usage.encode())
}

fn ext_key_usage(usages: &[Oid]) -> Option<Extension> {
    (!usages.is_empty()).then(|| plain(oid::EXT_KEY_USAGE, extension::encode_ext_key_usage(usages)))
}

fn certificate_policies(policies: &[Oid]) -> Option<Extension> {
    (!policies.is_empty()).then(|| plain(oid::CERTIFICATE_POLICIES, extension::encode_certificate_policies(policies)))
}

fn subject_alt_name(subject: &Name, names: &[GeneralName]) -> Option<Extension> {
    let value = (!names.is_empty()).then(|| general_name::encode_general_names(names))?;
    // RFC 5280 §4.2.1.6: critical if, and only if, the subject is empty.
    Some(Extension { oid: oid::SUBJECT_ALT_NAME, critical: subject.is_empty(), value })
}

fn or<'a>(own: &'a [String], otherwise: &'a [String]) -> &'a [String] {
    if own.is_empty() { otherwise } else { own }
}

fn crl_distribution_points(urls: &[String]) -> Option<Extension> {
    let value = (!urls.is_empty()).then(|| extension::encode_crl_distribution_points(urls))?;
    Some(plain(oid::CRL_DISTRIBUTION_POINTS, value))
}

fn authority_info_access(ocsp: &[String], ca_issuers: &[String]) -> Option<Extension> {
    if ocsp.is_empty() && ca_issuers.is_empty() {
        return None;
    }
    Some(plain(oid::AUTHORITY_INFO_ACCESS, extension::encode_authority_info_access(ocsp, ca_issuers)))
}

fn plain(oid: Oid, value: Vec<u8>) -> Extension {
    Extension { oid, critical: false, value }
}

fn critical(oid: Oid, value: Vec<u8>) -> Extension {
    Extension { oid, critical: true, value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::public_key::KeyPolicy;
    use crate::pki::testing::{Authority, Draft, TestKey, common_name, day, profile, validity};
    use estd_asn1::certificate::encode_certificate;
    use proptest::prelude::*;

    fn ca() -> Certificate {
        Authority::root("CA", KeyType::P256).certificate
    }

    #[test]
    fn validity_is_cut_at_both_ends_of_the_ca() {
        let ca = ca();
        let clamp = |now: &str, days: i64| clamp_validity(day(now), TimeDelta::hours(1), TimeDelta::days(days), &ca);
        let inside = clamp("2026-06-01", 398).unwrap();
        assert_eq!(inside.not_before, day("2026-06-01") - TimeDelta::hours(1));
        assert_eq!(inside.not_after, day("2026-06-01") + TimeDelta::days(398));
        assert_eq!(clamp("2020-01-01", 1).unwrap().not_before, day("2020-01-01"));
        assert_eq!(clamp("2039-12-31", 398).unwrap().not_after, day("2040-01-01"));
        assert_eq!(clamp("2040-01-02", 1), Err(CertificateError::CaExpired { not_after: day("2040-01-01") }));
        assert_eq!(clamp("2019-12-31", 1), Err(CertificateError::CaNotYetValid { not_before: day("2020-01-01") }));
        let endless = clamp_validity(day("2026-06-01"), TimeDelta::MAX, TimeDelta::MAX, &ca).unwrap();
        assert_eq!(endless, ca.validity());
        let nothing = clamp_validity(day("2026-06-01"), TimeDelta::zero(), TimeDelta::zero(), &ca);
        assert_eq!(nothing, Err(CertificateError::NoValidity));
    }

    proptest! {
        #[test]
        fn no_certificate_outlives_or_precedes_its_ca(
            now in 0..4_102_444_800_000_i64,
            days in 0..20_000_i64,
            back in 0..90_000_i64,
        ) {
            static CA: std::sync::LazyLock<Certificate> = std::sync::LazyLock::new(ca);
            let now = DateTime::from_timestamp_millis(now).unwrap();
            let clamped = clamp_validity(now, TimeDelta::seconds(back), TimeDelta::days(days), &CA);
            if let Ok(Validity { not_before, not_after }) = clamped {
                prop_assert!(not_before >= CA.validity().not_before && not_after <= CA.validity().not_after);
                prop_assert!(not_before <= now && not_before < not_after);
                prop_assert_eq!((not_before.timestamp_subsec_nanos(), not_after.timestamp_subsec_nanos()), (0, 0));
            }
        }
    }

    /// Composes a device certificate, with `change` made to what goes in, and reads it back.
    fn issue(key: &TestKey, subject: &Name, names: &[GeneralName], profile: &EnrollmentProfile) -> Certificate {
        let tbs = compose(key, subject, names, profile).unwrap();
        let algorithm = SignatureAlgorithm::EcdsaSha256.identifier();
        Certificate::decode(&encode_certificate(&tbs, algorithm, &[0])).unwrap()
    }

    fn compose(
        key: &TestKey,
        subject: &Name,
        names: &[GeneralName],
        profile: &EnrollmentProfile,
    ) -> Result<Vec<u8>, CertificateError> {
        end_entity_tbs(&EndEntity {
            serial: &Serial::from_entropy([7; 20]),
            signature: SignatureAlgorithm::EcdsaSha256,
            issuer: &common_name("CA"),
            issuer_key_identifier: &[9; 20],
            validity: validity("2026-01-01", "2050-01-01"),
            subject,
            subject_alt_names: names,
            key: &PublicKey::check(&key.spki, &KeyPolicy::default()).unwrap(),
            locations: &Locations::default(),
            profile,
        })
    }

    #[test]
    fn a_device_certificate_says_what_the_profile_says_in_a_fixed_order() {
        let key = TestKey::generate(KeyType::Rsa);
        let names = [GeneralName::Uri("urn:acme:d".into())];
        let certificate = issue(&key, &common_name("d"), &names, &profile());
        assert_eq!(certificate.version(), 3);
        assert_eq!(certificate.serial(), Serial::from_entropy([7; 20]).octets());
        assert_eq!(certificate.public_key().der(), key.spki.der());
        let oids: Vec<Oid> = certificate.extensions().iter().map(|extension| extension.oid.clone()).collect();
        let expected = [
            oid::AUTHORITY_KEY_IDENTIFIER,
            oid::SUBJECT_KEY_IDENTIFIER,
            oid::KEY_USAGE,
            oid::EXT_KEY_USAGE,
            oid::CERTIFICATE_POLICIES,
            oid::SUBJECT_ALT_NAME,
            oid::CRL_DISTRIBUTION_POINTS,
            oid::AUTHORITY_INFO_ACCESS,
            Oid::parse("1.3.6.1.4.1.99999.2").unwrap(),
        ];
        assert_eq!(oids, expected);
        let criticals = certificate.extensions().iter().filter(|extension| extension.critical);
        assert_eq!(criticals.map(|extension| &extension.oid).collect::<Vec<_>>(), [&oid::KEY_USAGE]);
        assert_eq!(certificate.authority_key_identifier().unwrap().unwrap(), [9; 20]);
        let public = PublicKey::check(&key.spki, &KeyPolicy::default()).unwrap();
        assert_eq!(certificate.subject_key_identifier().unwrap().unwrap(), public.key_identifier());
        let usage = KeyUsage::DIGITAL_SIGNATURE.union(KeyUsage::KEY_ENCIPHERMENT);
        assert_eq!(certificate.key_usage().unwrap(), Some(usage));
        assert_eq!(certificate.ext_key_usage().unwrap().unwrap(), [oid::KP_CLIENT_AUTH]);
        assert_eq!(certificate.subject_alt_names(8).unwrap(), names);
        assert_eq!(certificate.basic_constraints().unwrap(), None);
    }

    #[test]
    fn an_empty_subject_makes_the_alternative_name_critical() {
        let key = TestKey::generate(KeyType::P256);
        let names = [GeneralName::DnsName("d.acme.example".into())];
        let certificate = issue(&key, &Name::empty(), &names, &profile());
        assert!(certificate.extension(&oid::SUBJECT_ALT_NAME).unwrap().critical);
        assert_eq!(compose(&key, &Name::empty(), &[], &profile()), Err(CertificateError::NoName));
    }

    #[test]
    fn what_a_profile_leaves_out_is_left_out() {
        let bare = EnrollmentProfile {
            ext_key_usage: vec![],
            policies: vec![],
            crl_urls: vec![],
            ocsp_urls: vec![],
            ca_issuer_urls: vec![],
            extensions: vec![],
            ..profile()
        };
        let certificate = issue(&TestKey::generate(KeyType::Ed25519), &common_name("d"), &[], &bare);
        assert_eq!(certificate.extensions().len(), 3);
        let twice = Extension { oid: oid::KEY_USAGE, critical: false, value: vec![5, 0] };
        let unchecked = EnrollmentProfile { extensions: vec![twice], ..profile() };
        let refused = compose(&TestKey::generate(KeyType::P256), &common_name("d"), &[], &unchecked);
        assert_eq!(refused, Err(CertificateError::DuplicateExtension { oid: oid::KEY_USAGE }));
    }

    #[test]
    fn a_ca_and_a_server_are_told_apart_by_their_extensions() {
        let key = TestKey::generate(KeyType::P256);
        let public = PublicKey::check(&key.spki, &KeyPolicy::default()).unwrap();
        let with = |extensions| Draft { extensions, ..Draft::ca("CA", &key) }.sign(&key);
        let root = with(ca_extensions(&public, None, Some(1)));
        assert_eq!(root.basic_constraints().unwrap(), Some(BasicConstraints { ca: true, path_len: Some(1) }));
        assert!(root.key_usage().unwrap().unwrap().contains(KeyUsage::KEY_CERT_SIGN));
        assert_eq!(root.authority_key_identifier().unwrap(), None);
        let sub = with(ca_extensions(&public, Some(&[1; 20]), None));
        assert_eq!(sub.authority_key_identifier().unwrap().unwrap(), [1; 20]);
        let names = [GeneralName::DnsName("est.acme.example".into())];
        let server = with(server_extensions(&public, &[1; 20], &common_name("est"), &names));
        assert_eq!(server.ext_key_usage().unwrap().unwrap(), [oid::KP_SERVER_AUTH]);
        assert_eq!(server.subject_alt_names(8).unwrap(), names);
        let birth = with(birth_extensions(&public, &[1; 20], &common_name("d"), &[]));
        assert_eq!((birth.ext_key_usage().unwrap(), birth.basic_constraints().unwrap()), (None, None));
    }
}
