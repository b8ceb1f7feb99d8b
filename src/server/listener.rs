//! The listeners: they accept while there is room, hand each connection to its edge, and drain when told to stop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::Shared;
use super::admission::Full;
use super::composition::Doors;
use crate::http::{self, PublicEdge, StatusEdge};
use crate::ra::PeerSession;
use crate::tls;

/// How long to wait after an error that hits the listener, not a connection: too many open files, no memory.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);
/// New connections are refused when the runtime is behind by such a part of `target_latency`.
const LAG_SHARE: u32 = 4;
/// Connections to the status listener at once.
const MAX_STATUS_CONNECTIONS: usize = 64;

/// Serves devices until told to stop.
pub(super) async fn serve_devices(listener: TcpListener, shared: Arc<Shared>, stopping: watch::Receiver<bool>) {
    let open = |stream: TcpStream, peer: SocketAddr, _: usize| {
        let doors = shared.doors.load_full();
        let limits = doors.limits;
        // A handshake costs more than what it is refused for; those who are connected come first.
        if !limits.target_latency.is_zero() && shared.pressure.lag() > limits.target_latency / LAG_SHARE {
            shared.metrics.connection_refused();
            tracing::debug!(%peer, "the runtime is behind");
            return None;
        }
        let admission = shared
            .admissions
            .admit(peer.ip(), limits.max_connections, limits.max_connections_per_address)
            .inspect_err(|full| {
                shared.metrics.connection_refused();
                match full {
                    Full::Server => tracing::warn!(%peer, limit = limits.max_connections, "too many connections"),
                    Full::Address => {
                        tracing::debug!(%peer, limit = limits.max_connections_per_address, "too many from one address");
                    }
                }
            })
            .ok()?;
        let (shared, stopping) = (Arc::clone(&shared), stopping.clone());
        Some(async move {
            let _open = (admission, shared.metrics.connection_opened());
            serve_device(stream, peer, doors, &shared, stopping).await;
        })
    };
    accept(listener, stopping.clone(), open, || shared.doors.load().drain).await;
}

/// Serves the status pages until told to stop.
pub(super) async fn serve_status(
    listener: TcpListener,
    edge: Arc<StatusEdge>,
    shared: Arc<Shared>,
    stopping: watch::Receiver<bool>,
) {
    let open = |stream: TcpStream, _: SocketAddr, connections: usize| {
        let (edge, stopping) = (Arc::clone(&edge), stopping.clone());
        (connections < MAX_STATUS_CONNECTIONS)
            .then_some(async move { http::serve_status_connection(stream, edge, stopped(stopping)).await })
    };
    accept(listener, stopping.clone(), open, || shared.doors.load().drain).await;
}

/// Serves what is public until told to stop.
pub(super) async fn serve_public(
    listener: TcpListener,
    edge: Arc<PublicEdge>,
    shared: Arc<Shared>,
    stopping: watch::Receiver<bool>,
) {
    let open = |stream: TcpStream, peer: SocketAddr, _: usize| {
        let limits = shared.doors.load().limits;
        let (most, most_per_address) = (limits.public_max_connections, limits.public_max_connections_per_address);
        let admission = shared.public_admissions.admit(peer.ip(), most, most_per_address);
        let admission = admission.inspect_err(|_| shared.metrics.connection_refused()).ok()?;
        let (edge, stopping) = (Arc::clone(&edge), stopping.clone());
        Some(async move {
            let _open = admission;
            http::serve_public_connection(stream, edge, stopped(stopping)).await;
        })
    };
    accept(listener, stopping.clone(), open, || shared.doors.load().drain).await;
}

/// Where connections come from.
pub(super) trait Listener {
    type Stream;
    type Peer;

    /// The next connection.
    async fn accept(&self) -> io::Result<(Self::Stream, Self::Peer)>;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Peer = SocketAddr;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        Self::accept(self).await
    }
}

/// Accepts and serves; what `open` makes no task of is closed at once. `open` gets the number of open connections.
pub(super) async fn accept<L, Connection>(
    listener: L,
    stopping: watch::Receiver<bool>,
    open: impl Fn(L::Stream, L::Peer, usize) -> Option<Connection>,
    drain: impl FnOnce() -> Duration,
) where
    L: Listener,
    Connection: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stopped(stopping));
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(ended) = connections.join_next() => note(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    if let Some(connection) = open(stream, peer, connections.len()) {
                        connections.spawn(connection);
                    }
                }
                Err(error) => pause_after(&error).await,
            },
        }
    }
    drop(listener);
    let finish = async {
        while let Some(ended) = connections.join_next().await {
            note(ended);
        }
    };
    if tokio::time::timeout(drain(), finish).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections cut off: they did not finish within drain");
    }
    connections.shutdown().await;
}

/// TLS handshake, then HTTP.
async fn serve_device(
    stream: TcpStream,
    peer: SocketAddr,
    doors: Arc<Doors>,
    shared: &Shared,
    stopping: watch::Receiver<bool>,
) {
    // An answer is one small write: waiting for more of it would cost a delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY");
    }
    let handshake = tokio::time::timeout(doors.limits.handshake_timeout, tls::accept(&doors.acceptor, stream));
    let (stream, binding) = tokio::select! {
        shaken = handshake => match shaken {
            Ok(Ok(accepted)) => accepted,
            Ok(Err(error)) => {
                shared.metrics.handshake_failed();
                return tracing::debug!(%peer, %error, "TLS handshake failed");
            }
            Err(_) => {
                shared.metrics.handshake_failed();
                return tracing::debug!(%peer, "TLS handshake took too long");
            }
        },
        () = stopped(stopping.clone()) => return,
    };
    let (_, connection) = stream.get_ref();
    shared.metrics.handshake_done(tls::protocol(connection));
    let session = PeerSession::new(tls::presented_chain(connection), peer.to_string())
        .bound_to(binding)
        .asking_for(connection.server_name().map(str::to_owned))
        .behind_cipher(tls::cipher_strength(connection));
    http::serve_connection(stream, session, Arc::clone(&doors.edge), stopped(stopping)).await;
}

/// Resolves when the server stops, or is gone.
pub(super) async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone, and the server with it.
    drop(stopping.wait_for(|stopping| *stopping).await);
}

async fn pause_after(error: &io::Error) {
    // The peer hung up before we got to it: its business.
    if error.kind() == io::ErrorKind::ConnectionAborted {
        return;
    }
    tracing::error!(%error, "cannot accept connections");
    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended by a fault of ours");
    }
}
