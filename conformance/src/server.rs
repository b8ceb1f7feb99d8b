//! The server under test, run as a user would run it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
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

/// A program that runs until it is told to stop; killed when dropped.
pub(crate) struct Background {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Background {
    /// Starts it; what it says on standard output is read line by line, and read on so that it never blocks.
    pub(crate) fn start(command: &mut Command) -> Result<Self, Problem> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Problem::failed(format!("cannot start {name}: {error}")))?;
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    // Whether somebody still listens changes nothing.
                    drop(sender.send(line));
                }
            });
        }
        Ok(Self { child, lines })
    }

    /// The next line of its standard output.
    fn line(&self) -> Result<String, Problem> {
        self.lines
            .recv_timeout(READY)
            .map_err(|_| Problem::failed("it does not say on standard output that it is ready"))
    }

    /// The lines before `last`.
    pub(crate) fn lines_until(&self, last: &str) -> Result<Vec<String>, Problem> {
        let mut lines = Vec::new();
        loop {
            match self.line()? {
                line if line == last => return Ok(lines),
                line => lines.push(line),
            }
        }
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) -> Result<(), Problem> {
        let mut kill = Command::new("kill");
        kill.args([&format!("-{name}"), &self.child.id().to_string()]);
        command::run(&mut kill, &[], command::DEFAULT_LIMIT)?.succeeded("kill")?;
        Ok(())
    }

    /// Its exit status, once it ends by itself.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<ExitStatus, Problem> {
        wait(&mut self.child, limit)?.ok_or_else(|| Problem::failed("it does not stop when told to"))
    }

    /// kill -9.
    fn kill(&mut self) -> Result<(), Problem> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Already gone is fine.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A running server.
pub(crate) struct Server {
    process: Background,
    /// Where devices connect.
    pub(crate) address: SocketAddr,
    /// Where /healthz and /metrics are.
    pub(crate) status: SocketAddr,
    /// Where CRLs and OCSP answers are, if anywhere.
    pub(crate) public: Option<SocketAddr>,
    /// Its standard error.
    pub(crate) log: PathBuf,
}

impl Server {
    /// Starts `estd serve` and waits until both listeners are announced.
    pub(crate) fn start(binary: &Binary, configuration: &Path) -> Result<Self, Problem> {
        let log = configuration.with_file_name("server.log");
        let errors = File::options().create(true).append(true).open(&log)?;
        let mut serve = Command::new(&binary.0);
        serve.args(["serve", "--config"]).arg(configuration).stderr(errors);
        let mut process = Background::start(&mut serve)?;
        match announced(&process) {
            Ok((address, public, status)) => Ok(Self { process, address, status, public, log }),
            Err(problem) => {
                process.kill()?;
                let said = String::from_utf8_lossy(&command::read(&log)?).into_owned();
                let Problem::Failed(why) = problem else { return Err(problem) };
                Err(Problem::failed(format!("{why}; the server said: {}", said.trim())))
            }
        }
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// An URL of the EST listener.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}/.well-known/est/{path}", self.address.port())
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) -> Result<(), Problem> {
        self.process.kill()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) -> Result<(), Problem> {
        self.process.signal(name)
    }

    /// SIGTERM, and the exit status.
    pub(crate) fn stop(&mut self, limit: Duration) -> Result<ExitStatus, Problem> {
        self.signal("TERM")?;
        self.process.wait(limit)
    }
}

/// Reads the announcements; the one of the status pages is the last.
fn announced(process: &Background) -> Result<(SocketAddr, Option<SocketAddr>, SocketAddr), Problem> {
    let (mut est, mut public, mut status) = (None, None, None);
    loop {
        let line = process.line()?;
        if let Some(rest) = line.strip_prefix("estd: listening on https://") {
            est = address(rest.strip_suffix("/.well-known/est"));
        } else if let Some(rest) = line.strip_prefix("estd: CRLs and OCSP on http://") {
            public = address(rest.strip_suffix('/'));
        } else if let Some(rest) = line.strip_prefix("estd: status on http://") {
            status = address(rest.strip_suffix('/'));
        }
        if let (Some(est), Some(status)) = (est, status) {
            return Ok((est, public, status));
        }
    }
}

fn address(text: Option<&str>) -> Option<SocketAddr> {
    text?.parse().ok()
}
