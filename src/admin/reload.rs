//! Reloads that operators ask for, handed to whoever knows where the configuration is.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::problem::Problem;

/// Reloads that wait while one is under way.
const WAITING: usize = 4;

/// What a reload came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reloaded {
    /// The new configuration is in effect.
    Done {
        /// Keys that differ and take a restart.
        restart: Vec<&'static str>,
        /// What an operator should look at.
        warnings: Vec<String>,
    },
    /// It does not check, or does not work out; everything is as it was.
    Refused {
        /// Every reason.
        problems: Vec<String>,
    },
}

/// A reload that an operator asks for, and waits for.
#[derive(Debug)]
pub struct ReloadRequest(oneshot::Sender<Reloaded>);

impl ReloadRequest {
    /// Tells what it came to.
    pub fn answer(self, outcome: Reloaded) {
        // Whoever asked may have left.
        let _ = self.0.send(outcome);
    }
}

/// The way to who reloads.
#[derive(Debug, Default)]
pub(super) struct Reloads(Mutex<Option<mpsc::Sender<ReloadRequest>>>);

impl Reloads {
    /// Gives them to a new taker.
    pub(super) fn take_up(&self) -> mpsc::Receiver<ReloadRequest> {
        let (sender, receiver) = mpsc::channel(WAITING);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// Asks for one, and waits until it is done.
    pub(super) async fn ask(&self) -> Result<Reloaded, Problem> {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sender = sender.ok_or_else(Problem::unavailable)?;
        let (request, outcome) = oneshot::channel();
        sender.try_send(ReloadRequest(request)).map_err(|_| Problem::unavailable())?;
        outcome.await.map_err(|_| Problem::unavailable())
    }
}
