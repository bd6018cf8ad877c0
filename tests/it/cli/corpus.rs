//! The golden corpus through `podgraft inject`: the same answers as the engine's.

use std::fs;

use podgraft::inject::pod::PodRequest;
use podgraft::inject::{Outcome, inject};
use serde_json::{Value, json};

use crate::golden::case::{self, Case};

#[test]
fn every_case_gets_the_engines_answer() {
    for case in case::all() {
        let pod: Value = serde_json::from_str(&case.pod).unwrap();
        assert_says_the_same(&case, &pod, &pod, "");
    }
}

#[test]
fn every_case_gets_the_same_as_the_template_of_a_workload() {
    for case in case::all() {
        let mut pod: Value = serde_json::from_str(&case.pod).unwrap();
        // A template's pods are in the namespace of the object that has it.
        let namespace = pod.pointer_mut("/metadata/namespace").map(Value::take);
        if let Some(metadata) = pod["metadata"].as_object_mut() {
            metadata.remove("namespace");
        }
        let mut template = pod.clone();
        template.as_object_mut().unwrap().retain(|key, _| key != "apiVersion" && key != "kind");
        let job = json!({
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "x", "namespace": namespace},
            "spec": {"jobTemplate": {"spec": {"template": template}}},
        });
        assert_says_the_same(&case, &pod, &job, "/spec/jobTemplate/spec/template");
    }
}

/// Asserts that `document`, which has the pod at `prefix`, gets what the engine says about the pod.
fn assert_says_the_same(case: &Case, pod: &Value, document: &Value, prefix: &str) {
    let pod = pod.to_string();
    let outcome = PodRequest::create(&pod, &case.namespace).map(|request| match inject(&request, &case.snapshot) {
        Outcome::Inject(plan) => (Ok(plan.patch()), texts(&plan.warnings)),
        Outcome::Skip(_, warnings) => (Ok("[]".to_owned()), texts(&warnings)),
        Outcome::Reject(reasons, warnings) => (Err(texts(&reasons)), texts(&warnings)),
    });
    let (patch, warnings) = outcome.unwrap_or_else(|error| (Err(vec![error.to_string()]), Vec::new()));
    let templates = fs::read_to_string(case.folder.join("templates.yaml"));
    let files: Vec<_> = templates.iter().map(|text| ("templates/templates.yaml", text.as_str())).collect();
    let run = super::run_in(super::directory(&files).path(), arguments(case), &document.to_string());
    let messages = |what: &str| -> Vec<&str> {
        run.err.lines().filter_map(|line| line.split_once(what).map(|(_, text)| text)).collect()
    };
    assert_eq!(messages(": warning: "), warnings, "{}", case.name);
    match patch {
        Ok(patch) => {
            assert_eq!(run.code, 0, "{}: {}", case.name, run.err);
            let mut wanted: Vec<Value> = serde_json::from_str(&patch).unwrap();
            for operation in &mut wanted {
                operation["path"] = format!("{prefix}{}", operation["path"].as_str().unwrap()).into();
            }
            assert_eq!(serde_json::from_str::<Vec<Value>>(&run.out).unwrap(), wanted, "{}", case.name);
        }
        Err(reasons) => {
            assert_eq!((run.code, run.out.as_str()), (1, ""), "{}", case.name);
            assert_eq!(messages(": error: "), reasons, "{}", case.name);
        }
    }
}

fn texts<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// The case as a command line.
fn arguments(case: &Case) -> Vec<String> {
    let mut arguments =
        vec!["inject".to_owned(), "--output=patch".to_owned(), format!("--namespace={}", case.namespace)];
    let mut option =
        |name: &str, value: Option<String>| arguments.extend(value.map(|value| format!("--{name}={value}")));
    let file = |name: &str| Some(case.folder.join(name)).filter(|path| path.exists());
    let path = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    option("templates", file("templates.yaml").map(|_| "templates".to_owned()));
    option("namespaces", file("namespace.yaml").map(path));
    option("annotation-prefix", case.options.annotation_prefix.clone());
    option("on-unknown", case.options.on_unknown.clone());
    option("native-sidecars", case.options.native_sidecars.clone());
    option("foreign-containers", case.options.foreign_containers.as_ref().map(|names| names.join(",")));
    option("default-run-as-user", case.options.default_run_as_user.clone());
    option("image", case.options.image.clone());
    arguments
}
