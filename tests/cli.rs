//! The program as its user meets it: exit codes, what it says, and what signals do to it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/served.rs"]
mod served;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use served::{Served, estd, text};

/// A demo folder and, as its configuration names it, the path of its config.toml.
fn demo_folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let demo = folder.path().join("demo");
    let output = estd(&["demo", "--dir", demo.to_str().unwrap(), "--listen", "127.0.0.1:0", "--once"]);
    assert!(output.status.success(), "{}", text(&output));
    let config = demo.join("config.toml");
    let free = fs::read_to_string(&config).unwrap().replace("127.0.0.1:8443", "127.0.0.1:0");
    fs::write(&config, free).unwrap();
    (folder, config.to_str().unwrap().to_owned())
}

/// The serial number of the certificate that the demo's device got, as openssl shows it.
fn issued_serial(folder: &tempfile::TempDir) -> String {
    let pem = folder.path().join("demo/devices/device-0001/operational.pem");
    let serial = Command::new("openssl").args(["x509", "-noout", "-serial", "-in"]).arg(&pem).output().unwrap();
    String::from_utf8(serial.stdout).unwrap().trim().replace("serial=", "")
}

#[test]
fn help_and_version_exit_0_and_wrong_usage_2() {
    for (arguments, code) in [(vec!["--help"], 0), (vec!["--version"], 0), (vec![], 2), (vec!["frobnicate"], 2)] {
        let output = estd(&arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
    }
    assert_eq!(estd(&["serve"]).status.code(), Some(2));
    assert_eq!(estd(&["journal", "verify"]).status.code(), Some(2));
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let (_folder, config) = demo_folder();
    let mut child = Command::new(env!("CARGO_BIN_EXE_estd"))
        .args(["check", "--config", &config])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output).as_str()), (Some(0), ""));
}

#[test]
fn the_demo_enrolls_again_in_the_folder_it_made() {
    let (folder, _) = demo_folder();
    let demo = folder.path().join("demo");
    let first = fs::read(demo.join("devices/device-0001/operational.pem")).unwrap();
    let output = estd(&["demo", "--dir", demo.to_str().unwrap(), "--listen", "127.0.0.1:0", "--once"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("CN=device-0001"), "{}", text(&output));
    assert_ne!(fs::read(demo.join("devices/device-0001/operational.pem")).unwrap(), first);
}

#[test]
fn the_demo_touches_no_folder_of_somebody_else() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.txt"), "all of it").unwrap();
    let output = estd(&["demo", "--dir", folder.path().to_str().unwrap(), "--listen", "127.0.0.1:0", "--once"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("is not empty"), "{}", text(&output));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_init_makes_checks_once_a_manufacturer_is_there_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("est");
    let made = made.to_str().unwrap();
    let output = estd(&["init", made, "--dns", "est.example.com", "--tenant", "globex", "--label", "sensors"]);
    assert!(output.status.success(), "{}", text(&output));
    let mode = |file: &str| fs::metadata(format!("{made}/{file}")).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("ca/root.key"), mode("ca/issuing.key"), mode("data")], [0o600, 0o600, 0o700]);

    let config = format!("{made}/config.toml");
    let check = || estd(&["check", "--config", &config]);
    let output = check();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("warning: ") && text(&output).contains("no device can enroll"), "{}", text(&output));
    assert!(text(&output).contains("label sensors (default): tenant globex"), "{}", text(&output));
    fs::copy(format!("{made}/ca/root.pem"), format!("{made}/manufacturers/maker.pem")).unwrap();
    assert!(!text(&check()).contains("warning"), "{}", text(&check()));

    let fingerprint = estd(&["ca", "fingerprint", "--config", &config]);
    let fingerprint = text(&fingerprint).split(' ').next().unwrap().to_owned();
    assert!(text(&check()).contains(&fingerprint));
    assert!(text(&estd(&["ca", "show", "--config", &config])).contains(&fingerprint));

    let again = estd(&["init", made]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again).contains("exists already"), "{}", text(&again));
}

#[test]
fn names_that_would_break_the_configuration_are_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("est");
    for option in [["--tenant", "a\"b"], ["--label", "cacerts"], ["--dns", "*.example.com"]] {
        let output = estd(&["init", path.to_str().unwrap(), option[0], option[1]]);
        assert_eq!(output.status.code(), Some(1), "{option:?}");
        assert!(text(&output).contains(option[0]), "{}", text(&output));
        assert!(!path.exists());
    }
}

