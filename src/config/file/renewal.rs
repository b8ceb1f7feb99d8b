//! The shape of `[tenant.label.renewal]`.

use serde::Deserialize;

use super::Span;

/// `[tenant.label.renewal]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Renewal {
    pub(in crate::config) opens: u64,
    pub(in crate::config) closes: u64,
    pub(in crate::config) window: Span,
    pub(in crate::config) retry_after: Span,
    pub(in crate::config) capacity: u64,
}

impl Default for Renewal {
    fn default() -> Self {
        Self {
            opens: 60,
            closes: 85,
            window: Span::seconds(60 * 60),
            retry_after: Span::seconds(6 * 60 * 60),
            capacity: 0,
        }
    }
}
