//! `set-env` and `validate-env`.

use serde_json::json;

use super::{failure, once};
use crate::manifests::{IDLE, config_map, pod, with};
use crate::scene::Scene;

#[test]
fn an_app_has_the_variables_that_are_set() {
    let Some(scene) = Scene::set("set-env") else { return };
    let annotations = json!({
        "inject/set-env": r#"["FIRSTNAME=Ada", "MOTTO=a, b and $(FIRSTNAME)", "OWN=ours"]"#,
        "inject/validate-env": "FIRSTNAME=Ada\nMOTTO\nOWN=mine\nFROM_SECRET=.{7}",
    });
    scene.kubectl(&["create", "secret", "generic", "app", "--from-literal=FROM_SECRET=hunter2"]);
    let environment = json!({
        "env": [{"name": "OWN", "value": "mine"}, {"name": "GREETING", "value": "hello, $(FIRSTNAME)"}],
        "envFrom": [{"secretRef": {"name": "app"}}],
    });
    scene.apply(with(pod("web", &annotations, IDLE), &environment, json!([])));
    scene.wait("pod/web", "condition=Ready");
    let environment = scene.exec("web", "app", &["env"]);
    for line in ["FIRSTNAME=Ada", "MOTTO=a, b and $(FIRSTNAME)", "OWN=mine", "GREETING=hello, Ada"] {
        assert!(environment.lines().any(|found| found == line), "no {line} in {environment}");
    }
}

#[test]
fn a_wrong_environment_fails_the_start_with_a_readable_message() {
    let Some(scene) = Scene::set("validate-env") else { return };
    scene.apply(config_map("app", &json!({"DB_PORT": "hunter2", "DB_USER": ""})));
    let annotations = json!({"inject/validate-env": "DB_HOST,DB_PORT=[0-9]+,DB_USER,HOME"});
    let environment = json!({"envFrom": [{"configMapRef": {"name": "app"}}]});
    scene.apply(once(with(pod("web", &annotations, IDLE), &environment, json!([]))));
    let message = failure(&scene, "web", "validate-env");
    assert_eq!(message, "DB_HOST is not set, DB_PORT does not match [0-9]+, DB_USER is empty\n");
}
