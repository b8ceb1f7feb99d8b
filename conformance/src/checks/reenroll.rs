//! simplereenroll (RFC 7030 section 4.2.2).

use std::time::Duration;

use super::refused;
use crate::certificate::{Certificate, issued};
use crate::command::{openssl, read, text};
use crate::config::{self, Variant};
use crate::der;
use crate::http::{self, Client};
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::pki::Identity;
use crate::requests::{self, Parts, Request};
use crate::server::Server;
use crate::stage::{Stage, own_subject};

const COMMON_NAME: &str = "2.5.4.3";
const ORGANIZATION: &str = "2.5.4.10";
const PRINTABLE_STRING: u8 = 0x13;
/// The names that profile `everything` gives device SN-P256.
const EVERYTHING: &str = "/C=NL/O=Acme/OU=Fleet/CN=SN-P256/serialNumber=SN-P256";
const NAMES: [&str; 4] = [
    "URI:https://devices.acme.example/SN-P256",
    "DNS:SN-P256.devices.acme.example",
    "email:fleet@acme.example",
    "IP:192.0.2.7",
];

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("reenroll/renew", || renew(stage));
    matrix.case("reenroll/rekey", || rekey(stage));
    matrix.case("reenroll/key-reuse-forbidden", || no_reuse(stage));
    matrix.case("reenroll/subject", || subject(stage));
    matrix.case("reenroll/subject-alt-names", || subject_alt_names(stage));
    matrix.case("reenroll/birth-certificate", || by_birth(stage));
    matrix.case("reenroll/other-label", || other_label(stage));
    matrix.case("reenroll/revoked", || revoked(stage));
    matrix.case("reenroll/forged-by-the-maker", || forged(stage));
}

fn current(stage: &Stage, label: &str) -> Result<Identity, Problem> {
    stage.enroll("birth-p256", &format!("{label}/simpleenroll"), &stage.request("/", &[])?)
}

fn again(stage: &Stage, current: &Identity, label: &str, request: &Request) -> Result<http::Response, Problem> {
    stage.client(Some(current))?.post(&format!("{label}/simplereenroll"), &request.der)
}

fn renew(stage: &Stage) -> Check {
    let current = current(stage, "devices")?;
    let der = requests::by_key(&stage.pki, &current.key, &own_subject("SN-P256"), &[], "sha256")?;
    let request = Request { der, key: current.key.clone() };
    let response = again(stage, &current, "devices", &request)?;
    let media_type = response.header("Content-Type").unwrap_or_default();
    ensure!(media_type == "application/pkcs7-mime; smime-type=certs-only", "Content-Type: {media_type}");
    let kept = stage.keep(&response, &request, "simplereenroll")?;
    same_names(&current, &kept)?;
    // And once more, with the new one.
    let next = stage.request(&own_subject("SN-P256"), &[])?;
    stage.keep(&again(stage, &kept, "devices", &next)?, &next, "simplereenroll").map(|_| ())
}

fn rekey(stage: &Stage) -> Check {
    let current = current(stage, "devices")?;
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let kept = stage.keep(&again(stage, &current, "devices", &request)?, &request, "simplereenroll")?;
    same_names(&current, &kept)
}

fn same_names(before: &Identity, after: &Identity) -> Check {
    let before = Certificate::from_pem(&read(&before.certificate)?)?;
    let after = Certificate::from_pem(&read(&after.certificate)?)?;
    ensure!(before.subject == after.subject, "the subject changed");
    let names = |certificate: &Certificate| certificate.extension("2.5.29.17").map(|san| san.value.clone());
    ensure!(names(&before) == names(&after), "the subjectAltName changed");
    ensure!(before.serial != after.serial, "the serial did not change");
    Ok(())
}

fn no_reuse(stage: &Stage) -> Check {
    let current = current(stage, "no-reuse")?;
    let der = requests::by_key(&stage.pki, &current.key, &own_subject("SN-P256"), &[], "sha256")?;
    let response = again(stage, &current, "no-reuse", &Request { der, key: current.key.clone() })?;
    ensure!((400..500).contains(&response.status), "a key that must not be kept is renewed: {}", response.status);
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    stage.keep(&again(stage, &current, "no-reuse", &request)?, &request, "no-reuse/simplereenroll").map(|_| ())
}

