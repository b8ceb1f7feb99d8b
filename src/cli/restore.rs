//! `estd restore`: a backup made into a server's folder again.

use std::io::Write;
use std::path::PathBuf;

use super::{CliError, operate, show};
use crate::backup::{Backup, Replaced, Restoration, Restored};
use crate::clock::{Clock as _, SystemClock};

/// The highest number that may be named: lists have room to count on from there.
const MOST_CRL_NUMBER: u64 = 1 << 62;

/// What `estd restore` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The folder to restore it into; it must be missing or empty
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// The data folder of the server that is replaced, which must be stopped: what its journal has beyond the backup is
    /// carried over
    #[arg(long, value_name = "FOLDER")]
    replaces: Option<PathBuf>,
    /// Restore also when records are missing that were acknowledged after the backup: revocations among them are lost, and
    /// certificates are unknown
    #[arg(long)]
    accept_loss: bool,
    /// A number that no new CRL may have or be below, where the clock of the server that is replaced ran days ahead
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(..=MOST_CRL_NUMBER))]
    crl_number_above: Option<u64>,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), CliError> {
    let backup = operate::verified(&arguments.from)?;
    let replaced = arguments.replaces.as_deref().map(|folder| Replaced::look(folder, backup.head())).transpose()?;
    if let Some(replaced) = &replaced {
        let beyond = replaced.records_after(backup.head());
        writeln!(out, "the server that is replaced has {beyond} records beyond the backup: they are carried over")?;
        if let Some(loss) = replaced.loss() {
            writeln!(out, "  of what came after them nothing can be read: {loss}")?;
        }
    }
    let restoration = Restoration {
        to: &arguments.to,
        replaced,
        accept_loss: arguments.accept_loss,
        crl_number_above: arguments.crl_number_above,
        actor: "command line",
        now: SystemClock.now(),
    };
    let restored = restoration.run(&backup)?;
    tell(&backup, &restored, out)
}

fn tell(backup: &Backup, restored: &Restored, out: &mut dyn Write) -> Result<(), CliError> {
    let Restored { records, certificates, crl_number, .. } = restored;
    let made_at = show::time(backup.manifest().made_at);
    writeln!(out, "restored the backup of {made_at}: {records} records, {certificates} certificates")?;
    writeln!(out, "  numbers of CRLs go on above {crl_number}")?;
    for (webhook, sequence) in &restored.webhooks {
        writeln!(out, "  the webhook {webhook} goes on after record {sequence}")?;
    }
    writeln!(out, "  configuration {}", restored.config.display())?;
    writeln!(out, "  data folder {}", restored.data_dir.display())?;
    if let Some(configured) = &restored.configured_data_dir {
        writeln!(out, "  the configuration has it at {}: move it there, or name it there", configured.display())?;
    }
    for file in &restored.elsewhere {
        writeln!(out, "  the configuration names it by another path, put it there: {}", file.display())?;
    }
    for key in &restored.missing {
        writeln!(out, "  a key to be put back: {}", key.display())?;
    }
    writeln!(out, "Then: estd check --config {}", show::shell_word(&restored.config))?;
    Ok(())
}
