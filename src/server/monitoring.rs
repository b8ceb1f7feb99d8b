//! What is read whenever somebody looks how the server is: gauges, and why it should not be sent requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::Shared;
use crate::audit::Alarm;
use crate::http::{Metrics, Reading, StatusEdge};
use crate::pki::shard::Shard;
use crate::ra::RegistrationAuthority;
use crate::store::sled::SledStore;
use crate::va::{Issuer, Published, Resource, ValidationAuthority};

/// The status pages of a server.
pub(super) fn status_edge(shared: &Arc<Shared>, stopping: watch::Receiver<bool>) -> StatusEdge {
    register(shared);
    let (store, looked_at) = (Arc::clone(&shared.store), Arc::clone(shared));
    let healthy = move || store.is_healthy();
    StatusEdge::new(Arc::clone(&shared.metrics), healthy, move || obstacles(&looked_at, *stopping.borrow()))
}

/// Why nobody should be sent here now.
fn obstacles(shared: &Shared, stopping: bool) -> Vec<String> {
    let now = shared.ports.clock.now();
    let mut reasons = Vec::new();
    if stopping {
        reasons.push("stopping".to_owned());
    }
    if !shared.store.is_healthy() {
        reasons.push("the store takes no records: its disk or its index fails, see the log".to_owned());
    }
    let backlog = shared.store.backlog();
    if backlog.waiting >= backlog.limit {
        reasons.push(format!("{} records wait for the disk, the limit", backlog.waiting));
    }
    if shared.certificate.validity().is_none_or(|validity| !(validity.not_before..=validity.not_after).contains(&now)) {
        reasons.push("the server certificate is not valid now".to_owned());
    }
    let authority = shared.authority.load();
    let ended = authority.labels().filter(|label| label.authority.certificate().validity().not_after < now);
    let mut ended: Vec<_> =
        ended.map(|label| format!("the CA of tenant {}, label {} has ended", label.tenant, label.label)).collect();
    ended.sort();
    reasons.extend(ended);
    reasons
}

fn register(shared: &Shared) {
    let metrics = &shared.metrics;
    let authority = shared.authority.load();
    let labels = authority.labels().map(|label| (label.tenant.clone(), label.label.to_string()));
    metrics.expect(&Alarm::ALL.map(Alarm::as_str), labels);
    of_store(metrics, &shared.store, Arc::clone(&shared.ports.clock));
    let certificate = Arc::clone(&shared.certificate);
    let help = "notAfter of the server certificate that is shown, in seconds since 1970";
    metrics.gauge("server_certificate_not_after_seconds", help, move || {
        certificate.validity().map_or(0, |validity| validity.not_after.timestamp())
    });
    let authority = Arc::clone(&shared.authority);
    let help = "notAfter of the CA that signs at a label, in seconds since 1970";
    metrics.gauges("authority_not_after_seconds", help, move || ends_of_authorities(&authority));
    let validation = &shared.validation;
    let help = "thisUpdate of the CRL of all, in seconds since 1970: time() minus it is its age";
    of_lists(metrics, "crl_this_update_seconds", help, validation, |list| Some(seconds(list.this_update)));
    let help = "nextUpdate of the CRL of all, in seconds since 1970: relying parties refuse it afterwards";
    of_lists(metrics, "crl_next_update_seconds", help, validation, |list| list.next_update.map(seconds));
    let help = "Revoked certificates in the CRL of all";
    of_lists(metrics, "crl_entries", help, validation, |list| list.list.map(|contents| whole(contents.entries)));
}

fn of_store(metrics: &Metrics, store: &Arc<SledStore>, clock: Arc<dyn crate::clock::Clock>) {
    let gauge = |name, help, read: fn(&SledStore) -> i64| {
        let store = Arc::clone(store);
        metrics.gauge(name, help, move || read(&store));
    };
    gauge("journal_queue", "Records that wait for the disk", |store| whole(store.backlog().waiting));
    gauge("journal_queue_limit", "Records that may wait for the disk", |store| whole(store.backlog().limit));
    gauge("journal_records", "Number of the last record that is durable", |store| whole(store.reach().0));
    gauge("index_lag_records", "Records that are durable and not in the index", |store| {
        let (durable, indexed) = store.reach();
        whole(durable.saturating_sub(indexed))
    });
    gauge("store_healthy", "1 while the store takes records", |store| i64::from(store.is_healthy()));
    gauge("audit_suppressed", "Refusals counted and not written, since the last record", |store| {
        whole(store.suppressed())
    });
    let store = Arc::clone(store);
    let help = "How long the oldest record waits for the disk, in milliseconds";
    metrics.gauge("journal_lag_milliseconds", help, move || {
        store.backlog().since.map_or(0, |since| (clock.now() - since).num_milliseconds().max(0))
    });
}

fn of_lists(
    metrics: &Metrics,
    name: &'static str,
    help: &'static str,
    validation: &Arc<ArcSwap<ValidationAuthority>>,
    read: fn(&Published) -> Option<i64>,
) {
    let validation = Arc::clone(validation);
    metrics.gauges(name, help, move || {
        let authority = validation.load();
        authority.issuers().filter_map(|issuer| reading(issuer, read)).collect()
    });
}

fn reading(issuer: &Arc<Issuer>, read: fn(&Published) -> Option<i64>) -> Option<Reading> {
    let list = issuer.document(Resource::Crl(Shard::COMPLETE))?;
    let key = issuer.publication().key_name.clone();
    Some(Reading { labels: vec![("authority", issuer.name().to_owned()), ("key", key)], value: read(&list)? })
}

fn ends_of_authorities(authority: &ArcSwap<RegistrationAuthority>) -> Vec<Reading> {
    let authority = authority.load();
    let end = |label: &Arc<crate::ra::LabelContext>| {
        let labels = (label.tenant.clone(), label.label.to_string());
        (labels, seconds(label.authority.certificate().validity().not_after))
    };
    let ends: BTreeMap<_, _> = authority.labels().map(end).collect();
    let reading = |((tenant, label), value)| Reading { labels: vec![("tenant", tenant), ("label", label)], value };
    ends.into_iter().map(reading).collect()
}

const fn seconds(moment: DateTime<Utc>) -> i64 {
    moment.timestamp()
}

fn whole(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
