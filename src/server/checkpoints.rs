//! Signed checkpoints of the journal: made at start, at times while it grows, and at the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Shared, blocking};
use crate::admin::Checkpoints;
use crate::ca::{Signer as _, SignerError, SoftwareSigner};
use crate::config::{ProblemKind, secret};
use crate::durable_file;
use crate::pki::digest::{hex, sha256};
use crate::pki::pem;
use crate::pki::public_key::KeyType;
use crate::pki::signature::SignatureAlgorithm;
use crate::store::StoreFault;
use crate::store::journal::{Checkpoint, CheckpointLog};

/// Names of the files within the data folder.
const KEY: &str = "checkpoint.key";
const PUBLIC_KEY: &str = "checkpoint.pub";
const KEY_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;

/// How often it is looked whether the journal grew while nothing is in it: a new server is about to write its first record.
const WHILE_EMPTY: Duration = Duration::from_secs(1);

/// Why there is no checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointFault {
    /// A file of the key or of the checkpoints.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The key cannot be read.
    #[error(transparent)]
    Secret(#[from] ProblemKind),
    /// It is no key, or does not sign.
    #[error("{}: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: SignerError,
    },
    /// It is a key of another kind.
    #[error("{}: expected an Ed25519 key, found {found}", path.display())]
    KeyType {
        /// The file.
        path: PathBuf,
        /// The algorithm it signs with.
        found: String,
    },
    /// The journal cannot be looked at.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Signs checkpoints of one data folder.
pub(super) struct Notary {
    key: SoftwareSigner,
    key_path: PathBuf,
    log: CheckpointLog,
    /// How often it is looked whether the journal grew.
    interval: Duration,
}

impl Notary {
    /// With the key of the folder, which is made when there is none.
    pub(super) fn of(directory: &Path, interval: Duration) -> Result<Self, CheckpointFault> {
        let key_path = directory.join(KEY);
        let refused = |source| CheckpointFault::Key { path: key_path.clone(), source };
        let replace = |path: &Path, mode, content: &str| {
            let written = durable_file::replace(path, mode, content.as_bytes());
            written.map_err(|source| CheckpointFault::File { path: path.to_owned(), source })
        };
        let key = if key_path.exists() {
            SoftwareSigner::from_pem(&secret(&key_path)?).map_err(refused)?
        } else {
            let (key, pem) = SoftwareSigner::generate(KeyType::Ed25519).map_err(refused)?;
            replace(&key_path, KEY_MODE, &pem)?;
            key
        };
        let algorithm = key.algorithm();
        if algorithm != SignatureAlgorithm::Ed25519 {
            return Err(CheckpointFault::KeyType { path: key_path, found: format!("{algorithm:?}") });
        }
        let (public, pem) = (directory.join(PUBLIC_KEY), pem::public_key(key.public_key().der()));
        if fs::read(&public).ok().as_deref() != Some(pem.as_bytes()) {
            // It is made of the key, so nothing is lost with what was there.
            replace(&public, PUBLIC_MODE, &pem)?;
        }
        Ok(Self { key, key_path, log: CheckpointLog::of(directory), interval })
    }

    /// What tells this server from others: the first digits of the key's hash.
    pub(super) fn instance(&self) -> String {
        hex(&self.key_hash()[..8])
    }

    fn key_hash(&self) -> [u8; 32] {
        sha256(&[self.key.public_key().der()])
    }

    /// What operators see of it.
    pub(super) fn shown(&self) -> Checkpoints {
        Checkpoints { log: self.log.clone(), public_key: pem::public_key(self.key.public_key().der()) }
    }

    /// Notes how far the journal has come, unless the last checkpoint says so already; whether there is anything in it.
    fn note(&self, shared: &Shared) -> Result<bool, CheckpointFault> {
        let at_log = |source| CheckpointFault::File { path: self.log.path().to_owned(), source };
        let head = shared.store.head();
        if head.sequence == 0 {
            return Ok(false);
        }
        let known = self.log.last(1).map_err(at_log)?;
        let known = known.first().is_some_and(|last| {
            (last.checkpoint.sequence, last.checkpoint.hash, last.key) == (head.sequence, head.hash, self.key_hash())
        });
        if known {
            return Ok(true);
        }
        let checkpoint = Checkpoint::of(&head, shared.ports.clock.now());
        let signed = checkpoint.signed(self.key.public_key(), |statement| self.key.sign(statement));
        let signed = signed.map_err(|source| CheckpointFault::Key { path: self.key_path.clone(), source })?;
        self.log.append(&signed).map_err(at_log)?;
        // In the log it leaves the machine with whatever takes the log away.
        tracing::info!(checkpoint = %signed, "checkpoint of the journal");
        Ok(true)
    }
}

/// Makes checkpoints for as long as the server runs.
pub(super) async fn note_at_times(shared: Arc<Shared>) {
    loop {
        let interval = shared.notary.interval;
        let pause = if note(&shared).await { interval } else { WHILE_EMPTY.min(interval) };
        tokio::time::sleep(pause).await;
    }
}

/// Makes a checkpoint; what keeps it from being made is told, and tried again later. `false` while there is nothing to note.
pub(super) async fn note(shared: &Arc<Shared>) -> bool {
    let noting = Arc::clone(shared);
    match blocking(move || noting.notary.note(&noting)).await {
        Ok(Ok(noted)) => return noted,
        Ok(Err(error)) => tracing::error!(%error, "no checkpoint of the journal was made"),
        Err(error) => tracing::error!(%error, "no checkpoint of the journal was made"),
    }
    true
}
