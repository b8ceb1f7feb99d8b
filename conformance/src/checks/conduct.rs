//! How the server behaves: limits in time, reload, the status listener, what it writes down.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::refused;
use crate::clock::{Deadline, Stopwatch};
use crate::command::{read, text, write};
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::stage::{Stage, own_subject};

/// The second server's limits, and some slack; see [`crate::config`].
const LIMIT: Duration = Duration::from_secs(6);

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("conduct/half-open-connections", || half_open(stage));
    matrix.case("conduct/slow-head", || slow(stage, b"GET /.well-known/est/cacerts HTTP/1.1\r\nHo"));
    matrix.case("conduct/slow-body", || {
        slow(stage, b"POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: a\r\nContent-Type: application/pkcs10\r\nContent-Length: 99\r\n\r\nMII")
    });
    matrix.case("conduct/idle", || slow(stage, b""));
    matrix.case("conduct/status-listener", || status(stage));
    matrix.case("conduct/check-reports-all", || check_reports_all(stage));
    matrix.case("conduct/loose-key-refused", || loose_key(stage));
    matrix.case("conduct/wrong-ca-key-refused", || wrong_key(stage));
    matrix.case("conduct/reload", || reload(stage));
    matrix.case("conduct/refusals-leave-an-event", || audited(stage));
    matrix.case("conduct/no-secrets-in-logs", || no_secrets(stage));
}

/// SEC-02: whoever says nothing is let go, and a device is served meanwhile.
fn half_open(stage: &Stage) -> Check {
    let address = stage.foreign.server.address;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(address)?);
    }
    let watch = Stopwatch::start();
    // Another address, so that the limit of connections per address does not count against it.
    let served = Deadline::after(LIMIT);
    while stage.foreign_client(None)?.get("cacerts").is_err() {
        ensure!(!served.passed(), "no device is served while others say nothing");
        std::thread::sleep(Duration::from_millis(100));
    }
    for socket in &mut silent {
        socket.set_read_timeout(Some(LIMIT.saturating_sub(watch.elapsed()).max(Duration::from_millis(1))))?;
        let closed = match socket.read(&mut [0; 64]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        ensure!(closed, "a connection without a handshake stays open for {:?}", watch.elapsed());
    }
    Ok(())
}

/// A request that never ends is answered 408 or cut off.
fn slow(stage: &Stage, beginning: &[u8]) -> Check {
    let birth = stage.pki.identity("birth-p256");
    let mut connection = stage.foreign_client(Some(&birth))?.connect()?;
    // Completes the handshake.
    connection.exchange(&crate::http::get("cacerts"))?;
    connection.send(beginning)?;
    let watch = Stopwatch::start();
    match connection.receive() {
        Ok(response) => ensure!(response.status == 408, "expected 408 or the end, came {}", response.status),
        Err(Problem::Failed(message)) => ensure!(message.contains("ended"), "{message}"),
        Err(other) => return Err(other),
    }
    ensure!(watch.elapsed() < LIMIT, "cut off only after {:?}", watch.elapsed());
    Ok(())
}

