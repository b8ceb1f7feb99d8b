//! Which devices a label lets in, as its operator wants it.

use std::time::Duration;

use chrono::TimeDelta;

/// How devices come to be registered at a label.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegistrationRules {
    /// Which devices are let in.
    pub rule: RegistrationRule,
    /// What becomes of a birth certificate that comes again with another key.
    pub repeated_birth: RepeatedBirth,
    /// How requests wait for an operator.
    pub approval: ApprovalRules,
}

/// Which devices are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RegistrationRule {
    /// Any whose birth certificate leads to an anchor of the label: zero touch.
    #[default]
    Open,
    /// Those that an operator listed before.
    Listed,
    /// Those that an operator listed before, and any other once an operator said so.
    Approval,
}

/// What becomes of a birth certificate that comes again with another key, while the certificate of the first one is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RepeatedBirth {
    /// It enrolls: devices are reset in the field.
    Allow,
    /// It enrolls, and an alarm is raised: it may be a clone.
    #[default]
    Alarm,
    /// It is refused until an operator resets the device.
    Refuse,
}

/// How requests wait for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRules {
    /// What a waiting client is told to wait before it asks again, in seconds.
    pub retry_after: u32,
    /// How long a request waits, and how long its decision holds.
    pub valid_for: TimeDelta,
    /// Most requests that wait, within a tenant.
    pub max_waiting: usize,
    /// How long the answer to a waiting request is held back, for clients that take no 202.
    pub hold: Duration,
}

impl Default for ApprovalRules {
    fn default() -> Self {
        Self { retry_after: 60, valid_for: TimeDelta::days(7), max_waiting: 1000, hold: Duration::ZERO }
    }
}
