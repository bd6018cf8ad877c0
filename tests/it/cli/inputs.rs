//! What people hand to the command line by mistake or by habit, and what they are told.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{command, complete, directory, run, run_in};

/// A pod that asks for what these annotations say.
fn pod(annotations: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  annotations: {annotations}\nspec:\n  containers:\n  - name: web\n    image: nginx\n"
    )
}

const TEMPLATE: &str = "\
apiVersion: podgraft.dev/v1alpha1
kind: ClusterInjectionTemplate
metadata: {name: own}
spec: {target: {env: [{name: OWN, value: b}]}}
";

#[test]
fn templates_among_the_manifests_count() {
    let asks = pod("{inject/own: 'true'}");
    let stream = format!("{asks}---\n{TEMPLATE}");
    let run = |input: &str| run(["inject"], input);
    let both = run(&stream);
    assert_eq!((both.code, both.err.as_str()), (0, ""));
    assert!(both.out.contains("name: OWN") && both.out.ends_with(TEMPLATE), "{}", both.out);

    let item = TEMPLATE.replace('\n', "\n  ");
    let listed = run(&format!("apiVersion: v1\nkind: List\nitems:\n- {item}\n---\n{asks}"));
    assert_eq!((listed.code, listed.err.as_str()), (0, ""));
    assert!(listed.out.contains("name: OWN"), "{}", listed.out);

    let bad = run(&format!("{asks}---\n{}", TEMPLATE.replace("target:", "targe:")));
    assert_eq!((bad.code, bad.out.as_str()), (1, ""));
    assert!(bad.err.contains("stdin:14:") && bad.err.contains("targe"), "{}", bad.err);

    let own = TEMPLATE.replace("ClusterInjectionTemplate", "InjectionTemplate");
    let in_shop = super::run(["inject", "-n", "shop"], &format!("{asks}---\n{own}"));
    assert_eq!((in_shop.code, in_shop.err.as_str()), (0, ""));
}

#[test]
fn what_stands_around_templates_makes_none_too_large_and_moves_their_lines() {
    let bad = TEMPLATE.replace("target:", "targe:").replace("own", "bad");
    let stream = format!("# c\n---\n{TEMPLATE}---\na: |\n{}---\n{bad}", "\n".repeat(1 << 20));
    let run = run(["inject"], &stream);
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    let line = stream.lines().position(|line| line.contains("targe:")).unwrap() + 1;
    assert!(run.err.contains(&format!("stdin:{line}:")) && !run.err.contains("too large"), "{}", run.err);
}

#[test]
fn lines_of_templates_are_those_of_the_stream_wherever_they_are_told() {
    let asks = pod("{inject/own: 'true'}");
    let stream = |spec: &str| {
        let template = TEMPLATE.replace("{target: {env: [{name: OWN, value: b}]}}", spec);
        format!("a: 1\n---\n{TEMPLATE}---\n{asks}---\n{template}").replacen("name: own", "name: other", 1)
    };
    let told = |spec: &str, line: &str, before: &str, after: &str| {
        let stream = stream(spec);
        let at = stream.lines().position(|it| it.contains(line)).unwrap() + 1;
        let run = run(["inject"], &stream);
        assert_eq!((run.code, run.out.as_str()), (1, ""));
        assert!(run.err.contains(&format!("{before}{at}{after}")), "{at}: {}", run.err);
    };
    let missing = "\n  target:\n    env:\n    - name: A\n      value: '{{ object.metadata.labels.foo }}'";
    told(missing, "name: A", "own: target.env[0].value (stdin:", "): ");
    told("\n  order:\n    before:\n    - a\n    - a", "- a", "= help: the first is in line ", "\n");
    let twice = "\n  sidecars:\n  - name: a\n    image: a\n  - name: a\n    image: a";
    told(twice, "- name: a", "= help: the first is in line ", "\n");
    told("\n  description: a\n  description: b", "description: b", "stdin:", ":3");
}

#[test]
fn templates_in_json_and_in_lists_are_told_where_they_stand() {
    let bad = TEMPLATE.replace("target:", "targe:");
    let item = bad.trim_end().replace('\n', "\n  ");
    let listed = format!("a: 1\n---\nkind: List\nitems:\n- {item}\n");
    let json = |field: &str| {
        format!(
            "{{\"apiVersion\": \"podgraft.dev/v1alpha1\", \"kind\": \"ClusterInjectionTemplate\",\n\t\"metadata\": {{\"name\": \"own\"}}, \"spec\": {{\"{field}\": {{}}}}}}\n"
        )
    };
    for (stream, place) in [
        (json("targe"), "stdin:2:40"),
        (format!("{{\"a\": 1}}\n\n{}", json("targe")), "stdin:4:40"),
        (listed.clone(), "stdin:8:10"),
        (format!("{listed}- a: 1\n"), "stdin, as YAML:"),
    ] {
        let run = run(["inject"], &stream);
        assert_eq!((run.code, run.out.as_str()), (1, ""));
        assert!(run.err.contains(&format!("--> {place}")), "{place}: {}", run.err);
    }
}

