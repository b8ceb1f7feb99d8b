//! The core without sockets and disks: what one enrollment costs, and where it goes.

#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros; a benchmark that cannot go on has failed")]

#[path = "../tests/support/world.rs"]
mod world;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use estd::est::Operation;
use estd::est::transfer::{self, LineWrapping};
use estd::pki::public_key::{KeyPolicy, KeyType, PublicKey};
use estd::pki::request::VerifiedRequest;
use estd::pki::signature;
use estd_asn1::pkcs10::RequestLimits;
use estd_asn1::{Certificate, CertificationRequest, Name, certs_only};
use world::{World, device_key, request};

fn floor(criterion: &mut Criterion) {
    let key = device_key(KeyType::P256);
    let public = PublicKey::check(key.public_key(), &KeyPolicy::default()).unwrap();
    let message = [7; 300];
    let signed = key.sign(&message).unwrap();
    let mut group = criterion.benchmark_group("floor");
    group.bench_function("p256 verify", |bencher| {
        bencher.iter(|| signature::verify(&public, key.algorithm(), &message, &signed).unwrap());
    });
    group.bench_function("p256 sign", |bencher| bencher.iter(|| key.sign(&message).unwrap()));
    group.finish();
}

fn parts(criterion: &mut Criterion) {
    let key = device_key(KeyType::P256);
    let body = request(key.as_ref(), &Name::empty(), &[]);
    let base64 = transfer::encode(&body, LineWrapping::Lines64);
    let limits = RequestLimits::default();
    let policy = KeyPolicy::default();
    let decoded = CertificationRequest::decode(&body, &limits).unwrap();
    let world = World::new();
    let birth = world.birth("SN-1", KeyType::P256).certificate;
    let mut group = criterion.benchmark_group("parts");
    group.bench_function("transfer decode", |bencher| bencher.iter(|| transfer::decode(&base64).unwrap()));
    group.bench_function("request decode", |bencher| {
        bencher.iter(|| CertificationRequest::decode(&body, &limits).unwrap());
    });
    group.bench_function("public key check", |bencher| {
        bencher.iter(|| PublicKey::check(decoded.public_key(), &policy).unwrap());
    });
    group.bench_function("request verify", |bencher| {
        bencher.iter(|| VerifiedRequest::verify(&body, &limits, &policy).unwrap());
    });
    group.bench_function("certificate decode", |bencher| bencher.iter(|| Certificate::decode(&birth).unwrap()));
    group.bench_function("certs-only encode", |bencher| bencher.iter(|| certs_only::encode([birth.as_slice()])));
    group.finish();
}

fn enrollment(criterion: &mut Criterion) {
    let world = World::with(KeyType::P256, |_| (), |label| label.requests.repeat_window = chrono::TimeDelta::zero());
    let device = world.birth("SN-1", KeyType::P256);
    let body = request(device_key(KeyType::P256).as_ref(), &Name::empty(), &[]);
    let kept_alive = device.session();
    let mut group = criterion.benchmark_group("enrollment");
    group.bench_function("kept alive, memory store", |bencher| {
        bencher.iter(|| {
            world.clock.advance(chrono::TimeDelta::nanoseconds(1));
            world.decide("devices", Operation::SimpleEnroll, &kept_alive, &body).unwrap()
        });
    });
    group.bench_function("fresh connection, memory store", |bencher| {
        bencher.iter_batched(
            || device.session(),
            |session| {
                world.clock.advance(chrono::TimeDelta::nanoseconds(1));
                world.decide("devices", Operation::SimpleEnroll, &session, &body).unwrap()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, floor, parts, enrollment);
criterion_main!(benches);
