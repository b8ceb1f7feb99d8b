//! The webhooks of a server: taken on, exchanged by a reload, looked at by operators.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::task::AbortHandle;

use super::client::{Client, ClientError};
use super::cursor::CursorFile;
use super::dispatcher::{Desk, Dispatcher, Progress};
use super::settings::Webhook;
use crate::clock::{Clock, Entropy};
use crate::http::Metrics;
use crate::store::{CertificateStore, Direction, Span, StoreFault};

/// The outside world, as webhooks see it.
#[derive(Clone)]
pub struct OutboxPorts {
    /// Where events come from.
    pub store: Arc<dyn CertificateStore>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What spreads retries.
    pub entropy: Arc<dyn Entropy>,
    /// Where deliveries are counted.
    pub metrics: Arc<Metrics>,
    /// The data folder, in which the cursors are.
    pub data_dir: PathBuf,
    /// What tells this server's events from those of others.
    pub instance: String,
}

/// Why a webhook cannot be taken on.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Its cursor.
    #[error("webhook {webhook}: {}: {source}", path.display())]
    Cursor {
        /// The webhook.
        webhook: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No TLS.
    #[error("webhook {webhook}: {source}")]
    Client {
        /// The webhook.
        webhook: String,
        /// Why not.
        source: ClientError,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// How a webhook is doing, for operators.
#[derive(Debug, Clone)]
pub struct WebhookState {
    /// As it is configured.
    pub webhook: Arc<Webhook>,
    /// The last record that is done with.
    pub cursor: u64,
    /// Attempts for the event that is under way, all of which failed.
    pub attempts: u32,
    /// Why the last attempt failed, until one succeeds.
    pub last_error: Option<String>,
    /// When the next attempt is made.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When an event was delivered last, since the server started.
    pub delivered_at: Option<DateTime<Utc>>,
}

/// All webhooks of one server.
pub struct Outbox {
    ports: OutboxPorts,
    members: Mutex<Vec<Member>>,
}

/// A webhook that is at work until it is dropped.
struct Member {
    webhook: Arc<Webhook>,
    desk: Arc<Desk>,
    task: AbortHandle,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Webhooks that were looked at and can be taken on.
pub struct Prepared(Vec<(Arc<Webhook>, Option<Gear>)>);

/// What a new webhook needs; one that stays at work has it.
struct Gear {
    client: Client,
    cursor: CursorFile,
    /// The last record that is done with.
    place: u64,
}

impl Outbox {
    /// Without webhooks.
    pub fn new(ports: OutboxPorts) -> Self {
        Self { ports, members: Mutex::default() }
    }

    /// Gets everything ready that webhooks need; those that are at work as they are stay at work. A new one begins with what
    /// happens next. It blocks.
    ///
    /// # Errors
    /// When one of them cannot be taken on.
    pub fn prepare(&self, webhooks: Vec<Webhook>) -> Result<Prepared, WebhookError> {
        let prepared = webhooks.into_iter().map(|webhook| {
            let webhook = Arc::new(webhook);
            if self.members().iter().any(|member| member.webhook == webhook) {
                return Ok((webhook, None));
            }
            let refused = |source| WebhookError::Client { webhook: webhook.name.clone(), source };
            let client = Client::new(webhook.receiver.clone()).map_err(refused)?;
            let cursor = CursorFile::of(&self.ports.data_dir, &webhook.name);
            let place = self.place(&webhook, &cursor)?;
            Ok((webhook, Some(Gear { client, cursor, place })))
        });
        prepared.collect::<Result<_, _>>().map(Prepared)
    }

    /// From where a webhook goes on.
    fn place(&self, webhook: &Webhook, cursor: &CursorFile) -> Result<u64, WebhookError> {
        let refused =
            |source| WebhookError::Cursor { webhook: webhook.name.clone(), path: cursor.path().to_owned(), source };
        let newest = self.ports.store.events(&Span::all(), Direction::Descending, 1)?;
        let newest = newest.first().map_or(0, |logged| logged.sequence);
        match cursor.read().map_err(refused)? {
            Some(place) if place <= newest => return Ok(place),
            Some(place) => {
                let webhook = webhook.name.as_str();
                tracing::warn!(webhook, place, newest, "the journal was set back: the webhook goes on at its end");
            }
            None => {}
        }
        cursor.write(newest).map_err(refused)?;
        Ok(newest)
    }

    /// Takes on what was prepared, in the place of those there were.
    pub fn take_on(&self, prepared: Prepared) {
        let mut members = self.members();
        let mut before = std::mem::take(&mut *members);
        for (webhook, gear) in prepared.0 {
            let Some(Gear { client, cursor, place }) = gear else {
                let at = before.iter().position(|member| member.webhook == webhook);
                members.extend(at.map(|at| before.swap_remove(at)));
                continue;
            };
            // Whatever the old one has under way is cut off, and done again by the new one.
            before.retain(|member| member.webhook.name != webhook.name);
            let desk = Arc::new(Desk::at(place));
            let dispatcher = Dispatcher {
                webhook: Arc::clone(&webhook),
                ports: self.ports.clone(),
                cursor,
                client,
                desk: Arc::clone(&desk),
            };
            let task = tokio::spawn(dispatcher.run()).abort_handle();
            members.push(Member { webhook, desk, task });
        }
    }

    /// Ends all deliveries; they go on with the next start.
    pub fn stop(&self) {
        self.members().clear();
    }

    /// How each is doing, in the order of the configuration.
    pub fn states(&self) -> Vec<WebhookState> {
        let state = |member: &Member| {
            let Progress { cursor, attempts, last_error, next_attempt_at, delivered_at } = member.desk.progress();
            let webhook = Arc::clone(&member.webhook);
            WebhookState { webhook, cursor, attempts, last_error, next_attempt_at, delivered_at }
        };
        self.members().iter().map(state).collect()
    }

    /// Whether there is a webhook of this name.
    pub fn has(&self, name: &str) -> bool {
        self.members().iter().any(|member| member.webhook.name == name)
    }

    /// Has a webhook look at the dead letters that were asked for.
    pub fn wake(&self, name: &str) {
        for member in self.members().iter().filter(|member| member.webhook.name == name) {
            member.desk.wake();
        }
    }

    fn members(&self) -> MutexGuard<'_, Vec<Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
