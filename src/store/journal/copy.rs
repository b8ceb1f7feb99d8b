//! Copies of a journal: what of one was durable at a moment, and one that lies within another file.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::file::{check_header, copy};
use super::scan::{Scan, Stop};
use super::{Frame, Head, JournalError, JournalReader};

/// A journal as far as it was durable at one moment. What is appended later is not in it, and what is in it stays as it is.
#[derive(Debug, Clone)]
pub struct Snapshot {
    reader: JournalReader,
    head: Head,
}

impl Snapshot {
    /// Everything up to `head`, which is durable.
    pub(in crate::store) fn new(reader: JournalReader, head: Head) -> Self {
        Self { reader, head }
    }

    /// Its last frame.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Its length in octets.
    pub fn octets(&self) -> u64 {
        self.head.end
    }

    /// Writes it, some of it at a time.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn copy_to(&self, out: &mut impl Write) -> io::Result<()> {
        self.reader.copy(0..self.head.end, out)
    }
}

/// A whole journal within another file.
#[derive(Debug)]
pub struct Embedded<'f> {
    path: &'f Path,
    file: &'f File,
    base: u64,
    octets: u64,
}

impl<'f> Embedded<'f> {
    /// The journal of so many octets that begins at `base` of a file; `path` is for messages.
    pub fn new(path: &'f Path, file: &'f File, base: u64, octets: u64) -> Self {
        Self { path, file, base, octets }
    }

    /// Reads it from its first frame to its last, hands each to `each`, and returns the last.
    ///
    /// # Errors
    /// With the first damage, an unfinished write at its end included, when it cannot be read, or when `each` fails.
    pub fn scan<E: From<JournalError>>(&self, mut each: impl FnMut(Frame<'_>) -> Result<(), E>) -> Result<Head, E> {
        let path = || self.path.to_path_buf();
        check_header(self.path, self.file, self.base)?;
        let mut scan = Scan::within(self.file, self.base, self.octets);
        loop {
            match scan.next() {
                Ok(Some(frame)) => each(frame)?,
                Ok(None) => return Ok(scan.head()),
                Err(Stop::Io(source)) => return Err(JournalError::Io { path: path(), source }.into()),
                Err(Stop::Damage(damage)) => return Err(JournalError::Damaged { path: path(), damage }.into()),
            }
        }
    }

    /// Writes it, some of it at a time.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn copy_to(&self, out: &mut impl Write) -> io::Result<()> {
        copy(self.file, self.base..self.base + self.octets, out)
    }
}
