//! `[[webhook]]`: the receivers of events, checked.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::file;
use super::label::LabelSettings;
use super::problem::{Place, Problem, ProblemKind};
use super::read;
use super::tenant::is_name;
use crate::webhook::{Endpoint, EventType, RetryRules, SigningSecrets, Webhook};

/// Most webhooks: each reads the journal for itself.
const MAX_WEBHOOKS: usize = 32;
/// Longest name, in octets: it becomes that of a file.
const MAX_NAME_OCTETS: usize = 64;
/// How long an attempt may take, at least and at most.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(120);
/// How often an event may be tried.
const ATTEMPTS: RangeInclusive<u32> = 1..=100;
/// Pauses between attempts.
const BACKOFF: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(24 * 60 * 60);

/// Those that are sound; what is wrong with the others is among the problems.
pub(super) fn check(
    tables: Vec<file::Table>,
    folder: &Path,
    place: &Place,
    labels: &[LabelSettings],
    problems: &mut Vec<Problem>,
) -> Vec<Webhook> {
    if tables.len() > MAX_WEBHOOKS {
        let found = format!("{} of them", tables.len());
        problems.push(place.key("webhook").value(format!("at most {MAX_WEBHOOKS} webhooks"), found));
    }
    let mut webhooks: Vec<Webhook> = Vec::new();
    for (position, table) in tables.into_iter().enumerate() {
        let place = place.named("webhook", file::text(&table, "name"), position);
        let Some(webhook) = check_one(table, folder, &place, labels, problems) else { continue };
        if webhooks.iter().any(|other| other.name == webhook.name) {
            problems.push(place.key("name").problem(ProblemKind::Duplicate { kind: "webhook", scope: "" }));
        }
        webhooks.push(webhook);
    }
    webhooks
}

/// `None` comes with a problem at least.
fn check_one(
    table: file::Table,
    folder: &Path,
    place: &Place,
    labels: &[LabelSettings],
    problems: &mut Vec<Problem>,
) -> Option<Webhook> {
    let shape: file::Webhook = file::decode(table, place, problems);
    let name = check_name(shape.name.as_deref(), place, problems);
    let endpoint = match shape.url.as_deref() {
        Some(url) => {
            Endpoint::parse(url, shape.allow_http).map_err(|error| problems.push(place.key("url").refused(&error))).ok()
        }
        None => {
            problems.push(place.missing("url", "where events are posted to"));
            None
        }
    };
    let secrets = match &shape.secret {
        Some(path) => read::secret(&folder.join(path))
            .map_err(|problem| place.key("secret").problem(problem))
            .and_then(|text| SigningSecrets::parse(&text).map_err(|error| place.key("secret").refused(&error)))
            .map_err(|problem| problems.push(problem))
            .ok(),
        None => {
            problems.push(place.missing("secret", "a file of mode 0600 with whsec_ and 24 to 64 octets in base64"));
            None
        }
    };
    let before = problems.len();
    check_tenants(shape.tenants.as_deref(), place, labels, problems);
    let events = check_events(&shape.events, place, problems);
    let anchors = shape.ca_file.as_ref().and_then(|path| {
        let read = read::certificates(&folder.join(path));
        read.map_err(|problem| problems.push(place.key("ca_file").problem(problem))).ok()
    });
    let anchors = anchors.map(|anchors| anchors.iter().map(|anchor| anchor.der().to_vec()).collect());
    let retry = check_retry(&shape, place, problems);
    (problems.len() == before).then_some(())?;
    Some(Webhook {
        name: name?,
        endpoint: endpoint?,
        tenants: shape.tenants,
        events,
        secrets: secrets?,
        allow_private: shape.allow_private,
        anchors,
        timeout: shape.timeout.0,
        retry,
    })
}

fn check_name(name: Option<&str>, place: &Place, problems: &mut Vec<Problem>) -> Option<String> {
    let Some(name) = name else {
        problems.push(place.missing("name", "what operators call it by"));
        return None;
    };
    if !is_name(name) || name.len() > MAX_NAME_OCTETS {
        let expected = format!("1 to {MAX_NAME_OCTETS} letters, digits, '-', '_' and '.'");
        problems.push(place.key("name").value(expected, format!("{name:?}")));
        return None;
    }
    Some(name.to_owned())
}

fn check_tenants(tenants: Option<&[String]>, place: &Place, labels: &[LabelSettings], problems: &mut Vec<Problem>) {
    let place = place.key("tenants");
    for tenant in tenants.unwrap_or_default() {
        if !labels.iter().any(|label| label.tenant == *tenant) {
            let mut known: Vec<_> = labels.iter().map(|label| label.tenant.clone()).collect();
            known.dedup();
            let name = tenant.clone();
            problems.push(place.problem(ProblemKind::Unresolved { kind: "tenant", name, known }));
        }
    }
    if tenants.is_some_and(<[String]>::is_empty) {
        problems.push(place.value("at least one tenant, or no such key for all of them", "none"));
    }
}

fn check_events(names: &[String], place: &Place, problems: &mut Vec<Problem>) -> Vec<EventType> {
    let place = place.key("events");
    if names.is_empty() {
        problems.push(place.value("at least one type of event", "none"));
    }
    let sound = names.iter().filter_map(|name| {
        name.parse().map_err(|error| problems.push(place.value(format!("{error}"), format!("{name:?}")))).ok()
    });
    sound.collect()
}

fn check_retry(shape: &file::Webhook, place: &Place, problems: &mut Vec<Problem>) -> RetryRules {
    let mut within = |key: &str, span: file::Span, range: &RangeInclusive<Duration>| {
        if !range.contains(&span.0) {
            let shown = |span: &Duration| file::Span(*span).to_string();
            let expected = format!("{} to {}", shown(range.start()), shown(range.end()));
            problems.push(place.key(key).value(expected, span.to_string()));
        }
    };
    within("timeout", shape.timeout, &TIMEOUT);
    within("backoff", shape.backoff, &BACKOFF);
    within("max_backoff", shape.max_backoff, &BACKOFF);
    if !ATTEMPTS.contains(&shape.max_attempts) {
        let expected = format!("{} to {}", ATTEMPTS.start(), ATTEMPTS.end());
        problems.push(place.key("max_attempts").value(expected, shape.max_attempts.to_string()));
    }
    RetryRules { max_attempts: shape.max_attempts, backoff: shape.backoff.0, max_backoff: shape.max_backoff.0 }
}
