//! Holds the tree to ARCHITECTURE.md: walls (which module may name which) and doors (where a foreign crate may be named).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Module of ours -> the modules of ours it may name besides itself.
const WALLS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("durable_file", &[]),
    ("est", &[]),
    ("pki", &["est"]),
    ("audit", &["est", "pki"]),
    ("store", &["pki", "audit", "est", "durable_file"]),
    ("access", &["store", "clock", "pki"]),
    ("credential", &["est", "pki"]),
    ("policy", &["est", "pki", "credential"]),
    ("ca", &["policy", "pki", "store", "clock"]),
    ("ra", &["est", "pki", "credential", "policy", "ca", "store", "audit", "clock", "access"]),
    ("config", &["est", "pki", "credential", "policy", "ca", "tls", "access", "webhook"]),
    ("tls", &["est", "pki"]),
    ("http", &["est", "ra", "va"]),
    ("va", &["pki", "ca", "store", "audit", "clock"]),
    ("admin", &["est", "pki", "ca", "access", "ra", "va", "store", "policy", "http", "trail", "backup", "webhook"]),
    ("webhook", &["est", "pki", "store", "audit", "clock", "ra", "trail", "http", "durable_file"]),
    ("trail", &["pki", "store"]),
    ("backup", &["pki", "store", "config", "audit", "webhook", "durable_file"]),
];

/// Modules that put everything together.
const UNBOUND: &[&str] = &["server", "cli", "main", "lib"];

/// Foreign crate -> the paths under `src/` that may name it.
const DOORS: &[(&str, &[&str])] = &[
    ("rasn", &[]),
    ("rasn_cms", &[]),
    ("rasn_pkix", &[]),
    ("p256", &["pki/", "ca/software_signer"]),
    ("p384", &["pki/", "ca/software_signer"]),
    ("p521", &["pki/", "ca/software_signer"]),
    ("rsa", &["pki/", "ca/software_signer"]),
    ("der", &["pki/", "ca/software_signer"]),
    ("pkcs8", &["pki/", "ca/software_signer"]),
    (
        "aws_lc_rs",
        &[
            "pki/digest",
            "pki/cert_id",
            "pki/generated_key",
            "pki/signature",
            "ca/key_envelope",
            "ca/software_signer",
            "clock",
            "credential/jwk",
        ],
    ),
    ("webpki", &["pki/trust", "tls"]),
    ("sled", &["store/"]),
    ("rustls", &["tls", "server", "cli/demo", "webhook/client"]),
    ("rustls_native_certs", &["webhook/client"]),
    ("tokio_rustls", &["tls", "server", "cli/demo", "webhook/client"]),
    ("hyper", &["http/", "admin/stream", "webhook/", "cli/demo", "cli/operate"]),
    ("hyper_util", &["http/", "server", "webhook/client", "cli/demo", "cli/operate"]),
    ("http_body_util", &["http/", "webhook/client", "cli/demo", "cli/operate"]),
    ("httparse", &["http/"]),
    ("toml", &["config/file", "cli/folder", "cli/credential", "cli/rollover"]),
    ("rpassword", &["cli/credential"]),
    ("rustix", &["durable_file", "cli/process", "server/admin_listener"]),
    ("axum", &["admin/"]),
    ("tower", &["admin/"]),
    ("utoipa", &["admin/", "trail/event"]),
    ("tar", &["backup/"]),
    ("indicatif", &["cli/"]),
    ("csv", &["admin/resource/import"]),
    ("serde", &["config/file", "admin/", "trail/event", "webhook/message", "webhook/question", "backup/manifest"]),
    ("serde_json", &["credential/jw", "admin/", "trail/", "webhook/", "backup/", "cli/operate"]),
    ("argon2", &["credential/password"]),
    ("md5", &["credential/digest"]),
    ("minicbor", &["store/"]),
    ("clap", &["cli/", "main"]),
    ("base64", &["est/transfer"]),
    ("prometheus_client", &["http/"]),
    ("tokio", &["tls", "http/", "admin/", "webhook/", "server", "cli/", "main"]),
];

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Path under `src/`, without `.rs`, and the text without comments and without unit tests.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().with_extension("").to_string_lossy().replace('\\', "/");
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
            let code: Vec<&str> = code.lines().map(|line| line.split("//").next().unwrap()).collect();
            (name, code.join("\n"))
        })
        .filter(|(name, _)| !name.ends_with("contract") && !name.ends_with("testing") && !is_unit_test(name))
        .collect()
}

