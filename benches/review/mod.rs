//! Reviews as an API server sends them, for all benches.

use serde_json::{Value, json};

/// A container with what people and the API server's defaults write into one: about 2.2 kB.
fn container(index: usize) -> Value {
    let env = |n: usize| json!({"name": format!("SETTING_{n}"), "value": format!("value-{n}-of-container-{index}")});
    let probe = |path: &str| {
        json!({"httpGet": {"path": path, "port": 8080, "scheme": "HTTP"}, "initialDelaySeconds": 5,
               "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3})
    };
    let mut env: Vec<Value> = (0..12).map(env).collect();
    env.push(json!({"name": "POD_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}}));
    json!({
        "name": format!("app-{index}"),
        "image": format!("registry.example.com/team/service-{index}:1.{index}.0"),
        "args": ["--config=/etc/app/config.yaml", "--listen=:8080", "--log-format=json"],
        "ports": [{"name": format!("http-{index}"), "containerPort": 8080 + index, "protocol": "TCP"}],
        "env": env,
        "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "250m", "memory": "256Mi"}},
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/app", "readOnly": true},
            {"name": "kube-api-access-x7k2p", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
        ],
        "livenessProbe": probe("/healthz"),
        "readinessProbe": probe("/readyz"),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"allowPrivilegeEscalation": false, "runAsUser": 1000, "runAsGroup": 1000,
                            "capabilities": {"drop": ["ALL"]}}
    })
}

/// A pod with this many containers and these annotations.
pub fn pod(containers: usize, annotations: &Value) -> Value {
    json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "generateName": "orders-5d8f6c7b9-",
            "namespace": "shop",
            "labels": {"app": "orders", "pod-template-hash": "5d8f6c7b9", "tier": "backend"},
            "annotations": annotations,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "orders-5d8f6c7b9",
                "uid": "5a3c1bb0-5f0e-4d0e-9a57-3c7e4a0f2f11", "controller": true, "blockOwnerDeletion": true}],
            "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
                "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:generateName": {}}}}]
        },
        "spec": {
            "volumes": [
                {"name": "config", "configMap": {"name": "orders", "defaultMode": 420}},
                {"name": "kube-api-access-x7k2p", "projected": {"defaultMode": 420, "sources": [
                    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}]}}
            ],
            "containers": (0..containers).map(container).collect::<Vec<_>>(),
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default",
            "securityContext": {},
            "schedulerName": "default-scheduler",
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": 300}],
            "priority": 0,
            "enableServiceLinks": true,
            "preemptionPolicy": "PreemptLowerPriority"
        },
        "status": {}
    })
}

/// A review of such a pod.
pub fn review(containers: usize, annotations: &Value) -> Vec<u8> {
    created(["", "Pod", "pods"], &pod(containers, annotations))
}

/// A review of an object of this group, kind and resource that is to be created.
pub fn created([group, kind, resource]: [&str; 3], object: &Value) -> Vec<u8> {
    let kind = json!({"group": group, "version": "v1", "kind": kind});
    let resource = json!({"group": group, "version": "v1", "resource": resource});
    let review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
            "namespace": "shop", "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller",
                "groups": ["system:serviceaccounts", "system:authenticated"]},
            "object": object, "oldObject": null, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}
        }
    });
    review.to_string().into_bytes()
}

/// The annotations that ask for none, one or both of the templates.
pub fn annotations(templates: usize) -> Value {
    match templates {
        0 => json!({"team": "orders"}),
        1 => json!({"inject/log-shipper": "/var/log/orders"}),
        _ => json!({"inject/log-shipper": "/var/log/orders", "inject/wait-for-db": "postgres://orders-db"}),
    }
}
