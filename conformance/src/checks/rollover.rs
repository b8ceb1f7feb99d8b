//! A CA takes another's place (RFC 7030 section 4.1.3, RFC 4210 section 4.4), judged by openssl.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::refused;
use super::tls::s_client_at;
use crate::certificate::{Certificate, certs_only, issued, transfer_decoded};
use crate::clock::Deadline;
use crate::command::{openssl, read, text, write};
use crate::http::{self, Client};
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::pki::Identity;
use crate::requests;
use crate::rollover::{FILES, file, turn};
use crate::stage::Stage;

const SUBJECT: &str = "/CN=SN-P256/O=acme";
const SUBJECT_KEY_IDENTIFIER: &str = "2.5.29.14";
const KEY_USAGE: &str = "2.5.29.15";
const BASIC_CONSTRAINTS: &str = "2.5.29.19";
/// How long a reload may take.
const LIMIT: Duration = Duration::from_secs(10);

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("rollover/cross-certificates", || cross_certificates(stage));
    matrix.case("rollover/announced", || announced(stage));
    matrix.case("rollover/the-old-ca-signs", || old_signs(stage));
    matrix.case("rollover/readiness", || readiness(stage));
    matrix.case("rollover/cut-over", || cut_over(stage));
    // The last: the old CA is gone.
    matrix.case("rollover/end", || end(stage));
}

fn certificate(stage: &Stage, name: &str) -> Result<Certificate, Problem> {
    Certificate::from_pem(&read(&file(&stage.rollover, name))?)
}

/// ROLL-01, ROLL-02 and ROLL-04: one name, two keys, and dates that do not outlast the old root.
fn cross_certificates(stage: &Stage) -> Check {
    let (old, new) = (certificate(stage, "root.pem")?, certificate(stage, "next/root.pem")?);
    let (old_with_new, new_with_old) =
        (certificate(stage, "next/old-with-new.pem")?, certificate(stage, "next/new-with-old.pem")?);
    for one in [&old, &new, &old_with_new, &new_with_old] {
        ensure!(one.subject == old.subject && one.issuer == old.subject, "the names are not equal to the octet");
    }
    ensure!(old.spki != new.spki, "the key is the same");
    ensure!(old_with_new.spki == old.spki && new_with_old.spki == new.spki, "a key is another's");
    ensure!(old_with_new.validity == old.validity, "OldWithNew is not valid for as long as the old root");
    ensure!(new_with_old.validity == [new.validity[0].clone(), old.validity[1].clone()], "NewWithOld: other dates");
    for (one, root) in [(&old_with_new, &old), (&new_with_old, &new)] {
        for oid in [SUBJECT_KEY_IDENTIFIER, KEY_USAGE, BASIC_CONSTRAINTS] {
            let value = |certificate: &Certificate| certificate.extension(oid).map(|found| found.value.clone());
            ensure!(value(one).is_some() && value(one) == value(root), "{oid} is not the one of the root");
        }
    }
    verify(stage, "root.pem", &[], &file(&stage.rollover, "next/new-with-old.pem"))?;
    verify(stage, "next/root.pem", &[], &file(&stage.rollover, "next/old-with-new.pem"))
}

/// `openssl verify` with one root trusted, and what else is known.
fn verify(stage: &Stage, root: &str, others: &[&str], leaf: &std::path::Path) -> Check {
    let root = text(&file(&stage.rollover, root));
    let others: Vec<_> = others.iter().map(|name| text(&file(&stage.rollover, name))).collect();
    let mut arguments = vec!["verify", "-x509_strict", "-CAfile", &root];
    arguments.extend(others.iter().flat_map(|other| ["-untrusted", other]));
    let leaf = text(leaf);
    arguments.push(&leaf);
    openssl(arguments, &[]).map(drop)
}

/// What `/cacerts` serves, to whoever `identity` is.
fn served(stage: &Stage, identity: Option<&Identity>, root: &str) -> Result<BTreeSet<Vec<u8>>, Problem> {
    let response = client(stage, root, identity)?.get("cacerts")?;
    ensure!(response.status == 200, "expected 200, came {}", response.status);
    Ok(certs_only(&transfer_decoded(&response.body)?)?.into_iter().collect())
}

fn client(stage: &Stage, root: &str, identity: Option<&Identity>) -> Result<Client, Problem> {
    Client::new(stage.rollover.server.address, &file(&stage.rollover, root), identity)
}

/// EST-4.1.3-06 and ROLL-03: all are served, and the self-signed certificate that ends last is the new root.
fn announced(stage: &Stage) -> Check {
    let served = served(stage, None, "root.pem")?;
    let expected: BTreeSet<_> =
        FILES.iter().map(|name| Ok(certificate(stage, name)?.der)).collect::<Result<_, Problem>>()?;
    ensure!(served == expected, "expected both CAs, both roots and what they say of each other, came {}", served.len());
    let (old, new) = (certificate(stage, "root.pem")?, certificate(stage, "next/root.pem")?);
    ensure!(new.validity[1].1 > old.validity[1].1, "the new root does not end last");
    Ok(())
}

/// A device with a certificate of the CA that signs now.
fn enroll(stage: &Stage, root: &str) -> Result<Identity, Problem> {
    let request = stage.request("/", &[])?;
    let birth = stage.pki.identity("birth-p256");
    let response = client(stage, root, Some(&birth))?.post("simpleenroll", &request.der)?;
    kept(stage, &response, request.key)
}

