//! The delivery of one webhook: event after event, each until it is received or given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use super::client::{AttemptFailure, Client};
use super::cursor::CursorFile;
use super::event_type::OWN_OPERATION;
use super::message::Message;
use super::outbox::OutboxPorts;
use super::settings::Webhook;
use crate::audit::{Alarm, AuditEvent, AuditOutcome};
use crate::store::dead_letter::DeadLetter;
use crate::store::{Direction, Fact, LoggedEvent, Receipt, Span, StoreFault};

/// How often it is looked whether something happened.
const TICK: Duration = Duration::from_millis(250);
/// How long is waited after the store or a file failed.
const PAUSE_AFTER_FAULT: Duration = Duration::from_secs(5);
/// Events read at once; so many wait in memory at most.
const BATCH: usize = 64;

/// How a webhook is doing.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// The last record that is done with.
    pub(super) cursor: u64,
    /// Attempts for the event that is under way, all of which failed.
    pub(super) attempts: u32,
    /// Why the last attempt failed, until one succeeds.
    pub(super) last_error: Option<String>,
    /// When the next attempt is made.
    pub(super) next_attempt_at: Option<DateTime<Utc>>,
    /// When an event was delivered last.
    pub(super) delivered_at: Option<DateTime<Utc>>,
}

/// What a dispatcher and those who look at it share.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) progress: std::sync::Mutex<Progress>,
    /// An operator asked for dead letters to be tried again.
    asked: AtomicBool,
    woken: Notify,
}

impl Desk {
    /// Begins after a record.
    pub(super) fn at(cursor: u64) -> Self {
        let progress = Progress { cursor, ..Progress::default() };
        // What was asked for before the server started is looked after as well.
        Self { progress: progress.into(), asked: AtomicBool::new(true), woken: Notify::new() }
    }

    /// Has the dead letters looked at that are to be tried again.
    pub(super) fn wake(&self) {
        self.asked.store(true, Ordering::Release);
        self.woken.notify_one();
    }

