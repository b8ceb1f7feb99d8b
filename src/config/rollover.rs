//! `[tenant.authority.successor]`, checked: the CA that takes an authority's place, and how far that is.

use std::path::Path;
use std::sync::Arc;

use super::authority::{Files, one_certificate};
use super::file;
use super::problem::{Place, Problem};
use crate::ca::{CertificateAuthority, CrossCertificates, Publication, Rollover, RolloverPhase};

/// `None` comes with a problem at least, here or with the authority itself.
pub(super) fn check(
    table: file::Table,
    old: Option<&Arc<CertificateAuthority>>,
    publication: Publication,
    folder: &Path,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<Rollover> {
    let before = problems.len();
    let shape: file::Successor = file::decode(table, place, problems);
    let phase = phase(shape.phase.as_deref(), place, problems);
    let files = Files { certificate: shape.certificate, key: shape.key, chain: shape.chain, publication };
    let new = files.load(folder, place, problems);
    let mut cross = |key: &str, path: &str| one_certificate(&folder.join(path), &place.key(key), problems);
    let cross = match (&shape.old_with_new, &shape.new_with_old) {
        (Some(old_with_new), Some(new_with_old)) => {
            let both = (cross("old_with_new", old_with_new), cross("new_with_old", new_with_old));
            match both {
                (Some(old_with_new), Some(new_with_old)) => Some(CrossCertificates { old_with_new, new_with_old }),
                _ => return None,
            }
        }
        (None, None) => None,
        (Some(_), None) => {
            problems.push(place.missing("new_with_old", "the other of the two cross certificates"));
            None
        }
        (None, Some(_)) => {
            problems.push(place.missing("old_with_new", "the other of the two cross certificates"));
            None
        }
    };
    if problems.len() > before {
        return None;
    }
    let rollover = Rollover::new(Arc::clone(old?), Arc::new(new?), cross, phase?);
    rollover.map_err(|error| problems.push(place.refused(&error))).ok()
}

fn phase(name: Option<&str>, place: &Place, problems: &mut Vec<Problem>) -> Option<RolloverPhase> {
    let Some(name) = name else {
        problems.push(place.missing("phase", "\"announce\" or \"cut-over\""));
        return None;
    };
    let found = RolloverPhase::ALL.into_iter().find(|phase| phase.as_str() == name);
    if found.is_none() {
        let names = RolloverPhase::ALL.map(RolloverPhase::as_str).join(", ");
        problems.push(place.key("phase").value(names, format!("{name:?}")));
    }
    found
}
