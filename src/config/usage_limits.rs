//! `[tenant.limits]` and `[tenant.label.limits]`, checked: how much a tenant and a label may ask for.

use super::file::{self, Table};
use super::problem::{Place, Problem};
use crate::policy::{Quotas, RateLimit, TenantLimits};

/// Most devices or certificates that a quota can name: what counting them takes stays within seconds.
const MOST: u64 = 100_000_000;

/// The limits of a tenant. What is wrong is among the problems, and limits nothing.
pub(super) fn of_tenant(table: Table, place: &Place, problems: &mut Vec<Problem>) -> TenantLimits {
    let place = place.key("limits");
    let shape: file::TenantLimits = file::decode(table, &place, problems);
    let mut quota = |key: &str, most: u64| {
        if most > MOST {
            problems.push(place.key(key).value(format!("at most {MOST}, or 0 for no limit"), most.to_string()));
        }
        (most > 0).then_some(most)
    };
    let quotas = Quotas {
        devices: quota("max_devices", shape.max_devices),
        certificates: quota("max_certificates", shape.max_certificates),
    };
    TenantLimits { rate: rate(shape.enrollments_per_second, shape.enrollment_burst, &place, problems), quotas }
}

/// The rate of a label, as above.
pub(super) fn of_label(table: Table, place: &Place, problems: &mut Vec<Problem>) -> Option<RateLimit> {
    let place = place.key("limits");
    let shape: file::LabelLimits = file::decode(table, &place, problems);
    rate(shape.enrollments_per_second, shape.enrollment_burst, &place, problems)
}

fn rate(per_second: f64, burst: u64, place: &Place, problems: &mut Vec<Problem>) -> Option<RateLimit> {
    let before = problems.len();
    let (slowest, fastest) = RateLimit::PER_SECOND.into_inner();
    // Zero says that there is no limit.
    if per_second != 0.0 && !RateLimit::PER_SECOND.contains(&per_second) {
        let expected = format!("{slowest} to {fastest}, or 0 for no limit");
        problems.push(place.key("enrollments_per_second").value(expected, per_second.to_string()));
    }
    if !RateLimit::BURST.contains(&burst) {
        let (least, most) = RateLimit::BURST.into_inner();
        problems.push(place.key("enrollment_burst").value(format!("{least} to {most}"), burst.to_string()));
    }
    (problems.len() == before && per_second > 0.0).then(|| RateLimit::new(per_second, burst)).flatten()
}
