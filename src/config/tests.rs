//! The example file holds what it says, and every mistake is told with its place, all at once.

mod admin;
mod authorization_webhook;
mod credentials;
mod key_generation;
mod limits;
mod ra;
mod renewal;
mod rollover;
mod webhook;
mod wire;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chrono::{DateTime, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

use super::problem::{Place, Problem};
use super::{CertificateSource, Config, file};
use crate::clock::{Clock as _, SystemClock};
use crate::tls::MinimumVersion;

const EXAMPLE: &str = include_str!("../../config.example.toml");

/// A folder with everything the example file names, and the file itself as `config.toml`.
fn example_folder(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for inner in
        ["ca", "ca/next", "manufacturers", "operators", "tls", "tenants.d", "keys", "decrypt-certificates", "webhooks"]
    {
        fs::create_dir(path.join(inner)).unwrap();
    }
    let (root_params, root_key) = ca("Acme Root");
    let root = root_params.self_signed(&root_key).unwrap();
    let (issuing_params, issuing_key) = ca("Acme Issuing");
    let issuing = issuing_params.signed_by(&issuing_key, &Issuer::from_params(&root_params, &root_key)).unwrap();
    let (birth_params, birth_key) = ca("Maker");
    let birth = birth_params.self_signed(&birth_key).unwrap();
    fs::write(path.join("ca/root.pem"), root.pem()).unwrap();
    fs::write(path.join("operators/olga.pem"), root.pem()).unwrap();
    fs::write(path.join("leaked-keys.txt"), "# none yet\n").unwrap();
    fs::write(path.join("ca/issuing.pem"), issuing.pem()).unwrap();
    write_key(&path.join("ca/issuing.key"), &issuing_key);
    rollover::write_successor(&path.join("ca/next"), &root_params, &root_key);
    write_key(&path.join("ca/other.key"), &KeyPair::generate().unwrap());
    let mut server_params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    // RFC 6402 §2.10: id-kp-cmcRA, which a server under the EST CA may have beside it (RFC 7030 §3.6.1).
    let cmc_ra = ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 28]);
    server_params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, cmc_ra];
    let server_key = KeyPair::generate().unwrap();
    let server = server_params.signed_by(&server_key, &Issuer::from_params(&root_params, &root_key)).unwrap();
    fs::write(path.join("tls/server.pem"), server.pem()).unwrap();
    write_key(&path.join("tls/server.key"), &server_key);
    fs::write(path.join("manufacturers/birth-ca.pem"), birth.pem()).unwrap();
    let mut recipient = CertificateParams::default();
    recipient.is_ca = IsCa::ExplicitNoCa;
    let recipient = recipient.self_signed(&KeyPair::generate().unwrap()).unwrap();
    fs::write(path.join("decrypt-certificates/one.pem"), recipient.pem()).unwrap();
    write_secret(&path.join("keys/psk-id-0001.hex"), "000102030405060708090A0B0C0D0E0f\n");
    for receiver in ["siem", "inventory"] {
        write_secret(&path.join(format!("webhooks/{receiver}.secret")), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    }
    fs::write(path.join("config.toml"), config).unwrap();
    folder
}

fn ca(name: &str) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    (params, KeyPair::generate().unwrap())
}

fn write_key(path: &Path, key: &KeyPair) {
    write_secret(path, &key.serialize_pem());
}

fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn load(folder: &TempDir) -> Result<Config, Vec<String>> {
    let prefix = format!("{}/", folder.path().display());
    Config::load(&folder.path().join("config.toml"), now())
        .map_err(|problems| problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect())
}

/// The problems of the example file after `change`.
fn problems_after(change: impl Fn(&str) -> String) -> Vec<String> {
    match load(&example_folder(&change(EXAMPLE))) {
        Ok(_) => Vec::new(),
        Err(problems) => problems,
    }
}

fn now() -> DateTime<Utc> {
    SystemClock.now()
}

