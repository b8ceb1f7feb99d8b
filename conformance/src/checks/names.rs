//! Names that are not well-formed, or too many (RFC 5280 section 4.2.1.6, X509-08, X509-12).

use super::refused;
use crate::certificate::issued;
use crate::clock::Stopwatch;
use crate::command::read;
use crate::der;
use crate::http::Client;
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::pki::KeyKind;
use crate::requests::{self, Parts};
use crate::stage::Stage;
use std::time::Duration;

const COMMON_NAME: &str = "2.5.4.3";
const ORGANIZATION: &str = "2.5.4.10";
const TELETEX_STRING: u8 = 0x14;
const BMP_STRING: u8 = 0x1e;

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("names/characters", || characters(stage));
    matrix.case("names/log-is-not-forged", || log_is_not_forged(stage));
    matrix.case("names/string-types", || string_types(stage));
    matrix.case("names/bad-subject-alt-names", || bad_names(stage));
    matrix.case("names/too-many", || too_many(stage));
}

struct Sender {
    client: Client,
    key: std::path::PathBuf,
    parts: Parts,
}

impl Sender {
    fn new(stage: &Stage) -> Result<Self, Problem> {
        let key = stage.pki.key(&stage.unique("names"), KeyKind::P256)?;
        Ok(Self { client: stage.device("birth-p256")?, parts: Parts::new(&key, b"")?, key })
    }

    fn request(&self, subject: Vec<u8>, extensions: &[Vec<u8>]) -> Result<Vec<u8>, Problem> {
        let mut parts = Parts { subject, ..self.parts.clone() };
        if !extensions.is_empty() {
            parts.attributes = requests::attributes(&[requests::extension_request(extensions)]);
        }
        parts.signed(&self.key)
    }
}

const FORGED: &[u8] = b"x\r\n2026-01-01T00:00:00Z INFO enrolled SN-FORGED";

fn characters(stage: &Stage) -> Check {
    let sender = Sender::new(stage)?;
    for (what, name) in [
        ("NUL", b"SN-P256\0.evil".as_slice()),
        ("CR LF", FORGED),
        ("ESC", b"SN\x1b[2J"),
        ("right-to-left override", "SN\u{202e}652P".as_bytes()),
        ("zero width space", "SN-\u{200b}P256".as_bytes()),
        ("broken UTF-8", b"SN-\xff\xfe"),
        ("a lone C1 control", "SN\u{85}".as_bytes()),
    ] {
        let response = sender.client.post("simpleenroll", &sender.request(requests::name(name), &[])?)?;
        refused(&response, 400, &["bad_name", "bad_csr"])
            .map_err(|problem| Problem::failed(format!("{what}: {problem:?}")))?;
        ensure!(!response.body.contains(&0x1b) && !response.body.contains(&0), "{what}: echoed as it came");
    }
    Ok(())
}

fn log_is_not_forged(stage: &Stage) -> Check {
    let sender = Sender::new(stage)?;
    let response = sender.client.post("simpleenroll", &sender.request(requests::name(FORGED), &[])?)?;
    ensure!(response.status == 400, "expected 400, came {}", response.status);
    let log = String::from_utf8_lossy(&read(&stage.own.server.log)?).into_owned();
    ensure!(!log.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z INFO enrolled")), "a name wrote a log line");
    ensure!(!log.contains('\x1b') || !log.contains("\x1b[2J"), "a name sent a terminal sequence");
    Ok(())
}

/// X509-08: other string types are refused, or come out as UTF8String or PrintableString.
fn string_types(stage: &Stage) -> Check {
    let sender = Sender::new(stage)?;
    let wide: Vec<u8> = "SN-P256".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (tag, name) in [(TELETEX_STRING, b"SN-P256".as_slice()), (BMP_STRING, &wide)] {
        let subject = requests::name_of(&[(COMMON_NAME, tag, name), (ORGANIZATION, der::UTF8_STRING, b"Acme")]);
        let response = sender.client.post("simpleenroll", &sender.request(subject, &[])?)?;
        if response.status == 200 {
            let certificate = issued(&response)?;
            let first = der::Value::parse(&certificate.subject)?.child(0)?.child(0)?.child(1)?.tag;
            ensure!(matches!(first, der::UTF8_STRING | 0x13), "string type {first:#x} was copied");
        } else {
            ensure!((400..500).contains(&response.status), "string type {tag:#x}: {}", response.status);
        }
    }
    Ok(())
}

fn bad_names(stage: &Stage) -> Check {
    let sender = Sender::new(stage)?;
    let empty = der::sequence(&[]);
    let san = |names: Vec<u8>| requests::extension("2.5.29.17", false, &der::value(der::SEQUENCE, names));
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    for name in [
        "*.devices.acme.example",
        "192.0.2.7",
        "trailing.dot.example.",
        "under_score.example",
        "",
        " ",
        "-a.example",
        "a..example",
        "b\u{fc}cher.example",
        "nul\0.example",
    ] {
        cases.push((format!("dNSName {name:?}"), requests::dns_names(&[name.as_bytes()])));
    }
    cases.push(("an address of five octets".into(), san(der::value(0x87, [1, 2, 3, 4, 5]))));
    cases.push(("a mailbox without a host".into(), san(der::value(0x81, b"root"))));
    cases.push(("an URI without a scheme".into(), san(der::value(0x86, b"//host/path"))));
    cases.push(("no names".into(), san(Vec::new())));
    cases.push((
        "a dNSName over 63 letters".into(),
        requests::dns_names(&[format!("{}.example", "a".repeat(64)).as_bytes()]),
    ));
    for (what, extension) in cases {
        let response = sender.client.post("simpleenroll", &sender.request(empty.clone(), &[extension])?)?;
        refused(&response, 400, &["bad_name", "bad_csr"])
            .map_err(|problem| Problem::failed(format!("{what}: {problem:?}")))?;
    }
    Ok(())
}

/// Counts have limits, and going over them is cheap.
fn too_many(stage: &Stage) -> Check {
    let sender = Sender::new(stage)?;
    let empty = der::sequence(&[]);
    let names = |count: usize| {
        let names: Vec<Vec<u8>> = (0..count).map(|n| format!("n{n}.example").into_bytes()).collect();
        requests::dns_names(&names.iter().map(Vec::as_slice).collect::<Vec<_>>())
    };
    let rdns = |count: usize| requests::name_of(&vec![(COMMON_NAME, der::UTF8_STRING, b"a".as_slice()); count]);
    for (what, body, statuses) in [
        ("33 names", sender.request(empty.clone(), &[names(33)])?, [400, 400]),
        ("5,000 names", sender.request(empty, &[names(5_000)])?, [400, 413]),
        ("33 RDNs", sender.request(rdns(33), &[])?, [400, 400]),
        ("10,000 RDNs", sender.request(rdns(10_000), &[])?, [400, 413]),
    ] {
        let watch = Stopwatch::start();
        let response = sender.client.post("simpleenroll", &body)?;
        ensure!(statuses.contains(&response.status), "{what}: {} {}", response.status, response.text().trim());
        ensure!(watch.elapsed() < Duration::from_millis(500), "{what} took {:?}", watch.elapsed());
    }
    Ok(())
}
