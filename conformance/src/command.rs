//! External programs, each with a time limit.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::clock::Deadline;
use crate::matrix::Problem;

/// How long a program may take when nothing else is said.
pub(crate) const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

/// What a program left behind.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Finished {
    /// Both streams as text, for judging and for messages.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr))
    }

    /// The standard output of a program that succeeded.
    pub(crate) fn succeeded(self, what: &str) -> Result<Vec<u8>, Problem> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        Err(Problem::failed(format!("{what} ended with {}: {}", self.status, tail(&self.text()))))
    }
}

/// Runs `command`, feeds it `input` and waits at most `limit`. A program that is not installed is [`Problem::NotRun`].
pub(crate) fn run(command: &mut Command, input: &[u8], limit: Duration) -> Result<Finished, Problem> {
    let name = command.get_program().to_string_lossy().into_owned();
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Problem::not_run(format!("{name} is not installed")));
        }
        Err(error) => return Err(Problem::failed(format!("{name} does not start: {error}"))),
    };
    let input = input.to_vec();
    let stdin = child.stdin.take();
    // A program may end without reading its input: that is its business, so the write's outcome says nothing.
    let writer = thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(&input)));
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let status = wait(&mut child, limit).map_err(|error| Problem::failed(format!("{name}: {error}")))?;
    drop(writer.join());
    let finished = |handle: thread::JoinHandle<Vec<u8>>| handle.join().unwrap_or_default();
    let (stdout, stderr) = (finished(stdout), finished(stderr));
    match status {
        Some(status) => Ok(Finished { status, stdout, stderr }),
        None => Err(Problem::failed(format!(
            "{name} did not end within {limit:?}: {}",
            tail(&String::from_utf8_lossy(&stdout))
        ))),
    }
}

/// Waits for `child`; kills it and answers `None` when `limit` passes.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Deadline::after(limit);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if deadline.passed() {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Runs `openssl` and returns its standard output.
pub(crate) fn openssl<I, S>(arguments: I, input: &[u8]) -> Result<Vec<u8>, Problem>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new("openssl");
    command.args(arguments);
    let what = command.get_args().take(2).map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    run(&mut command, input, DEFAULT_LIMIT)?.succeeded(&format!("openssl {what}"))
}

/// Reads a file, naming it when that fails.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(path).map_err(|error| Problem::failed(format!("cannot read {}: {error}", path.display())))
}

/// Writes a file, naming it when that fails.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Problem> {
    std::fs::write(path, content).map_err(|error| Problem::failed(format!("cannot write {}: {error}", path.display())))
}

/// A path as command line text.
pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before a broken pipe still counts.
            drop(pipe.read_to_end(&mut bytes));
        }
        bytes
    })
}

/// The last lines of a long message.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(6)..].join(" | ")
}
