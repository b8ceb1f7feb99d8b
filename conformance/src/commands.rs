//! The command line as a newcomer meets it: `estd init`, `estd demo`, `estd check`, help and exit codes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command::{self, openssl, text};
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::server::{Background, Server};
use crate::stage::Stage;

/// Runs the commands; what certificates they made is left in `made`, for the linters.
pub(crate) fn run(stage: &Stage, made: &mut Vec<PathBuf>, matrix: &mut Matrix) {
    let folder = stage.pki.path("commands");
    matrix.case("commands/help-and-exit-codes", || help(stage));
    matrix.case("commands/init", || {
        std::fs::create_dir_all(&folder)?;
        init(stage, &folder.join("init"), made)
    });
    matrix.case("commands/demo-once", || {
        std::fs::create_dir_all(&folder)?;
        demo_once(stage, &folder, made)
    });
    matrix.case("commands/readme-lines", || {
        let folder = folder.join("readme");
        std::fs::create_dir_all(&folder)?;
        readme_lines(stage, &folder)
    });
    matrix.case("commands/demo-lines", || {
        let folder = folder.join("lines");
        std::fs::create_dir_all(&folder)?;
        demo_lines(stage, &folder)
    });
}

fn help(stage: &Stage) -> Check {
    for arguments in [&["--help"][..], &["serve", "--help"], &["init", "--help"], &["ca", "--help"], &["--version"]] {
        let finished = stage.binary.run(arguments)?;
        ensure!(finished.status.success() && !finished.stdout.is_empty(), "estd {arguments:?}: {}", finished.status);
    }
    for arguments in [&["nonsense"][..], &["serve", "--config", "/nonexistent/config.toml"], &["check"]] {
        let finished = stage.binary.run(arguments)?;
        let code = finished.status.code();
        ensure!(matches!(code, Some(1 | 2)), "estd {arguments:?}: expected 1 or 2, came {code:?}");
        ensure!(!finished.text().contains("panicked"), "estd {arguments:?} panics");
    }
    Ok(())
}

/// A production folder: keys for its owner only, a configuration that checks and serves.
fn init(stage: &Stage, folder: &Path, made: &mut Vec<PathBuf>) -> Check {
    use std::os::unix::fs::PermissionsExt as _;
    stage.binary.run(&["init", &text(folder)])?.succeeded("estd init")?;
    for file in files(folder)? {
        if file.extension().is_some_and(|extension| extension == "key") {
            let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
            ensure!(mode == 0o600, "{} has mode {mode:o}", file.display());
        }
    }
    let again = stage.binary.run(&["init", &text(folder)])?;
    ensure!(!again.status.success(), "a second `estd init` overwrites the first");
    collect(folder, made)?;
    let configuration = folder.join("config.toml");
    ensure!(configuration.exists(), "no config.toml");
    // A free port, so that several of these can run.
    let config = String::from_utf8_lossy(&command::read(&configuration)?).into_owned();
    let config: String = config
        .lines()
        .map(|line| match line.split_once('=').map(|(key, _)| key.trim().trim_start_matches("# ")) {
            Some("listen") => "listen = [\"127.0.0.1:0\"]\n".to_owned(),
            Some("status_listen") => "status_listen = \"127.0.0.1:0\"\n".to_owned(),
            _ => format!("{line}\n"),
        })
        .collect();
    command::write(&configuration, config)?;
    stage.binary.run(&["check", "--config", &text(&configuration)])?.succeeded("estd check")?;
    let mut server = Server::start(&stage.binary, &configuration)?;
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--insecure",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
        &server.url("cacerts"),
    ]);
    let status = command::run(&mut curl, &[], command::DEFAULT_LIMIT)?.succeeded("curl")?;
    ensure!(status == b"200", "cacerts: {}", String::from_utf8_lossy(&status));
    let exit = server.stop(Duration::from_secs(20))?;
    ensure!(exit.success(), "SIGTERM: {exit}");
    Ok(())
}

