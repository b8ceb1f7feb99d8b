//! A webhook as it is configured.

use std::time::Duration;

use super::endpoint::Endpoint;
use super::event_type::EventType;
use super::schedule::RetryRules;
use super::secret::SigningSecrets;
use crate::store::LoggedEvent;

/// A receiver of events, and what it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// What operators call it by.
    pub name: String,
    /// Where events are posted to.
    pub endpoint: Endpoint,
    /// Whose events; `None` for those of every tenant and of the server itself.
    pub tenants: Option<Vec<String>>,
    /// Which events.
    pub events: Vec<EventType>,
    /// What they are signed with.
    pub secrets: SigningSecrets,
    /// Whether the receiver may be on this machine or in a private network.
    pub allow_private: bool,
    /// DER of the CA certificates that vouch for the receiver; `None` for those of the operating system.
    pub anchors: Option<Vec<Vec<u8>>>,
    /// How long one attempt may take, from the lookup of the name to the head of the answer.
    pub timeout: Duration,
    /// When an attempt that failed is followed by another.
    pub retry: RetryRules,
}

impl Webhook {
    /// The type of an event that is to be sent.
    pub(super) fn wants(&self, logged: &LoggedEvent) -> Option<EventType> {
        let own = self.tenants.as_ref().is_none_or(|tenants| tenants.iter().any(|own| *own == logged.event.tenant));
        EventType::of(&logged.event).filter(|kind| own && self.events.contains(kind))
    }
}
