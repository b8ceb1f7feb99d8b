//! The checkpoints of a data folder, a line each, the last one last.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::checkpoint::{MAX_LINE_OCTETS, SignedCheckpoint};
use crate::durable_file;

/// Name of the file within the data folder.
const FILE_NAME: &str = "checkpoints";
/// They hold nothing secret, but the folder is its owner's.
const FILE_MODE: u32 = 0o600;

/// The file of checkpoints beside a journal.
#[derive(Debug, Clone)]
pub struct CheckpointLog {
    path: PathBuf,
}

impl CheckpointLog {
    /// That of a data folder; the file is made with the first line.
    pub fn of(directory: &Path) -> Self {
        Self { path: directory.join(FILE_NAME) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line and syncs it. A line that an interrupted write left unfinished is cut.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn append(&self, signed: &SignedCheckpoint) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let file = options.open(&self.path)?;
        let end = whole_octets(&file)?;
        file.set_len(end)?;
        file.write_all_at(format!("{signed}\n").as_bytes(), end)?;
        file.sync_all()?;
        // With the first line its name came about.
        self.path.parent().filter(|_| end == 0).map_or(Ok(()), durable_file::sync_folder)
    }

    /// The last ones, at most `limit`, the last one first.
    ///
    /// # Errors
    /// When the file cannot be read. Lines that are no checkpoints are passed over.
    pub fn last(&self, limit: usize) -> io::Result<Vec<SignedCheckpoint>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let end = whole_octets(&file)?;
        let start = end.saturating_sub((limit.saturating_add(1) * MAX_LINE_OCTETS) as u64);
        let mut octets = vec![0; (end - start) as usize];
        file.read_exact_at(&mut octets, start)?;
        let text = String::from_utf8_lossy(&octets);
        // The first line may be half of one, and is then none.
        Ok(text.lines().rev().filter_map(|line| SignedCheckpoint::parse(line).ok()).take(limit).collect())
    }
}

/// How far the file has whole lines.
fn whole_octets(file: &File) -> io::Result<u64> {
    let octets = file.metadata()?.len();
    let start = octets.saturating_sub(MAX_LINE_OCTETS as u64);
    let mut tail = vec![0; (octets - start) as usize];
    file.read_exact_at(&mut tail, start)?;
    Ok(tail.iter().rposition(|octet| *octet == b'\n').map_or(start, |at| start + at as u64 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::{Signer as _, SoftwareSigner};
    use crate::pki::public_key::KeyType;
    use crate::store::journal::checkpoint::Checkpoint;

    #[test]
    fn lines_follow_each_other_and_a_torn_one_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let log = CheckpointLog::of(folder.path());
        assert_eq!(log.last(9).unwrap(), []);
        let (key, _) = SoftwareSigner::generate(KeyType::Ed25519).unwrap();
        let made: Vec<_> = (1..=40)
            .map(|sequence| {
                let at = "2026-06-01T12:00:00Z".parse().unwrap();
                let checkpoint = Checkpoint { sequence, hash: [7; 32], at };
                let signed = checkpoint.signed(key.public_key(), |statement| key.sign(statement)).unwrap();
                log.append(&signed).unwrap();
                let content = std::fs::read(log.path()).unwrap();
                // A power cut in the next write.
                std::fs::write(log.path(), [&content[..], b"estd-checkpoint-v1 9 ab"].concat()).unwrap();
                signed
            })
            .collect();
        assert_eq!(log.last(3).unwrap(), [&made[39], &made[38], &made[37]].map(Clone::clone));
        assert_eq!(log.last(100).unwrap().len(), 40);
    }
}
