//! Which devices a label lets in: the keys `registration` and `repeated_birth`, and `[tenant.label.approval]`, checked.

use std::time::Duration;

use chrono::TimeDelta;

use super::file;
use super::problem::{Place, Problem};
use crate::policy::{ApprovalRules, RegistrationRule, RegistrationRules, RepeatedBirth};

/// The longest a client is told to wait, and the longest an answer is held back: clients and proxies give up after it.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
const LONGEST_HOLD: Duration = Duration::from_secs(120);
/// The longest a request waits for an operator.
const LONGEST_WAIT: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// Most requests that may wait: each new one counts those that do.
const MOST_WAITING: u64 = 100_000;

/// `None` when a value is wrong, which is then among the problems.
pub(super) fn check(
    registration: &str,
    repeated_birth: &str,
    approval: file::Table,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<RegistrationRules> {
    let rule = match registration {
        "open" => Some(RegistrationRule::Open),
        "listed" => Some(RegistrationRule::Listed),
        "approval" => Some(RegistrationRule::Approval),
        other => {
            let expected = "\"open\", \"listed\" or \"approval\"";
            problems.push(place.key("registration").value(expected, format!("{other:?}")));
            None
        }
    };
    let repeated_birth = match repeated_birth {
        "allow" => Some(RepeatedBirth::Allow),
        "alarm" => Some(RepeatedBirth::Alarm),
        "refuse" => Some(RepeatedBirth::Refuse),
        other => {
            let expected = "\"allow\", \"alarm\" or \"refuse\"";
            problems.push(place.key("repeated_birth").value(expected, format!("{other:?}")));
            None
        }
    };
    let approval_place = place.key("approval");
    let shape = file::decode(approval, &approval_place, problems);
    let approval = check_approval(&shape, &approval_place, problems);
    Some(RegistrationRules { rule: rule?, repeated_birth: repeated_birth?, approval: approval? })
}

fn check_approval(shape: &file::Approval, place: &Place, problems: &mut Vec<Problem>) -> Option<ApprovalRules> {
    let before = problems.len();
    let mut within = |key: &str, span: file::Span, least: Duration, most: Duration| {
        if !(least..=most).contains(&span.0) {
            let expected = format!("{} to {}", file::Span(least), file::Span(most));
            problems.push(place.key(key).value(expected, span.to_string()));
        }
    };
    let second = Duration::from_secs(1);
    within("retry_after", shape.retry_after, second, LONGEST_RETRY_AFTER);
    within("valid_for", shape.valid_for, second, LONGEST_WAIT);
    within("hold", shape.hold, Duration::ZERO, LONGEST_HOLD);
    if !(1..=MOST_WAITING).contains(&shape.max_waiting) {
        let expected = format!("1 to {MOST_WAITING}");
        problems.push(place.key("max_waiting").value(expected, shape.max_waiting.to_string()));
    }
    (problems.len() == before).then_some(())?;
    Some(ApprovalRules {
        retry_after: u32::try_from(shape.retry_after.0.as_secs()).ok()?,
        valid_for: TimeDelta::from_std(shape.valid_for.0).ok()?,
        max_waiting: usize::try_from(shape.max_waiting).ok()?,
        hold: shape.hold.0,
    })
}
