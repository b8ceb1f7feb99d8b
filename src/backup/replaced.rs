//! The data folder of the server that a restored one replaces: what its journal has beyond the backup.

use std::fmt;
use std::path::Path;

use super::BackupError;
use crate::store::journal::{Head, JournalError, JournalReader};
use crate::webhook::{self, Cursors};

/// The journal of a server that is no more, as far as it reads.
#[derive(Debug)]
pub struct Replaced {
    pub(super) journal: JournalReader,
    /// The last record that reads.
    pub(super) head: Head,
    /// What was lost behind it.
    pub(super) loss: Option<Loss>,
    /// How far its webhooks had come in that.
    pub(super) webhooks: Cursors,
}

/// What is missing at the end of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The last record that is there.
    pub last: u64,
    /// The last record that is known to have been acknowledged.
    pub acknowledged: Option<u64>,
    /// Why the rest does not read.
    pub why: String,
}

impl Replaced {
    /// Reads the journal of a data folder from the end of a backup on. No server may use it, now or until this is dropped.
    ///
    /// # Errors
    /// When it cannot be read, a server uses it, or it is not the one that the backup, which ends with `head`, was taken of.
    pub fn look(data_dir: &Path, head: Head) -> Result<Self, BackupError> {
        let journal = JournalReader::open(data_dir)?;
        journal.lock()?;
        if !journal.holds(&head).map_err(BackupError::file("read", journal.path()))? {
            return Err(BackupError::OtherJournal { path: journal.path().to_owned(), sequence: head.sequence });
        }
        let mut last = head;
        let scanned = journal.scan(head, 0, |frame| {
            // One that this program cannot read it could not go on from.
            frame.entry()?;
            last = frame.head;
            Ok::<_, JournalError>(())
        });
        let loss = match scanned {
            Ok(_) => None,
            Err(error @ (JournalError::Damaged { .. } | JournalError::Lost { .. })) => Some(Loss {
                last: last.sequence,
                acknowledged: journal.acknowledged().map(|known| known.sequence),
                why: error.to_string(),
            }),
            Err(other) => return Err(other.into()),
        };
        let webhooks = webhook::cursors(data_dir, last.sequence);
        let webhooks = webhooks.map_err(BackupError::file("read the webhooks of", data_dir))?;
        Ok(Self { journal, head: last, loss, webhooks })
    }

    /// How many records it has beyond the backup.
    pub fn records_after(&self, head: Head) -> u64 {
        self.head.sequence - head.sequence
    }

    /// What was lost behind them, if anything was.
    pub fn loss(&self) -> Option<&Loss> {
        self.loss.as_ref()
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "record {} is the last one that reads", self.last)?;
        if let Some(acknowledged) = self.acknowledged {
            write!(formatter, ", and {acknowledged} was acknowledged")?;
        }
        write!(formatter, ": {}", self.why)
    }
}
