//! Enrollment profiles: what a certificate says beyond names and key, and which names and keys it is given for.

use chrono::TimeDelta;
use estd_asn1::{Extension, GeneralName, KeyUsage, Name, Oid, der, oid};

use super::name_rules;
use super::public_key::{KeyPolicy, KeyType, RSA_CEILING_BITS, RSA_FLOOR_BITS};
use super::template::{SubjectAltNameTemplate, SubjectAttributeTemplate, TemplateError, TemplateValues};

/// Most extensions of a profile's own.
pub const MAX_CUSTOM_EXTENSIONS: usize = 16;

/// Longest value of one of them, in octets.
pub const MAX_CUSTOM_EXTENSION_OCTETS: usize = 4096;

/// What is issued, and to which keys and names. Fit for use only after [`EnrollmentProfile::check`].
#[derive(Debug, Clone)]
pub struct EnrollmentProfile {
    /// Its name, unique within a tenant.
    pub name: String,
    /// From now to notAfter; cut at the end of the CA.
    pub validity: TimeDelta,
    /// From notBefore to now, for devices whose clocks are behind; cut at the beginning of the CA.
    pub backdate: TimeDelta,
    /// Keys that are certified.
    pub keys: KeyPolicy,
    /// keyUsage.
    pub key_usage: KeyUsagePolicy,
    /// extendedKeyUsage; empty for none.
    pub ext_key_usage: Vec<Oid>,
    /// The subject, one RDN each.
    pub subject: Vec<SubjectAttributeTemplate>,
    /// subjectAltName entries every device gets.
    pub subject_alt_names: Vec<SubjectAltNameTemplate>,
    /// subjectAltName entries a device gets when its request asks for them.
    pub optional_subject_alt_names: Vec<SubjectAltNameTemplate>,
    /// What becomes of names in a request.
    pub request_names: RequestNames,
    /// cRLDistributionPoints.
    pub crl_urls: Vec<String>,
    /// OCSP responders in authorityInfoAccess.
    pub ocsp_urls: Vec<String>,
    /// Issuer certificates in authorityInfoAccess.
    pub ca_issuer_urls: Vec<String>,
    /// certificatePolicies.
    pub policies: Vec<Oid>,
    /// Further extensions, copied as they are.
    pub extensions: Vec<Extension>,
    /// Whether a renewal may keep its key.
    pub allow_key_reuse: bool,
    /// What is issued is the certificate of a CA, below which so many CAs may follow (RFC 5280 section 4.2.1.9): a gateway
    /// that certifies what stands behind it. `None` for devices, which are no CAs.
    pub ca_path_len: Option<u32>,
    /// What is issued is the certificate of an RA (RFC 6402 section 2.10): it may have id-kp-cmcRA, and must.
    pub ra: bool,
}

/// How keyUsage is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyUsagePolicy {
    /// digitalSignature, and keyEncipherment for RSA keys.
    #[default]
    ByKeyType,
    /// These, as far as the kind of key is capable of them.
    Exactly(KeyUsage),
}

/// What becomes of the names in a request of a device that has no certificate yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestNames {
    /// They must be the device's own, or absent.
    #[default]
    Agree,
    /// They are replaced, whatever they are.
    Replace,
}

/// Everything that is wrong with a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ProfileError {
    /// At least one.
    pub problems: Vec<ProfileProblem>,
}

