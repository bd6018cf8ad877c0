//! The README's commands and examples, and those of docs/, work as printed.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::process::{Process, podgraft, run};

const README: &str = include_str!("../../README.md");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The one line that begins so.
fn line(start: &str) -> &'static str {
    let lines: Vec<_> = README.lines().filter(|line| line.starts_with(start)).collect();
    assert_eq!(lines.len(), 1, "lines that begin with {start:?}");
    lines[0]
}

/// The fenced block that contains this text.
fn block(text: &str) -> &'static str {
    let block = README.split("```").skip(1).step_by(2).find(|block| block.contains(text)).expect("the block");
    block.split_once('\n').expect("its language").1
}

/// Its standard output, once it has succeeded.
fn output(command: &mut Command) -> String {
    let (code, output, errors) = run(command.current_dir(ROOT));
    assert_eq!(code, Some(0), "{command:?}: {errors}");
    output
}

#[test]
fn the_curl_line_is_answered_with_a_patch() {
    let process = Process::start(|_| {}, &[]);
    let line = line("curl ").replace("127.0.0.1:8443", &process.address.to_string());
    let (code, output, errors) = run(Command::new("sh").args(["-c", &line]).current_dir(process.dir.path()));
    assert_eq!(code, Some(0), "{line}\n{errors}");
    let answer: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(answer["response"]["patchType"], "JSONPatch", "{output}");
}

#[test]
fn the_inject_line_shows_what_changes() {
    let script = block("podgraft inject -o diff ")
        .replace("podgraft inject", concat!(env!("CARGO_BIN_EXE_podgraft"), " inject"));
    let diff = output(Command::new("sh").args(["-c", &script]));
    assert!(diff.lines().any(|line| line.starts_with('+') && line.contains("log-shipper")), "{diff}");
}

#[test]
fn the_pod_for_a_cluster_gets_its_sidecar_and_logs_where_that_looks() {
    let pod = block("kind create cluster").split_once("<<END\n").unwrap().1.split_once("END\n").unwrap().0;
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    fs::write(&file, pod).unwrap();
    let injected: Value =
        serde_json::from_str(&output(podgraft().args(["inject", "-o", "json"]).arg(file.path()))).unwrap();
    let spec = &injected["spec"];
    assert_eq!(spec["initContainers"][0]["name"], "log-shipper", "{injected:#}");
    let written = spec["containers"][0]["command"][2].as_str().unwrap();
    let mounted = spec["containers"][0]["volumeMounts"][0]["mountPath"].as_str().unwrap();
    assert!(written.contains(&format!("{mounted}/web.log")), "{injected:#}");
}

#[test]
fn the_example_template_loads_and_is_grafted() {
    let templates = tempfile::tempdir().unwrap();
    fs::write(templates.path().join("page-writer.yaml"), block("name: page-writer")).unwrap();
    output(podgraft().args(["template", "check"]).arg(templates.path()));

    let pod = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    let text = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"annotations": {"inject/page-writer": "true"}},
        "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]}}"#;
    fs::write(&pod, text).unwrap();
    let injected =
        output(podgraft().args(["inject", "-o", "json", "--templates"]).arg(templates.path()).arg(pod.path()));
    let injected: Value = serde_json::from_str(&injected).unwrap();
    assert_eq!(injected["spec"]["initContainers"][0]["env"][0]["value"], "10", "{injected:#}");
    assert_eq!(
        injected["spec"]["containers"][0]["volumeMounts"][0]["mountPath"], "/usr/share/nginx/html",
        "{injected:#}"
    );
}

#[test]
fn the_example_of_the_template_language_loads_and_is_grafted() {
    let page = include_str!("../../docs/template-language.md");
    let example = page.split("```").nth(1).and_then(|block| block.strip_prefix("yaml\n")).expect("its first block");
    let templates = tempfile::tempdir().unwrap();
    fs::write(templates.path().join("notifier.yaml"), example).unwrap();
    let pod = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    let text = r##"{"apiVersion": "v1", "kind": "Pod", "metadata": {"annotations": {"inject/notifier": "#ops",
        "inject/notifier.also": "ann,all,bob"}}, "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]}}"##;
    fs::write(&pod, text).unwrap();
    let injected =
        output(podgraft().args(["inject", "-o", "json", "--templates"]).arg(templates.path()).arg(pod.path()));
    let injected: Value = serde_json::from_str(&injected).unwrap();
    let container = &injected["spec"]["initContainers"][0];
    assert_eq!(container["args"], serde_json::json!(["--channel=#ops", "--retries=3", "--from=web"]));
    let env: Vec<_> = container["env"].as_array().unwrap().iter().map(|it| (&it["name"], &it["value"])).collect();
    let wanted = [("PAUSE", "10"), ("MENTION_0", "ann"), ("MENTION_2", "bob")];
    assert!(
        env.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(wanted.map(|(n, v)| (Some(n), Some(v))))
    );
}

#[test]
fn the_commands_and_templates_of_its_tables_exist() {
    let rows = |start: &'static str| README.lines().filter_map(move |line| line.strip_prefix(start));
    let first = |row: &'static str| row.split([' ', '`']).next().unwrap();
    let commands: Vec<_> = rows("| `podgraft ").map(first).collect();
    assert_eq!(commands.len(), 6, "{commands:?}");
    for command in commands {
        output(podgraft().args(["help", command]));
    }
    let known = output(podgraft().args(["template", "list", "-o", "name"]));
    let mut shown: Vec<_> = rows("| `").map(first).filter(|name| known.lines().any(|known| known == *name)).collect();
    shown.sort_unstable();
    assert_eq!(shown, known.lines().collect::<Vec<_>>());
}