/// One command, one enrolled device.
fn demo_once(stage: &Stage, folder: &Path, made: &mut Vec<PathBuf>) -> Check {
    let mut demo = Command::new(&stage.binary.0);
    demo.args(["demo", "--once", "--listen", "127.0.0.1:0"]).current_dir(folder);
    let finished = command::run(&mut demo, &[], Duration::from_secs(60))?;
    let said = finished.text();
    ensure!(finished.status.success(), "estd demo --once: {} {said}", finished.status);
    ensure!(folder.join("estd-demo/devices/device-0001/operational.pem").exists(), "no certificate: {said}");
    collect(folder, made)
}

/// The lines that the demo prints enroll another device, pasted into a shell as they are; Ctrl-C ends it well.
fn demo_lines(stage: &Stage, folder: &Path) -> Check {
    let mut demo =
        Background::start(Command::new(&stage.binary.0).args(["demo", "--listen", "127.0.0.1:0"]).current_dir(folder))?;
    let said = demo.lines_until("serving until Ctrl-C")?;
    let script: Vec<&str> = said.iter().map(String::as_str).skip_while(|line| !line.starts_with("openssl ")).collect();
    ensure!(!script.is_empty(), "no lines to enroll another device: {}", said.join("\n"));
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &script.join("\n")]).current_dir(folder);
    let shown = command::run(&mut shell, &[], command::DEFAULT_LIMIT)?.succeeded("the demo's lines")?;
    let shown = String::from_utf8_lossy(&shown).into_owned();
    ensure!(shown.contains("device-0002"), "the second device has no certificate of its own: {shown}");
    demo.signal("INT")?;
    let exit = demo.wait(Duration::from_secs(20))?;
    ensure!(exit.success(), "Ctrl-C: {exit}");
    Ok(())
}

/// The README's lines for curl and openssl enroll and renew, as they stand.
fn readme_lines(stage: &Stage, folder: &Path) -> Check {
    let readme = String::from_utf8_lossy(&command::read(Path::new("README.md"))?).into_owned();
    let section = readme.split("**curl and openssl**").nth(1).and_then(|rest| rest.split("**strongSwan**").next());
    let section = section.ok_or_else(|| Problem::failed("README.md has no lines for curl and openssl"))?;
    let blocks: Vec<&str> = section.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    ensure!(blocks.len() == 2, "expected the lines to enroll and those to renew, found {} blocks", blocks.len());
    let url = stage.own.server.url("");
    let script = blocks.concat().replace("https://est.example.com:8443/.well-known/est", url.trim_end_matches('/'));
    let birth = stage.pki.identity("birth-p256");
    for (file, name) in [(&stage.own.anchor, "root.pem"), (&birth.chain, "birth.pem"), (&birth.key, "birth.key")] {
        command::write(&folder.join(name), command::read(file)?)?;
    }
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &script]).current_dir(folder);
    command::run(&mut shell, &[], command::DEFAULT_LIMIT)?.succeeded("the README's lines")?;
    for certificate in ["device.pem", "renewed.pem"] {
        let said = openssl(["x509", "-noout", "-subject", "-in", &text(&folder.join(certificate))], &[])?;
        let said = String::from_utf8_lossy(&said).into_owned();
        ensure!(said.contains("SN-P256"), "{certificate}: {said}");
    }
    Ok(())
}

/// Every certificate below `folder`, each in a file of its own.
fn collect(folder: &Path, made: &mut Vec<PathBuf>) -> Check {
    for file in files(folder)? {
        let content = command::read(&file)?;
        let pem = String::from_utf8_lossy(&content).into_owned();
        for (number, part) in pem.split("-----BEGIN CERTIFICATE-----").skip(1).enumerate() {
            let copy = file.with_extension(format!("{number}.single"));
            command::write(&copy, format!("-----BEGIN CERTIFICATE-----{part}"))?;
            openssl(["x509", "-in", &text(&copy), "-noout", "-text"], &[])?;
            made.push(copy);
        }
    }
    ensure!(!made.is_empty(), "no certificate was made below {}", folder.display());
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "pem" || extension == "key" || extension == "crt")
        {
            found.push(path);
        }
    }
    Ok(found)
}
