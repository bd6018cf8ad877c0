//! The registration and `serve` both name the annotation prefix, and should name the same.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::account;
use crate::control_plane::PLAIN;
use crate::podgraft::Podgraft;
use crate::scene::{Scene, deployed};

/// Above the half minute that passes between two looks.
const PATIENCE: Duration = Duration::from_mins(2);

const METRIC: &str = "podgraft_registration_prefix_mismatches";

#[tokio::test]
async fn a_registration_that_looks_for_something_else_is_an_error_in_the_log() {
    let Some(scene) = Scene::set(&PLAIN, "prefix").await else { return };
    let kinds = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"].map(|kind| {
        let path = format!("/apis/admissionregistration.k8s.io/v1/{}s", kind.to_lowercase());
        (path, to_look_at(deployed(kind)))
    });
    for (path, registration) in &kinds {
        scene.post(path, registration).await.expect("a registration");
    }
    let (kubeconfig, name) = (account::make(&scene).await, "looked-at");
    account::grant(&scene, &[name]).await;
    let options = ["--mutating-configuration", name, "--validating-configuration", name, "--kubeconfig", &kubeconfig];
    let ours = Podgraft::replica(&scene, "ours", &options).await;
    let other = Podgraft::replica(&scene, "other", &[&options[..], &["--annotation-prefix", "graft"]].concat()).await;

    until(&other, 2.0).await;
    for plural in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let said = format!("{plural}/{name} looks for annotations of inject/, and --annotation-prefix is graft");
        assert_eq!(other.log().matches(&said).count(), 1, "{}", other.log());
    }
    assert!(!ours.log().contains("looks for annotations"), "{}", ours.log());

    for (path, registration) in &kinds {
        let path = format!("{path}/{name}");
        let version = scene.get(&path).await.expect("the registration")["metadata"]["resourceVersion"].clone();
        let text = registration.to_string().replace("'inject/'", "'graft/'").replace("'.inject/'", "'.graft/'");
        let mut mended: Value = serde_json::from_str(&text).expect("JSON");
        mended["metadata"]["resourceVersion"] = version;
        scene.put(&path, &mended).await.expect("a change");
    }
    until(&other, 0.0).await;
    until(&ours, 2.0).await;
}

/// A registration of one entry that looks for annotations, by which nobody is ever called.
fn to_look_at(mut registration: Value) -> Value {
    registration["metadata"]["name"] = "looked-at".into();
    let mut entries = registration["webhooks"].as_array_mut().expect("webhooks").iter_mut();
    let entry = entries.find(|entry| entry["matchConditions"].is_array()).expect("conditions");
    entry["clientConfig"] = json!({"url": "https://127.0.0.1:1/"});
    entry["namespaceSelector"] = json!({"matchLabels": {"podgraft.test/nobody": "matches"}});
    registration["webhooks"] = json!([entry]);
    registration
}

async fn until(podgraft: &Podgraft, mismatches: f64) {
    let until = Instant::now() + PATIENCE;
    while (podgraft.metric(METRIC).await - mismatches).abs() > 0.5 {
        assert!(Instant::now() < until, "not {mismatches} in time\n{}", podgraft.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
