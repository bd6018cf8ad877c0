//! `db-migrate`, with a real Redis for a database.

use serde_json::{Value, json};

use super::{failure, once};
use crate::databases::{Database, Kind};
use crate::manifests::{IDLE, pod, with};
use crate::scene::Scene;

/// Counts migrations, for whoever knows the password and the name of the counter.
const MIGRATE: &str = r#"
    printf 'INCR %s-%s\r\nQUIT\r\n' "$DB_NAME" "$DB_PASSWORD" | nc "$DB_HOST" "$DB_PORT""#;

/// Shows the counter.
const APP: &str = r#"
    printf 'GET shop-hunter2\r\nQUIT\r\n' | nc "$DB_HOST" "$DB_PORT"
    echo started
    trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"#;

#[test]
fn a_migration_runs_once_between_wait_and_app_with_the_apps_environment() {
    let Some(scene) = Scene::set("migration") else { return };
    let mut database = Database::make(scene.run, Kind::Redis);
    let url = database.url();
    let (host, port) = url.rsplit_once('/').and_then(|(_, address)| address.split_once(':')).expect("host and port");
    scene.kubectl(&["create", "secret", "generic", "database", "--from-literal=DB_PASSWORD=hunter2"]);
    scene.kubectl(&["create", "configmap", "database", &format!("--from-literal=host={host}")]);
    let environment = json!({
        "env": [
            {"name": "DB_HOST", "valueFrom": {"configMapKeyRef": {"name": "database", "key": "host"}}},
            {"name": "DB_PORT", "value": port},
        ],
        "envFrom": [{"secretRef": {"name": "database"}}],
    });
    let annotations = json!({
        "inject/db-migrate": json!(["sh", "-c", MIGRATE]).to_string(),
        "inject/set-env": "DB_NAME=shop",
        "inject/wait-for-db": url,
    });
    scene.apply(with(pod("web", &annotations, APP), &environment, json!([])));
    scene.until_logged("web", "wait-for-db", "not yet");
    scene.until_status("web", "Init:0/2");
    database.start();
    scene.wait("pod/web", "condition=Ready");
    assert_eq!(scene.logs("web", "db-migrate"), ":1\n+OK\n");
    assert_eq!(scene.until_logged("web", "app", "started"), "$1\n1\n+OK\nstarted\n");

    let status = &scene.object("pod/web")["status"];
    let time = |time: &Value| time.as_str().expect("a time").to_owned();
    let [wait, migration] = [0, 1].map(|index| &status["initContainerStatuses"][index]["state"]["terminated"]);
    let app = time(&status["containerStatuses"][0]["state"]["running"]["startedAt"]);
    let times = [time(&wait["finishedAt"]), time(&migration["startedAt"]), time(&migration["finishedAt"]), app];
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn a_migration_that_fails_keeps_the_app_from_starting() {
    let Some(scene) = Scene::set("no-migration") else { return };
    let command = json!(["sh", "-c", "echo 'there is no column price' >&2; exit 3"]);
    scene.apply(once(pod("web", &json!({"inject/db-migrate": command.to_string()}), IDLE)));
    assert_eq!(failure(&scene, "web", "db-migrate"), "there is no column price\n");
    assert_eq!(scene.status("web"), "Init:Error");
}
