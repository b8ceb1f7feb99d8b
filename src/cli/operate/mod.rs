//! The commands of operators: each a request to a server that runs, over its local socket.

mod admin;
mod audit;
mod backup;
mod certificate;
mod client;
mod code;
mod crl;
mod device;
mod explain;
mod import;
mod pending;
mod reload;
mod sending;
mod stats;
mod table;
mod tenant;
mod token;
mod webhook;

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::CliError;
use crate::est::transfer::{self, LineWrapping};
use client::Client;
use table::fields;

pub(super) use admin::Command as Admin;
pub(super) use audit::Command as Audit;
pub(super) use backup::{Create, verified};
pub(super) use certificate::Command as Certificate;
pub(super) use client::OperateError;
pub(super) use code::Command as Code;
pub(super) use crl::{CrlGet, CrlList};
pub(super) use device::Command as Device;
pub(super) use explain::Arguments as Explain;
pub(super) use import::Command as Import;
pub(super) use pending::Command as Pending;
pub(super) use reload::Reload;
pub(super) use stats::Command as Statistics;
pub(super) use tenant::Command as Tenant;
pub(super) use token::Command as Token;
pub(super) use webhook::Command as Webhook;

/// Which server, and how its answers are shown.
#[derive(Debug, clap::Args)]
pub(super) struct Server {
    /// The configuration file of the server
    #[arg(long, global = true, default_value = "config.toml", env = "ESTD_CONFIG")]
    config: PathBuf,
    /// The server's local socket, instead of the one its configuration names
    #[arg(long, global = true, value_name = "PATH", env = "ESTD_SOCKET")]
    socket: Option<PathBuf>,
    /// Show the answer as JSON
    #[arg(long, global = true)]
    json: bool,
}

/// Which tenant's.
#[derive(Debug, clap::Args)]
pub(super) struct Within {
    #[command(flatten)]
    server: Server,
    /// The tenant; not needed when there is one alone
    #[arg(long, global = true, env = "ESTD_TENANT")]
    tenant: Option<String>,
}

/// How much of a list.
#[derive(Debug, clap::Args)]
pub(super) struct Amount {
    /// Rows at most; all of them with 0
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

impl Server {
    fn client(&self) -> Result<Client, CliError> {
        Client::open(&self.config, self.socket.as_deref())
    }

    /// Shows an answer: as JSON, or as `text` puts it.
    fn show(
        &self,
        answer: &Value,
        out: &mut dyn Write,
        text: impl FnOnce(&Value, &mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), CliError> {
        if self.json {
            return Ok(writeln!(out, "{answer:#}")?);
        }
        Ok(text(answer, out)?)
    }

    /// Shows a list: one JSON object a line, or a table of these columns.
    fn list(&self, rows: &[Value], columns: &[(&str, &str)], out: &mut dyn Write) -> Result<(), CliError> {
        if self.json {
            for row in rows {
                writeln!(out, "{row}")?;
            }
            return Ok(());
        }
        Ok(table::rows(rows, columns, out)?)
    }
}

impl Within {
    /// A client, and what the addresses of the tenant begin with.
    fn client(&self) -> Result<(Client, String), CliError> {
        let client = self.server.client()?;
        let tenant = match &self.tenant {
            Some(tenant) => tenant.clone(),
            None => client.only_tenant()?,
        };
        let base = format!("/tenants/{}", client::segment(&tenant));
        Ok((client, base))
    }
}

/// A certification request out of a file, as the API takes it: text as it is, DER in base64.
fn request_text(path: &Path) -> Result<String, CliError> {
    let octets = std::fs::read(path).map_err(CliError::file("read", path))?;
    // DER begins with the tag of a SEQUENCE.
    let text = if octets.first() == Some(&0x30) { transfer::encode(&octets, LineWrapping::Lines64) } else { octets };
    Ok(String::from_utf8_lossy(&text).into_owned())
}
