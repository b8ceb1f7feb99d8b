//! The high-water mark: the last frame that was acknowledged, noted in a file beside the journal.
//!
//! The journal alone cannot tell that its end is missing. The mark is written after each write of the journal is durable, so
//! it never runs ahead; it is not synced itself, so after a power cut it may lag behind, and then it proves less.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::frame::Head;
use crate::pki::digest::sha256;
use crate::store::fact::encoded;

/// Name of the mark within the data folder.
const FILE_NAME: &str = "journal.head";
const FILE_MODE: u32 = 0o600;

/// The mark of one journal, open for writing.
#[derive(Debug)]
pub(super) struct Mark(File);

impl Mark {
    /// Opens the mark of a data folder, creating it when it is not there.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join(FILE_NAME);
        OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(path).map(Self)
    }

    /// Forgets what was noted.
    pub(super) fn forget(&self) -> io::Result<()> {
        self.0.set_len(0)
    }

    /// Notes that everything up to `head` was acknowledged.
    pub(super) fn note(&self, head: &Head) -> io::Result<()> {
        let head = encoded(head);
        self.0.write_all_at(&[&sha256(&[&head])[..], &head].concat(), 0)
    }
}

/// What was noted in a data folder; `None` when nothing was, or what was noted does not read.
pub(super) fn noted(directory: &Path) -> io::Result<Option<Head>> {
    let noted = match fs::read(directory.join(FILE_NAME)) {
        Ok(noted) => noted,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some((hash, rest)) = noted.split_first_chunk::<32>() else { return Ok(None) };
    // A shorter note may stand before the end of a longer one.
    let mut decoder = minicbor::Decoder::new(rest);
    let head = decoder.decode::<Head>();
    let octets = &rest[..decoder.position()];
    Ok(head.ok().filter(|_| sha256(&[octets]) == *hash))
}