#[test]
fn templates_that_are_wrong_are_told_in_every_file() {
    let bad = TEMPLATE.replace("target:", "targe:");
    let files = directory(&[("a.yaml", &bad), ("b.yaml", "a: b: c\n"), ("c.yaml", &bad)]);
    let run = run_in(files.path(), ["inject", "a.yaml", "b.yaml", "c.yaml"], "");
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    for told in
        ["a.yaml:4:", "b.yaml:1:5:", "c.yaml:4:", "error: there are templates that can't be used in a.yaml, c.yaml"]
    {
        assert!(run.err.contains(told), "{told}: {}", run.err);
    }
}

#[test]
fn a_dump_of_templates_is_a_file_of_templates() {
    let item = TEMPLATE.replace('\n', "\n  ");
    let files = directory(&[("t/dump.yaml", &format!("apiVersion: v1\nitems:\n- {item}\nkind: List\n"))]);
    let check = run_in(files.path(), ["template", "check", "t"], "");
    assert_eq!((check.code, check.out.as_str(), check.err.as_str()), (0, "t/dump.yaml: ok: own\n", ""));
    let show = run_in(files.path(), ["template", "show", "own", "--templates", "t"], "");
    assert_eq!((show.code, show.out.as_str()), (0, TEMPLATE));
}

#[test]
fn check_and_templates_mean_the_same_files() {
    let files = directory(&[("t/a.yaml", TEMPLATE), ("t/below/b.yaml", TEMPLATE), ("only/below/b.yaml", TEMPLATE)]);
    let check = |what: &[&str]| run_in(files.path(), [&["template", "check"], what].concat(), "");
    let list = |what: &str| run_in(files.path(), ["template", "list", "-o", "name", "--templates", what], "");
    assert_eq!(check(&["t"]).out, "t/a.yaml: ok: own\n");
    assert!(list("t").out.contains("own\n") && list("t").err.is_empty());

    let told = "no template file (*.yaml, *.yml, *.json) in only; directories in it are not read, name them too\n";
    assert_eq!((check(&["only"]).code, check(&["only"]).err), (1, format!("error: {told}")));
    assert_eq!((list("only").code, list("only").err), (0, format!("warning: {told}")));

    let twice = check(&["t", "t/below"]);
    assert_eq!(
        (twice.code, twice.err.as_str()),
        (1, "error: template own of t/a.yaml is hidden by the one of t/below/b.yaml; remove one of them\n")
    );
}

#[test]
fn a_pipe_in_a_directory_is_not_waited_for() {
    let files = directory(&[("m/a.yaml", "a: 1\n")]);
    assert!(Command::new("mkfifo").arg(files.path().join("m/x.yaml")).status().unwrap().success());
    for args in [&["inject", "m"][..], &["template", "check", "m"]] {
        let run = run_in(files.path(), args, "");
        assert_eq!((run.code, run.out.as_str()), (1, ""), "{args:?}");
        assert!(run.err.contains("m/x.yaml: is no regular file\n"), "{}", run.err);
    }
}

#[test]
fn a_path_that_is_no_text_changes_nothing_about_what_is_said() {
    let mut command = command();
    command.arg("inject").arg(OsStr::from_bytes(b"m\xff.yaml")).args(["-o", "xml"]);
    let run = complete(command, "");
    assert_eq!(run.code, 2, "{}", run.err);
    assert!(run.err.starts_with("error: invalid value 'xml' for '--output"), "{}", run.err);
}

#[test]
fn json_holds_no_list_in_a_list() {
    let stream = format!(
        "apiVersion: v1\nkind: Service\n---\napiVersion: v1\nkind: List\nitems:\n- {}---\n\
         apiVersion: apps/v1\nkind: DeploymentList\nitems:\n- metadata: {{name: d}}\n",
        pod("{inject/set-env: A=b}").replace('\n', "\n  ").trim_end_matches(' ')
    );
    let run = run(["inject", "-o", "json"], &stream);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let list: Value = serde_json::from_str(&run.out).unwrap();
    let kinds: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| &item["kind"]).collect();
    assert_eq!(kinds, ["Service", "Pod", "Deployment"]);
    assert_eq!(list["items"][2]["apiVersion"], "apps/v1");
}

