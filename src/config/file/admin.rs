//! The shapes of `[admin]`.

use serde::Deserialize;

use super::Table;

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Admin {
    pub(in crate::config) socket: Option<String>,
    pub(in crate::config) listen: Vec<String>,
    pub(in crate::config) max_body: u64,
    pub(in crate::config) operator: Vec<Table>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { socket: None, listen: Vec::new(), max_body: 8 * 1024 * 1024, operator: Vec::new() }
    }
}

/// `[[admin.operator]]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct AdminOperator {
    pub(in crate::config) name: Option<String>,
    pub(in crate::config) certificate: Option<String>,
    pub(in crate::config) role: Option<String>,
    pub(in crate::config) tenant: Option<String>,
}