/// One thing that is wrong with a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileProblem {
    /// Certificates that are never valid.
    #[error("validity must be longer than nothing")]
    Validity,
    /// notBefore in the future.
    #[error("backdate must not be negative")]
    Backdate,
    /// No key would do.
    #[error("keys must name at least one key type")]
    NoKeys,
    /// A range of RSA sizes that is empty or reaches beyond what is supported.
    #[error("rsa_min_bits to rsa_max_bits must be a range within {RSA_FLOOR_BITS} to {RSA_CEILING_BITS}")]
    RsaBits,
    /// A usage only a CA has.
    #[error("key_usage must not have keyCertSign or cRLSign: a device is no CA")]
    CaKeyUsage,
    /// Usages of devices in a profile of CAs.
    #[error("key_usage has no place beside ca_path_len: a CA signs certificates and CRLs")]
    KeyUsageOfCa,
    /// encipherOnly or decipherOnly on its own (RFC 5280 section 4.2.1.3).
    #[error("key_usage encipherOnly and decipherOnly have no meaning without keyAgreement")]
    LoneCipherOnly,
    /// No usage is left for a kind of key.
    #[error("key_usage leaves nothing for keys of type {0}: allow other usages or not these keys")]
    NoKeyUsage(KeyType),
    /// A usage that gives power over others.
    #[error("ext_key_usage must not have {0}: no device gets it")]
    PrivilegedExtKeyUsage(Oid),
    /// An RA that is none, or more than one.
    #[error("ra = true wants cmcRA and clientAuth in ext_key_usage, and no ca_path_len")]
    Ra,
    /// Something twice.
    #[error("{what} has {value} twice")]
    Duplicate {
        /// The key of the profile.
        what: &'static str,
        /// What stands twice.
        value: String,
    },
    /// A certificate for nobody.
    #[error("subject and subject_alt_names must not both be empty")]
    NoNames,
    /// A URL that relying parties cannot fetch from.
    #[error("{key} must be http:// URLs, {url:?} is none")]
    Url {
        /// The key of the profile.
        key: &'static str,
        /// The URL.
        url: String,
    },
    /// An extension the CA writes itself.
    #[error("the extension {0} is written by the CA itself")]
    OwnExtension(Oid),
    /// An extension of CA certificates.
    #[error("the extension {0} belongs in CA certificates only")]
    CaExtension(Oid),
    /// The value of an extension is not one DER value.
    #[error("the value of the extension {oid} is not DER: {source}")]
    ExtensionValue {
        /// The extension.
        oid: Oid,
        /// Why.
        source: estd_asn1::DecodeError,
    },
    /// Too much of one's own.
    #[error(
        "at most {MAX_CUSTOM_EXTENSIONS} extensions of at most {MAX_CUSTOM_EXTENSION_OCTETS} octets each can be added"
    )]
    ExtensionLimit,
}

/// Extended key usages that give power over others: no device gets one, and an RA gets its own alone (RFC 5280 section 4.2.1.12, RFC 6960 section
/// 4.2.2.2, RFC 6402 section 2.10).
pub const PRIVILEGED_EXT_KEY_USAGES: [Oid; 5] =
    [oid::ANY_EXTENDED_KEY_USAGE, oid::KP_OCSP_SIGNING, oid::KP_CMC_CA, oid::KP_CMC_RA, oid::KP_CMC_ARCHIVE];

/// Extensions the CA composes from other parts of the profile and from the request.
const OWN_EXTENSIONS: [Oid; 9] = [
    oid::AUTHORITY_KEY_IDENTIFIER,
    oid::SUBJECT_KEY_IDENTIFIER,
    oid::KEY_USAGE,
    oid::EXT_KEY_USAGE,
    oid::CERTIFICATE_POLICIES,
    oid::SUBJECT_ALT_NAME,
    oid::BASIC_CONSTRAINTS,
    oid::CRL_DISTRIBUTION_POINTS,
    oid::AUTHORITY_INFO_ACCESS,
];

/// Extensions of CA certificates (RFC 5280 sections 4.2.1.5, .10, .11, .14).
const CA_EXTENSIONS: [Oid; 4] =
    [oid::POLICY_MAPPINGS, oid::NAME_CONSTRAINTS, oid::POLICY_CONSTRAINTS, oid::INHIBIT_ANY_POLICY];

impl EnrollmentProfile {
    /// Checks everything that can be wrong whatever the device.
    ///
    /// # Errors
    /// All problems at once.
    pub fn check(self) -> Result<Self, ProfileError> {
        let mut problems = Vec::new();
        self.check_times_and_keys(&mut problems);
        self.check_usages(&mut problems);
        if self.subject.is_empty() && self.subject_alt_names.is_empty() {
            problems.push(ProfileProblem::NoNames);
        }
        self.check_urls(&mut problems);
        duplicates("policies", &self.policies, &mut problems);
        self.check_extensions(&mut problems);
        if problems.is_empty() { Ok(self) } else { Err(ProfileError { problems }) }
    }

    /// keyUsage for a kind of key; never empty in a checked profile whose policy allows that kind.
    pub fn key_usage_for(&self, key_type: KeyType) -> KeyUsage {
        if self.ca_path_len.is_some() {
            return KeyUsage::KEY_CERT_SIGN.union(KeyUsage::CRL_SIGN);
        }
        match self.key_usage {
            KeyUsagePolicy::ByKeyType => default_key_usage(key_type),
            KeyUsagePolicy::Exactly(usage) => {
                let granted = capabilities(key_type).iter().filter(|capability| usage.contains(**capability));
                granted.fold(KeyUsage::default(), |granted, capability| granted.union(*capability))
            }
        }
    }

