//! Raw octets in, raw octets out: what a client sees on the wire, to the byte.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::est::PresentedChain;
use crate::ra::PeerSession;
use crate::ra::testing::{self, Enrolled};

const CACERTS: &str = "/.well-known/est/cacerts";
const ENROLL: &str = "/.well-known/est/simpleenroll";

/// A connection under test, and what counts the writes to it.
struct Client {
    stream: DuplexStream,
    writes: Arc<AtomicUsize>,
    server: JoinHandle<()>,
    shutdown: Option<oneshot::Sender<()>>,
}

struct CountWrites(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for CountWrites {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, out)
    }
}

impl AsyncWrite for CountWrites {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.0).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// An answer, taken apart.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Client {
    fn connect(fixture: &Enrolled, limits: HttpLimits) -> Self {
        let authority = Arc::new(ArcSwap::new(Arc::clone(&fixture.authority)));
        let edge = HttpEdge::new(authority, limits, Arc::new(Metrics::new()), [0xab; 8]);
        let session = PeerSession::new(
            PresentedChain::possession_proven(vec![fixture.birth_certificate.clone()]),
            "127.0.0.1:1".to_owned(),
        );
        let (stream, far) = tokio::io::duplex(1 << 20);
        let writes = Arc::new(AtomicUsize::new(0));
        let far = CountWrites(far, Arc::clone(&writes));
        let (shutdown, stopped) = oneshot::channel::<()>();
        let stopped = async move {
            if stopped.await.is_err() {
                std::future::pending().await
            }
        };
        let server = tokio::spawn(serve_connection(far, session, Arc::new(edge), stopped));
        Self { stream, writes, server, shutdown: Some(shutdown) }
    }

    async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
    }

    /// Reads one answer; `None` when the connection is closed instead. `has_body` is false after HEAD.
    async fn answer_to(&mut self, has_body: bool) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.stream.read_u8().await {
                Ok(octet) => head.push(octet),
                Err(_) if head.is_empty() => return None,
                Err(error) => panic!("{error} after {}", head.escape_ascii()),
            }
        }
        let head = String::from_utf8(head).unwrap();
        let length = field(&head, "Content-Length").unwrap_or("0").parse().unwrap();
        let mut body = vec![0; if has_body { length } else { 0 }];
        self.stream.read_exact(&mut body).await.unwrap();
        let status = head[9..12].parse().unwrap();
        Some(Answer { status, head, body: String::from_utf8(body).unwrap() })
    }

    async fn answer(&mut self) -> Answer {
        self.answer_to(true).await.expect("an answer")
    }

    /// Everything until the server closes.
    async fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).await.unwrap();
        rest
    }

    async fn exchange(&mut self, octets: impl AsRef<[u8]>) -> Answer {
        self.send(octets).await;
        self.answer().await
    }
}

/// The value of a field, its name compared with regard to case.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: est.example\r\n\r\n")
}

fn post(path: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: est.example\r\nContent-Type: application/pkcs10\r\n\
         Content-Length: {length}\r\n{fields}\r\n{body}"
    )
}

fn is_text(answer: &Answer, code: &str) -> bool {
    field(&answer.head, "Content-Type") == Some("text/plain; charset=utf-8")
        && answer.body.starts_with(&format!("estd: {code}: "))
        && answer.body.ends_with('\n')
}

#[tokio::test]
async fn answers_have_the_shape_that_clients_accept() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let answer = client.exchange(get(CACERTS)).await;
    let date = field(&answer.head, "Date").unwrap();
    let expected = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime\r\nContent-Length: {}\r\n\
         Content-Transfer-Encoding: base64\r\nX-Request-Id: abababababababab00000000\r\nDate: {date}\r\n\r\n",
        answer.body.len()
    );
    assert_eq!(answer.head, expected);
    assert_eq!(client.writes.load(Ordering::SeqCst), 1, "head and body leave in one write");

    let answer = client.exchange(post(ENROLL, "", &fixture.request)).await;
    let expected = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime; smime-type=certs-only\r\nContent-Length: {}\r\n\
         Content-Transfer-Encoding: base64\r\nCache-Control: no-store\r\nX-Request-Id: abababababababab00000001\r\n\
         Date: {}\r\n\r\n",
        answer.body.len(),
        field(&answer.head, "Date").unwrap()
    );
    assert_eq!(answer.head, expected);
    assert!(answer.head.len() < 1024);
    assert_eq!(client.writes.load(Ordering::SeqCst), 2);
    assert!(answer.body.ends_with('\n') && answer.body.starts_with("MII"));
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let get = client.exchange(get(CACERTS)).await;
    client.send(format!("HEAD {CACERTS} HTTP/1.1\r\nHost: est.example\r\n\r\n")).await;
    let head = client.answer_to(false).await.unwrap();
    let without_id = |head: &str| head.split("X-Request-Id").next().unwrap().to_owned();
    assert_eq!(without_id(&head.head), without_id(&get.head));
    assert_eq!(client.exchange(self::get(CACERTS)).await.status, 200, "no body followed");
}

