//! What a review costs, without the network: bytes in to bytes out, and where the time goes.
//!
//! Three pods as an API server sends them, defaults filled in: small (1 container), medium (3), large (20); none, one
//! and two templates, of which no expression names `object`; and one that does.

#![expect(clippy::panic, reason = "a bench that can't run says why")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use podgraft::admission;
use podgraft::inject::inject;
use podgraft::snapshot::Snapshot;
use podgraft::template::{self, LoadOptions, Origin};
use serde_json::json;

mod review;

use review::{annotations, review};

/// A template that reads the pod as a tree.
const NAMES_OBJECT: &str = r#"
apiVersion: podgraft.dev/v1alpha1
kind: ClusterInjectionTemplate
metadata: {name: names-object}
spec:
  description: Hand the pod's own name on.
  target:
    env: [{name: APP, value: "{{ object.metadata.?labels.app.orValue('none') }}"}]
"#;

fn snapshot() -> Snapshot {
    let options = LoadOptions::default();
    let mut snapshot = Snapshot::default();
    let builtin = template::builtin(&options).unwrap_or_else(|errors| panic!("{errors:?}"));
    let own =
        template::load(Origin("bench.yaml".into()), NAMES_OBJECT, &options).unwrap_or_else(|error| panic!("{error}"));
    for template in builtin.into_iter().chain(own.templates) {
        snapshot.templates.insert(Arc::new(template));
    }
    snapshot
}

fn bytes_in_to_bytes_out(c: &mut Criterion) {
    let snapshot = snapshot();
    let answer = |body: &[u8]| {
        let review = admission::decode(body).unwrap_or_else(|error| panic!("{error}"));
        admission::encode(&review.uid, &inject(&review.request, &snapshot))
    };
    let mut group = c.benchmark_group("bytes in to bytes out");
    for (size, containers) in [("small", 1), ("medium", 3), ("large", 20)] {
        for templates in [0, 1, 2] {
            let body = review(containers, &annotations(templates));
            // A rejection would be fast and mean nothing.
            let text = String::from_utf8(answer(&body)).unwrap_or_default();
            assert!(text.contains("\"allowed\":true") && (templates == 0 || text.contains("JSONPatch")), "{text}");
            group.throughput(Throughput::Bytes(body.len() as u64));
            group.bench_with_input(BenchmarkId::new(size, format!("{templates} templates")), &body, |b, body| {
                b.iter(|| black_box(answer(black_box(body))));
            });
        }
    }
    let body = review(3, &json!({"inject/names-object": "true"}));
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_with_input(BenchmarkId::new("medium", "1 template that names object"), &body, |b, body| {
        b.iter(|| black_box(answer(black_box(body))));
    });
    group.finish();
}

fn parts(c: &mut Criterion) {
    let snapshot = snapshot();
    let body = review(3, &annotations(2));
    let review = admission::decode(&body).unwrap_or_else(|error| panic!("{error}"));
    let outcome = inject(&review.request, &snapshot);
    let mut group = c.benchmark_group("parts, medium, 2 templates");
    group.bench_function("decode", |b| b.iter(|| black_box(admission::decode(black_box(&body)).is_ok())));
    group.bench_function("inject", |b| b.iter(|| black_box(inject(black_box(&review.request), &snapshot))));
    group.bench_function("encode", |b| b.iter(|| black_box(admission::encode(&review.uid, black_box(&outcome)))));
    group.finish();
}

fn load(c: &mut Criterion) {
    let options = LoadOptions::default();
    c.bench_function("compile a template", |b| {
        b.iter(|| black_box(template::load(Origin("bench.yaml".into()), black_box(NAMES_OBJECT), &options).is_ok()));
    });
    c.bench_function("compile the built-in templates", |b| b.iter(|| black_box(template::builtin(&options).is_ok())));
}

criterion_group!(benches, bytes_in_to_bytes_out, parts, load);
criterion_main!(benches);
