//! `[server]`, `[server.tls]` and `[log]`, checked.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use estd_asn1::GeneralName;

use super::authority::{Declared, Sound};
use super::file;
use super::problem::{Place, Problem, ProblemKind};
use super::read;
use super::tenant::Tenants;
use crate::ca::{CertificateAuthority, Rollover};
use crate::est::Label;
use crate::pki::blocked_keys::BlockedKeys;
use crate::tls::{MinimumVersion, ServerCertificate};

/// `[server]`
pub struct ServerSettings {
    /// Where devices connect.
    pub listen: Vec<SocketAddr>,
    /// Where `/healthz` and `/metrics` are, on the loopback interface.
    pub status_listen: SocketAddr,
    /// Where CRLs, OCSP answers and CA certificates are for everybody, over plain HTTP; empty for nowhere.
    pub public_listen: Vec<SocketAddr>,
    /// The folder of the journal and the index.
    pub data_dir: PathBuf,
    /// What the path without a label stands for.
    /// `None` when every tenant has hosts of its own.
    pub default_label: Option<Label>,
    /// Keys that are certified for nobody.
    pub blocked_keys: BlockedKeys,
    /// How long a stopping server waits for requests in flight.
    pub drain: Duration,
    /// How often a checkpoint of a journal that grows is signed.
    pub checkpoint_interval: Duration,
    /// The server certificate and the TLS floor.
    pub tls: TlsSettings,
}

/// `[server.tls]`
pub struct TlsSettings {
    /// Where the server certificate comes from.
    pub certificate: CertificateSource,
    /// The TLS floor.
    pub min_version: MinimumVersion,
}

/// Where the server certificate comes from.
pub enum CertificateSource {
    /// Issued by one of our own authorities, and renewed by the server itself.
    Own {
        /// That authority.
        issuer: Arc<CertificateAuthority>,
        /// The way to its successor, while it is on it.
        rollover: Option<Arc<Rollover>>,
        /// What goes into subjectAltName.
        names: Vec<GeneralName>,
        /// How long each is valid.
        validity: TimeDelta,
    },
    /// From files.
    Files(Box<ServerCertificate>),
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// The least level shown: error, warn, info, debug or trace.
    pub level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

const LOG_LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// The shortest and the longest life of a server certificate of our own.
const OWN_CERTIFICATE_VALIDITY: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60 * 60)..=Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The least and the most time between checkpoints.
const CHECKPOINT_INTERVAL: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);

/// `None` when a key without which there is no server is missing or wrong, which is then among the problems.
pub(super) fn check(
    shape: file::Server,
    folder: &Path,
    place: &Place,
    tenants: &Tenants,
    problems: &mut Vec<Problem>,
) -> Option<ServerSettings> {
    let tls_place = place.key("tls");
    let tls = file::decode(shape.tls, &tls_place, problems);
    let tls = check_tls(tls, folder, &tls_place, &tenants.authorities, problems);
    let listen = check_listen(shape.listen.as_deref(), place, problems);
    let public_listen = addresses("public_listen", &shape.public_listen, place, problems);
    let status_listen = check_status_listen(&shape.status_listen, &place.key("status_listen"), problems);
    if !CHECKPOINT_INTERVAL.contains(&shape.checkpoint_interval.0) {
        let found = shape.checkpoint_interval.to_string();
        problems.push(place.key("checkpoint_interval").value("1s to 24h", found));
    }
    if shape.data_dir.is_none() {
        problems.push(place.missing("data_dir", "a folder for the journal and the index"));
    }
    let default_label = if tenants.label_names.is_empty() && shape.default_label.is_none() {
        Some(None)
    } else {
        check_default_label(shape.default_label.as_deref(), &tenants.label_names, place, problems).map(Some)
    };
    let blocked_keys = check_blocked_keys(&shape.blocked_keys, folder, &place.key("blocked_keys"), problems);
    Some(ServerSettings {
        listen: listen?,
        status_listen: status_listen?,
        public_listen: public_listen?,
        data_dir: folder.join(shape.data_dir?),
        default_label: default_label?,
        blocked_keys,
        drain: shape.drain.0,
        checkpoint_interval: shape.checkpoint_interval.0,
        tls: tls?,
    })
}

