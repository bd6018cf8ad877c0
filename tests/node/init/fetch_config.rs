//! `fetch-config`.

use serde_json::json;

use super::{failure, once};
use crate::manifests::{IDLE, nginx, pod, service};
use crate::scene::Scene;

/// A server of pages for those who know the password.
const SITE: &str = r"
    mkdir -p /tmp/www/docs && cd /tmp/www
    echo hello >docs/index.html
    printf '/docs:reader:hunter2\n' >/tmp/httpd.conf
    exec httpd -f -p 8080 -c /tmp/httpd.conf";

/// `sha256sum` of the page.
const SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

#[test]
fn what_is_fetched_is_served() {
    let Some(scene) = Scene::set("fetch-config") else { return };
    // base64 of reader:hunter2
    let secret = "--from-literal=authorization=Basic cmVhZGVyOmh1bnRlcjI=";
    scene.kubectl(&["create", "secret", "generic", "site", secret]);
    scene.apply(service("site", 8080));
    scene.apply(nginx(&json!({
        "inject/fetch-config": "http://site:8080/docs/index.html",
        "inject/fetch-config.path": "/usr/share/nginx/html",
        "inject/fetch-config.secret": "site",
        "inject/fetch-config.sha256": SHA256,
        "inject/fetch-config.retries": "20",
    })));
    scene.until_logged("web", "fetch-config", "curl: (");
    scene.until_status("web", "Init:0/1");
    scene.apply(pod("site", &json!({}), SITE));
    scene.wait("pod/web", "condition=Ready");
    assert_eq!(scene.exec("web", "nginx", &["wget", "-q", "-O", "-", "http://127.0.0.1/"]), "hello\n");
}

#[test]
fn what_can_not_be_fetched_fails_the_start_with_its_reason() {
    let Some(scene) = Scene::set("fetch-nothing") else { return };
    scene.apply(service("site", 8080));
    scene.apply(pod("site", &json!({}), SITE));
    scene.wait("pod/site", "condition=Ready");
    let annotations = json!({
        "inject/fetch-config": "http://site:8080/docs/index.html?token=hunter3",
        "inject/fetch-config.retries": "1",
    });
    scene.apply(once(pod("web", &annotations, IDLE)));
    let message = failure(&scene, "web", "fetch-config");
    assert!(message.contains("http://site:8080/docs/index.html: curl: (22)") && message.contains("401"), "{message}");
    assert!(!message.contains("hunter3"), "{message}");
}
