//! What the process asks of the system before it holds keys and connections.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Descriptors that are not connections: listeners, the store, logs.
const RESERVED: u64 = 64;

/// Keeps keys out of core dumps, and takes as many descriptors as the system allows. Returns how many connections fit, when
/// that is limited.
pub(super) fn prepare() -> Option<u64> {
    let no_dump = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
    if let Err(error) = no_dump {
        tracing::warn!(%error, "core dumps cannot be turned off: they would hold the keys");
    }
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() && limit.current.is_some() {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files cannot be raised");
        }
    }
    getrlimit(Resource::Nofile).current.map(|files| files.saturating_sub(RESERVED))
}

/// Says so when fewer connections fit than are allowed.
pub(super) fn warn_of_few_files(fitting: Option<u64>, max_connections: usize) {
    if let Some(fitting) = fitting
        && fitting < max_connections as u64
    {
        tracing::warn!(fitting, max_connections, "the limit of open files (ulimit -n) is below limits.max_connections");
    }
}
