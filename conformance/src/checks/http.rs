//! The HTTP surface: paths, methods, hosts, connections, the shape of answers (RFC 7030 sections 3.2 and 4, RFC 9110).

use std::time::Duration;

use super::http_body::request;
use super::{is_plain_text, refused};
use crate::certificate::{issued, transfer_decoded};
use crate::clock::Stopwatch;
use crate::http::{base64, get, post};
use crate::matrix::{Check, Matrix, ensure};
use crate::stage::Stage;

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("http/paths", || paths(stage));
    matrix.case("http/unknown-paths", || unknown_paths(stage));
    matrix.case("http/wrong-method", || wrong_method(stage));
    matrix.case("http/head", || head(stage));
    matrix.case("http/operations-not-served", || not_served(stage));
    matrix.case("http/reply-shape", || reply_shape(stage));
    matrix.case("http/single-line-shape", || single_line(stage));
    matrix.case("http/keep-alive-and-close", || keep_alive(stage));
    matrix.case("http/host", || host(stage));
    matrix.case("http/failures-are-text", || failures_are_text(stage));
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
    for sent in
        [post("fullcmc", "application/pkcs7-mime", b"MAA="), post("serverkeygen", "application/pkcs10", b"MAA=")]
    {
        let response = client.exchange(&sent)?;
        ensure!(matches!(response.status, 404 | 501), "expected 404, came {}", response.status);
        is_plain_text(&response)?;
    }
    Ok(())
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
