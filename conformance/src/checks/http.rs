//! The HTTP surface (RFC 7030 sections 3.2 and 4, RFC 8951, RFC 9110, RFC 9112).

use std::time::Duration;

use super::{is_plain_text, refused};
use crate::certificate::{issued, transfer_decoded};
use crate::clock::Stopwatch;
use crate::http::{Response, base64, get, post};
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::stage::{Stage, own_subject};

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("http/paths", || paths(stage));
    matrix.case("http/unknown-paths", || unknown_paths(stage));
    matrix.case("http/wrong-method", || wrong_method(stage));
    matrix.case("http/head", || head(stage));
    matrix.case("http/operations-not-served", || not_served(stage));
    matrix.case("http/media-type-tolerance", || media_types(stage));
    matrix.case("http/media-type-refusal", || wrong_media_types(stage));
    matrix.case("http/content-transfer-encoding-ignored", || transfer_encodings(stage));
    matrix.case("http/white-space-tolerance", || white_space(stage));
    matrix.case("http/strict-base64", || strict_base64(stage));
    matrix.case("http/sizes", || sizes(stage));
    matrix.case("http/chunked-request", || chunked(stage));
    matrix.case("http/smuggling", || smuggling(stage));
    matrix.case("http/expect-continue", || expect_continue(stage));
    matrix.case("http/reply-shape", || reply_shape(stage));
    matrix.case("http/single-line-shape", || single_line(stage));
    matrix.case("http/keep-alive-and-close", || keep_alive(stage));
    matrix.case("http/host", || host(stage));
    matrix.case("http/failures-are-text", || failures_are_text(stage));
}

/// The request of a device that may enroll.
fn request(stage: &Stage) -> Result<Vec<u8>, Problem> {
    Ok(stage.request(&own_subject("SN-P256"), &[])?.der)
}

fn send(stage: &Stage, octets: &[u8]) -> Result<Response, Problem> {
    stage.device("birth-p256")?.exchange(octets)
}

fn paths(stage: &Stage) -> Check {
    let client = stage.client(None)?;
    for path in ["cacerts", "devices/cacerts", "p384-device/cacerts", "globex/cacerts"] {
        let response = client.get(path)?;
        ensure!(response.status == 200, "{path}: {}", response.status);
    }
    let default = client.get("cacerts")?;
    ensure!(default.body == client.get("devices/cacerts")?.body, "the default label is not the one configured");
    ensure!(default.body != client.get("globex/cacerts")?.body, "two tenants have the same CA");
    for path in ["simpleenroll", "simplereenroll"] {
        ensure!(client.get(path)?.status != 404, "{path} is not served");
    }
    Ok(())
}

