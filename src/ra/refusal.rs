//! What comes instead of a certificate: a rejection (the client's doing) or a fault (ours).

use crate::ca::IssuanceFault;
use crate::est::{Rejection, RejectionCode};
use crate::pki::public_key::PublicKeyError;
use crate::pki::request::RequestError;
use crate::pki::signature::SignatureError;
use crate::pki::trust::TrustError;
use crate::store::StoreFault;

/// No answer of success.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// The client's doing.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Ours.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Our failure. Its text is for the log; a client sees one fixed sentence and the request id.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The CA.
    #[error(transparent)]
    Issuance(#[from] IssuanceFault),
}

/// What a client is told to wait after a fault that passes, in seconds.
const RETRY_AFTER_SECONDS: u32 = 30;

impl Fault {
    /// `Some` seconds when trying again later may help (503), `None` when it will not (500).
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Store(
                StoreFault::NotDurable(_) | StoreFault::Overloaded { .. } | StoreFault::Closed | StoreFault::Index(_),
            ) => Some(RETRY_AFTER_SECONDS),
            Self::Issuance(IssuanceFault::Entropy(_) | IssuanceFault::Signer(_)) => Some(RETRY_AFTER_SECONDS),
            Self::Store(StoreFault::Corrupt(_))
            | Self::Issuance(IssuanceFault::Certificate(_) | IssuanceFault::BadSignature(_)) => None,
        }
    }
}