    pub(super) fn progress(&self) -> Progress {
        self.with(|progress| progress.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Progress) -> T) -> T {
        look(&mut self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// What keeps events from being looked at, until it passes.
#[derive(Debug, thiserror::Error)]
enum Hindrance {
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error("an event has no form as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the work was abandoned: {0}")]
    Abandoned(#[from] tokio::task::JoinError),
}

/// Delivers the events of one webhook. It may be cut off anywhere: what was not noted as done is done again.
pub(super) struct Dispatcher {
    pub(super) webhook: Arc<Webhook>,
    pub(super) ports: OutboxPorts,
    pub(super) cursor: CursorFile,
    pub(super) client: Client,
    pub(super) desk: Arc<Desk>,
}

impl Dispatcher {
    /// For as long as the server runs.
    pub(super) async fn run(mut self) {
        self.ports.metrics.expect_webhook(&self.webhook.name);
        loop {
            let pause = match self.round().await {
                Ok(true) => continue,
                Ok(false) => TICK,
                Err(hindrance) => {
                    tracing::error!(webhook = self.webhook.name, %hindrance, "events are not delivered for now");
                    PAUSE_AFTER_FAULT
                }
            };
            drop(tokio::time::timeout(pause, self.desk.woken.notified()).await);
        }
    }

    /// Looks for events and delivers them; whether there were any.
    async fn round(&mut self) -> Result<bool, Hindrance> {
        if self.desk.asked.swap(false, Ordering::AcqRel)
            && let Err(hindrance) = self.redeliver().await
        {
            self.desk.asked.store(true, Ordering::Release);
            return Err(hindrance);
        }
        let (start, store) = (self.desk.progress().cursor, Arc::clone(&self.ports.store));
        let span = Span::beyond(start, Direction::Ascending);
        let events = blocking(move || store.events(&span, Direction::Ascending, BATCH)).await??;
        if events.is_empty() {
            self.client.rest();
            self.ports.metrics.webhook_behind(&self.webhook.name, 0);
            return Ok(false);
        }
        let mut noted = start;
        for logged in &events {
            if let Some(kind) = self.webhook.wants(logged) {
                let message = Message::of(&self.ports.instance, kind, logged)?;
                self.deliver(&message, logged.sequence).await?;
                if self.note(logged.sequence).await? {
                    noted = logged.sequence;
                }
            }
            self.desk.with(|progress| progress.cursor = logged.sequence);
        }
        // Events that are not for this webhook are passed over once.
        let last = self.desk.progress().cursor;
        if noted < last {
            self.note(last).await?;
        }
        Ok(true)
    }

    /// Sends a message until it is received, or there were attempts enough.
    async fn deliver(&mut self, message: &Message, sequence: u64) -> Result<(), Hindrance> {
        let mut attempts = 0;
        loop {
            let failure = match self.attempt(message).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            attempts += 1;
            let mut random = [0; 4];
            // Without randomness a pause is a little longer or shorter than it would be, which must not begin all anew.
            if self.ports.entropy.fill(&mut random).is_err() {
                random = [0; 4];
            }
            let pause = self.webhook.retry.pause_after(attempts, u32::from_be_bytes(random));
            tracing::warn!(webhook = self.webhook.name, sequence, attempts, %failure, "an event was not delivered");
            let Some(pause) = pause else { return self.give_up(sequence, attempts, &failure).await };
            let next = chrono::TimeDelta::from_std(pause).ok().map(|pause| self.ports.clock.now() + pause);
            self.desk.with(|progress| (progress.attempts, progress.next_attempt_at) = (attempts, next));
            self.measure(sequence).await;
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&mut self, message: &Message) -> Result<(), AttemptFailure> {
        let outcome = self.client.post(message, self.ports.clock.now().timestamp()).await;
        let now = self.ports.clock.now();
        self.ports.metrics.webhook_attempt(&self.webhook.name, if outcome.is_ok() { "delivered" } else { "failed" });
        self.desk.with(|progress| match &outcome {
            Ok(()) => {
                *progress = Progress { cursor: progress.cursor, delivered_at: Some(now), ..Progress::default() };
            }
            Err(failure) => progress.last_error = Some(failure.to_string()),
        });
        outcome
    }

    /// Keeps an event as a dead letter, with an alarm: the next one is taken up, so one of them holds no other back for ever.
    async fn give_up(&mut self, sequence: u64, attempts: u32, failure: &AttemptFailure) -> Result<(), Hindrance> {
        let error = failure.to_string();
        let reason =
            format!("webhook {}: event {sequence} given up after {attempts} attempts: {error}", self.webhook.name);
        let letter = DeadLetter { sequence, at: self.ports.clock.now(), attempts, error, requested: false };
        let (name, store) = (self.webhook.name.clone(), Arc::clone(&self.ports.store));
        let event = self.event(AuditOutcome::Alarm { alarm: Alarm::DeadLetter, reason });
        let recorded = blocking(move || {
            let _held = store.hold(&DeadLetter::prefix(&name));
            store.record_facts(letter.kept(store.as_ref(), &name)?, event)
        });
        recorded.await??.await?;
        self.ports.metrics.webhook_attempt(&self.webhook.name, "given-up");
        self.ports.metrics.alarm(Alarm::DeadLetter.as_str());
        self.desk.with(|progress| (progress.attempts, progress.next_attempt_at) = (0, None));
        Ok(())
    }

    /// Makes one attempt for each dead letter that an operator asked for.
    async fn redeliver(&mut self) -> Result<(), Hindrance> {
        let mut after = None;
        loop {
            let (name, store) = (self.webhook.name.clone(), Arc::clone(&self.ports.store));
            let letters = blocking(move || DeadLetter::list(store.as_ref(), &name, after, BATCH)).await??;
            let Some(last) = letters.last() else { return Ok(()) };
            after = Some(last.sequence);
            for letter in letters.into_iter().filter(|letter| letter.requested) {
                self.redeliver_one(letter).await?;
            }
        }
    }

    async fn redeliver_one(&mut self, letter: DeadLetter) -> Result<(), Hindrance> {
        let DeadLetter { sequence, attempts, .. } = letter;
        let store = Arc::clone(&self.ports.store);
        let span = Span { after: Some(sequence.saturating_sub(1)), before: sequence.checked_add(1) };
        let found = blocking(move || store.events(&span, Direction::Ascending, 1)).await??;
        let name = self.webhook.name.clone();
        let sent = match found.first() {
            // By what it was wanted as once: the webhook may have been configured otherwise since.
            Some(logged) => match super::EventType::of(&logged.event) {
                Some(kind) => Some(self.attempt(&Message::of(&self.ports.instance, kind, logged)?).await),
                None => None,
            },
            None => None,
        };
        let now = self.ports.clock.now();
        let (fact, what) = match sent {
            None => {
                let what = format!("webhook {name}: event {sequence} is no event for webhooks, and was not sent again");
                (DeadLetter::over(&name, sequence), what)
            }
            Some(Ok(())) => (DeadLetter::over(&name, sequence), format!("webhook {name}: event {sequence} delivered")),
            Some(Err(failure)) => {
                let error = failure.to_string();
                let what = format!("webhook {name}: event {sequence} not delivered again: {error}");
                let letter =
                    DeadLetter { at: now, attempts: attempts.saturating_add(1), error, requested: false, ..letter };
                (letter.to_fact(&name), what)
            }
        };
        let event = self.event(AuditOutcome::Changed { what });
        self.record(fact, event).await
    }

    async fn record(&self, fact: Fact, event: AuditEvent) -> Result<(), Hindrance> {
        let (name, store) = (self.webhook.name.clone(), Arc::clone(&self.ports.store));
        let recorded = blocking(move || {
            let _held = store.hold(&DeadLetter::prefix(&name));
            store.record_facts(vec![fact], event)
        });
        let receipt: Receipt = recorded.await??;
        Ok(receipt.await?)
    }

    /// Notes that all events up to a record are done with; whether that is durable. A disk that takes nothing stops no
    /// delivery: what is not noted comes again if the server is stopped before it could be.
    async fn note(&self, sequence: u64) -> Result<bool, Hindrance> {
        let cursor = self.cursor.clone();
        let written = blocking(move || cursor.write(sequence)).await?;
        if let Err(error) = &written {
            tracing::error!(webhook = self.webhook.name, sequence, %error, "the cursor of a webhook was not written");
        }
        Ok(written.is_ok())
    }

    /// Tells how many records the webhook is behind. Not to know it holds up nothing.
    async fn measure(&self, sequence: u64) {
        match newest(&self.ports).await {
            Ok(newest) => {
                self.ports.metrics.webhook_behind(&self.webhook.name, newest.saturating_sub(sequence) + 1);
            }
            Err(hindrance) => {
                tracing::warn!(webhook = self.webhook.name, %hindrance, "how far it is behind is not known");
            }
        }
    }

    fn event(&self, outcome: AuditOutcome) -> AuditEvent {
        AuditEvent::of_server(self.ports.clock.now(), OWN_OPERATION, outcome)
    }
}

async fn newest(ports: &OutboxPorts) -> Result<u64, Hindrance> {
    let store = Arc::clone(&ports.store);
    let newest = blocking(move || store.events(&Span::all(), Direction::Descending, 1)).await??;
    Ok(newest.first().map_or(0, |logged: &LoggedEvent| logged.sequence))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, tokio::task::JoinError> {
    tokio::task::spawn_blocking(work).await
}
