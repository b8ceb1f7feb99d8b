//! Webhooks over real sockets: what arrives, in which order, how often, and what is never connected to.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/folder.rs"]
mod folder;
#[path = "support/receiver.rs"]
mod receiver;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use folder::{Folder, done, run};
use receiver::{Answer, Receiver, SECRET};
use serde_json::Value;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(60);

/// A folder whose server has a webhook.
fn folder_with(keys: &str) -> Folder {
    let folder = Folder::new();
    let secret = folder.path.join("hook.secret");
    fs::write(&secret, SECRET).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let path = folder.path.join("config.toml");
    let config = fs::read_to_string(&path).unwrap();
    let webhook = "[[webhook]]\nname = \"hook\"\nsecret = \"hook.secret\"\nbackoff = \"20ms\"\nmax_backoff = \"40ms\"";
    fs::write(&path, format!("{config}\n{webhook}\n{keys}\n")).unwrap();
    folder
}

/// Pauses between attempts so long that none of them is the last one while the test lasts.
fn patient(folder: Folder) -> Folder {
    folder.edit("max_backoff = \"40ms\"", "max_backoff = \"2s\"\nmax_attempts = 100");
    folder
}

/// To a receiver of this machine, over plain HTTP.
fn local(receiver: &Receiver, keys: &str) -> Folder {
    let url = format!("http://localhost:{}/estd?key=k", receiver.address.port());
    folder_with(&format!("url = \"{url}\"\nallow_http = true\nallow_private = true\n{keys}"))
}

/// Lists devices SN-0 and so on.
async fn import(folder: &Folder, count: usize) {
    let path = folder.path.join("batch.csv");
    fs::write(&path, format!("id\n{}", (0..count).map(|number| format!("SN-{number}\n")).collect::<String>())).unwrap();
    done(&format!("device import {}", path.display()), folder).await;
}

