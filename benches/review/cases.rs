//! Which reviews are measured, and what they are decided by.

use std::sync::Arc;

use podgraft::admission;
use podgraft::inject::inject;
use podgraft::snapshot::Snapshot;
use podgraft::template::{self, LoadOptions, Origin};
use serde_json::{Value, json};

use crate::review::annotations;
use crate::sizes::SIZES;

/// Templates whose expressions look at the pod: at a label, and at the target.
const LOOKING: &str = r#"
apiVersion: podgraft.dev/v1alpha1
kind: ClusterInjectionTemplate
metadata: {name: names-object}
spec:
  description: Hand the pod's own name on.
  target:
    env: [{name: APP, value: "{{ object.metadata.?labels.app.orValue('none') }}"}]
---
apiVersion: podgraft.dev/v1alpha1
kind: ClusterInjectionTemplate
metadata: {name: names-target}
spec:
  description: Hand the target's image on.
  target:
    env: [{name: IMAGE, value: "{{ target.image }}"}]
"#;

/// A review to be answered.
pub struct Case {
    /// The pod.
    pub size: &'static str,
    /// What it asks for.
    pub what: &'static str,
    /// The bytes.
    pub body: Vec<u8>,
}

/// Six more that go together with log-shipper and wait-for-db.
fn eight() -> Value {
    json!({
        "inject/log-shipper": "/var/log/orders", "inject/wait-for-db": "postgres://orders-db",
        "inject/wait-for-service": "auth,queue:5672,http://config/ready", "inject/set-env": "REGION=eu,STAGE=live",
        "inject/metrics-exporter": "nginx/nginx-prometheus-exporter:1.4.2", "inject/metrics-exporter.port": "9113",
        "inject/cache": "64Mi", "inject/validate-env": "REGION,STAGE", "inject/seed-volume": "/usr/share/seed"
    })
}

/// All of them. A rejection would be fast and mean nothing, so there is none.
#[expect(clippy::panic, reason = "a bench that can't run says why")]
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in SIZES {
        let asked = [
            ("0 templates", annotations(0)),
            ("1 template", annotations(1)),
            ("2 templates", annotations(2)),
            ("8 templates", eight()),
            ("1 that names object", json!({"inject/names-object": "true"})),
            ("1 that names target", json!({"inject/names-target": "true"})),
        ];
        let reviews = asked.into_iter().map(|(what, asked)| Case { size: size.name, what, body: size.review(&asked) });
        cases.extend(reviews);
    }
    let snapshot = snapshot();
    for Case { size, what, body } in &cases {
        let review = admission::decode(body).unwrap_or_else(|error| panic!("{error}"));
        let answer = admission::encode(&review.uid, &inject(&review.request, &snapshot));
        let text = String::from_utf8_lossy(&answer);
        let good = text.contains("\"allowed\":true") && text.contains("JSONPatch") != what.starts_with('0');
        assert!(good && !text.contains("warnings"), "{size}, {what}: {text}");
    }
    cases
}

/// The built-in templates and [`LOOKING`].
#[expect(clippy::panic, reason = "a bench that can't run says why")]
pub fn snapshot() -> Snapshot {
    let options = LoadOptions::default();
    let mut snapshot = Snapshot::default();
    let builtin = template::builtin(&options).unwrap_or_else(|errors| panic!("{errors:?}"));
    let own = template::load(Origin("bench.yaml".into()), LOOKING, &options).unwrap_or_else(|error| panic!("{error}"));
    for template in builtin.into_iter().chain(own.templates) {
        snapshot.templates.insert(Arc::new(template));
    }
    snapshot
}
