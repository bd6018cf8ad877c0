//! The built-in templates: what the engine makes of them, run by a real busybox.
//!
//! Without busybox on the machine these tests say so and pass; with `CI=true` they fail.

mod backup;
mod busybox;
mod cache;
mod config_reloader;
mod content_sync;
mod fetch_config;
mod generate_secret;
mod log_shipper;
mod proxy;
mod server;
mod validate_env;
mod volumes;
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
    container_beside(&json!({"name": "web", "image": "nginx:1.27"}), name, annotations)
}

/// The same for a pod with this app container.
fn container_beside(app: &Value, name: &str, annotations: &[(&str, &str)]) -> Value {
    let containers = injected(app, annotations);
    containers.into_iter().find(|container| container["name"] == name).expect("it is there")
}

/// The container of this name that a pod with these annotations gets, if it is admitted.
fn try_container(name: &str, annotations: &[(&str, &str)]) -> Option<Value> {
    let containers = try_injected(&json!({"name": "web", "image": "nginx:1.27"}), annotations).ok()?;
    containers.into_iter().find(|container| container["name"] == name)
}

/// The containers that a pod with these annotations gets.
fn injected(app: &Value, annotations: &[(&str, &str)]) -> Vec<Value> {
    try_injected(app, annotations).expect("the pod is admitted")
}

/// The same, or what the pod gets instead.
fn try_injected(app: &Value, annotations: &[(&str, &str)]) -> Result<Vec<Value>, String> {
    let annotations: Value = annotations.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "annotations": annotations},
        "spec": {"containers": [app], "volumes": [{"name": "data", "emptyDir": {}}]},
    });
    let (text, snapshot) = (pod.to_string(), snapshot());
    let request = PodRequest::create(&text, "default").unwrap();
    let patched = match inject(&request, &snapshot) {
        Outcome::Inject(plan) => promises::keep(&text, &plan.patch()),
        other => return Err(format!("{other:?}")),
    };
    let containers = promises::containers(&patched["spec"]).into_iter().map(|(_, container)| container.clone());
    Ok(containers.filter(|container| container["name"] != "web").collect())
}

/// The containers of a template, for a pod that gives its parameters the values that are their examples, and mounts
/// something wherever one of them may ask for it.
fn example(template: &Template) -> Vec<Value> {
    let mut annotations = vec![(format!("inject/{}", template.name), "true".to_owned())];
    let mut mounts = Vec::new();
    for parameter in &template.parameters {
        if let Some(example) = &parameter.example {
            annotations.push((format!("inject/{}.{}", template.name, parameter.name), example.to_string()));
        }
        let path = parameter.example.as_ref().or(parameter.default.as_ref()).map(ToString::to_string);
        mounts.extend(path.filter(|path| path.starts_with('/')).map(|path| json!({"name": "data", "mountPath": path})));
    }
    let annotations: Vec<_> = annotations.iter().map(|(key, value)| (&**key, &**value)).collect();
    let app = json!({
        "name": "web",
        "image": "nginx:1.27",
        // As the API server fills in.
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": 80}],
        "securityContext": {"runAsUser": 101},
        "volumeMounts": mounts,
    });
    injected(&app, &annotations)
}

#[test]
fn every_container_is_pinned_and_bounded() {
    for template in templates() {
        for container in example(&template) {
            let name = &template.name;
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
}

/// The kubelet halves `$$` and expands what it knows of `$(...)`.
#[test]
fn scripts_reach_their_shell_as_they_are_written() {
    for template in templates() {
        for container in example(&template) {
            let words = container["command"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let variables = container["env"].as_array().into_iter().flatten();
            let variables: Vec<_> = variables.map(|variable| variable["name"].as_str().unwrap()).collect();
            for script in words.filter(|word| word.contains('\n')) {
                let expanded = |name: &&str| script.contains(&format!("$({name})"));
                assert!(!script.contains("$$") && !variables.iter().any(expanded), "{}: {script}", template.name);
            }
        }
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
