//! What a review costs, without the network: bytes in to bytes out, and where the time goes.
//!
//! Three pods as an API server sends them, defaults filled in: small (1 container), medium (3), large (20); none, one,
//! two and eight templates; and templates whose expressions look at the pod. What repeats to the instruction is counted by
//! `cargo bench --bench instructions`.

#![expect(clippy::panic, reason = "a bench that can't run says why")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use podgraft::admission;
use podgraft::inject::annotations;
use podgraft::inject::key::Level;
use podgraft::inject::{Renderings, inject_with};
use podgraft::snapshot::Snapshot;

#[path = "review/cases.rs"]
mod cases;
mod review;
#[path = "review/sizes.rs"]
mod sizes;

use cases::{Case, cases, snapshot};
use sizes::SIZES;

fn answer(body: &[u8], snapshot: &Snapshot, renderings: &Renderings) -> Vec<u8> {
    let review = admission::decode(body).unwrap_or_else(|error| panic!("{error}"));
    admission::encode(&review.uid, &inject_with(&review.request, snapshot, renderings))
}

fn bytes_in_to_bytes_out(c: &mut Criterion) {
    let (snapshot, renderings) = (snapshot(), Renderings::default());
    let mut group = c.benchmark_group("bytes in to bytes out");
    for Case { size, what, body } in cases() {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::new(size, what), &body, |b, body| {
            b.iter(|| black_box(answer(black_box(body), &snapshot, &renderings)));
        });
    }
    group.finish();
}

fn parts(c: &mut Criterion) {
    let (snapshot, renderings) = (snapshot(), Renderings::default());
    for size in SIZES {
        let body = size.review(&review::annotations(2));
        let review = admission::decode(&body).unwrap_or_else(|error| panic!("{error}"));
        let outcome = inject_with(&review.request, &snapshot, &renderings);
        let mut group = c.benchmark_group(format!("parts, {}, 2 templates", size.name));
        group.bench_function("decode", |b| b.iter(|| black_box(admission::decode(black_box(&body)).is_ok())));
        let inject = |renderings: &Renderings| {
            black_box(inject_with(black_box(&review.request), &snapshot, renderings));
        };
        group.bench_function("inject", |b| b.iter(|| inject(&renderings)));
        group.bench_function("inject, for the first time", |b| b.iter(|| inject(&Renderings::default())));
        group.bench_function("encode", |b| b.iter(|| black_box(admission::encode(&review.uid, black_box(&outcome)))));
        group.finish();
    }
}

fn annotations(c: &mut Criterion) {
    let mut all: Vec<(String, String)> =
        (0..20).map(|n| (format!("example.com/note-{n}"), "somebody else's".to_owned())).collect();
    all.extend([("inject/log-shipper".to_owned(), "/var/log/orders".to_owned())]);
    all.extend((0..8).map(|n| (format!("second.inject/log-shipper.parameter{n}"), "value".to_owned())));
    c.bench_function("annotations, 9 of 29 ours", |b| {
        b.iter(|| {
            let mut reasons = Vec::new();
            let all = black_box(&all).iter().map(|(key, value)| (key.as_str(), value.as_str()));
            black_box(annotations::read("inject", Level::Pod, all, &mut reasons).len())
        });
    });
}

criterion_group!(benches, bytes_in_to_bytes_out, parts, annotations);
criterion_main!(benches);
