//! The file that `credentials` of a tenant names, checked: users, tokens, codes and issuers.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

use super::problem::{Place, Problem, ProblemKind};
use super::tenant::tables;
use super::{file, read};
use crate::credential::declared::Declarations;
use crate::credential::password::PasswordHash;
use crate::credential::{ApiToken, Credentials, DeviceScope, EnrollmentCode, Issuer, User};
use crate::pki::digest::Fingerprint;

/// Longest name of a user, a token or an issuer, in octets.
const MAX_NAME_OCTETS: usize = 128;

/// Most uses of a code: one that is good for more is a password.
const MAX_USES: u32 = 1000;

/// Reads and checks the file, which only its owner may read. `None` comes with a problem.
pub(super) fn load(
    path: &Path,
    folder: &Path,
    place: &Place,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Arc<Credentials>> {
    let before = problems.len();
    let text = read::hashes(path).map_err(|problem| problems.push(place.problem(problem))).ok()?;
    let place = Place::file(path);
    let table = file::parse(&text).map_err(|problem| problems.push(place.problem(problem))).ok()?;
    let shape: file::Credentials = file::decode(table, &place, problems);
    let mut check = Check { problems, folder };
    let declared = Declarations {
        users: check.each(shape.user, "user", &place, Check::user),
        tokens: check.each(shape.token, "token", &place, Check::token),
        codes: check.each(shape.code, "code", &place, Check::code),
        issuers: check.each(shape.issuer, "issuer", &place, Check::issuer),
        realm: shape.realm,
    };
    match Credentials::new(declared) {
        Ok(credentials) if problems.len() == before => {
            if credentials.differ_in_cost() {
                warnings.push(place.problem(ProblemKind::UnequalPasswords));
            }
            Some(Arc::new(credentials))
        }
        Ok(_) => None,
        Err(errors) => {
            problems.extend(errors.iter().map(|error| place.refused(error)));
            None
        }
    }
}

/// Judges one table after the other; what is wrong is reported and `None`.
struct Check<'a> {
    problems: &'a mut Vec<Problem>,
    folder: &'a Path,
}

