//! Objects that scenarios are made of.

use serde_json::{Value, json};

/// A script for a container that has nothing to do, and ends when it is told to.
pub const IDLE: &str = "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done";

/// A pod with these annotations and one container, `app`, which runs a script with busybox, meets the restricted Pod
/// Security Standard and declares resources.
pub fn pod(name: &str, annotations: &Value, script: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}, "annotations": annotations},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "app",
                "image": "busybox:1.36",
                "command": ["sh", "-c", script],
                "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"cpu": "500m", "memory": "64Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

/// The pod of [`pod`] with this JSON merged into its container (RFC 7386), and these volumes.
pub fn with(mut pod: Value, container: &Value, volumes: Value) -> Value {
    json_patch::merge(&mut pod["spec"]["containers"][0], container);
    pod["spec"]["volumes"] = volumes;
    pod
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
