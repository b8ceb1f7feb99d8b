//! Backups: one file with the journal as it was at a moment and the configuration beside it, verified before it is used.
//!
//! A backup is a tar archive (POSIX.1-1988 ustar with the GNU extensions), so that it can be looked into without `estd`:
//!
//! ```text
//! estd-backup.json   what is in it, and what was left out
//! configuration/…    the main file and what it names, relative to its folder
//! elsewhere/…        what it names outside of that folder, by its absolute path
//! journal            the journal up to a record that was durable
//! SHA256             SHA-256 of all octets of the archive before this member's header
//! ```
//!
//! Private keys are never in it.

mod archive;
mod manifest;
mod name;
mod replaced;
mod restore;
mod seal;
mod verified;

pub use archive::{Archive, Origin};
pub use manifest::{FileEntry, JournalEntry, Manifest};
pub use replaced::{Loss, Replaced};
pub use restore::{Restoration, Restored};
pub use verified::Backup;

use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::store::StoreFault;
use crate::store::journal::{Damage, JournalError};
use crate::store::sled::OpenError;

/// The member that says what is in the archive.
const MANIFEST: &str = "estd-backup.json";
/// What the names of the configuration's files begin with.
const CONFIGURATION: &str = "configuration";
/// What the names of files outside of its folder begin with.
const ELSEWHERE: &str = "elsewhere";
/// The member with the journal.
const JOURNAL: &str = "journal";
/// The format that is written, and the only one that is read.
const FORMAT: u32 = 1;
/// Most octets of the configuration's files together, and of the manifest.
pub const MAX_CONFIGURATION_OCTETS: u64 = 64 << 20;

/// Why a backup is not made, or not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A name that no archive carries.
    #[error("{} cannot stand in a backup: its name is not UTF-8", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// More than a configuration has.
    #[error("the files of the configuration have more than {MAX_CONFIGURATION_OCTETS} octets, the limit")]
    TooLarge,
    /// The file is something else, or its end is missing.
    #[error("{}: not a whole backup of estd: {why}; nothing of it is used", path.display())]
    NotWhole {
        /// The file.
        path: PathBuf,
        /// What was expected and what is there.
        why: String,
    },
    /// A format this version does not know.
    #[error("{}: a backup of format {found}, this program reads format {FORMAT}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The journal in it does not verify.
    #[error("{}: the journal in it is damaged, {damage}; nothing of it is used", path.display())]
    Damaged {
        /// The backup.
        path: PathBuf,
        /// The first damage.
        damage: Damage,
    },
    /// A journal cannot be read.
    #[error(transparent)]
    Journal(JournalError),
    /// The folder to be restored has something in it.
    #[error("{} is not empty: a backup is restored into a folder of its own; nothing was changed", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// Nobody said what became of the records after the backup.
    #[error(
        "what was recorded after {}, when the backup was made, is not in it: certificates, revocations, used codes. Name the \
         data folder of the server that is replaced with --replaces, or take the loss with --accept-loss",
        made_at.to_rfc3339_opts(SecondsFormat::Secs, true)
    )]
    LossUnknown {
        /// When the backup was made.
        made_at: DateTime<Utc>,
    },
    /// The end of the journal of the server that is replaced does not read.
    #[error("records of the server that is replaced would be lost: {0}. Take the loss with --accept-loss")]
    Loss(Loss),
    /// The journal is another one.
    #[error(
        "{}: not the journal that the backup was taken of, or damaged before its end: it does not have record {sequence} of \
         it. Restore without --replaces, and take the loss with --accept-loss",
        path.display()
    )]
    OtherJournal {
        /// The journal.
        path: PathBuf,
        /// The last record of the backup.
        sequence: u64,
    },
    /// The store does not open over what was restored.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store failed over what was restored.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl BackupError {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_owned(), source }
    }

    fn not_whole(path: &Path, why: impl Into<String>) -> Self {
        Self::NotWhole { path: path.to_owned(), why: why.into() }
    }
}

impl From<JournalError> for BackupError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Damaged { path, damage } => Self::Damaged { path, damage },
            other @ (JournalError::Io { .. }
            | JournalError::Locked { .. }
            | JournalError::NotAJournal { .. }
            | JournalError::Version { .. }
            | JournalError::Lost { .. }
            | JournalError::UnknownRecord { .. }) => Self::Journal(other),
        }
    }
}
