//! Restoring a backup: into an empty folder, whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};

use super::replaced::Replaced;
use super::{Backup, BackupError, name};
use crate::audit::{AuditEvent, AuditOutcome};
use crate::durable_file::{self, Draft};
use crate::store::sled::{SledStore, StoreOptions};
use crate::store::{CertificateStore as _, crl};
use crate::webhook::{self, Cursors};

/// Where all is put together first, within the folder that is restored.
const STAGE: &str = ".restoring";
/// Where the journal goes when the configuration has it elsewhere.
const DEFAULT_DATA_DIR: &str = "data";
/// By how much the numbers of CRLs are raised above the clock: that of the server that is replaced may have been fast.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::days(1);

/// How a backup is restored.
#[derive(Debug)]
pub struct Restoration<'a> {
    /// The folder, missing or empty.
    pub to: &'a Path,
    /// The journal of the server that is replaced, where there still is one.
    pub replaced: Option<Replaced>,
    /// Whether records may be missing that were acknowledged.
    pub accept_loss: bool,
    /// A number that lists may have had, above what the clock says.
    pub crl_number_above: Option<u64>,
    /// Who restores, for the audit.
    pub actor: &'a str,
    /// Now.
    pub now: DateTime<Utc>,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The main configuration file.
    pub config: PathBuf,
    /// The data folder.
    pub data_dir: PathBuf,
    /// Where the configuration has it instead, when that is elsewhere.
    pub configured_data_dir: Option<PathBuf>,
    /// Records of the journal.
    pub records: u64,
    /// How many of them came from the server that is replaced.
    pub carried_over: u64,
    /// Certificates in it.
    pub certificates: u64,
    /// CRLs have numbers above it.
    pub crl_number: u64,
    /// The record after which each webhook goes on.
    pub webhooks: Cursors,
    /// Files that the configuration names outside of its folder: where they are now.
    pub elsewhere: Vec<PathBuf>,
    /// Keys to be put back, as paths in the folder.
    pub missing: Vec<PathBuf>,
}

