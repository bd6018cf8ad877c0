//! Namespaces, whose annotations are defaults for their pods.

use serde_json::json;

use crate::scene::{named, pod};

use super::{scene, serve};

#[tokio::test]
async fn the_first_pod_of_a_new_namespace_has_its_defaults() {
    let Some(scene) = scene("parent").await else { return };
    let podgraft = serve(&scene, &[]).await;
    let names: Vec<String> = (0..10).map(|round| format!("at-once-{round}")).collect();
    scene.register(&podgraft, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for name in &names {
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": {"podgraft.dev/inject": "enabled"},
                "annotations": {"inject/log-shipper": "true"},
            },
        });
        scene.post("/api/v1/namespaces", &namespace).await.expect("a namespace");
        let path = format!("/api/v1/namespaces/{name}/pods");
        let created = scene.post(&path, &pod("app", &json!({}))).await.expect("a pod");
        named(&created["spec"]["initContainers"], "log-shipper");
        let declined =
            scene.post(&path, &pod("without", &json!({"inject/log-shipper": "false"}))).await.expect("a pod");
        assert!(declined["spec"]["initContainers"].is_null(), "{declined:#}");
    }
}