#[test]
fn check_and_serve_tell_every_problem_and_exit_1() {
    let (_folder, config) = demo_folder();
    let broken = fs::read_to_string(&config).unwrap().replace("validity = \"398d\"", "validity = \"soon\"");
    fs::write(&config, broken.replace("default_label = \"devices\"", "default_label = \"toasters\"")).unwrap();
    let key = Path::new(&config).with_file_name("ca/issuing.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    for command in ["check", "serve"] {
        let output = estd(&[command, "--config", &config]);
        assert_eq!(output.status.code(), Some(1));
        for line in ["is open to others (mode 0644)", "profile device, validity: ", "no label \"toasters\""] {
            assert!(text(&output).contains(line), "no {line:?} in {}", text(&output));
        }
        assert!(text(&output).lines().all(|line| line.starts_with("estd: ")), "{}", text(&output));
    }
}

#[test]
fn a_port_that_is_taken_is_said_to_be() {
    let (_folder, config) = demo_folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fs::write(&config, fs::read_to_string(&config).unwrap().replace("127.0.0.1:0", &address)).unwrap();
    let output = estd(&["serve", "--config", &config]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains(&format!("cannot listen on {address}")), "{}", text(&output));
}

#[test]
fn sighup_takes_over_what_checks_and_keeps_the_old_otherwise() {
    let (folder, config) = demo_folder();
    let served = Served::start(&folder.path().join("demo"));
    assert!(served.also.starts_with("estd: status on http://127.0.0.1:"), "{}", served.also);
    let socket = Path::new(&config).with_file_name("data/admin.sock").to_str().unwrap().to_owned();
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, good.replace("identity = \"subject", "identity = \"guess")).unwrap();
    served.signal("HUP");
    served.says("identity: expected subject-serial-number");
    served.says("was not reloaded");
    fs::write(&config, good.replace("127.0.0.1:0\"]", "127.0.0.1:1\"]")).unwrap();
    served.signal("HUP");
    served.says("takes a restart");
    served.says("configuration reloaded");
    assert!(std::net::TcpStream::connect(served.est).is_ok());
    // The same by an operator, who is told what came of it.
    fs::write(&config, good.replace("identity = \"subject", "identity = \"guess")).unwrap();
    let refused = estd(&["reload", "--config", &config, "--socket", &socket]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("identity: expected subject-serial-number"), "{}", text(&refused));
    fs::write(&config, &good).unwrap();
    let reloaded = estd(&["reload", "--config", &config, "--socket", &socket]);
    assert!(text(&reloaded).contains("now: reloaded"), "{}", text(&reloaded));
    served.stop();
}

#[test]
fn revocation_waits_for_the_server_to_stop_and_the_journal_tells_of_it() {
    let (folder, config) = demo_folder();
    let serial = issued_serial(&folder);
    let revoke =
        |serial: &str| estd(&["ca", "revoke", "--config", &config, "--serial", serial, "--reason", "keyCompromise"]);

    let served = Served::start(&folder.path().join("demo"));
    let output = revoke(&serial);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("stop the server"), "{}", text(&output));
    assert!(estd(&["journal", "verify", "--config", &config]).status.success());
    served.stop();

    let output = revoke(&serial);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains(&format!("revoked {serial} of device device-0001")), "{}", text(&output));
    assert!(text(&revoke(&serial)).contains("was revoked already"));
    let output = revoke("0102");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("no certificate with serial number 0102"), "{}", text(&output));

    let lists = folder.path().join("lists");
    let published = estd(&["crl", "publish", "--config", &config, "--out", lists.to_str().unwrap()]);
    assert!(published.status.success(), "{}", text(&published));
    assert!(text(&published).contains("1 revoked certificates"), "{}", text(&published));
    let list = fs::read_dir(&lists).unwrap().next().unwrap().unwrap().path();
    let shown = Command::new("openssl").args(["crl", "-inform", "DER", "-noout", "-text", "-in"]).arg(&list).output();
    assert!(text(&shown.unwrap()).contains(&format!("Serial Number: {serial}")));
    assert!(text(&estd(&["crl", "show", "--config", &config])).contains("last number "));

    let data = folder.path().join("demo/data");
    let output = estd(&["journal", "verify", "--data-dir", data.to_str().unwrap()]);
    assert!(text(&output).contains("1 certificates, 1 revocations"), "{}", text(&output));
    assert!(estd(&["journal", "rebuild", "--data-dir", data.to_str().unwrap()]).status.success());
    assert!(text(&revoke(&serial)).contains("was revoked already"));
}

