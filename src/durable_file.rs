//! Files that are there whole or not at all, and are still there after a power cut.
//!
//! A file is written as a draft beside it, synced, given its name, and the folder with that name is synced. On POSIX file
//! systems `rename` exchanges a file at once, but what is durable of it only `fsync` of the file and of its folder says.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What the name of a draft has behind that of its file; nobody gives it to a file of theirs, which would be removed.
const DRAFT_SUFFIX: &str = ".estd-draft";

/// A file that does not have its name yet; without [`land`](Self::land) it is gone when it is dropped.
///
/// There is one at a time of each name, in all processes: the next waits until this one has landed or is dropped. What a
/// process left behind that was killed is removed by the next.
#[derive(Debug)]
pub struct Draft {
    file: File,
    path: PathBuf,
    target: PathBuf,
    landed: bool,
}

impl Draft {
    /// Of a file that takes the place of the one there may be. `mode` are its permissions, less those of the umask.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn over(target: &Path, mode: u32) -> io::Result<Self> {
        let mut path = target.as_os_str().to_owned();
        path.push(DRAFT_SUFFIX);
        let path = PathBuf::from(path);
        Ok(Self { file: begin(&path, mode)?, path, target: target.to_owned(), landed: false })
    }

    /// Of a file that takes no other's place.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] when something of that name is there, and when the file system refuses.
    pub fn new(target: &Path, mode: u32) -> io::Result<Self> {
        let draft = Self::over(target, mode)?;
        match fs::symlink_metadata(target) {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(draft),
            Err(error) => Err(error),
        }
    }

    /// Where its content goes.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Where it can be read before it has its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name; content and name are durable when it returns.
    ///
    /// # Errors
    /// When the file system refuses; what had the name before has it still, unless only the folder could not be synced.
    pub fn land(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, &self.target)?;
        self.landed = true;
        sync_folder(folder_of(&self.target))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After it landed the name of the draft may be another one's. What cannot be removed now the next one removes.
        if !self.landed {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Writes a file in the place of the one there may be, durable when it returns.
///
/// # Errors
/// As [`Draft::over`] and [`Draft::land`] have them.
pub fn replace(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    written(Draft::over(path, mode)?, content)
}

/// Writes a new file, durable when it returns.
///
/// # Errors
/// As [`Draft::new`] and [`Draft::land`] have them.
pub fn create(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    written(Draft::new(path, mode)?, content)
}

/// Makes a folder and those above it that are missing, all with these permissions; their names are durable when it returns.
///
/// # Errors
/// When the file system refuses, or something else has the name.
pub fn folder(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = folder_of(path);
    folder(above, mode)?;
    match DirBuilder::new().mode(mode).create(path) {
        // Another may have made it meanwhile.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made?,
    }
    sync_folder(above)
}

/// Makes the names in a folder durable.
///
/// # Errors
/// When the file system refuses.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn written(mut draft: Draft, content: &[u8]) -> io::Result<()> {
    draft.file().write_all(content)?;
    draft.land()
}

/// The folder that a name stands in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
        None => path,
    }
}

/// Makes the file of a draft, always a new one: nobody else can have put it there, or have it open.
fn begin(path: &Path, mode: u32) -> io::Result<File> {
    loop {
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
            Ok(file) => {
                lock(&file)?;
                // Before it was locked another may have taken it for one that was left behind.
                if is_named(&file, path)? {
                    return Ok(file);
                }
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => clear(path)?,
            Err(error) => return Err(error),
        }
    }
}

/// Waits until nobody writes a draft any more, and removes one that was left behind.
fn clear(path: &Path) -> io::Result<()> {
    let left = match OpenOptions::new().write(true).open(path) {
        Ok(left) => left,
        Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => return Ok(()),
        // It is no file of ours: what stands there leads nowhere, or is not to be written.
        Err(_) => return fs::remove_file(path),
    };
    lock(&left)?;
    if is_named(&left, path)? || path.is_symlink() { fs::remove_file(path) } else { Ok(()) }
}