impl Restoration<'_> {
    /// Restores a backup.
    ///
    /// # Errors
    /// When the folder is not empty, records may be lost and that was not accepted, or something cannot be written; nothing
    /// is left in the folder then.
    pub fn run(&self, backup: &Backup) -> Result<Restored, BackupError> {
        match &self.replaced {
            None if !self.accept_loss => return Err(BackupError::LossUnknown { made_at: backup.manifest().made_at }),
            Some(Replaced { loss: Some(loss), .. }) if !self.accept_loss => {
                return Err(BackupError::Loss(loss.clone()));
            }
            None | Some(_) => {}
        }
        let made = !self.to.exists();
        folder(self.to, 0o755)?;
        let occupied = fs::read_dir(self.to).map_err(BackupError::file("look into", self.to))?.next().is_some();
        if occupied {
            return Err(BackupError::Occupied { path: self.to.to_owned() });
        }
        let stage = self.to.join(STAGE);
        let outcome = self.stage(backup, &stage).and_then(|restored| {
            let main = name::restored(&backup.manifest().main).unwrap_or_default();
            publish(&stage, self.to, &main)?;
            Ok(restored)
        });
        if outcome.is_err() {
            // What cannot be removed is what the error is about; it is told once.
            drop(fs::remove_dir_all(&stage));
            if made {
                drop(fs::remove_dir(self.to));
            }
        }
        outcome
    }

    /// Puts everything together in a folder of its own.
    fn stage(&self, backup: &Backup, stage: &Path) -> Result<Restored, BackupError> {
        let manifest = backup.manifest();
        folder(stage, 0o755)?;
        let place = |name: &str| name::restored(name).ok_or_else(|| backup.broken(format!("{name:?} leads elsewhere")));
        for name in &manifest.folders {
            folder(&stage.join(place(name)?), 0o755)?;
        }
        let mut elsewhere = Vec::new();
        for entry in &manifest.files {
            let path = place(&entry.name)?;
            let mode = if entry.private { 0o600 } else { 0o644 };
            write(&stage.join(&path), mode, |out| backup.copy_to(&entry.name, out))?;
            if name::is_elsewhere(&entry.name) {
                elsewhere.push(self.to.join(path));
            }
        }
        let configured = Path::new(&manifest.data_dir);
        let data_dir = if configured.is_absolute() { Path::new(DEFAULT_DATA_DIR) } else { configured };
        let (certificates, crl_number) = self.journal(backup, &stage.join(data_dir))?;
        let webhooks = self.webhooks(backup, &stage.join(data_dir))?;
        let carried_over = self.replaced.as_ref().map_or(0, |replaced| replaced.records_after(backup.head()));
        let missing = manifest.left_out.iter().map(|name| Ok(self.to.join(place(name)?)));
        Ok(Restored {
            config: self.to.join(place(&manifest.main)?),
            data_dir: self.to.join(data_dir),
            configured_data_dir: configured.is_absolute().then(|| configured.to_owned()),
            records: backup.head().sequence + carried_over,
            carried_over,
            certificates,
            crl_number,
            webhooks,
            elsewhere,
            missing: missing.collect::<Result<_, BackupError>>()?,
        })
    }

    /// Writes the journal, makes the index from it, and sees to it that no number of a list comes twice. Returns how many
    /// certificates there are, and the number.
    fn journal(&self, backup: &Backup, data_dir: &Path) -> Result<(u64, u64), BackupError> {
        folder(data_dir, 0o700)?;
        let head = self.replaced.as_ref().map_or(backup.head(), |replaced| replaced.head);
        write(&data_dir.join("journal"), 0o600, |out| {
            backup.copy_journal_to(out)?;
            match &self.replaced {
                Some(replaced) => replaced.journal.copy(backup.head().end..head.end, out),
                None => Ok(()),
            }
        })?;
        let store = SledStore::open(data_dir, StoreOptions::default())?;
        if store.snapshot().head() != head {
            return Err(backup.broken("what was restored is not what was verified".to_owned()));
        }
        let clock = u64::try_from((self.now + CLOCKS_DIFFER).timestamp_millis()).unwrap_or_default();
        let number = clock.max(self.crl_number_above.unwrap_or_default());
        let facts = crl::after_restore(&store, number)?;
        store.record_facts(facts, self.event(backup, number))?.wait()?;
        let certificates = store.certificate_count()?;
        store.close();
        Ok((certificates, number))
    }

    /// Has the webhooks go on where those of the server that is replaced were, or else where they were in the backup.
    fn webhooks(&self, backup: &Backup, data_dir: &Path) -> Result<Cursors, BackupError> {
        let mut cursors = backup.manifest().webhooks.clone();
        cursors.extend(self.replaced.iter().flat_map(|replaced| replaced.webhooks.clone()));
        webhook::place_cursors(data_dir, &cursors).map_err(BackupError::file("write the webhooks of", data_dir))?;
        Ok(cursors)
    }

    fn event(&self, backup: &Backup, number: u64) -> AuditEvent {
        let at = backup.manifest().made_at.format("%Y-%m-%dT%H:%M:%SZ");
        let carried = self.replaced.as_ref().map_or(0, |replaced| replaced.records_after(backup.head()));
        let lost = match &self.replaced {
            None => ", what came after it is lost",
            Some(Replaced { loss: Some(_), .. }) => ", some of what came after it is lost",
            Some(Replaced { loss: None, .. }) => ", nothing is lost",
        };
        let records = backup.head().sequence;
        let what = format!(
            "restored from the backup of {at} with {records} records, {carried} after it carried over{lost}; CRL numbers go \
             on above {number}"
        );
        AuditEvent {
            actor: Some(self.actor.to_owned()),
            ..AuditEvent::of_server(self.now, "restore", AuditOutcome::Changed { what })
        }
    }
}

/// Moves what was put together to its place, the main configuration file last: without it nobody serves the folder.
fn publish(stage: &Path, to: &Path, main: &Path) -> Result<(), BackupError> {
    let entries = fs::read_dir(stage).and_then(|entries| {
        let names = entries.map(|entry| Ok(entry?.file_name()));
        names.collect::<io::Result<Vec<_>>>()
    });
    let mut names = entries.map_err(BackupError::file("look into", stage))?;
    names.sort_by_key(|name| name == main);
    let mut moved = Vec::new();
    for name in &names {
        let target = to.join(name);
        if let Err(error) = fs::rename(stage.join(name), &target) {
            // Back to where it is removed with the rest.
            for name in moved {
                drop(fs::rename(to.join(name), stage.join(name)));
            }
            return Err(BackupError::file("move into place", &target)(error));
        }
        moved.push(name);
    }
    // All is there: that the empty folder of the stage is gone, too, is a matter of tidiness.
    drop(fs::remove_dir(stage));
    durable_file::sync_folder(to).map_err(BackupError::file("make durable", to))
}

fn folder(path: &Path, mode: u32) -> Result<(), BackupError> {
    durable_file::folder(path, mode).map_err(BackupError::file("make the folder", path))
}

/// Writes a new file and the folders above it, durable with its name.
fn write(path: &Path, mode: u32, content: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), BackupError> {
    folder(path.parent().unwrap_or(Path::new(".")), 0o755)?;
    let written = || {
        let mut draft = Draft::new(path, mode)?;
        content(draft.file())?;
        draft.land()
    };
    written().map_err(BackupError::file("write", path))
}