/// RFC 7030 §3.2.2: the path without a label always works, so the label it stands for must exist.
pub(super) fn check_default_label(
    name: Option<&str>,
    known: &[String],
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<Label> {
    let Some(name) = name else {
        problems.push(place.missing("default_label", "the name of a label"));
        return None;
    };
    let place = place.key("default_label");
    let label = Label::parse(name).map_err(|error| problems.push(place.refused(&error))).ok()?;
    if !known.iter().any(|known| known == name) {
        let (name, known) = (name.to_owned(), known.to_vec());
        problems.push(place.problem(ProblemKind::Unresolved { kind: "label", name, known }));
        return None;
    }
    Some(label)
}

fn check_blocked_keys(lists: &[String], folder: &Path, place: &Place, problems: &mut Vec<Problem>) -> BlockedKeys {
    let mut keys = BlockedKeys::default();
    for list in lists {
        let path = folder.join(list);
        let added = read::text(&path).and_then(|text| {
            keys.add_list(&text).map_err(|error| ProblemKind::Content { path: path.clone(), error: error.to_string() })
        });
        if let Err(kind) = added {
            problems.push(place.problem(kind));
        }
    }
    keys
}

fn check_listen(addresses: Option<&[String]>, place: &Place, problems: &mut Vec<Problem>) -> Option<Vec<SocketAddr>> {
    let Some(addresses) = addresses.filter(|addresses| !addresses.is_empty()) else {
        problems.push(place.missing("listen", "at least one address such as \"0.0.0.0:8443\""));
        return None;
    };
    self::addresses("listen", addresses, place, problems)
}

fn addresses(key: &str, addresses: &[String], place: &Place, problems: &mut Vec<Problem>) -> Option<Vec<SocketAddr>> {
    let mut sound = Vec::new();
    for address in addresses {
        match address.parse() {
            Ok(address) => sound.push(address),
            Err(_) => {
                let expected = "an IP address and a port such as \"0.0.0.0:8443\" or \"[::]:8443\"";
                problems.push(place.key(key).value(expected, quoted(address)));
            }
        }
    }
    (sound.len() == addresses.len()).then_some(sound)
}

fn check_status_listen(address: &str, place: &Place, problems: &mut Vec<Problem>) -> Option<SocketAddr> {
    let parsed = address.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
    if parsed.is_none() {
        let expected = "an address of this machine alone such as \"127.0.0.1:9443\" or \"[::1]:9443\"";
        problems.push(place.value(expected, quoted(address)));
    }
    parsed
}

fn check_tls(
    shape: file::Tls,
    folder: &Path,
    place: &Place,
    authorities: &[Declared],
    problems: &mut Vec<Problem>,
) -> Option<TlsSettings> {
    let min_version = match shape.min_version.as_str() {
        "1.2" => Some(MinimumVersion::Tls12),
        "1.3" => Some(MinimumVersion::Tls13),
        other => {
            problems.push(place.key("min_version").value("\"1.2\" or \"1.3\"", quoted(other)));
            None
        }
    };
    let certificate = if shape.certificate.is_some() || shape.key.is_some() {
        for (key, set) in [("issued_by", shape.issued_by.is_some()), ("names", shape.names.is_some())] {
            if set {
                problems.push(place.key(key).problem(ProblemKind::Conflict { other: "certificate and key" }));
            }
        }
        from_files(&shape, folder, place, problems)
    } else {
        issued(&shape, place, authorities, problems)
    };
    Some(TlsSettings { certificate: certificate?, min_version: min_version? })
}

fn issued(
    shape: &file::Tls,
    place: &Place,
    authorities: &[Declared],
    problems: &mut Vec<Problem>,
) -> Option<CertificateSource> {
    let issuer = match shape.issued_by.as_deref() {
        Some(name) => find_issuer(name, &place.key("issued_by"), authorities, problems),
        None => {
            problems.push(place.missing("issued_by", "\"tenant/authority\", or else the keys certificate and key"));
            None
        }
    };
    let names = check_names(shape.names.as_deref(), place, problems);
    if !OWN_CERTIFICATE_VALIDITY.contains(&shape.validity.0) {
        problems.push(place.key("validity").value("1h to 10 years", shape.validity.to_string()));
    }
    let validity = TimeDelta::from_std(shape.validity.0).ok()?;
    let Sound { authority: issuer, rollover } = issuer?;
    Some(CertificateSource::Own { issuer, rollover, names: names?, validity })
}

/// `None` without a problem when the authority is there but is itself at fault, which has been told already.
fn find_issuer(name: &str, place: &Place, authorities: &[Declared], problems: &mut Vec<Problem>) -> Option<Sound> {
    match authorities.iter().find(|authority| authority.path() == name) {
        Some(authority) => authority.sound.clone(),
        None => {
            let known = authorities.iter().map(Declared::path).collect();
            problems.push(place.problem(ProblemKind::Unresolved { kind: "authority", name: name.to_owned(), known }));
            None
        }
    }
}

fn check_names(names: Option<&[String]>, place: &Place, problems: &mut Vec<Problem>) -> Option<Vec<GeneralName>> {
    let Some(names) = names.filter(|names| !names.is_empty()) else {
        problems.push(place.missing("names", "the DNS names and IP addresses that devices know the server by"));
        return None;
    };
    let mut sound = Vec::new();
    for name in names {
        match server_name(name) {
            Ok(name) => sound.push(name),
            Err(problem) => problems.push(place.key("names").problem(problem)),
        }
    }
    (sound.len() == names.len()).then_some(sound)
}

/// A DNS name or an IP address as it stands in a server certificate (RFC 9525 section 2: no wildcard here).
pub(crate) fn server_name(text: &str) -> Result<GeneralName, ProblemKind> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(GeneralName::IpAddress(match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        }));
    }
    let label_is_sound = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    // RFC 1123 §2.1: letters, digits and hyphens; a last label of digits alone would be read as an IP address.
    let ends_in_number = text.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    if text.len() <= 253 && text.split('.').all(label_is_sound) && !ends_in_number {
        return Ok(GeneralName::DnsName(text.to_owned()));
    }
    Err(ProblemKind::Value {
        expected: "a DNS name of letters, digits and '-' (no wildcard, no final dot) or an IP address".to_owned(),
        found: quoted(text),
    })
}

