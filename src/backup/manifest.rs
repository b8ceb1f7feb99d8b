//! What stands first in a backup: what is in it, so that it can be held against that.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::pki::digest::hex;
use crate::store::journal::Head;
use crate::webhook::Cursors;

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the archive.
    pub format: u32,
    /// The program that made it, with its version.
    pub program: String,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// The member that is the main configuration file.
    pub main: String,
    /// The data folder: relative to that of the main file when it lies within it, otherwise absolute.
    pub data_dir: String,
    /// Folders that the configuration names; they must be there even when they are empty.
    pub folders: Vec<String>,
    /// The files of the configuration.
    pub files: Vec<FileEntry>,
    /// Private and symmetric keys, which were left out: they must be put back from where they are kept.
    pub left_out: Vec<String>,
    /// The journal.
    pub journal: JournalEntry,
    /// How far the webhooks had come in it. Backups that were made before these were kept have none.
    #[serde(default)]
    pub webhooks: Cursors,
}

/// A file of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The name of its member.
    pub name: String,
    /// Its length.
    pub octets: u64,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
    /// Whether only the server may read it.
    pub private: bool,
}

/// The journal in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// How many records it has.
    pub records: u64,
    /// Its length in octets.
    pub octets: u64,
    /// SHA-256 of its last frame, hexadecimal: what stands for the whole chain.
    pub head: String,
}

impl JournalEntry {
    /// The journal that ends with this frame.
    pub(super) fn of(head: &Head) -> Self {
        Self { records: head.sequence, octets: head.end, head: hex(&head.hash) }
    }
}
