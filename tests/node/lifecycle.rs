//! A pod's life with grafts.

use serde_json::{Value, json};

use crate::manifests::{IDLE, pod};
use crate::scene::Scene;

#[test]
fn two_grafts_of_one_template_work_side_by_side() {
    let Some(scene) = Scene::set("two") else { return };
    let annotations = json!({"inject/log-shipper": "/var/log/app", "audit.inject/log-shipper": "/var/log/audit"});
    let script = "echo ordinary >/var/log/app/a.log; echo secret >/var/log/audit/a.log;";
    scene.apply(pod("web", &annotations, &format!("{script} {IDLE}")));
    let ordinary = scene.until_logged("web", "log-shipper", "ordinary");
    assert!(!ordinary.contains("secret"), "{ordinary}");
    let secret = scene.until_logged("web", "log-shipper-audit", "secret");
    assert!(!secret.contains("ordinary"), "{secret}");
}

/// `kubectl get -o yaml | kubectl replace --force -f -`.
#[test]
fn a_pod_that_comes_back_with_its_grafts_gets_no_more() {
    let Some(scene) = Scene::set("again") else { return };
    let annotations = json!({"inject/log-shipper": "true", "inject/wait-for-db": "tcp://kubernetes.default:443"});
    scene.apply(pod("web", &annotations, &format!("echo hello >/var/log/app/a.log; {IDLE}")));
    scene.wait("pod/web", "condition=Ready");
    let names = |pod: &Value| {
        let parts = ["containers", "initContainers", "volumes"].iter().filter_map(|part| pod["spec"][part].as_array());
        parts.flatten().map(|part| part["name"].clone()).collect::<Vec<_>>()
    };
    let before = scene.object("pod/web");
    let manifest = scene.kubectl(&["get", "pod", "web", "-o", "yaml"]);
    scene.kubectl_with(&["replace", "--force", "-f", "-"], &manifest);
    scene.wait("pod/web", "condition=Ready");
    let after = scene.object("pod/web");
    assert_ne!(before["metadata"]["uid"], after["metadata"]["uid"], "it is another pod");
    assert_eq!(names(&before), names(&after));
    scene.until_logged("web", "log-shipper", "hello");
}

#[test]
fn sidecars_run_as_ordinary_containers_where_that_is_asked_for() {
    let Some(scene) = Scene::set_with_options("classic", &["--native-sidecars=never"]) else { return };
    scene.apply(pod("web", &json!({"inject/log-shipper": "true"}), &format!("echo hello >/var/log/app/a.log; {IDLE}")));
    scene.wait("pod/web", "condition=Ready");
    assert_eq!(scene.get("pod/web", "{.spec.containers[*].name}"), "app log-shipper");
    assert_eq!(scene.get("pod/web", "{.spec.initContainers}"), "");
    scene.until_logged("web", "log-shipper", "hello");
    // Without -c, kubectl still means the app.
    assert_eq!(scene.kubectl(&["exec", "web", "--", "cat", "/var/log/app/a.log"]), "hello\n");
}