#[test]
fn json_stays_json_where_all_of_it_is() {
    let untouched = "\u{feff}{\"a\": 1.50}\n{\n\t\"b\":\t[]\n}\n\n";
    assert_eq!(run(["inject"], untouched).out, untouched);
    let asks = "{\r\n    \"kind\": \"Pod\",\r\n    \"apiVersion\": \"v1\",\r\n    \"metadata\": {\"annotations\": {\"inject/set-env\": \"A=b\"}},\r\n    \"spec\": {\"containers\": [{\"name\": \"a\"}]}\r\n}\r\n";
    let injected = run(["inject"], &format!("{asks}{untouched}").replace('\u{feff}', "")).out;
    let rest = untouched.replace('\u{feff}', "");
    assert!(injected.starts_with("{\r\n    \"kind\": \"Pod\"") && injected.ends_with(&rest), "{injected}");
    assert!(injected.contains("\r\n                        \"name\": \"A\",\r\n"), "{injected}");
    assert_eq!(run(["inject"], &injected).out, injected);
    let files = directory(&[("a.json", untouched), ("b.json", untouched)]);
    let joined = run_in(files.path(), ["inject", "a.json", "b.json"], "");
    assert_eq!(joined.out, format!("{untouched}{rest}"));
    let compact = run(["inject"], &asks.replace("\r\n", "").replace("    ", ""));
    assert_eq!(compact.out.lines().count(), 1, "{}", compact.out);
}

#[test]
fn a_diff_applies() {
    let many = format!("---\n{}", pod("{inject/set-env: A=b}")).repeat(40);
    let json = r#"{"kind": "Pod", "apiVersion": "v1", "metadata": {"annotations": {"inject/set-env": "A=b"}}, "spec": {"containers": [{"name": "a"}]}}"#;
    for (name, text) in [
        ("m.yaml", many.as_str()),
        ("m.yaml", many.trim_end()),
        ("m.json", json),
        ("two.json", &format!("{json}{json}\n")),
    ] {
        let files = directory(&[(name, text)]);
        let diff = run_in(files.path(), ["inject", "-o", "diff", name], "");
        assert_eq!((diff.code, diff.err.as_str()), (0, ""));
        let injected = run_in(files.path(), ["inject", name], "").out;
        assert_ne!(injected, text);
        let mut patch = Command::new("patch");
        patch.args(["-s", "-p0", "--fuzz=0"]).current_dir(files.path());
        let applied = complete(patch, &diff.out);
        assert_eq!((applied.code, applied.out.as_str()), (0, ""), "{}{}", applied.err, diff.out);
        assert_eq!(fs::read_to_string(files.path().join(name)).unwrap(), injected);
    }
}

#[test]
fn annotations_without_quotes_are_refused() {
    let refused = "annotation inject/log-shipper is true and no text, which Kubernetes refuses; put it in quotes";
    let bare = run(["inject"], &pod("{inject/log-shipper: yes}"));
    assert_eq!((bare.code, bare.out.as_str()), (1, ""));
    assert!(bare.err.contains(&format!("stdin: Pod/web: error: {refused}\n")), "{}", bare.err);

    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {podgraft.dev/inject: enabled}, annotations: {inject/log-shipper: yes}}\n";
    let streamed = run(["inject"], namespace);
    assert_eq!(
        (streamed.code, streamed.err.as_str()),
        (1, format!("stdin: Namespace/shop: error: {refused}\n").as_str())
    );
    let files = directory(&[("ns.yaml", namespace)]);
    let named = run_in(files.path(), ["inject", "--namespaces", "ns.yaml"], &pod("{}"));
    assert_eq!(named.code, 1);
    assert!(named.err.contains(&format!("ns.yaml: Namespace/shop: {refused}\n")), "{}", named.err);
}

#[test]
fn a_parameter_alone_is_said_to_ask_for_nothing() {
    let alone = pod("{inject/log-shipper.path: /x, b.inject/cache.port: '1', inject/set-env: A=b}");
    let told = |key: &str, main: &str| {
        format!(
            "stdin: Pod/web: warning: annotation {key} asks for nothing until {main} does, on the pod or its namespace\n"
        )
    };
    let both = told("b.inject/cache.port", "b.inject/cache") + &told("inject/log-shipper.path", "inject/log-shipper");
    let bare = run(["inject"], &alone);
    assert_eq!((bare.code, bare.err), (0, both));
    assert!(bare.out.contains("name: A"), "{}", bare.out);

    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {podgraft.dev/inject: enabled}, annotations: {inject/log-shipper: 'false'}}\n";
    let asked = run(["inject"], &format!("{namespace}---\n{}", pod("{inject/log-shipper.path: /x}")));
    assert_eq!((asked.code, asked.err.as_str()), (0, ""));
    let unknown = run(["inject"], &pod("{inject/log-shipper.pth: /x}"));
    assert!(unknown.code == 1 && !unknown.err.contains("asks for nothing"), "{}", unknown.err);
}

