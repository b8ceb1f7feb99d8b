//! What operators wait for when there are a million certificates: lists, searches, figures and an import, and what is resident.
//!
//! `cargo bench --bench scale [-- CERTIFICATES]` fills a store, starts the built server on it and asks its local socket.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on has failed, and says what it found"
)]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use estd::audit::{AuditEvent, AuditOutcome};
use estd::clock::{Clock as _, SystemClock};
use estd::config::Config;
use estd::pki::digest::sha256;
use estd::store::device::{DeviceRecord, LatestCertificate};
use estd::store::sled::{SledStore, StoreOptions};
use estd::store::{CertificateId, CertificateRecord, CertificateStore, Claim, RequestKey};

/// Certificates without an argument.
const CERTIFICATES: u64 = 1_000_000;
/// Requests of each kind.
const REQUESTS: u64 = 400;
/// Rows of the import.
const ROWS: u64 = 10_000;

fn main() {
    let given = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let certificates = given.unwrap_or(CERTIFICATES);
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("est");
    let arguments = ["estd", "init", folder.to_str().expect("a path"), "--listen", "127.0.0.1:0", "--tenant", "acme"];
    estd::cli::run(arguments.map(Into::into));
    let path = folder.join("config.toml");
    let text = fs::read_to_string(&path).expect("a configuration");
    let text = text.replace("# status_listen = \"127.0.0.1:9443\"", "status_listen = \"127.0.0.1:0\"");
    fs::write(&path, text).expect("a configuration");
    let config = Config::load(&path, SystemClock.now()).expect("a configuration");
    let issuer = &config.authorities[0].authority;
    let (issuer, der) = (issuer.issuer_id(), issuer.certificate().der().to_vec());
    let started = Instant::now();
    fill(&folder.join("data"), certificates, issuer, &der);
    println!("filled with {certificates} certificates and as many devices in {:.0?}", started.elapsed());

    let mut server = serve(&path);
    let socket = folder.join("data/admin.sock");
    println!("resident at the start: {} MB", resident(&server));
    ask_all(&socket, certificates);
    let csv: String = (0..ROWS).map(|row| format!("NEW-{row:06},batch;north\n")).collect();
    let started = Instant::now();
    let (status, _) = ask(&socket, "POST", "/tenants/acme/devices", Some(&format!("id,tags\n{csv}")));
    println!("import of {ROWS} rows: {:.0?} (status {status})", started.elapsed());
    println!("resident at the end: {} MB", resident(&server));
    server.kill().and_then(|()| server.wait()).expect("an end");
}

/// The address of the request of a number.
type Address<'a> = dyn Fn(u64) -> String + 'a;

