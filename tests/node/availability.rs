//! podgraft comes and goes; pods don't notice.

use std::thread;

use serde_json::{Value, json};

use crate::cluster::skipped;
use crate::manifests::{IDLE, pod};
use crate::podgraft::NOT_IN_CLUSTER;
use crate::scene::Scene;

#[test]
fn no_pod_is_lost_while_podgraft_is_restarted() {
    let Some(scene) = Scene::set_with_options("restart", &[]) else { return };
    let Some(namespace) = scene.podgraft().namespace() else { return skipped("restart", NOT_IN_CLUSTER) };
    let pods: Vec<Value> =
        (0..50).map(|n| pod(&format!("web-{n}"), &json!({"inject/log-shipper": "true"}), IDLE)).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": pods}).to_string();
    // One kubectl asks for one pod after the other, and goes on after a refusal.
    let create = ["create", "--dry-run=server", "-f", "-", "-o", r#"jsonpath={.spec.initContainers[*].name}{"\n"}"#];

    let restart = |subcommand| scene.kubectl(&["rollout", subcommand, "deployment/podgraft", "-n", namespace]);
    let before = scene.kubectl(&["get", "pods", "-n", namespace, "-o", "name"]);
    thread::scope(|scope| {
        let restarted = scope.spawn(|| {
            restart("restart");
            restart("status");
            // The last of the old ones is still ending.
            for pod in before.lines() {
                scene.kubectl(&["wait", pod, "--for=delete", "--timeout=2m", "-n", namespace]);
            }
        });
        while !restarted.is_finished() {
            assert_eq!(scene.kubectl_with(&create, &list), "log-shipper\n".repeat(pods.len()));
        }
        restarted.join().expect("the restart succeeds");
    });
}
