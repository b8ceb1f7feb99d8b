//! What a journal holds, counted while its chain is verified.

use std::collections::BTreeSet;
use std::path::Path;

use crate::store::journal::{Entry, Frame, Head, JournalError, JournalReader, Tail};

/// What a verified journal holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// Certificates issued.
    pub certificates: u64,
    /// Revocations, and certificates released from hold.
    pub revocations: u64,
    /// Changes of facts.
    pub changes: u64,
    /// Other audit events.
    pub events: u64,
    /// Records of kinds this program does not know.
    pub unknown: u64,
    /// Audit events that were counted and not written.
    pub suppressed: u64,
    /// The last record: its sequence number is how many there are, as the first is number 1, and its hash, noted down
    /// elsewhere, proves later that nothing before it was changed.
    pub head: Head,
    /// What follows it.
    pub tail: Tail,
}

impl Contents {
    /// Of a journal without records.
    pub fn none() -> Self {
        Self {
            certificates: 0,
            revocations: 0,
            changes: 0,
            events: 0,
            unknown: 0,
            suppressed: 0,
            head: Head::genesis(),
            tail: Tail::Whole,
        }
    }

    /// Counts the next record.
    pub fn count(&mut self, frame: &Frame<'_>) {
        let (count, suppressed) = match frame.entry() {
            Ok(Entry::Issued { suppressed, .. }) => (&mut self.certificates, suppressed),
            Ok(Entry::Revoked { suppressed, .. } | Entry::Standing { suppressed, .. }) => {
                (&mut self.revocations, suppressed)
            }
            Ok(Entry::Facts { suppressed, .. }) => (&mut self.changes, suppressed),
            Ok(Entry::Event { suppressed, .. }) => (&mut self.events, suppressed),
            Err(_) => (&mut self.unknown, 0),
        };
        *count += 1;
        self.suppressed += suppressed;
        self.head = frame.head;
    }
}

/// Verifies the whole chain of a data folder's journal, also while a server appends to it (its write under way then
/// shows as a torn tail).
///
/// # Errors
/// With the first damage, where it lies, and the sequence number of the record that should be there; also when records are
/// missing at the end that are known to have been acknowledged. `noted` are numbers and hashes of records that somebody wrote
/// down: each must be there.
pub fn verify(directory: &Path, noted: &[(u64, [u8; 32])]) -> Result<Contents, JournalError> {
    let journal = JournalReader::open(directory)?;
    let mut missing: BTreeSet<_> = noted.iter().copied().collect();
    let mut contents = Contents::none();
    let (head, tail) = journal.scan(Head::genesis(), 0, |frame| {
        contents.count(&frame);
        missing.remove(&(frame.head.sequence, frame.head.hash));
        Ok::<_, JournalError>(())
    })?;
    match missing.first() {
        Some((known, _)) => {
            Err(JournalError::Lost { path: journal.path().to_owned(), found: head.sequence, known: *known })
        }
        None => Ok(Contents { head, tail, ..contents }),
    }
}
