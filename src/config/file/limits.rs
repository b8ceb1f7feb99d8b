//! The shapes of `[tenant.limits]` and `[tenant.label.limits]`.

use serde::Deserialize;

/// Requests at once after a rest, where a rate is set and nothing else is said.
const BURST: u64 = 100;

/// `[tenant.limits]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct TenantLimits {
    pub(in crate::config) enrollments_per_second: f64,
    pub(in crate::config) enrollment_burst: u64,
    pub(in crate::config) max_devices: u64,
    pub(in crate::config) max_certificates: u64,
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self { enrollments_per_second: 0.0, enrollment_burst: BURST, max_devices: 0, max_certificates: 0 }
    }
}

/// `[tenant.label.limits]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct LabelLimits {
    pub(in crate::config) enrollments_per_second: f64,
    pub(in crate::config) enrollment_burst: u64,
}

impl Default for LabelLimits {
    fn default() -> Self {
        Self { enrollments_per_second: 0.0, enrollment_burst: BURST }
    }
}
