//! The pod of trial renderings: an ordinary one, with what expressions like to look at.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::expression::Variable;

/// The value of a variable.
pub(super) fn variable(variable: Variable) -> &'static Value {
    static VALUES: LazyLock<Value> = LazyLock::new(values);
    let (key, index) = match variable {
        Variable::Object => ("object", None),
        Variable::NamespaceObject => ("namespaceObject", None),
        Variable::Request => ("request", None),
        Variable::Target => ("targets", Some(0)),
        Variable::Targets => ("targets", None),
        Variable::Instance => ("instance", None),
        Variable::Podgraft => ("podgraft", None),
    };
    match index {
        None => &VALUES[key],
        Some(index) => &VALUES[key][index],
    }
}

/// An item for a `forEach` whose list is empty or unknown.
pub(super) fn item() -> Value {
    json!("item")
}

fn values() -> Value {
    let container = json!({
        "name": "app",
        "image": "registry.example/app:1.0",
        "command": ["/app"],
        "args": ["--serve"],
        "env": [{"name": "PORT", "value": "8080"}],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
        "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "runAsNonRoot": true},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "workingDir": "/",
        "imagePullPolicy": "IfNotPresent",
    });
    let metadata = |name: &str| {
        json!({
            "name": name,
            "namespace": "default",
            "labels": {"app": "app", "app.kubernetes.io/name": "app"},
            "annotations": {"example.com/owner": "team"},
        })
    };
    json!({
        "object": {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata("app"),
            "spec": {
                "containers": [container],
                "initContainers": [],
                "volumes": [{"name": "data", "emptyDir": {}}],
                "securityContext": {"runAsUser": 1000, "fsGroup": 1000},
                "serviceAccountName": "default",
                "restartPolicy": "Always",
                "nodeSelector": {"kubernetes.io/os": "linux"},
            },
        },
        "namespaceObject": {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata("default")},
        "request": {"namespace": "default", "name": "app", "operation": "CREATE", "dryRun": false},
        "targets": [container],
        "instance": "",
        "podgraft": {"image": concat!("podgraft:", env!("CARGO_PKG_VERSION")), "version": env!("CARGO_PKG_VERSION")},
    })
}