#[tokio::test]
async fn refusals_are_text_and_leave_the_connection_usable() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    for (request, status, code) in [
        (get("/"), 404, "not_found"),
        (get("/.well-known/EST/cacerts"), 404, "not_found"),
        (get("/.well-known/est/%63acerts"), 404, "not_found"),
        (get("/.well-known/est/%2e%2e/cacerts"), 404, "not_found"),
        (get("/.well-known/est/../est/cacerts"), 404, "not_found"),
        (get("/.well-known/est//cacerts"), 404, "not_found"),
        (get("//.well-known/est/cacerts"), 404, "not_found"),
        (get("/.well-known/est/cacerts/"), 404, "not_found"),
        (get("/.well-known/est/a/b/cacerts"), 404, "not_found"),
        (get("/.well-known/est/nope/cacerts"), 404, "not_found"),
        (post("/.well-known/est/fullcmc", "", "AAAA"), 404, "not_found"),
        (post(CACERTS, "", "AAAA"), 405, "method_not_allowed"),
        (get(ENROLL), 405, "method_not_allowed"),
        (post(ENROLL, "", "AAAA").replace("application/pkcs10", "text/plain"), 415, "unsupported_media_type"),
        (post(ENROLL, "", "AAAA").replace("Content-Type", "X-Type"), 415, "unsupported_media_type"),
        (post(ENROLL, "", ""), 400, "bad_encoding"),
        (post(ENROLL, "", "*"), 400, "bad_encoding"),
    ] {
        let answer = client.exchange(&request).await;
        assert_eq!(answer.status, status, "{request}");
        assert!(is_text(&answer, code), "{answer:?}");
        assert_eq!(field(&answer.head, "Connection"), None);
        assert_eq!(field(&answer.head, "Allow").is_some(), status == 405);
        assert_eq!(field(&answer.head, "Accept"), (status == 415).then_some("application/pkcs10"));
    }
    assert_eq!(client.exchange(get(CACERTS)).await.status, 200);
}

#[tokio::test]
async fn allow_names_the_methods_of_the_operation() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let answer = client.exchange(get(CACERTS).replace("GET", "DELETE")).await;
    assert_eq!(field(&answer.head, "Allow"), Some("GET, HEAD"));
    let answer = client.exchange(get(ENROLL).replace("GET", "PUT")).await;
    assert_eq!(field(&answer.head, "Allow"), Some("POST"));
}

#[tokio::test]
async fn media_type_and_transfer_encoding_are_read_as_clients_write_them() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    for fields in
        ["", "Content-Transfer-Encoding: binary\r\n", "Accept: text/html\r\nContent-Transfer-Encoding: 8bit\r\n"]
    {
        let request = post(ENROLL, fields, &fixture.request)
            .replace("application/pkcs10", "Application/PKCS10 ; name=smime.p10; charset=UTF-8");
        assert_eq!(client.exchange(&request).await.status, 200);
    }
    assert_eq!(client.exchange(get(&format!("{CACERTS}?x=1"))).await.status, 200, "a query names nothing");
}

#[tokio::test]
async fn the_host_is_checked() {
    let fixture = testing::enrolled();
    for (head, status) in [
        (format!("GET {CACERTS} HTTP/1.1\r\n"), 400),
        (format!("GET {CACERTS} HTTP/1.1\r\nHost: a\r\nHost: a\r\n"), 400),
        (format!("GET {CACERTS} HTTP/1.1\r\nHost:\r\n"), 400),
        (format!("GET {CACERTS} HTTP/1.1\r\nHost: a b\r\n"), 400),
        (format!("GET {CACERTS} HTTP/1.1\r\nHost: user@a\r\n"), 400),
        (format!("GET {CACERTS} HTTP/1.1\r\nHost: [::1]:8443\r\n"), 200),
        (format!("GET https://a:8443{CACERTS} HTTP/1.1\r\nHost: A:8443\r\n"), 200),
        (format!("GET https://b{CACERTS} HTTP/1.1\r\nHost: a\r\n"), 400),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n".to_owned(), 400),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n".to_owned(), 400),
        (format!("GET {CACERTS} HTTP/1.0\r\n"), 200),
        (format!("GET {CACERTS} HTTP/1.0\r\nHost: a\r\nHost: a\r\n"), 400),
    ] {
        let mut client = Client::connect(&fixture, HttpLimits::default());
        assert_eq!(client.exchange(format!("{head}\r\n")).await.status, status, "{head}");
    }
}

