//! The audit trail as others read it, and what proves that nothing was taken out of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/folder.rs"]
mod folder;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use estd::store::journal::{Head, JournalError, JournalReader};
use folder::{Folder, done, run};
use serde_json::Value;

fn objects(ndjson: &str) -> Vec<Value> {
    ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A file with a list of so many devices, the first of which has a name that hurts.
fn batch(folder: &Folder, name: &str, count: usize) -> String {
    let path = folder.path.join(format!("{name}.csv"));
    let rows: String = (0..count).map(|number| format!("{name}-{number},\n")).collect();
    fs::write(&path, format!("id,tags\n{rows}")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_is_exported_whole_in_each_format_and_from_where_it_was_left() {
    let folder = Folder::new();
    let running = folder.start().await;
    let tenant = folder.tenant();
    done(&format!("device import {} --tenant {tenant}", batch(&folder, "SN", 3)), &folder).await;
    for number in 0..3 {
        done(&format!("device suspend SN-{number} --tenant {tenant}"), &folder).await;
    }
    let events = objects(&done("audit export", &folder).await);
    let sequences: Vec<_> = events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    // The server's certificate and its start come first.
    assert_eq!(sequences, (1..=6).collect::<Vec<_>>(), "{events:?}");
    assert!(events[2..].iter().all(|event| event["actor"].as_str().unwrap().starts_with("local:")), "{events:?}");

    let own = objects(&done(&format!("audit export --tenant {tenant}"), &folder).await);
    assert_eq!(own, events[2..], "what is of the server is not of the tenant");
    assert_eq!(objects(&done("audit export --after 4", &folder).await), events[4..]);
    assert_eq!(done("audit export --after 6", &folder).await, "");
    let later = done("audit export --since 2999-01-01T00:00:00Z", &folder).await;
    assert_eq!(later, "");

    let cef = done("audit export --format cef", &folder).await;
    assert_eq!(cef.lines().count(), 6);
    assert!(cef.lines().all(|line| line.starts_with("CEF:0|estd|estd|")), "{cef}");
    assert!(cef.contains(" cs3Label=device cs3=SN-2 ") && cef.contains(" externalId=6 "), "{cef}");
    let syslog = done("audit export --format syslog --after 5", &folder).await;
    assert!(syslog.starts_with("<109>1 20") && syslog.contains(" device=\"SN-2\" "), "{syslog}");
    // RFC 6587 §3.4.1: each message behind its length.
    let counted = done("audit export --format syslog-counted", &folder).await;
    let (mut rest, mut messages) = (counted.as_str(), 0);
    while let Some((length, after)) = rest.split_once(' ') {
        let (message, next) = after.split_at(length.parse().unwrap());
        assert!(message.starts_with("<109>1 ") || messages == 0, "{message}");
        (rest, messages) = (next, messages + 1);
    }
    assert_eq!(messages, 6);
    assert!(!run("audit export --format xml", &folder).await.status.success());
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_more_than_one_piece_has_every_event_once() {
    let folder = Folder::new();
    let running = folder.start().await;
    // As many as may wait for the disk, and more than are read at once.
    for number in 0..1_003 {
        running.registration_authority().note("test", &format!("event {number}"));
    }
    let events = objects(&done("audit export", &folder).await);
    let texts: Vec<_> = events[2..].iter().map(|event| event["what"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, (0..1_003).map(|number| format!("event {number}")).collect::<Vec<_>>());
    running.shutdown().await;
}

/// A journal with a kept checkpoint, after the server has stopped.
async fn kept() -> (Folder, PathBuf) {
    let folder = Folder::new();
    let running = folder.start().await;
    let tenant = folder.tenant();
    done(&format!("device import {} --tenant {tenant}", batch(&folder, "SN", 3)), &folder).await;
    running.shutdown().await;
    // The one that the end of the server left is in it.
    let kept = folder.path.join("kept");
    fs::copy(folder.path.join("data/checkpoints"), &kept).unwrap();
    (folder, kept)
}

async fn verify(folder: &Folder, checkpoints: Option<&Path>) -> Output {
    let checkpoints = checkpoints.map(|path| format!(" --checkpoint {}", path.display())).unwrap_or_default();
    run(&format!("journal verify{checkpoints}"), folder).await
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cut_off_or_written_anew_is_seen_by_a_checkpoint_that_was_kept() {
    let (folder, kept) = kept().await;
    let sound = verify(&folder, Some(&kept)).await;
    assert!(sound.status.success() && said(&sound).contains("the last is of record 4, "), "{}", said(&sound));

    // Somebody cuts the last record, and whatever on this machine would tell of it.
    let data = folder.path.join("data");
    let whole = fs::read(data.join("journal")).unwrap();
    let mut heads = Vec::new();
    let note = |frame: estd::store::journal::Frame<'_>| {
        heads.push(frame.head);
        Ok::<_, JournalError>(())
    };
    JournalReader::open(&data).unwrap().scan(Head::genesis(), 0, note).unwrap();
    fs::write(data.join("journal"), &whole[..heads[2].end as usize]).unwrap();
    fs::remove_file(data.join("journal.head")).unwrap();
    fs::remove_dir_all(data.join("index")).unwrap();
    let unnoticed = verify(&folder, None).await;
    assert!(unnoticed.status.success(), "{}", said(&unnoticed));
    let noticed = verify(&folder, Some(&kept)).await;
    assert_eq!(noticed.status.code(), Some(1));
    assert!(said(&noticed).contains("record 4 was acknowledged"), "{}", said(&noticed));

    // Or lets a server write as many records again, which are others.
    let running = folder.start().await;
    running.registration_authority().note("test", "something else");
    running.shutdown().await;
    let rewritten = verify(&folder, Some(&kept)).await;
    assert_eq!(rewritten.status.code(), Some(1), "{}", said(&rewritten));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_signed_by_the_key_of_the_folder_as_openssl_sees_it_too() {
    let (folder, kept) = kept().await;
    let text = fs::read_to_string(&kept).unwrap();
    let (statement, signature) = text.lines().last().unwrap().rsplit_once(' ').unwrap();
    let signature: Vec<u8> =
        (0..signature.len()).step_by(2).map(|at| u8::from_str_radix(&signature[at..at + 2], 16).unwrap()).collect();
    let (message, signed) = (folder.path.join("message"), folder.path.join("signature"));
    fs::write(&message, statement).unwrap();
    fs::write(&signed, signature).unwrap();
    let key = folder.path.join("data/checkpoint.pub");
    let verified = Command::new("openssl")
        .args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"])
        .arg(&key)
        .args(["-in", message.to_str().unwrap(), "-sigfile", signed.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", said(&verified));

    fs::write(&kept, text.replacen(" 4 ", " 3 ", 1)).unwrap();
    let forged = verify(&folder, Some(&kept)).await;
    assert_eq!(forged.status.code(), Some(1));
    assert!(said(&forged).contains("the signature does not hold"), "{}", said(&forged));

    // Whoever takes the key away and makes another signs with another.
    fs::write(&kept, &text).unwrap();
    fs::rename(&key, folder.path.join("kept.pub")).unwrap();
    fs::remove_file(folder.path.join("data/checkpoint.key")).unwrap();
    folder.start().await.shutdown().await;
    let other = verify(&folder, Some(&kept)).await;
    assert!(other.status.code() == Some(1) && said(&other).contains("signed with the key"), "{}", said(&other));
    let own = folder.path.join("kept.pub");
    let line = format!("journal verify --checkpoint {} --checkpoint-key {}", kept.display(), own.display());
    assert!(run(&line, &folder).await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_take_checkpoints_away_by_the_api() {
    let folder = Folder::new();
    let running = folder.start().await;
    let line = "audit checkpoints";
    // Made at the start, in the background.
    let mut lines = String::new();
    for _ in 0..200 {
        lines = done(line, &folder).await;
        if !lines.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let file = fs::read_to_string(folder.path.join("data/checkpoints")).unwrap();
    assert!(!lines.is_empty() && file.starts_with(&lines), "{lines:?} {file:?}");
    let public = fs::read_to_string(folder.path.join("data/checkpoint.pub")).unwrap();
    assert_eq!(done("audit checkpoints --key", &folder).await, public);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_made_as_often_as_the_configuration_says() {
    let folder = Folder::new();
    for (interval, expected) in [("0s", false), ("25h", false), ("1s", true)] {
        let path = folder.path.join("config.toml");
        let text = fs::read_to_string(&path).unwrap();
        let text: String = text
            .lines()
            .filter(|line| !line.starts_with("checkpoint_interval"))
            .map(|line| format!("{line}\n"))
            .collect();
        fs::write(
            &path,
            text.replacen("data_dir = ", &format!("checkpoint_interval = \"{interval}\"\ndata_dir = "), 1),
        )
        .unwrap();
        let checked = run("check", &folder).await;
        assert_eq!(checked.status.success(), expected, "{interval}: {}", said(&checked));
        assert_eq!(
            said(&checked).contains("server, checkpoint_interval: expected 1s to 24h"),
            !expected,
            "{}",
            said(&checked)
        );
    }
    let running = folder.start().await;
    let last = || fs::read_to_string(folder.path.join("data/checkpoints")).ok()?.lines().last().map(str::to_owned);
    let mut before = None;
    for what in ["first", "second", "third"] {
        running.registration_authority().note("test", what);
        let mut waits = 0;
        while last() == before {
            assert!(waits < 200, "no checkpoint after the {what} record");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            waits += 1;
        }
        before = last();
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_act_of_an_operator_is_in_the_trail_with_its_actor() {
    let folder = Folder::new();
    let running = folder.start().await;
    let tenant = folder.tenant();
    let file = batch(&folder, "SN", 2);
    let token = done("token create --name olga --role auditor", &folder).await;
    let id = token.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    let acts = [
        (format!("device import {file} --tenant {tenant}"), "device.list"),
        (format!("device suspend SN-0 --tenant {tenant}"), "device"),
        (format!("device resume SN-0 --tenant {tenant}"), "device"),
        (format!("device tag SN-0 north --tenant {tenant}"), "device"),
        (format!("device reset SN-0 --tenant {tenant}"), "device"),
        (format!("device revoke SN-0 --reason cessationOfOperation --tenant {tenant}"), "device.revoke"),
        (format!("device remove SN-1 --tenant {tenant}"), "device"),
        (format!("token create --name tom --role tenant-auditor --tenant {tenant}"), "token"),
        (format!("token revoke {id}"), "token"),
    ];
    let mut seen = objects(&done("audit export", &folder).await).len();
    for (act, operation) in acts {
        done(&act, &folder).await;
        let new = objects(&done(&format!("audit export --after {seen}"), &folder).await);
        let [event] = new.as_slice() else { panic!("{act}: {new:?}") };
        let actor = event["actor"].as_str().unwrap_or_else(|| panic!("{act}: {event}"));
        assert!(actor.starts_with("local:") && !event["request_id"].as_str().unwrap().is_empty(), "{act}: {event}");
        assert_eq!(event["operation"], operation, "{act}: {event}");
        seen += 1;
    }
    running.shutdown().await;
}
