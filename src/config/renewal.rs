//! `[tenant.label.renewal]`, checked: when the certificates of a label are to be renewed.

use std::time::Duration;

use chrono::TimeDelta;

use super::file;
use super::problem::{Place, Problem};
use crate::policy::RenewalRules;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the window of one certificate may be.
const WINDOW: std::ops::RangeInclusive<Duration> = MINUTE..=Duration::from_secs(30 * 24 * 60 * 60);
/// What clients may be told to wait: RFC 9773 section 4.3.2 has them take anything beyond for its nearer end.
const RETRY_AFTER: std::ops::RangeInclusive<Duration> = MINUTE..=DAY;

/// `None` when a value is wrong, which is then among the problems.
pub(super) fn check(table: file::Table, place: &Place, problems: &mut Vec<Problem>) -> Option<RenewalRules> {
    let place = place.key("renewal");
    let before = problems.len();
    let shape: file::Renewal = file::decode(table, &place, problems);
    if shape.opens >= shape.closes || shape.closes > 100 {
        let expected = "opens below closes, both percent of a certificate's life";
        problems.push(place.value(expected, format!("{} and {}", shape.opens, shape.closes)));
    }
    for (key, span, range) in [("window", shape.window, WINDOW), ("retry_after", shape.retry_after, RETRY_AFTER)] {
        if !range.contains(&span.0) {
            let expected = format!("{} to {}", file::Span(*range.start()), file::Span(*range.end()));
            problems.push(place.key(key).value(expected, span.to_string()));
        }
    }
    let capacity = u32::try_from(shape.capacity).ok();
    if capacity.is_none() {
        let expected = format!("at most {}, or 0 for no limit", u32::MAX);
        problems.push(place.key("capacity").value(expected, shape.capacity.to_string()));
    }
    (problems.len() == before).then_some(())?;
    Some(RenewalRules {
        opens: u8::try_from(shape.opens).ok()?,
        closes: u8::try_from(shape.closes).ok()?,
        window: TimeDelta::from_std(shape.window.0).ok()?,
        retry_after: u32::try_from(shape.retry_after.0.as_secs()).ok()?,
        capacity: capacity.filter(|capacity| *capacity > 0),
    })
}
