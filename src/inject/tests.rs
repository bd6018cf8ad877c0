//! What the engine's tests begin with.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::snapshot::Snapshot;
use crate::template::{LoadOptions, Origin, load};

/// A snapshot of templates of these names and specs, and nothing else.
pub fn snapshot(templates: &[(&str, &Value)]) -> Snapshot {
    let (version, kind) = ("podgraft.dev/v1alpha1", "ClusterInjectionTemplate");
    let mut snapshot = Snapshot::default();
    for (name, spec) in templates {
        let text = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}).to_string();
        let loaded = load(Origin(format!("{name}.yaml").into()), &text, &LoadOptions::default());
        for template in loaded.unwrap_or_else(|error| panic!("{error}")).templates {
            snapshot.templates.insert(Arc::new(template));
        }
    }
    snapshot
}
