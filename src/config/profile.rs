//! `[[tenant.profile]]`, checked.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use estd_asn1::{Extension, KeyUsage, Oid};

use super::problem::{Place, Problem};
use super::{file, tenant, usage};
use crate::pki::digest::unhex;
use crate::pki::profile::{EnrollmentProfile, KeyUsagePolicy, RequestNames};
use crate::pki::public_key::{KeyPolicy, KeyType};
use crate::pki::template::{SubjectAltNameTemplate, SubjectAttributeTemplate};

/// A profile of a tenant.
pub(super) struct Profile {
    pub(super) name: String,
    /// `None`: it is at fault, which stands among the problems.
    pub(super) sound: Option<Arc<EnrollmentProfile>>,
}

pub(super) fn check(shape: file::Profile, place: &Place, problems: &mut Vec<Problem>) -> Profile {
    let before = problems.len();
    let name = tenant::name(shape.name.clone(), "profile", place, problems).unwrap_or_default();
    let profile = Check { place, problems }.profile(shape, name.clone());
    let sound = match profile.map(EnrollmentProfile::check) {
        // What was left out as faulty would make the profile look sound.
        Some(Ok(profile)) => (problems.len() == before).then(|| Arc::new(profile)),
        Some(Err(error)) => {
            problems.extend(error.problems.iter().map(|problem| place.refused(problem)));
            None
        }
        None => None,
    };
    Profile { name, sound }
}

/// Judges one value after the other; what is wrong is reported and left out.
struct Check<'a> {
    place: &'a Place,
    problems: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn profile(&mut self, shape: file::Profile, name: String) -> Option<EnrollmentProfile> {
        let keys = KeyPolicy {
            allowed: self.key_types(&shape.keys),
            rsa_min_bits: shape.rsa_min_bits,
            rsa_max_bits: shape.rsa_max_bits,
        };
        let key_usage = shape.key_usage.map_or(KeyUsagePolicy::default(), |names| self.key_usage(&names));
        let ext_key_usage =
            self.each("ext_key_usage", &shape.ext_key_usage, &usage::ext_key_usage_names(), usage::ext_key_usage);
        let policies = self.each("policies", &shape.policies, "an OID such as \"1.3.6.1.4.1.99999.1\"", Oid::parse);
        let subject = shape.subject.unwrap_or_else(|| {
            self.problems.push(self.place.missing("subject", "attributes such as [\"CN={device_id}\"]"));
            Vec::new()
        });
        let subject = self.templates("subject", &subject, SubjectAttributeTemplate::parse);
        let subject_alt_names =
            self.templates("subject_alt_names", &shape.subject_alt_names, SubjectAltNameTemplate::parse);
        let optional_subject_alt_names = self.templates(
            "optional_subject_alt_names",
            &shape.optional_subject_alt_names,
            SubjectAltNameTemplate::parse,
        );
        let request_names = self.request_names(&shape.request_names);
        let extensions = self.extensions(shape.extension);
        let backdate = self.delta("backdate", shape.backdate);
        if shape.validity.is_none() {
            self.problems.push(self.place.missing("validity", "a duration such as \"398d\""));
        }
        let validity = self.delta("validity", shape.validity?);
        Some(EnrollmentProfile {
            name,
            validity: validity?,
            backdate: backdate?,
            keys,
            key_usage,
            ext_key_usage,
            subject,
            subject_alt_names,
            optional_subject_alt_names,
            request_names,
            crl_urls: shape.crl_urls,
            ocsp_urls: shape.ocsp_urls,
            ca_issuer_urls: shape.ca_issuer_urls,
            policies,
            extensions,
            allow_key_reuse: shape.allow_key_reuse,
            ca_path_len: shape.ca_path_len,
            ra: shape.ra,
        })
    }

    fn key_types(&mut self, names: &[String]) -> BTreeSet<KeyType> {
        let expected = "rsa, p256, p384, p521 or ed25519";
        self.each("keys", names, expected, |name| name.parse().ok()).into_iter().collect()
    }

    fn key_usage(&mut self, names: &[String]) -> KeyUsagePolicy {
        let expected = usage::key_usage_names();
        let usages = self.each("key_usage", names, &expected, usage::key_usage);
        KeyUsagePolicy::Exactly(usages.into_iter().fold(KeyUsage::default(), KeyUsage::union))
    }

    fn request_names(&mut self, name: &str) -> RequestNames {
        match name {
            "agree" => RequestNames::Agree,
            "replace" => RequestNames::Replace,
            other => {
                let problem = self.place.key("request_names").value("\"agree\" or \"replace\"", format!("{other:?}"));
                self.problems.push(problem);
                RequestNames::Agree
            }
        }
    }

    fn extensions(&mut self, tables: Vec<file::Table>) -> Vec<Extension> {
        let mut extensions = Vec::new();
        for (position, table) in tables.into_iter().enumerate() {
            let oid = file::text(&table, "oid").map(str::to_owned);
            let place = self.place.named("extension", oid.as_deref(), position);
            let shape: file::Extension = file::decode(table, &place, self.problems);
            let oid = required(shape.oid, Oid::parse, "oid", "an OID", &place, self.problems);
            let value = required(shape.value, unhex, "value", "DER in hexadecimal", &place, self.problems);
            if let (Some(oid), Some(value)) = (oid, value) {
                extensions.push(Extension { oid, critical: shape.critical, value: value.to_vec() });
            }
        }
        extensions
    }

    fn delta(&mut self, key: &str, span: file::Span) -> Option<TimeDelta> {
        let delta = TimeDelta::from_std(span.0).ok();
        if delta.is_none() {
            self.problems.push(self.place.key(key).value("a duration of centuries at most", span.to_string()));
        }
        delta
    }

    /// Reads each entry of a list.
    fn each<T>(&mut self, key: &str, texts: &[String], expected: &str, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let mut values = Vec::new();
        for text in texts {
            match read(text) {
                Some(value) => values.push(value),
                None => self.problems.push(self.place.key(key).value(expected, format!("{text:?}"))),
            }
        }
        values
    }

    /// Parses each template of a list.
    fn templates<T, E: std::error::Error>(
        &mut self,
        key: &str,
        texts: &[String],
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let mut values = Vec::new();
        for text in texts {
            match parse(text) {
                Ok(value) => values.push(value),
                Err(error) => self.problems.push(self.place.key(format!("{key} {text:?}")).refused(&error)),
            }
        }
        values
    }
}

/// A text that must be there, read.
pub(super) fn required<T>(
    text: Option<String>,
    read: impl Fn(&str) -> Option<T>,
    key: &str,
    expected: &'static str,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let Some(text) = text else {
        problems.push(place.missing(key, expected));
        return None;
    };
    let value = read(&text);
    if value.is_none() {
        problems.push(place.key(key).value(expected, format!("{text:?}")));
    }
    value
}
