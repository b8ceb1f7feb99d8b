//! The server's own certificate: checked before it is shown, replaced without closing a connection.

use std::sync::Arc;

use arc_swap::ArcSwap;
use estd_asn1::{Certificate, DecodeError, Oid, Validity, oid};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use crate::pki::public_key::{KeyPolicy, PublicKey, PublicKeyError};
use crate::pki::signature::{SignatureAlgorithm, SignatureError};

/// Most names in a server certificate.
const MAX_NAMES: usize = 128;

/// Why a certificate and key cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServerCertificateError {
    /// The PEM of the certificates is broken.
    #[error("the certificates are not PEM: {0}")]
    CertificatePem(rustls::pki_types::pem::Error),
    /// The PEM of the key is broken or holds no private key.
    #[error("the key is not a private key in PEM: {0}")]
    KeyPem(rustls::pki_types::pem::Error),
    /// No certificate.
    #[error("no certificate, expected the server's own and then those that lead to its root")]
    Empty,
    /// A certificate that does not decode.
    #[error("certificate {position} does not decode: {error}")]
    Certificate {
        /// Its place, the server's own is 1.
        position: usize,
        /// Why.
        error: DecodeError,
    },
    /// The private key is of no kind that TLS knows here.
    #[error("the private key cannot be used: {0}")]
    Key(rustls::Error),
    /// Key and certificate are not a pair.
    #[error("the private key does not belong to the first certificate")]
    KeyMismatch,
    /// The public key is weak (RFC 9325 section 4.5).
    #[error("the key of certificate {position} is not fit to serve: {error}")]
    WeakKey {
        /// Its place.
        position: usize,
        /// Why.
        error: PublicKeyError,
    },
    /// The signature is weak (RFC 9325 section 4.5).
    #[error("the signature on certificate {position} is not fit to serve: {error}")]
    WeakSignature {
        /// Its place.
        position: usize,
        /// Why.
        error: SignatureError,
    },
    /// No extendedKeyUsage that lets it serve.
    #[error("the first certificate has no extendedKeyUsage serverAuth")]
    NotForServers,
    /// Clients match names in the subjectAltName alone.
    #[error("the first certificate has no subjectAltName")]
    NoNames,
}

/// A certificate chain that can serve, with its key.
#[derive(Clone)]
pub struct ServerCertificate {
    key: Arc<CertifiedKey>,
    leaf: Certificate,
}

impl ServerCertificate {
    /// Reads PEM: the server's own certificate first, then those that lead to its root (the root itself may be left
    /// out), and a private key in PKCS#8, SEC1 or PKCS#1.
    ///
    /// # Errors
    /// When clients would refuse it; see [`ServerCertificateError`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, ServerCertificateError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(ServerCertificateError::CertificatePem)?;
        let mut decoded = Vec::with_capacity(chain.len());
        for (index, certificate) in chain.iter().enumerate() {
            decoded.push(check_strength(certificate, index + 1)?);
        }
        if decoded.is_empty() {
            return Err(ServerCertificateError::Empty);
        }
        let leaf = check_purpose(decoded.swap_remove(0))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(ServerCertificateError::KeyPem)?;
        let key = any_supported_type(&Zeroizing::new(key)).map_err(ServerCertificateError::Key)?;
        // RFC 8446 §4.4.2: the sender's certificate comes first.
        if key.public_key().is_none_or(|public| *public != *leaf.public_key().der()) {
            return Err(ServerCertificateError::KeyMismatch);
        }
        Ok(Self { key: Arc::new(CertifiedKey::new(chain, key)), leaf })
    }

    /// The server's own certificate.
    pub fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// What is shown, the server's own certificate first; DER.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.key.cert.iter().map(|certificate| &**certificate)
    }
}

/// The certificate shown to clients now.
#[derive(Debug)]
pub struct ReloadableCertificate(ArcSwap<CertifiedKey>);

impl ReloadableCertificate {
    /// Starts with `certificate`.
    pub fn new(certificate: &ServerCertificate) -> Self {
        Self(ArcSwap::new(Arc::clone(&certificate.key)))
    }

    /// When the one that is shown now is valid.
    pub fn validity(&self) -> Option<Validity> {
        let shown = self.0.load();
        shown.cert.first().and_then(|leaf| Certificate::decode(leaf).ok()).map(|leaf| leaf.validity())
    }

    /// Shows `certificate` from the next handshake on.
    pub fn replace(&self, certificate: &ServerCertificate) {
        self.0.store(Arc::clone(&certificate.key));
    }
}

impl ResolvesServerCert for ReloadableCertificate {
    // Whatever name a client asks for: devices reach the server by address, or by names behind a load balancer.
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// RFC 9325 §4.5: RSA keys of 2048 bits at least, no SHA-1 or MD5 in the chain.
fn check_strength(der: &[u8], position: usize) -> Result<Certificate, ServerCertificateError> {
    let certificate =
        Certificate::decode(der).map_err(|error| ServerCertificateError::Certificate { position, error })?;
    PublicKey::check(certificate.public_key(), &KeyPolicy::any_sound())
        .map_err(|error| ServerCertificateError::WeakKey { position, error })?;
    // Nobody verifies the signature of a root on itself.
    if certificate.issuer() != certificate.subject() {
        SignatureAlgorithm::from_identifier(certificate.signature_algorithm())
            .map_err(|error| ServerCertificateError::WeakSignature { position, error })?;
    }
    Ok(certificate)
}

/// RFC 7030 §3.3.1: a certificate that clients accept as this server's.
fn check_purpose(leaf: Certificate) -> Result<Certificate, ServerCertificateError> {
    let refused = |error| ServerCertificateError::Certificate { position: 1, error };
    let serves = |usage: &Oid| *usage == oid::KP_SERVER_AUTH || *usage == oid::ANY_EXTENDED_KEY_USAGE;
    // Required, though RFC 5280 does not: libest refuses to go without.
    if !leaf.ext_key_usage().map_err(refused)?.is_some_and(|usages| usages.iter().any(serves)) {
        return Err(ServerCertificateError::NotForServers);
    }
    if leaf.subject_alt_names(MAX_NAMES).map_err(refused)?.is_empty() {
        return Err(ServerCertificateError::NoNames);
    }
    Ok(leaf)
}
