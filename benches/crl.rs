//! What a list of a million revocations costs: spliced of entries that were encoded once, signed, and one more added.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

#[path = "../tests/support/world.rs"]
mod world;

use std::hint::black_box;

use chrono::{DateTime, TimeDelta, Utc};
use criterion::{Criterion, criterion_group, criterion_main};
use estd::ca::CrlContents;
use estd::pki::public_key::KeyType;
use estd::pki::serial::Serial;
use estd::pki::shard::Shard;
use estd::store::{CertificateId, Revocation, StandingChange};
use estd::va::Ledger;

const ENTRIES: u64 = 1_000_000;

fn change(number: u64, at: DateTime<Utc>) -> StandingChange {
    let mut random = [0; 20];
    random[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    random[8..16].copy_from_slice(&number.to_be_bytes());
    let id = CertificateId { issuer: [7; 32], serial: Serial::from_entropy(random).octets().to_vec() };
    StandingChange { id, revocation: Some(Revocation { at, reason: 1 }), not_after: Some(i64::MAX) }
}

fn lists(criterion: &mut Criterion) {
    let start: DateTime<Utc> = world::START.parse().unwrap();
    let authority = world::authority("Benchmark CA", KeyType::P256, start);
    let mut ledger = Ledger::default();
    for number in 0..ENTRIES {
        ledger.apply(&change(number, start), i64::MAX, number + 1);
    }
    let sign = |entries: &[u8]| {
        let contents = CrlContents {
            number: 1,
            this_update: start,
            next_update: start + TimeDelta::days(7),
            entries,
            base: None,
            part_at: None,
            delta_at: None,
        };
        authority.sign_crl(&contents).unwrap()
    };
    let mut group = criterion.benchmark_group("crl of 1,000,000");
    group.sample_size(10);
    let mut number = ENTRIES;
    group.bench_function("one more revocation, spliced and signed", |bencher| {
        bencher.iter(|| {
            number += 1;
            ledger.apply(&change(number, start), i64::MAX, number);
            black_box(sign(&ledger.entries(Shard::COMPLETE)).len())
        });
    });
    group.bench_function("one of 64 parts", |bencher| {
        let shard = Shard::new(64, 7).unwrap();
        bencher.iter(|| black_box(sign(&ledger.entries(shard)).len()));
    });
    group.finish();
}

criterion_group!(benches, lists);
criterion_main!(benches);
