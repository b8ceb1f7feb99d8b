//! A backup that was verified: its seal, what it says is in it, and the chain of the journal in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::manifest::{JournalEntry, Manifest};
use super::{BackupError, CONFIGURATION, FORMAT, JOURNAL, MANIFEST, MAX_CONFIGURATION_OCTETS, name, seal};
use crate::pki::digest::{hex, sha256};
use crate::store::journal::{Embedded, Head};
use crate::store::sled::Contents;

/// The content of a member, by its place in the archive.
#[derive(Debug, Clone, Copy)]
struct Member {
    offset: u64,
    octets: u64,
}

/// A backup of which every octet was verified.
#[derive(Debug)]
pub struct Backup {
    path: PathBuf,
    file: File,
    octets: u64,
    manifest: Manifest,
    members: BTreeMap<String, Member>,
    contents: Contents,
}

impl Backup {
    /// Verifies a backup: that it is whole, that it holds what it says, and that the chain of its journal has no gap. `each`
    /// is told how many octets were read since it was called the last time; it is read twice.
    ///
    /// # Errors
    /// When it is not whole or cannot be read; nothing of it may be used then.
    pub fn verify(path: &Path, each: &mut dyn FnMut(u64)) -> Result<Self, BackupError> {
        let file = File::open(path).map_err(BackupError::file("read", path))?;
        let octets = file.metadata().map_err(BackupError::file("read", path))?.len();
        seal::verify(path, &file, each)?;
        let mut members = members(path, &file)?;
        let manifest = manifest(path, &file, members.remove(MANIFEST))?;
        check_files(path, &file, &manifest, &members)?;
        let journal = members.get(JOURNAL).copied().ok_or_else(|| BackupError::not_whole(path, "it has no journal"))?;
        let mut contents = Contents::none();
        let mut read = 0;
        let embedded = Embedded::new(path, &file, journal.offset, journal.octets);
        let head = embedded.scan(|frame| {
            contents.count(&frame);
            each(frame.head.end - read);
            read = frame.head.end;
            Ok::<_, BackupError>(())
        })?;
        if JournalEntry::of(&head) != manifest.journal {
            return Err(BackupError::not_whole(path, "its journal is not the one that it names"));
        }
        Ok(Self { path: path.to_owned(), file, octets, manifest, members, contents })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// What is in it.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What its journal holds.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The last record of its journal.
    pub fn head(&self) -> Head {
        self.contents.head
    }

    /// Writes a file of the configuration.
    pub(super) fn copy_to(&self, name: &str, out: &mut impl Write) -> io::Result<()> {
        let member = self.members.get(name).ok_or(io::ErrorKind::NotFound)?;
        self.embedded(*member).copy_to(out)
    }

    /// Writes the journal.
    pub(super) fn copy_journal_to(&self, out: &mut impl Write) -> io::Result<()> {
        self.copy_to(JOURNAL, out)
    }

    /// What is found wrong later on.
    pub(super) fn broken(&self, why: String) -> BackupError {
        BackupError::not_whole(&self.path, why)
    }

    fn embedded(&self, member: Member) -> Embedded<'_> {
        Embedded::new(&self.path, &self.file, member.offset, member.octets)
    }
}

/// Every member by its name, each once.
fn members(path: &Path, file: &File) -> Result<BTreeMap<String, Member>, BackupError> {
    let broken = |error: io::Error| BackupError::not_whole(path, error.to_string());
    let mut members = BTreeMap::new();
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let name = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| BackupError::not_whole(path, "a member's name is not UTF-8"))?;
        let kind = entry.header().entry_type();
        if !kind.is_file() && !kind.is_dir() {
            return Err(BackupError::not_whole(path, format!("{name:?} is neither a file nor a folder")));
        }
        let member = Member { offset: entry.raw_file_position(), octets: entry.size() };
        if members.insert(name.trim_end_matches('/').to_owned(), member).is_some() {
            return Err(BackupError::not_whole(path, format!("{name:?} stands twice in it")));
        }
    }
    Ok(members)
}

fn manifest(path: &Path, file: &File, member: Option<Member>) -> Result<Manifest, BackupError> {
    let member = member.ok_or_else(|| BackupError::not_whole(path, format!("it has no {MANIFEST}")))?;
    let said = content(path, file, member)?;
    let read = |error: serde_json::Error| BackupError::not_whole(path, format!("{MANIFEST}: {error}"));
    // Read before the rest, which another format may have otherwise.
    let format = serde_json::from_slice::<serde_json::Value>(&said).map_err(read)?;
    let format = format.get("format").and_then(serde_json::Value::as_u64).and_then(|format| u32::try_from(format).ok());
    match format {
        Some(FORMAT) => serde_json::from_slice(&said).map_err(read),
        Some(found) => Err(BackupError::Format { path: path.to_owned(), found }),
        None => Err(BackupError::not_whole(path, format!("{MANIFEST} names no format"))),
    }
}

/// Holds the files of the configuration against the manifest.
fn check_files(
    path: &Path,
    file: &File,
    manifest: &Manifest,
    members: &BTreeMap<String, Member>,
) -> Result<(), BackupError> {
    for entry in &manifest.files {
        let member = members.get(&entry.name).copied();
        let whole = match member {
            Some(member) if member.octets == entry.octets => {
                hex(&sha256(&[&content(path, file, member)?])) == entry.sha256
            }
            Some(_) | None => false,
        };
        if !whole {
            return Err(BackupError::not_whole(path, format!("{:?} is not as {MANIFEST} has it", entry.name)));
        }
    }
    let names = manifest.files.iter().map(|entry| &entry.name).chain(&manifest.folders).chain([&manifest.main]);
    if let Some(name) = names.into_iter().find(|name| name::restored(name).is_none()) {
        return Err(BackupError::not_whole(path, format!("{name:?} leads out of the folder to be restored")));
    }
    if let Some(name) = manifest.webhooks.keys().find(|name| name.contains(['/', '\0'])) {
        return Err(BackupError::not_whole(path, format!("{name:?} is no name of a webhook")));
    }
    if !Path::new(&manifest.data_dir).is_absolute() && !name::is_plain(Path::new(&manifest.data_dir)) {
        return Err(BackupError::not_whole(
            path,
            format!("{:?} leads out of the folder to be restored", manifest.data_dir),
        ));
    }
    if Path::new(&manifest.main).parent() != Some(Path::new(CONFIGURATION)) {
        return Err(BackupError::not_whole(path, format!("{:?} is no main file", manifest.main)));
    }
    if !manifest.files.iter().any(|entry| entry.name == manifest.main) {
        return Err(BackupError::not_whole(path, format!("{:?}, its main file, is not in it", manifest.main)));
    }
    Ok(())
}

fn content(path: &Path, file: &File, member: Member) -> Result<Vec<u8>, BackupError> {
    if member.octets > MAX_CONFIGURATION_OCTETS {
        return Err(BackupError::TooLarge);
    }
    let mut content = vec![0; member.octets as usize];
    file.read_exact_at(&mut content, member.offset).map_err(BackupError::file("read", path))?;
    Ok(content)
}
