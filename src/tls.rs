//! TLS: what is offered, whose key a peer proves to hold, and which certificate the server shows.
//!
//! TLS settles possession, never trust: any certificate whose key the peer holds completes the handshake, and so does
//! none. Whom to trust is decided for each label in [`crate::pki::trust`], so that a bad optional certificate does not
//! block `/cacerts`.

mod channel_binding;
mod possession;
mod server_certificate;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, cipher_suite, default_provider, kx_group};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::{
    CipherSuite, ProtocolVersion, ServerConfig, ServerConnection, SupportedCipherSuite, SupportedProtocolVersion,
    version,
};

use crate::est::PresentedChain;
use possession::PossessionVerifier;

pub use channel_binding::accept;
pub use server_certificate::{ReloadableCertificate, ServerCertificate, ServerCertificateError};

/// The one protocol on the EST listener.
const ALPN_HTTP_1_1: &[u8] = b"http/1.1";

/// Tickets after a TLS 1.3 handshake: a device resumes one connection at a time.
const TICKETS: usize = 1;

/// What an operator chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// The lowest version accepted.
    pub min_version: MinimumVersion,
    /// Ciphers of 256 bits before those of 128, for keys that nothing but TLS protects.
    pub strong_ciphers_first: bool,
}

/// The lowest version of TLS accepted; RFC 8996 forbids those before 1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MinimumVersion {
    /// TLS 1.2 and 1.3: several EST clients know only one of them.
    #[default]
    Tls12,
    /// TLS 1.3 alone.
    Tls13,
}

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("tls cannot be set up: {0}")]
pub struct TlsError(#[from] rustls::Error);

/// The configuration of the EST listener.
///
/// # Errors
/// When the crypto backend refuses it, or has no random octets for the ticket keys.
pub fn server_config(
    settings: &TlsSettings,
    resolver: Arc<dyn ResolvesServerCert>,
) -> Result<Arc<ServerConfig>, TlsError> {
    // RFC 9325 §3.1.1: 1.3 is preferred, 1.2 offered; older ones do not exist here.
    let versions: &[&SupportedProtocolVersion] = match settings.min_version {
        MinimumVersion::Tls12 => &[&version::TLS13, &version::TLS12],
        MinimumVersion::Tls13 => &[&version::TLS13],
    };
    let provider = Arc::new(provider(settings.strong_ciphers_first));
    let verifier = Arc::new(PossessionVerifier::new(provider.signature_verification_algorithms));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    config.ignore_client_order = true;
    config.alpn_protocols = vec![ALPN_HTTP_1_1.to_vec()];
    // RFC 7030 §3.3 wants resumption. The ticket carries the client's certificate; its keys rotate every six hours
    // (RFC 9325 §3.4), and revocation and expiry are looked at on every enrollment.
    config.ticketer = Ticketer::new()?;
    config.send_tls13_tickets = TICKETS;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // RFC 9325 §3.4, RFC 8446 §8: no early data, an enrollment must not be replayed.
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// The chain the peer of a finished handshake presented, whose leaf key it was seen to hold, now or when the session
/// began that it resumed.
pub fn presented_chain(connection: &ServerConnection) -> Option<PresentedChain> {
    let certificates = connection.peer_certificates()?;
    PresentedChain::possession_proven(certificates.iter().map(|certificate| certificate.to_vec()).collect())
}

/// The version of a finished handshake, as it stands in logs and metrics.
pub fn protocol(connection: &ServerConnection) -> &'static str {
    match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        Some(ProtocolVersion::TLSv1_3) => "1.3",
        _ => "unknown",
    }
}

/// RFC 9325 §4.1, §4.2: ECDHE with AEAD and nothing else. AES-128 first: SHA-384, which comes with AES-256, is 5 % of a
/// fresh handshake.
fn cipher_suites() -> Vec<SupportedCipherSuite> {
    vec![
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ]
}

/// Bits of security that the cipher of a finished handshake offers; `None` for one that is not offered here.
pub fn cipher_strength(connection: &ServerConnection) -> Option<u16> {
    connection.negotiated_cipher_suite().and_then(|suite| strength(suite.suite()))
}

fn strength(suite: CipherSuite) -> Option<u16> {
    if CIPHERS_OF_128_BITS.contains(&suite) { Some(128) } else { CIPHERS_OF_256_BITS.contains(&suite).then_some(256) }
}

const CIPHERS_OF_128_BITS: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
];

const CIPHERS_OF_256_BITS: [CipherSuite; 6] = [
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

fn provider(strong_ciphers_first: bool) -> CryptoProvider {
    let mut cipher_suites = channel_binding::recorded_suites();
    if strong_ciphers_first {
        // The sort is stable: among equals the order stays.
        cipher_suites.sort_by_key(|suite| std::cmp::Reverse(strength(suite.suite())));
    }
    CryptoProvider {
        cipher_suites,
        kx_groups: vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1, kx_group::X25519MLKEM768],
        ..default_provider()
    }
}

#[cfg(test)]
mod tests;
