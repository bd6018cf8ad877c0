//! When podgraft is down or busy.

use axum::http::StatusCode;
use serde_json::json;

use crate::control_plane::PLAIN;
use crate::neighbours::registration;
use crate::podgraft::Podgraft;
use crate::scene::{Scene, Webhook, pod};
use crate::stub::{Stub, allow, later};

#[tokio::test]
async fn without_us_pods_that_ask_are_denied_and_others_created() {
    let defaults = json!({"labels": {"podgraft.dev/inject": "enabled"}});
    let Some(scene) = Scene::set_with(&PLAIN, "down", defaults).await else { return };
    let mut podgraft = Podgraft::serve(&scene, &[]).await;
    scene.register(&podgraft, &[]).await;
    podgraft.kill();

    let status = scene.create(&pod("asking", &json!({"inject/log-shipper": "true"}))).await.expect_err("a denial");
    assert_eq!(status.code, 500, "{status:#?}");
    assert!(status.message.contains(r#"failed calling webhook "pods.podgraft.dev""#), "{}", status.message);
    // The namespace's entry lets pods in without us.
    scene.create(&pod("other", &json!({"sidecar.istio.io/inject": "true"}))).await.expect("a pod");
}

#[tokio::test]
async fn the_api_server_comes_back_where_it_is_asked_to() {
    let Some(scene) = Scene::set(&PLAIN, "retried").await else { return };
    let stub = Stub::serve(|call, review| match call {
        // The registration's probe.
        1 => allow(review, &json!([])),
        2 => later(StatusCode::TOO_MANY_REQUESTS),
        3 => later(StatusCode::SERVICE_UNAVAILABLE),
        _ => allow(review, &json!([{"op": "add", "path": "/metadata/labels", "value": {"calls": call.to_string()}}])),
    });
    let stub = stub.await;
    scene.register_as(registration("busy"), &stub, &[]).await;
    assert_eq!(stub.calls().await, 1);

    let created = scene.create(&pod("app", &json!({}))).await.expect("a pod");
    assert_eq!(created["metadata"]["labels"]["calls"], "4");
}
