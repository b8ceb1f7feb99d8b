//! A server in a folder as `estd init` makes it, and plain HTTP to what it shows.

#![allow(dead_code, unreachable_pub, reason = "each of those that include it uses its part")]

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use estd::clock::{Clock as _, SystemClock};
use estd::config::Config;
use estd::server::{Running, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(10);

/// A folder as `estd init` makes it, on free ports.
pub struct Folder {
    _parent: tempfile::TempDir,
    pub path: PathBuf,
}

impl Folder {
    pub fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("est");
        let arguments = ["estd", "init", path.to_str().unwrap(), "--listen", "127.0.0.1:0"];
        estd::cli::run(arguments.map(Into::into));
        let folder = Self { _parent: parent, path };
        folder.edit("# status_listen = \"127.0.0.1:9443\"", "status_listen = \"127.0.0.1:0\"");
        folder
    }

    pub fn edit(&self, from: &str, to: &str) {
        let path = self.path.join("config.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "no {from:?} in {text}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
    }

    pub fn config(&self) -> Config {
        Config::load(&self.path.join("config.toml"), SystemClock.now()).unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// The name of its one tenant.
    pub fn tenant(&self) -> String {
        self.config().authorities[0].tenant.clone()
    }

    pub async fn start(&self) -> Running {
        Server::start(self.config()).await.unwrap()
    }
}

/// The program with the configuration of a folder, while the server runs in this process.
pub async fn run(line: &str, folder: &Folder) -> Output {
    let config = folder.path.join("config.toml");
    let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
    let run = move || {
        Command::new(env!("CARGO_BIN_EXE_estd")).args(words).arg("--config").arg(config).env_remove("ESTD_LOG").output()
    };
    tokio::task::spawn_blocking(run).await.unwrap().unwrap()
}

/// The same, which must succeed; what it wrote to standard output.
pub async fn done(line: &str, folder: &Folder) -> String {
    let output = run(line, folder).await;
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a field, whose name is in lower case.
    pub fn field(&self, name: &str) -> &str {
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
        line.and_then(|line| line.split_once(": ")).unwrap_or_else(|| panic!("no {name} in {}", self.head)).1
    }
}

/// One request without a body; `fields` are lines of its head.
pub async fn get(address: SocketAddr, method: &str, path: &str, fields: &str) -> Answer {
    send(address, method, path, fields, &[]).await
}

/// One request.
pub async fn send(address: SocketAddr, method: &str, path: &str, fields: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let fields = if fields.is_empty() { String::new() } else { format!("{fields}\r\n") };
    let length = if method == "POST" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{length}{fields}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: answer[end + 4..].to_vec() }
}
