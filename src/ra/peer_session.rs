//! One TLS connection's peer, with the outcome of path validation remembered for each set of anchors.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::est::{ChannelBinding, PresentedChain};
use crate::pki::trust::{AuthenticatedPeer, PathLimits, TrustAnchors, TrustError};

/// How many sets of anchors one connection remembers an outcome for; a client uses one or two labels.
const REMEMBERED_OUTCOMES: usize = 4;

/// The peer of one connection. Only the path is remembered: time, revocation and standing are judged on every
/// enrollment, so a connection (or a resumed session) that lives long opens no hole.
pub struct PeerSession {
    presented: Option<PresentedChain>,
    binding: Option<ChannelBinding>,
    source: String,
    outcomes: Mutex<Vec<PathOutcome>>,
}

struct PathOutcome {
    /// Held, so that the address cannot come to mean another set of anchors after a reload.
    anchors: Arc<TrustAnchors>,
    outcome: Result<AuthenticatedPeer, TrustError>,
}

impl PeerSession {
    /// `presented` is what the handshake proved; `source` is the peer's address, for the audit.
    pub fn new(presented: Option<PresentedChain>, source: String) -> Self {
        Self { presented, binding: None, source, outcomes: Mutex::default() }
    }

    /// The same peer, on a connection that requests can be linked to.
    #[must_use]
    pub fn bound_to(self, binding: Option<ChannelBinding>) -> Self {
        Self { binding, ..self }
    }

    /// What links a request to this connection; `None` when nothing can, and then nothing does.
    pub fn binding(&self) -> Option<&ChannelBinding> {
        self.binding.as_ref()
    }

    /// What the peer presented.
    pub fn presented(&self) -> Option<&PresentedChain> {
        self.presented.as_ref()
    }

    /// The peer's address.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the presented chain leads to one of `anchors`; `None` when nothing was presented.
    pub(super) fn authenticate(
        &self,
        anchors: &Arc<TrustAnchors>,
        limits: &PathLimits,
        now: DateTime<Utc>,
    ) -> Option<Result<AuthenticatedPeer, TrustError>> {
        let presented = self.presented.as_ref()?;
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = outcomes.iter().find(|known| Arc::ptr_eq(&known.anchors, anchors)) {
            return Some(known.outcome.clone());
        }
        let outcome = anchors.authenticate(presented, limits, now);
        if outcomes.len() == REMEMBERED_OUTCOMES {
            outcomes.remove(0);
        }
        outcomes.push(PathOutcome { anchors: Arc::clone(anchors), outcome: outcome.clone() });
        Some(outcome)
    }
}
