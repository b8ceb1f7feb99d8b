//! Backups: taken while devices enroll, refused when anything in them was changed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/served.rs"]
mod served;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use estd::backup::{Backup, BackupError};
use estd::store::sled::verify;
use served::*;

/// Devices that enroll at once.
const DEVICES: usize = 4;

fn create(config: &str, to: &Path) -> String {
    run(&["backup", "create", "--config", config, "--to", to.to_str().unwrap()])
}

fn checked(path: &Path) -> Result<Backup, BackupError> {
    Backup::verify(path, &mut |_| ())
}

/// Devices enroll for as long as `meanwhile` takes, and a little; what they got.
fn under_load<T>(site: &Site, server: &Served, meanwhile: impl FnOnce() -> T) -> (Vec<Device>, T) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let devices: Vec<_> = (0..DEVICES)
            .map(|number| {
                let over = &over;
                scope.spawn(move || {
                    let birth = site.birth(&format!("SN-{number}"));
                    let mut issued = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        match server.enroll(&birth, "simpleenroll") {
                            Ok(device) => issued.push(device),
                            Err(None) => break,
                            Err(Some(refusal)) => panic!("{refusal}"),
                        }
                    }
                    issued
                })
            })
            .collect();
        let came = meanwhile();
        over.store(true, Ordering::Relaxed);
        (devices.into_iter().flat_map(|device| device.join().unwrap()).collect(), came)
    })
}

#[test]
fn a_backup_taken_under_load_is_the_journal_up_to_a_record_and_holds_no_key() {
    let site = Site::new();
    fs::create_dir(site.folder.join("manufacturers-to-come")).unwrap();
    let config = fs::read_to_string(site.config()).unwrap();
    let config = config.replace("[\"manufacturers\"]", "[\"manufacturers\", \"manufacturers-to-come\"]");
    fs::write(site.config(), config).unwrap();
    let server = site.serve();
    let (first, second) = (site.beside("first.tar"), site.beside("second.tar"));
    under_load(&site, &server, || {
        create(&site.config(), &first);
        create(&site.config(), &second);
    });
    server.stop();

    let (before, after) = (checked(&first).unwrap(), checked(&second).unwrap());
    assert!(before.contents().certificates > 0 && before.head().sequence < after.head().sequence);
    let journal = fs::read(site.folder.join("data/journal")).unwrap();
    let archived = fs::read(&second).unwrap();
    let prefix = &journal[..after.head().end as usize];
    assert!(archived.windows(prefix.len()).any(|window| window == prefix), "octet for octet");
    assert!(!archived.windows(11).any(|window| window == b"PRIVATE KEY"));
    let manifest = after.manifest();
    assert_eq!(manifest.left_out, ["configuration/ca/issuing.key"]);
    assert_eq!((manifest.main.as_str(), manifest.data_dir.as_str()), ("configuration/config.toml", "data"));
    assert!(manifest.folders.contains(&"configuration/manufacturers-to-come".to_owned()));
    let names: Vec<_> = manifest.files.iter().map(|file| file.name.trim_start_matches("configuration/")).collect();
    assert_eq!(names, ["ca/issuing.pem", "ca/root.pem", "config.toml", "manufacturers/maker.pem"]);
    assert_eq!(fs::metadata(&second).unwrap().permissions().mode() & 0o777, 0o600);

    let said = run(&["backup", "verify", second.to_str().unwrap()]);
    assert!(said.contains("the backup is whole") && said.contains("ca/issuing.key"), "{said}");
    let (head, data) = (after.head(), site.folder.join("data"));
    assert!(said.contains(&format!("head {}:", head.sequence)), "{said}");
    verify(&data, &[(head.sequence, head.hash)]).unwrap();
    // Anybody can look into it.
    let listed = Command::new("tar").arg("-tf").arg(&second).output().unwrap();
    assert!(text(&listed).ends_with("journal\nSHA256\n"), "{}", text(&listed));
}

