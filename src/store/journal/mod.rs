//! The journal: the append-only file that is the truth of the store, and its tamper-evident audit log.

mod checkpoint;
mod checkpoint_log;
mod copy;
mod entry;
mod file;
mod frame;
mod mark;
mod scan;
#[cfg(test)]
mod tests;

pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use checkpoint_log::CheckpointLog;
pub use copy::{Embedded, Snapshot};
pub use entry::Entry;
pub use file::{Journal, JournalReader, Tail};
pub use frame::{Head, MAX_PAYLOAD_OCTETS, Place};
pub use scan::{Damage, DamageKind, Frame};

use std::io;
use std::path::PathBuf;

/// Why a journal cannot be opened, read or verified.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process holds it.
    #[error("{path}: another process uses this journal", path = path.display())]
    Locked {
        /// The journal.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{path}: the file is not an estd journal", path = path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// A format this version does not know.
    #[error("{path}: format version {found}, this program reads version {known}", path = path.display())]
    Version {
        /// The journal.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Damage that no power cut explains: records that were durable do not read any more.
    #[error("{path}: damaged, {damage}; restore it from a backup", path = path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The first damage.
        damage: Damage,
    },
    /// It ends before a record that was acknowledged, or another one stands in its place.
    #[error(
        "{path}: it has {found} records, and record {known} was acknowledged: the file was cut, exchanged or restored from \
         an older copy; put the right one there, or take this one with `estd journal rebuild --accept-loss`",
        path = path.display()
    )]
    Lost {
        /// The journal.
        path: PathBuf,
        /// Records it has.
        found: u64,
        /// The last one known to have been acknowledged.
        known: u64,
    },
    /// A whole frame carries a record this version does not know.
    #[error("record {sequence} at offset {offset} of the journal is of a kind this program does not know: {source}")]
    UnknownRecord {
        /// Where its frame starts.
        offset: u64,
        /// Its sequence number.
        sequence: u64,
        /// What the decoder met.
        source: minicbor::decode::Error,
    },
}
