//! Making a backup: the configuration read at once, the journal streamed up to a record that is durable.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use tar::{Builder, EntryType};

use super::manifest::{FileEntry, JournalEntry, Manifest};
use super::seal::{self, BLOCK, END};
use super::{BackupError, CONFIGURATION, FORMAT, JOURNAL, MANIFEST, MAX_CONFIGURATION_OCTETS, name};
use crate::config::{Source, SourceKind, Sources};
use crate::pki::digest::{Sha256Hasher, hex, sha256};
use crate::store::journal::Snapshot;
use crate::webhook;

/// What a PEM block of a private key begins with, whatever its kind.
const PRIVATE_KEY: &[u8] = b"PRIVATE KEY-----";

/// What a backup is taken of, besides the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The files of the configuration.
    pub sources: Sources,
    /// The folder of the journal and the index.
    pub data_dir: PathBuf,
}

/// A backup that is about to be written.
#[derive(Debug)]
pub struct Archive {
    manifest: Manifest,
    /// All before the content of the journal.
    front: Vec<u8>,
    snapshot: Snapshot,
}

impl Archive {
    /// Reads the files of a configuration as they are now; the journal is read when it is written.
    ///
    /// # Errors
    /// When a file cannot be read or its name cannot be written, or when they are too large together.
    pub fn of(origin: &Origin, snapshot: Snapshot, now: DateTime<Utc>) -> Result<Self, BackupError> {
        let Origin { sources, data_dir } = origin;
        let folder = sources.main.parent().unwrap_or(Path::new(""));
        let mut manifest = Manifest {
            format: FORMAT,
            program: concat!("estd ", env!("CARGO_PKG_VERSION")).to_owned(),
            made_at: now,
            main: name::of(folder, &sources.main)?,
            data_dir: data_dir_name(folder, data_dir)?,
            folders: Vec::new(),
            files: Vec::new(),
            left_out: Vec::new(),
            journal: JournalEntry::of(&snapshot.head()),
            webhooks: webhook::cursors(data_dir, snapshot.head().sequence)
                .map_err(BackupError::file("read the webhooks of", data_dir))?,
        };
        let mut contents = Vec::new();
        let mut left = MAX_CONFIGURATION_OCTETS;
        for Source { path, kind } in &sources.files {
            let name = name::of(folder, path)?;
            match kind {
                SourceKind::Folder => manifest.folders.push(name),
                SourceKind::Secret => manifest.left_out.push(name),
                SourceKind::Open | SourceKind::Hashes => {
                    let content = content(path, &mut left)?;
                    if content.windows(PRIVATE_KEY.len()).any(|window| window == PRIVATE_KEY) {
                        manifest.left_out.push(name);
                        continue;
                    }
                    let (octets, sha256) = (content.len() as u64, hex(&sha256(&[&content])));
                    let private = *kind == SourceKind::Hashes;
                    manifest.files.push(FileEntry { name, octets, sha256, private });
                    contents.push(content);
                }
            }
        }
        let front = front(&manifest, &contents).map_err(BackupError::file("put together", &sources.main))?;
        Ok(Self { manifest, front, snapshot })
    }

    /// What is in it.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// How long it is.
    pub fn octets(&self) -> u64 {
        let journal = self.snapshot.octets();
        self.front.len() as u64 + journal + padding(journal) as u64 + seal::OCTETS as u64
    }

    /// Writes it, the journal some octets at a time.
    ///
    /// # Errors
    /// When the journal cannot be read, or `out` takes no more.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let mut sealed = Sealed { out, hasher: Sha256Hasher::new() };
        sealed.write_all(&self.front)?;
        self.snapshot.copy_to(&mut sealed)?;
        sealed.write_all(&[0; BLOCK][..padding(self.snapshot.octets())])?;
        let Sealed { out, hasher } = sealed;
        out.write_all(&seal::encode(&hasher.finish(), seconds(&self.manifest))?)?;
        out.flush()
    }
}