#[test]
fn a_namespace_is_told_what_the_cluster_would_say() {
    let namespace =
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, annotations: {inject/log-shiper: 'true'}}\n";
    let run = run(["inject"], namespace);
    assert_eq!((run.code, run.out.as_str()), (0, namespace));
    let lines: Vec<_> = run.err.lines().collect();
    assert_eq!(lines.len(), 2, "{}", run.err);
    assert!(
        lines[0].starts_with("stdin: Namespace/shop: warning: annotation inject/log-shiper is not read"),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].starts_with("stdin: Namespace/shop: warning: ") && lines[1].contains("log-shipper"),
        "{}",
        lines[1]
    );
}

#[test]
fn an_empty_variable_is_none_and_a_bad_one_is_named() {
    let with = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = command();
        command.envs(variables.iter().copied()).args(args);
        complete(command, "")
    };
    let empty =
        ["OUTPUT", "TEMPLATES", "NAMESPACE", "NAMESPACES", "ON_UNKNOWN", "IMAGE", "IMAGE_MIRROR", "FOREIGN_CONTAINERS"]
            .map(|name| format!("PODGRAFT_{name}"));
    let empty: Vec<_> = empty.iter().map(|name| (name.as_str(), "")).collect();
    for args in [&["inject"][..], &["template", "list"], &["template", "show", "cache"]] {
        let run = with(&empty, args);
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{args:?}");
    }
    let bad = with(&[("PODGRAFT_OUTPUT", "xml")], &["inject"]);
    assert_eq!(bad.code, 2);
    assert!(bad.err.contains("the value is that of the environment variable PODGRAFT_OUTPUT"), "{}", bad.err);
    let typed = with(&[("PODGRAFT_OUTPUT", "xml")], &["inject", "-o", "xml"]);
    assert!(typed.code == 2 && !typed.err.contains("PODGRAFT_OUTPUT"), "{}", typed.err);
    let elsewhere = with(&[("PODGRAFT_NAMESPACES", "/absent")], &["template", "list"]);
    assert_eq!((elsewhere.code, elsewhere.err.as_str()), (0, ""));
}

#[test]
fn contradictions_and_impossible_values_are_wrong_usage() {
    for args in [
        &["wait", "--insecure", "--ca-file", "nosuch", "https://a"][..],
        &["inject", "--image", "a b"],
        &["inject", "--image", ""],
        &["inject", "--foreign-containers", "A_b"],
        &["inject", "--foreign-containers", "a,"],
        &["template", "show", "-n", "A B", "cache"],
    ] {
        assert_eq!(run(args, "").code, 2, "{args:?}");
    }
    let twice = run(["template", "check", "-", "-"], "");
    assert_eq!(twice.code, 2);
    assert!(twice.err.contains("Usage: podgraft template check "), "{}", twice.err);
}

#[test]
fn what_is_no_manifest_is_said_with_what_to_do() {
    let files = directory(&[("chart.yaml", "kind: Pod\nmetadata: {{ .Values.x }}\n")]);
    let utf16: Vec<u8> = "\u{feff}a: 1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(files.path().join("u16.yaml"), utf16).unwrap();
    let told = |args: &[&str]| {
        let run = run_in(files.path(), args, "");
        assert_eq!((run.code, run.out.as_str()), (1, ""), "{args:?}");
        run.err
    };
    assert!(told(&["inject", "chart.yaml"]).ends_with(
        "\nchart.yaml: this looks like a Helm template; render it first: helm template … | podgraft inject\n"
    ));
    assert_eq!(told(&["inject", "u16.yaml"]), "error: u16.yaml: is UTF-16; save it as UTF-8\n");
    assert_eq!(
        told(&["inject", "https://example.com/a.yaml"]),
        "error: https://example.com/a.yaml: a URL is not read; pipe it in: curl -fsSL https://example.com/a.yaml | podgraft …\n"
    );
    assert!(told(&["inject", "a.yaml,b.yaml"]).contains("; name several files one after the other: a.yaml b.yaml\n"));
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_can_not_be_written_is_an_error_with_its_place() {
    let mut command = command();
    command.args(["template", "list"]).stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.starts_with("error: can't write to standard output: No space left"), "{told}");
}
