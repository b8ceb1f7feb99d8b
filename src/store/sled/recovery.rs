//! Bringing the index up to the journal: replay from the last checkpoint, or rebuild from the first frame.

use super::index::{Changes, Index, IndexError, Progress};
use super::key::timeline_of;
use super::tallies::tally_of;
use crate::store::StandingChange;
use crate::store::journal::{Entry, Frame, Head, Journal, JournalError, JournalReader, Tail};

/// Frames applied to the index at once while replaying.
const REPLAY_BATCH: u64 = 1024;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The index can neither be used nor rebuilt.
    #[error("the index cannot be rebuilt: {0}")]
    Index(#[from] IndexError),
}

/// What it took to open a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// The index was missing, damaged or of another journal, and was made anew.
    pub rebuilt: bool,
    /// Records of the journal that were applied to the index.
    pub replayed: u64,
    /// What an interrupted write had left at the end of the journal; it was cut.
    pub tail: Tail,
}

/// Opens journal and index: cuts an interrupted write, brings the index up to date. What the index has seen, the journal
/// must have.
pub(super) fn recover(journal: &mut Journal, index: &Index) -> Result<(Progress, Recovery), OpenError> {
    let resume = index.open().and_then(|()| resume_point(journal.reader(), index));
    let applied = index.progress().ok().flatten().map_or(Head::genesis(), |applied| applied.head);
    refuse_loss(journal.reader(), &applied)?;
    let durable_to = applied.end;
    if let Ok(Some(from)) = resume {
        let mut replay = Replay::onto(index, from);
        match journal.recover(from.head, durable_to, |frame| replay.take(&frame)).and_then(|tail| replay.finish(tail)) {
            Err(OpenError::Index(_)) => {}
            outcome => return outcome,
        }
    }
    rebuild(journal, index, durable_to)
}

/// Opens the journal and makes the index anew from all of it.
pub(super) fn rebuild(
    journal: &mut Journal,
    index: &Index,
    durable_to: u64,
) -> Result<(Progress, Recovery), OpenError> {
    // Before the index is given up, which may know more.
    journal.reader().check_acknowledged()?;
    index.recreate()?;
    let mut replay = Replay::onto(index, Progress::none());
    let tail = journal.recover(Progress::none().head, durable_to, |frame| replay.take(&frame))?;
    replay.rebuilt = true;
    replay.finish(tail)
}

/// Opens the index anew after it failed, while the journal is in use.
pub(super) fn reopen(journal: &JournalReader, index: &Index) -> Result<Progress, OpenError> {
    index.open()?;
    let from = match resume_point(journal, index) {
        Ok(Some(from)) => from,
        Ok(None) | Err(_) => {
            index.recreate()?;
            Progress::none()
        }
    };
    let mut replay = Replay::onto(index, from);
    let (_, tail) = journal.scan(from.head, 0, |frame| replay.take(&frame))?;
    Ok(replay.finish(tail)?.0)
}

/// From where the index must be replayed; `None` when it is of no use with this journal.
///
/// The checkpoint was synced, so the tree must hold at least as much; and where each of them stood, this journal must
/// have the very same frame.
fn resume_point(journal: &JournalReader, index: &Index) -> Result<Option<Progress>, IndexError> {
    let Some(applied) = index.progress()? else { return Ok(None) };
    let Some(synced) = index.checkpoint() else { return Ok(None) };
    let usable = synced.head.sequence <= applied.head.sequence
        && journal.holds(&synced.head)?
        && journal.holds(&applied.head)?;
    Ok(usable.then_some(synced))
}

/// Refuses a journal without a frame that the index has seen. One that is there and damaged is found when it is read.
fn refuse_loss(journal: &JournalReader, applied: &Head) -> Result<(), OpenError> {
    let is_held = journal.holds(applied).map_err(IndexError::from)?;
    if is_held {
        return Ok(());
    }
    let (head, _) = journal.scan(Head::genesis(), applied.end, |_| Ok::<_, JournalError>(()))?;
    Err(JournalError::Lost { path: journal.path().to_owned(), found: head.sequence, known: applied.sequence }.into())
}

/// Applies frames to the index, some at a time.
struct Replay<'i> {
    index: &'i Index,
    progress: Progress,
    changes: Changes,
    replayed: u64,
    rebuilt: bool,
}

impl<'i> Replay<'i> {
    fn onto(index: &'i Index, from: Progress) -> Self {
        Self { index, progress: from, changes: Changes::default(), replayed: 0, rebuilt: false }
    }

    fn take(&mut self, frame: &Frame<'_>) -> Result<(), OpenError> {
        let entry = frame.entry()?;
        match &entry {
            Entry::Issued { record, facts, .. } => {
                self.changes.issued(record, frame.head.sequence, frame.place);
                self.changes.facts(facts);
            }
            Entry::Facts { facts, .. } => self.changes.facts(facts),
            Entry::Revoked { id, revocation, facts, .. } => {
                let change = StandingChange { id: id.clone(), revocation: Some(*revocation), not_after: None };
                self.changes.standings(&[change], frame.head.sequence);
                self.changes.facts(facts);
            }
            Entry::Standing { changes, facts, .. } => {
                self.changes.standings(changes, frame.head.sequence);
                self.changes.facts(facts);
            }
            Entry::Event { .. } => {}
        }
        if let Some((key, amount)) = tally_of(&entry) {
            self.changes.tallied(frame.head.sequence, key, amount);
        }
        let timeline = timeline_of(entry.event());
        self.changes.recorded(frame.head.sequence, frame.place, timeline.as_deref());
        self.progress.head = frame.head;
        self.replayed += 1;
        if self.replayed.is_multiple_of(REPLAY_BATCH) {
            self.apply()?;
        }
        Ok(())
    }

    fn apply(&mut self) -> Result<(), IndexError> {
        let changes = std::mem::take(&mut self.changes);
        self.progress = self.progress.advanced(self.progress.head, changes.certificates);
        self.index.apply(changes, &self.progress)
    }

    fn finish(mut self, tail: Tail) -> Result<(Progress, Recovery), OpenError> {
        if self.replayed > 0 || self.rebuilt {
            self.apply()?;
            self.index.sync(&self.progress)?;
        }
        Ok((self.progress, Recovery { rebuilt: self.rebuilt, replayed: self.replayed, tail }))
    }
}
