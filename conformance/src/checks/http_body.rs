//! Request bodies: media types, transfer encodings, sizes, framing (RFC 8951 section 3, RFC 4648, RFC 9112 section 6).

use std::time::Duration;

use super::refused;
use crate::certificate::issued;
use crate::clock::Stopwatch;
use crate::http::{Response, base64, post};
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::stage::{Stage, own_subject};

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("http/media-type-tolerance", || media_types(stage));
    matrix.case("http/media-type-refusal", || wrong_media_types(stage));
    matrix.case("http/content-transfer-encoding-ignored", || transfer_encodings(stage));
    matrix.case("http/white-space-tolerance", || white_space(stage));
    matrix.case("http/strict-base64", || strict_base64(stage));
    matrix.case("http/sizes", || sizes(stage));
    matrix.case("http/chunked-request", || chunked(stage));
    matrix.case("http/smuggling", || smuggling(stage));
    matrix.case("http/expect-continue", || expect_continue(stage));
}

/// The request of a device that may enroll.
pub(super) fn request(stage: &Stage) -> Result<Vec<u8>, Problem> {
    Ok(stage.request(&own_subject("SN-P256"), &[])?.der)
}

pub(super) fn send(stage: &Stage, octets: &[u8]) -> Result<Response, Problem> {
    stage.device("birth-p256")?.exchange(octets)
}

fn media_types(stage: &Stage) -> Check {
    let body = base64(&request(stage)?);
    for media_type in [
        "application/pkcs10",
        "Application/PKCS10",
        "application/pkcs10; name=smime.p10",
        "application/pkcs10;charset=us-ascii",
    ] {
        let response = send(stage, &post("simpleenroll", media_type, &body))?;
        ensure!(response.status == 200, "{media_type}: {} {}", response.status, response.text());
    }
    Ok(())
}

fn wrong_media_types(stage: &Stage) -> Check {
    let body = base64(&request(stage)?);
    for media_type in
        ["text/plain", "application/pkcs7-mime", "application/x-pkcs10", "application/pkcs10x", "application/json"]
    {
        refused(&send(stage, &post("simpleenroll", media_type, &body))?, 415, &["unsupported_media_type"])?;
    }
    let bare = String::from_utf8_lossy(&post("simpleenroll", "x", &body)).replace("Content-Type: x\r\n", "");
    let response = send(stage, bare.as_bytes())?;
    refused(&response, 415, &["unsupported_media_type"])?;
    ensure!(response.header("Accept") == Some("application/pkcs10"), "no Accept: application/pkcs10 with the 415");
    Ok(())
}

fn transfer_encodings(stage: &Stage) -> Check {
    let body = base64(&request(stage)?);
    let plain = String::from_utf8_lossy(&post("simpleenroll", "application/pkcs10", &body)).into_owned();
    for value in ["base64", "BASE64", "binary", "8bit", "7bit", "quoted-printable"] {
        let with = plain.replace("Content-Length", &format!("Content-Transfer-Encoding: {value}\r\nContent-Length"));
        let response = send(stage, with.as_bytes())?;
        ensure!(response.status == 200, "{value}: {} {}", response.status, response.text());
    }
    Ok(())
}

fn white_space(stage: &Stage) -> Check {
    let der = request(stage)?;
    let lines = String::from_utf8_lossy(&base64(&der)).into_owned();
    let dense = lines.replace('\n', "");
    let wrapped = |width: usize, end: &str| {
        dense
            .as_bytes()
            .chunks(width)
            .map(|chunk| format!("{}{end}", String::from_utf8_lossy(chunk)))
            .collect::<String>()
    };
    let armour = |label: &str| format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n");
    for (name, body) in [
        ("one line", dense.clone()),
        ("one line and LF", format!("{dense}\n")),
        ("64 and CRLF", wrapped(64, "\r\n")),
        ("76 and CRLF", wrapped(76, "\r\n")),
        ("3 and space and tab", wrapped(3, " \t")),
        ("blank lines around", format!("\r\n\n  {lines}\n\n")),
        ("PEM", armour("CERTIFICATE REQUEST")),
        ("old PEM", armour("NEW CERTIFICATE REQUEST")),
    ] {
        let response = send(stage, &post("simpleenroll", "application/pkcs10", body.as_bytes()))?;
        ensure!(response.status == 200, "{name}: {} {}", response.status, response.text().trim());
    }
    Ok(())
}

