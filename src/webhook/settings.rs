//! Webhooks as they are configured.

use std::time::Duration;

use super::endpoint::Endpoint;
use super::event_type::EventType;
use super::schedule::RetryRules;
use super::secret::SigningSecrets;
use crate::store::LoggedEvent;

/// Who is posted to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// Where it is.
    pub endpoint: Endpoint,
    /// What messages are signed with.
    pub secrets: SigningSecrets,
    /// Whether it may be on this machine or in a private network.
    pub allow_private: bool,
    /// DER of the CA certificates that vouch for it; `None` for those of the operating system.
    pub anchors: Option<Vec<Vec<u8>>>,
    /// How long one attempt may take, from the lookup of the name to the head of the answer, or to its end where the answer is
    /// read.
    pub timeout: Duration,
}

/// A receiver of events, and what it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// What operators call it by.
    pub name: String,
    /// Who they are posted to.
    pub receiver: Receiver,
    /// Whose events; `None` for those of every tenant and of the server itself.
    pub tenants: Option<Vec<String>>,
    /// Which events.
    pub events: Vec<EventType>,
    /// When an attempt that failed is followed by another.
    pub retry: RetryRules,
}

/// Who is asked whether a certificate may be issued at a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationWebhook {
    /// Who is asked, and how.
    pub receiver: Receiver,
    /// Questions at once; others wait for their turn as long as an answer may take.
    pub max_concurrent: usize,
}

impl Webhook {
    /// The type of an event that is to be sent.
    pub(super) fn wants(&self, logged: &LoggedEvent) -> Option<EventType> {
        let own = self.tenants.as_ref().is_none_or(|tenants| tenants.iter().any(|own| *own == logged.event.tenant));
        EventType::of(&logged.event).filter(|kind| own && self.events.contains(kind))
    }
}
