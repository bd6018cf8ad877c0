//! Reviews of what makes pods.

use serde_json::{Value, json};

use crate::review::{created, pod};

/// A review of a Deployment of pods with this many containers and these annotations.
pub fn deployment(containers: usize, annotations: &Value) -> Vec<u8> {
    let template = json!({"metadata": {"annotations": annotations}, "spec": pod(containers, annotations)["spec"]});
    let metadata = json!({"name": "orders", "namespace": "shop"});
    let object =
        json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": metadata, "spec": {"template": template}});
    created(["apps", "Deployment", "deployments"], &object)
}
