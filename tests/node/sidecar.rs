//! What the sidecars of the built-in templates do in real pods.

mod backup;
mod cache;
mod config_reloader;
mod content_sync;
mod log_shipper;
mod metrics_exporter;
mod proxy;

use serde_json::{Value, json};

/// The pod of [`pod`](crate::scene::pod) with this JSON merged into its container (RFC 7386), and these volumes.
pub fn with(mut pod: Value, container: Value, volumes: Value) -> Value {
    merge(&mut pod["spec"]["containers"][0], container);
    pod["spec"]["volumes"] = volumes;
    pod
}

fn merge(value: &mut Value, change: Value) {
    match change {
        Value::Object(members) => members.into_iter().for_each(|(key, member)| merge(&mut value[key], member)),
        other => *value = other,
    }
}

/// A ConfigMap.
pub fn config_map(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// A pod, `web`, of nginx as its image comes.
pub fn nginx(annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "annotations": annotations},
        "spec": {"containers": [{"name": "nginx", "image": "nginx:1.27", "ports": [{"containerPort": 80}]}]},
    })
}

/// A Service for the pod of the same name.
pub fn service(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": port}]},
    })
}