    /// The subject of one device.
    ///
    /// # Errors
    /// When the birth certificate lacks something the templates need, or gives what is no name.
    pub fn render_subject(&self, values: &TemplateValues<'_>) -> Result<Name, TemplateError> {
        let rdn = |template: &SubjectAttributeTemplate| template.render(values).map(|attribute| vec![attribute]);
        let rdns = self.subject.iter().map(rdn).collect::<Result<Vec<_>, _>>()?;
        Ok(Name::from_rdns(&rdns))
    }

    /// The subjectAltName entries one device gets in any case; none stands twice.
    ///
    /// # Errors
    /// As for [`EnrollmentProfile::render_subject`].
    pub fn render_subject_alt_names(&self, values: &TemplateValues<'_>) -> Result<Vec<GeneralName>, TemplateError> {
        render_alt_names(&self.subject_alt_names, values)
    }

    /// The subjectAltName entries one device gets when it asks for them.
    ///
    /// # Errors
    /// As for [`EnrollmentProfile::render_subject`].
    pub fn render_optional_subject_alt_names(
        &self,
        values: &TemplateValues<'_>,
    ) -> Result<Vec<GeneralName>, TemplateError> {
        render_alt_names(&self.optional_subject_alt_names, values)
    }

    fn check_times_and_keys(&self, problems: &mut Vec<ProfileProblem>) {
        if self.validity < TimeDelta::seconds(1) {
            problems.push(ProfileProblem::Validity);
        }
        if self.backdate < TimeDelta::zero() {
            problems.push(ProfileProblem::Backdate);
        }
        if self.keys.allowed.is_empty() {
            problems.push(ProfileProblem::NoKeys);
        }
        let (min, max) = (self.keys.rsa_min_bits, self.keys.rsa_max_bits);
        if min < RSA_FLOOR_BITS || max > RSA_CEILING_BITS || min > max {
            problems.push(ProfileProblem::RsaBits);
        }
    }

    /// Whether an extended key usage is one that nobody gets by this profile, because it gives power over others.
    pub fn refuses_ext_key_usage(&self, usage: &Oid) -> bool {
        PRIVILEGED_EXT_KEY_USAGES.contains(usage) && !(self.ra && *usage == oid::KP_CMC_RA)
    }

    fn check_ra(&self, problems: &mut Vec<ProfileProblem>) {
        let has = |usage| self.ext_key_usage.contains(&usage);
        let sound = self.ca_path_len.is_none() && has(oid::KP_CMC_RA) && has(oid::KP_CLIENT_AUTH);
        if self.ra && !sound {
            problems.push(ProfileProblem::Ra);
        }
    }

    fn check_usages(&self, problems: &mut Vec<ProfileProblem>) {
        if let KeyUsagePolicy::Exactly(usage) = self.key_usage {
            if self.ca_path_len.is_some() {
                problems.push(ProfileProblem::KeyUsageOfCa);
            }
            if usage.intersects(KeyUsage::KEY_CERT_SIGN.union(KeyUsage::CRL_SIGN)) {
                problems.push(ProfileProblem::CaKeyUsage);
            }
            let cipher_only = KeyUsage::ENCIPHER_ONLY.union(KeyUsage::DECIPHER_ONLY);
            if usage.intersects(cipher_only) && !usage.contains(KeyUsage::KEY_AGREEMENT) {
                problems.push(ProfileProblem::LoneCipherOnly);
            }
        }
        let without_usage = |key_type: &&KeyType| self.key_usage_for(**key_type).is_empty();
        problems.extend(self.keys.allowed.iter().filter(without_usage).copied().map(ProfileProblem::NoKeyUsage));
        let privileged = self.ext_key_usage.iter().filter(|usage| self.refuses_ext_key_usage(usage));
        problems.extend(privileged.cloned().map(ProfileProblem::PrivilegedExtKeyUsage));
        duplicates("ext_key_usage", &self.ext_key_usage, problems);
        self.check_ra(problems);
    }

