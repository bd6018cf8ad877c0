//! The commands that need no server, run as people run them.

mod corpus;
mod docs;
mod inputs;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What a run came to.
#[derive(Debug)]
struct Run {
    code: i32,
    out: String,
    err: String,
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podgraft"));
    // What the developer has exported is not what is tested.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PODGRAFT_")) {
        command.env_remove(name);
    }
    for name in ["CLICOLOR_FORCE", "CLICOLOR", "NO_COLOR"] {
        command.env_remove(name);
    }
    command
}

fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>, input: &str) -> Run {
    run_in(Path::new("."), args, input)
}

fn run_in<A: AsRef<OsStr>>(directory: &Path, args: impl IntoIterator<Item = A>, input: &str) -> Run {
    let mut command = command();
    command.args(args).current_dir(directory);
    complete(command, input)
}

fn complete(mut command: Command, input: &str) -> Run {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Whoever reads no input closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    Run {
        code: status.code().unwrap(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// A directory with these files.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

const UNTOUCHED: &str =
    "# a service\napiVersion: v1\nkind: Service   # plain\nmetadata: {name: 'web'}\r\n---\n---\n# nothing\n";

const DEPLOYMENT: &str = "\
# Source: chart/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 02
  template:
    metadata:
      annotations:
        inject/set-env: \"MODE=on\"  # quoted, or it would be a boolean
    spec:
      containers:
        # the app
        - name: web
          image: 'nginx:1.27'
";

/// The deployment as it comes out: what is ours is not fixed here, so that this says nothing about the template.
fn without_additions(text: &str) -> String {
    let mut wanted = DEPLOYMENT.lines().peekable();
    let kept: Vec<_> = text.lines().filter(|line| wanted.next_if_eq(line).is_some()).collect();
    kept.join("\n") + "\n"
}

#[test]
fn documents_that_ask_for_nothing_come_out_as_they_are() {
    let run = run(["inject"], UNTOUCHED);
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, UNTOUCHED, ""));
}

#[test]
fn a_workload_gets_its_graft_and_keeps_its_text() {
    let run = run(["inject", "-"], &format!("{UNTOUCHED}---\n{DEPLOYMENT}"));
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let deployment = run.out.strip_prefix(&format!("{UNTOUCHED}---\n")).unwrap();
    assert_eq!(without_additions(deployment), DEPLOYMENT);
    let value: Value = serde_saphyr::from_str(deployment).unwrap();
    let container = &value["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["env"], serde_json::json!([{"name": "MODE", "value": "on"}]));
}

#[test]
fn what_was_injected_is_not_injected_again() {
    let once = run(["inject"], DEPLOYMENT);
    assert_eq!(once.code, 0, "{}", once.err);
    assert_ne!(once.out, DEPLOYMENT);
    let twice = run(["inject"], &once.out);
    assert_eq!((twice.code, twice.out.as_str(), twice.err.as_str()), (0, once.out.as_str(), ""));
}

#[test]
fn a_patch_has_the_paths_of_its_document_and_every_document_its_line() {
    let item = DEPLOYMENT.lines().skip(1).collect::<Vec<_>>().join("\n  ");
    let list = format!("{UNTOUCHED}---\n{DEPLOYMENT}---\nkind: List\napiVersion: v1\nitems:\n- {item}\n");
    let run = run(["inject", "-o", "patch"], &list);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let patches: Vec<Vec<Value>> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let begin = |patch: &[Value], prefix: &str| {
        !patch.is_empty()
            && patch.iter().all(|op| op["op"] == "add" && op["path"].as_str().unwrap().starts_with(prefix))
    };
    assert_eq!(patches.len(), 3, "{}", run.out);
    assert_eq!(patches[0], Vec::<Value>::new());
    assert!(begin(&patches[1], "/spec/template/"), "{:?}", patches[1]);
    assert!(begin(&patches[2], "/items/0/spec/template/"), "{:?}", patches[2]);
}

#[test]
fn json_is_one_object_or_a_list() {
    let one: Value = serde_json::from_str(&run(["inject", "-o", "json"], DEPLOYMENT).out).unwrap();
    assert_eq!(one["kind"], "Deployment");
    assert_eq!(one["spec"]["replicas"], 2);
    let several: Value =
        serde_json::from_str(&run(["inject", "-ojson"], &format!("{UNTOUCHED}---\n{DEPLOYMENT}")).out).unwrap();
    assert_eq!(several["kind"], "List");
    assert_eq!(several["items"][0]["kind"], "Service");
    assert_eq!(several["items"][1], one);
    assert_eq!(
        serde_json::from_str::<Value>(&run(["inject", "-ojson"], "# none\n").out).unwrap()["items"],
        Value::Array(vec![])
    );

    let from_json = run(["inject"], &one.to_string());
    assert_eq!(serde_saphyr::from_str::<Value>(&from_json.out).unwrap(), one);
}

#[test]
fn a_diff_shows_what_is_added_and_nothing_else() {
    let files = directory(&[("deploy.yaml", DEPLOYMENT), ("service.yaml", UNTOUCHED)]);
    let diff = run_in(files.path(), ["inject", "-o", "diff", "."], "");
    assert_eq!((diff.code, diff.err.as_str()), (0, ""));
    assert!(diff.out.starts_with("--- ./deploy.yaml\n+++ ./deploy.yaml\n@@ -"), "{}", diff.out);
    assert!(!diff.out.contains("service.yaml"), "{}", diff.out);
    assert!(diff.out.lines().skip(2).all(|line| !line.starts_with('-')), "only additions: {}", diff.out);
    let injected = run_in(files.path(), ["inject", "deploy.yaml"], "").out;
    let mut lines = injected.lines();
    for added in diff.out.lines().skip(2).filter_map(|line| line.strip_prefix('+')) {
        assert!(lines.any(|line| line == added), "{added}");
    }
    assert_eq!(run_in(files.path(), ["inject", "-odiff", "service.yaml"], "").out, "");
}

#[test]
fn when_one_is_refused_nothing_comes_out_and_every_reason_is_said() {
    let unknown =
        DEPLOYMENT.replace("inject/set-env: \"MODE=on\"", "inject/set-enw: \"x\"").replace("name: web", "name: typo");
    let files = directory(&[
        ("a.yaml", &format!("{DEPLOYMENT}---\n{unknown}")),
        ("b.yml", "kind: Pod\n  broken: x\n"),
        ("c.json", "{\"a\": 1,\n \"b\""),
    ]);
    let run = run_in(files.path(), ["inject", "a.yaml", "b.yml", "c.json"], "");
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    let lines: Vec<_> = run.err.lines().collect();
    assert_eq!(lines.len(), 3, "{}", run.err);
    assert!(lines[0].starts_with("a.yaml: Deployment/typo: error: ") && lines[0].contains("set-env"), "{}", lines[0]);
    assert!(lines[1].starts_with("b.yml:2:"), "{}", lines[1]);
    assert!(lines[2].starts_with("c.json:2:"), "{}", lines[2]);
}

#[test]
fn a_pod_that_is_none_is_refused_only_if_it_asks() {
    let job = |annotations: &str| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nspec: {{template: {{metadata: {{annotations: {annotations}}}, spec: {{containers: 5}}}}}}\n"
        )
    };
    let silent = job("{}");
    let passed = run(["inject"], &silent);
    assert_eq!((passed.code, passed.out.as_str(), passed.err.as_str()), (0, silent.as_str(), ""));
    let refused = run(["inject"], &job("{inject/set-env: A=b}"));
    assert_eq!(
        (refused.code, refused.out.as_str(), refused.err.as_str()),
        (1, "", "stdin: Job: error: spec.template.spec.containers: invalid type: integer `5`, expected a sequence\n")
    );
}

