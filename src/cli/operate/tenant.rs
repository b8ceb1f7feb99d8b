//! `estd tenant`: tenants and labels as the server has them.

use std::io::Write;

use super::{Within, fields};
use crate::cli::CliError;

/// What `estd tenant` can do.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List the tenants
    List,
    /// List the labels of a tenant
    Labels,
    /// Show as whom the server sees you
    Whoami,
}

const COLUMNS: [(&str, &str); 5] = [
    ("LABEL", "name"),
    ("REGISTRATION", "registration"),
    ("PROFILE", "profile"),
    ("AUTHORITY", "authority"),
    ("ENDS", "authority_ends"),
];

impl Command {
    pub(in crate::cli) fn run(&self, within: &Within, out: &mut dyn Write) -> Result<(), CliError> {
        match self {
            Self::List => {
                let rows = within.server.client()?.whole("/tenants")?;
                within.server.list(&rows, &[("TENANT", "name"), ("LABELS", "labels")], out)
            }
            Self::Labels => {
                let (client, base) = within.client()?;
                within.server.list(&client.whole(&format!("{base}/labels"))?, &COLUMNS, out)
            }
            Self::Whoami => within.server.show(&within.server.client()?.get("/whoami")?, out, fields),
        }
    }
}
