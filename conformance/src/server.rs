//! The server under test, run as a user would run it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::command::{self, Finished, wait};
use crate::matrix::Problem;

/// How long the server may take until it says that it listens.
const READY: Duration = Duration::from_secs(20);

/// The built binary.
#[derive(Debug, Clone)]
pub(crate) struct Binary(pub(crate) PathBuf);

impl Binary {
    /// Runs one of its commands to the end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Finished, Problem> {
        let mut command = Command::new(&self.0);
        command.args(arguments);
        command::run(&mut command, &[], Duration::from_secs(60))
    }
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    /// Where devices connect.
    pub(crate) address: SocketAddr,
    /// Where /healthz and /metrics are.
    pub(crate) status: SocketAddr,
    /// Its standard error.
    pub(crate) log: PathBuf,
}

impl Server {
    /// Starts `estd serve` and waits until both listeners are announced.
    pub(crate) fn start(binary: &Binary, configuration: &Path) -> Result<Self, Problem> {
        let log = configuration.with_file_name("server.log");
        let errors = File::options().create(true).append(true).open(&log)?;
        let mut child = Command::new(&binary.0)
            .args(["serve", "--config"])
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|error| Problem::failed(format!("cannot start {}: {error}", binary.0.display())))?;
        match announced(child.stdout.take()) {
            Ok((address, status)) => Ok(Self { child, address, status, log }),
            Err(problem) => {
                child.kill()?;
                child.wait()?;
                let said = String::from_utf8_lossy(&command::read(&log)?).into_owned();
                let Problem::Failed(why) = problem else { return Err(problem) };
                Err(Problem::failed(format!("{why}; the server said: {}", said.trim())))
            }
        }
    }

    /// An URL of the EST listener.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}/.well-known/est/{path}", self.address.port())
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) -> Result<(), Problem> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) -> Result<(), Problem> {
        let mut kill = Command::new("kill");
        kill.args([&format!("-{name}"), &self.id().to_string()]);
        command::run(&mut kill, &[], command::DEFAULT_LIMIT)?.succeeded("kill")?;
        Ok(())
    }

    /// SIGTERM, and the exit status.
    pub(crate) fn stop(&mut self, limit: Duration) -> Result<ExitStatus, Problem> {
        self.signal("TERM")?;
        wait(&mut self.child, limit)?.ok_or_else(|| Problem::failed("the server does not stop on SIGTERM"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is fine.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Reads the announcements; goes on draining the pipe so that the server never blocks on it.
fn announced(stdout: Option<ChildStdout>) -> Result<(SocketAddr, SocketAddr), Problem> {
    let stdout = stdout.ok_or_else(|| Problem::failed("no standard output"))?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Nobody listens any more once both lines were seen.
            drop(sender.send(line));
        }
    });
    let (mut est, mut status) = (None, None);
    loop {
        let line = lines
            .recv_timeout(READY)
            .map_err(|_| Problem::failed("the server does not announce its listeners on standard output"))?;
        if let Some(rest) = line.strip_prefix("estd: listening on https://") {
            est = address(rest.strip_suffix("/.well-known/est"));
        } else if let Some(rest) = line.strip_prefix("estd: status on http://") {
            status = address(rest.strip_suffix('/'));
        }
        if let (Some(est), Some(status)) = (est, status) {
            return Ok((est, status));
        }
    }
}

fn address(text: Option<&str>) -> Option<SocketAddr> {
    text?.parse().ok()
}
