//! `estd journal`: the journal verified, the index made anew from it.

use std::io::Write;
use std::path::PathBuf;

use super::{CliError, show};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::store::journal::Tail;
use crate::store::sled as stored;

/// What `estd journal` can do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Verify the whole journal: nothing was changed, removed or lost; also while the server runs
    Verify(Where),
    /// Make the index anew from the journal; the server must not be running
    Rebuild(Where),
}

/// Which journal.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Where {
    /// The configuration file that names the data folder
    #[arg(long)]
    config: Option<PathBuf>,
    /// The data folder itself
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

impl Where {
    fn folder(&self) -> Result<PathBuf, CliError> {
        match (&self.data_dir, &self.config) {
            (Some(folder), _) => Ok(folder.clone()),
            (None, config) => {
                let config = config.as_deref().unwrap_or("config.toml".as_ref());
                Ok(Config::load(config, SystemClock.now())?.server.data_dir)
            }
        }
    }
}

pub(super) fn run(command: &Command, out: &mut dyn Write) -> Result<(), CliError> {
    match command {
        Command::Verify(place) => verify(place, out),
        Command::Rebuild(place) => rebuild(place, out),
    }
}

fn verify(place: &Where, out: &mut dyn Write) -> Result<(), CliError> {
    let contents = stored::verify(&place.folder()?)?;
    writeln!(out, "the journal is whole: {} records", contents.head.sequence)?;
    writeln!(
        out,
        "  {} certificates, {} revocations, {} changes of the registry, {} other events, {} of kinds this version does \
         not know",
        contents.certificates, contents.revocations, contents.changes, contents.events, contents.unknown
    )?;
    writeln!(out, "  {} refusals were counted and not written", contents.suppressed)?;
    match contents.tail {
        Tail::Whole => {}
        Tail::Torn { .. } => writeln!(out, "  an unfinished write follows; nothing in it was ever acknowledged")?,
    }
    writeln!(out, "  head {} {}", contents.head.sequence, show::fingerprint(&contents.head.hash))?;
    Ok(())
}

fn rebuild(place: &Where, out: &mut dyn Write) -> Result<(), CliError> {
    let folder = place.folder()?;
    let recovery = stored::rebuild(&folder).map_err(|error| CliError::opening(error, &folder))?;
    writeln!(out, "the index was made anew from {} records", recovery.replayed)?;
    Ok(())
}
