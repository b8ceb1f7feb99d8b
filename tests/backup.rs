//! Backups: taken while devices enroll, refused when anything in them was changed, and restored after the server died.

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

    let answer_once_free = || {
        let patience = 200;
        let mut answers = (0..patience).filter_map(|_| {
            thread::sleep(std::time::Duration::from_millis(20));
            let (status, answer) = server.ask("POST", "/backup", "", b"").unwrap();
            let answer = String::from_utf8_lossy(&answer).into_owned();
            (status != 409 || !answer.contains("another backup")).then_some((status, answer))
        });
        answers.next().unwrap_or_else(|| panic!("whoever goes away gives the place back"))
    };
    assert_eq!(answer_once_free().0, 200);
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
    let (status, problem) = answer_once_free();
    assert!(status == 409 && problem.contains("ca/root.pem"), "{status} {problem}");
    fs::rename(site.folder.join("ca/root.bak"), site.folder.join("ca/root.pem")).unwrap();

    fs::write(&target, "thesis").unwrap();
    let exists = estd(&["backup", "create", "--config", &site.config(), "--to", &to]);
    assert!(!exists.status.success() && text(&exists).contains("exists already"), "{}", text(&exists));
    assert_eq!(fs::read(&target).unwrap(), b"thesis");
    fs::remove_file(&target).unwrap();
    // One that was killed left its draft behind, or a stranger put a pipe there that nobody reads.
    let draft = site.beside("b.tar.estd-draft");
    for put in ["echo half >", "mkfifo"] {
        let estd = env!("CARGO_BIN_EXE_estd");
        let script = format!("{put} {} && exec timeout 60 {estd} backup create --to {to}", draft.display());
        let made = Command::new("sh").args(["-c", &script]).env("ESTD_CONFIG", site.config()).output().unwrap();
        assert!(made.status.success(), "{}", text(&made));
        checked(&target).unwrap();
        assert_eq!(left(), std::slice::from_ref(&target));
        fs::remove_file(&target).unwrap();
    }
    server.stop();
}

/// Restores with these arguments, and puts the one key back.
fn restore(site: &Site, from: &Path, to: &Path, arguments: &[&str]) -> String {
    let fixed = ["restore", "--from", from.to_str().unwrap(), "--to", to.to_str().unwrap()];
    let said = run(&[&fixed[..], arguments].concat());
    let key = to.join("ca/issuing.key");
    assert!(said.contains(&format!("a key to be put back: {}", key.display())), "{said}");
    fs::copy(site.folder.join("ca/issuing.key"), key).unwrap();
    said
}

/// Whether a certificate is on record.
fn is_known(server: &Served, device: &Device) -> bool {
    let path = format!("/tenants/{}/certificates?serial={}", server.tenant(), hex_upper(device.certificate.serial()));
    !server.get(&path)["items"].as_array().unwrap().is_empty()
}

