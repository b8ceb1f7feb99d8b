//! `[admin]`: where operators connect, and who they are, checked.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::file;
use super::label::LabelSettings;
use super::problem::{Place, Problem, ProblemKind};
use super::read;
use crate::access::{Role, Standing};
use crate::pki::digest::sha256;
use estd_asn1::Validity;

/// Least and most octets of a body: an import of one device, and one of as many as there may be.
const BODY: std::ops::RangeInclusive<u64> = 4096..=64 * 1024 * 1024;
/// Longest path of a socket, in octets, as Unix systems have it.
const MAX_SOCKET_OCTETS: usize = 107;

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// The local socket, for whoever runs the server; `None` when there is none.
    pub socket: Option<PathBuf>,
    /// Where operators connect over TLS.
    pub listen: Vec<SocketAddr>,
    /// Largest request body, octets.
    pub max_body: usize,
    /// Operators who are known by a certificate.
    pub operators: Vec<OperatorSettings>,
}

/// `[[admin.operator]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorSettings {
    /// What stands in the audit.
    pub name: String,
    /// SHA-256 of the certificate.
    pub certificate: [u8; 32],
    /// When the certificate is valid.
    pub valid: Validity,
    /// What the operator may do.
    pub standing: Standing,
}

/// `None` comes with a problem at least.
pub(super) fn check(
    table: file::Table,
    folder: &Path,
    place: &Place,
    data_dir: &Path,
    labels: &[LabelSettings],
    problems: &mut Vec<Problem>,
) -> Option<AdminSettings> {
    let before = problems.len();
    let shape: file::Admin = file::decode(table, place, problems);
    let mut listen = Vec::new();
    for address in &shape.listen {
        match address.parse() {
            Ok(address) => listen.push(address),
            Err(_) => {
                let expected = "an IP address and a port such as \"127.0.0.1:9444\"";
                problems.push(place.key("listen").value(expected, format!("{address:?}")));
            }
        }
    }
    let socket = match shape.socket.as_deref() {
        Some("") => None,
        Some(path) => Some(folder.join(path)),
        None => Some(data_dir.join("admin.sock")),
    };
    if let Some(socket) = &socket
        && socket.as_os_str().len() > MAX_SOCKET_OCTETS
    {
        let expected = format!("a path of at most {MAX_SOCKET_OCTETS} octets, for instance under /run");
        problems.push(place.key("socket").value(expected, socket.display().to_string()));
    }
    if !BODY.contains(&shape.max_body) {
        let expected = format!("{} to {}", BODY.start(), BODY.end());
        problems.push(place.key("max_body").value(expected, shape.max_body.to_string()));
    }
    let mut operators: Vec<OperatorSettings> = Vec::new();
    for (position, table) in shape.operator.into_iter().enumerate() {
        let place = place.named("operator", file::text(&table, "name"), position);
        let Some(operator) = check_operator(table, folder, &place, labels, problems) else { continue };
        if operators.iter().any(|other| other.certificate == operator.certificate) {
            problems.push(place.key("certificate").problem(ProblemKind::Duplicate { kind: "certificate", scope: "" }));
        }
        operators.push(operator);
    }
    (problems.len() == before).then_some(())?;
    Some(AdminSettings { socket, listen, max_body: usize::try_from(shape.max_body).ok()?, operators })
}

fn check_operator(
    table: file::Table,
    folder: &Path,
    place: &Place,
    labels: &[LabelSettings],
    problems: &mut Vec<Problem>,
) -> Option<OperatorSettings> {
    let shape: file::AdminOperator = file::decode(table, place, problems);
    if shape.name.is_none() {
        problems.push(place.missing("name", "what stands in the audit"));
    }
    let certificate = match &shape.certificate {
        Some(path) => read::certificates(&folder.join(path))
            .map_err(|problem| problems.push(place.key("certificate").problem(problem)))
            .ok(),
        None => {
            problems.push(place.missing("certificate", "a PEM file with the operator's certificate"));
            None
        }
    };
    let role = match shape.role.as_deref().map(str::parse::<Role>) {
        Some(Ok(role)) => Some(role),
        Some(Err(error)) => {
            problems.push(place.key("role").refused(&error));
            None
        }
        None => {
            problems.push(place.missing("role", "admin, auditor, tenant-admin, tenant-operator or tenant-auditor"));
            None
        }
    };
    if let Some(tenant) = &shape.tenant
        && !labels.iter().any(|label| label.tenant == *tenant)
    {
        let mut known: Vec<_> = labels.iter().map(|label| label.tenant.clone()).collect();
        known.dedup();
        problems.push(place.key("tenant").problem(ProblemKind::Unresolved {
            kind: "tenant",
            name: tenant.clone(),
            known,
        }));
    }
    let standing = Standing::new(role?, shape.tenant).map_err(|error| problems.push(place.refused(&error))).ok();
    let certificates = certificate?;
    let [certificate] = certificates.as_slice() else {
        problems.push(place.key("certificate").value("one certificate", format!("{} of them", certificates.len())));
        return None;
    };
    let (valid, certificate) = (certificate.validity(), sha256(&[certificate.der()]));
    Some(OperatorSettings { name: shape.name?, certificate, valid, standing: standing? })
}