#[test]
fn an_object_keeps_its_namespace_and_others_get_the_options() {
    let template = "apiVersion: podgraft.dev/v1alpha1\nkind: InjectionTemplate\nmetadata: {name: own, namespace: shop}\nspec:\n  description: Of the shop.\n  target: {env: [{name: A, value: b}]}\n";
    let files = directory(&[("templates/own.yaml", template)]);
    let pod = |namespace: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\n{namespace}  annotations: {{inject/own: 'true'}}\nspec: {{containers: [{{name: a, image: b}}]}}\n"
        )
    };
    let run = |namespace: &str, option: &[&str]| {
        let args = [&["inject", "--templates", "templates", "-o", "patch"], option].concat();
        run_in(files.path(), args, &pod(namespace)).code
    };
    assert_eq!(run("", &[]), 1);
    assert_eq!(run("", &["-n", "shop"]), 0);
    assert_eq!(run("  namespace: shop\n", &[]), 0);
    assert_eq!(run("  namespace: other\n", &["-n", "shop"]), 1);
}

#[test]
fn a_namespace_file_gives_defaults() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels: {podgraft.dev/inject: enabled}\n  annotations: {inject/set-env: 'A=b'}\n";
    let files = directory(&[("namespaces.yaml", namespace)]);
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers: [{name: a, image: b}]\n";
    let args = ["inject", "-n", "shop", "--namespaces", "namespaces.yaml", "-o", "json"];
    let run = run_in(files.path(), args, pod);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let pod: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(pod["spec"]["containers"][0]["env"][0]["name"], "A");
}

