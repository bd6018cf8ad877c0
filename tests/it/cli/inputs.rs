//! What people hand to the command line by mistake or by habit, and what they are told.

use std::fs;
use std::process::{Command, Stdio};

use super::{command, complete, directory, run, run_in};

const TEMPLATE: &str = "\
apiVersion: podgraft.dev/v1alpha1
kind: ClusterInjectionTemplate
metadata: {name: own}
spec: {target: {env: [{name: OWN, value: b}]}}
";

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
    let files = directory(&[]);
    let utf16: Vec<u8> = "\u{feff}a: 1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(files.path().join("u16.yaml"), utf16).unwrap();
    let told = |args: &[&str]| {
        let run = run_in(files.path(), args, "");
        assert_eq!((run.code, run.out.as_str()), (1, ""), "{args:?}");
        run.err
    };
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