#[test]
fn the_drill_a_server_that_died_goes_on_elsewhere_and_nothing_acknowledged_is_lost() {
    let site = Site::new();
    let server = site.serve();
    let tenant = server.tenant();
    let thief = server.enroll(&site.birth("SN-thief"), "simpleenroll").unwrap();
    let lost = server.enroll(&site.birth("SN-lost"), "simpleenroll").unwrap();
    server.post(&format!("/tenants/{tenant}/devices/SN-thief/revoke"), r#"{"reason":"keyCompromise"}"#);
    let backup = site.beside("drill.tar");
    let (issued, number) = under_load(&site, &server, || {
        create(&site.config(), &backup);
        // What comes after the backup is in the journal of the dead server alone.
        server.post(&format!("/tenants/{tenant}/devices/SN-lost/revoke"), r#"{"reason":"cessationOfOperation"}"#);
        thread::sleep(std::time::Duration::from_millis(1500));
        server.crl(&thief.certificate).0
    });
    server.kill();

    let to = site.beside("restored");
    let (from, target) = (backup.to_str().unwrap(), to.to_str().unwrap());
    let silent = estd(&["restore", "--from", from, "--to", target]);
    assert!(!silent.status.success() && text(&silent).contains("--accept-loss"), "{}", text(&silent));
    assert!(!to.exists(), "nothing was written");
    let data = site.folder.join("data");
    let said = restore(&site, &backup, &to, &["--replaces", data.to_str().unwrap()]);
    let carried: u64 = said.split("has ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(carried > 0, "{said}");

    let restored = Served::start(&to);
    for device in issued.iter().chain([&thief, &lost]) {
        assert!(is_known(&restored, device));
    }
    for device in issued.iter().step_by(issued.len().div_ceil(12)) {
        restored.enroll(device, "simplereenroll").unwrap();
    }
    for revoked in [&thief, &lost] {
        let refused = restored.enroll(revoked, "simplereenroll").err().flatten().unwrap();
        assert!(refused.contains("revoked"), "{refused}");
    }
    let (above, crl) = restored.crl(&thief.certificate);
    assert!(above > number, "{above} after {number}");
    for revoked in [&thief, &lost] {
        assert!(crl.contains(&hex_upper(revoked.certificate.serial())), "{crl}");
    }
    let events = restored.get("/events?limit=1000");
    assert!(events.to_string().contains("records, ") && events.to_string().contains("nothing is lost"));
    restored.stop();
    run(&["journal", "verify", "--data-dir", to.join("data").to_str().unwrap()]);
}

#[test]
fn what_the_dead_server_no_longer_has_is_told_and_lost_only_with_leave() {
    let site = Site::new();
    let server = site.serve();
    let before = server.enroll(&site.birth("SN-before"), "simpleenroll").unwrap();
    let backup = site.beside("b.tar");
    create(&site.config(), &backup);
    let after = server.enroll(&site.birth("SN-after"), "simpleenroll").unwrap();
    let number = server.crl(&before.certificate).0;
    let (from, to) = (backup.to_str().unwrap(), site.beside("restored"));
    let data = site.folder.join("data");
    let replacing = ["restore", "--from", from, "--to", to.to_str().unwrap(), "--replaces", data.to_str().unwrap()];
    let refused = |arguments: &[&str], why: &str| {
        let output = estd(arguments);
        assert!(!output.status.success() && text(&output).contains(why), "{why}: {}", text(&output));
        assert!(!to.exists(), "nothing was written");
    };
    refused(&replacing, "another process uses this journal");
    server.kill();

    // The last record of the dead server is damaged: it was acknowledged.
    let journal = data.join("journal");
    let whole = fs::read(&journal).unwrap();
    let mut damaged = whole.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(&journal, &damaged).unwrap();
    refused(&replacing, "records of the server that is replaced would be lost");
    // Another server's journal.
    let other = Site::new();
    other.serve().stop();
    let others = other.folder.join("data");
    refused(&[&replacing[..6], &[others.to_str().unwrap()]].concat(), "not the journal that the backup was taken of");

    // A folder that holds something, and a disk that is full.
    fs::create_dir(&to).unwrap();
    fs::write(to.join("thesis.txt"), "all of it").unwrap();
    let occupied = estd(&[&replacing[..5], &["--accept-loss"]].concat());
    assert!(!occupied.status.success() && text(&occupied).contains("is not empty"), "{}", text(&occupied));
    assert_eq!(fs::read_dir(&to).unwrap().count(), 1);
    fs::remove_file(to.join("thesis.txt")).unwrap();
    let script = format!(
        "ulimit -f 2; trap '' XFSZ; exec {} restore --from {from} --to {} --accept-loss",
        env!("CARGO_BIN_EXE_estd"),
        to.display()
    );
    let full = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(!full.status.success() && text(&full).contains("cannot write"), "{}", text(&full));
    assert_eq!(fs::read_dir(&to).unwrap().count(), 0, "nothing is left of it");

    let last = u64::MAX.to_string();
    let beyond = estd(&[&replacing[..5], &["--accept-loss", "--crl-number-above", &last]].concat());
    assert_eq!(beyond.status.code(), Some(2), "there must be numbers above it: {}", text(&beyond));
    restore(&site, &backup, &to, &["--accept-loss", "--crl-number-above", "99999999999999"]);
    let restored = Served::start(&to);
    assert!(is_known(&restored, &before) && !is_known(&restored, &after));
    restored.enroll(&before, "simplereenroll").unwrap();
    let above = restored.crl(&before.certificate).0;
    assert!(above > number && above > 99_999_999_999_999, "{above} after {number}");
    restored.stop();
}

#[test]
fn a_torn_or_flipped_backup_is_restored_nowhere() {
    let site = Site::new();
    site.serve().stop();
    let server = site.serve();
    let backup = site.beside("b.tar");
    create(&site.config(), &backup);
    server.stop();
    let octets = fs::read(&backup).unwrap();
    let to = site.beside("restored");
    let middle = octets.len() / 2;
    let flipped: Vec<u8> = octets.iter().enumerate().map(|(at, octet)| octet ^ u8::from(at == middle)).collect();
    for changed in [&octets[..octets.len() - 700], &octets[..0], &flipped] {
        fs::write(&backup, changed).unwrap();
        let arguments = ["restore", "--from", backup.to_str().unwrap(), "--to", to.to_str().unwrap(), "--accept-loss"];
        let refused = estd(&arguments);
        assert!(!refused.status.success() && text(&refused).contains("nothing of it is used"), "{}", text(&refused));
        assert!(!to.exists());
    }
}

#[test]
fn what_lies_outside_of_the_folder_comes_along_and_is_told() {
    let site = Site::new();
    let (root, data) = (site.beside("root.pem"), site.beside("store"));
    fs::rename(site.folder.join("ca/root.pem"), &root).unwrap();
    let config = fs::read_to_string(site.config()).unwrap();
    let config = config.replace("chain = [\"ca/root.pem\"]", &format!("chain = [{root:?}]"));
    fs::write(site.config(), config.replace("data_dir = \"data\"", &format!("data_dir = {data:?}"))).unwrap();
    let server = site.serve();
    let backup = site.beside("b.tar");
    create(&site.config(), &backup);
    server.stop();
    let to = site.beside("restored");
    let said = restore(&site, &backup, &to, &["--accept-loss"]);
    let outside = to.join("elsewhere").join(root.canonicalize().unwrap().strip_prefix("/").unwrap());
    assert_eq!(fs::read(&outside).unwrap(), fs::read(&root).unwrap());
    assert!(said.contains(outside.to_str().unwrap()) && said.contains(data.to_str().unwrap()), "{said}");
    run(&["journal", "verify", "--data-dir", to.join("data").to_str().unwrap()]);
}