#[test]
fn a_namespace_among_the_manifests_counts_for_all_of_them() {
    let pod =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop}\nspec: {containers: [{name: a, image: b}]}\n";
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {podgraft.dev/inject: enabled}, annotations: {inject/set-env: A=b}}\n";
    let alone = run(["inject"], pod);
    assert_eq!((alone.code, alone.out.as_str()), (0, pod));
    let together = run(["inject"], &format!("{pod}---\n{namespace}"));
    assert_eq!((together.code, together.err.as_str()), (0, ""));
    assert!(together.out.contains("name: A") && together.out.ends_with(namespace), "{}", together.out);
}

#[test]
fn colour_is_for_terminals_and_those_who_insist() {
    let with = |name: &str| {
        let mut command = command();
        command.env(name, "1").args(["inject", "-o", "diff"]);
        complete(command, DEPLOYMENT).out
    };
    let plain = run(["inject", "-o", "diff"], DEPLOYMENT).out;
    assert!(!plain.contains('\u{1b}') && plain.contains("\n+"), "{plain}");
    assert_eq!(with("NO_COLOR"), plain);
    assert!(with("CLICOLOR_FORCE").contains("\u{1b}[32m+"));
    let escape = "# \u{1b}[31m\na: 1\n";
    let run = run(["inject"], escape);
    assert!(run.code == 1 || run.out == escape, "{run:?}");
}

#[test]
fn directories_are_read_in_order_of_names_and_hidden_files_are_not() {
    let files = directory(&[
        ("m/b.yml", "b: 1"),
        ("m/a/z.json", "{\"a\": 1}"),
        ("m/c.yaml", "# c\n---\nc: 1\n"),
        ("m/readme.md", "no: manifest\n"),
        ("m/.hidden/x.yaml", "x: [\n"),
        ("m/.x.yaml", "x: [\n"),
        ("empty/readme.md", ""),
    ]);
    let run = |args: &[&str]| run_in(files.path(), args, "d: 1\n");
    assert_eq!(run(&["inject", "m"]).out, "a: 1\n---\nb: 1\n# c\n---\nc: 1\n");
    assert_eq!(run(&["inject", "-f", "m/b.yml", "-f", "-"]).out, "b: 1\n---\nd: 1\n");
    let bad = run(&["inject", "empty", "absent.yaml"]);
    assert_eq!((bad.code, bad.out.as_str()), (1, ""));
    assert_eq!(
        bad.err,
        "error: empty: no *.yaml, *.yml or *.json file in this directory\nerror: absent.yaml: No such file or directory (os error 2)\n"
    );
}

