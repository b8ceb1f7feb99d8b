//! A client that sends exactly the octets it is told to and keeps exactly those that come back.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::matrix::Problem;
use crate::pki::Identity;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where to connect, whom to trust and as whom.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Client {
    /// `anchor`: PEM of the CA the server's certificate leads to.
    pub(crate) fn new(address: SocketAddr, anchor: &Path, identity: Option<&Identity>) -> Result<Self, Problem> {
        let mut anchors = RootCertStore::empty();
        for certificate in certificates(anchor)? {
            anchors.add(certificate).map_err(tls)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(tls)?
            .with_root_certificates(anchors);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key = PrivateKeyDer::from_pem_file(&identity.key)
                    .map_err(|error| Problem::failed(format!("{}: {error}", identity.key.display())))?;
                let key = provider.key_provider.load_private_key(key).map_err(tls)?;
                // Not checked against the certificate: broken certificates are sent on purpose.
                let certified = CertifiedKey::new(certificates(&identity.chain)?, key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self { address, config: Arc::new(config) })
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Result<Connection, Problem> {
        let socket = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let session = ClientConnection::new(Arc::clone(&self.config), name).map_err(tls)?;
        Ok(Connection { stream: StreamOwned::new(session, socket), pending: Vec::new() })
    }

    /// One request on a connection of its own.
    pub(crate) fn exchange(&self, request: &[u8]) -> Result<Response, Problem> {
        self.connect()?.exchange(request)
    }

    /// GET.
    pub(crate) fn get(&self, path: &str) -> Result<Response, Problem> {
        self.exchange(&get(path))
    }

    /// POST of a certification request, as EST clients send it.
    pub(crate) fn post(&self, path: &str, der: &[u8]) -> Result<Response, Problem> {
        self.exchange(&post(path, "application/pkcs10", &base64(der)))
    }
}

/// One TLS connection.
pub(crate) struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    pending: Vec<u8>,
}

impl Connection {
    /// Sends a request and reads its answer.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Response, Problem> {
        self.send(request)?;
        self.receive()
    }

    /// Sends octets.
    pub(crate) fn send(&mut self, octets: &[u8]) -> Result<(), Problem> {
        self.stream.write_all(octets)?;
        self.stream.flush()?;
        Ok(())
    }

    /// Reads one answer: its head, and as many octets as Content-Length says.
    pub(crate) fn receive(&mut self) -> Result<Response, Problem> {
        let end = loop {
            if let Some(at) = find(&self.pending, b"\r\n\r\n") {
                break at + 4;
            }
            if self.more()? == 0 {
                return Err(Problem::failed(format!(
                    "the connection ended instead of an answer: {:?}",
                    String::from_utf8_lossy(&self.pending)
                )));
            }
        };
        let head = String::from_utf8_lossy(&self.pending[..end]).into_owned();
        self.pending.drain(..end);
        let mut response = Response::parse(head)?;
        if response.status != 100 {
            let length = response.header("Content-Length").unwrap_or("0").parse().unwrap_or(0);
            while self.pending.len() < length && self.more()? > 0 {}
            let length = length.min(self.pending.len());
            response.body = self.pending.drain(..length).collect();
        }
        Ok(response)
    }

    /// Whether the server closes, without sending anything more.
    pub(crate) fn is_closed_by_server(&mut self) -> bool {
        self.pending.is_empty() && matches!(self.more(), Ok(0)) && self.pending.is_empty()
    }

    /// Reads what is there; 0 is the end.
    fn more(&mut self) -> Result<usize, Problem> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(count) => {
                self.pending.extend_from_slice(&chunk[..count]);
                Ok(count)
            }
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => Ok(0),
            Err(error) => Err(Problem::failed(format!("reading: {error}"))),
        }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Status line and headers as they came.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    fn parse(head: String) -> Result<Self, Problem> {
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| Problem::failed(format!("no status line: {head:?}")))?;
        Ok(Self { status, head, body: Vec::new() })
    }

    /// The value of a header, its name compared letter by letter as the strictest clients do.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The stable code of a refusal: `estd: CODE: …`.
    pub(crate) fn code(&self) -> Option<String> {
        let text = self.text();
        text.strip_prefix("estd: ")?.split_once(": ").map(|(code, _)| code.to_owned())
    }
}

/// A GET request.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET /.well-known/est/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes()
}

/// A POST request.
pub(crate) fn post(path: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /.well-known/est/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {media_type}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// base64 in lines of 64 and a final LF, as openssl writes it.
pub(crate) fn base64(der: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let line = base64::engine::general_purpose::STANDARD.encode(der);
    line.as_bytes().chunks(64).flat_map(|chunk| chunk.iter().copied().chain([b'\n'])).collect()
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|error| Problem::failed(format!("{}: {error}", path.display())))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn tls(error: rustls::Error) -> Problem {
    Problem::failed(format!("TLS: {error}"))
}
