//! Credentials: the example holds what it says, every mistake is told, and files are kept private.

use super::*;

pub(super) const CREDENTIALS: &str = include_str!("../../../credentials.example.toml");

/// The example folder with credentials, which the label asks for.
fn folder_with_credentials(credentials: &str) -> TempDir {
    let config = EXAMPLE
        .replace("# e.g. credentials =", "credentials =")
        .replace("# authentication = \"certificate\"", "authentication = \"certificate-or-http\"");
    let folder = example_folder(&config);
    write_credentials(&folder, credentials);
    folder
}

pub(super) fn write_credentials(folder: &TempDir, credentials: &str) {
    let path = folder.path().join("credentials.toml");
    fs::write(&path, credentials).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    // RFC 8037 appendix A.2.
    let key = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    fs::write(folder.path().join("factory.jwks.json"), key).unwrap();
}

#[test]
fn the_example_of_credentials_checks_with_and_without_its_comments() {
    let config = load(&folder_with_credentials(CREDENTIALS)).unwrap();
    assert_eq!(config.labels[0].credentials.counts(), [1, 1, 1, 1]);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let uncomment = |line: &str| {
        let bare = line.strip_prefix("# ").map(|line| line.strip_prefix("e.g. ").unwrap_or(line));
        bare.filter(|bare| bare.parse::<toml::Table>().is_ok()).unwrap_or(line).to_owned()
    };
    let all: Vec<_> = CREDENTIALS.lines().map(uncomment).collect();
    assert!(load(&folder_with_credentials(&all.join("\n"))).is_ok());
    // Defaults are shown as they are.
    let shown: toml::Table = all.join("\n").parse().unwrap();
    assert_eq!(shown["realm"].as_str(), Some(file::Credentials::default().realm.as_str()));
    assert_eq!(shown["code"][0]["uses"].as_integer(), Some(i64::from(file::Code::default().uses)));
    assert_eq!(shown["issuer"][0]["device_claim"].as_str(), Some(file::Issuer::default().device_claim.as_str()));
    assert_eq!(shown["issuer"][0]["devices"][0].as_str(), Some("*"));
}

#[test]
fn mistakes_in_credentials_are_told_all_at_once() {
    let changed = CREDENTIALS
        .replace("m=19456,t=2", "m=19456,t=1")
        .replace("devices = [\"SN-7*\"]", "devices = [\"*-7\"]\nsecret = \"x\"")
        .replace("\"5feceb66", "\"5f")
        .replace("\"2036-12-31T00:00:00Z\"", "\"soon\"")
        .replace("# uses = 1", "uses = 1001")
        .replace("audience = \"estd\"", "")
        .replace("factory.jwks.json", "none.json");
    let problems = load(&folder_with_credentials(&changed)).map(|_| ()).unwrap_err();
    let expected = [
        "credentials.toml: user line-7, secret: unknown field `secret`",
        "credentials.toml: user line-7, devices: \"*-7\": a pattern has one '*', at its end",
        "credentials.toml: user line-7, password: too cheap: expected m of 7168 at least",
        "credentials.toml: token provisioning, sha256: a fingerprint has 64 hexadecimal digits",
        "credentials.toml: token provisioning, not_after: expected a time such as \"2027-01-31T00:00:00Z\"",
        "credentials.toml: code 1, uses: expected 1 to 1000, found 1001",
        "credentials.toml: issuer factory, audience: missing: expected what aud must be or hold",
        "credentials.toml: issuer factory, jwks: cannot read none.json: No such file",
    ];
    for line in expected {
        assert!(problems.iter().any(|problem| problem.starts_with(line)), "missing {line:?} among {problems:#?}");
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
}

#[test]
fn a_label_that_asks_for_credentials_needs_some_and_they_are_kept_private() {
    let asking = |text: &str| text.replace("# authentication = \"certificate\"", "authentication = \"http\"");
    let problems = problems_after(asking);
    assert_eq!(
        problems,
        ["config.toml: tenant acme, label devices, authentication: missing: expected credentials of the tenant, the \
          file that they are declared in"]
    );
    let problems = problems_after(|text| {
        text.replace("# authentication = \"certificate\"", "authentication = \"password\"")
            .replace("# http_schemes = [\"basic\"]", "http_schemes = [\"basic\", \"basic\"]")
            .replace("# digest_algorithms = [\"SHA-256\"]", "digest_algorithms = []")
    });
    assert_eq!(problems.len(), 3, "{problems:#?}");
    let folder = folder_with_credentials(CREDENTIALS);
    let path = folder.path().join("credentials.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let problems = load(&folder).map(|_| ()).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].contains("credentials.toml is open to others (mode 0640)"), "{problems:?}");
    // A way in that nobody can take is a warning.
    let folder = folder_with_credentials(
        "[[user]]\nname = \"a\"\ndigest_md5 = \"5f4dcc3b5aa765d61d8327deb882cf99\"\ndevices = [\"*\"]",
    );
    let warnings: Vec<_> = load(&folder).unwrap().warnings.iter().map(Problem::to_string).collect();
    assert!(warnings.iter().any(|warning| warning.contains("can be presented as basic")), "{warnings:?}");
}
