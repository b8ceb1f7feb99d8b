//! The shapes of `[[webhook]]` and `[tenant.label.authorization_webhook]`.

use std::time::Duration;

use serde::Deserialize;

use super::Span;
use crate::webhook::EventType;

/// `[[webhook]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Webhook {
    pub(in crate::config) name: Option<String>,
    pub(in crate::config) url: Option<String>,
    pub(in crate::config) tenants: Option<Vec<String>>,
    pub(in crate::config) events: Vec<String>,
    pub(in crate::config) secret: Option<String>,
    pub(in crate::config) allow_private: bool,
    pub(in crate::config) allow_http: bool,
    pub(in crate::config) ca_file: Option<String>,
    pub(in crate::config) timeout: Span,
    pub(in crate::config) max_attempts: u32,
    pub(in crate::config) backoff: Span,
    pub(in crate::config) max_backoff: Span,
}

impl Default for Webhook {
    fn default() -> Self {
        Self {
            name: None,
            url: None,
            tenants: None,
            events: EventType::DEFAULT.map(|kind| kind.as_str().to_owned()).to_vec(),
            secret: None,
            allow_private: false,
            allow_http: false,
            ca_file: None,
            timeout: Span(Duration::from_secs(15)),
            max_attempts: 12,
            backoff: Span(Duration::from_secs(5)),
            max_backoff: Span(Duration::from_secs(15 * 60)),
        }
    }
}

/// `[tenant.label.authorization_webhook]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct AuthorizationWebhook {
    pub(in crate::config) url: Option<String>,
    pub(in crate::config) secret: Option<String>,
    pub(in crate::config) allow_private: bool,
    pub(in crate::config) allow_http: bool,
    pub(in crate::config) ca_file: Option<String>,
    pub(in crate::config) timeout: Span,
    pub(in crate::config) max_concurrent: u64,
}

impl Default for AuthorizationWebhook {
    fn default() -> Self {
        Self {
            url: None,
            secret: None,
            allow_private: false,
            allow_http: false,
            ca_file: None,
            timeout: Span::seconds(5),
            max_concurrent: 16,
        }
    }
}
