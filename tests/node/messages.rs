//! What is wrong is told where people look.

use serde_json::json;

use crate::manifests::{IDLE, pod};
use crate::scene::Scene;
use crate::workloads::deployment;

#[test]
fn describe_tells_what_an_init_container_has_waited_for() {
    let Some(scene) = Scene::set("describe") else { return };
    let annotations = json!({"inject/wait-for-db": "no-such-db:3306", "inject/wait-for-db.timeout": "1s"});
    let mut pod = pod("web", &annotations, IDLE);
    pod["spec"]["restartPolicy"] = "Never".into();
    scene.apply(pod);
    scene.wait("pod/web", "jsonpath={.status.phase}=Failed");
    let described = scene.kubectl(&["describe", "pod", "web"]);
    let message = described.lines().find(|line| line.trim_start().starts_with("Message:")).unwrap_or_default();
    assert!(message.contains("no-such-db"), "{described}");
}

#[test]
fn kubectl_apply_tells_all_that_is_wrong_with_a_pod() {
    let Some(scene) = Scene::set("apply") else { return };
    let annotations =
        json!({"inject/log-shiper": "true", "inject/wait-for-db": "true", "inject/wait-for-db.port": "many"});
    let why = scene.refused(pod("web", &annotations, IDLE));
    for part in ["inject/log-shiper", "log-shipper", "inject/wait-for-db.port", "many"] {
        assert!(why.contains(part), "no {part} in {why}");
    }
}

#[test]
fn describe_tells_why_a_deployments_pods_are_denied() {
    let Some(scene) = Scene::set("denied") else { return };
    scene.apply(deployment(&json!({"inject/log-shiper": "true"})));
    let described = scene.until("an event of the ReplicaSet", || {
        let described = scene.kubectl(&["describe", "replicaset"]);
        described.contains("FailedCreate").then_some(described)
    });
    assert!(described.contains("inject/log-shiper"), "{described}");
}
