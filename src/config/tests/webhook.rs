//! `[[webhook]]`: where events go and what may be sent there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{EXAMPLE, example_folder, file, load, problems_after, with_examples};
use crate::config::problem::Place;

fn with(keys: &str) -> String {
    format!("{EXAMPLE}\n[[webhook]]\nname = \"siem\"\n{keys}")
}

const SOUND: &str = "url = \"https://hooks.acme.example/estd\"\nsecret = \"webhooks/siem.secret\"\n";

#[test]
fn a_webhook_needs_a_name_a_url_and_a_secret_and_each_mistake_is_told() {
    let told = |keys: &str| problems_after(|_| with(keys));
    assert_eq!(told(SOUND), Vec::<String>::new());
    for (keys, expected) in [
        ("url = \"http://hooks.acme.example/\"", "plain http, and allow_http is false"),
        ("url = \"https://a:b@hooks.acme.example/\"", "a user name or password in a URL"),
        ("url = \"hooks.acme.example\"", "expected an absolute URL"),
        ("tenants = [\"nobody\"]", "there is no tenant \"nobody\"; known: acme"),
        ("tenants = []", "at least one tenant"),
        ("events = []", "at least one type of event"),
        ("events = [\"certificate.made\"]", "an event is one of certificate.issued"),
        ("timeout = \"10m\"", "expected 100ms to 2m, found 10m"),
        ("max_attempts = 0", "expected 1 to 100, found 0"),
        ("backoff = \"1ms\"", "expected 10ms to 1day, found 1ms"),
        ("ca_file = \"keys/psk-id-0001.hex\"", "expected a PEM certificate"),
        ("retries = 3", "unknown field `retries`"),
        ("secret = \"keys/psk-id-0001.hex\"", "line 1: expected whsec_"),
    ] {
        let key = keys.split(' ').next().unwrap();
        let sound: String =
            SOUND.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect();
        let told = told(&format!("{sound}{keys}"));
        assert!(told.len() == 1 && told[0].contains(expected), "{keys}: {told:?}");
    }
    let told = told("");
    assert!(told.len() == 2 && told[0].contains("url: missing") && told[1].contains("secret: missing"), "{told:?}");
    let twice = problems_after(|_| format!("{}\n[[webhook]]\nname = \"siem\"\n{SOUND}", with(SOUND)));
    assert!(twice.len() == 1 && twice[0].contains("webhook names are unique"), "{twice:?}");
    let path = problems_after(|_| with(SOUND).replace("\"siem\"", "\"../siem\""));
    assert!(path.len() == 1 && path[0].contains("1 to 64 letters"), "{path:?}");
    let many = problems_after(|_| {
        let each = |number| format!("\n[[webhook]]\nname = \"w{number}\"\n{SOUND}");
        format!("{EXAMPLE}{}", (0..33).map(each).collect::<String>())
    });
    assert!(many.len() == 1 && many[0].contains("at most 32 webhooks"), "{many:?}");
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let folder = example_folder(&with(SOUND));
    let secret = folder.path().join("webhooks/siem.secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o640)).unwrap();
    let told = load(&folder).err().unwrap();
    assert!(told.len() == 1 && told[0].contains("open to others (mode 0640)"), "{told:?}");
}

#[test]
fn the_example_shows_every_key_and_the_defaults_it_says() {
    let document: toml::Table = with_examples().parse().unwrap();
    let shown = document["webhook"][0].as_table().unwrap().clone();
    let mut problems = Vec::new();
    let place = Place::file(Path::new("example"));
    let mut webhook: file::Webhook = file::decode(shown.clone(), &place, &mut problems);
    assert!(problems.is_empty() && shown.len() == 12, "{problems:?} {shown:?}");
    let own = [webhook.name.take(), webhook.url.take(), webhook.secret.take(), webhook.ca_file.take()];
    assert!(own.iter().all(Option::is_some) && webhook.tenants.take().is_some());
    assert_eq!(webhook, file::Webhook::default());
}