fn kept(stage: &Stage, response: &http::Response, key: PathBuf) -> Result<Identity, Problem> {
    let path = stage.pki.path(&format!("{}.pem", stage.unique("rollover")));
    write(&path, issued(response)?.pem())?;
    Ok(Identity::alone(path, key))
}

/// ROLL-04: before the cut-over the old CA signs, and who trusts either root finds the way: to the server, and to the other
/// device.
fn old_signs(stage: &Stage) -> Check {
    let device = enroll(stage, "root.pem")?;
    verify(stage, "root.pem", &["issuing.pem"], &device.certificate)?;
    verify(stage, "next/root.pem", &["issuing.pem", "next/old-with-new.pem"], &device.certificate)?;
    trusted_by(stage, "root.pem")?;
    trusted_by(stage, "next/root.pem")
}

/// The server's own certificate under one root, as openssl sees it.
fn trusted_by(stage: &Stage, root: &str) -> Check {
    let root = text(&file(&stage.rollover, root));
    let arguments = ["-CAfile", &root, "-verify_return_error", "-x509_strict"];
    let said = s_client_at(&stage.rollover, &arguments, &http::get("cacerts"))?;
    ensure!(said.contains("Verify return code: 0 (ok)"), "not trusted by {root}: {said}");
    Ok(())
}

/// A device counts once it fetched the new certificates with its own, and nobody else does.
fn readiness(stage: &Stage) -> Check {
    let device = enroll(stage, "root.pem")?;
    let (ready, devices) = status(stage)?;
    ensure!(devices == ready + 1, "expected one device that is not ready, came {ready} of {devices}");
    served(stage, None, "root.pem")?;
    ensure!(status(stage)? == (ready, devices), "somebody without a certificate counts");
    served(stage, Some(&device), "root.pem")?;
    ensure!(status(stage)? == (ready + 1, devices), "a device that fetched the new certificates does not count");
    Ok(())
}

/// The figure of `estd ca status`, while the server runs.
fn status(stage: &Stage) -> Result<(usize, usize), Problem> {
    let said = stage.binary.run(&["ca", "status", "--config", &text(&stage.rollover.configuration)])?;
    let said = String::from_utf8_lossy(&said.succeeded("estd ca status")?).into_owned();
    ensure!(said.contains("phase announce"), "it does not tell the phase: {said}");
    let figure = said.lines().find_map(|line| line.trim().strip_prefix("ready: "));
    let numbers = figure.and_then(|figure| {
        let mut words = figure.split(' ');
        Some((words.next()?.parse().ok()?, words.nth(1)?.parse().ok()?))
    });
    numbers.ok_or_else(|| Problem::failed(format!("it does not tell how many are ready: {said}")))
}

/// ROLL-05: the new CA signs, for who holds a certificate of the old one as well, on connections that were open before; and
/// the server shows the way from the old root.
fn cut_over(stage: &Stage) -> Check {
    let device = enroll(stage, "root.pem")?;
    let mut connection = client(stage, "root.pem", Some(&device))?.connect()?;
    connection.exchange(&http::get("cacerts"))?;
    turn(&stage.rollover, Some("cut-over"))?;
    let deadline = Deadline::after(LIMIT);
    while verify(stage, "next/root.pem", &["next/issuing.pem"], &enroll(stage, "root.pem")?.certificate).is_err() {
        ensure!(!deadline.passed(), "the new CA does not sign after SIGHUP");
        std::thread::sleep(Duration::from_millis(50));
    }
    let key = stage.pki.key(&stage.unique("rollover"), crate::pki::KeyKind::P256)?;
    let der = requests::by_key(&stage.pki, &key, SUBJECT, &[], "sha256")?;
    let renew = http::post("simplereenroll", "application/pkcs10", &http::base64(&der));
    let renewed = kept(stage, &connection.exchange(&renew)?, key)?;
    verify(stage, "next/root.pem", &["next/issuing.pem"], &renewed.certificate)?;
    verify(stage, "root.pem", &["next/issuing.pem", "next/new-with-old.pem"], &renewed.certificate)?;
    trusted_by(stage, "root.pem")?;
    trusted_by(stage, "next/root.pem")?;
    ensure!(served(stage, Some(&renewed), "root.pem")?.len() == FILES.len(), "not all are served any more");
    Ok(())
}

/// The old CA is dropped: nothing of it is served, shown or trusted any more.
fn end(stage: &Stage) -> Check {
    turn(&stage.rollover, Some("announce"))?;
    let deadline = Deadline::after(LIMIT);
    let old = loop {
        let device = enroll(stage, "root.pem")?;
        if verify(stage, "root.pem", &["issuing.pem"], &device.certificate).is_ok() {
            break device;
        }
        ensure!(!deadline.passed(), "the old CA does not sign again when it is told to");
        std::thread::sleep(Duration::from_millis(50));
    };
    turn(&stage.rollover, None)?;
    let deadline = Deadline::after(LIMIT);
    while served(stage, None, "next/root.pem")?.len() != 2 {
        ensure!(!deadline.passed(), "what is no more is served after SIGHUP");
        std::thread::sleep(Duration::from_millis(50));
    }
    ensure!(trusted_by(stage, "root.pem").is_err(), "the server still shows the way from the old root");
    let der = requests::by_key(&stage.pki, &old.key, SUBJECT, &[], "sha256")?;
    refused(&client(stage, "next/root.pem", Some(&old))?.post("simplereenroll", &der)?, 403, &["untrusted"])
}
