//! The channel binding of a connection: tls-unique on TLS 1.2 (RFC 5929), tls-exporter on TLS 1.3 (RFC 9266).
//!
//! rustls does not tell tls-unique. On TLS 1.2 it computes the Finished messages through the pseudorandom function of the
//! cipher suite, so the suites offered here carry one that remembers the first of them: the client's in a full handshake,
//! the server's in one that resumes a session, which is just how RFC 5929 section 3.1 defines tls-unique.

use std::cell::Cell;
use std::io;
use std::sync::LazyLock;

use rustls::crypto::ActiveKeyExchange;
use rustls::crypto::tls12::Prf;
use rustls::{Error, ProtocolVersion, ServerConnection, SupportedCipherSuite, Tls12CipherSuite};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::cipher_suites;
use crate::est::ChannelBinding;

/// Octets of verify_data in TLS 1.2 (RFC 5246 section 7.4.9).
const VERIFY_DATA: usize = 12;

/// What the two Finished messages are labelled with (RFC 5246 section 7.4.9).
const FINISHED: [&[u8]; 2] = [b"client finished", b"server finished"];

/// RFC 9266 section 2.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

tokio::task_local! {
    /// verify_data of the first Finished of the handshake under way in this task.
    static FIRST_FINISHED: Cell<Option<[u8; VERIFY_DATA]>>;
}

/// The suites offered, those of TLS 1.2 with their Finished messages recorded. Made once for the life of the process.
static SUITES: LazyLock<Vec<SupportedCipherSuite>> =
    LazyLock::new(|| cipher_suites().into_iter().map(recorded).collect());

/// The suites offered, in order of preference.
pub(super) fn recorded_suites() -> Vec<SupportedCipherSuite> {
    SUITES.clone()
}

fn recorded(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let SupportedCipherSuite::Tls12(suite) = suite else { return suite };
    let recorder: &'static Recorder = Box::leak(Box::new(Recorder(suite.prf_provider)));
    let Tls12CipherSuite { ref common, kx, sign, aead_alg, .. } = *suite;
    let common = rustls::CipherSuiteCommon {
        suite: common.suite,
        hash_provider: common.hash_provider,
        confidentiality_limit: common.confidentiality_limit,
    };
    let suite = Tls12CipherSuite { common, prf_provider: recorder, kx, sign, aead_alg };
    SupportedCipherSuite::Tls12(Box::leak(Box::new(suite)))
}

/// The pseudorandom function of a suite, which keeps no secret: a Finished is sent over the wire.
struct Recorder(&'static dyn Prf);

impl Prf for Recorder {
    fn for_key_exchange(
        &self,
        output: &mut [u8; 48],
        kx: Box<dyn ActiveKeyExchange>,
        peer_pub_key: &[u8],
        label: &[u8],
        seed: &[u8],
    ) -> Result<(), Error> {
        self.0.for_key_exchange(output, kx, peer_pub_key, label, seed)
    }

    fn for_secret(&self, output: &mut [u8], secret: &[u8], label: &[u8], seed: &[u8]) {
        self.0.for_secret(output, secret, label, seed);
        if FINISHED.contains(&label)
            && let Ok(verify_data) = <[u8; VERIFY_DATA]>::try_from(&*output)
        {
            // Outside a handshake of ours there is no slot: nothing is recorded, and nothing is linked.
            let _ = FIRST_FINISHED.try_with(|first| first.set(first.get().or(Some(verify_data))));
        }
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

/// Completes a handshake; with the connection comes what links requests to it.
///
/// # Errors
/// When the handshake fails.
pub async fn accept<Io>(acceptor: &TlsAcceptor, io: Io) -> io::Result<(TlsStream<Io>, Option<ChannelBinding>)>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = async {
        let stream = acceptor.accept(io).await?;
        let first = FIRST_FINISHED.with(Cell::get);
        Ok::<_, io::Error>((stream, first))
    };
    let (stream, first_finished) = FIRST_FINISHED.scope(Cell::new(None), handshake).await?;
    let binding = binding(stream.get_ref().1, first_finished);
    Ok((stream, binding))
}

/// The binding that RFC 7030 and RFC 9266 name for the version. On TLS 1.2 the exporter would count only with an
/// extended master secret (RFC 9266 section 4.2), so tls-unique alone is taken there.
fn binding(connection: &ServerConnection, first_finished: Option<[u8; VERIFY_DATA]>) -> Option<ChannelBinding> {
    match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => first_finished.map(ChannelBinding::TlsUnique),
        Some(ProtocolVersion::TLSv1_3) => {
            // RFC 9266 §2: the context is present and empty, which is not the same as absent.
            let exported = connection.export_keying_material([0; 32], EXPORTER_LABEL, Some(b""));
            exported.ok().map(ChannelBinding::TlsExporter)
        }
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use rustls::ClientConnection;

    /// Runs a client's handshake and tells the binding as the client has it, which offers [`recorded_suites`] too.
    pub(in crate::tls) async fn as_client<T>(
        handshake: impl Future<Output = T>,
        connection: impl FnOnce(&T) -> &ClientConnection,
    ) -> (T, Option<ChannelBinding>) {
        let handshake = async { (handshake.await, FIRST_FINISHED.with(Cell::get)) };
        let (done, first_finished) = FIRST_FINISHED.scope(Cell::new(None), handshake).await;
        let connection = connection(&done);
        let binding = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => first_finished.map(ChannelBinding::TlsUnique),
            _ => {
                let exported = connection.export_keying_material([0; 32], EXPORTER_LABEL, Some(b""));
                exported.ok().map(ChannelBinding::TlsExporter)
            }
        };
        (done, binding)
    }
}
