//! The built-in templates: what the engine makes of them, run by a real busybox.
//!
//! Without busybox on the machine these tests say so and pass; with `CI=true` they fail.

mod busybox;
mod log_shipper;
mod waiters;

use std::sync::{Arc, LazyLock};

use podgraft::inject::request::PodRequest;
use podgraft::inject::{Outcome, inject};
use podgraft::snapshot::Snapshot;
use podgraft::template::{self, LoadOptions, Template};
use serde_json::{Value, json};

use crate::promises;

static TEMPLATES: LazyLock<Vec<Arc<Template>>> = LazyLock::new(|| {
    let templates = template::builtin(&LoadOptions::default());
    let templates =
        templates.unwrap_or_else(|errors| panic!("{}", errors.iter().map(ToString::to_string).collect::<String>()));
    templates.into_iter().map(Arc::new).collect()
});

/// The built-in templates, compiled once.
pub fn templates() -> impl Iterator<Item = Arc<Template>> {
    TEMPLATES.iter().map(Arc::clone)
}

/// A snapshot of the built-in templates alone.
pub fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::default();
    templates().for_each(|template| snapshot.templates.insert(template));
    snapshot
}

/// The container of this name that a pod with these annotations gets.
fn container(name: &str, annotations: &[(&str, &str)]) -> Value {
    let annotations: Value = annotations.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "annotations": annotations},
        "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]},
    });
    let (text, snapshot) = (pod.to_string(), snapshot());
    let request = PodRequest::create(&text, "default").unwrap();
    let patched = match inject(&request, &snapshot) {
        Outcome::Inject(plan) => promises::keep(&text, &plan.patch()),
        other => panic!("{other:?}"),
    };
    let containers = promises::containers(&patched["spec"]);
    let (_, container) = containers.into_iter().find(|(_, container)| container["name"] == name).expect("it is there");
    container.clone()
}

/// The Pod Security Standard "restricted" (Kubernetes documentation), as far as a container can break it.
#[test]
fn every_container_is_restricted_and_declares_resources() {
    for (name, key, value) in [
        ("wait-for-db", "inject/wait-for-db", "true"),
        ("wait-for-service", "inject/wait-for-service", "myservice"),
        ("log-shipper", "inject/log-shipper", "true"),
    ] {
        let container = container(name, &[(key, value)]);
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}), "{name}");
        assert_eq!(security["runAsNonRoot"], true, "{name}");
        assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
        assert!(security["runAsUser"].as_i64().is_some_and(|user| user > 0), "{name}");
        for resource in ["cpu", "memory"] {
            for kind in ["requests", "limits"] {
                assert!(container["resources"][kind][resource].is_string(), "{name}: {kind}.{resource}");
            }
        }
        let image = container["image"].as_str().unwrap();
        assert!(image.contains(':') && !image.ends_with(":latest"), "{name}: {image} is pinned");
        assert_eq!(container["imagePullPolicy"], "IfNotPresent", "{name}");
    }
}

#[test]
fn everything_is_described() {
    for template in templates() {
        assert!(template.description.ends_with('.'), "{}", template.name);
        for parameter in &template.parameters {
            assert!(parameter.description.ends_with('.'), "{}: {}", template.name, parameter.name);
            assert!(parameter.default.is_some() || parameter.example.is_some(), "{}", parameter.name);
        }
    }
}
