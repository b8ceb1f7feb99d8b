//! The authorization webhook of a label: a question to a receiver for each certificate, and its answer within a time limit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{AcquireError, Semaphore};
use tokio::time::Instant;

use super::client::{AttemptFailure, Client, ClientError};
use super::question;
use super::settings::AuthorizationWebhook;
use crate::clock::{Clock, Entropy, EntropyFailure};
use crate::http::Metrics;
use crate::pki::digest::hex;
use crate::ra::{Answer, AuthorizationFault, Authorizer, Question, Turn, TurnFuture};

/// How long a connection is kept for the next question.
const KEPT: Duration = Duration::from_secs(30);

/// Asks the receiver of one label.
pub struct WebhookAuthorizer {
    settings: AuthorizationWebhook,
    /// Tenant and label, for the metrics.
    place: (String, String),
    /// Those that follow it have its TLS configuration.
    first: Client,
    /// With a connection each, and since when nobody asks over it.
    resting: Mutex<Vec<(Client, Instant)>>,
    turns: Arc<Semaphore>,
    /// Of the turns those that may be had before a credential is verified: nobody who guesses at one has all of them.
    unproven: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    metrics: Arc<Metrics>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Attempt(#[from] AttemptFailure),
    #[error("no JSON that says \"allow\": true or false")]
    NoAnswer,
    #[error("the question has no form as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Entropy(#[from] EntropyFailure),
    #[error("nothing is asked outside a server")]
    NoRuntime,
}

impl WebhookAuthorizer {
    /// Of a label of a tenant. Reads the anchors of the operating system when none are named: it blocks.
    ///
    /// # Errors
    /// When TLS cannot be set up, or there are no anchors.
    pub fn new(
        settings: AuthorizationWebhook,
        (tenant, label): (&str, &str),
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ClientError> {
        metrics.expect_authorization(tenant, label);
        Ok(Self {
            first: Client::new(settings.receiver.clone())?,
            resting: Mutex::default(),
            turns: Arc::new(Semaphore::new(settings.max_concurrent)),
            unproven: Arc::new(Semaphore::new(unproven(settings.max_concurrent))),
            place: (tenant.to_owned(), label.to_owned()),
            settings,
            clock,
            entropy,
            metrics,
        })
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Answer, Failure> {
        let mut random = [0; 16];
        self.entropy.fill(&mut random)?;
        let message = question::message(format!("ask_{}", hex(&random)), question)?;
        let mut client = self.rested().unwrap_or_else(|| self.first.another());
        let body = client.ask(&message, self.clock.now().timestamp()).await?;
        self.resting().push((client, Instant::now()));
        question::answer(&body).ok_or(Failure::NoAnswer)
    }

    /// The one that rested least; those that rested too long are let go.
    fn rested(&self) -> Option<Client> {
        let mut resting = self.resting();
        resting.retain(|(_, since)| since.elapsed() < KEPT);
        resting.pop().map(|(client, _)| client)
    }

    fn resting(&self) -> MutexGuard<'_, Vec<(Client, Instant)>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, outcome: &'static str) {
        let (tenant, label) = &self.place;
        self.metrics.authorization(tenant, label, outcome);
    }
}

impl Authorizer for WebhookAuthorizer {
    fn asks(&self) -> String {
        self.settings.receiver.endpoint.to_string()
    }

    fn turn(&self, is_unproven: bool) -> TurnFuture {
        let (turns, part) = (Arc::clone(&self.turns), is_unproven.then(|| Arc::clone(&self.unproven)));
        let most = self.settings.max_concurrent;
        let (asked, asking) = (self.asks(), if is_unproven { unproven(most) } else { most });
        let turn = tokio::time::timeout(self.settings.receiver.timeout, async move {
            // First: who waits for this keeps no turn.
            let part = match part {
                Some(part) => Some(part.acquire_owned().await?),
                None => None,
            };
            Ok::<_, AcquireError>((turns.acquire_owned().await?, part))
        });
        let (metrics, (tenant, label)) = (Arc::clone(&self.metrics), self.place.clone());
        Box::pin(async move {
            match turn.await {
                Ok(Ok(turn)) => Ok(Turn::holding(turn)),
                Ok(Err(_)) | Err(_) => {
                    metrics.authorization(&tenant, &label, "shed");
                    Err(AuthorizationFault::Busy { asked, asking })
                }
            }
        })
    }

    fn ask(&self, question: &Question<'_>) -> Result<Answer, AuthorizationFault> {
        let started = Instant::now();
        let answer = match Handle::try_current() {
            Ok(runtime) => runtime.block_on(self.answer(question)),
            Err(_) => Err(Failure::NoRuntime),
        };
        let (tenant, label) = &self.place;
        self.metrics.authorization_took(tenant, label, started.elapsed());
        self.count(match &answer {
            Ok(Answer::Allowed) => "allowed",
            Ok(Answer::Denied { .. }) => "denied",
            Err(_) => "failed",
        });
        answer.map_err(|failure| AuthorizationFault::Unanswered { asked: self.asks(), cause: failure.to_string() })
    }
}

/// How many of so many turns may be had before a credential is verified.
const fn unproven(turns: usize) -> usize {
    if turns > 1 { turns / 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_turns_are_left_to_those_that_proved_who_they_are() {
        let parts = [(1, 1), (2, 1), (3, 1), (16, 8), (256, 128)];
        assert_eq!(parts.map(|(turns, _)| (turns, unproven(turns))), parts);
    }
}
