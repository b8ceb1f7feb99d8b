//! Files that are there whole or not at all, and are still there after a power cut.
//!
//! A file is written as a draft beside it, synced, given its name, and the folder with that name is synced. On POSIX file
//! systems `rename` exchanges a file at once, but what is durable of it only `fsync` of the file and of its folder says.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::process::geteuid;

/// What the name of a draft has behind that of its file; nobody gives it to a file of theirs, which would be removed.
const DRAFT_SUFFIX: &str = ".estd-draft";
/// How long a draft that somebody else writes is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether they are done.
const PAUSE: Duration = Duration::from_millis(10);

/// A file that does not have its name yet; without [`land`](Self::land) it is gone when it is dropped.
///
/// There is one at a time of each name, in all processes: the next waits until this one has landed or is dropped, ten seconds
/// at most. What a process left behind that was killed is removed by the next, and so is what others put there.
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
    /// [`ErrorKind::ResourceBusy`] when somebody else writes it and does not come to an end, and when the file system refuses.
    pub fn over(target: &Path, mode: u32) -> io::Result<Self> {
        let mut path = target.as_os_str().to_owned();
        path.push(DRAFT_SUFFIX);
        let path = PathBuf::from(path);
        Ok(Self { file: begin(&path, mode, PATIENCE)?, path, target: target.to_owned(), landed: false })
    }

    /// Of a file that takes no other's place.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] when something of that name is there, and as [`over`](Self::over) has them.
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
    /// When the file system refuses, or somebody else took the draft away; what had the name before has it still, unless only
    /// the folder could not be synced.
    pub fn land(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if !is_named(&self.file, &self.path)? {
            return Err(io::Error::other(format!("somebody else took {} away", self.path.display())));
        }
        fs::rename(&self.path, &self.target)?;
        self.landed = true;
        sync_folder(folder_of(&self.target))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // The name of the draft may be another one's by now. What cannot be removed now the next one removes.
        if !self.landed && is_named(&self.file, &self.path).is_ok_and(|ours| ours) {
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

/// Makes the file of a draft, always a new one: nobody else can have put it there, or have written into it.
fn begin(path: &Path, mode: u32, patience: Duration) -> io::Result<File> {
    let mut waited = Duration::ZERO;
    loop {
        if let Some(file) = attempt(path, mode)? {
            return Ok(file);
        }
        if waited >= patience {
            let why = format!("somebody else writes it: {} is not let go of", path.display());
            return Err(io::Error::new(ErrorKind::ResourceBusy, why));
        }
        thread::sleep(PAUSE);
        waited += PAUSE;
    }
}

/// The file of a draft, unless somebody else writes it now.
fn attempt(path: &Path, mode: u32) -> io::Result<Option<File>> {
    if !clear(path)? {
        return Ok(None);
    }
    let file = match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => return Err(error),
    };
    // Before it was locked another may have taken it for one that was left behind.
    Ok((lock(&file)? && is_named(&file, path)?).then_some(file))
}

/// Removes a draft that was left behind, and whatever else stands there; `false` when somebody writes it.
fn clear(path: &Path) -> io::Result<bool> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    // No draft of ours, so nobody is waited for: a file of somebody else could be held for ever.
    if !found.is_file() || found.uid() != geteuid().as_raw() {
        return remove(path).map(|()| true);
    }
    // Whoever exchanges it meanwhile has us neither wait for the other end of a pipe nor open what a link leads to.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let left = match OpenOptions::new().write(true).custom_flags(flags).open(path) {
        Ok(left) => left,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        // Its mode keeps it from being written, so it is being written by nobody.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return remove(path).map(|()| true),
        Err(error) => return Err(error),
    };
    if !lock(&left)? {
        return Ok(false);
    }
    if is_named(&left, path)? {
        remove(path)?;
    }
    Ok(true)
}

/// Removes what stands where a draft is to be.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(io::Error::new(error.kind(), format!("{} is in the way: {error}", path.display())))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Takes the turn when it is free. Where a file system has no locks, one process alone writes.
fn lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if error.kind() != ErrorKind::Unsupported => Err(error),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(true),
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
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

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

    /// Writes a file; a failure when that takes longer than anybody is to be waited for.
    fn replace_without_waiting(path: &Path) {
        let (done, outcome) = mpsc::channel();
        let of = path.to_owned();
        thread::spawn(move || done.send(replace(&of, 0o600, b"mine")));
        outcome.recv_timeout(PATIENCE / 2).unwrap().unwrap();
        assert_eq!(fs::read(path).unwrap(), b"mine");
    }

    fn pipe(path: &Path) {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    #[test]
    fn nobody_waits_for_what_a_stranger_put_there() {
        let folder = tempfile::tempdir().unwrap();
        let [path, draft, aside] = ["b.tar", "b.tar.estd-draft", "aside"].map(|name| folder.path().join(name));
        // A pipe without another end, and one that is read.
        pipe(&draft);
        replace_without_waiting(&path);
        pipe(&draft);
        let reader = OpenOptions::new().read(true).write(true).open(&draft).unwrap();
        reader.lock().unwrap();
        replace_without_waiting(&path);
        // Links to a pipe, and to a file of ours that is in use.
        pipe(&aside);
        symlink(&aside, &draft).unwrap();
        replace_without_waiting(&path);
        fs::remove_file(&aside).unwrap();
        let held = File::create(&aside).unwrap();
        held.lock().unwrap();
        symlink(&aside, &draft).unwrap();
        replace_without_waiting(&path);
        assert_eq!(names(folder.path()), ["aside", "b.tar"]);
        // Where a file can be given away: one of another user.
        let theirs = File::create(&draft).unwrap();
        theirs.lock().unwrap();
        if chown(&draft, Some(geteuid().as_raw() + 1), None).is_ok() {
            replace_without_waiting(&path);
        }
    }

    #[test]
    fn a_draft_that_is_never_let_go_of_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let [path, draft] = ["b.tar", "b.tar.estd-draft"].map(|name| folder.path().join(name));
        let held = File::create(&draft).unwrap();
        held.lock().unwrap();
        let (done, outcome) = mpsc::channel();
        let of = draft.clone();
        thread::spawn(move || done.send(begin(&of, 0o600, 3 * PAUSE)));
        let refused = outcome.recv_timeout(PATIENCE / 2).unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ResourceBusy);
        assert!(refused.to_string().contains("somebody else writes it"), "{refused}");
        drop(held);
        replace_without_waiting(&path);
        assert_eq!(names(folder.path()), ["b.tar"]);
    }

    #[test]
    fn what_a_stranger_put_in_the_place_of_a_draft_does_not_get_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for lands in [true, false] {
            let draft = Draft::over(&path, 0o600).unwrap();
            let put = draft.path().to_owned();
            fs::remove_file(&put).unwrap();
            fs::write(&put, "theirs").unwrap();
            if lands {
                draft.land().unwrap_err();
            } else {
                drop(draft);
            }
            assert_eq!(names(folder.path()), ["key.estd-draft"]);
        }
    }

    #[test]
    fn writers_of_one_file_take_turns_and_readers_see_whole_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursor");
        replace(&path, 0o600, &[0; 4096]).unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
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
        let won: usize = thread::scope(|scope| {
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
