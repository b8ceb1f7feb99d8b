//! How much a tenant, or one of its labels, may ask for.

use chrono::TimeDelta;

/// What a label is held to: its own limit, and what it shares with the other labels of its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageLimits {
    /// Of the whole tenant; the same at each of its labels.
    pub tenant: TenantLimits,
    /// Requests for certificates at this label; `None`: no limit of its own.
    pub rate: Option<RateLimit>,
}

/// What a tenant is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TenantLimits {
    /// Requests for certificates at all its labels; `None`: no limit.
    pub rate: Option<RateLimit>,
    /// How much it may have.
    pub quotas: Quotas,
}

/// How much a tenant may have; `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quotas {
    /// Devices in its registry, listed ones too.
    pub devices: Option<u64>,
    /// Certificates that have not ended. Revoked ones count: their standing is told until they end. Renewals are never
    /// refused for it, though they count.
    pub certificates: Option<u64>,
}

/// How often something may happen: one in each interval on average, and some at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    interval: TimeDelta,
    burst: i32,
}

impl RateLimit {
    /// Slowest and fastest rate, in events a second.
    pub const PER_SECOND: std::ops::RangeInclusive<f64> = 0.001..=100_000.0;
    /// Least and most events at once.
    pub const BURST: std::ops::RangeInclusive<u64> = 1..=1_000_000;

    /// So many a second on average, and `burst` at once after a rest; `None` when either is out of its bounds.
    pub fn new(per_second: f64, burst: u64) -> Option<Self> {
        if !Self::PER_SECOND.contains(&per_second) || !Self::BURST.contains(&burst) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "10 µs to 1,000 s in nanoseconds")]
        let interval = TimeDelta::nanoseconds((1e9 / per_second).round() as i64);
        Some(Self { interval, burst: i32::try_from(burst).ok()? })
    }

    /// The time between two events that follow each other at the rate.
    pub const fn interval(&self) -> TimeDelta {
        self.interval
    }

    /// How far events may run ahead of the rate.
    pub fn tolerance(&self) -> TimeDelta {
        self.interval * (self.burst - 1)
    }
}

impl Quotas {
    /// Whether nothing is limited.
    pub const fn are_none(&self) -> bool {
        self.devices.is_none() && self.certificates.is_none()
    }
}
