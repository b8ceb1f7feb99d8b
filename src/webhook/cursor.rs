//! How far a webhook has come in the journal, in a file of its own that is replaced whole.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::durable_file;

/// Name of the folder within the data folder.
const FOLDER: &str = "webhooks";
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// What the name of a cursor's file has behind that of its webhook.
const SUFFIX: &str = ".cursor";

/// How far webhooks have come, by their names: the last record that each is done with.
pub type Cursors = BTreeMap<String, u64>;

/// The cursors of a data folder, none beyond the record `newest`: what is taken of the journal ends there. One that does not
/// read is left out: its webhook begins anew.
///
/// # Errors
/// When the folder cannot be read.
pub fn cursors(data_dir: &Path, newest: u64) -> io::Result<Cursors> {
    let entries = match fs::read_dir(data_dir.join(FOLDER)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Cursors::new()),
        entries => entries?,
    };
    let mut cursors = Cursors::new();
    for entry in entries {
        let name = entry?.file_name();
        let Some(webhook) = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)) else { continue };
        if let Ok(Some(sequence)) = CursorFile::of(data_dir, webhook).read() {
            cursors.insert(webhook.to_owned(), sequence.min(newest));
        }
    }
    Ok(cursors)
}

/// Has the webhooks of a data folder that no server uses go on from there.
///
/// # Errors
/// When the file system refuses.
pub fn place_cursors(data_dir: &Path, cursors: &Cursors) -> io::Result<()> {
    cursors.iter().try_for_each(|(webhook, sequence)| CursorFile::of(data_dir, webhook).write(*sequence))
}

/// The file of one webhook's cursor.
#[derive(Debug, Clone)]
pub(super) struct CursorFile {
    folder: PathBuf,
    path: PathBuf,
}

impl CursorFile {
    /// That of a webhook in a data folder.
    pub(super) fn of(data_dir: &Path, webhook: &str) -> Self {
        let folder = data_dir.join(FOLDER);
        Self { path: folder.join(format!("{webhook}{SUFFIX}")), folder }
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
        let cursor = CursorFile::of(folder.path(), "siem.example");
        assert_eq!((cursor.read().unwrap(), cursors(folder.path(), 9).unwrap()), (None, Cursors::new()));
        for sequence in [7, u64::MAX, 0] {
            cursor.write(sequence).unwrap();
            assert_eq!(cursor.read().unwrap(), Some(sequence));
        }
        cursor.write(7).unwrap();
        for (newest, expected) in [(7, 7), (6, 6), (u64::MAX, 7)] {
            let expected = Cursors::from([("siem.example".to_owned(), expected)]);
            assert_eq!(cursors(folder.path(), newest).unwrap(), expected);
        }
        fs::write(cursor.path(), "soon").unwrap();
        assert_eq!(cursor.read().unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(cursors(folder.path(), 9).unwrap(), Cursors::new());
    }
}
