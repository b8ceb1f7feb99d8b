//! What the operating system tells a server.

use tokio::signal::unix::{self, SignalKind};

use super::CliError;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// SIGHUP
    Reload,
    /// SIGTERM or SIGINT
    Stop,
}

/// The signals from now on; none is lost between two looks.
pub(super) struct Signals {
    hangup: unix::Signal,
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, CliError> {
        let listen = |kind| unix::signal(kind).map_err(|source| CliError::Setup { what: "signals", source });
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    pub(super) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.hangup.recv() => Request::Reload,
            _ = self.interrupt.recv() => Request::Stop,
            _ = self.terminate.recv() => Request::Stop,
        }
    }

    pub(super) async fn stop(&mut self) {
        while self.next().await != Request::Stop {}
    }
}
