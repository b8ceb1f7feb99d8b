//! Webhooks after the Standard Webhooks specification: events are sent to receivers as they happen, and others are asked.
//!
//! The journal is the outbox. Each webhook has a cursor into it, which moves on when an event was delivered or given up as a
//! dead letter; so events come in order, at least once, and nothing waits in memory for a receiver that is down. Who issues
//! certificates never waits for who delivers. Only where a label has somebody asked does a request wait, for the answer.

mod address;
mod authorization;
mod client;
mod cursor;
mod dispatcher;
mod endpoint;
mod event_type;
mod lookup;
mod message;
mod outbox;
mod question;
mod schedule;
mod secret;
mod settings;

pub use address::AddressRefused;
pub use authorization::WebhookAuthorizer;
pub use client::ClientError;
pub use cursor::{Cursors, cursors, place_cursors};
pub use endpoint::{Endpoint, EndpointError};
pub use event_type::{EventType, UnknownEventType};
pub use outbox::{Outbox, OutboxPorts, Prepared, WebhookError, WebhookState};
pub use schedule::RetryRules;
pub use secret::{SecretError, SigningSecrets};
pub use settings::{AuthorizationWebhook, Receiver, Webhook};
