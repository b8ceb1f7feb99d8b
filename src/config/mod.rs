//! The configuration: files read, checked whole, and turned into values that cannot be wrong any more.
//!
//! [`Config::load`] reads everything that the files name, keys and certificates too, and reports every problem at once,
//! each with its place. What it returns needs no second look: an [`Authority`] signs, a label's references resolve.

mod admin;
mod authority;
mod credentials;
mod file;
mod key_generation;
mod label;
mod limits;
mod problem;
mod profile;
mod publication;
mod ra;
mod read;
mod registration;
mod renewal;
mod rollover;
mod server;
mod sources;
mod tenant;
mod usage;
mod usage_limits;
mod webhook;
mod wire;

#[cfg(test)]
mod tests;

pub use admin::{AdminSettings, OperatorSettings};
pub use authority::Authority;
pub use label::LabelSettings;
pub use limits::Limits;
pub use problem::{Place, Problem, ProblemKind, Problems};
pub use server::{CertificateSource, LogFormat, LogSettings, ServerSettings, TlsSettings};
pub use sources::{Source, SourceKind, Sources};

pub(crate) use read::secret;
pub(crate) use server::server_name;
pub(crate) use tenant::is_name;

use std::path::Path;

use chrono::{DateTime, Utc};

use crate::est::TenantHosts;
use crate::webhook::Webhook;

/// A configuration that holds.
pub struct Config {
    /// Addresses, folders, the server certificate.
    pub server: ServerSettings,
    /// Where operators connect, and who they are.
    pub admin: AdminSettings,
    /// Bounds.
    pub limits: Limits,
    /// Logging.
    pub log: LogSettings,
    /// Every authority of every tenant.
    pub authorities: Vec<Authority>,
    /// Every label of every tenant.
    pub labels: Vec<LabelSettings>,
    /// Receivers of events.
    pub webhooks: Vec<Webhook>,
    /// The tenants with host names of their own.
    pub hosts: Vec<TenantHosts>,
    /// The files it was read from.
    pub sources: Sources,
    /// What is not wrong but deserves a look.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Reads and checks the file at `path` and all that it names; `now` serves for the warnings on validity alone.
    ///
    /// # Errors
    /// Every problem there is, not only the first.
    pub fn load(path: &Path, now: DateTime<Utc>) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let (config, read) = read::noting(|| check(path, now, &mut problems, &mut warnings));
        match config {
            Some(config) if problems.is_empty() => {
                Ok(Self { warnings, sources: Sources::new(path.to_owned(), read), ..config })
            }
            Some(_) | None => Err(Problems::of(problems)),
        }
    }
}

/// `None` comes with a problem at least.
fn check(path: &Path, now: DateTime<Utc>, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) -> Option<Config> {
    let place = Place::file(path);
    let folder = path.parent().unwrap_or(Path::new(""));
    let main: file::MainFile = file::decode(document(path, &place, problems)?, &place, problems);

    let server_place = place.key("server");
    let server: file::Server = file::decode(main.server, &server_place, problems);
    let limits =
        Limits::check(&file::decode(main.limits, &place.key("limits"), problems), &place.key("limits"), problems);
    let log = server::check_log(&file::decode(main.log, &place.key("log"), problems), &place.key("log"), problems);

    let mut documents = tenant::inline(main.tenant, &place);
    if let Some(tenants_dir) = &server.tenants_dir {
        let place = server_place.key("tenants_dir");
        documents.extend(tenant::in_folder(&folder.join(tenants_dir), &place, problems));
    }
    let public_url = publication::public_url(server.public_url.as_deref(), &server_place, problems);
    let setting = tenant::Setting { folder, public_url: public_url.as_deref(), now };
    let tenants = tenant::check(documents, setting, &place, problems, warnings);
    let server = server::check(server, folder, &server_place, &tenants, problems);
    if let Some(ServerSettings { tls: TlsSettings { certificate: CertificateSource::Files(own), .. }, .. }) = &server {
        let place = server_place.key("tls").key("certificate");
        warnings.extend(authority::out_of_validity(own.leaf(), now).map(|problem| place.problem(problem)));
    }
    let admin_place = place.key("admin");
    let data_dir = server.as_ref().map_or(folder, |server| &server.data_dir);
    let admin = admin::check(main.admin, folder, &admin_place, data_dir, &tenants.labels, problems);
    let webhooks = webhook::check(main.webhook, folder, &place, &tenants.labels, problems);
    webhook::check_questions(&tenants.labels, &place, problems);
    let tenant::Tenants { authorities, labels, hosts, label_names: _ } = tenants;
    let authorities = authorities.into_iter().filter_map(authority::Declared::into_sound).collect();
    let sources = Sources::new(path.to_owned(), Vec::new());
    Some(Config {
        server: server?,
        admin: admin?,
        limits,
        log,
        authorities,
        labels,
        hosts,
        sources,
        webhooks,
        warnings: Vec::new(),
    })
}

/// A TOML document, read and parsed.
fn document(path: &Path, place: &Place, problems: &mut Vec<Problem>) -> Option<file::Table> {
    let table = read::text(path).and_then(|text| file::parse(&text));
    table.map_err(|problem| problems.push(place.problem(problem))).ok()
}
