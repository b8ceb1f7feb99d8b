//! A full disk: the server says so, loses nothing, and heals when there is room again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::certificate::issued;
use crate::clock::Deadline;
use crate::command::{self, DEFAULT_LIMIT, text};
use crate::config::{self, Variant};
use crate::crash::data_folder;
use crate::http::{Client, get};
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::server::Server;
use crate::stage::Stage;

/// Enough for an index and a journal to start with, little enough to fill.
const SIZE: &str = "size=48m";
const HEAL: Duration = Duration::from_secs(10);

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("crash/full-disk", || full_disk(stage));
}

/// A small file system; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: PathBuf) -> Result<Self, Problem> {
        std::fs::create_dir_all(&folder)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SIZE, "tmpfs", &text(&folder)]);
        let finished = command::run(&mut mount, &[], DEFAULT_LIMIT)?;
        if !finished.status.success() {
            return Err(Problem::not_run(format!("cannot mount a tmpfs: {}", finished.text().trim())));
        }
        Ok(Self(folder))
    }

    /// Takes all the room that is left.
    fn fill(&self) -> Result<PathBuf, Problem> {
        let file = self.0.join("filler");
        // Ends with an error when the disk is full: just so.
        let mut dd = Command::new("dd");
        dd.args(["if=/dev/zero", &format!("of={}", file.display()), "bs=4k", "oflag=append", "conv=notrunc"]);
        command::run(&mut dd, &[], DEFAULT_LIMIT)?;
        Ok(file)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        umount.args(["--lazy", &text(&self.0)]);
        // A mount that stays is visible to whoever looks; nothing else can be done here.
        drop(command::run(&mut umount, &[], DEFAULT_LIMIT));
    }
}

fn full_disk(stage: &Stage) -> Check {
    let configuration = config::write_folder(&stage.pki.path("full-disk"), &stage.pki, Variant::Own)?;
    let disk = SmallDisk::mount(data_folder(&configuration))?;
    let mut server = Server::start(&stage.binary, &configuration)?;
    let outcome = exhaust(stage, &server, &disk);
    server.stop(Duration::from_secs(20))?;
    outcome?;
    verify(stage, &configuration)
}

fn exhaust(stage: &Stage, server: &Server, disk: &SmallDisk) -> Check {
    let identity = stage.pki.identity("birth-p256");
    let client = Client::new(server.address, &stage.own.anchor, Some(&identity))?;
    let before = stage.request("/", &[])?;
    let first = issued(&client.post("simpleenroll", &before.der)?)?;
    let filler = disk.fill()?;
    // What the journal has allocated already may still hold some records.
    let mut unlucky = None;
    for _ in 0..400 {
        let request = stage.request("/", &[])?;
        let response = client.post("simpleenroll", &request.der)?;
        if response.status != 200 {
            unlucky = Some((request, response));
            break;
        }
        disk.fill()?;
    }
    let Some((request, response)) = unlucky else {
        return Err(Problem::failed("400 certificates were issued with no room on the disk"));
    };
    ensure!(response.status == 503, "a full disk: expected 503, came {}: {}", response.status, response.text());
    let after = response.header("Retry-After").unwrap_or_default();
    ensure!(after.parse::<u32>().is_ok(), "Retry-After is not a number of seconds: {after:?}");
    ensure!(client.exchange(&get("cacerts"))?.status == 200, "cacerts need no disk");
    std::fs::remove_file(filler)?;
    let deadline = Deadline::after(HEAL);
    loop {
        let response = client.post("simpleenroll", &request.der)?;
        if response.status == 200 {
            break;
        }
        ensure!(!deadline.passed(), "no healing within {HEAL:?}: {} {}", response.status, response.text());
        std::thread::sleep(Duration::from_millis(100));
    }
    let again = issued(&client.post("simpleenroll", &before.der)?)?;
    ensure!(again.der == first.der, "what was answered before the disk was full is not known any more");
    Ok(())
}

fn verify(stage: &Stage, configuration: &Path) -> Check {
    let finished = stage.binary.run(&["journal", "verify", "--config", &text(configuration)])?;
    ensure!(finished.status.success(), "estd journal verify: {}", finished.text());
    Ok(())
}
