//! `estd journal`: the journal verified, the index made anew from it.

use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::SecondsFormat;
use estd_asn1::SubjectPublicKeyInfo;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;

use super::{CliError, files};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::pki::digest::{hex, unhex};
use crate::store::journal::{Checkpoint, SignedCheckpoint, Tail};
use crate::store::sled as stored;

/// What `estd journal` can do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Verify the whole journal: nothing was changed or taken out, and with --head or --checkpoint
    /// that its end is not missing; also while the server runs
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
    /// Signed checkpoints that were kept elsewhere, one a line: the signatures must hold, and the journal must still have
    /// every one of those records
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The public key (PEM) that the checkpoints are held against, kept elsewhere as well; when left out, checkpoint.pub in the
    /// data folder
    #[arg(long, value_name = "FILE", requires = "checkpoint")]
    checkpoint_key: Option<PathBuf>,
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
    let folder = arguments.place.folder()?;
    let checkpoints = match &arguments.checkpoint {
        Some(file) => {
            let key = arguments.checkpoint_key.clone().unwrap_or_else(|| folder.join("checkpoint.pub"));
            checkpoints(file, &key)?
        }
        None => Vec::new(),
    };
    let noted: Vec<_> = checkpoints.iter().map(|known| (known.sequence, known.hash)).chain(arguments.head).collect();
    let contents = stored::verify(&folder, &noted)?;
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
    if let Some(last) = checkpoints.iter().max_by_key(|checkpoint| checkpoint.sequence) {
        let (count, at) = (checkpoints.len(), last.at.to_rfc3339_opts(SecondsFormat::Secs, true));
        writeln!(out, "  {count} checkpoints hold, the last is of record {}, {at}", last.sequence)?;
    }
    writeln!(out, "  head {}:{}", contents.head.sequence, hex(&contents.head.hash))?;
    Ok(())
}

/// The checkpoints of a file, which `key` must have signed, each of them.
fn checkpoints(file: &Path, key: &Path) -> Result<Vec<Checkpoint>, CliError> {
    let no_key = |error: String| CliError::PublicKey { path: key.to_owned(), error };
    let pem = files::text(key)?;
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|error| no_key(error.to_string()))?;
    let key = SubjectPublicKeyInfo::decode(&der).map_err(|error| no_key(error.to_string()))?;
    let text = files::text(file)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    let verified = lines.map(|(position, line)| {
        let checkpoint = SignedCheckpoint::parse(line).and_then(|signed| signed.verify(&key));
        let place = |source| CliError::Checkpoint { path: file.to_owned(), line: position + 1, source };
        checkpoint.map_err(place)
    });
    let verified: Vec<_> = verified.collect::<Result<_, _>>()?;
    if verified.is_empty() {
        return Err(CliError::NoCheckpoint { path: file.to_owned() });
    }
    Ok(verified)
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