fn strict_base64(stage: &Stage) -> Check {
    let der = request(stage)?;
    let good = base64(&der);
    let dense = String::from_utf8_lossy(&good).replace('\n', "");
    let twice = base64(&good);
    let illegal = format!("{}!{}", &dense[..40], &dense[40..]);
    let url = format!("{}-_{}", &dense[..40], &dense[42..]);
    for (name, body) in [
        ("raw DER", der.as_slice()),
        ("twice base64", &twice),
        ("an illegal character", illegal.as_bytes()),
        ("base64url", url.as_bytes()),
        ("data after padding", b"MAA=MAA="),
        ("one sextet", b"M"),
        ("padding alone", b"===="),
        ("nothing", b""),
        ("white space", b" \r\n\t\n"),
    ] {
        let response = send(stage, &post("simpleenroll", "application/pkcs10", body))?;
        refused(&response, 400, &["bad_encoding", "bad_csr"])
            .map_err(|problem| Problem::failed(format!("{name}: {problem:?}")))?;
    }
    Ok(())
}

fn sizes(stage: &Stage) -> Check {
    let head = |length: usize| {
        format!(
            "POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/pkcs10\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    };
    let watch = Stopwatch::start();
    // 10 MiB are announced, next to nothing is sent: the answer must not wait for the rest.
    refused(&send(stage, head(10 << 20).as_bytes())?, 413, &["body_too_large"])?;
    ensure!(watch.elapsed() < Duration::from_secs(2), "413 took {:?}", watch.elapsed());
    let chunks = "10000\r\n".to_owned() + &"A".repeat(0x10000) + "\r\n";
    let chunked = head(0).replace("Content-Length: 0", "Transfer-Encoding: chunked") + &chunks + &chunks + "0\r\n\r\n";
    refused(&send(stage, chunked.as_bytes())?, 413, &["body_too_large"])?;
    let large =
        format!("GET /.well-known/est/cacerts HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Filler: {}\r\n\r\n", "a".repeat(20_000));
    let status = stage.client(None)?.exchange(large.as_bytes())?.status;
    ensure!(status == 431, "a head of 20,000 octets: expected 431, came {status}");
    Ok(())
}

fn chunked(stage: &Stage) -> Check {
    let body = base64(&request(stage)?);
    let mut sent =
        b"POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/pkcs10\r\n\
        Transfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for chunk in body.chunks(100) {
        sent.extend(format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
    }
    sent.extend(b"0\r\n\r\n");
    issued(&send(stage, &sent)?).map(|_| ())
}

fn smuggling(stage: &Stage) -> Check {
    let start =
        "POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/pkcs10\r\n";
    for (name, rest) in [
        ("CL and TE", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("two lengths", "Content-Length: 4\r\nContent-Length: 5\r\n\r\nMAA=\n"),
        ("a signed length", "Content-Length: +4\r\n\r\nMAA="),
        ("TE twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
        ("an unknown coding", "Transfer-Encoding: gzip\r\n\r\n"),
        ("a folded header", "X-A: b\r\n c\r\nContent-Length: 4\r\n\r\nMAA="),
        ("space before the colon", "Content-Length : 4\r\n\r\nMAA="),
    ] {
        let mut connection = stage.device("birth-p256")?.connect()?;
        let response = connection.exchange(format!("{start}{rest}").as_bytes())?;
        ensure!(matches!(response.status, 400 | 501), "{name}: expected 400, came {}", response.status);
        ensure!(connection.is_closed_by_server(), "{name}: the connection stays open or a second answer came");
    }
    let mut connection = stage.client(None)?.connect()?;
    let response = connection.exchange(b"GET /.well-known/est/cacerts HTTP/1.1\nHost: 127.0.0.1\n\n\r\n\r\n")?;
    ensure!(response.status == 400, "bare LF: expected 400, came {}", response.status);
    Ok(())
}

fn expect_continue(stage: &Stage) -> Check {
    let body = base64(&request(stage)?);
    let whole = post("simpleenroll", "application/pkcs10", &body);
    let head = String::from_utf8_lossy(&whole[..whole.len() - body.len()]).into_owned();
    let mut connection = stage.device("birth-p256")?.connect()?;
    connection.send(head.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n").as_bytes())?;
    let first = connection.receive()?;
    ensure!(first.status == 100, "expected 100, came {}", first.status);
    connection.send(&body)?;
    issued(&connection.receive()?).map(|_| ())
}
