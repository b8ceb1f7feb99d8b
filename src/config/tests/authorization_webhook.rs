//! Labels that have somebody asked, as configured.

use std::path::Path;
use std::time::Duration;

use super::{EXAMPLE, example_folder, file, load, problems_after, with_examples};
use crate::config::problem::Place;

const SOUND: &str = "url = \"https://inventory.acme.example/\"\nsecret = \"webhooks/inventory.secret\"\n";

fn with(keys: &str) -> String {
    format!("{EXAMPLE}\n[tenant.label.authorization_webhook]\n{keys}")
}

/// The example with so many labels that ask, each so much at once.
fn with_labels(count: usize, at_once: usize) -> String {
    let label = &EXAMPLE[EXAMPLE.find("[[tenant.label]]").unwrap()..];
    let asks = format!("\n[tenant.label.authorization_webhook]\nmax_concurrent = {at_once}\n{SOUND}");
    let further = |number| format!("{}{asks}", label.replacen("\"devices\"", &format!("\"devices-{number}\""), 1));
    format!("{EXAMPLE}{asks}{}", (1..count).map(further).collect::<String>())
}

#[test]
fn nobody_is_asked_unless_told_to_and_then_each_mistake_is_told() {
    assert!(load(&example_folder(EXAMPLE)).unwrap().labels[0].authorization_webhook.is_none());
    let told = |keys: &str| problems_after(|_| with(keys));
    let place = "config.toml: tenant acme, label devices, authorization_webhook, ";
    for (keys, expected) in [
        ("url = \"http://inventory.acme.example/\"", "url: plain http, and allow_http is false"),
        ("url = \"https://a:b@inventory.acme.example/\"", "url: a user name or password in a URL"),
        ("secret = \"keys/psk-id-0001.hex\"", "secret: line 1: expected whsec_"),
        ("secret = \"webhooks/none.secret\"", "secret: cannot read webhooks/none.secret"),
        ("ca_file = \"keys/psk-id-0001.hex\"", "ca_file: "),
        ("timeout = \"99ms\"", "timeout: expected 100ms to 30s, found 99ms"),
        ("timeout = \"30s 1ms\"", "timeout: expected 100ms to 30s, found 30s 1ms"),
        ("max_concurrent = 0", "max_concurrent: expected 1 to 256, found 0"),
        ("max_concurrent = 257", "max_concurrent: expected 1 to 256, found 257"),
        ("time_out = \"1s\"", "time_out: unknown field `time_out`"),
    ] {
        let key = keys.split(' ').next().unwrap();
        let sound: String =
            SOUND.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect();
        let told = told(&format!("{sound}{keys}"));
        assert!(told.len() == 1 && told[0].starts_with(&format!("{place}{expected}")), "{keys}: {told:?}");
    }
    let told = told("");
    assert!(told.len() == 2 && told[0].contains("url: missing") && told[1].contains("secret: missing"), "{told:?}");
}

#[test]
fn values_at_the_limits_are_taken() {
    for (keys, timeout, at_once) in [
        ("", 5000, 16),
        ("timeout = \"100ms\"\nmax_concurrent = 1", 100, 1),
        ("timeout = \"30s\"\nmax_concurrent = 256", 30_000, 256),
    ] {
        let config = load(&example_folder(&with(&format!("{SOUND}{keys}")))).unwrap();
        let webhook = config.labels[0].authorization_webhook.as_ref().unwrap();
        assert_eq!(webhook.receiver.timeout, Duration::from_millis(timeout));
        assert_eq!((webhook.max_concurrent, webhook.receiver.allow_private), (at_once, false));
    }
}

#[test]
fn all_labels_together_ask_so_much_at_once_and_no_more() {
    let many = |count, at_once| problems_after(|_| with_labels(count, at_once));
    assert_eq!(many(2, 128), Vec::<String>::new());
    let told = many(2, 129);
    assert!(told.len() == 1 && told[0].contains("together at most 256, found 258"), "{told:?}");
}

#[test]
fn the_example_shows_every_key_and_the_defaults_it_says() {
    let document: toml::Table = with_examples().parse().unwrap();
    let shown = document["tenant"][0]["label"][0]["authorization_webhook"].as_table().unwrap().clone();
    let (mut problems, place) = (Vec::new(), Place::file(Path::new("example")));
    let mut webhook: file::AuthorizationWebhook = file::decode(shown.clone(), &place, &mut problems);
    assert!(problems.is_empty() && shown.len() == 7, "{problems:?} {shown:?}");
    let own = [webhook.url.take(), webhook.secret.take(), webhook.ca_file.take()];
    assert!(own.iter().all(Option::is_some));
    assert_eq!(webhook, file::AuthorizationWebhook::default());
}
