//! The vocabulary of EST (RFC 7030): operations, labels, identities, messages, transfer encoding, refusals.

pub mod authorization;
pub mod identity;
pub mod label;
pub mod leniency;
pub mod message;
pub mod network;
pub mod operation;
pub mod printable;
pub mod rejection;
pub mod renewal_info;
pub mod trace;
pub mod transfer;
pub mod wire;

pub use authorization::{DigestAlgorithm, DigestCredential, PresentedCredential};
pub use identity::{ChannelBinding, PresentedChain};
pub use label::{Label, TenantHosts};
pub use leniency::{Leniency, Tolerance};
pub use message::{DeliveredKey, EstRequest, EstResponse, ResponseBody};
pub use operation::{EstTarget, Operation};
pub use rejection::{Rejection, RejectionCode};
pub use renewal_info::{RenewalIdentifier, RenewalIdentifierError, RenewalInfo};
pub use trace::{Rule, Trace};
pub use wire::{CsrAttrsForm, WireRules, WireShape};
