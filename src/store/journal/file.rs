//! The journal's file: opened by one process, appended to in whole writes, cut back when a write fails.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use super::JournalError;
use super::frame::{
    self, FILE_HEADER, FILE_HEADER_OCTETS, FILE_MAGIC_OCTETS, FRAME_HEADER_OCTETS, FrameHeader, Head, Place,
};
use super::mark::{self, Mark};
use super::scan::{DamageKind, Frame, LoneFrame, Scan, Stop, frame_at, was_durable};
use crate::durable_file;

/// Name of the journal within the data folder.
const FILE_NAME: &str = "journal";
/// Nobody else reads who enrolled.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// A buffer that grew beyond this for one large write is given back, in octets.
const KEPT_BUFFER_OCTETS: usize = 1 << 20;
/// How much is copied at once, in octets.
const COPY_OCTETS: usize = 1 << 18;

/// A journal that this process alone may append to.
#[derive(Debug)]
pub struct Journal {
    reader: JournalReader,
    mark: Mark,
    /// The last durable frame.
    head: Head,
    /// There may be octets behind the head that a failed write left and that could not be cut yet.
    littered: bool,
    buffer: Vec<u8>,
}

/// Reads what is durable, from any thread.
#[derive(Debug, Clone)]
pub struct JournalReader {
    path: Arc<Path>,
    file: Arc<File>,
    /// What was known to be acknowledged when it was opened.
    acknowledged: Option<Head>,
}

/// What stood at the end of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// A whole frame, or nothing.
    Whole,
    /// This many octets of a write that was under way when the process or the machine stopped.
    Torn {
        /// Octets.
        octets: u64,
    },
}

/// As many octets as a record of a certificate has, and more.
const PROBE_OCTETS: usize = 4096;

impl Journal {
    /// Opens the journal of a data folder for appending, creating both when they are not there. Nothing is read yet
    /// beyond the file header: [`recover`](Self::recover) must come before the first [`append`](Self::append).
    ///
    /// # Errors
    /// When the file system refuses, another process uses the journal, or the file is none of ours.
    pub fn open(directory: &Path) -> Result<Self, JournalError> {
        let at = |path: &Path, source| JournalError::Io { path: path.to_owned(), source };
        durable_file::folder(directory, DIRECTORY_MODE).map_err(|error| at(directory, error))?;
        let path = directory.join(FILE_NAME);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(|error| at(&path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Locked { path }),
            Err(TryLockError::Error(error)) => return Err(at(&path, error)),
        }
        begin(&file, directory).map_err(|error| at(&path, error))?;
        let acknowledged = mark::noted(directory).map_err(|error| at(&path, error))?;
        let mark = Mark::open(directory).map_err(|error| at(&path, error))?;
        let reader = JournalReader { path: path.into(), file: Arc::new(file), acknowledged };
        check_header(&reader.path, &reader.file, 0)?;
        Ok(Self { reader, mark, head: Head::genesis(), littered: false, buffer: Vec::new() })
    }

    /// Takes the journal as it is, also when records are known to be missing: an operator restored an older copy. To be
    /// called before it is recovered.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn accept_loss(&mut self) -> Result<(), JournalError> {
        self.mark.forget().map_err(|source| self.reader.io_error(source))?;
        self.reader.acknowledged = None;
        Ok(())
    }

    /// Reads on from `from`, hands every frame to `each`, and cuts what an interrupted write left at the end.
    ///
    /// `durable_to` is how far the journal is known to have been durable: damage before it is never taken for an
    /// interrupted write.
    ///
    /// # Errors
    /// When the journal is damaged elsewhere than at its end, or cannot be read or cut, or `each` fails.
    pub fn recover<E: From<JournalError>>(
        &mut self,
        from: Head,
        durable_to: u64,
        each: impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<Tail, E> {
        let (head, tail) = self.reader.scan(from, durable_to, each)?;
        self.head = head;
        self.littered = matches!(tail, Tail::Torn { .. });
        self.cut().and_then(|()| self.mark.note(&self.head)).map_err(|source| self.reader.io_error(source))?;
        Ok(tail)
    }

    /// Appends the payloads in one write and returns their places once they are durable.
    ///
    /// # Errors
    /// When they did not reach the disk; then none of them is kept, and a later call may succeed.
    pub fn append<'p>(&mut self, payloads: impl IntoIterator<Item = &'p [u8]>) -> io::Result<Vec<Place>> {
        self.cut()?;
        self.buffer.clear();
        let mut head = self.head;
        let mut places = Vec::new();
        for payload in payloads {
            let (next, place) = frame::encode(&head, self.head.sequence + 1, payload, &mut self.buffer);
            head = next;
            places.push(place);
        }
        let file = &self.reader.file;
        let written = file.write_all_at(&self.buffer, self.head.end).and_then(|()| file.sync_data());
        self.buffer.shrink_to(KEPT_BUFFER_OCTETS);
        match written {
            Ok(()) => {
                self.head = head;
                // A mark that lags behind proves less, and is right all the same.
                let _ = self.mark.note(&head);
            }
            Err(error) => {
                self.littered = true;
                // What cannot be cut now is cut before the next write.
                let _ = self.cut();
                return Err(error);
            }
        }
        Ok(places)
    }

    /// Tries whether the disk takes a record; nothing of it is left.
    ///
    /// # Errors
    /// When it does not.
    pub fn probe(&mut self) -> io::Result<()> {
        self.cut()?;
        self.littered = true;
        let file = &self.reader.file;
        file.write_all_at(&[0; PROBE_OCTETS], self.head.end).and_then(|()| file.sync_data())?;
        self.cut()
    }

    /// The last durable frame.
    pub fn head(&self) -> Head {
        self.head
    }

    /// A reader of this journal.
    pub fn reader(&self) -> &JournalReader {
        &self.reader
    }

    /// Cuts what lies behind the last durable frame. Until that is durable nothing may be appended: a shorter write
    /// would leave the frames of the failed one behind it.
    fn cut(&mut self) -> io::Result<()> {
        if self.littered {
            self.reader.file.set_len(self.head.end)?;
            self.reader.file.sync_all()?;
            self.littered = false;
        }
        Ok(())
    }
}