pub(crate) fn plain(stage: &Stage, path: &str) -> Result<String, Problem> {
    let mut socket = TcpStream::connect(stage.own.server.status)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

fn status(stage: &Stage) -> Check {
    ensure!(stage.own.server.status.ip().is_loopback(), "the status listener is not on a loopback address");
    let health = plain(stage, "/healthz")?;
    ensure!(health.starts_with("HTTP/1.1 200"), "/healthz: {health}");
    let metrics = plain(stage, "/metrics")?;
    ensure!(metrics.starts_with("HTTP/1.1 200") && metrics.contains("# TYPE estd_"), "/metrics: {metrics}");
    ensure!(!metrics.contains("SN-P256"), "a device stands in the metrics");
    Ok(())
}

/// `estd check` tells every problem at once and ends with 1.
fn check_reports_all(stage: &Stage) -> Check {
    let good = stage.binary.run(&["check", "--config", &text(&stage.own.configuration)])?;
    ensure!(good.status.success(), "the configuration in use does not check: {}", good.text());
    let broken = crate::config::text(crate::config::Variant::Own)
        .replace("default_label = \"devices\"", "default_label = \"nobody\"")
        .replace("validity = \"398d\"", "validity = \"soon\"")
        .replace("authority = \"single\"", "authority = \"none\"");
    let path = stage.own.configuration.with_file_name("broken.toml");
    write(&path, broken)?;
    let finished = stage.binary.run(&["check", "--config", &text(&path)])?;
    ensure!(finished.status.code() == Some(1), "expected exit status 1, came {}", finished.status);
    ensure!(finished.text().contains("soon"), "the validity is not reported: {}", finished.text());
    let misspelt = crate::config::text(crate::config::Variant::Own)
        .replace("default_label = \"devices\"", "default_label = \"nobody\"")
        .replace("authority = \"single\"", "authority = \"none\"");
    write(&path, misspelt)?;
    let finished = stage.binary.run(&["check", "--config", &text(&path)])?;
    ensure!(finished.status.code() == Some(1), "expected exit status 1, came {}", finished.status);
    for word in ["nobody", "none"] {
        ensure!(finished.text().contains(word), "{word} is not reported: {}", finished.text());
    }
    Ok(())
}

/// A key file that others can read is refused.
fn loose_key(stage: &Stage) -> Check {
    use std::os::unix::fs::PermissionsExt as _;
    let loose = stage.own.configuration.with_file_name("ca").join("loose.key");
    write(&loose, read(&stage.pki.identity("issuing-p256").key)?)?;
    std::fs::set_permissions(&loose, std::fs::Permissions::from_mode(0o644))?;
    check_fails(stage, "ca/issuing-p256.key", "ca/loose.key", "loose.key")
}

/// X509-17: a key that is not the CA certificate's signs nothing.
fn wrong_key(stage: &Stage) -> Check {
    check_fails(stage, "ca/issuing-p256.key", "ca/single.key", "p256")
}

fn check_fails(stage: &Stage, from: &str, to: &str, told: &str) -> Check {
    let path = stage.own.configuration.with_file_name("changed.toml");
    write(&path, crate::config::text(crate::config::Variant::Own).replace(from, to))?;
    let finished = stage.binary.run(&["check", "--config", &text(&path)])?;
    ensure!(finished.status.code() == Some(1), "expected exit status 1, came {}: {}", finished.status, finished.text());
    ensure!(finished.text().contains(told), "{told} is not named: {}", finished.text());
    Ok(())
}

/// SIGHUP: a broken configuration changes nothing, a good one takes effect, and no connection is dropped.
fn reload(stage: &Stage) -> Check {
    let running = &stage.own;
    let good = read(&running.configuration)?;
    let mut connection = stage.client(None)?.connect()?;
    let wait_for = |path: &str, status: u16| {
        let deadline = Deadline::after(Duration::from_secs(10));
        loop {
            let came = stage.client(None)?.get(path)?.status;
            if came == status {
                return Ok(());
            }
            ensure!(!deadline.passed(), "{path}: expected {status} after SIGHUP, came {came}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let more = format!(
        "{}\n[[tenant.label]]\nname = \"later\"\nauthority = \"p256\"\nprofile = \"device\"\nbirth_anchors = []\n\
         identity = \"common-name\"\n",
        String::from_utf8_lossy(&good)
    );
    write(&running.configuration, "[server\n")?;
    running.server.signal("HUP")?;
    std::thread::sleep(Duration::from_millis(300));
    let outcome = wait_for("devices/cacerts", 200).and_then(|()| {
        write(&running.configuration, more)?;
        running.server.signal("HUP")?;
        wait_for("later/cacerts", 200)
    });
    write(&running.configuration, &good)?;
    running.server.signal("HUP")?;
    outcome?;
    wait_for("later/cacerts", 404)?;
    let status = connection.exchange(&crate::http::get("cacerts"))?.status;
    ensure!(status == 200, "the connection opened before the reload: {status}");
    Ok(())
}

/// SEC-03: one refusal is one event in the journal, and tells the code.
fn audited(stage: &Stage) -> Check {
    let before = events(stage)?;
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    refused(&stage.client(None)?.post("simpleenroll", &request.der)?, 403, &["auth_missing"])?;
    let deadline = Deadline::after(Duration::from_secs(5));
    loop {
        let after = events(stage)?;
        if after == (before.0 + 1, before.1 + 1) {
            return Ok(());
        }
        ensure!(!deadline.passed(), "events and auth_missing before {before:?}, after one refusal {after:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// How many events `estd journal verify` counts, and how often the journal says `auth_missing`.
fn events(stage: &Stage) -> Result<(usize, usize), Problem> {
    let verified = stage.binary.run(&["journal", "verify", "--config", &text(&stage.own.configuration)])?;
    let said = String::from_utf8_lossy(&verified.succeeded("estd journal verify")?).into_owned();
    let mut words = said.split(", ").filter_map(|part| part.strip_suffix(" other events"));
    let count = words.next().and_then(|word| word.parse().ok());
    let count = count.ok_or_else(|| Problem::failed(format!("no count of events: {said}")))?;
    let code = b"auth_missing";
    let mut told = 0;
    for file in std::fs::read_dir(crate::crash::data_folder(&stage.own.configuration))? {
        let path = file?.path();
        if path.is_file() {
            told += read(&path)?.windows(code.len()).filter(|window| window == code).count();
        }
    }
    Ok((count, told))
}

fn no_secrets(stage: &Stage) -> Check {
    for running in [&stage.own, &stage.foreign] {
        let log = String::from_utf8_lossy(&read(&running.server.log)?).into_owned();
        for secret in ["PRIVATE KEY", "panicked"] {
            ensure!(!log.contains(secret), "the log says {secret:?}");
        }
    }
    Ok(())
}