/// Waits for the turn. Where a file system has no locks, one process alone writes.
fn lock(file: &File) -> io::Result<()> {
    match file.lock() {
        Err(error) if error.kind() != ErrorKind::Unsupported => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether a name is that of an open file.
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let of = |found: fs::Metadata| (found.dev(), found.ino());
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(of(found) == of(file.metadata()?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_and_a_new_one_takes_no_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, 0o600, b"first").unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (&b"first"[..], 0o600));
        assert_eq!(create(&path, 0o600, b"second").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        replace(&path, 0o644, b"2").unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (&b"2"[..], 0o644 & !umask()));
        symlink("nowhere", folder.path().join("link")).unwrap();
        let refused = create(&folder.path().join("link"), 0o600, b"x").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists, "a name that leads nowhere is taken");
        assert_eq!(names(folder.path()), ["key", "link"]);
    }

    fn umask() -> u32 {
        let probe = tempfile::tempdir().unwrap();
        let path = probe.path().join("probe");
        drop(OpenOptions::new().write(true).create_new(true).mode(0o777).open(&path).unwrap());
        0o777 & !mode(&path)
    }

    #[test]
    fn a_draft_that_does_not_land_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursor");
        replace(&path, 0o600, b"7").unwrap();
        let mut draft = Draft::over(&path, 0o600).unwrap();
        draft.file().write_all(b"half of somethi").unwrap();
        assert_eq!(names(folder.path()), ["cursor", "cursor.estd-draft"]);
        drop(draft);
        assert_eq!(fs::read(&path).unwrap(), b"7");
        // A folder of that name: the rename is refused.
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        replace(&taken, 0o600, b"8").unwrap_err();
        assert_eq!(names(folder.path()), ["cursor", "taken"]);
    }

    #[test]
    fn what_was_left_behind_or_put_there_is_never_written_into() {
        let folder = tempfile::tempdir().unwrap();
        let (path, draft) = (folder.path().join("secret"), folder.path().join("secret.estd-draft"));
        let other = folder.path().join("other");
        fs::write(&other, "theirs").unwrap();
        fs::set_permissions(&other, fs::Permissions::from_mode(0o644)).unwrap();
        // Whoever holds it open reads nothing of what comes.
        for put in [
            (|other, draft| fs::copy(other, draft).map(drop)) as fn(&Path, &Path) -> io::Result<()>,
            |other, draft| fs::hard_link(other, draft),
            |other, draft| symlink(other, draft),
            |_, draft| symlink("nowhere", draft),
        ] {
            put(&other, &draft).unwrap();
            replace(&path, 0o600, b"mine").unwrap();
            assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (&b"mine"[..], 0o600));
            assert_eq!(fs::read(&other).unwrap(), b"theirs");
            assert_eq!(names(folder.path()), ["other", "secret"]);
        }
    }

    #[test]
    fn writers_of_one_file_take_turns_and_readers_see_whole_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursor");
        replace(&path, 0o600, &[0; 4096]).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writers: Vec<_> = (1..=4_u8)
                .map(|writer| {
                    scope.spawn({
                        let path = &path;
                        move || {
                            for _ in 0..25 {
                                replace(path, 0o600, &[writer; 4096]).unwrap();
                            }
                        }
                    })
                })
                .collect();
            let reader = scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let read = fs::read(&path).unwrap();
                    assert_eq!(read.len(), 4096);
                    assert!(read.iter().all(|octet| *octet == read[0]));
                }
            });
            for writer in writers {
                writer.join().unwrap();
            }
            done.store(true, Ordering::Release);
            reader.join().unwrap();
        });
        assert_eq!(names(folder.path()), ["cursor"]);
    }

    #[test]
    fn a_new_file_has_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup.tar");
        let won: usize = std::thread::scope(|scope| {
            let path = &path;
            let writers: Vec<_> = (0..8).map(|writer| scope.spawn(move || create(path, 0o600, &[writer]))).collect();
            writers.into_iter().map(|writer| usize::from(writer.join().unwrap().is_ok())).sum()
        });
        assert_eq!((won, names(folder.path())), (1, vec!["backup.tar".to_owned()]));
    }

    #[test]
    fn folders_are_made_with_those_above() {
        let folder_ = tempfile::tempdir().unwrap();
        let deep = folder_.path().join("a/b/c");
        folder(&deep, 0o700).unwrap();
        folder(&deep, 0o755).unwrap();
        assert_eq!((mode(&deep), mode(&folder_.path().join("a"))), (0o700, 0o700));
        let file = folder_.path().join("file");
        fs::write(&file, "").unwrap();
        folder(&file, 0o700).unwrap_err();
        folder(&file.join("below"), 0o700).unwrap_err();
    }
}