#[tokio::test]
async fn a_smuggling_attempt_gets_one_answer_and_the_close() {
    let fixture = testing::enrolled();
    let hidden = get(CACERTS);
    for attempt in [
        format!(
            "POST {ENROLL} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
        ),
        format!("POST {ENROLL} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nAAAA{hidden}"),
        format!("GET {CACERTS} HTTP/1.1\nHost: a\n\n{hidden}"),
        format!("GET {CACERTS}#f HTTP/1.1\r\nHost: a\r\n\r\n{hidden}"),
        format!("GET {CACERTS} HTTP/1.1\r\nHost : a\r\n\r\n{hidden}"),
    ] {
        let mut client = Client::connect(&fixture, HttpLimits::default());
        let answer = client.exchange(&attempt).await;
        assert_eq!(answer.status, 400, "{attempt}");
        assert!(is_text(&answer, "bad_request"));
        assert_eq!(field(&answer.head, "Connection"), Some("close"));
        assert_eq!(client.rest().await, "");
    }
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let broken = format!(
        "POST {ENROLL} HTTP/1.1\r\nHost: a\r\nContent-Type: application/pkcs10\r\nTransfer-Encoding: chunked\r\n\r\n4\nAAAA"
    );
    let answer = client.exchange(broken + &hidden).await;
    assert!(is_text(&answer, "bad_request"));
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_up_to_the_one_refused() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    // libest ends its body with a CRLF that Content-Length does not count.
    let enroll = post(ENROLL, "", &fixture.request) + "\r\n";
    client.send(format!("{}{enroll}{}GET / HTTP/1.1\n\n{}", get(CACERTS), get("/"), get(CACERTS))).await;
    let mut statuses = Vec::new();
    while let Some(answer) = client.answer_to(true).await {
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 200, 404, 400]);
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let fixture = testing::enrolled();
    let limits = HttpLimits { max_body: 2048, ..HttpLimits::default() };
    let mut client = Client::connect(&fixture, limits);
    let fits = format!("{}{}", fixture.request.trim(), " ".repeat(2048 - fixture.request.trim().len()));
    assert_eq!(client.exchange(post(ENROLL, "", &fits)).await.status, 200);
    // Announced: answered without waiting for any of it.
    let announced = post(ENROLL, "", "").replace("Length: 0", "Length: 2049");
    let answer = client.exchange(announced).await;
    assert_eq!((answer.status, field(&answer.head, "Connection")), (413, Some("close")));
    assert_eq!(client.rest().await, "");
    // Not announced.
    let mut client = Client::connect(&fixture, limits);
    let chunked = post(ENROLL, "", "").replace("Content-Length: 0", "Transfer-Encoding: chunked");
    client.send(chunked + "1000\r\n" + &"A".repeat(4096)).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, field(&answer.head, "Connection")), (413, Some("close")));
    assert!(is_text(&answer, "body_too_large"));
}

#[tokio::test]
async fn chunked_bodies_are_accepted() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let (first, second) = fixture.request.split_at(10);
    let chunked = post(ENROLL, "", "").replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let chunked = format!("{chunked}a\r\n{first}\r\n{:X};x=y\r\n{second}\r\n0\r\n\r\n", second.len());
    assert_eq!(client.exchange(&chunked).await.status, 200);
    assert_eq!(client.exchange(&chunked).await.status, 200);
}

