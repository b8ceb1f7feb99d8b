//! How far a webhook has come in the journal, in a file of its own that is replaced whole.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::durable_file;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The file of one webhook's cursor.
#[derive(Debug, Clone)]
pub(super) struct CursorFile {
    folder: PathBuf,
    path: PathBuf,
}

impl CursorFile {
    /// That of a webhook, in a folder which is made with it.
    pub(super) fn of(folder: &Path, webhook: &str) -> Self {
        Self { folder: folder.to_owned(), path: folder.join(format!("{webhook}.cursor")) }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The last record that is done with; `None` when the webhook is new.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no number.
    pub(super) fn read(&self) -> io::Result<Option<u64>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => text.trim().parse().map(Some).map_err(|_| ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Notes the last record that is done with; durable when it returns.
    ///
    /// # Errors
    /// When the file system refuses; then the old one stands, and events after it are sent again.
    pub(super) fn write(&self, sequence: u64) -> io::Result<()> {
        durable_file::folder(&self.folder, FOLDER_MODE)?;
        durable_file::replace(&self.path, FILE_MODE, format!("{sequence}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_what_was_written_last_and_nothing_else_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let cursor = CursorFile::of(&folder.path().join("webhooks"), "siem.example");
        assert_eq!(cursor.read().unwrap(), None);
        for sequence in [7, u64::MAX, 0] {
            cursor.write(sequence).unwrap();
            assert_eq!(cursor.read().unwrap(), Some(sequence));
        }
        fs::write(cursor.path(), "soon").unwrap();
        assert_eq!(cursor.read().unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
