//! /cacerts (RFC 7030 section 4.1) and the certs-only message (RFC 5652 section 5.1).

use std::collections::BTreeSet;
use std::process::Command;

use crate::certificate::{Certificate, certs_only, transfer_decoded};
use crate::command::{self, openssl, text};
use crate::http::Client;
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::population::AUTHORITIES;
use crate::stage::{Stage, own_subject};

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("cacerts/anonymous", || anonymous(stage));
    matrix.case("cacerts/no-verification", || bootstrap(stage));
    matrix.case("cacerts/fingerprint-for-people", || fingerprint(stage));
    matrix.case("cacerts/always-200", || always_200(stage));
    for kind in AUTHORITIES {
        let (label, name) = (format!("{}-device", kind.name()), kind.name());
        let expected = [format!("issuing-{name}"), format!("root-{name}")];
        matrix.case(format!("cacerts/bag/{label}"), || bag(stage, &label, &expected));
    }
    matrix.case("cacerts/bag/single-ca", || bag(stage, "single-ca", &["single".to_owned()]));
    matrix
        .case("cacerts/bag/globex", || bag(stage, "globex", &["globex-issuing".to_owned(), "globex-root".to_owned()]));
    matrix.case("cacerts/not-the-web-ca", || not_the_web_ca(stage));
    matrix.case("cacerts/validates-what-is-issued", || validates(stage));
    matrix.case("cms/shape", || shape(stage));
    matrix.case("cms/openssl", || openssl_reads(stage));
    matrix.case("cms/certtool", || certtool_reads(stage));
}

/// The certificates at a label, DER.
fn certificates(client: &Client, label: &str) -> Result<Vec<Vec<u8>>, Problem> {
    let response = client.get(&format!("{label}/cacerts"))?;
    ensure!(response.status == 200, "{label}: {}", response.status);
    certs_only(&transfer_decoded(&response.body)?)
}

fn anonymous(stage: &Stage) -> Check {
    let response = stage.client(None)?.get("cacerts")?;
    ensure!(response.status == 200, "expected 200, came {}", response.status);
    ensure!(response.header("WWW-Authenticate").is_none(), "a challenge on cacerts");
    Ok(())
}

/// RFC 7030 section 4.1.1: a device that trusts nobody yet must be served.
fn bootstrap(stage: &Stage) -> Check {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--insecure", "--output", "/dev/null", "--write-out", "%{http_code}"]);
    curl.arg(stage.own.server.url("cacerts"));
    let status = command::run(&mut curl, &[], command::DEFAULT_LIMIT)?.succeeded("curl")?;
    ensure!(status == b"200", "expected 200, came {}", String::from_utf8_lossy(&status));
    Ok(())
}

/// RFC 7030 section 4.1.1: a person can compare the fingerprint of the root.
fn fingerprint(stage: &Stage) -> Check {
    let configuration = text(&stage.own.configuration);
    let said =
        stage.binary.run(&["ca", "fingerprint", "--config", &configuration])?.succeeded("estd ca fingerprint")?;
    let said = String::from_utf8_lossy(&said).to_lowercase().replace(':', "");
    for root in ["root-p256", "root-ed25519", "single", "globex-root"] {
        let file = text(&stage.pki.identity(root).certificate);
        let print = openssl(["x509", "-in", &file, "-noout", "-fingerprint", "-sha256"], &[])?;
        let print = String::from_utf8_lossy(&print).trim().to_lowercase().replace(':', "");
        let digest = print.split('=').nth(1).unwrap_or_default();
        ensure!(said.contains(digest), "the fingerprint of {root} ({digest}) is not told");
    }
    Ok(())
}

fn always_200(stage: &Stage) -> Check {
    let client = stage.client(None)?;
    let whole = client.get("cacerts")?;
    for header in [
        "Range: bytes=0-9",
        "If-None-Match: \"x\"",
        "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT",
        "Accept: text/html",
        "Accept-Encoding: gzip, br",
    ] {
        let sent = format!("GET /.well-known/est/cacerts HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n\r\n");
        let response = client.exchange(sent.as_bytes())?;
        ensure!(response.status == 200 && response.body == whole.body, "with {header}: {}", response.status);
    }
    Ok(())
}

