//! The golden corpus through `podgraft inject`: the same answers as the engine's.

use std::fs;

use podgraft::inject::request::PodRequest;
use podgraft::inject::{Outcome, inject};
use serde_json::{Value, json};

use crate::golden::{self, case::Case};

#[test]
fn every_case_gets_the_engines_answer_as_a_pod_and_as_a_template() {
    golden::for_each_case(compare);
}

/// Sends the pod, and a workload that has it as its template, through the command line.
fn compare(case: &Case) {
    let pod: Value = serde_json::from_str(&case.pod).unwrap();
    let prefix = "/spec/jobTemplate/spec/template";
    let mut template = pod.clone();
    template.as_object_mut().unwrap().retain(|key, _| key != "apiVersion" && key != "kind");
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "x", "namespace": pod["metadata"]["namespace"]},
        "spec": {"jobTemplate": {"spec": {"template": template}}},
    });
    let templates = fs::read_to_string(case.folder.join("templates.yaml"));
    let files: Vec<_> = templates.iter().map(|text| ("templates/templates.yaml", text.as_str())).collect();
    let run = super::run_in(super::directory(&files).path(), arguments(case), &format!("{pod}\n{job}\n"));
    // The corpus calls the file by its name alone.
    let renamed = |text: &str| text.replace("templates/templates.yaml", "templates.yaml");
    let (said, out) = (renamed(&run.err), renamed(&run.out));
    let messages = |what: &str| -> Vec<&str> {
        said.lines().filter_map(|line| line.split_once(what).map(|(_, text)| text)).collect()
    };

    let request = PodRequest::create(&case.pod, &case.namespace).unwrap_or_else(|error| panic!("{error}"));
    let (answer, warnings) = match inject(&request, &case.snapshot) {
        Outcome::Inject(plan) => (Ok(plan.patch()), texts(&plan.warnings)),
        Outcome::Skip(_, warnings) => (Ok("[]".to_owned()), texts(&warnings)),
        Outcome::Reject(reasons, warnings) => (Err(texts(&reasons)), texts(&warnings)),
    };
    // The command line alone says this, as its reader can still change it.
    let is_engines = |said: &&str| !said.contains(" asks for nothing until ");
    let of_engine: Vec<_> = messages(": warning: ").into_iter().filter(is_engines).collect();
    assert_eq!(of_engine, [&*warnings, &*warnings].concat());
    match answer {
        Ok(patch) => {
            assert_eq!(run.code, 0, "{}", run.err);
            let mut wanted: Vec<Value> = serde_json::from_str(&patch).unwrap();
            let mut lines = out.lines().map(|line| serde_json::from_str::<Vec<Value>>(line).unwrap());
            assert_eq!(lines.next().unwrap(), wanted);
            for operation in &mut wanted {
                operation["path"] = format!("{prefix}{}", operation["path"].as_str().unwrap()).into();
            }
            assert_eq!((lines.next().unwrap(), lines.next()), (wanted, None));
        }
        Err(reasons) => {
            assert_eq!((run.code, out.as_str()), (1, ""));
            assert_eq!(messages(": error: "), [&*reasons, &*reasons].concat());
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
    option("image-mirror", case.options.image_mirror.clone());
    option("psa-errors", case.options.psa_errors.clone());
    arguments
}
