//! What comes instead of a certificate: a rejection (the client's doing) or a fault (ours).

use super::authorization::AuthorizationFault;
use crate::ca::{AppointmentFault, IssuanceFault, KeyGenerationFault, SealFault};
use crate::est::trace::Refusing;
use crate::est::{Rejection, RejectionCode};
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

impl Refusing for Refusal {
    fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Rejected(rejection) => Some(rejection),
            Self::Fault(_) => None,
        }
    }
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
    /// A key was not made, or not sealed.
    #[error(transparent)]
    KeyGeneration(#[from] KeyGenerationFault),
    /// The CMC responder.
    #[error(transparent)]
    Response(#[from] AppointmentFault),
    /// Whoever has a say did not answer.
    #[error(transparent)]
    Authorization(#[from] AuthorizationFault),
    /// Too much to do.
    #[error("{verifying} credentials are being verified, the limit")]
    Overloaded {
        /// The limit.
        verifying: usize,
    },
    /// The work was given up, by a fault of the program or at its end.
    #[error("the work was abandoned")]
    Abandoned,
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
            Self::Issuance(IssuanceFault::Entropy(_) | IssuanceFault::Signer(_))
            | Self::KeyGeneration(
                KeyGenerationFault::Generation(_)
                | KeyGenerationFault::Signature(AppointmentFault::Entropy(_) | AppointmentFault::Signer(_))
                | KeyGenerationFault::Seal(SealFault::Entropy(_) | SealFault::Backend),
            )
            | Self::Response(AppointmentFault::Entropy(_) | AppointmentFault::Signer(_))
            | Self::Authorization(
                AuthorizationFault::Unanswered { .. }
                | AuthorizationFault::Busy { .. }
                | AuthorizationFault::InQuestion,
            )
            | Self::Overloaded { .. } => Some(RETRY_AFTER_SECONDS),
            Self::Store(StoreFault::Corrupt(_))
            | Self::Issuance(
                IssuanceFault::Certificate(_)
                | IssuanceFault::PathLength { .. }
                | IssuanceFault::BadSignature(_)
                | IssuanceFault::Outline(_),
            )
            | Self::KeyGeneration(
                KeyGenerationFault::Signature(AppointmentFault::Certificate(_))
                | KeyGenerationFault::Seal(SealFault::KeyType { .. }),
            )
            | Self::Response(AppointmentFault::Certificate(_))
            | Self::Abandoned => None,
        }
    }
}

/// A request that its own checks refuse.
pub(super) fn request_rejection(error: RequestError) -> Rejection {
    let reason = error.to_string();
    let (code, clause) = match &error {
        RequestError::Syntax(_) => (RejectionCode::BadRequestSyntax, "RFC 2986 4"),
        RequestError::Name(_) => (RejectionCode::BadName, "RFC 5280 4.2.1.6"),
        RequestError::Key(error) if error.is_weak() => (RejectionCode::WeakKey, "RFC 5280 4.1.2.7"),
        RequestError::Key(_) => (RejectionCode::KeyNotAllowed, "RFC 5280 4.1.2.7"),
        // RFC 7030 §3.4: the request is signed with the private key whose possession it proves.
        RequestError::Algorithm(SignatureError::Invalid | SignatureError::KeyMismatch { .. })
        | RequestError::Possession => (RejectionCode::PossessionInvalid, "RFC 7030 3.4"),
        RequestError::Algorithm(
            SignatureError::WeakDigest { .. } | SignatureError::Unsupported { .. } | SignatureError::Parameters { .. },
        ) => (RejectionCode::SignatureAlgorithm, "RFC 7030 3.4"),
    };
    Rejection::new(code, clause, reason)
}

/// A peer that its certificate does not let in.
pub(super) fn trust_rejection(error: &TrustError) -> Rejection {
    let code = match error {
        TrustError::NotYetValid { .. } | TrustError::Expired { .. } => RejectionCode::NotInValidity,
        TrustError::CaAsLeaf | TrustError::KeyCertSignLeaf | TrustError::KeyUsage | TrustError::ExtKeyUsage { .. } => {
            RejectionCode::CertificateUsage
        }
        TrustError::Malformed { .. }
        | TrustError::ChainTooLong { .. }
        | TrustError::UnknownIssuer { .. }
        | TrustError::WeakKey { .. }
        | TrustError::WeakSignature { .. }
        | TrustError::BadSignature
        | TrustError::NotCa
        | TrustError::Below
        | TrustError::PathLength
        | TrustError::NameConstraints
        | TrustError::CriticalExtension
        | TrustError::TooComplex
        | TrustError::Unsupported => RejectionCode::Untrusted,
    };
    Rejection::new(code, "RFC 7030 3.3.2", error.to_string())
}
