//! `config-reloader`.

use serde_json::{Value, json};

use crate::manifests::{config_map, pod, with};
use crate::scene::Scene;

/// The app: its URL /cgi-bin/reload copies what is configured, once it may.
const APP: &str = r#"
    mkdir -p /tmp/www/cgi-bin && cd /tmp/www
    printf '#!/bin/sh\n[ -e /tmp/ready ] || exit\ncp /etc/app/greeting /tmp/in-force
        printf "Content-Type: text/plain\\r\\n\\r\\n"' >cgi-bin/reload
    chmod +x cgi-bin/reload && exec httpd -f -p 8080"#;

fn app(mount: &Value) -> Value {
    let annotations = json!({
        "inject/config-reloader": "/etc/app",
        "inject/config-reloader.url": "http://localhost:8080/cgi-bin/reload",
        "inject/config-reloader.interval": "1s",
    });
    let volumes = json!([{"name": "config", "configMap": {"name": "greeting"}}]);
    with(pod("web", &annotations, APP), &json!({"volumeMounts": [mount]}), volumes)
}

#[test]
fn a_changed_config_map_is_in_force_as_soon_as_the_app_takes_it() {
    let Some(scene) = Scene::set("reload") else { return };
    let greet = |greeting: &str| scene.apply(config_map("greeting", &json!({"greeting": greeting})));
    greet("hello");
    scene.apply(app(&json!({"name": "config", "mountPath": "/etc/app"})));
    scene.wait("pod/web", "condition=Ready");
    scene.until_logged("web", "config-reloader", "watching /etc/app");
    greet("good evening");
    // The kubelet looks after a pod at once that changes, else within a minute or two.
    scene.kubectl(&["annotate", "pod", "web", "example.com/touched=true"]);
    scene.until_logged("web", "config-reloader", "not reloaded; trying again in 1 s");
    scene.exec("web", "app", &["touch", "/tmp/ready"]);
    let log = scene.until_logged("web", "config-reloader", "\nreloaded\n");
    assert_eq!(scene.exec("web", "app", &["cat", "/tmp/in-force"]), "good evening");
    assert!(log.contains("/etc/app has changed: POST http://localhost:8080/cgi-bin/reload"), "{log}");
}

#[test]
fn what_never_updates_is_refused_with_the_reason() {
    let Some(scene) = Scene::set("sub-path") else { return };
    let why = scene.refused(app(&json!({"name": "config", "mountPath": "/etc/app/greeting", "subPath": "greeting"})));
    assert!(why.contains("/etc/app is mounted by subPath") && why.contains("never updates"), "{why}");
}
