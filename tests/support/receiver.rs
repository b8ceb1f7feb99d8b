//! A receiver of webhooks that answers as it is told, on a loopback port.

#![allow(dead_code, unreachable_pub, reason = "each of those that include it uses its part")]

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// 32 octets of 7, in base64.
pub const SECRET: &str = "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// What a request is answered with.
pub enum Answer {
    Status(u16),
    Redirect(u16, String),
    /// Nothing, and the connection stays open.
    Hang,
    /// Nothing, and the connection is closed.
    Close,
    /// A head of so many octets, and no more.
    LongHead(usize),
    /// 200, and a body that does not end.
    Endless,
    /// 200 with a body.
    Body(String),
    /// The same with a pause before the answer.
    Late(Duration, String),
    /// 200 and the beginning of a body, of which no more comes.
    Begun(String),
}

/// A request that came.
#[derive(Clone)]
pub struct Received {
    pub line: String,
    pub head: String,
    pub body: Vec<u8>,
    pub at: Instant,
    /// With a status of 2xx.
    pub answered: bool,
}

impl Received {
    /// The value of a field, whose name is in lower case.
    pub fn field(&self, name: &str) -> &str {
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
        line.and_then(|line| line.split_once(": ")).unwrap_or_else(|| panic!("no {name} in {}", self.head)).1
    }

    /// Sees that it is signed with [`SECRET`] as Standard Webhooks says.
    pub fn verify(&self) {
        let [id, timestamp, signature] =
            ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| self.field(name));
        let message = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &self.body].concat();
        assert_eq!(signature, format!("v1,{}", tag(&message)));
    }
}

/// HMAC-SHA-256 by another implementation.
fn tag(message: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("message"), folder.path().join("tag"));
    fs::write(&input, message).unwrap();
    let key = format!("hexkey:{}", "07".repeat(32));
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-mac", "HMAC", "-macopt", &key, "-binary", "-out"]).arg(&output).arg(&input);
    assert!(command.status().unwrap().success());
    let text = Command::new("openssl").args(["base64", "-A", "-in"]).arg(&output).output().unwrap();
    String::from_utf8(text.stdout).unwrap()
}

#[derive(Default)]
struct Seen {
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    close_from: Mutex<Option<usize>>,
}

pub struct Receiver {
    pub address: SocketAddr,
    seen: Arc<Seen>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Script = Arc<dyn Fn(usize) -> Answer + Send + Sync>;

impl Receiver {
    /// `script` answers the request of a number, from 0.
    pub async fn new(script: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(Arc::new(script), None).await
    }

    /// With a certificate for localhost; also returns the CA that vouches for it, in PEM.
    pub async fn over_tls(script: impl Fn(usize) -> Answer + Send + Sync + 'static) -> (Self, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        ca.distinguished_name.push(rcgen::DnType::CommonName, "Receiver CA");
        let root = ca.self_signed(&key).unwrap();
        let own_key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let own = own.signed_by(&own_key, &rcgen::Issuer::from_params(&ca, &key)).unwrap();
        let private = PrivateKeyDer::try_from(own_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![own.der().clone()], private).unwrap();
        (Self::listen(Arc::new(script), Some(TlsAcceptor::from(Arc::new(config)))).await, root.pem())
    }

    async fn listen(script: Script, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (seen, script, tls) = (Arc::clone(&shared), Arc::clone(&script), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => serve(tls.accept(stream).await.unwrap(), &seen, &script).await,
                        None => serve(stream, &seen, &script).await,
                    }
                });
            }
        });
        Self { address, seen, task }
    }

    /// Requests from this number on are read and not answered.
    pub fn close_from(&self, number: usize) {
        *self.seen.close_from.lock().unwrap() = Some(number);
    }

    pub fn received(&self) -> Vec<Received> {
        self.seen.received.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Waits until so many requests came.
    pub async fn wait_for(&self, count: usize, patience: Duration) -> Vec<Received> {
        let start = Instant::now();
        loop {
            let received = self.received();
            if received.len() >= count {
                return received;
            }
            assert!(start.elapsed() < patience, "{} of {count} requests came", received.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn serve<Io: AsyncRead + AsyncWrite + Unpin>(mut stream: Io, seen: &Seen, script: &Script) {
    let mut octets = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = octets.windows(4).position(|part| part == b"\r\n\r\n") {
                break at;
            }
            if !read(&mut stream, &mut octets).await {
                return;
            }
        };
        let head = String::from_utf8(octets[..end].to_vec()).unwrap();
        let line = head.lines().next().unwrap().to_owned();
        let mut request = Received { line, head, body: Vec::new(), at: Instant::now(), answered: false };
        let length: usize = request.field("content-length").parse().unwrap();
        while octets.len() < end + 4 + length {
            if !read(&mut stream, &mut octets).await {
                return;
            }
        }
        request.body = octets[end + 4..end + 4 + length].to_vec();
        octets.drain(..end + 4 + length);
        let answer = {
            let mut received = seen.received.lock().unwrap();
            let number = received.len();
            let down = seen.close_from.lock().unwrap().is_some_and(|from| number >= from);
            let answer = if down { Answer::Close } else { script(number) };
            request.answered =
                matches!(answer, Answer::Status(200..=299) | Answer::Endless | Answer::Body(_) | Answer::Late(..));
            received.push(request);
            answer
        };
        let text = match answer {
            Answer::Status(status) => format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"),
            Answer::Redirect(status, to) => {
                format!("HTTP/1.1 {status} X\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
            }
            Answer::Hang => return std::future::pending().await,
            Answer::Body(body) => with_body(&body),
            Answer::Late(pause, body) => {
                tokio::time::sleep(pause).await;
                with_body(&body)
            }
            Answer::Begun(body) => {
                let text = with_body(&body).replacen("Content-Length: ", "Content-Length: 9", 1);
                if stream.write_all(text.as_bytes()).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
                return std::future::pending().await;
            }
            Answer::Close => return,
            Answer::LongHead(octets) => format!("HTTP/1.1 200 X\r\nX-Long: {}\r\n\r\n", "a".repeat(octets)),
            Answer::Endless => {
                let piece = format!("1000\r\n{}\r\n", "a".repeat(0x1000));
                let mut sent = stream.write_all(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n").await;
                while sent.is_ok() {
                    sent = stream.write_all(piece.as_bytes()).await;
                }
                return;
            }
        };
        // HTTP/1.1 204 has no Content-Length, which hyper does not mind.
        if stream.write_all(text.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

fn with_body(body: &str) -> String {
    format!("HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

async fn read<Io: AsyncRead + Unpin>(stream: &mut Io, octets: &mut Vec<u8>) -> bool {
    let mut chunk = [0; 4096];
    match stream.read(&mut chunk).await {
        Ok(count) if count > 0 => {
            octets.extend_from_slice(&chunk[..count]);
            true
        }
        Ok(_) | Err(_) => false,
    }
}