#[test]
fn the_example_checks_as_it_stands() {
    let config = load(&example_folder(EXAMPLE)).unwrap();
    assert_eq!(config.server.listen, ["127.0.0.1:8443".parse().unwrap()]);
    assert_eq!(config.server.tls.min_version, MinimumVersion::Tls12);
    assert!(matches!(config.server.tls.certificate, CertificateSource::Own { .. }));
    assert_eq!(config.authorities[0].path(), "acme/issuing");
    assert_eq!(config.labels[0].label.as_str(), "devices");
    assert_eq!(config.labels[0].anchors.implicit().len(), 1);
    assert_eq!(config.labels[0].anchors.explicit().len(), 1);
}

/// The example with the lines behind `marker` uncommented.
fn uncommented(marker: &str) -> toml::Table {
    let line = |line: &str| line.strip_prefix(marker).filter(|rest| !rest.starts_with("e.g. ")).map(str::to_owned);
    let is_toml = |text: &str| text.starts_with('[') || text.parse::<toml::Table>().is_ok();
    let kept = EXAMPLE.lines().map(|text| line(text).filter(|text| is_toml(text)).unwrap_or_else(|| text.to_owned()));
    kept.collect::<Vec<_>>().join("\n").parse().unwrap()
}

#[test]
fn every_key_that_is_commented_out_shows_its_default() {
    let (with, without) = (uncommented("# "), EXAMPLE.parse::<toml::Table>().unwrap());
    fn same<T: serde::de::DeserializeOwned + Default + PartialEq + std::fmt::Debug>(
        with: &toml::Value,
        without: Option<&toml::Value>,
        at_least: usize,
    ) {
        let table = |value: &toml::Value| value.as_table().unwrap().clone();
        let (with, without) = (table(with), without.map(table).unwrap_or_default());
        assert!(with.len() >= without.len() + at_least, "the comments of the example hold fewer keys: {with:?}");
        let mut problems = Vec::new();
        let place = Place::file(Path::new("example"));
        let decoded: [T; 2] = [with, without].map(|table| file::decode(table, &place, &mut problems));
        assert_eq!(problems, Vec::<Problem>::new());
        assert_eq!(decoded[0], decoded[1]);
    }
    same::<file::Admin>(&with["admin"], Some(&without["admin"]), 2);
    let tls = |table: &toml::Table| table["server"]["tls"].clone();
    same::<file::Tls>(&tls(&with), Some(&tls(&without)), 2);
    let server = |table: &toml::Table| {
        let mut server = table["server"].as_table().unwrap().clone();
        server.remove("tls");
        toml::Value::Table(server)
    };
    same::<file::Server>(&server(&with), Some(&server(&without)), 3);
    same::<file::Limits>(&with["limits"], without.get("limits"), 24);
    same::<file::Log>(&with["log"], without.get("log"), 2);
    let (with, without) = (&with["tenant"][0], &without["tenant"][0]);
    same::<file::Authority>(&with["authority"][0], Some(&without["authority"][0]), 6);
    same::<file::Profile>(&with["profile"][0], Some(&without["profile"][0]), 7);
    same::<file::Approval>(&with["label"][0]["approval"], None, 4);
    same::<file::Renewal>(&with["label"][0]["renewal"], None, 5);
    same::<file::LabelLimits>(&with["label"][0]["limits"], None, 2);
    same::<file::TenantLimits>(&with["limits"], None, 4);
    same::<file::Ra>(&with["label"][0]["ra"], None, 3);
    let without_tables = |label: &toml::Value| {
        let mut label = label.as_table().unwrap().clone();
        label.retain(|_, value| !value.is_table());
        toml::Value::Table(label)
    };
    same::<file::Label>(&without_tables(&with["label"][0]), Some(&without["label"][0]), 11);
}