    fn check_urls(&self, problems: &mut Vec<ProfileProblem>) {
        let keys =
            [("crl_urls", &self.crl_urls), ("ocsp_urls", &self.ocsp_urls), ("ca_issuer_urls", &self.ca_issuer_urls)];
        for (key, urls) in keys {
            let bad = urls.iter().filter(|url| !is_http_url(url));
            problems.extend(bad.map(|url| ProfileProblem::Url { key, url: url.clone() }));
        }
    }

    fn check_extensions(&self, problems: &mut Vec<ProfileProblem>) {
        let too_long = |extension: &Extension| extension.value.len() > MAX_CUSTOM_EXTENSION_OCTETS;
        if self.extensions.len() > MAX_CUSTOM_EXTENSIONS || self.extensions.iter().any(too_long) {
            problems.push(ProfileProblem::ExtensionLimit);
            return;
        }
        for Extension { oid, value, .. } in &self.extensions {
            if OWN_EXTENSIONS.contains(oid) {
                problems.push(ProfileProblem::OwnExtension(oid.clone()));
            } else if CA_EXTENSIONS.contains(oid) {
                problems.push(ProfileProblem::CaExtension(oid.clone()));
            }
            if let Err(source) = der::check(value) {
                problems.push(ProfileProblem::ExtensionValue { oid: oid.clone(), source });
            }
        }
        let oids: Vec<Oid> = self.extensions.iter().map(|extension| extension.oid.clone()).collect();
        duplicates("extension", &oids, problems);
    }
}

fn default_key_usage(key_type: KeyType) -> KeyUsage {
    match key_type {
        KeyType::Rsa => KeyUsage::DIGITAL_SIGNATURE.union(KeyUsage::KEY_ENCIPHERMENT),
        KeyType::P256 | KeyType::P384 | KeyType::P521 | KeyType::Ed25519 => KeyUsage::DIGITAL_SIGNATURE,
    }
}

/// What a kind of key can be used for by a device.
fn capabilities(key_type: KeyType) -> &'static [KeyUsage] {
    match key_type {
        // RFC 3279 §2.3.1
        KeyType::Rsa => &[
            KeyUsage::DIGITAL_SIGNATURE,
            KeyUsage::NON_REPUDIATION,
            KeyUsage::KEY_ENCIPHERMENT,
            KeyUsage::DATA_ENCIPHERMENT,
        ],
        // RFC 5480 §3, RFC 8813 §3: keyEncipherment and dataEncipherment MUST NOT be present.
        KeyType::P256 | KeyType::P384 | KeyType::P521 => &[
            KeyUsage::DIGITAL_SIGNATURE,
            KeyUsage::NON_REPUDIATION,
            KeyUsage::KEY_AGREEMENT,
            KeyUsage::ENCIPHER_ONLY,
            KeyUsage::DECIPHER_ONLY,
        ],
        // RFC 8410 §5
        KeyType::Ed25519 => &[KeyUsage::DIGITAL_SIGNATURE, KeyUsage::NON_REPUDIATION],
    }
}

