//! The golden corpus before a real API server: what it accepts without grafts, it accepts with them.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::control_plane::FULL;
use crate::scene::Scene;

#[tokio::test]
async fn what_is_accepted_is_accepted_with_its_grafts() {
    let Some(scene) = Scene::set(&FULL, "corpus").await else { return };
    scene.account().await;
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/inject");
    let (mut tried, mut refused) = (0, Vec::new());
    for case in fs::read_dir(cases).expect("the corpus") {
        let case = case.expect("a case").path();
        let name = case.file_name().expect("a name").to_string_lossy().into_owned();
        let Ok(want) = fs::read_to_string(case.join("want.pod.yaml")) else { continue };
        let before = in_namespace(&fs::read_to_string(case.join("pod.yaml")).expect("a pod"), &scene.namespace);
        let after = in_namespace(&want, &scene.namespace);
        match scene.try_out(&before).await {
            Ok(_) => {
                tried += 1;
                if let Err(status) = scene.try_out(&after).await {
                    refused.push(format!("{name}: {}", status.message));
                }
            }
            Err(status) => eprintln!("{name}: refused without grafts: {}", status.message),
        }
    }
    assert!(tried >= 165, "only {tried} cases are accepted without grafts");
    assert!(refused.is_empty(), "refused with their grafts:\n{}", refused.join("\n"));
}

/// The pod of a case, moved to another namespace; the API server names it where the case does not.
fn in_namespace(text: &str, namespace: &str) -> Value {
    let mut pod: Value = serde_saphyr::from_str(text).expect("YAML");
    pod["metadata"]["namespace"] = namespace.into();
    if pod["metadata"].get("name").is_none() {
        pod["metadata"]["generateName"] = "case-".into();
    }
    pod
}