impl JournalReader {
    /// Opens the journal of a data folder for reading only, also while a server appends to it.
    ///
    /// # Errors
    /// When it cannot be read or is none of ours.
    pub fn open(directory: &Path) -> Result<Self, JournalError> {
        let path = directory.join(FILE_NAME);
        let file = File::open(&path).map_err(|source| JournalError::Io { path: path.clone(), source })?;
        // Read before the journal is, which may grow meanwhile.
        let acknowledged = mark::noted(directory).map_err(|source| JournalError::Io { path: path.clone(), source })?;
        let reader = Self { path: path.into(), file: Arc::new(file), acknowledged };
        check_header(&reader.path, &reader.file, 0)?;
        Ok(reader)
    }

    /// The payload at a place, held against its checksum, and the hash of its frame.
    ///
    /// # Errors
    /// When it cannot be read, or was changed since it was written.
    pub fn payload(&self, place: Place) -> io::Result<(Vec<u8>, [u8; 32])> {
        let mut frame = vec![0; FRAME_HEADER_OCTETS + place.octets as usize];
        self.file.read_exact_at(&mut frame, place.frame_start())?;
        let header = frame.first_chunk().and_then(FrameHeader::decode);
        let payload = frame.split_off(FRAME_HEADER_OCTETS);
        let header = header.filter(|header| header.octets == place.octets);
        let hash = header.and_then(|header| header.verify(&payload)).ok_or(io::ErrorKind::InvalidData)?;
        Ok((payload, hash))
    }

