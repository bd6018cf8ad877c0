//! Apps start when what they need is there.

use serde_json::json;

use crate::databases::{Database, Kind};
use crate::manifests::{IDLE, pod};
use crate::scene::Scene;

#[test]
fn an_app_starts_when_postgresql_accepts_sessions() {
    an_app_starts_when_it_accepts_sessions("postgres", Kind::Postgres);
}

#[test]
fn an_app_starts_when_mariadb_accepts_sessions() {
    an_app_starts_when_it_accepts_sessions("mariadb", Kind::MariaDb);
}

#[test]
fn an_app_starts_when_redis_accepts_sessions() {
    an_app_starts_when_it_accepts_sessions("redis", Kind::Redis);
}

fn an_app_starts_when_it_accepts_sessions(name: &str, kind: Kind) {
    let Some(scene) = Scene::set(name) else { return };
    let mut database = Database::make(scene.run, kind);
    scene.apply(pod("web", &json!({"inject/wait-for-db": database.url()}), IDLE));
    scene.until_logged("web", "wait-for-db", "not yet");
    scene.until_status("web", "Init:0/1");
    database.start();
    scene.wait("pod/web", "condition=Ready");
}