fn subject(stage: &Stage) -> Check {
    let current = current(stage, "devices")?;
    for wrong in [
        &*own_subject("SN-OTHER"),
        "/CN=SN-P256",
        "/O=Acme/CN=SN-P256",
        "/CN=SN-P256/O=Acme/OU=X",
        "/CN=SN-P256/O=Acme2",
    ] {
        let request = stage.request(wrong, &[])?;
        refused(&again(stage, &current, "devices", &request)?, 403, &["subject_mismatch"])
            .map_err(|problem| Problem::failed(format!("{wrong}: {problem:?}")))?;
    }
    // RFC 5280 section 7.1: other string types, case and white space name the same subject.
    let request = stage.request("/", &[])?;
    for (name, organization) in [(b"SN-P256".as_slice(), b"Acme".as_slice()), (b"sn-p256", b" ACME ")] {
        let subject =
            requests::name_of(&[(COMMON_NAME, PRINTABLE_STRING, name), (ORGANIZATION, PRINTABLE_STRING, organization)]);
        let parts = Parts { subject, ..Parts::new(&request.key, b"x")? };
        let der = parts.signed(&request.key)?;
        let response = again(stage, &current, "devices", &Request { der, key: request.key.clone() })?;
        let renewed = issued(&response)?;
        let before = Certificate::from_pem(&read(&current.certificate)?)?;
        ensure!(renewed.subject == before.subject, "the certificate did not keep its encoding of the subject");
    }
    Ok(())
}

fn subject_alt_names(stage: &Stage) -> Check {
    let current = current(stage, "p256-everything")?;
    let attempt = |names: &[&str]| {
        let extension = format!("subjectAltName={}", names.join(","));
        let extensions: Vec<&str> = if names.is_empty() { vec![] } else { vec![&extension] };
        let request = stage.request(EVERYTHING, &extensions)?;
        again(stage, &current, "p256-everything", &request)
    };
    let more = [NAMES.as_slice(), &["DNS:SN-P256.lab.acme.example"]].concat();
    for (what, names) in [("a subset", &NAMES[..3]), ("a superset", &more), ("none", &[])] {
        refused(&attempt(names)?, 403, &["san_mismatch"])
            .map_err(|problem| Problem::failed(format!("{what}: {problem:?}")))?;
    }
    let mut turned = NAMES;
    turned.reverse();
    for names in [NAMES, turned] {
        issued(&attempt(&names)?)?;
    }
    Ok(())
}

/// RFC 7030 section 4.2.2: a certificate of another CA renews nothing, even with the right names.
fn by_birth(stage: &Stage) -> Check {
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let response = stage.device("birth-p256")?.post("simplereenroll", &request.der)?;
    refused(&response, 403, &["not_renewable"])
}

fn other_label(stage: &Stage) -> Check {
    let codes = ["not_renewable", "cross_tenant", "untrusted"];
    let elsewhere = current(stage, "p384-device")?;
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    refused(&again(stage, &elsewhere, "devices", &request)?, 403, &codes)?;
    // Another label of the same CA is another label still.
    let neighbour = current(stage, "replace")?;
    refused(&again(stage, &neighbour, "devices", &request)?, 403, &codes)
}

/// TLS-16: a revoked certificate renews nothing. Revoking needs the store, so this server is stopped for it.
fn revoked(stage: &Stage) -> Check {
    let configuration = config::write_folder(&stage.pki.path("revocation"), &stage.pki, Variant::Own)?;
    let anchor = stage.own.anchor.clone();
    let mut server = Server::start(&stage.binary, &configuration)?;
    let client = |server: &Server, identity: &Identity| Client::new(server.address, &anchor, Some(identity));
    let first = stage.request("/", &[])?;
    let response = client(&server, &stage.pki.identity("birth-p256"))?.post("simpleenroll", &first.der)?;
    let current = stage.keep(&response, &first, "simpleenroll")?;
    let stopped = server.stop(Duration::from_secs(20))?;
    ensure!(stopped.success(), "SIGTERM: {stopped}");
    let serial = openssl(["x509", "-in", &text(&current.certificate), "-noout", "-serial"], &[])?;
    let serial = String::from_utf8_lossy(&serial).trim().replace("serial=", "");
    let configured = text(&configuration);
    let revoke = ["ca", "revoke", "--config", &configured, "--authority", "acme/p256", "--serial", &serial];
    stage.binary.run(&revoke)?.succeeded("estd ca revoke")?;
    let server = Server::start(&stage.binary, &configuration)?;
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let client = client(&server, &current)?;
    for path in ["simplereenroll", "simpleenroll"] {
        refused(&client.post(path, &request.der)?, 403, &["revoked"])?;
    }
    ensure!(client.get("cacerts")?.status == 200, "a revoked certificate blocks cacerts");
    Ok(())
}

/// A manufacturer cannot make a certificate that renews one of the EST CA's.
fn forged(stage: &Stage) -> Check {
    use crate::pki::{KeyKind, Spec};
    let forged = stage.pki.issue("maker", &Spec::new("forged", "/CN=SN-P256/O=Acme", KeyKind::P256, "birth_client"))?;
    let parts = Parts {
        subject: requests::name_of(&[
            (COMMON_NAME, der::UTF8_STRING, b"SN-P256"),
            (ORGANIZATION, der::UTF8_STRING, b"Acme"),
        ]),
        ..Parts::new(&forged.key, b"x")?
    };
    let request = Request { der: parts.signed(&forged.key)?, key: forged.key.clone() };
    refused(&again(stage, &forged, "devices", &request)?, 403, &["not_renewable"])
}