async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The one webhook, as operators see it.
async fn state(folder: &Folder) -> Value {
    serde_json::from_str(done("webhook list --json", folder).await.trim()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_over_tls_in_order_each_signed_and_only_those_that_are_wanted() {
    let (receiver, ca) = Receiver::over_tls(|_| Answer::Status(204)).await;
    let url = format!("https://localhost:{}/estd", receiver.address.port());
    let folder =
        folder_with(&format!("url = \"{url}\"\nallow_private = true\nca_file = \"hook-ca.pem\"\ntenants = [\"acme\"]"));
    fs::write(folder.path.join("hook-ca.pem"), ca).unwrap();
    let running = folder.start().await;
    import(&folder, 4).await;
    for number in 0..4 {
        done(&format!("device suspend SN-{number}"), &folder).await;
    }
    let received = receiver.wait_for(4, PATIENCE).await;
    let bodies: Vec<Value> = received.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect();
    // The import is not of a device, so it is server.changed, which nobody asked for.
    let devices: Vec<_> = bodies.iter().map(|body| body["data"]["device"].as_str().unwrap()).collect();
    assert_eq!(devices, ["SN-0", "SN-1", "SN-2", "SN-3"]);
    assert!(bodies.iter().all(|body| body["type"] == "device.changed" && body["timestamp"] == body["data"]["at"]));
    for request in &received {
        request.verify();
        assert_eq!((request.field("content-type"), request.line.as_str()), ("application/json", "POST /estd HTTP/1.1"));
    }
    let ids: std::collections::BTreeSet<_> = received.iter().map(|request| request.field("webhook-id")).collect();
    assert_eq!(ids.len(), 4);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_the_events_that_follow_each_other() {
    let receiver = Receiver::new(|_| Answer::Status(204)).await;
    let folder = local(&receiver, "events = [\"server.changed\"]");
    let running = folder.start().await;
    for number in 0..200 {
        running.registration_authority().note("test", &format!("event {number}"));
    }
    receiver.wait_for(200, PATIENCE).await;
    assert!(receiver.connections() < 20, "{} connections", receiver.connections());
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_tried_again_and_nothing_overtakes_it() {
    let receiver = Receiver::new(|number| Answer::Status(if number < 2 { 500 } else { 200 })).await;
    let folder = local(&receiver, "tenants = [\"acme\"]");
    let running = folder.start().await;
    import(&folder, 2).await;
    done("device suspend SN-0", &folder).await;
    done("device suspend SN-1", &folder).await;
    let received = receiver.wait_for(4, PATIENCE).await;
    let ids: Vec<_> = received.iter().map(|request| request.field("webhook-id")).collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3], "{ids:?}");
    assert_eq!(received[0].body, received[2].body);
    let pauses: Vec<_> = received.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(pauses[0] >= Duration::from_millis(10) && pauses[1] >= Duration::from_millis(20), "{pauses:?}");

    let state = eventually("the last one is noted", async || {
        let state = state(&folder).await;
        (state["attempts"] == 0 && state["delivered_at"].is_string()).then_some(state)
    })
    .await;
    assert_eq!(state["url"].as_str().unwrap(), format!("http://localhost:{}/estd", receiver.address.port()));
    assert!(state["last_error"].is_null() && state["dead_letters"] == 0, "{state}");
    let page = folder::get(running.status_address(), "GET", "/metrics", "").await;
    let page = String::from_utf8(page.body).unwrap();
    for line in ["outcome=\"delivered\"} 2", "outcome=\"failed\"} 2"] {
        let found =
            page.lines().any(|found| found.starts_with("estd_webhook_attempts_total{") && found.ends_with(line));
        assert!(found, "{line} in {page}");
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed_and_what_is_given_up_waits_for_an_operator() {
    let elsewhere = Receiver::new(|_| Answer::Status(200)).await;
    let target = format!("http://localhost:{}/", elsewhere.address.port());
    let receiver = Receiver::new(move |number| match number {
        0 => Answer::Redirect(307, target.clone()),
        1 => Answer::Redirect(302, target.clone()),
        3 => Answer::Status(503),
        _ => Answer::Status(200),
    })
    .await;
    let folder = local(&receiver, "max_attempts = 2\ntenants = [\"acme\"]");
    let running = folder.start().await;
    import(&folder, 2).await;
    done("device suspend SN-0", &folder).await;
    done("device suspend SN-1", &folder).await;
    // Two attempts for the first event, then the second one is delivered; the alarm about the first is not sent.
    let received = receiver.wait_for(3, PATIENCE).await;
    assert_ne!(received[0].field("webhook-id"), received[2].field("webhook-id"));
    assert_eq!(elsewhere.connections(), 0);
    let letters = eventually("a dead letter", async || {
        let letters = done("webhook dead-letters hook --json", &folder).await;
        (!letters.is_empty()).then(|| serde_json::from_str::<Value>(letters.trim()).unwrap())
    })
    .await;
    assert_eq!((&letters["attempts"], &letters["requested"]), (&2.into(), &false.into()));
    assert_eq!(letters["error"], "status 302: redirects are not followed");
    let sequence = letters["sequence"].as_u64().unwrap();
    let alarms = done("audit list --kind alarm --code webhook_dead_letter --json", &folder).await;
    assert!(alarms.contains(&format!("event {sequence} given up after 2 attempts")), "{alarms}");

    // The first redelivery fails as well, the second one is received.
    for round in [4, 5] {
        let line = if round == 4 {
            format!("webhook redeliver hook {sequence}")
        } else {
            "webhook redeliver hook --all".into()
        };
        done(&line, &folder).await;
        let received = receiver.wait_for(round, PATIENCE).await;
        assert_eq!(received[round - 1].field("webhook-id"), received[0].field("webhook-id"));
        eventually("it is noted", async || {
            let text = done("webhook dead-letters hook --json", &folder).await;
            if round == 5 {
                return text.is_empty().then_some(());
            }
            let letter: Value = serde_json::from_str(text.trim()).unwrap();
            (letter["attempts"] == 3 && letter["error"] == "status 503").then_some(())
        })
        .await;
    }
    assert_eq!(run(&format!("webhook redeliver hook {sequence}"), &folder).await.status.code(), Some(1));
    assert_eq!(run("webhook redeliver other --all", &folder).await.status.code(), Some(1));
    let acts = done("audit export --actor local:0", &folder).await;
    let acts = if acts.is_empty() { done("audit export", &folder).await } else { acts };
    assert!(acts.contains(&format!("event {sequence} to be delivered again")), "{acts}");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_or_is_gone_holds_up_nobody() {
    let receiver = Receiver::new(|number| if number == 0 { Answer::Hang } else { Answer::Close }).await;
    let folder = patient(local(&receiver, "timeout = \"300ms\"\nevents = [\"server.changed\"]"));
    let running = folder.start().await;
    import(&folder, 10).await;
    receiver.wait_for(1, PATIENCE).await;
    for number in 0..5 {
        done(&format!("device suspend SN-{number}"), &folder).await;
    }
    // All of that was answered.
    receiver.wait_for(2, PATIENCE).await;
    let state = eventually("it tells why", async || {
        let state = state(&folder).await;
        state["last_error"].is_string().then_some(state)
    })
    .await;
    assert!(state["attempts"].as_u64().unwrap() >= 1, "{state}");
    assert!(state["delivered_at"].is_null(), "{state}");
    // It stops in the middle of an attempt, or of a pause.
    tokio::time::timeout(PATIENCE, running.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_of_an_answer_is_read_than_its_limits_allow() {
    let receiver = Receiver::new(|number| match number {
        0 => Answer::LongHead(1 << 20),
        1 => Answer::Endless,
        _ => Answer::Status(200),
    })
    .await;
    let folder = local(&receiver, "events = [\"device.changed\"]");
    let running = folder.start().await;
    import(&folder, 2).await;
    done("device suspend SN-0", &folder).await;
    done("device suspend SN-1", &folder).await;
    // A head without end is no receipt, so the event comes again; a body without end changes nothing about its head.
    let received = receiver.wait_for(3, PATIENCE).await;
    let ids: Vec<_> = received.iter().map(|request| request.field("webhook-id")).collect();
    assert!(ids[0] == ids[1] && ids[1] != ids[2], "{ids:?}");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_is_made_into_a_private_network_unless_it_is_allowed() {
    for host in ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]"] {
        let receiver = Receiver::new(|_| Answer::Status(200)).await;
        let url = format!("http://{host}:{}/", receiver.address.port());
        let folder = folder_with(&format!("url = \"{url}\"\nallow_http = true\nevents = [\"server.changed\"]"));
        let running = folder.start().await;
        import(&folder, 1).await;
        let state = eventually("an attempt", async || {
            let state = state(&folder).await;
            state["last_error"].is_string().then_some(state)
        })
        .await;
        let error = state["last_error"].as_str().unwrap();
        assert!(error.ends_with("of a private network, and allow_private is false"), "{host}: {error}");
        assert_eq!(receiver.connections(), 0, "{host}");
        running.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_webhooks_on_and_lets_them_go() {
    let receiver = Receiver::new(|_| Answer::Status(200)).await;
    let folder = local(&receiver, "events = [\"device.changed\"]");
    let with = fs::read_to_string(folder.path.join("config.toml")).unwrap();
    let without = &with[..with.find("[[webhook]]").unwrap()];
    fs::write(folder.path.join("config.toml"), without).unwrap();
    let running = folder.start().await;
    import(&folder, 4).await;
    done("device suspend SN-0", &folder).await;
    assert_eq!(done("webhook list --json", &folder).await, "");
    fs::write(folder.path.join("config.toml"), &with).unwrap();
    running.reload(folder.config()).await.unwrap();
    done("device suspend SN-1", &folder).await;
    receiver.wait_for(1, PATIENCE).await;
    // The same configuration once more: it goes on where it was.
    running.reload(folder.config()).await.unwrap();
    done("device suspend SN-2", &folder).await;
    let received = receiver.wait_for(2, PATIENCE).await;
    fs::write(folder.path.join("config.toml"), without).unwrap();
    running.reload(folder.config()).await.unwrap();
    done("device suspend SN-3", &folder).await;
    let device = |request: &receiver::Received| -> Value {
        serde_json::from_slice::<Value>(&request.body).unwrap()["data"]["device"].clone()
    };
    assert_eq!(received.iter().map(device).collect::<Vec<_>>(), ["SN-1", "SN-2"]);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(receiver.received().len(), 2);
    running.shutdown().await;
}

/// The device of each event that was received, in order.
fn devices(receiver: &Receiver) -> Vec<String> {
    let answered = receiver.received().into_iter().filter(|request| request.answered);
    answered
        .map(|request| {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            body["data"]["device"].as_str().unwrap().to_owned()
        })
        .collect()
}

/// A server in a process of its own, killed when dropped.
struct Process(std::process::Child);

impl Process {
    async fn start(folder: &Folder) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_estd"))
            .args(["serve", "--config"])
            .arg(folder.path.join("config.toml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Self(child);
        eventually("it serves", async || run("tenant list", folder).await.status.success().then_some(())).await;
        process
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL: nothing is flushed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_goes_on_with_what_was_not_received() {
    const DEVICES: usize = 12;
    // The receiver answers the first three, then it is down until the server was killed and started again.
    let receiver = Receiver::new(|_| Answer::Status(200)).await;
    receiver.close_from(3);
    let folder = patient(local(&receiver, "tenants = [\"acme\"]"));
    let server = Process::start(&folder).await;
    import(&folder, DEVICES).await;
    for number in 0..DEVICES {
        done(&format!("device suspend SN-{number}"), &folder).await;
    }
    receiver.wait_for(5, PATIENCE).await;
    drop(server);
    receiver.close_from(usize::MAX);
    let _server = Process::start(&folder).await;
    let last = format!("SN-{}", DEVICES - 1);
    let mut order = eventually("the last event", async || {
        let received = devices(&receiver);
        received.contains(&last).then_some(received)
    })
    .await;
    // At least once: what was received while the server was killed may come again.
    order.dedup();
    assert_eq!(order, (0..DEVICES).map(|number| format!("SN-{number}")).collect::<Vec<_>>());
}

/// Waits until the receiver has all, and that is noted.
async fn all_noted(folder: &Folder) {
    eventually("all is received and noted", async || {
        let newest: Value = serde_json::from_str(done("audit list --limit 1 --json", folder).await.trim()).unwrap();
        let noted = fs::read_to_string(folder.path.join("data/webhooks/hook.cursor")).unwrap();
        (noted.trim().parse().ok() == newest["sequence"].as_u64()).then_some(())
    })
    .await;
}

/// Restores a backup into a folder, and puts keys of the dead server back.
fn restore(folder: &Folder, backup: &Path, arguments: &str, dead: &Path, keys: &[&str]) {
    let restore = format!("restore --from {} --to {} {arguments}", backup.display(), folder.path.display());
    let words: Vec<_> = restore.split(' ').collect();
    let restored = Command::new(env!("CARGO_BIN_EXE_estd")).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&restored.stdout);
    assert!(restored.status.success() && said.contains("the webhook hook goes on after record"), "{restored:?}");
    for key in keys {
        fs::copy(dead.join(key), folder.path.join(key)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restored_server_records_in_the_place_of_what_was_lost_is_no_repetition_of_it() {
    const DEVICES: usize = 8;
    let receiver = Receiver::new(|_| Answer::Status(200)).await;
    let folder = patient(local(&receiver, "tenants = [\"acme\"]"));
    let (backup, dead) = (folder.path.with_file_name("b.tar"), folder.path.with_file_name("dead"));
    let suspend = async |numbers: std::ops::Range<usize>| {
        for number in numbers {
            done(&format!("device suspend SN-{number}"), &folder).await;
        }
    };
    let server = Process::start(&folder).await;
    import(&folder, DEVICES).await;
    all_noted(&folder).await;
    // The first one comes after the backup was made, the others are lost once they came.
    receiver.close_from(0);
    suspend(0..1).await;
    done(&format!("backup create --to {}", backup.display()), &folder).await;
    receiver.close_from(usize::MAX);
    suspend(1..DEVICES).await;
    all_noted(&folder).await;
    drop(server);
    fs::rename(&folder.path, &dead).unwrap();

    let keys = ["ca/issuing.key", "hook.secret", "data/checkpoint.key"];
    restore(&folder, &backup, "--accept-loss", &dead, &keys);
    let _server = Process::start(&folder).await;
    suspend(1..DEVICES).await;
    all_noted(&folder).await;
    let answered = receiver.received().into_iter().filter(|request| request.answered);
    let came: Vec<_> = answered.map(|request| (request.field("webhook-id").to_owned(), request.body)).collect();
    assert_eq!(came.len(), 2 * DEVICES, "{:?}", devices(&receiver));
    let (before, after) = came.split_at(DEVICES);
    assert_eq!(before[0], after[0], "what is in the backup is the same event as before");
    let ids: std::collections::BTreeSet<_> = came.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 2 * DEVICES - 1, "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_server_sends_what_was_not_received_and_nothing_again() {
    let receiver = Receiver::new(|_| Answer::Status(200)).await;
    let folder = patient(local(&receiver, "tenants = [\"acme\"]"));
    let (backup, dead) = (folder.path.with_file_name("b.tar"), folder.path.with_file_name("dead"));
    let server = Process::start(&folder).await;
    import(&folder, 4).await;
    let (here, gone) = (|| receiver.close_from(usize::MAX), || receiver.close_from(0));
    for (device, is_here) in [("SN-0", true), ("SN-1", false), ("SN-2", true), ("SN-3", false)] {
        if is_here {
            here();
        } else {
            all_noted(&folder).await;
            gone();
        }
        done(&format!("device suspend {device}"), &folder).await;
        if device == "SN-1" {
            done(&format!("backup create --to {}", backup.display()), &folder).await;
        }
    }
    assert_eq!(devices(&receiver), ["SN-0", "SN-1", "SN-2"]);
    drop(server);
    fs::rename(&folder.path, &dead).unwrap();

    let replaces = format!("--replaces {}", dead.join("data").display());
    for (arguments, expected) in [(replaces.as_str(), "SN-3"), ("--accept-loss", "SN-1")] {
        let before = devices(&receiver).len();
        restore(&folder, &backup, arguments, &dead, &["ca/issuing.key", "hook.secret"]);
        here();
        let server = Process::start(&folder).await;
        all_noted(&folder).await;
        assert_eq!(devices(&receiver)[before..], [expected], "{arguments}");
        drop(server);
        fs::remove_dir_all(&folder.path).unwrap();
    }
}