/// Unit tests that fill a file of their own may name whatever they set up.
fn is_unit_test(name: &str) -> bool {
    name.ends_with("/tests") || name.contains("/tests/")
}

/// What is assumed for an explanation is taken as proven: nobody else makes it.
#[test]
fn only_explanations_assume_what_others_prove() {
    const MAKERS: [(&str, &[&str]); 3] = [
        ("PresentedChain::assumed", &["ra/explain"]),
        ("PeerSession::assumed", &["ra/explain"]),
        ("Offered::Assumed", &["ra/explain", "ra/authentication"]),
    ];
    for (name, code) in sources() {
        for (maker, places) in MAKERS {
            assert!(!code.contains(maker) || places.contains(&name.as_str()), "{name} names {maker}");
        }
        let is_signing = ["ra/enroll", "ra/cmc"].iter().any(|place| name.starts_with(place));
        assert!(!(is_signing && code.contains("Assumed")), "{name} issues by what is assumed");
    }
    let explains = &sources()["ra/explain"];
    assert!(MAKERS.iter().all(|(maker, _)| explains.contains(maker)), "the makers have other names now");
    assert!(!explains.contains(".sign(") && !explains.contains(".record_"), "an explanation changes nothing");
}

fn top(name: &str) -> &str {
    name.split('/').next().unwrap()
}

/// Every `prefix::name` in `code` where `prefix` stands as a word of its own.
fn named_after<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|character| character.is_alphanumeric() || "_:".contains(character)) {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split("};").next().unwrap();
                found.extend(list.split(',').map(|item| word(item.trim())));
            }
            None => found.push(word(rest)),
        }
    }
    found
}

fn word(text: &str) -> &str {
    let end = text.find(|character: char| !(character.is_alphanumeric() || character == '_')).unwrap_or(text.len());
    &text[..end]
}

#[test]
fn modules_name_only_what_their_wall_allows() {
    let walls: BTreeMap<_, _> = WALLS.iter().copied().collect();
    let mut breaches = Vec::new();
    for (name, code) in sources() {
        let module = top(&name);
        if UNBOUND.contains(&module) {
            continue;
        }
        let allowed = walls.get(module).unwrap_or_else(|| panic!("src/{name}.rs belongs to no wall; add one"));
        for other in named_after(&code, "crate::") {
            let ours = walls.contains_key(other) || UNBOUND.contains(&other);
            if ours && other != module && !allowed.contains(&other) {
                breaches.push(format!("src/{name}.rs names crate::{other}; {module} may name {allowed:?}"));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn foreign_crates_come_in_by_their_door() {
    let mut breaches = Vec::new();
    for (name, code) in sources() {
        for (foreign, doors) in DOORS {
            let used = !named_after(&code, &format!("{foreign}::")).is_empty();
            if used && !doors.iter().any(|door| name.starts_with(door)) {
                breaches.push(format!("src/{name}.rs names {foreign}, whose doors are {doors:?}"));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn every_file_opens_with_what_it_is_for_and_stays_readable() {
    let mut breaches = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "asn1/src", "conformance/src"] {
        rust_files(&root.join(folder), &mut files);
    }
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let shown = path.strip_prefix(root).unwrap().display().to_string();
        if !text.starts_with("//! ") {
            breaches.push(format!("{shown} does not open with a `//!` sentence"));
        }
        let lines = text.split("#[cfg(test)]\nmod ").next().unwrap().lines().count();
        if lines > 500 {
            breaches.push(format!("{shown} has {lines} lines without its tests, the limit is 500"));
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}
