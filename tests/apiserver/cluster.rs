//! podgraft reads templates and namespaces from the API server that calls it.

mod definitions;
mod many;
mod namespaces;
mod outage;
mod templates;

use std::sync::LazyLock;
use std::time::{Duration, Instant};
use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::control_plane::{ApiServer, FULL, PLAIN};
use crate::podgraft::Podgraft;
use crate::scene::{Scene, pod};

/// Above what a watch that failed for a while waits before it tries again.
const PATIENCE: Duration = Duration::from_mins(2);

/// An API server with the definitions of templates, and a scene on it.
async fn scene(name: &str) -> Option<Scene> {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let scene = Scene::set(&PLAIN, name).await?;
    INSTALLED.get_or_init(|| install(&scene)).await;
    Some(scene)
}

/// The same without the definitions, for the one test that installs them there.
async fn bare_scene(name: &str) -> Option<Scene> {
    let scene = Scene::set(&FULL as &LazyLock<Option<ApiServer>>, name).await?;
    scene.account().await;
    Some(scene)
}

/// Installs `deploy/crds.yaml`, and waits until the API server serves both kinds.
async fn install(scene: &Scene) {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/crds.yaml")).expect("the definitions");
    let definitions: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    for definition in definitions {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?fieldValidation=Strict";
        scene.post(path, &definition).await.expect("a valid definition");
    }
    for plural in ["clusterinjectiontemplates", "injectiontemplates"] {
        eventually(plural, async || scene.get(&format!("/apis/podgraft.dev/v1alpha1/{plural}")).await.is_ok()).await;
    }
}

/// Waits until something is so.
async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so().await {
        assert!(Instant::now() < until, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Starts podgraft with the administrator's rights.
async fn serve(scene: &Scene, more: &[&str]) -> Podgraft {
    let kubeconfig = scene.api.kubeconfig.display().to_string();
    let options = [&["--kubeconfig", kubeconfig.as_str()], more].concat();
    let podgraft = Podgraft::serve(scene, &options).await;
    podgraft.ready().await;
    podgraft
}

/// Where templates are: those of a namespace, or the cluster's.
fn templates(namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("/apis/podgraft.dev/v1alpha1/namespaces/{namespace}/injectiontemplates"),
        None => "/apis/podgraft.dev/v1alpha1/clusterinjectiontemplates".to_owned(),
    }
}

/// A template that sets the variable `FROM` in the target.
fn template(kind: &str, name: &str, from: &str) -> Value {
    json!({
        "apiVersion": "podgraft.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"target": {"env": [{"name": "FROM", "value": from}]}},
    })
}

/// Changes the spec of a template.
async fn change(scene: &Scene, path: &str, spec: &Value) {
    let mut object = scene.get(path).await.expect("the template");
    object["spec"] = spec.clone();
    scene.put(path, &object).await.expect("a change");
}

/// What `FROM` is in a pod that asks for a template, or why it is denied.
async fn from(scene: &Scene, template: &str) -> Result<String, String> {
    let asking = pod("asking", &json!({(format!("inject/{template}")): "true"}));
    let created = scene.try_out(&asking).await.map_err(|status| status.message)?;
    let value = &created["spec"]["containers"][0]["env"][0]["value"];
    Ok(value.as_str().unwrap_or_default().to_owned())
}

/// The status of a template's condition, and its message.
async fn condition(scene: &Scene, path: &str, name: &str) -> (String, String) {
    let object = scene.get(path).await.expect("the template");
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let current = |condition: &&Value| {
        condition["type"] == name && condition["observedGeneration"] == object["metadata"]["generation"]
    };
    let found = conditions.iter().find(current).cloned().unwrap_or_default();
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("message"))
}

/// A kubeconfig for another address or another token.
fn kubeconfig(scene: &Scene, name: &str, change: impl Fn(&str) -> String) -> PathBuf {
    let path = scene.directory.join(name);
    let text = fs::read_to_string(&scene.api.kubeconfig).expect("the administrator's");
    fs::write(&path, change(&text)).expect("a file");
    path
}
