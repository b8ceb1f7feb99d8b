//! `[[tenant.label]]`, checked: its references resolved, its trust anchors read.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use estd_asn1::Certificate;

use super::authority::{Declared, Sound, out_of_validity};
use super::problem::{Place, Problem, ProblemKind};
use super::profile::Profile;
use super::{file, key_generation, ra, read, registration, renewal, usage_limits, webhook, wire};
use crate::ca::{CertificateAuthority, Rollover};
use crate::credential::{Accepted, Credentials, HttpScheme};
use crate::est::{DigestAlgorithm, Label, WireRules};
use crate::pki::device_identity::IdentitySource;
use crate::pki::generated_key::KeySpec;
use crate::pki::profile::EnrollmentProfile;
use crate::pki::trust::TrustAnchors;
use crate::policy::{
    AuthenticationRule, EnrollmentRules, IdentityLinking, KeyGenerationRules, NameChange, RegistrationRules,
    RenewalRules, TenantLimits, UsageLimits,
};
use crate::webhook::AuthorizationWebhook;

/// A label with what it refers to.
pub struct LabelSettings {
    /// The tenant that owns it.
    pub tenant: String,
    /// Its name.
    pub label: Label,
    /// Who signs.
    pub authority: Arc<CertificateAuthority>,
    /// The way to its successor, while it is on it.
    pub rollover: Option<Arc<Rollover>>,
    /// Who may enroll for what.
    pub rules: EnrollmentRules,
    /// Which devices are let in.
    pub registration: RegistrationRules,
    /// The authority itself (explicit), with the other one while a successor takes its place, and the manufacturers (implicit).
    pub anchors: Arc<TrustAnchors>,
    /// What is demanded as proof of identity.
    pub authentication: AuthenticationRule,
    /// The ways to present a credential that are taken.
    pub accepted: Accepted,
    /// The tenant's credentials.
    pub credentials: Arc<Credentials>,
    /// The same request within this time gets the same certificate.
    pub repeat_window: TimeDelta,
    /// When its certificates are to be renewed.
    pub renewal: RenewalRules,
    /// How much it and its tenant may ask for.
    pub limits: UsageLimits,
    /// How it speaks with its clients.
    pub wire: WireRules,
    /// How keys are made; `None`: they are not.
    pub key_generation: Option<Arc<KeyGenerationRules>>,
    /// Whether it takes Full PKI Requests.
    pub full_cmc: bool,
    /// Who is asked before it certifies; `None`: nobody.
    pub authorization_webhook: Option<AuthorizationWebhook>,
}

/// What a label of a tenant may refer to.
pub(super) struct Known<'a> {
    pub(super) tenant: &'a str,
    pub(super) authorities: &'a [Declared],
    pub(super) profiles: &'a [Profile],
    /// `None` when they are at fault, which then stands among the problems; `Some(None)` when there are none.
    pub(super) credentials: Option<Option<&'a Arc<Credentials>>>,
    /// Of the whole tenant.
    pub(super) limits: TenantLimits,
    /// For warnings alone.
    pub(super) now: DateTime<Utc>,
}

/// The longest a renewal may come late, and the longest the same answer is given again.
const LONGEST_GRACE: TimeDelta = TimeDelta::days(3660);
const LONGEST_REPEAT_WINDOW: TimeDelta = TimeDelta::days(1);