fn from_files(
    shape: &file::Tls,
    folder: &Path,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<CertificateSource> {
    let chain = match &shape.certificate {
        Some(path) => read::octets(&folder.join(path))
            .map_err(|problem| problems.push(place.key("certificate").problem(problem)))
            .ok(),
        None => {
            problems.push(place.missing("certificate", "a PEM file, leaf first, beside key"));
            None
        }
    };
    let key = match &shape.key {
        Some(path) => {
            read::secret(&folder.join(path)).map_err(|problem| problems.push(place.key("key").problem(problem))).ok()
        }
        None => {
            problems.push(place.missing("key", "a PEM file with the key of certificate"));
            None
        }
    };
    ServerCertificate::from_pem(&chain?, key?.as_bytes())
        .map(|certificate| CertificateSource::Files(Box::new(certificate)))
        .map_err(|error| problems.push(place.refused(&error)))
        .ok()
}

pub(super) fn check_log(shape: &file::Log, place: &Place, problems: &mut Vec<Problem>) -> LogSettings {
    let format = match shape.format.as_str() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        other => {
            problems.push(place.key("format").value("\"text\" or \"json\"", quoted(other)));
            LogFormat::Text
        }
    };
    if !LOG_LEVELS.contains(&shape.level.as_str()) {
        problems.push(place.key("level").value(LOG_LEVELS.join(", "), quoted(&shape.level)));
    }
    LogSettings { format, level: shape.level.clone() }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}