#[test]
fn wrong_usage_is_told_apart_from_refused_input() {
    for args in [
        &["inject", "-", "-f", "-"][..],
        &["inject", "-o", "xml"],
        &["inject", "-n", "No_Namespace"],
        &["inject", "--annotation-prefix", "a/b"],
        &["inject", "--default-run-as-user", "0"],
        &["template"],
        &["template", "check"],
        &["completions", "tcsh"],
        &["graft"],
    ] {
        let run = run(args, "");
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{args:?}: {}", run.err);
        assert!(run.err.contains("--help"), "{}", run.err);
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let files = directory(&[]);
    fs::write(files.path().join("latin1.yaml"), b"a: \xe9\n").unwrap();
    let run = run_in(files.path(), ["inject", "latin1.yaml"], "");
    assert_eq!((run.code, run.err.as_str()), (1, "error: latin1.yaml: not UTF-8 text at byte 4\n"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut command = command();
    command.args(["inject", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let many = "a: 1\n---\n".repeat(20_000);
    child.stdin.take().unwrap().write_all(many.as_bytes()).unwrap();
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!((status.code(), stderr), (Some(0), Vec::new()));
}

#[test]
fn templates_are_listed_and_shown() {
    let list = run(["template", "list"], "");
    assert_eq!((list.code, list.err.as_str()), (0, ""));
    let mut lines = list.out.lines();
    let heading: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(heading, ["NAME", "SCOPE", "SOURCE", "DESCRIPTION"]);
    let names: Vec<_> = lines.map(|line| line.split_whitespace().next().unwrap()).collect();
    assert!(names.is_sorted() && names.contains(&"log-shipper"), "{names:?}");
    assert_eq!(run(["template", "list", "-o", "name"], "").out.lines().collect::<Vec<_>>(), names);
    let json: Vec<Value> = serde_json::from_str(&run(["template", "list", "-ojson"], "").out).unwrap();
    assert_eq!(json.iter().map(|template| template["name"].as_str().unwrap()).collect::<Vec<_>>(), names);

    for name in names {
        let text = run(["template", "show", name], "").out;
        let file = directory(&[("shown.yaml", &text)]);
        let check = run_in(file.path(), ["template", "check", "shown.yaml"], "");
        assert_eq!((check.code, check.out), (0, format!("shown.yaml: ok: {name}\n")), "{}", check.err);
        let parameters = run(["template", "show", "--parameters", name], "").out;
        assert!(parameters.starts_with(&format!("{name}: ")), "{parameters}");
    }
    let unknown = run(["template", "show", "log-shiper"], "");
    assert_eq!((unknown.code, unknown.out.as_str()), (1, ""));
    assert_eq!(unknown.err, "error: there is no template \"log-shiper\"; did you mean log-shipper?\n");
}

#[test]
fn the_pod_security_standard_of_a_template_is_told() {
    let head = "apiVersion: podgraft.dev/v1alpha1\nkind: ClusterInjectionTemplate\n";
    let claims = format!("{head}metadata: {{name: claims}}\nspec: {{podSecurity: baseline}}\n");
    let claims_none = format!("{head}metadata: {{name: claims-none}}\nspec: {{}}\n");
    let files = directory(&[("t/claims.yaml", &claims), ("t/none.yaml", &claims_none)]);
    let list = run_in(files.path(), ["template", "list", "-ojson", "--templates=t"], "").out;
    let list: Vec<Value> = serde_json::from_str(&list).unwrap();
    let claim_of = |name: &str| list.iter().find(|template| template["name"] == name).unwrap()["podSecurity"].clone();
    assert_eq!((claim_of("claims"), claim_of("claims-none")), (Value::from("baseline"), Value::Null));
    let shown = |name: &str| run_in(files.path(), ["template", "show", "--parameters", "--templates=t", name], "").out;
    assert!(shown("claims").contains("\nPod Security Standard: baseline\n"), "{}", shown("claims"));
    assert!(!shown("claims-none").contains("Pod Security"), "{}", shown("claims-none"));
}

#[test]
fn a_bad_template_is_shown_with_its_mistake() {
    let good = run(["template", "show", "set-env"], "").out;
    let files = directory(&[
        ("good.yaml", &good),
        ("bad.yaml", &good.replace("kind: ClusterInjectionTemplate", "kind: ClusterInjectionTemplat")),
    ]);
    let check = run_in(files.path(), ["template", "check", "."], "");
    assert_eq!((check.code, check.out.as_str()), (1, "./good.yaml: ok: set-env\n"), "{}", check.err);
    assert!(check.err.contains("bad.yaml") && check.err.contains("ClusterInjectionTemplate"), "{}", check.err);
    let list = run_in(files.path(), ["template", "list", "--templates", "."], "");
    assert_eq!(list.code, 1, "{}", list.err);
    assert!(list.err.contains("bad.yaml"), "{}", list.err);
    let absent = run(["template", "list", "--templates", "/absent"], "");
    assert_eq!((absent.code, absent.out.as_str()), (1, ""), "{}", absent.err);
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = run(["completions", shell], "");
        assert_eq!((run.code, run.err.as_str()), (0, ""));
        assert!(run.out.contains("podgraft") && run.out.contains("native-sidecars"), "{shell}");
    }
}