fn unknown_paths(stage: &Stage) -> Check {
    let client = stage.client(None)?;
    for path in [
        "/.well-known/EST/cacerts",
        "/.Well-Known/est/cacerts",
        "/est/cacerts",
        "/",
        "/.well-known/est",
        "/.well-known/est/",
        "/.well-known/est/CACERTS",
        "/.well-known/est/cacerts/",
        "/.well-known/est//cacerts",
        "//.well-known/est/cacerts",
        "/.well-known/est/nobody/cacerts",
        "/.well-known/est/DEVICES/cacerts",
        "/.well-known/est/devices/devices/cacerts",
        "/.well-known/est/devices/../cacerts",
        "/.well-known/est/../est/cacerts",
        "/.well-known/est/%2e%2e/est/cacerts",
        "/.well-known/est/%64evices/cacerts",
        "/.well-known/est/devices%2fcacerts",
        "/.well-known/est/cacerts%00",
        "/.well-known/est/cacerts;x=1",
    ] {
        let response = client.exchange(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes())?;
        ensure!(matches!(response.status, 404 | 400), "{path}: expected 404, came {}", response.status);
        is_plain_text(&response)?;
    }
    let long = format!("GET /.well-known/est/{}/cacerts HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "a".repeat(8_000));
    let status = client.exchange(long.as_bytes())?.status;
    ensure!(matches!(status, 404 | 414), "a label of 8,000 letters: {status}");
    Ok(())
}

fn wrong_method(stage: &Stage) -> Check {
    let client = stage.client(None)?;
    for (method, path, allow) in [
        ("PUT", "cacerts", ["GET", "HEAD"].as_slice()),
        ("DELETE", "cacerts", &["GET", "HEAD"]),
        ("POST", "cacerts", &["GET", "HEAD"]),
        ("GET", "simpleenroll", &["POST"]),
        ("PUT", "simplereenroll", &["POST"]),
    ] {
        let sent = format!("{method} /.well-known/est/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n");
        let response = client.exchange(sent.as_bytes())?;
        refused(&response, 405, &["method_not_allowed"])?;
        let said: Vec<&str> = response.header("Allow").unwrap_or_default().split(", ").collect();
        ensure!(said == allow, "{method} {path}: expected Allow {allow:?}, came {said:?}");
    }
    Ok(())
}

fn head(stage: &Stage) -> Check {
    let client = stage.client(None)?;
    let whole = client.get("cacerts")?;
    let mut connection = client.connect()?;
    connection.send(b"HEAD /.well-known/est/cacerts HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let response = connection.receive()?;
    ensure!(response.status == 200, "HEAD cacerts: {}", response.status);
    ensure!(response.body.is_empty(), "an answer to HEAD has a body");
    let lengths = (response.header("Content-Length"), whole.header("Content-Length"));
    ensure!(lengths.0 == lengths.1, "HEAD and GET tell different lengths: {lengths:?}");
    Ok(())
}

fn not_served(stage: &Stage) -> Check {
    let client = stage.device("birth-p256")?;
    for sent in [
        post("fullcmc", "application/pkcs7-mime", b"MAA="),
        post("serverkeygen", "application/pkcs10", b"MAA="),
        get("csrattrs"),
    ] {
        let response = client.exchange(&sent)?;
        ensure!(matches!(response.status, 404 | 501), "expected 404, came {}", response.status);
        is_plain_text(&response)?;
    }
    Ok(())
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

fn reply_shape(stage: &Stage) -> Check {
    let cacerts = stage.client(None)?.get("cacerts")?;
    let enroll = stage.device("birth-p256")?.post("simpleenroll", &request(stage)?)?;
    for (response, media_type) in
        [(&cacerts, "application/pkcs7-mime"), (&enroll, "application/pkcs7-mime; smime-type=certs-only")]
    {
        ensure!(response.head.starts_with("HTTP/1.1 200 OK\r\n"), "status line: {}", response.head);
        ensure!(
            response.header("Content-Type") == Some(media_type),
            "Content-Type is not {media_type}: {}",
            response.head
        );
        ensure!(response.header("Content-Transfer-Encoding") == Some("base64"), "no Content-Transfer-Encoding: base64");
        let length = response.body.len().to_string();
        ensure!(
            response.header("Content-Length") == Some(&*length),
            "Content-Length is not {length}: {}",
            response.head
        );
        ensure!(!response.head.contains("Transfer-Encoding: chunked"), "chunked: {}", response.head);
        ensure!(response.head.len() < 1024, "a head of {} octets", response.head.len());
        for line in response.head.lines().skip(1).filter(|line| !line.is_empty()) {
            let name = line.split(':').next().unwrap_or_default();
            let title = name.split('-').all(|word| word.starts_with(|first: char| first.is_ascii_uppercase()));
            ensure!(title, "{name} is not in Title-Case");
        }
        ensure!(response.body.starts_with(b"MI"), "the body is not base64 of DER");
        // A body under 1,024 characters may come as one line.
        let lines = response.body == base64(&transfer_decoded(&response.body)?);
        let short = response.body.len() < 1024 && response.body.iter().filter(|octet| **octet == b'\n').count() == 1;
        ensure!(lines || short, "not lines of 64 with LF and a final LF: {}", response.text());
    }
    Ok(())
}

fn single_line(stage: &Stage) -> Check {
    let response = stage.client(None)?.get("single-line/cacerts")?;
    let breaks = response.body.iter().filter(|octet| octet.is_ascii_whitespace()).count();
    ensure!(breaks <= 1, "expected one line, found {breaks} breaks");
    transfer_decoded(&response.body).map(|_| ())
}

fn keep_alive(stage: &Stage) -> Check {
    let der = request(stage)?;
    let mut connection = stage.device("birth-p256")?.connect()?;
    for sent in [
        get("cacerts"),
        post("simpleenroll", "application/pkcs10", &base64(&der)),
        get("nobody/cacerts"),
        get("cacerts"),
    ] {
        connection.exchange(&sent)?;
    }
    let refusal = connection.exchange(&post("simpleenroll", "application/pkcs10", b"rubbish!"))?;
    ensure!(refusal.status == 400, "expected 400, came {}", refusal.status);
    issued(&connection.exchange(&post("simpleenroll", "application/pkcs10", &base64(&der)))?)?;
    let last = connection
        .exchange(b"GET /.well-known/est/cacerts HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    ensure!(last.status == 200, "expected 200, came {}", last.status);
    let watch = Stopwatch::start();
    ensure!(connection.is_closed_by_server(), "Connection: close is not honoured");
    ensure!(watch.elapsed() < Duration::from_secs(1), "the server takes {:?} to close", watch.elapsed());
    Ok(())
}

fn host(stage: &Stage) -> Check {
    let client = stage.client(None)?;
    let port = stage.own.server.address.port();
    for (expected, head) in [
        (400, "GET /.well-known/est/cacerts HTTP/1.1\r\n".to_owned()),
        (400, "GET /.well-known/est/cacerts HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: localhost\r\n".to_owned()),
        (400, format!("GET https://elsewhere.example/.well-known/est/cacerts HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n")),
        (200, format!("GET https://127.0.0.1:{port}/.well-known/est/cacerts HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n")),
        (200, format!("GET /.well-known/est/cacerts HTTP/1.1\r\nHost: localhost:{port}\r\n")),
    ] {
        let status = client.exchange(format!("{head}\r\n").as_bytes())?.status;
        ensure!(status == expected, "expected {expected}, came {status} to: {head}");
    }
    Ok(())
}

fn failures_are_text(stage: &Stage) -> Check {
    let client = stage.client(None)?;
    let der = request(stage)?;
    for sent in [
        get("nobody/cacerts"),
        get("simpleenroll"),
        post("simpleenroll", "text/html", b"<p>"),
        post("simpleenroll", "application/pkcs10", &base64(&der)),
        post("simplereenroll", "application/pkcs10", &base64(&der)),
    ] {
        let response = client.exchange(&sent)?;
        ensure!(response.status >= 400, "expected a failure, came {}", response.status);
        is_plain_text(&response)?;
    }
    Ok(())
}
