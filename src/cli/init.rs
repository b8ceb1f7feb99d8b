//! `estd init`: a folder for production.

use std::io::Write;
use std::path::PathBuf;

use super::folder::{Blueprint, Folder};
use super::{CliError, files, show};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Config};
use crate::est::Label;

/// What `estd init` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder to make: missing or empty
    folder: PathBuf,
    /// The name of the tenant, and of its CAs
    #[arg(long, default_value = "acme")]
    tenant: String,
    /// The label that devices enroll at
    #[arg(long, default_value = "devices")]
    label: String,
    /// A DNS name or IP address that devices reach the server by; give it for each
    #[arg(long = "dns", value_name = "NAME", default_values = ["localhost", "127.0.0.1"])]
    names: Vec<String>,
    /// The address to listen on
    #[arg(long, default_value = "0.0.0.0:8443")]
    listen: std::net::SocketAddr,
    /// The folder for the journal and the index, relative to FOLDER or not
    #[arg(long, default_value = "data")]
    data_dir: String,
}

/// Longest name of a tenant: that of its issuing CA, which is made of it, has 64 characters at the most (RFC 5280 appendix
/// A.1, ub-common-name).
const MAX_TENANT_OCTETS: usize = 64 - " Issuing CA".len();

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), CliError> {
    check(arguments)?;
    let folder = Folder::at(&arguments.folder);
    if folder.config().exists() {
        return Err(CliError::Exists { path: folder.config() });
    }
    if !files::is_vacant(&arguments.folder)? {
        return Err(CliError::Occupied { path: arguments.folder.clone() });
    }
    let listen = arguments.listen.to_string();
    let blueprint = Blueprint {
        tenant: &arguments.tenant,
        label: &arguments.label,
        names: &arguments.names,
        listen: &listen,
        data_dir: &arguments.data_dir,
        status_listen: None,
    };
    folder.make_authorities(&blueprint)?;
    folder.write_config(&blueprint)?;

    let config = Config::load(&folder.config(), SystemClock.now())?;
    writeln!(out, "made {}", arguments.folder.display())?;
    for authority in &config.authorities {
        writeln!(out, "  root SHA-256 {}", show::fingerprint(&authority.authority.root_fingerprint()))?;
    }
    writeln!(out, "  put your manufacturers' CA certificates (PEM) into {}", folder.manufacturers().display())?;
    writeln!(out, "  move {} to a safe place: the server never needs it", folder.root_key().display())?;
    writeln!(out, "then")?;
    writeln!(out, "  estd check --config {}", show::shell_word(&folder.config()))?;
    writeln!(out, "  estd serve --config {}", show::shell_word(&folder.config()))?;
    Ok(())
}

/// The names become part of a configuration: they must check before anything is made.
fn check(arguments: &Arguments) -> Result<(), CliError> {
    let argument = |what, given: &str, expected: String| CliError::Argument { what, given: given.to_owned(), expected };
    if !config::is_name(&arguments.tenant) || arguments.tenant.len() > MAX_TENANT_OCTETS {
        let expected = format!("1 to {MAX_TENANT_OCTETS} letters, digits, '-', '_' and '.'");
        return Err(argument("--tenant", &arguments.tenant, expected));
    }
    if let Err(error) = Label::parse(&arguments.label) {
        return Err(argument("--label", &arguments.label, error.to_string()));
    }
    for name in &arguments.names {
        if config::server_name(name).is_err() {
            return Err(argument("--dns", name, "a DNS name without wildcard, or an IP address".to_owned()));
        }
    }
    Ok(())
}
