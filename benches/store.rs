//! What recording costs: one writer waiting for its record, and many that share a sync.

#![expect(clippy::expect_used, reason = "a benchmark that cannot go on has failed")]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use criterion::{Criterion, Throughput};
use estd::audit::{AuditEvent, AuditOutcome};
use estd::store::sled::{SledStore, StoreOptions};
use estd::store::{CertificateId, CertificateRecord, CertificateStore, Claim, RequestKey};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    record_and_wait(&mut criterion);
    open(&mut criterion);
    criterion.final_summary();
}

fn record_and_wait(criterion: &mut Criterion) {
    for writers in [1, 8, 32] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SledStore::open(folder.path(), StoreOptions::default()).expect("a store");
        let serial = AtomicU64::new(0);
        let mut group = criterion.benchmark_group("store/record_durably");
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{writers}_writers"), |bencher| {
            bencher.iter_custom(|records| {
                #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
                let start = std::time::Instant::now();
                let end = serial.load(Ordering::Relaxed) + records;
                std::thread::scope(|scope| {
                    for _ in 0..writers {
                        scope.spawn(|| {
                            while let Some(serial) = next(&serial, end) {
                                record(&store, serial);
                            }
                        });
                    }
                });
                start.elapsed()
            });
        });
        group.finish();
    }
}

fn open(criterion: &mut Criterion) {
    const MANY: u64 = 1_000_000;
    const SOME: u64 = 50_000;
    let mut group = criterion.benchmark_group("store");
    group.sample_size(10);
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path(), MANY);
    group.bench_function(format!("open/{MANY}_records"), |bencher| {
        bencher.iter(|| SledStore::open(folder.path(), StoreOptions::default()).expect("a store"));
    });
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path(), SOME);
    group.throughput(Throughput::Elements(SOME));
    group.bench_function(format!("rebuild/{SOME}_records"), |bencher| {
        bencher.iter(|| estd::store::sled::rebuild(folder.path(), false).expect("a journal"));
    });
}

fn fill(folder: &Path, records: u64) {
    let options = StoreOptions { sync_pause: Duration::ZERO, ..StoreOptions::default() };
    let store = SledStore::open(folder, options).expect("a store");
    let serial = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                while let Some(serial) = next(&serial, records) {
                    record(&store, serial);
                }
            });
        }
    });
}

fn next(serial: &AtomicU64, end: u64) -> Option<u64> {
    serial.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |serial| (serial < end).then_some(serial + 1)).ok()
}

fn record(store: &SledStore, serial: u64) {
    let hash = |domain: u8| estd::pki::digest::sha256(&[&[domain], &serial.to_be_bytes()]);
    let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a moment");
    let record = CertificateRecord {
        id: CertificateId { issuer: [7; 32], serial: hash(0)[..20].to_vec() },
        request: RequestKey(hash(1)),
        tenant: "acme".into(),
        label: "devices".into(),
        device: format!("SN-{serial:012}"),
        spki_sha256: hash(2),
        renews: None,
        issued_at: now,
        not_after: now + TimeDelta::days(398),
        // About what a P-256 certificate with a SAN and three URLs takes.
        der: hash(3).repeat(22),
        credential: None,
    };
    let event = AuditEvent {
        at: now,
        request_id: "0123456789abcdef".into(),
        source: "192.0.2.1:49152".into(),
        tenant: "acme".into(),
        label: "devices".into(),
        operation: "simpleenroll".into(),
        peer: Some(hash(4)),
        device: Some(record.device.clone()),
        actor: None,
        credential: None,
        outcome: AuditOutcome::Issued { serial: record.id.serial.clone(), repeated: false, generated_key: None },
    };
    store.key_holder("acme", &record.spki_sha256).expect("an index");
    let Ok(Claim::Granted(claim)) = store.claim(&record.request, DateTime::<Utc>::MIN_UTC) else {
        panic!("serials are used once")
    };
    store.record_issued(claim, record, Vec::new(), event).and_then(|receipt| receipt.wait()).expect("durable");
}
