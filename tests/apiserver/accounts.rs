//! Beside the ServiceAccount admission plugin, which mounts a token into every container that has nothing at its path.

use serde_json::{Value, json};

use crate::control_plane::FULL;
use crate::podgraft::Podgraft;
use crate::scene::{Scene, Webhook, named, pod};

/// Where the plugin mounts the token.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

#[tokio::test]
async fn one_call_a_pod_and_no_token_in_our_containers() {
    let Some(scene) = Scene::set(&FULL, "accounts").await else { return };
    scene.account().await;
    let podgraft = Podgraft::serve(&scene, &[]).await;
    scene.register(&podgraft, &[]).await;

    let before = podgraft.calls().await;
    let asking = pod("app", &json!({"inject/log-shipper": "true", "inject/wait-for-db": "true"}));
    scene.create(&asking).await.expect("a pod");
    assert_eq!(podgraft.calls().await - before, 1, "calls for one pod");

    let stored = scene.stored(&asking).await.expect("the pod");
    let app = named(&stored["spec"]["containers"], "app");
    assert!(token_volume(&stored, app)["projected"].is_object(), "the app keeps its token: {stored:#}");
    for name in ["log-shipper", "wait-for-db"] {
        let container = named(&stored["spec"]["initContainers"], name);
        assert!(token_volume(&stored, container)["projected"].is_null(), "{name} has a token: {stored:#}");
    }
}

/// The volume that a container mounts at the token's path.
fn token_volume<'v>(pod: &'v Value, container: &Value) -> &'v Value {
    let mounts: Vec<_> = container["volumeMounts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|mount| mount["mountPath"] == TOKEN)
        .collect();
    assert_eq!(mounts.len(), 1, "mounts at {TOKEN}: {container:#}");
    named(&pod["spec"]["volumes"], mounts[0]["name"].as_str().expect("a name"))
}