#[test]
fn whatever_is_changed_in_a_backup_it_is_refused() {
    let site = Site::new();
    let server = site.serve();
    let whole = site.beside("whole.tar");
    create(&site.config(), &whole);
    server.stop();
    let octets = fs::read(&whole).unwrap();
    let changed = site.beside("changed.tar");
    let refused = |octets: &[u8], what: &str| {
        fs::write(&changed, octets).unwrap();
        match checked(&changed) {
            Ok(_) => panic!("{what} was accepted"),
            Err(error @ BackupError::NotWhole { .. }) => drop(error),
            Err(other) => panic!("{what}: {other}"),
        }
    };
    for at in (0..octets.len()).step_by(octets.len() / 400).chain(octets.len() - 2048..octets.len()) {
        let mut flipped = octets.clone();
        flipped[at] ^= 1 << (at % 8);
        refused(&flipped, &format!("bit {} of octet {at}", at % 8));
    }
    for left in [0, 1, 2047, 2048, octets.len() / 2, octets.len() - 512, octets.len() - 1] {
        refused(&octets[..left], &format!("the first {left} octets"));
    }
    refused(&[&octets[..], &[0; 512]].concat(), "a block more");
    fs::write(&changed, &octets).unwrap();
    checked(&changed).unwrap();
}

#[test]
fn what_is_not_whole_leaves_no_file_and_what_is_there_is_not_overwritten() {
    let site = Site::new();
    let server = site.serve();
    // More than sockets and the server hold ready, so that a backup waits for who takes it.
    for batch in 0..3 {
        let rows: String = (0..10_000).map(|number| format!("SN-{batch}-{number:05},a-tag-of-some-length\n")).collect();
        let path = format!("/tenants/{}/devices", server.tenant());
        let imported =
            server.ask("POST", &path, "Content-Type: text/csv\r\n", format!("id,tags\n{rows}").as_bytes()).unwrap();
        assert_eq!(imported.0, 200);
    }
    let socket = site.folder.join("data/admin.sock");
    let mut slow = UnixStream::connect(&socket).unwrap();
    slow.write_all(b"POST /api/v1/backup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").unwrap();
    slow.read_exact(&mut [0; 64]).unwrap();
    let (status, problem) = server.ask("POST", "/backup", "", b"").unwrap();
    assert_eq!(status, 409, "one at a time: {}", String::from_utf8_lossy(&problem));
    let target = site.beside("b.tar");
    let to = target.to_str().unwrap().to_owned();
    let failed = estd(&["backup", "create", "--config", &site.config(), "--to", &to]);
    assert!(!failed.status.success() && text(&failed).contains("another backup"), "{}", text(&failed));
    drop(slow);
    let keyed = server.ask("POST", "/backup", "Idempotency-Key: k-1\r\n", b"").unwrap();
    assert_eq!(keyed.0, 400);

    let patience = 200;
    let free = (0..patience).find(|_| {
        thread::sleep(std::time::Duration::from_millis(20));
        server.ask("POST", "/backup", "", b"").is_some_and(|(status, _)| status == 200)
    });
    assert!(free.is_some(), "whoever goes away gives the place back");
    let left = || -> Vec<PathBuf> {
        let entries = fs::read_dir(site.folder.parent().unwrap()).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(|path| *path != site.folder).collect()
    };
    // A disk that takes 64 blocks of 512 octets and no more.
    let script = format!("ulimit -f 64; trap '' XFSZ; exec {} backup create --to {to}", env!("CARGO_BIN_EXE_estd"));
    let full = Command::new("sh").args(["-c", &script]).env("ESTD_CONFIG", site.config()).output().unwrap();
    assert!(!full.status.success() && text(&full).contains("cannot write"), "{}", text(&full));
    assert_eq!(left(), Vec::<PathBuf>::new());
    // A file of the configuration went away since.
    fs::rename(site.folder.join("ca/root.pem"), site.folder.join("ca/root.bak")).unwrap();
    let (status, problem) = server.ask("POST", "/backup", "", b"").unwrap();
    assert_eq!(status, 409);
    assert!(String::from_utf8_lossy(&problem).contains("ca/root.pem"));
    fs::rename(site.folder.join("ca/root.bak"), site.folder.join("ca/root.pem")).unwrap();

    fs::write(&target, "thesis").unwrap();
    let exists = estd(&["backup", "create", "--config", &site.config(), "--to", &to]);
    assert!(!exists.status.success() && text(&exists).contains("exists already"), "{}", text(&exists));
    assert_eq!(fs::read(&target).unwrap(), b"thesis");
    fs::remove_file(&target).unwrap();
    create(&site.config(), &target);
    checked(&target).unwrap();
    server.stop();
}
