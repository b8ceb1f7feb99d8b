//! `[tenant.label.ra]`, checked: the RA clients of a label.

use super::file;
use super::problem::{Place, Problem};
use crate::credential::DeviceScope;
use crate::pki::device_identity::DeviceId;
use crate::pki::profile::EnrollmentProfile;
use crate::policy::RaRules;

/// Most RA clients of a label.
const MAX_CLIENTS: usize = 100;

/// `None` when a value is wrong, which is then among the problems.
pub(super) fn check(
    table: file::Table,
    profile: &EnrollmentProfile,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<RaRules> {
    let place = place.key("ra");
    let before = problems.len();
    let shape: file::Ra = file::decode(table, &place, problems);
    if shape.clients.len() > MAX_CLIENTS {
        let expected = format!("at most {MAX_CLIENTS} ids");
        problems.push(place.key("clients").value(expected, shape.clients.len().to_string()));
    }
    let mut clients = Vec::new();
    for client in &shape.clients {
        match DeviceId::parse(client.as_str()) {
            Ok(id) => clients.push(id),
            Err(error) => problems.push(place.key("clients").refused(&error)),
        }
    }
    let mut devices = None;
    if profile.ra {
        // An RA that enrolled others here would make RAs.
        if !shape.devices.is_empty() || shape.foreign_linking {
            let expected = "clients alone, where the profile is one of RAs: they speak for nobody here";
            problems.push(place.value(expected, "devices or foreign_linking"));
        }
        if clients.is_empty() {
            problems.push(place.missing("clients", "the ids of the RAs that get a certificate here"));
        }
    } else if !clients.is_empty() || !shape.devices.is_empty() {
        match DeviceScope::parse(&shape.devices) {
            Ok(scope) => devices = Some(scope),
            Err(error) => problems.push(place.key("devices").refused(&error)),
        }
    }
    let rules = RaRules { clients, devices, foreign_linking: shape.foreign_linking };
    (problems.len() == before).then_some(rules)
}