#[test]
fn what_is_published_is_held_to_what_can_be_found() {
    let authority = |keys: &str| format!("chain = [\"ca/root.pem\"]\n{keys}\n");
    let with = |keys: &str, url: Option<&str>| {
        let text = EXAMPLE.replace("chain = [\"ca/root.pem\"]\n", &authority(keys));
        let url = url.map_or(String::new(), |url| format!("public_url = \"{url}\"\n"));
        text.replace("data_dir = \"data\"\n", &format!("data_dir = \"data\"\n{url}"))
    };
    let url = Some("http://pki.acme.example/");
    let config = load(&example_folder(&with("crl_shards = 1024\ncrl_delta_lifetime = \"1h\"", url))).unwrap();
    let publication = config.authorities[0].authority.publication().unwrap();
    assert_eq!(publication.base.as_deref(), Some("http://pki.acme.example"));
    for (keys, url) in [
        ("crl_shards = 2", None),
        ("crl_delta_lifetime = \"1h\"", None),
        ("crl_shards = 0", url),
        ("crl_shards = 1025", url),
        ("ocsp_max_certificates = 0", None),
        ("ocsp_max_certificates = 129", None),
        ("ocsp_held_answers = 1", None),
        ("crl_lifetime = \"1d\"\ncrl_overlap = \"1d\"", url),
        ("crl_lifetime = \"0s\"\ncrl_overlap = \"0s\"", url),
        ("", Some("https://pki.acme.example")),
        ("", Some("http://pki.acme.example/?a")),
    ] {
        assert!(load(&example_folder(&with(keys, url))).is_err(), "{keys} {url:?}");
    }
}

/// The example with what stands behind `# e.g. `, but for keys that exclude others of it, each tried in a test of its own:
/// certificate and key exclude issued_by and names, hosts the server's default_label, ca_path_len
/// key_usage.
fn with_examples() -> String {
    let is_apart = |example: &str| {
        ["certificate = \"tls/", "key = \"tls/", "hosts", "default_label", "ca_path_len"]
            .iter()
            .any(|key| example.starts_with(key))
    };
    EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# e.g. ") {
            Some(example) if !is_apart(example) => format!("{example}\n"),
            Some(_) | None => format!("{line}\n"),
        })
        .collect()
}

/// The example folder with the file of credentials that the examples name.
fn folder_of(config: &str) -> TempDir {
    let folder = example_folder(config);
    credentials::write_credentials(&folder, credentials::CREDENTIALS);
    folder
}

#[test]
fn every_example_in_a_comment_checks() {
    let config = load(&folder_of(&with_examples())).unwrap();
    let rules = config.labels[0].key_generation.as_ref().unwrap();
    assert!(!rules.plaintext && rules.birth_certificates);
    assert_eq!((rules.certificates.len(), rules.shared_keys.len()), (1, 1));
    assert_eq!(rules.shared_keys[0].identifier(), b"psk-id-0001");
    assert_eq!(rules.shared_keys[0].octets(), std::array::from_fn::<u8, 16, _>(|octet| octet as u8));
}

#[test]
fn a_server_certificate_from_files_is_held_against_its_key() {
    let config = |certificate: &str, key: &str| {
        let from_files = format!("certificate = \"{certificate}\"\nkey = \"{key}\"");
        EXAMPLE
            .replace("issued_by = \"acme/issuing\"", &from_files)
            .replace("names = [\"localhost\", \"127.0.0.1\"]", "")
    };
    let config_of = |certificate, key| load(&example_folder(&config(certificate, key)));
    let sound = config_of("tls/server.pem", "tls/server.key").unwrap();
    assert!(matches!(sound.server.tls.certificate, CertificateSource::Files(_)));
    let problems = |certificate, key| config_of(certificate, key).map(|_| ()).unwrap_err();
    assert_eq!(
        problems("tls/server.pem", "ca/other.key"),
        ["config.toml: server, tls: the private key does not belong to the first certificate"]
    );
    assert_eq!(
        problems("ca/issuing.pem", "ca/issuing.key"),
        ["config.toml: server, tls: the first certificate has no extendedKeyUsage serverAuth"]
    );
    let both = problems_after(|text| text.replace("[server.tls]", "[server.tls]\ncertificate = \"tls/server.pem\""));
    assert_eq!(
        both,
        [
            "config.toml: server, tls, issued_by: cannot stand beside certificate and key",
            "config.toml: server, tls, names: cannot stand beside certificate and key",
            "config.toml: server, tls, key: missing: expected a PEM file with the key of certificate",
        ]
    );
}