impl Check<'_> {
    fn each<Shape: file::Shape, Checked>(
        &mut self,
        declared: Vec<file::Table>,
        kind: &'static str,
        place: &Place,
        check: impl Fn(&mut Self, Shape, &Place) -> Option<Checked>,
    ) -> Vec<Checked> {
        let shapes = tables(declared, kind, place, self.problems);
        shapes.into_iter().filter_map(|(shape, place)| check(self, shape, &place)).collect()
    }

    fn user(&mut self, shape: file::User, place: &Place) -> Option<User> {
        let name = self.text(shape.name, "name", "the user name; \"\" for a secret without a name", 0, place);
        let devices = self.devices(shape.devices.as_deref(), place);
        let password = match shape.password.as_deref().map(PasswordHash::parse).transpose() {
            Ok(password) => Some(password),
            Err(error) => {
                self.problems.push(place.key("password").refused(&error));
                None
            }
        };
        let [digest_sha256, digest_md5] = [shape.digest_sha256, shape.digest_md5].map(|ha1| ha1.map(Zeroizing::new));
        Some(User { name: name?, password: password?, digest_sha256, digest_md5, devices: devices? })
    }

    fn token(&mut self, shape: file::Token, place: &Place) -> Option<ApiToken> {
        let name = self.text(shape.name, "name", "a name for the token", 1, place);
        let sha256 = self.sha256(shape.sha256.as_deref(), place);
        let devices = self.devices(shape.devices.as_deref(), place);
        let not_after = self.not_after(shape.not_after.as_deref(), place);
        Some(ApiToken { name: name?, sha256: sha256?, devices: devices?, not_after: not_after? })
    }

    fn code(&mut self, shape: file::Code, place: &Place) -> Option<EnrollmentCode> {
        let sha256 = self.sha256(shape.sha256.as_deref(), place);
        let devices = self.devices(shape.devices.as_deref(), place);
        let not_after = self.not_after(shape.not_after.as_deref(), place);
        if !(1..=MAX_USES).contains(&shape.uses) {
            self.problems.push(place.key("uses").value(format!("1 to {MAX_USES}"), shape.uses.to_string()));
        }
        Some(EnrollmentCode { sha256: sha256?, devices: devices?, not_after: not_after?, uses: shape.uses })
    }

    fn issuer(&mut self, shape: file::Issuer, place: &Place) -> Option<Issuer> {
        let name = self.text(shape.name, "name", "a name for the issuer", 1, place);
        let issuer = self.text(shape.issuer, "issuer", "what iss must be", 1, place);
        let audience = self.text(shape.audience, "audience", "what aud must be or hold", 1, place);
        let claim = self.text(Some(shape.device_claim), "device_claim", "the claim with the device id", 1, place);
        let devices = self.scope(&shape.devices, place);
        let jwks = self.jwks(shape.jwks.as_deref(), place);
        Issuer::new(name?, issuer?, audience?, claim?, devices?, &jwks?)
            .map_err(|error| self.problems.push(place.key("jwks").refused(&error)))
            .ok()
    }

    fn jwks(&mut self, path: Option<&str>, place: &Place) -> Option<String> {
        let Some(path) = path else {
            self.problems.push(place.missing("jwks", "a file with the issuer's JWK Set"));
            return None;
        };
        let text = read::text(&self.folder.join(path));
        text.map_err(|problem| self.problems.push(place.key("jwks").problem(problem))).ok()
    }

    fn text(
        &mut self,
        text: Option<String>,
        key: &str,
        expected: &'static str,
        least: usize,
        place: &Place,
    ) -> Option<String> {
        let Some(text) = text else {
            self.problems.push(place.missing(key, expected));
            return None;
        };
        // RFC 7617 §2: a name with a colon cannot be sent, nor one with control characters.
        let sound = |character: char| !character.is_control() && (key != "name" || character != ':');
        if (least..=MAX_NAME_OCTETS).contains(&text.len()) && text.chars().all(sound) {
            return Some(text);
        }
        let expected =
            format!("{expected}: {least} to {MAX_NAME_OCTETS} octets without control characters, a name without ':'");
        self.problems.push(place.key(key).value(expected, format!("{text:?}")));
        None
    }

    fn sha256(&mut self, text: Option<&str>, place: &Place) -> Option<[u8; 32]> {
        let Some(text) = text else {
            self.problems.push(place.missing("sha256", "SHA-256 of the secret, in hexadecimal"));
            return None;
        };
        let parsed =
            text.parse::<Fingerprint>().map_err(|error| self.problems.push(place.key("sha256").refused(&error)));
        parsed.ok().map(|fingerprint| fingerprint.0)
    }

    fn devices(&mut self, patterns: Option<&[String]>, place: &Place) -> Option<Arc<DeviceScope>> {
        match patterns {
            Some(patterns) => self.scope(patterns, place).map(Arc::new),
            None => {
                self.problems.push(place.missing("devices", "the ids of the devices it speaks for, or patterns"));
                None
            }
        }
    }

    fn scope(&mut self, patterns: &[String], place: &Place) -> Option<DeviceScope> {
        DeviceScope::parse(patterns).map_err(|error| self.problems.push(place.key("devices").refused(&error))).ok()
    }

    /// `None` is a mistake, `Some(None)` no limit.
    fn not_after(&mut self, text: Option<&str>, place: &Place) -> Option<Option<DateTime<Utc>>> {
        let Some(text) = text else { return Some(None) };
        match DateTime::parse_from_rfc3339(text) {
            Ok(moment) => Some(Some(moment.to_utc())),
            Err(_) => {
                let expected = "a time such as \"2027-01-31T00:00:00Z\"";
                self.problems.push(place.key("not_after").value(expected, format!("{text:?}")));
                None
            }
        }
    }
}
