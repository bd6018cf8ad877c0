//! `wait-for-db` and `wait-for-service`, one after the other, by either probe. (See also `waiting.rs` and `messages.rs`.)

use serde_json::json;

use super::{failure, once};
use crate::databases::{Database, Kind};
use crate::manifests::{IDLE, pod, service};
use crate::scene::Scene;

/// A web server that is not well until there is a file `/tmp/well`.
const MOODY: &str = r#"
    mkdir -p /tmp/www/cgi-bin && cd /tmp/www
    printf '#!/bin/sh\n[ -e /tmp/well ] || printf "Status: 503 Service Unavailable\\r\\n"; printf "\\r\\n"' >cgi-bin/ready
    chmod +x cgi-bin/ready && exec httpd -f -p 8080"#;

#[test]
fn two_waits_pass_one_after_the_other() {
    let Some(scene) = Scene::set("two-waits") else { return };
    let mut database = Database::make(scene.run, Kind::Redis);
    scene.apply(service("api", 8080));
    scene.apply(pod("api", &json!({}), MOODY));
    let annotations = json!({
        "inject/wait-for-db": database.url(),
        "inject/wait-for-service": "api,api:8080,http://api:8080/cgi-bin/ready",
        "inject/wait-for-service.interval": "1s",
    });
    scene.apply(pod("web", &annotations, IDLE));
    scene.until_logged("web", "wait-for-db", "not yet");
    scene.until_status("web", "Init:0/2");
    database.start();
    scene.until_logged("web", "wait-for-service", "503");
    scene.until_status("web", "Init:1/2");
    scene.exec("api", "app", &["touch", "/tmp/well"]);
    scene.wait("pod/web", "condition=Ready");
}

#[test]
fn busybox_waits_where_podgrafts_image_cannot_be_had() {
    let Some(scene) = Scene::set("busybox-waits") else { return };
    let mut database = Database::make(scene.run, Kind::Redis);
    let annotations = json!({
        "inject/wait-for-db": database.url(),
        "inject/wait-for-db.probe": "busybox",
        "inject/wait-for-service": "api,api:8080,http://api:8080/cgi-bin/ready",
        "inject/wait-for-service.interval": "1s",
        "inject/wait-for-service.probe": "busybox",
    });
    scene.apply(pod("web", &annotations, IDLE));
    scene.until_logged("web", "wait-for-db", "waiting for redis://");
    scene.until_status("web", "Init:0/2");
    database.start();
    // Not even the name is there.
    scene.until_logged("web", "wait-for-service", "waiting for api api:8080 http://api:8080/cgi-bin/ready: ");
    scene.apply(service("api", 8080));
    scene.apply(pod("api", &json!({}), MOODY));
    scene.until_logged("web", "wait-for-service", "http://api:8080/cgi-bin/ready: status 503");
    scene.until_status("web", "Init:1/2");
    scene.exec("api", "app", &["touch", "/tmp/well"]);
    scene.wait("pod/web", "condition=Ready");
}

#[test]
fn a_wait_that_takes_too_long_says_for_what() {
    for probe in ["podgraft", "busybox"] {
        let Some(scene) = Scene::set(&format!("too-long-{probe}")) else { return };
        scene.apply(service("api", 8080));
        let annotations = json!({
            "inject/wait-for-service": "api,missing,api:8080",
            "inject/wait-for-service.timeout": "2s",
            "inject/wait-for-service.interval": "1s",
            "inject/wait-for-service.probe": probe,
        });
        scene.apply(once(pod("web", &annotations, IDLE)));
        let message = failure(&scene, "web", "wait-for-service");
        assert!(message.contains("missing") && message.contains("api:8080"), "{message}");
    }
}

#[test]
fn kubectl_apply_warns_of_names_that_the_nodes_dns_does_not_know() {
    let Some(scene) = Scene::set("node-dns") else { return };
    let mut pod = pod("web", &json!({"inject/wait-for-db": "orders-db"}), IDLE);
    pod["spec"]["dnsPolicy"] = "Default".into();
    let warnings = scene.apply(pod);
    assert!(warnings.contains("orders-db looks like a Service's name"), "{warnings}");
}

#[test]
fn a_pod_that_still_waits_is_deleted_without_a_delay() {
    let Some(scene) = Scene::set("deleted") else { return };
    let waits = [
        ("podgraft", "wait-for-db", json!({"inject/wait-for-db": "missing"})),
        ("busybox", "wait-for-db", json!({"inject/wait-for-db": "missing", "inject/wait-for-db.probe": "busybox"})),
        ("fetch", "fetch-config", json!({"inject/fetch-config": "http://missing/file"})),
    ];
    for (name, _, annotations) in &waits {
        let mut pod = pod(name, annotations, IDLE);
        // Longer than this test waits.
        pod["spec"]["terminationGracePeriodSeconds"] = 600.into();
        scene.apply(pod);
    }
    for (name, container, _) in &waits {
        scene.until_logged(name, container, "missing");
        scene.kubectl(&["delete", "pod", name, "--wait=false"]);
    }
    for (name, ..) in &waits {
        scene.wait(&format!("pod/{name}"), "delete");
    }
}
