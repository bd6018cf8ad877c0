//! What injected containers may do.

use serde_json::json;

use crate::cluster::skipped;
use crate::manifests::{IDLE, pod};
use crate::podgraft::NOT_IN_CLUSTER;
use crate::scene::Scene;

/// Where a pod's service account has its token.
pub const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

#[test]
fn no_injected_container_holds_the_service_accounts_token() {
    let Some(scene) = Scene::set("token") else { return };
    let annotations = json!({
        "inject/log-shipper": "true",
        "inject/wait-for-service": "awaited",
        // podgraft's own image has nothing to look with.
        "inject/wait-for-service.probe": "busybox",
    });
    scene.apply(pod("web", &annotations, IDLE));

    // Init containers can be looked into while they wait.
    scene.wait("pod/web", "jsonpath={.status.initContainerStatuses[?(@.name=='wait-for-service')].state.running}");
    scene.until_status("web", "Init:1/2");
    assert_eq!(scene.exec("web", "wait-for-service", &["ls", TOKEN]), "");
    scene.apply(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "awaited"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    }));
    scene.wait("pod/web", "condition=Ready");
    assert_eq!(scene.exec("web", "log-shipper", &["ls", TOKEN]), "");
    assert!(scene.exec("web", "app", &["cat", &format!("{TOKEN}/token")]).starts_with("ey"), "the app keeps its token");
}

#[test]
fn podgraft_itself_runs_in_a_namespace_that_enforces_restricted() {
    let Some(scene) = Scene::set("itself") else { return };
    let Some(namespace) = scene.podgraft().namespace() else { return skipped("itself", NOT_IN_CLUSTER) };
    let label = r"{.metadata.labels.pod-security\.kubernetes\.io/enforce}";
    assert_eq!(scene.get(&format!("namespace/{namespace}"), label), "restricted");
    let ready = ["get", "deployment", "podgraft", "-n", namespace, "-o", "jsonpath={.status.readyReplicas}"];
    assert_eq!(scene.kubectl(&ready), "2");
}
