//! The end of a backup: a digest over all before it, without which nothing of it is believed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use tar::{EntryType, Header};

use super::BackupError;
use crate::pki::digest::{Sha256Hasher, hex};

/// Name of the member.
const NAME: &str = "SHA256";
/// Octets of a block of tar: headers are one, contents are filled up to whole ones.
pub(super) const BLOCK: usize = 512;
/// Two blocks of zeros end an archive.
pub(super) const END: usize = 2 * BLOCK;
/// The seal, from its header to the end of the archive.
pub(super) const OCTETS: usize = 2 * BLOCK + END;
/// How much is read at once.
const WINDOW: usize = 1 << 18;

/// A header with what all members have in common.
pub(super) fn header(kind: EntryType, octets: u64, private: bool, at: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(octets);
    header.set_mode(match (kind.is_dir(), private) {
        (true, _) => 0o755,
        (false, true) => 0o600,
        (false, false) => 0o644,
    });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(at);
    header
}

/// The header of a member whose name is short.
pub(super) fn short_header(name: &str, octets: u64, at: u64) -> io::Result<Header> {
    let mut header = header(EntryType::Regular, octets, true, at);
    header.set_path(name)?;
    header.set_cksum();
    Ok(header)
}

/// The last octets of an archive whose other octets have this digest.
pub(super) fn encode(digest: &[u8; 32], at: u64) -> io::Result<Vec<u8>> {
    let content = format!("{}\n", hex(digest));
    let mut seal = short_header(NAME, content.len() as u64, at)?.as_bytes().to_vec();
    seal.extend_from_slice(content.as_bytes());
    seal.resize(OCTETS, 0);
    Ok(seal)
}

/// Reads a file whole and holds it against the seal at its end; `each` is told how many octets were read since.
pub(super) fn verify(path: &Path, file: &File, each: &mut dyn FnMut(u64)) -> Result<(), BackupError> {
    let unreadable = |source| BackupError::File { action: "read", path: path.to_owned(), source };
    let octets = file.metadata().map_err(unreadable)?.len();
    let Some(sealed) = octets.checked_sub(OCTETS as u64) else {
        return Err(BackupError::not_whole(path, format!("it has {octets} octets")));
    };
    let mut hasher = Sha256Hasher::new();
    let mut window = vec![0; WINDOW];
    let mut at = 0;
    while at < sealed {
        let some = (sealed - at).min(WINDOW as u64) as usize;
        file.read_exact_at(&mut window[..some], at).map_err(unreadable)?;
        hasher.update(&window[..some]);
        at += some as u64;
        each(some as u64);
    }
    let mut seal = [0; OCTETS];
    file.read_exact_at(&mut seal, sealed).map_err(unreadable)?;
    let header = Header::from_byte_slice(&seal[..BLOCK]);
    let mtime = header.mtime().unwrap_or_default();
    if header.path_bytes().as_ref() != NAME.as_bytes() {
        return Err(BackupError::not_whole(path, "its end is missing"));
    }
    // Every octet counts, also those of the seal itself.
    match encode(&hasher.finish(), mtime) {
        Ok(expected) if expected == seal => Ok(()),
        Ok(_) | Err(_) => Err(BackupError::not_whole(path, "its octets are not those of which its end is the digest")),
    }
}