/// What `estd credential` prints can be appended to a credentials file as it is; secrets go to standard error alone.
#[test]
fn credential_entries_check_and_hold_no_secret() {
    use std::io::Write as _;
    let (_folder, config) = demo_folder();
    let credentials = Path::new(&config).with_file_name("credentials.toml");
    let mut hash = Command::new(env!("CARGO_BIN_EXE_estd"))
        .args(["credential", "hash", "--user", "line-7", "--device", "SN-7*", "--digest", "--digest-md5"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    hash.stdin.take().unwrap().write_all(b"correct horse\n").unwrap();
    let hash = hash.wait_with_output().unwrap();
    let code = estd(&["credential", "code", "--device", "SN-1", "--device", "AX-*", "--count", "2", "--uses", "3"]);
    let token = estd(&["credential", "token", "--name", "t", "--device", "*", "--not-after", "2099-01-01T00:00:00Z"]);
    let entries = [&hash, &code, &token].map(|output| String::from_utf8(output.stdout.clone()).unwrap()).concat();
    let secrets = [&code, &token].map(|output| String::from_utf8(output.stderr.clone()).unwrap()).concat();
    let secrets: Vec<_> = secrets.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(secrets.len(), 5, "{secrets:?}");
    for secret in secrets.iter().chain(&["correct horse"]) {
        assert!(!entries.contains(secret), "{secret} stands in {entries}");
    }
    fs::write(&credentials, entries).unwrap();
    fs::set_permissions(&credentials, fs::Permissions::from_mode(0o600)).unwrap();
    let with = fs::read_to_string(&config).unwrap().replacen(
        "[[tenant]]\n",
        "[[tenant]]\ncredentials = \"credentials.toml\"\n",
        1,
    );
    assert!(with.contains("credentials.toml"));
    fs::write(&config, with).unwrap();
    let checked = estd(&["check", "--config", &config]);
    assert!(checked.status.success(), "{}", text(&checked));
    for refused in [
        &["credential", "code", "--device", "a*b"][..],
        &["credential", "token", "--name", "t", "--device", "*", "--not-after", "soon"],
        &["credential", "code"],
    ] {
        assert!(!estd(refused).status.success(), "{refused:?}");
    }
}

/// The demo's device holds a certificate of the old CA: it is the one that is counted, and it can still be revoked.
#[test]
fn a_rollover_is_made_announced_looked_at_and_finds_what_the_old_ca_issued() {
    let (folder, config) = demo_folder();
    let (root_key, next) = (folder.path().join("demo/ca/root.key"), folder.path().join("demo/ca/next"));
    let rollover = |options: &[&str]| estd(&[&["ca", "rollover", "--config", &config], options].concat());
    let output = rollover(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("--root-key \"\": expected the file with the key of CN="), "{}", text(&output));
    let (root_key, next) = (root_key.to_str().unwrap(), next.to_str().unwrap());
    let other_key = folder.path().join("demo/ca/issuing.key");
    let output = rollover(&["--root-key", other_key.to_str().unwrap()]);
    assert!(!output.status.success() && text(&output).contains("the key is not the one"), "{}", text(&output));
    assert!(text(&estd(&["ca", "status", "--config", &config])).contains("no successor"));

    let output = rollover(&["--root-key", root_key, "--out", next]);
    assert!(output.status.success(), "{}", text(&output));
    for key in ["root.key", "issuing.key"] {
        assert_eq!(fs::metadata(Path::new(next).join(key)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(text(&rollover(&["--root-key", root_key, "--out", next])).contains("nothing was changed"));
    let told = text(&output);
    let table = told.split("\n\n").find(|part| part.starts_with("[tenant.authority.successor]")).unwrap();
    let chain = "chain = [\"ca/root.pem\"]\n";
    let announced = fs::read_to_string(&config).unwrap().replace(chain, &format!("{chain}\n{table}\n"));
    fs::write(&config, announced.replace("phase = \"announce\"", "phase = \"cut-over\"")).unwrap();

    let output = estd(&["check", "--config", &config]);
    assert!(output.status.success() && text(&output).contains("cut-over: successor CN="), "{}", text(&output));
    let output = text(&estd(&["ca", "status", "--config", &config]));
    assert!(output.contains("phase cut-over") && output.contains("ready: 0 of 1 devices"), "{output}");
    assert!(text(&rollover(&["--root-key", root_key])).contains("one that has no successor yet"));
    assert_eq!(text(&estd(&["ca", "fingerprint", "--config", &config])).lines().count(), 2);

    let output = estd(&["ca", "revoke", "--config", &config, "--serial", &issued_serial(&folder)]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&estd(&["ca", "status", "--config", &config])).contains("ready: 0 of 0 devices"));
}
