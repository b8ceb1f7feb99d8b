//! `estd backup`: backups made over the API, and verified offline.

use std::io::Write;
use std::path::PathBuf;

use super::operate::Create;
use super::{CliError, operate, show};
use crate::pki::digest::hex;

/// What `estd backup` can do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a backup of a server that runs: its journal and its configuration, without private keys
    Create(Create),
    /// Verify a backup: every octet of it, and the chain of its journal
    Verify {
        /// The backup
        file: PathBuf,
    },
}

pub(super) fn run(command: &Command, out: &mut dyn Write) -> Result<(), CliError> {
    match command {
        Command::Create(create) => create.run(out),
        Command::Verify { file } => {
            let backup = operate::verified(file)?;
            let (manifest, contents, head) = (backup.manifest(), backup.contents(), backup.head());
            writeln!(out, "the backup is whole: made {} by {}", show::time(manifest.made_at), manifest.program)?;
            writeln!(
                out,
                "  {} records: {} certificates, {} revocations, {} changes of the registry, {} other events",
                head.sequence, contents.certificates, contents.revocations, contents.changes, contents.events
            )?;
            writeln!(out, "  {} files of the configuration", manifest.files.len())?;
            for name in &manifest.left_out {
                writeln!(out, "  not in it, as it is a key: {name}")?;
            }
            writeln!(out, "  head {}:{}", head.sequence, hex(&head.hash))?;
            Ok(())
        }
    }
}
