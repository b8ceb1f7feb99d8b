//! What is deployed beside the program: each metric that it names is served, each file that is packaged is there.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/folder.rs"]
mod folder;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use folder::{Folder, get};

/// What Prometheus adds to the name of a counter or a histogram.
const SUFFIXES: [&str; 4] = ["_total", "_bucket", "_count", "_sum"];

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The names that begin with `estd_` in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = text.split(|character| !is_part(character));
    words.filter(|word| word.starts_with("estd_")).map(str::to_owned).collect()
}

#[tokio::test]
async fn dashboard_alerts_and_documents_name_metrics_that_are_served() {
    let folder = Folder::new();
    folder.edit("data_dir = ", "public_listen = [\"127.0.0.1:0\"]\ndata_dir = ");
    let secret = folder.path.join("hook.secret");
    fs::write(&secret, "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let asked = "[tenant.label.authorization_webhook]\nsecret = \"hook.secret\"\nurl = \"https://127.0.0.1:9/\"";
    let config = fs::read_to_string(folder.path.join("config.toml")).unwrap();
    fs::write(folder.path.join("config.toml"), format!("{config}\n{asked}\n")).unwrap();
    let webhook = "[[webhook]]\nname = \"hook\"\nsecret = \"hook.secret\"\nurl = \"https://127.0.0.1:9/\"\n\n";
    folder.edit("[[tenant]]", &format!("{webhook}[[tenant]]"));
    let running = folder.start().await;
    let page = get(running.status_address(), "GET", "/metrics", "").await;
    let page = String::from_utf8(page.body).unwrap();
    let served: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for file in ["deploy/prometheus/estd.rules.yml", "deploy/grafana/estd.json", "docs/monitoring.md"] {
        let named = metrics(&text(file));
        assert!(named.len() > 10, "{file} names {named:?}");
        for name in &named {
            let family = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
            assert!(
                served.contains(family) || served.contains(name.as_str()),
                "{file} names {name}, which is not served"
            );
        }
    }
    // And the other way round: whoever looks for what a metric means finds it.
    let told = metrics(&text("docs/monitoring.md"));
    for family in &served {
        let is_told = told.iter().any(|name| name == family || name.strip_suffix("_total") == Some(family));
        assert!(is_told, "{family} is not in docs/monitoring.md");
    }
    let ready = get(running.status_address(), "GET", "/readyz", "").await;
    assert_eq!((ready.status, ready.body.as_slice()), (200, &b"ready\n"[..]));
    for line in
        ["estd_store_healthy 1", "estd_journal_queue ", "estd_journal_queue_limit 1024", "estd_index_lag_records "]
    {
        assert!(page.lines().any(|found| found.starts_with(line)), "{line} in {page}");
    }
    let end = page.lines().find_map(|line| line.strip_prefix("estd_server_certificate_not_after_seconds ")).unwrap();
    assert!(end.parse::<i64>().unwrap() > 1_790_000_000, "{end}");
    assert!(
        page.contains(&format!(
            "estd_authority_not_after_seconds{{tenant=\"{}\",label=\"devices\"}} ",
            folder.tenant()
        ))
    );
    running.shutdown().await;
}

#[test]
fn the_dashboard_is_json_and_every_panel_asks_something() {
    let dashboard: serde_json::Value = serde_json::from_str(&text("deploy/grafana/estd.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty() && targets.iter().all(|target| target["expr"].as_str().unwrap().contains("estd_")));
    }
}

#[test]
fn every_alert_is_explained() {
    let (rules, told) = (text("deploy/prometheus/estd.rules.yml"), text("docs/monitoring.md"));
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        assert!(told.contains(&format!("`{alert}`")), "{alert} is not in docs/monitoring.md");
    }
}

#[test]
fn every_file_of_the_package_is_there() {
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let package = &manifest["package"]["metadata"]["deb"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = package["assets"].as_array().unwrap().iter().map(|asset| asset[0].as_str().unwrap());
    for source in sources.filter(|source| !source.starts_with("target/")) {
        let place = source.strip_suffix("*.md").unwrap_or(source);
        assert!(root.join(place).exists(), "{source}");
    }
    assert!(root.join(package["maintainer-scripts"].as_str().unwrap()).join("postinst").exists());
    let units = &package["systemd-units"];
    let unit = format!("{}.service", units["unit-name"].as_str().unwrap());
    let units = root.join(units["unit-scripts"].as_str().unwrap());
    assert!(units.join(unit).exists() && units.join("estd.sysusers").exists());
}

/// All but the package itself, which takes cargo-deb: what is made for it is there, under the names that it has for it.
#[test]
fn what_is_made_for_the_package_is_what_it_names() {
    let target = tempfile::tempdir().unwrap();
    let (release, bin) = (target.path().join("release"), target.path().join("bin"));
    fs::create_dir(&release).unwrap();
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_estd"), release.join("estd")).unwrap();
    let (cargo, asked) = (bin.join("cargo"), target.path().join("asked"));
    fs::write(&cargo, format!("#!/bin/sh\necho \"$*\" >> '{}'\n", asked.display())).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/package.sh");
    let mut command = Command::new("sh");
    command.args(["-c", "PATH=\"$1:$PATH\" exec \"$0\""]).arg(script).arg(&bin);
    let made = command.env("CARGO_TARGET_DIR", target.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert_eq!(fs::read_to_string(&asked).unwrap(), "build --release --locked\ndeb --no-build --locked\n");

    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    let sources: Vec<_> =
        assets.iter().filter_map(|asset| asset[0].as_str().unwrap().strip_prefix("target/")).collect();
    assert!(sources.len() > 5, "{sources:?}");
    for source in sources {
        let (folder, pattern) = source.rsplit_once('/').unwrap();
        let (before, after) = pattern.split_once('*').unwrap_or((pattern, ""));
        let files = fs::read_dir(target.path().join(folder)).unwrap().map(|entry| entry.unwrap());
        let names = files.map(|file| (file.file_name().into_string().unwrap(), file.path()));
        let found: Vec<_> = names.filter(|(name, _)| name.starts_with(before) && name.ends_with(after)).collect();
        assert!(!found.is_empty(), "{source}");
        assert!(found.iter().all(|(_, path)| fs::metadata(path).unwrap().len() > 0), "{source}");
    }
}

#[test]
fn the_unit_runs_the_program_and_user_of_the_package() {
    let unit = text("deploy/systemd/estd.service");
    let key = |name: &str| unit.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).unwrap().to_owned();
    assert!(key("ExecStart").starts_with("/usr/bin/estd serve --config /etc/estd/"));
    let user = text("deploy/systemd/estd.sysusers");
    assert!(user.lines().any(|line| line.starts_with(&format!("u {} - ", key("User")))), "{user}");
    for script in ["postinst", "postrm"] {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/debian").join(script);
        assert!(fs::read_to_string(&script).unwrap().contains("\n#DEBHELPER#\n"), "{}", script.display());
        assert!(Command::new("sh").arg("-n").arg(&script).status().unwrap().success(), "{}", script.display());
    }
}

/// Where systemd is: it knows every setting of the unit. That the program is not installed here is no fault of the unit.
#[test]
fn the_unit_is_one_that_systemd_takes() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd/estd.service");
    let written = fs::read_to_string(&unit).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("estd.service");
    let here = written.replace("/usr/bin/estd", env!("CARGO_BIN_EXE_estd")).replace("Documentation=man:estd(1)\n", "");
    assert_ne!(here, written);
    fs::write(&copy, here).unwrap();
    let Ok(output) = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&copy).output() else { return };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("estd.service"), "{said}");
}
