//! `estd ca status`: how far each authority is on the way to its successor, and how many devices are ready for it.

use std::io::{ErrorKind, Write};

use super::{CliError, ca, show};
use crate::ca::{Rollover, RolloverPhase};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Authority, Config};
use crate::store::journal::JournalError;
use crate::store::rollover_census::{self, CensusError, Readiness, Transition};

pub(super) fn show(config: &Config, out: &mut dyn Write) -> Result<(), CliError> {
    for authority in &config.authorities {
        writeln!(out, "{}", authority.path())?;
        match &authority.rollover {
            Some(rollover) => show_rollover(config, authority, rollover, out)?,
            None => writeln!(out, "  no successor")?,
        }
    }
    Ok(())
}

fn show_rollover(
    config: &Config,
    authority: &Authority,
    rollover: &Rollover,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let (meaning, next) = match rollover.phase() {
        RolloverPhase::Announce => (
            "the old CA signs, the new one is made known",
            "when enough devices are ready, phase = \"cut-over\", estd check, SIGHUP".to_owned(),
        ),
        RolloverPhase::CutOver => (
            "the new CA signs, what the old one signed counts as before",
            format!(
                "when the old root has ended, {}, put the successor's files in the place of the authority's and take \
                 [tenant.authority.successor] out, estd check, SIGHUP",
                show::time(rollover.old().root().validity().not_after)
            ),
        ),
    };
    writeln!(out, "  phase {}: {meaning}", rollover.phase().as_str())?;
    writeln!(out, "  old CA")?;
    ca::show_authority(rollover.old(), out)?;
    writeln!(out, "  new CA")?;
    ca::show_authority(rollover.successor(), out)?;
    let Readiness { ready, devices } = readiness(config, authority, rollover)?;
    writeln!(
        out,
        "  ready: {ready} of {devices} devices with a valid certificate of the old CA have fetched the new one"
    )?;
    writeln!(out, "  next: {next}")?;
    Ok(())
}

fn readiness(config: &Config, authority: &Authority, rollover: &Rollover) -> Result<Readiness, CliError> {
    let (old, new) = (rollover.old().issuer_id(), rollover.successor().issuer_id());
    let transition = Transition { tenant: &authority.tenant, old, new };
    match rollover_census::readiness(&config.server.data_dir, &transition, SystemClock.now()) {
        // No server has run yet.
        Err(CensusError::Journal(JournalError::Io { source, .. })) if source.kind() == ErrorKind::NotFound => {
            Ok(Readiness { ready: 0, devices: 0 })
        }
        counted => Ok(counted?),
    }
}