#[test]
fn all_problems_are_told_at_once() {
    let problems = problems_after(|text| {
        text.replace("listen = [\"127.0.0.1:8443\"]", "listen = [\"here\"]\nlisten_on = 1")
            .replace("# status_listen = \"127.0.0.1:9443\"", "status_listen = \"0.0.0.0:9443\"")
            .replace("default_label = \"devices\"", "default_label = \"toasters\"")
            .replace("\"localhost\", \"127.0.0.1\"", "\"*.example.org\"")
            .replace("# max_chain = 6 ", "max_chain = 0 ")
            .replace("# idle_timeout = \"60s\"", "idle_timeout = \"soon\"")
            .replace("# level = \"info\"", "level = \"loud\"")
            .replace("chain = [\"ca/root.pem\"]", "chain = [\"ca/none.pem\"]")
            .replace("validity = \"398d\"", "# no validity")
            .replace("\nprofile = \"device\"", "\nprofile = \"gadget\"")
            .replace("identity = \"subject-serial-number\"", "identity = \"guess\"")
    });
    let expected = [
        "config.toml: server, listen_on: unknown field `listen_on`",
        "config.toml: limits, idle_timeout: expected a duration such as",
        "config.toml: limits, max_chain: expected 1 to ",
        "config.toml: log, level: expected error, warn, info, debug, trace, found \"loud\"",
        "config.toml: tenant acme, authority issuing, chain: cannot read ca/none.pem: No such file",
        "config.toml: tenant acme, profile device, validity: missing: expected a duration",
        "config.toml: tenant acme, label devices, profile: there is no profile \"gadget\"; known: device",
        "config.toml: tenant acme, label devices, identity: expected subject-serial-number, hardware-module-name",
        "config.toml: server, tls, names: expected a DNS name",
        "config.toml: server, listen: expected an IP address and a port",
        "config.toml: server, status_listen: expected an address of this machine alone",
        "config.toml: server, default_label: there is no label \"toasters\"; known: devices",
    ];
    for line in expected {
        assert!(problems.iter().any(|problem| problem.starts_with(line)), "missing {line:?} among {problems:#?}");
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let folder = example_folder(EXAMPLE);
    fs::set_permissions(folder.path().join("ca/issuing.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let problems = load(&folder).map(|_| ()).unwrap_err();
    assert_eq!(
        problems,
        ["config.toml: tenant acme, authority issuing, key: ca/issuing.key is open to others (mode 0640); expected \
          0600, for the owner alone: chmod 600 it"]
    );
}

#[test]
fn a_key_of_another_certificate_and_a_broken_chain_are_refused() {
    let problems = problems_after(|text| text.replace("ca/issuing.key", "ca/other.key"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("config.toml: tenant acme, authority issuing: "), "{problems:?}");
    let problems = problems_after(|text| text.replace("chain = [\"ca/root.pem\"]", "chain = []"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("the chain breaks at"), "{problems:?}");
}

#[test]
fn a_folder_without_anchors_is_a_warning() {
    let config = EXAMPLE.replace("manufacturers/birth-ca.pem", "tenants.d");
    let config = load(&example_folder(&config)).unwrap();
    let warnings: Vec<_> = config.warnings.iter().map(Problem::to_string).collect();
    assert!(warnings.iter().any(|warning| warning.contains("no device can enroll")), "{warnings:?}");
}

#[test]
fn names_are_unique_over_the_tenants_of_all_files() {
    let folder = example_folder(&EXAMPLE.replace("# e.g. tenants_dir", "tenants_dir"));
    let tenant = EXAMPLE.split_once("[[tenant]]\n").unwrap().1.replace("[[tenant.", "[[");
    fs::write(folder.path().join("tenants.d/acme.toml"), &tenant).unwrap();
    let problems = load(&folder).map(|_| ()).unwrap_err();
    assert_eq!(
        problems,
        [
            "tenants.d/acme.toml: tenant acme, name: the name is taken: tenant names are unique",
            "tenants.d/acme.toml: tenant acme, label devices, name: the name is taken: label names are unique over \
             all tenants without hosts of their own",
        ]
    );
    let other = tenant.replace("\"acme\"", "\"other\"").replace("\"devices\"", "\"gadgets\"");
    fs::write(folder.path().join("tenants.d/acme.toml"), other).unwrap();
    let config = load(&folder).unwrap();
    assert_eq!(config.labels.len(), 2);
    assert_eq!(config.labels[1].tenant, "other");
}

#[test]
fn a_tenant_with_hosts_has_its_labels_and_default_to_itself() {
    let folder = example_folder(&EXAMPLE.replace("# e.g. tenants_dir", "tenants_dir"));
    let tenant =
        EXAMPLE.split_once("[[tenant]]\n").unwrap().1.replace("[[tenant.", "[[").replace("\"acme\"", "\"other\"");
    let with = |hosts: &str| {
        let tenant = tenant.replace("# e.g. hosts = [\"est.acme.example\"]\n# e.g. default_label = \"devices\"", hosts);
        fs::write(folder.path().join("tenants.d/other.toml"), tenant).unwrap();
        load(&folder)
    };
    let config = with("hosts = [\"EST.Other.example\"]\ndefault_label = \"devices\"").unwrap();
    assert_eq!(config.hosts[0].hosts, ["est.other.example"]);
    assert_eq!(config.labels.len(), 2, "both tenants have a label of the same name");
    for (hosts, problem) in [
        ("hosts = [\"a.example\"]", "default_label: missing: expected the name of a label"),
        (
            "hosts = [\"a.example\"]\ndefault_label = \"nobody\"",
            "default_label: there is no label \"nobody\"; known: devices",
        ),
        ("hosts = [\"*.a.example\"]\ndefault_label = \"devices\"", "hosts: expected DNS names without wildcards"),
        ("hosts = [\"192.0.2.1\"]\ndefault_label = \"devices\"", "hosts: expected DNS names without wildcards"),
        (
            "hosts = [\"a.example\", \"A.example\"]\ndefault_label = \"devices\"",
            "hosts: the name is taken: host names are unique",
        ),
    ] {
        let problems = with(hosts).map(|_| ()).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(problem), "{problems:?}");
    }
}

#[test]
fn a_profile_of_cas_needs_an_authority_that_may_certify_them() {
    let example = |text: &str| text.replace("# e.g. ca_path_len = 0", "ca_path_len = 0");
    assert_eq!(problems_after(example), Vec::<String>::new());
    let usages = |text: &str| example(text).replace("# e.g. key_usage", "key_usage");
    assert!(problems_after(usages)[0].contains("key_usage has no place beside ca_path_len"));
    let keys = |text: &str| format!("{}[tenant.label.key_generation]\n", example(text));
    let told = "config.toml: tenant acme, label devices, key_generation: expected a profile of devices, found one with";
    assert!(problems_after(keys)[0].starts_with(told), "{:?}", problems_after(keys));
    let folder = example_folder(&example(EXAMPLE));
    let (mut params, key) = ca("Narrow");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    fs::write(folder.path().join("ca/issuing.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(folder.path().join("config.toml"), example(EXAMPLE).replace("chain = [\"ca/root.pem\"]", "")).unwrap();
    write_key(&folder.path().join("ca/issuing.key"), &key);
    let problems = load(&folder).map(|_| ()).unwrap_err();
    assert_eq!(
        problems,
        [
            "config.toml: tenant acme, label devices, authority: expected an authority that may certify CAs with path length 0, \
          found one whose pathLenConstraint forbids it"
        ]
    );
}

#[test]
fn a_value_of_the_wrong_shape_is_one_problem() {
    let problems = problems_after(|text| text.replace("validity = \"398d\"", "validity = \"soon\""));
    assert_eq!(problems.len(), 1, "{problems:?}");
    let expected = "config.toml: tenant acme, profile device, validity: expected a duration such as \"10m\" or \"398d\", \
                    found \"soon\"";
    assert!(problems[0].starts_with(expected), "{problems:?}");
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let problems = problems_after(|text| text.replace("[server]", "[server"));
    assert_eq!(problems.len(), 1);
    let line = EXAMPLE.lines().position(|line| line == "[server]").unwrap() + 1;
    assert!(problems[0].contains(&format!("TOML parse error at line {line},")), "{problems:?}");
}