/// RFC 7030 section 4.1.3: the CA and what leads to its root, each once, nothing else, bit by bit.
fn bag(stage: &Stage, label: &str, expected: &[String]) -> Check {
    let served = certificates(&stage.client(None)?, label)?;
    let unique: BTreeSet<_> = served.iter().collect();
    ensure!(unique.len() == served.len(), "a certificate stands in the bag twice");
    let mut wanted = BTreeSet::new();
    for name in expected {
        wanted.insert(openssl(["x509", "-in", &text(&stage.pki.identity(name).certificate), "-outform", "DER"], &[])?);
    }
    ensure!(unique == wanted.iter().collect(), "expected {expected:?}, the bag holds {} certificates", served.len());
    for der in &served {
        let said = openssl(["x509", "-inform", "DER", "-noout", "-ext", "basicConstraints"], der)?;
        ensure!(String::from_utf8_lossy(&said).contains("CA:TRUE"), "an end entity stands in the bag");
    }
    Ok(())
}

fn not_the_web_ca(stage: &Stage) -> Check {
    let web = openssl(["x509", "-in", &text(&stage.foreign.anchor), "-outform", "DER"], &[])?;
    let served = certificates(&stage.foreign_client(None)?, "devices")?;
    ensure!(!served.contains(&web), "the issuer of the HTTPS certificate stands in the bag");
    Ok(())
}

/// A fresh certificate validates with the bag alone, the self-signed one as the trust anchor.
fn validates(stage: &Stage) -> Check {
    for kind in AUTHORITIES {
        let label = format!("{}-device", kind.name());
        let request = stage.request(&own_subject("SN-P256"), &[])?;
        let identity = stage.enroll("birth-p256", &format!("{label}/simpleenroll"), &request)?;
        let (mut roots, mut others) = (String::new(), String::new());
        for der in certificates(&stage.client(None)?, &label)? {
            let certificate = Certificate::parse(&der)?;
            let self_signed = certificate.issuer == certificate.subject;
            (if self_signed { &mut roots } else { &mut others }).push_str(&certificate.pem());
        }
        let (root_file, other_file) = (stage.pki.path("bag-root.pem"), stage.pki.path("bag-others.pem"));
        command::write(&root_file, roots)?;
        command::write(&other_file, others)?;
        let (root, other, leaf) = (text(&root_file), text(&other_file), text(&identity.certificate));
        openssl(["verify", "-x509_strict", "-CAfile", &root, "-untrusted", &other, &leaf], &[])?;
    }
    Ok(())
}

/// The bytes of both kinds of answer; see [`certs_only`].
fn answers(stage: &Stage) -> Result<[Vec<u8>; 2], Problem> {
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let enrolled = stage.device("birth-p256")?.post("simpleenroll", &request.der)?;
    ensure!(enrolled.status == 200, "simpleenroll: {}", enrolled.text());
    Ok([transfer_decoded(&stage.client(None)?.get("cacerts")?.body)?, transfer_decoded(&enrolled.body)?])
}

fn shape(stage: &Stage) -> Check {
    for der in answers(stage)? {
        let certificates = certs_only(&der)?;
        // X.690 section 11.6: a SET OF is sorted in DER.
        ensure!(certificates.is_sorted(), "the certificates are not in DER order");
        for certificate in &certificates {
            let again = openssl(["x509", "-inform", "DER", "-outform", "DER"], certificate)?;
            ensure!(&again == certificate, "openssl writes a certificate of the bag differently");
        }
    }
    Ok(())
}

fn openssl_reads(stage: &Stage) -> Check {
    for der in answers(stage)? {
        let printed = openssl(["pkcs7", "-inform", "DER", "-print_certs"], &der)?;
        let count = String::from_utf8_lossy(&printed).matches("BEGIN CERTIFICATE").count();
        ensure!(count == certs_only(&der)?.len(), "openssl finds {count} certificates");
        openssl(["cms", "-cmsout", "-print", "-inform", "DER"], &der)?;
    }
    Ok(())
}

fn certtool_reads(stage: &Stage) -> Check {
    for der in answers(stage)? {
        let mut certtool = Command::new("certtool");
        certtool.args(["--p7-info", "--inder"]);
        command::run(&mut certtool, &der, command::DEFAULT_LIMIT)?.succeeded("certtool")?;
    }
    Ok(())
}