pub(super) fn check(
    shape: file::Label,
    known: &Known<'_>,
    folder: &Path,
    place: &Place,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<LabelSettings> {
    let mut check = Check { known, folder, place, problems, warnings };
    let label = check.name(shape.name.as_deref());
    let authority = check.authority(shape.authority.as_deref());
    let profile = check.profile(shape.profile.as_deref());
    let implicit = check.birth_anchors(shape.birth_anchors.as_deref());
    let identity = check.identity(shape.identity.as_deref());
    let renewal_grace = check.within("renewal_grace", shape.renewal_grace, LONGEST_GRACE);
    let identity_linking = check.identity_linking(&shape.identity_linking);
    let authentication = check.authentication(&shape.authentication);
    let accepted = check.accepted(&shape.http_schemes, &shape.digest_algorithms);
    let credentials = check.credentials(authentication, accepted.as_ref());
    let repeat_window = check.within("repeat_window", shape.repeat_window, LONGEST_REPEAT_WINDOW);
    let registration =
        registration::check(&shape.registration, &shape.repeated_birth, shape.approval, place, check.problems);
    let renewal = renewal::check(shape.renewal, place, check.problems);
    let limits =
        UsageLimits { tenant: known.limits, rate: usage_limits::of_label(shape.limits, place, check.problems) };
    let speech = wire::Speech { wire: &shape.wire, strict: shape.strict, csr_attrs: &shape.csrattrs };
    let wire = wire::check(&speech, registration.as_ref(), place, check.problems);
    let name_change = check.name_change(&shape.change_subject_name);
    let key_generation = shape.key_generation.and_then(|table| check.key_generation(table, profile.as_deref()));
    let authorization_webhook = check.authorization_webhook(shape.authorization_webhook);
    let (Sound { authority, rollover }, implicit) = (authority?, implicit?);
    // Only the issuing authority itself is an explicit anchor: under its root, another tenant's authority may stand. What
    // the one before it issued, or the one after it, counts as well.
    let explicit = match &rollover {
        Some(rollover) => rollover.authorities().map(|authority| authority.certificate().clone()).into(),
        None => vec![authority.certificate().clone()],
    };
    let anchors = match TrustAnchors::new(explicit, implicit) {
        Ok(anchors) => Arc::new(anchors),
        Err(error) => {
            check.problems.push(place.key("birth_anchors").refused(&error));
            return None;
        }
    };
    let profile = profile?;
    if let Some(path_len) = profile.ca_path_len.filter(|path_len| !authority.may_certify_ca(*path_len)) {
        let expected = format!("an authority that may certify CAs with path length {path_len}");
        check.problems.push(place.key("authority").value(expected, "one whose pathLenConstraint forbids it"));
    }
    check.warn_of_short_authority(&authority, profile.validity);
    let ra = ra::check(shape.ra, &profile, place, check.problems);
    let rules = EnrollmentRules {
        identity: identity?,
        profile,
        renewal_grace: renewal_grace?,
        identity_linking: identity_linking?,
        name_change: name_change?,
        ra: ra?,
    };
    Some(LabelSettings {
        tenant: known.tenant.to_owned(),
        label: label?,
        authority,
        rollover,
        rules,
        registration: registration?,
        anchors,
        authentication: authentication?,
        accepted: accepted?,
        credentials: credentials?,
        repeat_window: repeat_window?,
        renewal: renewal?,
        limits,
        wire: wire?,
        key_generation,
        full_cmc: shape.full_cmc,
        authorization_webhook: authorization_webhook?,
    })
}

/// Judges one value after the other; what is wrong is reported and `None`.
struct Check<'a> {
    known: &'a Known<'a>,
    folder: &'a Path,
    place: &'a Place,
    problems: &'a mut Vec<Problem>,
    warnings: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn name(&mut self, name: Option<&str>) -> Option<Label> {
        let Some(name) = name else {
            self.problems.push(self.place.missing("name", "the path segment of the label"));
            return None;
        };
        Label::parse(name).map_err(|error| self.problems.push(self.place.key("name").refused(&error))).ok()
    }

    fn authority(&mut self, name: Option<&str>) -> Option<Sound> {
        let found = name.and_then(|name| self.known.authorities.iter().find(|authority| authority.name == name));
        if found.is_none() {
            let known = self.known.authorities.iter().map(|authority| authority.name.clone()).collect();
            self.unresolved("authority", name, known);
        }
        found?.sound.clone()
    }

    fn profile(&mut self, name: Option<&str>) -> Option<Arc<EnrollmentProfile>> {
        let found = name.and_then(|name| self.known.profiles.iter().find(|profile| profile.name == name));
        if found.is_none() {
            let known = self.known.profiles.iter().map(|profile| profile.name.clone()).collect();
            self.unresolved("profile", name, known);
        }
        found?.sound.clone()
    }

    fn unresolved(&mut self, kind: &'static str, name: Option<&str>, known: Vec<String>) {
        self.problems.push(match name {
            Some(name) => self.place.key(kind).problem(ProblemKind::Unresolved { kind, name: name.to_owned(), known }),
            None => self.place.missing(kind, "the name of one of the tenant's own"),
        });
    }

    fn birth_anchors(&mut self, paths: Option<&[String]>) -> Option<Vec<Certificate>> {
        let place = self.place.key("birth_anchors");
        let Some(paths) = paths else {
            self.problems.push(self.place.missing("birth_anchors", "PEM files or folders of manufacturers' CAs"));
            return None;
        };
        let before = self.problems.len();
        let mut anchors: Vec<Certificate> = Vec::new();
        for path in paths {
            match read::certificates_of_file_or_folder(&self.folder.join(path)) {
                Ok(found) => anchors.extend(found),
                Err(found) => self.problems.extend(found.into_iter().map(|problem| place.problem(problem))),
            }
        }
        if self.problems.len() > before {
            return None;
        }
        let ended = anchors.iter().filter_map(|anchor| out_of_validity(anchor, self.known.now));
        self.warnings.extend(ended.map(|problem| place.problem(problem)));
        if anchors.is_empty() {
            self.warnings.push(place.problem(ProblemKind::NoAnchors));
        }
        Some(anchors)
    }

    fn identity(&mut self, name: Option<&str>) -> Option<IdentitySource> {
        let Some(name) = name else {
            self.problems.push(self.place.missing("identity", "where the device id stands in a birth certificate"));
            return None;
        };
        let found = IdentitySource::ALL.into_iter().find(|source| source.as_str() == name);
        if found.is_none() {
            let names = IdentitySource::ALL.map(IdentitySource::as_str).join(", ");
            self.problems.push(self.place.key("identity").value(names, format!("{name:?}")));
        }
        found
    }

    fn within(&mut self, key: &str, span: file::Span, longest: TimeDelta) -> Option<TimeDelta> {
        let delta = TimeDelta::from_std(span.0).ok().filter(|delta| *delta <= longest);
        if delta.is_none() {
            let expected = format!("at most {}d", longest.num_days());
            self.problems.push(self.place.key(key).value(expected, span.to_string()));
        }
        delta
    }

    fn identity_linking(&mut self, name: &str) -> Option<IdentityLinking> {
        match name {
            "off" => Some(IdentityLinking::Off),
            "if-present" => Some(IdentityLinking::IfPresent),
            "required" => Some(IdentityLinking::Required),
            other => {
                let place = self.place.key("identity_linking");
                self.problems.push(place.value("\"off\", \"if-present\" or \"required\"", format!("{other:?}")));
                None
            }
        }
    }

    fn authentication(&mut self, name: &str) -> Option<AuthenticationRule> {
        let found = AuthenticationRule::ALL.into_iter().find(|rule| rule.as_str() == name);
        if found.is_none() {
            let names = AuthenticationRule::ALL.map(AuthenticationRule::as_str).join(", ");
            self.problems.push(self.place.key("authentication").value(names, format!("{name:?}")));
        }
        found
    }

    fn accepted(&mut self, schemes: &[String], algorithms: &[String]) -> Option<Accepted> {
        let schemes = self.named("http_schemes", schemes, &HttpScheme::ALL.map(|scheme| (scheme.as_str(), scheme)));
        let known = DigestAlgorithm::ALL.map(|algorithm| (algorithm.as_str(), algorithm));
        let digest = self.named("digest_algorithms", algorithms, &known);
        Some(Accepted { schemes: schemes?, digest: digest? })
    }

    /// What the names of a list stand for: at least one, each once.
    fn named<T: Copy + PartialEq>(&mut self, key: &str, names: &[String], known: &[(&str, T)]) -> Option<Vec<T>> {
        let find = |name: &String| known.iter().find(|(text, _)| text == name).map(|(_, value)| *value);
        let found: Vec<T> = names.iter().filter_map(find).collect();
        let distinct = found.iter().enumerate().all(|(position, value)| !found[..position].contains(value));
        if !found.is_empty() && found.len() == names.len() && distinct {
            return Some(found);
        }
        let expected: Vec<_> = known.iter().map(|(text, _)| *text).collect();
        let expected = format!("one or more of {}, each once", expected.join(", "));
        self.problems.push(self.place.key(key).value(expected, format!("{names:?}")));
        None
    }

    /// The tenant's credentials, which a label that asks for some must have.
    fn credentials(
        &mut self,
        rule: Option<AuthenticationRule>,
        accepted: Option<&Accepted>,
    ) -> Option<Arc<Credentials>> {
        let asked = rule.is_some_and(AuthenticationRule::takes_http);
        match self.known.credentials? {
            Some(credentials) => {
                // Operators may make codes at any time.
                let unusable = |scheme: &HttpScheme| asked && *scheme != HttpScheme::Code && !credentials.has(*scheme);
                for scheme in accepted.into_iter().flat_map(|accepted| &accepted.schemes).copied().filter(unusable) {
                    let problem = ProblemKind::NoCredentials { scheme: scheme.as_str() };
                    self.warnings.push(self.place.key("http_schemes").problem(problem));
                }
                Some(Arc::clone(credentials))
            }
            None if accepted.is_some_and(|accepted| accepted.schemes == [HttpScheme::Code]) => {
                Some(Arc::new(Credentials::none()))
            }
            None if asked => {
                self.problems.push(self.place.key("authentication").problem(ProblemKind::Missing {
                    expected: "credentials of the tenant, the file that they are declared in",
                }));
                None
            }
            None => Some(Arc::new(Credentials::none())),
        }
    }

    fn name_change(&mut self, name: &str) -> Option<NameChange> {
        match name {
            "refuse" => Some(NameChange::Refuse),
            "profile" => Some(NameChange::Profile),
            "approval" => Some(NameChange::Approval),
            other => {
                let place = self.place.key("change_subject_name");
                self.problems.push(place.value("\"refuse\", \"profile\" or \"approval\"", format!("{other:?}")));
                None
            }
        }
    }

    fn key_generation(
        &mut self,
        table: file::Table,
        profile: Option<&EnrollmentProfile>,
    ) -> Option<Arc<KeyGenerationRules>> {
        let place = self.place.key("key_generation");
        let makes_none = |profile: &EnrollmentProfile| !KeySpec::ALL.iter().any(|spec| spec.is_allowed(&profile.keys));
        if profile.is_some_and(makes_none) {
            let expected = "a profile whose keys allow p256, p384, ed25519, or rsa of 2048, 3072 or 4096 bits";
            self.problems.push(place.value(expected, "one that allows none of them"));
        }
        if profile.is_some_and(|profile| profile.ca_path_len.is_some()) {
            // The key of a CA is made where it signs, and leaves it never.
            self.problems.push(place.value("a profile of devices", "one with ca_path_len"));
        }
        let rules = key_generation::check(table, self.folder, &place, self.problems)?;
        let place = place.key("decrypt_certificates");
        let past = rules.certificates.iter().filter_map(|one| out_of_validity(one, self.known.now));
        self.warnings.extend(past.map(|warning| place.problem(warning)));
        Some(Arc::new(rules))
    }

    /// A table that is wrong is not none: without it more would be certified than was meant.
    fn authorization_webhook(&mut self, table: Option<file::Table>) -> Option<Option<AuthorizationWebhook>> {
        let Some(table) = table else { return Some(None) };
        let place = self.place.key("authorization_webhook");
        webhook::check_authorization(table, self.folder, &place, self.problems).map(Some)
    }

    fn warn_of_short_authority(&mut self, authority: &CertificateAuthority, validity: TimeDelta) {
        let not_after = authority.certificate().validity().not_after;
        if validity > not_after - self.known.now {
            let until = not_after.to_rfc3339_opts(SecondsFormat::Secs, true);
            let validity = format!("{}d", validity.num_days());
            self.warnings.push(self.place.key("profile").problem(ProblemKind::OutlivesAuthority { until, validity }));
        }
    }
}
