//! The listeners of operators: a socket of this machine, and TLS.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;

use super::admission::Admissions;
use super::listener::{Listener, accept, stopped};
use super::{ServerError, Shared};
use crate::admin::{Caller, serve_admin_connection};
use crate::pki::digest::sha256;
use crate::tls;

/// Connections of operators at once, on each listener.
const MAX_CONNECTIONS: usize = 64;
/// Of them from one address: a stranger leaves room for others.
const MAX_CONNECTIONS_PER_ADDRESS: usize = 16;
/// Whoever may connect is an admin: the owner alone.
const MODE: u32 = 0o600;
const ROOT: u32 = 0;

/// The local socket; its file goes with it.
pub(super) struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl AdminSocket {
    /// Binds it, in the place of one that a server left behind which is gone.
    pub(super) fn bind(path: &Path) -> Result<Self, ServerError> {
        let failed = |source: io::Error| ServerError::Socket { path: path.to_owned(), source };
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is there")));
            }
            Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
                return Err(failed(io::ErrorKind::AddrInUse.into()));
            }
            Ok(_) | Err(_) => {}
        }
        // Made under another name, then shown under its own: it is never open to others.
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{}", std::process::id()));
        let draft = PathBuf::from(draft);
        let bound = || {
            let listener = StdListener::bind(&draft)?;
            fs::set_permissions(&draft, fs::Permissions::from_mode(MODE))?;
            fs::rename(&draft, path)?;
            listener.set_nonblocking(true)?;
            Ok((UnixListener::from_std(listener)?, fs::symlink_metadata(path)?.ino()))
        };
        let (listener, inode) = bound().map_err(failed)?;
        Ok(Self { listener, path: path.to_owned(), inode })
    }
}

impl Listener for AdminSocket {
    type Stream = UnixStream;
    type Peer = ();

    async fn accept(&self) -> io::Result<(UnixStream, ())> {
        self.listener.accept().await.map(|(stream, _)| (stream, ()))
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Another server may have taken the place.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Serves operators of this machine until told to stop.
pub(super) async fn serve_local(socket: AdminSocket, shared: Arc<Shared>, stopping: watch::Receiver<bool>) {
    let open = |stream: UnixStream, (), connections: usize| {
        let (shared, stopping) = (Arc::clone(&shared), stopping.clone());
        (connections < MAX_CONNECTIONS).then_some(async move { serve_local_operator(stream, &shared, stopping).await })
    };
    accept(socket, stopping.clone(), open, || shared.doors.load().drain).await;
}

async fn serve_local_operator(stream: UnixStream, shared: &Shared, stopping: watch::Receiver<bool>) {
    let uid = match stream.peer_cred() {
        Ok(credentials) => credentials.uid(),
        Err(error) => return tracing::warn!(%error, "the system does not say who connects"),
    };
    // The permissions of the socket say the same; this holds wherever its file is.
    let own = rustix::process::geteuid().as_raw();
    if uid != own && uid != ROOT {
        return tracing::warn!(uid, "a user of this machine who may not operate the server");
    }
    serve_admin_connection(stream, Caller::Local { uid }, "local".to_owned(), &shared.admin, stopped(stopping)).await;
}

/// Serves operators over TLS until told to stop.
pub(super) async fn serve_remote(listener: TcpListener, shared: Arc<Shared>, stopping: watch::Receiver<bool>) {
    let admissions = Admissions::default();
    let open = |stream: TcpStream, peer: SocketAddr, _: usize| {
        let (shared, stopping) = (Arc::clone(&shared), stopping.clone());
        let admission = admissions.admit(peer.ip(), MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS).ok()?;
        Some(async move {
            let _open = admission;
            serve_remote_operator(stream, peer, &shared, stopping).await;
        })
    };
    accept(listener, stopping.clone(), open, || shared.doors.load().drain).await;
}

async fn serve_remote_operator(stream: TcpStream, peer: SocketAddr, shared: &Shared, stopping: watch::Receiver<bool>) {
    let doors = shared.doors.load_full();
    let handshake = tokio::time::timeout(doors.limits.handshake_timeout, tls::accept(&doors.acceptor, stream));
    let stream = tokio::select! {
        shaken = handshake => match shaken {
            Ok(Ok((stream, _))) => stream,
            Ok(Err(error)) => return tracing::info!(%peer, %error, "an operator's TLS handshake failed"),
            Err(_) => return tracing::info!(%peer, "an operator's TLS handshake took too long"),
        },
        () = stopped(stopping.clone()) => return,
    };
    let certificate = tls::presented_chain(stream.get_ref().1).map(|chain| sha256(&[chain.leaf()]));
    serve_admin_connection(stream, Caller::Remote { certificate }, peer.to_string(), &shared.admin, stopped(stopping))
        .await;
}
