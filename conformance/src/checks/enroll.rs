//! simpleenroll (RFC 7030 section 4.2.1).

use super::refused;
use crate::certificate::{Certificate, issued};
use crate::command::read;
use crate::matrix::{Check, Matrix, ensure};
use crate::population::DEVICES;
use crate::requests::{self, Request};
use crate::stage::{Stage, own_subject};

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("enroll/answer", || answer(stage));
    matrix.case("enroll/fresh-key", || fresh_key(stage));
    matrix.case("enroll/birth-key", || birth_key(stage));
    matrix.case("enroll/names-agree-or-absent", || names(stage));
    matrix.case("enroll/other-device", || other_device(stage));
    matrix.case("enroll/names-replaced", || replaced(stage));
    matrix.case("enroll/key-in-use", || key_in_use(stage));
    matrix.case("enroll/lost-answer", || lost_answer(stage));
    matrix.case("enroll/parallel-repeats", || parallel(stage));
    matrix.case("enroll/renews-by-simpleenroll", || renews(stage));
    matrix.case("enroll/not-pkcs10", || not_pkcs10(stage));
}

fn answer(stage: &Stage) -> Check {
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let response = stage.device("birth-p256")?.post("simpleenroll", &request.der)?;
    ensure!(response.status == 200, "expected 200, came {}", response.status);
    let media_type = response.header("Content-Type").unwrap_or_default();
    ensure!(media_type == "application/pkcs7-mime; smime-type=certs-only", "Content-Type: {media_type}");
    stage.keep(&response, &request, "simpleenroll").map(|_| ())
}

fn fresh_key(stage: &Stage) -> Check {
    for device in DEVICES.iter().filter(|device| device.name != "birth-hardware") {
        let request = stage.request_of(device.key, &own_subject(device.id), &[])?;
        stage.enroll(device.name, "simpleenroll", &request)?;
    }
    Ok(())
}

/// The key of the birth certificate may be enrolled too.
fn birth_key(stage: &Stage) -> Check {
    let key = stage.pki.identity("birth-p384").key;
    let der = requests::by_key(&stage.pki, &key, &own_subject("SN-P384"), &[], "sha384")?;
    stage.enroll("birth-p384", "simpleenroll", &Request { der, key }).map(|_| ())
}

/// The request may name the device, or leave that out; the certificate is the same either way.
fn names(stage: &Stage) -> Check {
    let mut subjects = Vec::new();
    for subject in [&*own_subject("SN-P256"), "/"] {
        let request = stage.request(subject, &[])?;
        let response = stage.device("birth-p256")?.post("simpleenroll", &request.der)?;
        subjects.push(issued(&response)?.subject);
    }
    ensure!(subjects[0] == subjects[1], "the subject depends on the request");
    let wanted = "DNS:SN-P256.devices.acme.example";
    let path = "p256-everything/simpleenroll";
    let lab = "DNS:SN-P256.lab.acme.example";
    for (extensions, optional) in [
        (vec![], false),
        (vec![format!("subjectAltName={wanted}")], false),
        (vec![format!("subjectAltName={lab}")], true),
    ] {
        let extensions: Vec<&str> = extensions.iter().map(String::as_str).collect();
        let request = stage.request("/", &extensions)?;
        let identity = stage.enroll("birth-p256", path, &request)?;
        let said =
            crate::command::openssl(["x509", "-noout", "-ext", "subjectAltName"], &read(&identity.certificate)?)?;
        let said = String::from_utf8_lossy(&said).into_owned();
        ensure!(said.contains(wanted), "the profile's name is missing: {said}");
        ensure!(said.contains(lab) == optional, "an optional name, asked for: {optional}, came: {said}");
    }
    Ok(())
}

/// EST-4.2-03: nobody gets the name of another device.
fn other_device(stage: &Stage) -> Check {
    let client = stage.device("birth-p256")?;
    let other = own_subject("SN-OTHER");
    let cases: [(&str, &[&str]); 7] = [
        (&other, &[]),
        ("/CN=sn-p256x/O=Acme", &[]),
        ("/CN=SN-P256/O=Acme/CN=SN-OTHER", &[]),
        ("/", &["subjectAltName=DNS:sn-other.devices.acme.example"]),
        ("/", &["subjectAltName=URI:https://devices.acme.example/SN-OTHER"]),
        ("/", &["subjectAltName=email:root@acme.example"]),
        ("/", &["subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:root@acme.example"]),
    ];
    for (subject, extensions) in cases {
        let request = stage.request(subject, extensions)?;
        for path in ["simpleenroll", "p256-everything/simpleenroll"] {
            refused(&client.post(path, &request.der)?, 403, &["identity_mismatch"])?;
        }
    }
    Ok(())
}

