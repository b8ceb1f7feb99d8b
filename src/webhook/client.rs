//! POSTs to one receiver, over a connection to an address that was looked at before.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::address::{AddressRefused, allowed};
use super::lookup::lookup;
use super::message::Message;
use super::settings::Receiver;

/// Largest head of an answer, in octets.
const MAX_HEAD: usize = 16 * 1024;
/// Largest body of an answer that is read, for the sake of the connection; what it says does not matter.
const MAX_BODY: usize = 64 * 1024;
/// Largest body of an answer that matters.
pub(super) const MAX_ANSWER: usize = 16 * 1024;
/// How long that may take.
const BODY_PATIENCE: Duration = Duration::from_secs(1);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// Why an attempt failed. What the receiver wrote is not among it: an answer from where nobody should ask stays there.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptFailure {
    #[error("the name of the receiver does not resolve: {0}")]
    Resolve(io::Error),
    #[error("the name of the receiver has no address")]
    NoAddress,
    #[error(transparent)]
    Address(#[from] AddressRefused),
    #[error("no connection to {0}: {1}")]
    Connect(SocketAddr, io::Error),
    #[error("no TLS with the receiver: {0}")]
    Tls(io::Error),
    #[error("the receiver has no name that a certificate can have")]
    Name,
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be put together: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("status {0}: redirects are not followed")]
    Redirect(u16),
    #[error("status {0}")]
    Status(u16),
    #[error("an answer of more than {MAX_ANSWER} octets")]
    Oversized,
    #[error("no answer within {} ms", .0.as_millis())]
    TooLong(Duration),
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The operating system has no CA certificates.
    #[error("the operating system has no CA certificates; name some with ca_file")]
    NoAnchors,
}

/// Posts to one receiver.
pub(super) struct Client {
    receiver: Arc<Receiver>,
    tls: Arc<ClientConfig>,
    open: Option<Connection>,
}

/// A connection that is kept for the next message.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Client {
    /// Reads the anchors of the operating system when none are named: it blocks.
    ///
    /// # Errors
    /// When TLS cannot be set up, or there are no anchors.
    pub(super) fn new(receiver: Receiver) -> Result<Self, ClientError> {
        let mut roots = RootCertStore::empty();
        match &receiver.anchors {
            Some(anchors) => {
                for anchor in anchors {
                    roots.add(CertificateDer::from(anchor.clone()))?;
                }
            }
            None if receiver.endpoint.is_https() => {
                let native = rustls_native_certs::load_native_certs();
                for error in native.errors {
                    tracing::warn!(%error, "a CA certificate of the operating system");
                }
                roots.add_parsable_certificates(native.certs);
            }
            None => {}
        }
        if roots.is_empty() && receiver.endpoint.is_https() {
            return Err(ClientError::NoAnchors);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { receiver: Arc::new(receiver), tls: Arc::new(config), open: None })
    }

    /// Another one to the same receiver, with a connection of its own.
    pub(super) fn another(&self) -> Self {
        Self { receiver: Arc::clone(&self.receiver), tls: Arc::clone(&self.tls), open: None }
    }

    /// Sends a message at `timestamp`, in seconds since 1970; done when the receiver has answered that it has it.
    ///
    /// # Errors
    /// When it has not, or that is not known.
    pub(super) async fn post(&mut self, message: &Message, timestamp: i64) -> Result<(), AttemptFailure> {
        let limit = self.receiver.timeout;
        let until = Instant::now() + limit;
        let attempt = async {
            let connection = match usable(self.open.take()).await {
                Some(kept) => kept,
                None => self.connect(until).await?,
            };
            self.send(connection, message, timestamp).await
        };
        let attempt = tokio::time::timeout_at(until, attempt).await;
        let (connection, response) = attempt.map_err(|_| AttemptFailure::TooLong(limit))??;
        let status = response.status();
        if drained(response.into_body()).await {
            self.open = Some(connection);
        }
        judge(status)
    }

    /// Sends a message at `timestamp`, in seconds since 1970, and reads what is answered with 200, all within one time limit.
    ///
    /// # Errors
    /// When no such answer came, or a larger one.
    pub(super) async fn ask(&mut self, message: &Message, timestamp: i64) -> Result<Bytes, AttemptFailure> {
        let limit = self.receiver.timeout;
        let until = Instant::now() + limit;
        let asked = async {
            let (connection, response) = self.ask_over_any(message, timestamp, until).await?;
            match response.status() {
                StatusCode::OK => {}
                status => return Err(judge(status).err().unwrap_or(AttemptFailure::Status(status.as_u16()))),
            }
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(error) => AttemptFailure::Http(*error),
                Err(_) => AttemptFailure::Oversized,
            })?;
            self.open = Some(connection);
            Ok(body.to_bytes())
        };
        tokio::time::timeout_at(until, asked).await.map_err(|_| AttemptFailure::TooLong(limit))?
    }

    /// A connection that was kept may be closed while the message is on its way; it is sent again over a new one then.
    async fn ask_over_any(
        &mut self,
        message: &Message,
        timestamp: i64,
        until: Instant,
    ) -> Result<(Connection, Response<Incoming>), AttemptFailure> {
        if let Some(kept) = usable(self.open.take()).await
            && let Ok(answered) = self.send(kept, message, timestamp).await
        {
            return Ok(answered);
        }
        self.send(self.connect(until).await?, message, timestamp).await
    }

    async fn send(
        &self,
        mut connection: Connection,
        message: &Message,
        timestamp: i64,
    ) -> Result<(Connection, Response<Incoming>), AttemptFailure> {
        let response = connection.sender.send_request(self.request(message, timestamp)?).await?;
        Ok((connection, response))
    }

    /// The connection ends when nothing is sent for now.
    pub(super) fn rest(&mut self) {
        self.open = None;
    }

    fn request(&self, message: &Message, timestamp: i64) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let timestamp = timestamp.to_string();
        let signature = self.receiver.secrets.sign(&message.id, &timestamp, &message.body);
        Request::post(self.receiver.endpoint.target())
            .header(HOST, self.receiver.endpoint.authority())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("estd/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(Full::new(Bytes::from(message.body.clone())))
    }

    /// Connects to an address of the receiver: to the very one that was looked at, so that a name which resolves to
    /// another one the next time gains nothing.
    async fn connect(&self, until: Instant) -> Result<Connection, AttemptFailure> {
        let endpoint = &self.receiver.endpoint;
        let stream = first_open(&self.addresses().await?, until).await?;
        if !endpoint.is_https() {
            return speak(stream).await;
        }
        let name = ServerName::try_from(endpoint.host().to_owned()).map_err(|_| AttemptFailure::Name)?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        speak(connector.connect(name, stream).await.map_err(AttemptFailure::Tls)?).await
    }

    /// The addresses that may be connected to.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, AttemptFailure> {
        let endpoint = &self.receiver.endpoint;
        let found: Vec<_> = match endpoint.literal() {
            Some(address) => vec![address],
            None => {
                let mut found = lookup(endpoint.host(), endpoint.port()).await.map_err(AttemptFailure::Resolve)?;
                found.truncate(MAX_ADDRESSES);
                found
            }
        };
        let mut refused = None;
        let mut sound = Vec::new();
        for address in found {
            match allowed(address.ip(), self.receiver.allow_private) {
                Ok(_) => sound.push(address),
                Err(error) => refused = Some(error),
            }
        }
        match refused {
            Some(error) if sound.is_empty() => Err(error.into()),
            Some(_) | None => Ok(sound),
        }
    }
}

