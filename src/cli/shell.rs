//! `estd completions` and `estd man`: what a shell and `man` know of the commands.

use std::io::Write;
use std::path::PathBuf;

use clap::CommandFactory as _;

use super::{Cli, CliError, files};

/// What `estd completions` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell to write for
    shell: clap_complete::Shell,
}

/// What `estd man` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Man {
    /// The folder to write the pages into, one a command
    folder: PathBuf,
}

pub(super) fn completions(arguments: &Completions, out: &mut dyn Write) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "estd", &mut script);
    Ok(out.write_all(&script)?)
}

pub(super) fn man(arguments: &Man) -> Result<(), CliError> {
    files::folder(&arguments.folder)?;
    clap_mangen::generate_to(Cli::command(), &arguments.folder)
        .map_err(CliError::file("write pages into", &arguments.folder))
}
