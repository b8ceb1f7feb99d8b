//! `estd crl list` and `estd crl get`: what a running server publishes.

use std::io::Write;

use hyper::Method;

use super::Within;
use super::client::segment;
use crate::cli::CliError;

/// What `estd crl list` is told.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CrlList {
    #[command(flatten)]
    within: Within,
}

/// What `estd crl get` is told.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CrlGet {
    /// The issuer, as `estd crl list --json` names it
    issuer: String,
    /// The list, as `estd crl list` names it
    #[arg(default_value = "full")]
    list: String,
    #[command(flatten)]
    within: Within,
}

const COLUMNS: [(&str, &str); 7] = [
    ("AUTHORITY", "authority"),
    ("LIST", "list"),
    ("NUMBER", "number"),
    ("ENTRIES", "entries"),
    ("UPDATED", "this_update"),
    ("NEXT", "next_update"),
    ("OCTETS", "octets"),
];

impl CrlList {
    pub(in crate::cli) fn run(&self, out: &mut dyn Write) -> Result<(), CliError> {
        let (client, base) = self.within.client()?;
        self.within.server.list(&client.whole(&format!("{base}/crls"))?, &COLUMNS, out)
    }
}

impl CrlGet {
    pub(in crate::cli) fn run(&self, out: &mut dyn Write) -> Result<(), CliError> {
        let (client, base) = self.within.client()?;
        let path = format!("{base}/crls/{}/{}", segment(&self.issuer), segment(&self.list));
        Ok(out.write_all(&client.octets(&Method::GET, &path, None)?)?)
    }
}
