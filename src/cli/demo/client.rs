//! An EST client, as a device has one: it trusts one root, shows its birth certificate, and asks for a certificate.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::population::Device;
use crate::ca::{Signer as _, SoftwareSigner};
use crate::cli::{CliError, files};
use crate::est::transfer::{self, LineWrapping, TransferError};
use estd_asn1::{Certificate, Name, certs_only, pkcs10};

/// Largest answer taken, in octets.
const MAX_ANSWER: usize = 1024 * 1024;
/// Certificates taken from one answer.
const MAX_CERTIFICATES: usize = 16;
/// How long the whole enrollment may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the demo's device got no certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrollmentError {
    /// No connection.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// TLS is not to be had with these keys and certificates.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// A PEM file does not read.
    #[error("{0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// HTTP broke.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// A request cannot be put together.
    #[error(transparent)]
    Request(#[from] hyper::http::Error),
    /// The answer's body did not come, or not whole.
    #[error("the answer broke off: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// Not 200.
    #[error("{path} answered {status}: {text}")]
    Refused {
        /// The operation's path.
        path: String,
        /// The status.
        status: StatusCode,
        /// The body.
        text: String,
    },
    /// The body is not base64.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The answer certifies nothing, or another key.
    #[error("the answer holds no certificate for the key that was asked for")]
    OtherKey,
    /// It takes too long.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    TooLong,
}

/// GET cacerts, then POST simpleenroll with a new key; key and certificate are kept with the device.
pub(super) async fn enroll(server: SocketAddr, root: &Path, device: &Device) -> Result<Certificate, CliError> {
    let key = files::replaced_key(&device.operational_key())?;
    let tls = tls_config(root, device)?;
    let patient = tokio::time::timeout(PATIENCE, converse(server, tls, &key));
    let certificate = patient.await.map_err(|_| EnrollmentError::TooLong)??;
    files::certificates(&device.operational(), &[&certificate])?;
    Ok(certificate)
}

/// Trusts the demo's root alone and shows the birth certificate.
fn tls_config(root: &Path, device: &Device) -> Result<Arc<ClientConfig>, CliError> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(files::text(root)?.as_bytes()).map_err(EnrollmentError::from)?;
    roots.add(root).map_err(EnrollmentError::from)?;
    let birth = files::text(&device.birth())?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(birth.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(files::text(&device.birth_key())?.as_bytes());
    let (chain, key) = (chain.map_err(EnrollmentError::from)?, key.map_err(EnrollmentError::from)?);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_root_certificates(roots).with_client_auth_cert(chain, key))
        .map_err(EnrollmentError::from)?;
    Ok(Arc::new(config))
}

async fn converse(server: SocketAddr, tls: Arc<ClientConfig>, key: &SoftwareSigner) -> Result<Certificate, CliError> {
    let connect = |source| EnrollmentError::Connect { address: server, source };
    let stream = TcpStream::connect(server).await.map_err(connect)?;
    let name = ServerName::IpAddress(server.ip().into());
    let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(EnrollmentError::from)?;
    let connection = tokio::spawn(connection);

    let ca_certs = ask(&mut sender, server, Method::GET, "cacerts", Vec::new()).await?;
    certs_only::decode(&ca_certs, MAX_CERTIFICATES)?;
    let request = transfer::encode(&certification_request(key)?, LineWrapping::Lines64);
    let issued = ask(&mut sender, server, Method::POST, "simpleenroll", request).await?;
    drop(sender);
    // The answers are here; how the connection ends changes nothing.
    connection.abort();

    let issued = certs_only::decode(&issued, MAX_CERTIFICATES)?;
    let certificate = Certificate::decode(issued.first().ok_or(EnrollmentError::OtherKey)?)?;
    if certificate.public_key().der() == key.public_key().der() {
        Ok(certificate)
    } else {
        Err(EnrollmentError::OtherKey.into())
    }
}

/// A PKCS#10 that leaves its names to the server.
fn certification_request(key: &SoftwareSigner) -> Result<Vec<u8>, CliError> {
    let info = pkcs10::encode_certification_request_info(&Name::empty(), key.public_key().der(), &[]);
    let signature = key.sign(&info)?;
    Ok(pkcs10::encode_certification_request(&info, key.algorithm().identifier(), &signature))
}

/// One EST operation; the DER of its answer.
async fn ask(
    sender: &mut SendRequest<Full<Bytes>>,
    server: SocketAddr,
    method: Method,
    operation: &str,
    body: Vec<u8>,
) -> Result<Vec<u8>, EnrollmentError> {
    let path = format!("/.well-known/est/{operation}");
    let mut request = Request::builder().method(method).uri(&path).header(header::HOST, server.to_string());
    if !body.is_empty() {
        // RFC 7030 §4.2.1
        request = request.header(header::CONTENT_TYPE, "application/pkcs10");
    }
    // hyper cancels a request that comes before it is done with the answer to the one before.
    sender.ready().await?;
    let answer = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(EnrollmentError::Body)?.to_bytes();
    if status != StatusCode::OK {
        let text = String::from_utf8_lossy(&body).trim().escape_debug().to_string();
        return Err(EnrollmentError::Refused { path, status, text });
    }
    Ok(transfer::decode(&body)?)
}
