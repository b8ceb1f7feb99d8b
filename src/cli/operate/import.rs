//! `estd import`: what another CA program knew, taken over by a server that runs.

use std::io::Write;
use std::path::PathBuf;

use super::client::query;
use super::{Server, fields};
use crate::cli::CliError;

/// What `estd import` can do.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Take over the certificates of a CA that `openssl ca` ran before: the revoked ones into CRLs and OCSP, the others as
    /// good into OCSP; all of the file or none
    Openssl {
        /// Its database, index.txt
        #[arg(long, value_name = "FILE")]
        index: PathBuf,
        /// The authority of the configuration that has its key, tenant/name
        #[arg(long, value_name = "TENANT/NAME")]
        authority: String,
        /// Check everything and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

impl Command {
    pub(in crate::cli) fn run(&self, server: &Server, out: &mut dyn Write) -> Result<(), CliError> {
        let Self::Openssl { index, authority, dry_run } = self;
        let body = ("text/plain", std::fs::read(index).map_err(CliError::file("read", index))?);
        let parameters = [("authority", authority.clone()), ("dry_run", dry_run.to_string())];
        let answer = server.client()?.import(&format!("/former-certificates?{}", query(&parameters)), body)?;
        server.show(&answer, out, fields)
    }
}
