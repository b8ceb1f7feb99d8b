//! `estd crl`: the lists of the authorities, of a running server, or made while none runs.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use super::{CliError, ca, files, operate, show};
use crate::server;
use crate::store::CertificateStore;
use crate::store::crl::CrlHistory;
use crate::store::sled::{SledStore, StoreOptions};
use crate::va::Tended;

/// What `estd crl` can do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show the last number of each authority's lists, and since when delta CRLs tell what changed
    Show(Which),
    /// Make the lists of every authority, and write them into a folder; the server must not be running
    Publish(Publish),
    /// List what a running server publishes for a tenant
    List(operate::CrlList),
    /// Write a list of a running server to standard output, DER
    Get(operate::CrlGet),
}

/// Whose lists.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The configuration file
    #[arg(long)]
    config: PathBuf,
}

/// What `estd crl publish` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Publish {
    #[command(flatten)]
    which: Which,
    /// The folder; the files are named after the paths that certificates name, and overwritten
    #[arg(long)]
    out: PathBuf,
}

pub(super) fn run(command: &Command, out: &mut dyn Write) -> Result<(), CliError> {
    match command {
        Command::Show(which) => show(which, out),
        Command::Publish(arguments) => publish(arguments, out),
        Command::List(arguments) => arguments.run(out),
        Command::Get(arguments) => arguments.run(out),
    }
}

fn show(which: &Which, out: &mut dyn Write) -> Result<(), CliError> {
    let config = ca::load(&which.config)?;
    let folder = &config.server.data_dir;
    let store = SledStore::open(folder, StoreOptions::default()).map_err(|error| CliError::opening(error, folder))?;
    for authority in &config.authorities {
        for ca in authority.all() {
            let history = CrlHistory::of(&store, &ca.issuer_id())?;
            writeln!(out, "{}: {}", authority.path(), ca.certificate().subject())?;
            match history.bases.last() {
                None => writeln!(out, "  no list yet")?,
                Some(last) => {
                    writeln!(
                        out,
                        "  last number {}, last list of the schedule {}",
                        history.number,
                        show::time(last.at)
                    )?;
                }
            }
            if let Some(oldest) = history.bases.first() {
                writeln!(out, "  delta CRLs build on number {} of {}", oldest.number, show::time(oldest.at))?;
            }
        }
    }
    Ok(())
}

fn publish(arguments: &Publish, out: &mut dyn Write) -> Result<(), CliError> {
    let config = ca::load(&arguments.which.config)?;
    let folder = &config.server.data_dir;
    let store = SledStore::open(folder, StoreOptions::default());
    let store = Arc::new(store.map_err(|error| CliError::opening(error, folder))?);
    let validation = server::validation_over(&config, Arc::clone(&store) as Arc<dyn CertificateStore>)?;
    files::folder(&arguments.out)?;
    for issuer in validation.issuers() {
        let Tended::Published { number, entries, .. } = issuer.tend(validation.ports())? else { continue };
        for (resource, list) in issuer.lists() {
            let path = resource.path(&issuer.publication().key_name);
            let file = arguments.out.join(path.trim_start_matches("/crl/").replace('/', "-"));
            files::published(&file, &list.der)?;
            writeln!(out, "{}", file.display())?;
        }
        writeln!(out, "  {}: number {number}, {entries} revoked certificates", issuer.name())?;
    }
    store.close();
    Ok(())
}
