//! Raw octets in, raw octets out: what a client sees on the wire, to the byte.

mod answers;
mod approval;
mod authentication;
mod framing;
mod full_cmc;
mod key_generation;
mod leniency;
mod limits;
mod renewal_info;
mod rollover;
mod status;

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
use tokio::time::timeout;

use super::*;
use crate::audit::AuditOutcome;
use crate::est::{ChannelBinding, PresentedChain};
use crate::ra::PeerSession;
use crate::ra::testing::{self, Enrolled};
use crate::store::memory::MemoryStore;
use crate::store::{CertificateStore as _, StoreFault};

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
        Self::connect_through(fixture, limits, 1 << 20)
    }

    /// Through a pipe that takes so many octets before somebody must read.
    fn connect_through(fixture: &Enrolled, limits: HttpLimits, capacity: usize) -> Self {
        let presented = PresentedChain::possession_proven(vec![fixture.birth_certificate.clone()]);
        Self::connect_as(presented, fixture, limits, capacity)
    }

    /// Without a certificate.
    fn anonymous(fixture: &Enrolled, limits: HttpLimits) -> Self {
        Self::connect_as(None, fixture, limits, 1 << 20)
    }

    fn connect_as(presented: Option<PresentedChain>, fixture: &Enrolled, limits: HttpLimits, capacity: usize) -> Self {
        Self::connect_to(&edge(fixture, limits), presented, fixture, capacity)
    }

    /// To an edge that others are connected to as well.
    fn connect_to(
        edge: &Arc<HttpEdge>,
        presented: Option<PresentedChain>,
        fixture: &Enrolled,
        capacity: usize,
    ) -> Self {
        let session = PeerSession::new(presented, "127.0.0.1:1".to_owned())
            .bound_to(Some(ChannelBinding::TlsUnique([0; 12])))
            .asking_for(fixture.server_name.clone())
            .behind_cipher(Some(256));
        let (stream, far) = tokio::io::duplex(capacity);
        let writes = Arc::new(AtomicUsize::new(0));
        let far = CountWrites(far, Arc::clone(&writes));
        let (shutdown, stopped) = oneshot::channel::<()>();
        let stopped = async move {
            if stopped.await.is_err() {
                std::future::pending().await
            }
        };
        let server = tokio::spawn(serve_connection(far, session, Arc::clone(edge), stopped));
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

fn edge(fixture: &Enrolled, limits: HttpLimits) -> Arc<HttpEdge> {
    let authority = Arc::new(ArcSwap::new(Arc::clone(&fixture.authority)));
    Arc::new(HttpEdge::new(authority, limits, Arc::new(Metrics::new()), [0xab; 8]))
}

/// Whether an answer says, in digits, to come back in half a minute, give or take what keeps clients apart.
fn is_put_off(answer: &Answer) -> bool {
    let seconds = field(&answer.head, "Retry-After").map(str::parse::<u32>);
    seconds.is_some_and(|seconds| seconds.is_ok_and(|seconds| (30..=45).contains(&seconds)))
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
