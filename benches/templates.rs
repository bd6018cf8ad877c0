//! What templates cost when they are loaded, and what it costs to have many: compilation, a snapshot of up to 10,000
//! templates and 5,000 namespaces, a change to one of them, and a request against all.

#![expect(clippy::panic, reason = "a bench that can't run says why")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use podgraft::admission;
use podgraft::inject::inject;
use podgraft::snapshot::{Layer, Namespace, Snapshot};
use podgraft::template::{self, LoadOptions, Origin, Template};
use serde_json::json;

mod review;

const NAMESPACES: usize = 5000;

/// A template as a team writes it.
fn source(index: usize) -> String {
    format!(
        r#"
apiVersion: podgraft.dev/v1alpha1
kind: ClusterInjectionTemplate
metadata: {{name: team-{index}}}
spec:
  description: Hand a region on, and wait for a gateway.
  parameters:
    region: {{type: string, default: eu, enum: [eu, us]}}
    gateway: {{type: string, default: "gateway:8080", pattern: "^[a-z0-9.-]+:[0-9]+$"}}
  primaryParameter: gateway
  target:
    env: [{{name: REGION, value: "{{{{ params.region }}}}"}}]
  initContainers:
    - name: wait-for-gateway
      image: busybox:1.36
      command: [sh, -c, 'until nc -w 2 "$1" "$2" -e true; do sleep 1; done', wait]
      args: ["{{{{ params.gateway.split(':')[0] }}}}", "{{{{ params.gateway.split(':')[1] }}}}"]
      resources: {{requests: {{cpu: 10m, memory: 16Mi}}, limits: {{cpu: 100m, memory: 32Mi}}}}
"#
    )
}

fn load(index: usize) -> Arc<Template> {
    let origin = Origin(format!("team-{index}.yaml").into());
    let loaded = template::load(origin, &source(index), &LoadOptions::default());
    let mut templates = loaded.unwrap_or_else(|error| panic!("{error}")).templates;
    Arc::new(templates.pop().unwrap_or_else(|| panic!("there is one in the file")))
}

fn namespace(index: usize) -> Arc<Namespace> {
    let object = json!({"metadata": {"name": format!("team-{index}"), "labels": {
        "podgraft.dev/inject": "enabled", "kubernetes.io/metadata.name": format!("team-{index}")}}});
    Arc::new(Namespace::from_object(object).unwrap_or_else(|| panic!("it has a name")))
}

fn compilation(c: &mut Criterion) {
    let options = LoadOptions::default();
    let own = source(0);
    let mut group = c.benchmark_group("compile");
    group.bench_function("a small template", |b| {
        b.iter(|| black_box(template::load(Origin("bench.yaml".into()), black_box(&own), &options).is_ok()));
    });
    group.sample_size(20);
    group.bench_function("the built-in templates", |b| b.iter(|| black_box(template::builtin(&options).is_ok())));
    group.finish();
}

fn layer(templates: &[Arc<Template>], namespaces: &[Arc<Namespace>]) -> Layer {
    let mut layer = Layer::default();
    for template in templates {
        layer.templates.insert(Arc::clone(template));
    }
    for namespace in namespaces {
        layer.namespaces.insert(Arc::clone(namespace));
    }
    layer
}

fn many(c: &mut Criterion) {
    let most = 10_000;
    let all: Vec<_> = template::expression::with_deep_stack(|| (0..most).map(load).collect())
        .unwrap_or_else(|error| panic!("{error}"));
    let namespaces: Vec<_> = (0..NAMESPACES).map(namespace).collect();
    let mut below = Snapshot::default();
    for template in template::builtin(&LoadOptions::default()).unwrap_or_else(|errors| panic!("{errors:?}")) {
        below.templates.insert(Arc::new(template));
    }
    let mut asked = review::annotations(1);
    asked["inject/team-7"] = json!("queue:5672");
    let body = review::review(3, &asked);

    let mut group = c.benchmark_group("templates in force, beside 5000 namespaces");
    group.sample_size(20);
    for count in [10, 1000, most] {
        let of = |what: &str| BenchmarkId::new(what.to_owned(), count);
        let templates = &all[..count];
        group.bench_function(of("a snapshot is made of them"), |b| {
            b.iter(|| black_box(below.under(&layer(templates, &namespaces))));
        });
        group.bench_function(of("one is changed, compiled and in force"), |b| {
            let mut changed = templates.to_vec();
            b.iter(|| {
                changed[count / 2] = load(black_box(count / 2));
                black_box(below.under(&layer(&changed, &namespaces)))
            });
        });
        let snapshot = below.under(&layer(templates, &namespaces));
        let review = admission::decode(&body).unwrap_or_else(|error| panic!("{error}"));
        group.bench_function(of("a medium pod asks for two"), |b| {
            b.iter(|| black_box(admission::encode(&review.uid, &inject(black_box(&review.request), &snapshot))));
        });
    }
    group.finish();
}

criterion_group!(benches, compilation, many);
criterion_main!(benches);
