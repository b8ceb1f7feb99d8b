//! Reading a journal forward, frame by frame, with a judgement on what does not read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::frame::{FRAME_HEADER_OCTETS, FRAME_MAGIC, FrameHeader, Head, Place};
use super::{Entry, JournalError};

/// How much is read at once.
const WINDOW_OCTETS: usize = 1 << 20;

/// A frame that reads well and continues the chain.
#[derive(Debug)]
pub struct Frame<'a> {
    /// The frame itself.
    pub head: Head,
    /// Where its payload lies.
    pub place: Place,
    /// Its payload.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// The record it carries.
    ///
    /// # Errors
    /// When it is of a kind that is not known.
    pub fn entry(&self) -> Result<Entry<'_>, JournalError> {
        let Head { sequence, start: offset, .. } = self.head;
        Entry::decode(self.payload).map_err(|source| JournalError::UnknownRecord { offset, sequence, source })
    }
}

/// The first thing in a journal that is not a frame continuing the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("frame {sequence} at offset {offset}: {kind}")]
pub struct Damage {
    /// Where the frame should start.
    pub offset: u64,
    /// The sequence number it should have.
    pub sequence: u64,
    /// What is wrong.
    pub kind: DamageKind,
}

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DamageKind {
    /// The file ends within the frame.
    #[error("the file ends before the frame does")]
    Short,
    /// There is no frame header.
    #[error("there is no frame header")]
    Header,
    /// The content does not match its checksum.
    #[error("the content does not match its checksum")]
    Checksum,
    /// A whole frame, but not the one that belongs here.
    #[error("the frame is whole but does not continue the chain")]
    Chain,
}

/// What ends a scan early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Damage(#[from] Damage),
}

/// Reads frames forward from a known head.
#[derive(Debug)]
pub(super) struct Scan<'f> {
    file: &'f File,
    /// Where the journal begins in the file.
    base: u64,
    /// Where it ends, counted from there.
    octets: u64,
    head: Head,
    /// What was read ahead, and where in it the next frame starts.
    window: Vec<u8>,
    next: usize,
}

impl<'f> Scan<'f> {
    /// Reads the frames that follow `head`.
    pub(super) fn after(file: &'f File, head: Head) -> io::Result<Self> {
        let octets = file.metadata()?.len();
        Ok(Self { file, base: 0, octets, head, window: Vec::new(), next: 0 })
    }

    /// Reads all frames of a journal of so many octets that begins at `base` of another file.
    pub(super) fn within(file: &'f File, base: u64, octets: u64) -> Self {
        Self { file, base, octets, head: Head::genesis(), window: Vec::new(), next: 0 }
    }

    /// The last frame that was read.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// The next frame; `None` at the end of the journal.
    pub(super) fn next(&mut self) -> Result<Option<Frame<'_>>, Stop> {
        if self.head.end == self.octets {
            return Ok(None);
        }
        let (offset, sequence) = (self.head.end, self.head.sequence + 1);
        let damage = |kind| Damage { offset, sequence, kind };
        let header = self.ahead(FRAME_HEADER_OCTETS)?.ok_or(damage(DamageKind::Short))?;
        let header = header.first_chunk().and_then(FrameHeader::decode).ok_or(damage(DamageKind::Header))?;
        let frame_octets = header.frame_octets();
        let frame = self.ahead(frame_octets)?.ok_or(damage(DamageKind::Short))?;
        let hash = header.verify(&frame[FRAME_HEADER_OCTETS..]).ok_or(damage(DamageKind::Checksum))?;
        if header.sequence != sequence || header.previous != self.head.hash {
            return Err(damage(DamageKind::Chain).into());
        }
        let start = self.next;
        self.next += frame_octets;
        self.head = Head { sequence, start: offset, end: offset + frame_octets as u64, hash };
        Ok(Some(Frame {
            head: self.head,
            place: Place { offset: offset + FRAME_HEADER_OCTETS as u64, octets: header.octets },
            payload: &self.window[start + FRAME_HEADER_OCTETS..start + frame_octets],
        }))
    }

    /// The `wanted` octets after the head; `None` when the journal ends before.
    fn ahead(&mut self, wanted: usize) -> io::Result<Option<&[u8]>> {
        if self.head.end + wanted as u64 > self.octets {
            return Ok(None);
        }
        if self.window.len() < self.next + wanted {
            let left = self.octets - self.head.end;
            let octets = left.min(wanted.max(WINDOW_OCTETS) as u64) as usize;
            self.window.resize(octets, 0);
            self.next = 0;
            self.file.read_exact_at(&mut self.window, self.base + self.head.end)?;
        }
        Ok(Some(&self.window[self.next..self.next + wanted]))
    }
}

/// Whether the frames that follow `damage` show that it lies in what was durable once.
///
/// A write is begun only after the one before it is durable. So a whole frame of a later write proves that the damaged
/// one had been durable; frames of the same write prove nothing, as its pages reach the disk in any order.
pub(super) fn was_durable(file: &File, damage: &Damage) -> io::Result<bool> {
    let file_octets = file.metadata()?.len();
    let mut window = vec![0; WINDOW_OCTETS];
    let mut at = damage.offset + 1;
    while at + (FRAME_HEADER_OCTETS as u64) <= file_octets {
        let octets = (file_octets - at).min(WINDOW_OCTETS as u64) as usize;
        file.read_exact_at(&mut window[..octets], at)?;
        let magics = window[..octets].windows(FRAME_MAGIC.len()).enumerate().filter(|(_, four)| *four == FRAME_MAGIC);
        for (found, _) in magics {
            if first_of_write_at(file, at + found as u64, file_octets)?.is_some_and(|first| first > damage.sequence) {
                return Ok(true);
            }
        }
        // A magic may lie across two windows.
        at += (octets - FRAME_MAGIC.len() + 1) as u64;
    }
    Ok(false)
}

/// The write to which the frame at `offset` belongs, when there is a whole one.
fn first_of_write_at(file: &File, offset: u64, file_octets: u64) -> io::Result<Option<u64>> {
    Ok(frame_at(file, offset, file_octets)?.map(|frame| frame.header.first_of_write))
}

/// A frame by itself: whether it continues the chain is not known.
pub(super) struct LoneFrame {
    pub(super) header: FrameHeader,
    pub(super) hash: [u8; 32],
    pub(super) payload: Vec<u8>,
}

/// The whole frame at `offset`, when there is one.
pub(super) fn frame_at(file: &File, offset: u64, file_octets: u64) -> io::Result<Option<LoneFrame>> {
    let mut header = [0; FRAME_HEADER_OCTETS];
    if offset + header.len() as u64 > file_octets {
        return Ok(None);
    }
    file.read_exact_at(&mut header, offset)?;
    let Some(header) = FrameHeader::decode(&header) else { return Ok(None) };
    if offset + header.frame_octets() as u64 > file_octets {
        return Ok(None);
    }
    let mut payload = vec![0; header.octets as usize];
    file.read_exact_at(&mut payload, offset + FRAME_HEADER_OCTETS as u64)?;
    Ok(header.verify(&payload).map(|hash| LoneFrame { header, hash, payload }))
}
