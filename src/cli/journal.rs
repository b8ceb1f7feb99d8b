//! `estd journal`: the journal verified, the index made anew from it.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::CliError;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::pki::digest::{hex, unhex};
use crate::store::journal::Tail;
use crate::store::sled as stored;

/// What `estd journal` can do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Verify the whole journal: nothing was changed or taken out, and its end is not missing; also while the server runs
    Verify(Verify),
    /// Make the index anew from the journal; the server must not be running
    Rebuild(Rebuild),
}

/// `estd journal verify`
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    #[command(flatten)]
    place: Where,
    /// A head that was noted down elsewhere, as verify prints it: the journal must still have that record
    #[arg(long, value_name = "NUMBER:HASH", value_parser = parse_head)]
    head: Option<(u64, [u8; 32])>,
}

/// `estd journal rebuild`
#[derive(Debug, clap::Args)]
pub(super) struct Rebuild {
    #[command(flatten)]
    place: Where,
    /// Take the journal as it is, also when records that were acknowledged are missing from it or damaged at its end: an
    /// older copy was restored. Revocations among them are lost: look after them
    #[arg(long)]
    accept_loss: bool,
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
            // clap asks for one of the two.
            (None, config) => {
                Ok(Config::load(config.as_deref().unwrap_or(Path::new("")), SystemClock.now())?.server.data_dir)
            }
        }
    }
}

pub(super) fn run(command: &Command, out: &mut dyn Write) -> Result<(), CliError> {
    match command {
        Command::Verify(arguments) => verify(arguments, out),
        Command::Rebuild(arguments) => rebuild(arguments, out),
    }
}

fn verify(arguments: &Verify, out: &mut dyn Write) -> Result<(), CliError> {
    let contents = stored::verify(&arguments.place.folder()?, arguments.head)?;
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
    writeln!(out, "  head {}:{}", contents.head.sequence, hex(&contents.head.hash))?;
    Ok(())
}

fn rebuild(arguments: &Rebuild, out: &mut dyn Write) -> Result<(), CliError> {
    let folder = arguments.place.folder()?;
    let recovery =
        stored::rebuild(&folder, arguments.accept_loss).map_err(|error| CliError::opening(error, &folder))?;
    writeln!(out, "the index was made anew from {} records", recovery.replayed)?;
    Ok(())
}

/// `23:9f86d0…`
fn parse_head(text: &str) -> Result<(u64, [u8; 32]), String> {
    let parsed = text
        .split_once(':')
        .and_then(|(number, hash)| Some((number.parse().ok()?, unhex(hash)?.as_slice().try_into().ok()?)));
    parsed.ok_or_else(|| "expected a record's number, a colon and its hash in 64 hexadecimal digits".to_owned())
}
