//! Other webhooks beside us.

use serde_json::{Value, json};

use crate::control_plane::PLAIN;
use crate::podgraft::Podgraft;
use crate::scene::{Scene, Webhook, named, pod};
use crate::stub::{Stub, allow};

/// A webhook that is called after us and adds a container at `path`, so that the API server calls us a second time.
async fn beside_a_neighbour(name: &str, path: &'static str) {
    let Some(scene) = Scene::set(&PLAIN, name).await else { return };
    let podgraft = Podgraft::serve(&scene, &[]).await;
    scene.register(&podgraft, &[]).await;
    let neighbour = Stub::serve(move |_, review| {
        let proxy = json!({"name": "proxy", "image": "registry.example/proxy:1"});
        allow(review, &json!([{"op": "add", "path": path, "value": proxy}]))
    });
    let neighbour = neighbour.await;
    scene.register_as(registration("zzz-neighbour"), &neighbour, &[]).await;

    let (ours, theirs) = (podgraft.calls().await, neighbour.calls().await);
    let asking = pod(
        "app",
        &json!({"inject/log-shipper": "true", "inject/wait-for-db": "orders-db:5432", "inject/set-env": "MODE=fast"}),
    );
    scene.create(&asking).await.expect("a pod");
    assert_eq!(podgraft.calls().await - ours, 2, "we are called again, because the pod changed after us");
    assert_eq!(neighbour.calls().await - theirs, 1, "the neighbour is not: our second answer changed nothing");

    let stored = scene.stored(&asking).await.expect("the pod");
    let init: Vec<_> = names(&stored["spec"]["initContainers"]);
    assert_eq!(init.len(), 2, "{init:?}");
    named(&stored["spec"]["initContainers"], "log-shipper");
    named(&stored["spec"]["initContainers"], "wait-for-db");
    assert_eq!(names(&stored["spec"]["containers"]).len(), 2);
    assert_eq!(named(&stored["spec"]["containers"], "proxy").get("env"), None);
    let app = named(&stored["spec"]["containers"], "app");
    assert_eq!(app["env"], json!([{"name": "MODE", "value": "fast"}]));
    assert_eq!(app["volumeMounts"].as_array().map(Vec::len), Some(1), "{app:#}");
    assert_eq!(stored["spec"]["volumes"].as_array().map(Vec::len), Some(VOLUMES), "{:#}", stored["spec"]["volumes"]);
}

/// The shared logs, and the cover of the service account token.
const VOLUMES: usize = 2;

#[tokio::test]
async fn a_container_appended_after_us_changes_nothing() {
    beside_a_neighbour("appended", "/spec/containers/-").await;
}

#[tokio::test]
async fn a_container_put_first_after_us_changes_nothing() {
    beside_a_neighbour("put-first", "/spec/containers/0").await;
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|entry| entry["name"].as_str()).collect()
}

/// A registration for all pods, called again as ours is.
pub fn registration(name: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [{
            "name": "neighbour.example.com",
            "admissionReviewVersions": ["v1"],
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
            "reinvocationPolicy": "IfNeeded",
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "timeoutSeconds": 5,
        }],
    })
}
