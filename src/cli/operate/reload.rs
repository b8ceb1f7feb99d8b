//! `estd reload`: the server takes over its configuration file.

use std::io::Write;

use super::{Server, fields};
use crate::cli::CliError;

/// What `estd reload` is told.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Reload {
    #[command(flatten)]
    server: Server,
}

impl Reload {
    pub(in crate::cli) fn run(&self, out: &mut dyn Write) -> Result<(), CliError> {
        self.server.show(&self.server.client()?.post("/reload", None)?, out, fields)
    }
}
