//! `deploy/crds.yaml` before a real API server.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{scene, template, templates};
use crate::scene::Scene;

/// What the API server says to a template of a file.
async fn try_out(scene: &Scene, object: &Value) -> Result<Value, String> {
    let mut object = object.clone();
    object["metadata"] = json!({"name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"]});
    let namespaced = object["kind"] == "InjectionTemplate";
    if namespaced {
        object["metadata"]["namespace"] = scene.namespace.clone().into();
    } else {
        object["metadata"].as_object_mut().expect("a map").remove("namespace");
    }
    let path = templates(namespaced.then_some(scene.namespace.as_str()));
    let path = format!("{path}?dryRun=All&fieldValidation=Strict");
    scene.post(&path, &object).await.map_err(|status| format!("{} {}", status.code, status.message))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(&folder).expect("a folder").map(|file| file.expect("a file").path());
    let files: Vec<_> = files.filter(|file| file.extension().is_some_and(|extension| extension == "yaml")).collect();
    assert!(!files.is_empty(), "{}", folder.display());
    files
}

fn objects(file: &Path) -> Vec<Value> {
    let options = serde_saphyr::options! { strict_booleans: true, legacy_octal_numbers: true };
    let text = fs::read_to_string(file).expect("a file");
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(&text, options).unwrap_or_default();
    // Of a list, its items.
    let objects = documents.into_iter().flat_map(|document| match document["items"].as_array() {
        Some(items) => items.clone(),
        None => vec![document],
    });
    objects.filter(|object| object["metadata"]["name"].is_string()).collect()
}

#[tokio::test]
async fn what_the_loader_takes_the_schema_takes() {
    let Some(scene) = scene("schema").await else { return };
    let mut refused = Vec::new();
    for file in ["tests/fixtures/templates/good", "src/template/builtin"].into_iter().flat_map(files) {
        let objects = objects(&file);
        assert!(!objects.is_empty(), "{}", file.display());
        for object in objects {
            refused.extend(try_out(&scene, &object).await.err().map(|why| format!("{}: {why}", file.display())));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[tokio::test]
async fn what_is_bad_is_refused_or_taken_but_never_more_than_that() {
    let Some(scene) = scene("bad").await else { return };
    for object in files("tests/fixtures/templates/bad").iter().flat_map(|file| objects(file)) {
        if let Err(why) = try_out(&scene, &object).await {
            assert!(why.starts_with('4'), "{why}\n{object:#}");
        }
    }
}

#[tokio::test]
async fn what_a_schema_can_say_it_says() {
    let Some(scene) = scene("says").await else { return };
    let good = template("InjectionTemplate", "good", "here");
    try_out(&scene, &good).await.expect("it is good");
    let with = |pointer: &str, value: Value| {
        let mut bad = good.clone();
        bad[pointer] = value;
        bad
    };
    let spec = |parameters: Value, primary: &str| {
        with("spec", json!({"parameters": parameters, "primaryParameter": primary, "target": {}}))
    };
    for (bad, said) in [
        (with("metadata", json!({"name": "a".repeat(41)})), "at most 40"),
        (with("metadata", json!({"name": "a.b"})), "at most 40"),
        (spec(json!({"a": {"type": "string"}}), "b"), "must be one of the parameters"),
        (spec(json!({}), "b"), "must be one of the parameters"),
        (spec((0..201).map(|n| (format!("p{n}"), json!({"type": "string"}))).collect(), "p0"), "at most 200 items"),
        (spec(json!({"a": {"type": "boolean"}}), "a"), "can't be a boolean"),
        (with("spec", json!({"targets": "some"})), "supported values"),
        (with("spec", json!({"sidecar": []})), "unknown field"),
        (with("spec", json!({"sidecars": [{"name": "a"}]})), "image"),
    ] {
        let why = try_out(&scene, &bad).await.expect_err("it is bad");
        assert!(why.contains(said), "{said}: {why}");
    }
}