/// A profile may replace whatever the request names.
fn replaced(stage: &Stage) -> Check {
    let request = stage.request("/CN=whatever", &["subjectAltName=DNS:whatever.example"])?;
    let identity = stage.enroll("birth-p256", "replace/simpleenroll", &request)?;
    let certificate = Certificate::from_pem(&read(&identity.certificate)?)?;
    let own = issued(&stage.device("birth-p256")?.post("simpleenroll", &stage.request("/", &[])?.der)?)?;
    ensure!(certificate.subject == own.subject, "the name of the request went into the certificate");
    ensure!(certificate.extension("2.5.29.17").is_none(), "the SAN of the request went into the certificate");
    Ok(())
}

/// One key is one device.
fn key_in_use(stage: &Stage) -> Check {
    let request = stage.request("/", &[])?;
    stage.enroll("birth-p256", "simpleenroll", &request)?;
    refused(&stage.device("birth-other")?.post("simpleenroll", &request.der)?, 403, &["key_in_use"])?;
    let key = stage.pki.identity("issuing-p256").key;
    let der = requests::by_key(&stage.pki, &key, "/", &[], "sha256")?;
    let response = stage.device("birth-p256")?.post("simpleenroll", &der)?;
    ensure!(matches!(response.status, 400 | 403), "the key of a CA is enrolled: {}", response.status);
    Ok(())
}

/// SEC-04: the same request again gets the same certificate; the request may be signed anew.
fn lost_answer(stage: &Stage) -> Check {
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let first = issued(&stage.device("birth-p256")?.post("simpleenroll", &request.der)?)?;
    let signed_anew = requests::by_key(&stage.pki, &request.key, &own_subject("SN-P256"), &[], "sha256")?;
    ensure!(signed_anew != request.der, "the request was to be signed anew");
    let second = issued(&stage.device("birth-p256")?.post("simpleenroll", &signed_anew)?)?;
    ensure!(first.der == second.der, "the same request got a second serial");
    Ok(())
}

/// The same request eight times at once is still one certificate.
fn parallel(stage: &Stage) -> Check {
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let client = stage.device("birth-p256")?;
    let answers: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..8).map(|_| scope.spawn(|| client.post("simpleenroll", &request.der))).collect();
        handles.into_iter().filter_map(|handle| handle.join().ok()).collect()
    });
    let mut certificates = Vec::new();
    for answer in answers {
        certificates.push(issued(&answer?)?.der);
    }
    certificates.dedup();
    ensure!(certificates.len() == 1, "{} certificates for one request", certificates.len());
    Ok(())
}

/// Azure's client renews by simpleenroll with the certificate it holds: same names, new certificate.
fn renews(stage: &Stage) -> Check {
    let current = stage.enroll("birth-p256", "simpleenroll", &stage.request(&own_subject("SN-P256"), &[])?)?;
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let response = stage.client(Some(&current))?.post("simpleenroll", &request.der)?;
    let renewed = issued(&response)?;
    let before = Certificate::from_pem(&read(&current.certificate)?)?;
    ensure!(renewed.subject == before.subject, "renewing by simpleenroll changed the subject");
    let other = stage.request(&own_subject("SN-OTHER"), &[])?;
    let response = stage.client(Some(&current))?.post("simpleenroll", &other.der)?;
    refused(&response, 403, &["subject_mismatch", "identity_mismatch"])
}

/// RFC 7030 section 4.2.1: one PKCS#10 request and nothing else.
fn not_pkcs10(stage: &Stage) -> Check {
    let client = stage.device("birth-p256")?;
    let request = stage.request("/", &[])?;
    let certificate = Certificate::from_pem(&read(&stage.pki.identity("birth-p256").certificate)?)?.der;
    let key = crate::command::openssl(["pkey", "-in", &crate::command::text(&request.key), "-outform", "DER"], &[])?;
    let cms = crate::certificate::transfer_decoded(&stage.client(None)?.get("cacerts")?.body)?;
    for body in [certificate, key, cms, vec![0x30, 0], [request.der.as_slice(), &[0x30, 0]].concat()] {
        refused(&client.post("simpleenroll", &body)?, 400, &["bad_csr", "bad_encoding"])?;
    }
    Ok(())
}
