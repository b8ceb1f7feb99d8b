//! One TLS connection's peer, with the path to each set of anchors remembered.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::est::network::network;
use crate::est::{ChannelBinding, PresentedChain};
use crate::pki::trust::{AuthenticatedPeer, PathLimits, TrustAnchors, TrustError};
use crate::policy::Binding;

/// How many sets of anchors one connection remembers a path to; a client uses one or two labels.
const REMEMBERED_PATHS: usize = 4;

/// The peer of one connection. Only the path is remembered: time, revocation and standing are judged on every
/// enrollment, so a connection (or a resumed session) that lives long opens no hole.
pub struct PeerSession {
    presented: Option<PresentedChain>,
    binding: Option<ChannelBinding>,
    assumed: bool,
    server_name: Option<String>,
    cipher_strength: Option<u16>,
    source: String,
    paths: Mutex<Vec<FoundPath>>,
}

struct FoundPath {
    /// Held, so that the address cannot come to mean another set of anchors after a reload.
    anchors: Arc<TrustAnchors>,
    peer: AuthenticatedPeer,
}

impl PeerSession {
    /// `presented` is what the handshake proved; `source` is the peer's address, for the audit.
    pub fn new(presented: Option<PresentedChain>, source: String) -> Self {
        Self {
            presented,
            binding: None,
            assumed: false,
            server_name: None,
            cipher_strength: None,
            source,
            paths: Mutex::default(),
        }
    }

    /// A peer that is not there: an operator asks what would come of its chain. Whatever links a request to the connection
    /// it would come in is taken as right, and its cipher as the strongest there is.
    pub(super) fn assumed(chain: Option<PresentedChain>, source: String) -> Self {
        Self { assumed: true, cipher_strength: Some(u16::MAX), ..Self::new(chain, source) }
    }

    /// The same peer, on a connection that requests can be linked to.
    #[must_use]
    pub fn bound_to(self, binding: Option<ChannelBinding>) -> Self {
        Self { binding, ..self }
    }

    /// The same peer, which asked for a server by this name in the handshake (RFC 6066 section 3).
    #[must_use]
    pub fn asking_for(self, server_name: Option<String>) -> Self {
        Self { server_name: server_name.map(|name| name.to_ascii_lowercase()), ..self }
    }

    /// The name of the server that the handshake asked for, in lower case.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The same peer, on a connection whose cipher offers so many bits of security.
    #[must_use]
    pub fn behind_cipher(self, strength: Option<u16>) -> Self {
        Self { cipher_strength: strength, ..self }
    }

    /// Bits of security of the connection's cipher; `None` when they are not known, and then they are not relied upon.
    pub fn cipher_strength(&self) -> Option<u16> {
        self.cipher_strength
    }

    /// What links a request to this connection.
    pub fn binding(&self) -> Binding<'_> {
        if self.assumed { Binding::Assumed } else { self.binding.as_ref().into() }
    }

    /// What the peer presented.
    pub fn presented(&self) -> Option<&PresentedChain> {
        self.presented.as_ref()
    }

    /// The peer's address.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The peer's address as it is counted by; `None` when it is not known.
    pub(super) fn network(&self) -> Option<IpAddr> {
        self.source.parse().ok().map(|source: SocketAddr| network(source.ip()))
    }

    /// Whether the presented chain leads to one of `anchors`; `None` when nothing was presented.
    pub(super) fn authenticate(
        &self,
        anchors: &Arc<TrustAnchors>,
        limits: &PathLimits,
        now: DateTime<Utc>,
    ) -> Option<Result<AuthenticatedPeer, TrustError>> {
        let presented = self.presented.as_ref()?;
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = paths.iter().find(|known| Arc::ptr_eq(&known.anchors, anchors)) {
            return Some(Ok(known.peer.clone()));
        }
        // Only a path that was found is remembered: why none is may change, a certificate above may begin to be valid.
        let peer = match anchors.authenticate(presented, limits, now) {
            Ok(peer) => peer,
            Err(error) => return Some(Err(error)),
        };
        if paths.len() == REMEMBERED_PATHS {
            paths.remove(0);
        }
        paths.push(FoundPath { anchors: Arc::clone(anchors), peer: peer.clone() });
        Some(Ok(peer))
    }
}
