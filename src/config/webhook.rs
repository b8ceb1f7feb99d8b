//! `[[webhook]]`, the receivers of events, and `[tenant.label.authorization_webhook]`, who is asked; checked.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::file;
use super::label::LabelSettings;
use super::problem::{Place, Problem, ProblemKind};
use super::read;
use super::tenant::is_name;
use crate::webhook::{AuthorizationWebhook, Endpoint, EventType, Receiver, RetryRules, SigningSecrets, Webhook};

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
/// How long an answer may take that a device waits for, at least and at most: clients give up after a while.
const ANSWER: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(30);
/// Questions at once, those of all labels together: each keeps a thread.
const MAX_QUESTIONS: usize = 256;

/// What `[[webhook]]` and an authorization webhook have in common.
struct Keys<'a> {
    url: Option<&'a str>,
    /// What is posted there, for people to read.
    posts: &'static str,
    allow_http: bool,
    secret: Option<&'a str>,
    allow_private: bool,
    ca_file: Option<&'a str>,
    timeout: file::Span,
    timeouts: &'a RangeInclusive<Duration>,
}

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
    let keys = Keys {
        url: shape.url.as_deref(),
        posts: "where events are posted to",
        allow_http: shape.allow_http,
        secret: shape.secret.as_deref(),
        allow_private: shape.allow_private,
        ca_file: shape.ca_file.as_deref(),
        timeout: shape.timeout,
        timeouts: &TIMEOUT,
    };
    let receiver = check_receiver(&keys, folder, place, problems);
    let before = problems.len();
    check_tenants(shape.tenants.as_deref(), place, labels, problems);
    let events = check_events(&shape.events, place, problems);
    let retry = check_retry(&shape, place, problems);
    (problems.len() == before).then_some(())?;
    Some(Webhook { name: name?, receiver: receiver?, tenants: shape.tenants, events, retry })
}

/// The authorization webhook of a label; `None` comes with a problem at least.
pub(super) fn check_authorization(
    table: file::Table,
    folder: &Path,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<AuthorizationWebhook> {
    let before = problems.len();
    let shape: file::AuthorizationWebhook = file::decode(table, place, problems);
    let keys = Keys {
        url: shape.url.as_deref(),
        posts: "where questions are posted to",
        allow_http: shape.allow_http,
        secret: shape.secret.as_deref(),
        allow_private: shape.allow_private,
        ca_file: shape.ca_file.as_deref(),
        timeout: shape.timeout,
        timeouts: &ANSWER,
    };
    let receiver = check_receiver(&keys, folder, place, problems);
    let max_concurrent = usize::try_from(shape.max_concurrent).unwrap_or(usize::MAX);
    if !(1..=MAX_QUESTIONS).contains(&max_concurrent) {
        let found = shape.max_concurrent.to_string();
        problems.push(place.key("max_concurrent").value(format!("1 to {MAX_QUESTIONS}"), found));
    }
    (problems.len() == before).then_some(())?;
    Some(AuthorizationWebhook { receiver: receiver?, max_concurrent })
}

/// Looks at what all labels may ask at once.
pub(super) fn check_questions(labels: &[LabelSettings], place: &Place, problems: &mut Vec<Problem>) {
    let webhooks = labels.iter().filter_map(|label| label.authorization_webhook.as_ref());
    let questions: usize = webhooks.map(|webhook| webhook.max_concurrent).sum();
    if questions > MAX_QUESTIONS {
        let expected = format!("max_concurrent of all authorization webhooks together at most {MAX_QUESTIONS}");
        problems.push(place.value(expected, questions.to_string()));
    }
}

/// `None` comes with a problem at least.
fn check_receiver(keys: &Keys<'_>, folder: &Path, place: &Place, problems: &mut Vec<Problem>) -> Option<Receiver> {
    let endpoint = match keys.url {
        Some(url) => {
            Endpoint::parse(url, keys.allow_http).map_err(|error| problems.push(place.key("url").refused(&error))).ok()
        }
        None => {
            problems.push(place.missing("url", keys.posts));
            None
        }
    };
    let secrets = match keys.secret {
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
    let anchors = keys.ca_file.and_then(|path| {
        let read = read::certificates(&folder.join(path));
        read.map_err(|problem| problems.push(place.key("ca_file").problem(problem))).ok()
    });
    let anchors = anchors.map(|anchors| anchors.iter().map(|anchor| anchor.der().to_vec()).collect());
    within("timeout", keys.timeout, keys.timeouts, place, problems);
    (problems.len() == before).then_some(())?;
    let (allow_private, timeout) = (keys.allow_private, keys.timeout.0);
    Some(Receiver { endpoint: endpoint?, secrets: secrets?, allow_private, anchors, timeout })
}

fn within(key: &str, span: file::Span, range: &RangeInclusive<Duration>, place: &Place, problems: &mut Vec<Problem>) {
    if !range.contains(&span.0) {
        let shown = |span: &Duration| file::Span(*span).to_string();
        let expected = format!("{} to {}", shown(range.start()), shown(range.end()));
        problems.push(place.key(key).value(expected, span.to_string()));
    }
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
    within("backoff", shape.backoff, &BACKOFF, place, problems);
    within("max_backoff", shape.max_backoff, &BACKOFF, place, problems);
    if !ATTEMPTS.contains(&shape.max_attempts) {
        let expected = format!("{} to {}", ATTEMPTS.start(), ATTEMPTS.end());
        problems.push(place.key("max_attempts").value(expected, shape.max_attempts.to_string()));
    }
    RetryRules { max_attempts: shape.max_attempts, backoff: shape.backoff.0, max_backoff: shape.max_backoff.0 }
}
