//! `[tenant.label.key_generation]`, checked: its keys and certificates read.

use std::path::Path;

use estd_asn1::Certificate;

use super::problem::{Place, Problem, ProblemKind};
use super::profile::required;
use super::{file, read};
use crate::pki::digest::unhex;
use crate::pki::key_encryption::SharedKey;
use crate::policy::KeyGenerationRules;

/// `None` comes with a problem at least.
pub(super) fn check(
    table: file::Table,
    folder: &Path,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<KeyGenerationRules> {
    let before = problems.len();
    let shape: file::KeyGeneration = file::decode(table, place, problems);
    let mut shared_keys: Vec<SharedKey> = Vec::new();
    for (position, table) in shape.decrypt_key.into_iter().enumerate() {
        let place = place.named("decrypt_key", file::text(&table, "id"), position);
        let Some(key) = shared_key(table, folder, &place, problems) else { continue };
        if shared_keys.iter().any(|other| other.identifier() == key.identifier()) {
            let scope = " within a label";
            problems.push(place.key("id").problem(ProblemKind::Duplicate { kind: "decrypt_key", scope }));
        }
        shared_keys.push(key);
    }
    let certificates = certificates(&shape.decrypt_certificates, folder, place, problems);
    let (plaintext, birth_certificates) = (shape.plaintext, shape.birth_certificates);
    let rules = KeyGenerationRules { plaintext, birth_certificates, shared_keys, certificates };
    (problems.len() == before).then_some(rules)
}

fn shared_key(table: file::Table, folder: &Path, place: &Place, problems: &mut Vec<Problem>) -> Option<SharedKey> {
    let shape: file::DecryptKey = file::decode(table, place, problems);
    let id = required(shape.id, unhex, "id", "octets in hexadecimal", place, problems);
    if shape.key.is_none() {
        problems.push(place.missing("key", "a file with an AES key in hexadecimal"));
    }
    let path = folder.join(shape.key?);
    let place = place.key("key");
    let text = read::secret(&path).map_err(|problem| problems.push(place.problem(problem))).ok()?;
    let Some(octets) = unhex(text.trim()) else {
        let error = "expected an AES key in hexadecimal".to_owned();
        problems.push(place.problem(ProblemKind::Content { path, error }));
        return None;
    };
    SharedKey::new(id?.to_vec(), octets).map_err(|error| problems.push(place.refused(&error))).ok()
}

/// Each with the identifier that requests name it by.
fn certificates(paths: &[String], folder: &Path, place: &Place, problems: &mut Vec<Problem>) -> Vec<Certificate> {
    let place = place.key("decrypt_certificates");
    let mut certificates = Vec::new();
    for path in paths {
        match read::certificates_of_file_or_folder(&folder.join(path)) {
            Ok(found) => certificates.extend(found),
            Err(found) => problems.extend(found.into_iter().map(|problem| place.problem(problem))),
        }
    }
    for certificate in &certificates {
        if !matches!(certificate.subject_key_identifier(), Ok(Some(_))) {
            let found = certificate.subject().to_string();
            problems.push(place.value("certificates with a subjectKeyIdentifier, by which requests name them", found));
        }
    }
    certificates
}