#[tokio::test]
async fn who_expects_a_100_gets_it_or_a_final_answer() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let request = post(ENROLL, "Expect: 100-continue\r\n", &fixture.request);
    let (head, body) = request.split_at(request.len() - fixture.request.len());
    assert_eq!(client.exchange(head).await.status, 100);
    assert_eq!(client.exchange(body).await.status, 200);
    let answer = client.exchange(head.replace("simpleenroll", "nope")).await;
    assert_eq!((answer.status, field(&answer.head, "Connection")), (404, Some("close")));
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn heads_have_a_limit() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits { max_header: 1000, ..HttpLimits::default() });
    let answer = client.exchange(format!("GET {CACERTS} HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(1000))).await;
    assert_eq!(answer.status, 431);
    assert!(is_text(&answer, "header_too_large"));
    assert_eq!(client.rest().await, "");
}

#[tokio::test(start_paused = true)]
async fn slow_clients_are_cut_off() {
    let fixture = testing::enrolled();
    let limits = HttpLimits {
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(60),
        ..HttpLimits::default()
    };
    let start = tokio::time::Instant::now();
    let mut idle = Client::connect(&fixture, limits);
    assert_eq!(idle.rest().await, "");
    assert_eq!(start.elapsed().as_secs(), 60);

    let start = tokio::time::Instant::now();
    let mut slow_head = Client::connect(&fixture, limits);
    for _ in 0..9 {
        slow_head.send("G").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(slow_head.rest().await, "");
    assert_eq!(start.elapsed().as_secs(), 10, "an octet now and then does not extend it");

    let start = tokio::time::Instant::now();
    let mut slow_body = Client::connect(&fixture, limits);
    slow_body.send(post(ENROLL, "", "").replace("Length: 0", "Length: 100")).await;
    let answer = slow_body.answer().await;
    assert_eq!((answer.status, field(&answer.head, "Connection")), (408, Some("close")));
    assert!(is_text(&answer, "body_timeout"));
    assert_eq!(start.elapsed().as_secs(), 20);

    let start = tokio::time::Instant::now();
    let mut again = Client::connect(&fixture, limits);
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(again.exchange(get(CACERTS)).await.status, 200);
    assert_eq!(again.rest().await, "");
    assert_eq!(start.elapsed().as_secs(), 110, "each request starts the idle time anew");
}

#[tokio::test]
async fn connection_close_and_the_end_of_the_input_are_honoured() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    client.send(get(CACERTS).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(client.rest().await, "");

    let mut client = Client::connect(&fixture, HttpLimits::default());
    client.send(post(ENROLL, "", &fixture.request)).await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.answer().await.status, 200, "a client may close its side before the answer");
    assert_eq!(client.rest().await, "");
    client.server.await.unwrap();
}

#[tokio::test]
async fn shutdown_finishes_the_request_in_flight() {
    let fixture = testing::enrolled();
    let mut idle = Client::connect(&fixture, HttpLimits::default());
    assert_eq!(idle.exchange(get(CACERTS)).await.status, 200);
    idle.shutdown.take().unwrap().send(()).unwrap();
    assert_eq!(idle.rest().await, "");

    let mut busy = Client::connect(&fixture, HttpLimits::default());
    let request = post(ENROLL, "", &fixture.request);
    let (first, second) = request.split_at(request.len() - 5);
    busy.send(first).await;
    tokio::task::yield_now().await;
    busy.shutdown.take().unwrap().send(()).unwrap();
    tokio::task::yield_now().await;
    assert_eq!(busy.exchange(second).await.status, 200);
    assert_eq!(busy.rest().await, "");
}

#[tokio::test]
async fn the_status_listener_shows_health_and_metrics() {
    let metrics = Arc::new(Metrics::new());
    let _open = metrics.connection_opened();
    metrics.handshake_done("1.3");
    metrics.request(
        None,
        None,
        metrics::Outcome::Refused(crate::est::RejectionCode::NotFound),
        Duration::from_millis(3),
    );
    let healthy = Arc::new(AtomicUsize::new(1));
    let asked = Arc::clone(&healthy);
    let edge = StatusEdge::new(metrics, move || asked.load(Ordering::SeqCst) == 1);
    let (mut stream, far) = tokio::io::duplex(1 << 16);
    let server = tokio::spawn(serve_status_connection(far, Arc::new(edge), std::future::pending()));
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut page = String::new();
    while !page.ends_with("# EOF\n") {
        page.push(char::from(stream.read_u8().await.unwrap()));
    }
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("\r\n\r\nok\n"), "{page}");
    for line in [
        "estd_connections_open 1",
        "estd_handshakes_total{version=\"1.3\"} 1",
        "estd_requests_total{operation=\"-\",label=\"-\",code=\"not_found\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in {page}");
    }
    healthy.store(0, Ordering::SeqCst);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 503 "), "{rest}");
    server.await.unwrap();
}

#[test]
fn what_a_client_sent_is_shown_without_its_control_characters() {
    assert_eq!(reply::printable("plain é 设备\n"), "plain é 设备\n");
    let hostile = "a\r\nSet-Cookie: x\u{1b}[2J\u{202e}\u{0}\n";
    assert_eq!(reply::printable(hostile), "a\\u{d}\\u{a}Set-Cookie: x\\u{1b}[2J\\u{202e}\\u{0}\n");
}