fn ask_all(socket: &Path, certificates: u64) {
    let now = SystemClock.now();
    let some = |number: u64| (number * 7_919) % certificates;
    let later =
        |number: u64| (now + TimeDelta::hours(i64::try_from(some(number) % 9_000).expect("hours"))).format("%FT%TZ");
    let serial =
        |number: u64| named(0, some(number))[..20].iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let kinds: [(&str, Box<Address<'_>>); 8] = [
        ("certificates, first page of 100", Box::new(|_| "/tenants/acme/certificates".to_owned())),
        (
            "certificates that end after a time",
            Box::new(|number| format!("/tenants/acme/certificates?ends_after={}", later(number))),
        ),
        (
            "certificate by serial number",
            Box::new(|number| format!("/tenants/acme/certificates?serial={}", serial(number))),
        ),
        ("devices by prefix", Box::new(|number| format!("/tenants/acme/devices?prefix=sn-{:010}", some(number) / 100))),
        ("one device", Box::new(|number| format!("/tenants/acme/devices/SN-{:012}", some(number)))),
        ("events of a device", Box::new(|number| format!("/tenants/acme/devices/SN-{:012}/events", some(number)))),
        ("figures of 30 days", Box::new(|_| "/tenants/acme/statistics".to_owned())),
        ("certificates that end, 400 days", Box::new(|_| "/tenants/acme/statistics/expiry?days=400".to_owned())),
    ];
    println!("{:<40} {:>9} {:>9} {:>9}", "", "p50", "p99", "most");
    for (what, path) in kinds {
        let mut took: Vec<Duration> = (0..REQUESTS)
            .map(|number| {
                let path = path(number);
                let started = Instant::now();
                let (status, _) = ask(socket, "GET", &path, None);
                assert_eq!(status, 200, "{path}");
                started.elapsed()
            })
            .collect();
        took.sort_unstable();
        let at = |share: usize| took[(took.len() - 1) * share / 100];
        println!("{what:<40} {:>9.1?} {:>9.1?} {:>9.1?}", at(50), at(99), at(100));
    }
    // Fits next to nothing: as many rows are looked at as are for one page.
    let started = Instant::now();
    ask(socket, "GET", "/tenants/acme/certificates?device=nothing-like-it", None);
    println!("a filter that fits nothing, one page: {:.1?}", started.elapsed());
}

fn ask(socket: &Path, method: &str, path: &str, csv: Option<&str>) -> (u16, Vec<u8>) {
    let mut stream = UnixStream::connect(socket).expect("a socket");
    let body = csv.unwrap_or_default();
    let length =
        csv.map(|csv| format!("Content-Type: text/csv\r\nContent-Length: {}\r\n", csv.len())).unwrap_or_default();
    let head = format!("{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{length}\r\n");
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let status =
        answer.get(9..12).and_then(|status| std::str::from_utf8(status).ok()).and_then(|status| status.parse().ok());
    (status.expect("a status"), answer)
}

fn serve(config: &Path) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_estd"))
        .args(["serve", "--log", "error", "--config"])
        .arg(config)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a server");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("it listens");
    child
}

/// Megabytes.
fn resident(server: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its size");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1_000
}

fn named(domain: u8, serial: u64) -> [u8; 32] {
    sha256(&[&[domain], &serial.to_be_bytes()])
}

fn fill(folder: &Path, records: u64, issuer: [u8; 32], der: &[u8]) {
    let options = StoreOptions { sync_pause: Duration::ZERO, ..StoreOptions::default() };
    let store = SledStore::open(folder, options).expect("a store");
    let serial = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..512 {
            scope.spawn(|| {
                loop {
                    let serial = serial.fetch_add(1, Ordering::Relaxed);
                    if serial >= records {
                        break;
                    }
                    record(&store, serial, issuer, der);
                }
            });
        }
    });
}

fn record(store: &SledStore, serial: u64, issuer: [u8; 32], der: &[u8]) {
    // Issued over the last year, one after the other.
    let now = SystemClock.now()
        - TimeDelta::seconds(i64::try_from(serial * 31_000_000 / CERTIFICATES.max(serial + 1)).expect("seconds"));
    let record = CertificateRecord {
        id: CertificateId { issuer, serial: named(0, serial)[..20].to_vec() },
        request: RequestKey(named(1, serial)),
        tenant: "acme".into(),
        label: "devices".into(),
        device: format!("SN-{serial:012}"),
        spki_sha256: named(2, serial),
        renews: None,
        issued_at: now,
        not_after: now + TimeDelta::days(398),
        der: der.to_vec(),
        credential: None,
    };
    let latest = LatestCertificate {
        id: record.id.clone(),
        label: record.label.clone(),
        spki_sha256: record.spki_sha256,
        not_after: record.not_after,
    };
    let mut device = DeviceRecord::listed(record.device.clone(), now);
    device.note_latest(latest);
    let event = AuditEvent {
        at: now,
        request_id: "0123456789abcdef".into(),
        source: "192.0.2.1:49152".into(),
        tenant: "acme".into(),
        label: "devices".into(),
        operation: "simpleenroll".into(),
        peer: Some(named(4, serial)),
        device: Some(record.device.clone()),
        actor: None,
        credential: None,
        outcome: AuditOutcome::Issued { serial: record.id.serial.clone(), repeated: false, generated_key: None },
    };
    let Ok(Claim::Granted(claim)) = store.claim(&record.request, DateTime::<Utc>::MIN_UTC) else {
        panic!("serials are used once")
    };
    let facts = vec![device.to_fact("acme")];
    store.record_issued(claim, record, facts, event).and_then(|receipt| receipt.wait()).expect("durable");
}
