//! Why a command did not do what it was asked.

use std::io;
use std::path::{Path, PathBuf};

use super::operate::OperateError;
use crate::access::Denied;
use crate::backup::BackupError;
use crate::ca::ceremony::CeremonyError;
use crate::ca::{AuthorityError, RolloverError, SignerError};
use crate::clock::EntropyFailure;
use crate::config::Problems;
use crate::pki::certificate::CertificateError;
use crate::ra::RevocationError;
use crate::server::ServerError;
use crate::store::StoreFault;
use crate::store::journal::{CheckpointError, JournalError};
use crate::store::rollover_census::CensusError;
use crate::store::sled::OpenError;
use crate::va::StatusFault;
use estd_asn1::DecodeError;

/// Why a command failed; the exit code is 1 for all of them.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration does not check.
    #[error(transparent)]
    Config(#[from] Problems),
    /// The server does not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The command may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A running server did not do what it was asked.
    #[error(transparent)]
    Operate(#[from] OperateError),
    /// The demo's server does not start.
    #[error("{source}; another address can be named with --listen")]
    DemoAddress {
        /// Why.
        source: ServerError,
    },
    /// A file or folder.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A folder that would be overwritten.
    #[error("{} is not empty and holds no configuration of estd; name another folder", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that is set up already.
    #[error("{} exists already; nothing was changed", path.display())]
    Exists {
        /// Its configuration file.
        path: PathBuf,
    },
    /// The store is in use.
    #[error("{} is in use: stop the server that serves it first, then try again", folder.display())]
    StoreInUse {
        /// The data folder.
        folder: PathBuf,
    },
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The journal cannot be read, or is damaged.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// No public key.
    #[error("{}: expected a public key (PEM): {error}", path.display())]
    PublicKey {
        /// The file.
        path: PathBuf,
        /// What the decoder met.
        error: String,
    },
    /// A line that is no checkpoint of this server.
    #[error("{}, line {line}: {source}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Its place, from 1.
        line: usize,
        /// Why.
        source: CheckpointError,
    },
    /// A file that proves nothing.
    #[error("{} holds no checkpoint", path.display())]
    NoCheckpoint {
        /// The file.
        path: PathBuf,
    },
    /// A backup is not made, or not what it should be.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The store failed.
    #[error(transparent)]
    StoreFault(#[from] StoreFault),
    /// A list was not made.
    #[error(transparent)]
    Status(#[from] StatusFault),
    /// A certificate was not revoked or released.
    #[error(transparent)]
    Revocation(#[from] RevocationError),
    /// A name on the command line that means nothing.
    #[error("{what} {given:?}: expected {expected}")]
    Argument {
        /// The argument.
        what: &'static str,
        /// As given.
        given: String,
        /// What would do.
        expected: String,
    },
    /// No such certificate.
    #[error("{authority} has issued no certificate with serial number {serial}")]
    UnknownCertificate {
        /// The authority.
        authority: String,
        /// The serial number.
        serial: String,
    },
    /// Keys and certificates cannot be made.
    #[error("cannot make a key: {0}")]
    Signer(#[from] SignerError),
    /// A certificate cannot be made.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// A certificate cannot be composed.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Certificate, chain and key do not make an authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// One authority does not take the place of another.
    #[error(transparent)]
    Rollover(#[from] RolloverError),
    /// The devices were not counted.
    #[error(transparent)]
    Census(#[from] CensusError),
    /// A name or certificate does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyFailure),
    /// The demo's device was not enrolled.
    #[error("the device was not enrolled: {0}")]
    Enrollment(#[from] super::EnrollmentError),
    /// Standard output.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// The asynchronous runtime, signals, or the log.
    #[error("cannot set up {what}: {source}")]
    Setup {
        /// Which.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A second signal while stopping.
    #[error("stopped at once: requests in flight were cut off")]
    Interrupted,
}

impl CliError {
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_owned(), source }
    }

    /// The store's own error, told so that an operator knows what to do.
    pub(super) fn opening(error: OpenError, folder: &Path) -> Self {
        match error {
            OpenError::Journal(JournalError::Locked { .. }) => Self::StoreInUse { folder: folder.to_owned() },
            other @ (OpenError::Journal(_) | OpenError::Index(_)) => Self::Store(other),
        }
    }
}