fn render_alt_names(
    templates: &[SubjectAltNameTemplate],
    values: &TemplateValues<'_>,
) -> Result<Vec<GeneralName>, TemplateError> {
    let mut names = Vec::with_capacity(templates.len());
    for template in templates {
        let name = template.render(values)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn duplicates(what: &'static str, oids: &[Oid], problems: &mut Vec<ProfileProblem>) {
    let repeated = oids.iter().enumerate().filter(|(position, oid)| oids[..*position].contains(oid));
    problems.extend(repeated.map(|(_, oid)| ProfileProblem::Duplicate { what, value: oid.to_string() }));
}

/// RFC 5280 §4.2.1.13 and §4.2.2.1: what a relying party fetches on the way to a verdict must not need TLS, or the
/// verdict needs itself.
pub fn is_http_url(url: &str) -> bool {
    let host = url.strip_prefix("http://").and_then(|rest| rest.split(['/', '?', '#']).next());
    host.is_some_and(|host| !host.is_empty()) && name_rules::general_name(&GeneralName::Uri(url.to_owned())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing::{custom, profile};

    fn problems(change: impl FnOnce(&mut EnrollmentProfile)) -> Vec<ProfileProblem> {
        let mut profile = profile();
        change(&mut profile);
        profile.check().map_err(|error| error.problems).err().unwrap_or_default()
    }

    #[test]
    fn a_sound_profile_passes_and_all_problems_of_another_come_at_once() {
        assert_eq!(problems(|_| {}), []);
        let found = problems(|profile| {
            profile.validity = TimeDelta::zero();
            profile.backdate = TimeDelta::seconds(-1);
            profile.keys.rsa_min_bits = 1024;
            profile.policies.push(profile.policies[0].clone());
            (profile.subject, profile.subject_alt_names) = (vec![], vec![]);
        });
        assert_eq!(found.len(), 5, "{found:?}");
    }

    #[test]
    fn no_profile_gives_power_over_others() {
        for usage in [KeyUsage::KEY_CERT_SIGN, KeyUsage::CRL_SIGN.union(KeyUsage::DIGITAL_SIGNATURE)] {
            let found = problems(|profile| profile.key_usage = KeyUsagePolicy::Exactly(usage));
            assert!(found.contains(&ProfileProblem::CaKeyUsage), "{found:?}");
        }
        for usage in PRIVILEGED_EXT_KEY_USAGES {
            let found = problems(|profile| profile.ext_key_usage.push(usage.clone()));
            assert_eq!(found, [ProfileProblem::PrivilegedExtKeyUsage(usage)]);
        }
        for oid in OWN_EXTENSIONS {
            let found = problems(|profile| profile.extensions = vec![custom(&oid.to_string(), &[5, 0])]);
            assert_eq!(found, [ProfileProblem::OwnExtension(oid)]);
        }
        for oid in CA_EXTENSIONS {
            let found = problems(|profile| profile.extensions = vec![custom(&oid.to_string(), &[5, 0])]);
            assert_eq!(found, [ProfileProblem::CaExtension(oid)]);
        }
    }

    #[test]
    fn key_usage_follows_what_a_kind_of_key_is_capable_of() {
        let wide = KeyUsage::DIGITAL_SIGNATURE.union(KeyUsage::KEY_ENCIPHERMENT).union(KeyUsage::KEY_AGREEMENT);
        let mut profile = profile();
        profile.key_usage = KeyUsagePolicy::Exactly(wide);
        let profile = profile.check().unwrap();
        let rsa = KeyUsage::DIGITAL_SIGNATURE.union(KeyUsage::KEY_ENCIPHERMENT);
        assert_eq!(profile.key_usage_for(KeyType::Rsa), rsa);
        let ec = KeyUsage::DIGITAL_SIGNATURE.union(KeyUsage::KEY_AGREEMENT);
        assert_eq!(profile.key_usage_for(KeyType::P384), ec);
        assert_eq!(profile.key_usage_for(KeyType::Ed25519), KeyUsage::DIGITAL_SIGNATURE);
        let found = problems(|profile| {
            profile.key_usage = KeyUsagePolicy::Exactly(KeyUsage::KEY_ENCIPHERMENT);
            profile.keys.allowed = [KeyType::Rsa, KeyType::P256].into();
        });
        assert_eq!(found, [ProfileProblem::NoKeyUsage(KeyType::P256)]);
    }

    #[test]
    fn urls_are_such_that_relying_parties_can_fetch() {
        for url in
            ["https://pki.acme.example/a.crl", "http://", "http:///a", "ldap://x", "http://a b/", "pki.acme.example"]
        {
            let found = problems(|profile| profile.crl_urls = vec![url.to_owned()]);
            assert_eq!(found, [ProfileProblem::Url { key: "crl_urls", url: url.to_owned() }]);
        }
    }

    #[test]
    fn extensions_of_ones_own_are_der_unique_and_few() {
        for value in [&[][..], &[0x04, 0x02, 0x01], &[0x04, 0x00, 0x00], &[0x01, 0x01, 0x01], &[0x30, 0x80, 0, 0]] {
            let found = problems(|profile| profile.extensions = vec![custom("1.2.3", value)]);
            assert!(matches!(found[..], [ProfileProblem::ExtensionValue { .. }]), "{value:?}");
        }
        let found = problems(|profile| profile.extensions = vec![custom("1.2.3", &[5, 0]), custom("1.2.3", &[5, 0])]);
        assert_eq!(found, [ProfileProblem::Duplicate { what: "extension", value: "1.2.3".into() }]);
        let many = |count: u32| (0..count).map(|arc| custom(&format!("1.2.{arc}"), &[5, 0])).collect::<Vec<_>>();
        assert_eq!(problems(|profile| profile.extensions = many(16)), []);
        assert_eq!(problems(|profile| profile.extensions = many(17)), [ProfileProblem::ExtensionLimit]);
    }
}
