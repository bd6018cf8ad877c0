//! `cache`.

use serde_json::json;

use crate::manifests::{IDLE, pod};
use crate::scene::Scene;

#[test]
fn the_app_reaches_its_cache_from_its_first_moment() {
    let Some(scene) = Scene::set("cache") else { return };
    // One attempt, in the first moment.
    let script = r#"
        printf 'SET greeting hello\r\nGET greeting\r\nCONFIG GET maxmemory\r\nCONFIG GET maxmemory-policy\r\nQUIT\r\n' |
            nc "$REDIS_HOST" "$REDIS_PORT" | tr -d '\r' >/tmp/answer
        echo "$REDIS_URL" >>/tmp/answer"#;
    let annotations = json!({"inject/cache": "32Mi", "inject/cache.policy": "volatile-ttl"});
    scene.apply(pod("web", &annotations, &format!("{script}\n{IDLE}")));
    scene.wait("pod/web", "condition=Ready");
    let answer = scene.exec("web", "app", &["cat", "/tmp/answer"]);
    for line in ["+OK", "hello", "33554432", "volatile-ttl", "redis://127.0.0.1:6379"] {
        assert!(answer.lines().any(|found| found == line), "no {line} in {answer}");
    }
    // Nobody else does.
    let address = scene.get("pod/web", "{.status.podIP}");
    scene.try_exec("web", "app", &["nc", "-w", "2", &address, "6379", "-e", "true"]).expect_err("it listens outside");
}