    /// Whether this journal has the frame `head` names.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn holds(&self, head: &Head) -> io::Result<bool> {
        if *head == Head::genesis() {
            return Ok(true);
        }
        Ok(self.frame(head.start)?.is_some_and(|(found, _)| found == *head))
    }

    /// The frame that starts at an offset with its payload, held against its checksum; `None` when there is no whole one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn frame(&self, start: u64) -> io::Result<Option<(Head, Vec<u8>)>> {
        let frame = frame_at(&self.file, start, self.octets()?)?;
        Ok(frame.map(|LoneFrame { header, hash, payload }| {
            let end = start + header.frame_octets() as u64;
            (Head { sequence: header.sequence, start, end, hash }, payload)
        }))
    }

    /// Its length in octets.
    ///
    /// # Errors
    /// When the file system refuses to tell.
    pub fn octets(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Reads on from `from` and hands every frame to `each`; returns the last frame and what follows it.
    ///
    /// # Errors
    /// When the journal is damaged elsewhere than at its end or before `durable_to`, or cannot be read, or `each` fails.
    pub fn scan<E: From<JournalError>>(
        &self,
        from: Head,
        durable_to: u64,
        mut each: impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(Head, Tail), E> {
        let durable_to = self.acknowledged.map_or(durable_to, |head| durable_to.max(head.end));
        let mut scan = Scan::after(&self.file, from).map_err(|source| self.io_error(source))?;
        loop {
            match scan.next() {
                Ok(Some(frame)) => each(frame)?,
                Ok(None) => {
                    self.refuse_loss(scan.head())?;
                    return Ok((scan.head(), Tail::Whole));
                }
                Err(Stop::Io(source)) => return Err(self.io_error(source).into()),
                Err(Stop::Damage(damage)) => {
                    let octets = self.octets().map_err(|source| self.io_error(source))?;
                    if octets < durable_to {
                        self.refuse_loss(scan.head())?;
                    }
                    // A whole frame that does not belong there was put there: no interrupted write does that.
                    let torn = damage.offset >= durable_to
                        && damage.kind != DamageKind::Chain
                        && !was_durable(&self.file, &damage).map_err(|source| self.io_error(source))?;
                    if !torn {
                        return Err(JournalError::Damaged { path: self.path.to_path_buf(), damage }.into());
                    }
                    return Ok((scan.head(), Tail::Torn { octets: octets - damage.offset }));
                }
            }
        }
    }

    /// Holds the journal against what is known to have been acknowledged, without reading all of it when it has that.
    ///
    /// # Errors
    /// When that is missing or damaged.
    pub fn check_acknowledged(&self) -> Result<(), JournalError> {
        match self.acknowledged {
            Some(known) if !self.holds(&known).map_err(|source| self.io_error(source))? => {
                self.scan(Head::genesis(), 0, |_| Ok::<_, JournalError>(())).map(drop)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses a journal that ends before what was acknowledged, or is not the one that was.
    fn refuse_loss(&self, head: Head) -> Result<(), JournalError> {
        match self.acknowledged {
            Some(known) if !self.holds(&known).map_err(|source| self.io_error(source))? => {
                Err(JournalError::Lost { path: self.path.to_path_buf(), found: head.sequence, known: known.sequence })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The last frame that was known to have been acknowledged when it was opened.
    pub fn acknowledged(&self) -> Option<Head> {
        self.acknowledged
    }

    /// Keeps a server from appending to it for as long as a reader is there.
    ///
    /// # Errors
    /// When a process appends to it.
    pub fn lock(&self) -> Result<(), JournalError> {
        match self.file.try_lock_shared() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(JournalError::Locked { path: self.path.to_path_buf() }),
            Err(TryLockError::Error(error)) => Err(self.io_error(error)),
        }
    }

    /// Writes the octets of the file between two offsets, which must be there.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub fn copy(&self, range: Range<u64>, out: &mut impl Write) -> io::Result<()> {
        copy(&self.file, range, out)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn io_error(&self, source: io::Error) -> JournalError {
        JournalError::Io { path: self.path.to_path_buf(), source }
    }
}

/// Holds the file header at an offset of a file against that of this format.
pub(super) fn check_header(path: &Path, file: &File, offset: u64) -> Result<(), JournalError> {
    let path = || path.to_path_buf();
    let mut header = [0; FILE_HEADER_OCTETS];
    file.read_exact_at(&mut header, offset).map_err(|source| {
        if source.kind() == io::ErrorKind::UnexpectedEof {
            return JournalError::NotAJournal { path: path() };
        }
        JournalError::Io { path: path(), source }
    })?;
    let (magic, version) = header.split_at(FILE_MAGIC_OCTETS);
    let (known_magic, known_version) = FILE_HEADER.split_at(FILE_MAGIC_OCTETS);
    if magic != known_magic {
        return Err(JournalError::NotAJournal { path: path() });
    }
    if version != known_version {
        let number = |octets: &[u8]| octets.iter().fold(0, |number, octet| number << 8 | u32::from(*octet));
        return Err(JournalError::Version { path: path(), found: number(version), known: number(known_version) });
    }
    Ok(())
}

/// Writes the file header of a new journal, also of one whose creation was interrupted, and makes its name durable.
fn begin(file: &File, directory: &Path) -> io::Result<()> {
    let octets = file.metadata()?.len();
    if octets >= FILE_HEADER_OCTETS as u64 {
        return Ok(());
    }
    let mut written = vec![0; octets as usize];
    file.read_exact_at(&mut written, 0)?;
    // A power cut may leave the length without the content.
    if !FILE_HEADER.starts_with(&written) && written.iter().any(|octet| *octet != 0) {
        return Ok(());
    }
    file.write_all_at(&FILE_HEADER, 0)?;
    file.sync_all()?;
    durable_file::sync_folder(directory)?;
    // A process that was killed may have made the folder, and not more.
    directory.canonicalize()?.parent().map_or(Ok(()), durable_file::sync_folder)
}

/// Writes the octets of a file between two offsets, some at a time.
pub(super) fn copy(file: &File, range: Range<u64>, out: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; COPY_OCTETS];
    let mut at = range.start;
    while at < range.end {
        let octets = (range.end - at).min(COPY_OCTETS as u64) as usize;
        file.read_exact_at(&mut buffer[..octets], at)?;
        out.write_all(&buffer[..octets])?;
        at += octets as u64;
    }
    Ok(())
}