/// A connection to the first of several addresses that takes one. Each has an equal part of what is left of the time: one where
/// packets are lost leaves enough for those that follow.
async fn first_open(addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, AttemptFailure> {
    let mut failure = AttemptFailure::NoAddress;
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = until.saturating_duration_since(Instant::now()) / left;
        failure = match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => AttemptFailure::Connect(*address, error),
            Err(_) => AttemptFailure::Connect(*address, io::ErrorKind::TimedOut.into()),
        };
    }
    Err(failure)
}

/// A connection that was not closed meanwhile: that is noticed here, before anything is sent.
async fn usable(kept: Option<Connection>) -> Option<Connection> {
    let mut kept = kept?;
    kept.sender.ready().await.is_ok().then_some(kept)
}

async fn speak<Io>(stream: Io) -> Result<Connection, AttemptFailure>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection).abort_handle();
    Ok(Connection { sender, driver })
}

/// Whether the body ended, so that the connection can be used again.
async fn drained(body: Incoming) -> bool {
    let read = tokio::time::timeout(BODY_PATIENCE, Limited::new(body, MAX_BODY).collect()).await;
    matches!(read, Ok(Ok(_)))
}

/// Standard Webhooks: any 2xx is a receipt, and nothing else is.
fn judge(status: StatusCode) -> Result<(), AttemptFailure> {
    if status.is_success() {
        Ok(())
    } else if status.is_redirection() {
        // Where it leads was not looked at, and the next hop would be the receiver's to choose.
        Err(AttemptFailure::Redirect(status.as_u16()))
    } else {
        Err(AttemptFailure::Status(status.as_u16()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// An address where packets are lost: nobody takes the connections there, and there are as many as may wait.
    async fn lossy() -> (SocketAddr, Vec<TcpStream>, TcpListener) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            waiting.push(stream.unwrap());
            assert!(waiting.len() < 64, "they are taken");
        }
        (address, waiting, listener)
    }

    #[tokio::test]
    async fn an_address_where_packets_are_lost_leaves_time_for_the_next() {
        let (lossy, _waiting, _listener) = lossy().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let limit = Duration::from_secs(2);
        for addresses in [vec![lossy, open], vec![lossy, refusing, lossy, open]] {
            let started = Instant::now();
            let stream = tokio::time::timeout(limit, first_open(&addresses, started + limit)).await;
            assert_eq!(stream.unwrap().unwrap().peer_addr().unwrap(), open);
            assert!(started.elapsed() < limit * 9 / 10, "{:?}", started.elapsed());
        }
        let failed = first_open(&[lossy], Instant::now() + Duration::from_millis(100)).await.unwrap_err();
        assert!(matches!(&failed, AttemptFailure::Connect(at, _) if *at == lossy), "{failed}");
        assert!(matches!(first_open(&[], Instant::now()).await, Err(AttemptFailure::NoAddress)));
    }
}