/// The manifest, the files of the configuration, and the header of the journal.
fn front(manifest: &Manifest, contents: &[Vec<u8>]) -> io::Result<Vec<u8>> {
    let at = seconds(manifest);
    let mut builder = Builder::new(Vec::new());
    let said = [serde_json::to_vec_pretty(manifest)?, vec![b'\n']].concat();
    builder.append_data(&mut seal::header(EntryType::Regular, said.len() as u64, true, at), MANIFEST, &said[..])?;
    for folder in &manifest.folders {
        builder.append_data(&mut seal::header(EntryType::Directory, 0, false, at), folder, io::empty())?;
    }
    for (file, content) in manifest.files.iter().zip(contents) {
        let mut header = seal::header(EntryType::Regular, file.octets, file.private, at);
        builder.append_data(&mut header, &file.name, &content[..])?;
    }
    let mut front = builder.into_inner()?;
    front.truncate(front.len() - END);
    front.extend_from_slice(seal::short_header(JOURNAL, manifest.journal.octets, at)?.as_bytes());
    Ok(front)
}

fn content(path: &Path, left: &mut u64) -> Result<Vec<u8>, BackupError> {
    let mut content = Vec::new();
    let read = File::open(path).and_then(|file| file.take(*left + 1).read_to_end(&mut content));
    read.map_err(BackupError::file("read", path))?;
    *left = left.checked_sub(content.len() as u64).ok_or(BackupError::TooLarge)?;
    Ok(content)
}

/// Within the folder of the configuration relative to it, otherwise absolute.
fn data_dir_name(folder: &Path, data_dir: &Path) -> Result<String, BackupError> {
    let name = name::of(folder, data_dir)?;
    if let Ok(inside) = Path::new(&name).strip_prefix(CONFIGURATION) {
        return Ok(inside.to_string_lossy().into_owned());
    }
    let absolute = fs::canonicalize(data_dir).map_err(BackupError::file("find", data_dir))?;
    absolute.into_os_string().into_string().map_err(|name| BackupError::Name { path: name.into() })
}

fn seconds(manifest: &Manifest) -> u64 {
    u64::try_from(manifest.made_at.timestamp()).unwrap_or_default()
}

/// What fills a content up to whole blocks.
fn padding(octets: u64) -> usize {
    octets.next_multiple_of(BLOCK as u64).abs_diff(octets) as usize
}

/// Passes octets on and takes their digest.
struct Sealed<'a, W: Write> {
    out: &'a mut W,
    hasher: Sha256Hasher,
}

impl<W: Write> Write for Sealed<'_, W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let taken = self.out.write(octets)?;
        self.hasher.update(&octets[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::store::sled::{SledStore, StoreOptions};

    #[test]
    fn the_files_of_a_configuration_have_their_limit_together() {
        let folder = tempfile::tempdir().unwrap();
        let store = SledStore::open(&folder.path().join("data"), StoreOptions::default()).unwrap();
        let main = folder.path().join("config.toml");
        let second = folder.path().join("second.pem");
        File::create(&main).unwrap().set_len(16).unwrap();
        let files = [&main, &second].map(|path| Source { path: path.clone(), kind: SourceKind::Open }).to_vec();
        let sources = Sources { main: main.clone(), files };
        let origin = Origin { sources, data_dir: folder.path().join("data") };
        let of_size = |octets| {
            File::create(&second).unwrap().set_len(octets).unwrap();
            Archive::of(&origin, store.snapshot(), DateTime::UNIX_EPOCH)
        };
        let archive = of_size(MAX_CONFIGURATION_OCTETS - 16).unwrap();
        let mut written = Vec::new();
        archive.write_to(&mut written).unwrap();
        assert_eq!(written.len() as u64, archive.octets());
        assert!(matches!(of_size(MAX_CONFIGURATION_OCTETS - 15), Err(BackupError::TooLarge)));
    }
}
