//! The layout of the journal: one file header, then frames, each bound to the one before it by its hash.
//!
//! ```text
//! file header   16   "estd-journal", format version (u32)
//! frame header  64    0  magic
//!                     4  length of the payload (u32)
//!                     8  sequence number (u64), 1 for the first frame
//!                    16  sequence number of the first frame of the same write (u64)
//!                    24  SHA-256 of the frame before; of the file header for the first
//!                    56  checksum: the first 8 octets of this frame's own SHA-256
//! payload             CBOR
//! ```
//!
//! Numbers are big endian. The SHA-256 of a frame covers its header up to the checksum and its payload, so one hash
//! serves as the chain and as the checksum.

use crate::pki::digest::sha256;

/// The file header of this format.
pub(super) const FILE_HEADER: [u8; FILE_HEADER_OCTETS] = *b"estd-journal\0\0\0\x01";
/// Octets of the file header.
pub(super) const FILE_HEADER_OCTETS: usize = 16;
/// Octets of the file header that say what the file is; the rest is the version.
pub(super) const FILE_MAGIC_OCTETS: usize = 12;
/// Octets of a frame header.
pub(super) const FRAME_HEADER_OCTETS: usize = 64;
/// Largest payload, in octets: some ten thousand devices that are imported at once; a certificate stays far below.
pub const MAX_PAYLOAD_OCTETS: usize = 1 << 24;

/// Marks the start of a frame, to find the next one behind damage. 0xF5 occurs in no UTF-8 text.
pub(super) const FRAME_MAGIC: [u8; 4] = *b"\xf5\xe5\x7d\x01";
const CHECKSUM_AT: usize = 56;

/// The last frame of a journal, or of a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Head {
    /// Its sequence number; 0 when there is no frame yet.
    #[n(0)]
    pub sequence: u64,
    /// Where it starts.
    #[n(1)]
    pub start: u64,
    /// Where it ends and the next one starts.
    #[n(2)]
    pub end: u64,
    /// Its SHA-256.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub hash: [u8; 32],
}

impl Head {
    /// The head of a journal without frames.
    pub fn genesis() -> Self {
        Self { sequence: 0, start: 0, end: FILE_HEADER_OCTETS as u64, hash: sha256(&[&FILE_HEADER]) }
    }
}

/// Where a payload lies in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Offset of the payload.
    pub offset: u64,
    /// Its length.
    pub octets: u32,
}

impl Place {
    /// Where the frame of the payload starts.
    pub const fn frame_start(self) -> u64 {
        self.offset.saturating_sub(FRAME_HEADER_OCTETS as u64)
    }
}

/// A frame header, as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) octets: u32,
    pub(super) sequence: u64,
    pub(super) first_of_write: u64,
    pub(super) previous: [u8; 32],
    checksum: [u8; 8],
}

impl FrameHeader {
    /// Reads a header; `None` when it is none, or names a length no frame has.
    pub(super) fn decode(bytes: &[u8; FRAME_HEADER_OCTETS]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (octets, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (first_of_write, rest) = rest.split_first_chunk()?;
        let (previous, rest) = rest.split_first_chunk()?;
        let header = Self {
            octets: u32::from_be_bytes(*octets),
            sequence: u64::from_be_bytes(*sequence),
            first_of_write: u64::from_be_bytes(*first_of_write),
            previous: *previous,
            checksum: *rest.first_chunk()?,
        };
        (*magic == FRAME_MAGIC && header.octets as usize <= MAX_PAYLOAD_OCTETS).then_some(header)
    }

    /// Octets of the whole frame.
    pub(super) fn frame_octets(&self) -> usize {
        FRAME_HEADER_OCTETS + self.octets as usize
    }

    /// The hash of the frame when its checksum holds.
    pub(super) fn verify(&self, payload: &[u8]) -> Option<[u8; 32]> {
        let hash = sha256(&[&self.hashed_part(), payload]);
        hash.starts_with(&self.checksum).then_some(hash)
    }

    fn hashed_part(&self) -> [u8; CHECKSUM_AT] {
        let mut part = [0; CHECKSUM_AT];
        part[..4].copy_from_slice(&FRAME_MAGIC);
        part[4..8].copy_from_slice(&self.octets.to_be_bytes());
        part[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        part[16..24].copy_from_slice(&self.first_of_write.to_be_bytes());
        part[24..].copy_from_slice(&self.previous);
        part
    }
}

/// Appends the frame that follows `head` to `buffer`; returns the new head and the place of the payload.
pub(super) fn encode(head: &Head, first_of_write: u64, payload: &[u8], buffer: &mut Vec<u8>) -> (Head, Place) {
    let octets = payload.len() as u32;
    let header =
        FrameHeader { octets, sequence: head.sequence + 1, first_of_write, previous: head.hash, checksum: [0; 8] };
    let part = header.hashed_part();
    let hash = sha256(&[&part, payload]);
    buffer.extend_from_slice(&part);
    buffer.extend_from_slice(&hash[..FRAME_HEADER_OCTETS - CHECKSUM_AT]);
    buffer.extend_from_slice(payload);
    let start = head.end;
    let end = start + header.frame_octets() as u64;
    (Head { sequence: header.sequence, start, end, hash }, Place { offset: start + FRAME_HEADER_OCTETS as u64, octets })
}
