//! Limits: `docs/limits.md` against the source, and what exceeds a limit and has no test of its own elsewhere.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use podgraft::inject::reason::Reason;
use podgraft::inject::request::PodRequest;
use podgraft::inject::{Outcome, check_defaults, inject};
use podgraft::snapshot::{INJECT_LABEL, Namespace, Snapshot};
use podgraft::template::{self, LoadOptions, Origin};
use serde_json::{Value, json};

use crate::process::{podgraft, run};
use crate::promises;

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The value of a constant in a file: a product of numbers, of which some may be constants of that file.
fn constant(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains(&format!("const {name}: ")))?;
    let value = line.split_once(" = ")?.1.split(';').next()?;
    let factor = |factor: &str| factor.replace('_', "").parse().ok().or_else(|| constant(text, factor));
    value.trim_end_matches(" as usize").split('*').map(|it| factor(it.trim())).product()
}

/// The name of the whole number that a line of a file says, unless it is said within a function.
fn number(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("const ")?;
    let (name, rest) = after.split_once(": ")?;
    let kind = rest.split(' ').next()?;
    let is_limit = name.starts_with("MAX_") && !before.contains("//");
    let is_whole = ["usize", "u32", "u64", "i64"].contains(&kind) && !before.starts_with(' ');
    (is_limit || (is_whole && !before.contains("//"))).then_some(name)
}

/// Every number of a text: `1,280`, `64 KiB`, `8th`.
fn numbers(text: &str) -> Vec<u64> {
    let mut found = Vec::new();
    let text = text.replace(", ", " ; ");
    let mut words = text.split(' ').peekable();
    while let Some(word) = words.next() {
        let digits: String = word.chars().filter(char::is_ascii_digit).collect();
        let Ok(number) = digits.parse::<u64>() else { continue };
        let unit = match words.peek() {
            Some(&"KiB") => 1024,
            Some(&"MiB") => 1024 * 1024,
            _ => 1,
        };
        found.push(number * unit);
    }
    found
}

/// The constants of a row's last column, with their files.
fn named(cell: &str) -> Vec<(String, String)> {
    let mut file = String::new();
    let mut named = Vec::new();
    for word in cell.split('`').skip(1).step_by(2) {
        if word.contains('.') {
            word.clone_into(&mut file);
        } else {
            named.push((file.clone(), word.to_owned()));
        }
    }
    named
}

/// The rows of the table that name a constant.
fn rows() -> Vec<(String, Vec<(String, String)>)> {
    let table = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/limits.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    cells.filter(|cells| cells[3].contains('`')).map(|cells| (cells[..3].join(" ; "), named(cells[3]))).collect()
}

#[test]
fn the_table_says_what_the_source_says() {
    let rows = rows();
    assert!(rows.len() > 30);
    for (row, constants) in rows {
        for (file, name) in constants {
            let text = fs::read_to_string(source().join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let value = constant(&text, &name).unwrap_or_else(|| panic!("{file} has no {name}"));
            assert!(numbers(&row).contains(&value), "{name} of {file} is {value}: {row}");
        }
    }
}

#[test]
fn every_limit_of_the_source_is_in_the_table() {
    // Nothing is refused, cut or kept waiting for these.
    const NOT_TOLD: [(&str, &str); 27] = [
        // What is looked at to find a nearest name, and how long a name may be in a message.
        ("nearest.rs", "MAX_EDITS"),
        ("nearest.rs", "MAX_NAME"),
        ("nearest.rs", "MAX_KNOWN"),
        ("nearest.rs", "MAX_HINTS"),
        ("template/fields.rs", "MAX_NAME"),
        // The same as in `template/names.rs`.
        ("inject/annotations.rs", "MAX_TEMPLATE"),
        // How often something is tried that others may be at.
        ("cluster/trouble.rs", "ATTEMPTS"),
        ("files.rs", "ATTEMPTS"),
        // What is taken at once, of as much as there is.
        ("json/chunk.rs", "SIZE"),
        ("server/body.rs", "AT_ONCE"),
        ("server/memory.rs", "APART"),
        // As many as the kernel follows.
        ("watch.rs", "MAX_LINKS"),
        ("server/memory.rs", "LARGE"),
        ("telemetry/fields.rs", "LENGTH"),
        ("template/builtin.rs", "MOST_THREADS"),
        ("template/expression.rs", "DEEP_STACK"),
        ("template/expression/evaluate.rs", "CHUNK"),
        // As far as numbers go.
        ("authority/material.rs", "LAST"),
        // What is kept for the next time.
        ("telemetry/lines.rs", "KEPT"),
        // How closely an expression is looked at: beyond it, it may make anything.
        ("template/expression/words.rs", "WAYS"),
        ("template/shell/environment.rs", "MAX_VALUE"),
        ("template/shell/environment.rs", "MAX_VALUES"),
        // How something is written or read.
        ("cli/inject/output.rs", "AROUND"),
        ("manifest/splice.rs", "WIDE"),
        ("template/expression/functions/format.rs", "PRECISION"),
        ("template/parameter/notation.rs", "FRACTION_DIGITS"),
        ("tls/directory.rs", "OWNER_ALONE"),
    ];
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { below(&path, found) } else { found.push(path) }
        }
    }
    let mut files = Vec::new();
    below(&source(), &mut files);
    let told: BTreeSet<(String, String)> = rows().into_iter().flat_map(|(_, constants)| constants).collect();
    let mut missing = Vec::new();
    for path in files.into_iter().filter(|path| !path.ends_with("tests.rs")) {
        let file = path.strip_prefix(source()).unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap_or_default();
        for line in text.lines().take_while(|line| line.trim() != "mod tests {") {
            let Some(name) = number(line) else { continue };
            if !told.contains(&(file.clone(), name.to_owned())) && !NOT_TOLD.contains(&(&file, name)) {
                missing.push(format!("{file} {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "docs/limits.md does not tell of {missing:#?}");
}

/// A template.
fn document(name: &str, spec: &Value) -> String {
    let (version, kind) = ("podgraft.dev/v1alpha1", "ClusterInjectionTemplate");
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}).to_string()
}

fn snapshot(spec: &Value) -> Snapshot {
    let loaded = template::load(Origin("big.yaml".into()), &document("big", spec), &LoadOptions::default());
    let mut snapshot = Snapshot::default();
    for template in loaded.unwrap_or_else(|error| panic!("{error}")).templates {
        snapshot.templates.insert(Arc::new(template));
    }
    snapshot
}

fn pod(annotations: &Value) -> String {
    pod_of(3, annotations)
}

fn pod_of(containers: usize, annotations: &Value) -> String {
    let containers: Vec<_> = (0..containers).map(|index| json!({"name": format!("c{index}"), "image": "a"})).collect();
    json!({"metadata": {"annotations": annotations}, "spec": {"containers": containers}}).to_string()
}

/// However large its parts are and however often it repeats them, a template adds no more than could be stored.
#[test]
fn what_grafts_add_together_is_bounded() {
    let long = "x".repeat(200 * 1024);
    let repeated = json!({"sidecars": [
        {"name": "s-{{ index }}", "forEach": "lists.range(64)", "image": "a", "args": [long.clone()]},
    ]});
    let wired = json!({"targets": "all", "target": {"env": [
        {"name": "A_{{ index }}", "forEach": "lists.range(15)", "value": "{{ params.long }}"},
    ]}, "parameters": {"long": {"type": "string", "default": "x".repeat(60 * 1024)}}});
    let by_instances = json!({"sidecars": [{"name": "s", "image": "a", "args": [long]}]});
    let once = json!({"inject/big": "true"});
    let many: Value = (0..60).map(|index| (format!("i{index:02}.inject/big"), json!("true"))).collect();
    for (spec, asked, graft) in [(repeated, &once, "big"), (wired, &once, "big"), (by_instances, &many, "i10.big")] {
        let snapshot = snapshot(&spec);
        let pod = pod(asked);
        let request = PodRequest::create(&pod, "default").unwrap();
        let Outcome::Reject(reasons, _) = inject(&request, &snapshot) else { panic!("it is too much") };
        assert_eq!(reasons[0].label(), "too_much");
        let said = reasons[0].to_string();
        assert!(said.starts_with(&format!("{graft}: 2")), "{said}");
        assert!(said.ends_with(" bytes of additions to the pod; at most 2097152 are allowed"), "{said}");
    }
}

/// However many variables a pod's containers set that its grafts would set, too.
#[test]
fn what_is_there_already_takes_no_more_than_a_bound() {
    let list = |name: &str| json!({"name": name, "forEach": "lists.range(64)", "value": "a"});
    let snapshot = snapshot(&json!({"targets": "all", "target": {"env": [list("V{{ index }}")]}}));
    let answer = |containers: usize, grafts: usize| {
        let env: Vec<_> = (0..64).map(|index| json!({"name": format!("V{index}"), "value": "b"})).collect();
        let name = |index: usize| format!("c{index}");
        let containers: Vec<_> =
            (0..containers).map(|it| json!({"name": name(it), "image": "a", "env": env})).collect();
        let annotations: Value = (0..grafts).map(|index| (format!("i{index:02}.inject/big"), json!("true"))).collect();
        json!({"metadata": {"annotations": annotations}, "spec": {"containers": containers}}).to_string()
    };
    let (few, many) = (answer(64, 4), answer(64, 5));
    let request = PodRequest::create(&few, "default").unwrap();
    let Outcome::Skip(_, warnings) = inject(&request, &snapshot) else { panic!("all of it is there") };
    assert_eq!(warnings.len(), 256);
    let request = PodRequest::create(&many, "default").unwrap();
    let Outcome::Reject(reasons, warnings) = inject(&request, &snapshot) else { panic!("it is too much") };
    assert_eq!(
        reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["i04.big: 16448 comparisons with what target containers have; at most 16384 are allowed"]
    );
    assert_eq!(warnings.len(), 256);
}

/// However many grafts go, one after the other: each time the rest is planned anew.
#[test]
fn rounds_of_planning_take_no_more_than_a_bound_together() {
    let list = json!({"name": "V{{ index }}", "forEach": "lists.range(60)", "value": "a"});
    let order = json!({"before": ["first"], "after": ["last"]});
    let init = json!([{"name": "i", "image": "a"}]);
    let snapshot =
        snapshot(&json!({"targets": "all", "order": order, "initContainers": init, "target": {"env": [list]}}));
    let reasons = |grafts: usize| {
        let containers: Vec<_> = (0..20).map(|it| json!({"name": format!("c{it}"), "image": "a"})).collect();
        let init = json!([{"name": "first", "image": "a"}, {"name": "last", "image": "a"}]);
        let annotations: Value = (0..grafts).map(|index| (format!("i{index:02}.inject/big"), json!("true"))).collect();
        let spec = json!({"initContainers": init, "containers": containers});
        let pod = json!({"metadata": {"annotations": annotations}, "spec": spec}).to_string();
        let request = PodRequest::create(&pod, "default").unwrap();
        let Outcome::Reject(reasons, _) = inject(&request, &snapshot) else { panic!("there is no such order") };
        reasons.iter().map(Reason::label).collect::<Vec<_>>()
    };
    assert_eq!(reasons(2), ["order", "order"]);
    let many = reasons(6);
    assert_eq!((many.len(), many.contains(&"too_much")), (6, true), "{many:?}");
}

/// A pod with one less is grafted.
#[test]
fn what_a_graft_may_do_to_a_pod_is_bounded() {
    let wired = |variables: usize| {
        let variable = |index| json!({"name": format!("A_{index}"), "value": "a"});
        json!({"targets": "all", "target": {"env": (0..variables).map(variable).collect::<Value>()}})
    };
    let precise = json!({
        "parameters": {"digits": {"type": "integer", "default": 1}},
        "primaryParameter": "digits",
        "target": {"env": [{"name": "A", "value": "{{ ('%.' + string(params.digits) + 'f').format([1.0]) }}"}]},
    });
    for (spec, fits, too_much, value, told) in [
        (wired(1), 256, 257, ["true"; 2], "big: 257 target containers; at most 256 are allowed"),
        (wired(64), 64, 65, ["true"; 2], "big: 4160 additions to the pod; at most 4096 are allowed"),
        (precise, 1, 1, ["100", "101"], "format(): a precision is a number up to 100"),
    ] {
        let snapshot = snapshot(&spec);
        let [fits, too_much] = [(fits, value[0]), (too_much, value[1])]
            .map(|(containers, value)| pod_of(containers, &json!({"inject/big": value})));
        let request = PodRequest::create(&fits, "default").unwrap();
        assert!(matches!(inject(&request, &snapshot), Outcome::Inject(_)), "{told}");
        let request = PodRequest::create(&too_much, "default").unwrap();
        let Outcome::Reject(reasons, _) = inject(&request, &snapshot) else { panic!("{told}") };
        let said: Vec<_> = reasons.iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].ends_with(told), "{said:?}");
    }
}

#[test]
fn what_a_template_file_may_hold_is_bounded() {
    let expressions = |many: usize| {
        let args = vec!["{{ instance }}"; many];
        document("big", &json!({"initContainers": [{"name": "a", "image": "a", "args": args}]}))
    };
    let documents = |many: usize| {
        let documents = (0..many).map(|index| document(&format!("t{index}"), &json!({})) + "\n---\n");
        documents.collect()
    };
    for (text, most, told) in [
        (&expressions as &dyn Fn(usize) -> String, 1000, "the template has more than 1000 expressions"),
        (&documents, 1000, "the file has more than 1000 documents"),
    ] {
        let load = |many| template::load(Origin("big.yaml".into()), &text(many), &LoadOptions::default());
        load(most).unwrap_or_else(|error| panic!("{error}"));
        let error = load(most + 1).expect_err(told);
        let said: Vec<_> = error.diagnostics.iter().map(|diagnostic| &*diagnostic.message).collect();
        assert_eq!(said, [told]);
    }
}

#[test]
fn annotations_of_a_namespace_are_counted() {
    let mut snapshot = snapshot(&json!({"initContainers": [{"name": "a", "image": "a"}]}));
    let many: Value = (0..1281).map(|index| (format!("inject/big.p{index}"), json!("x"))).collect();
    let annotations = many.as_object().unwrap().iter().map(|(key, value)| (&**key, value.as_str().unwrap()));
    let told = "the namespace has 1281 annotations of podgraft; at most 1280 are allowed";
    assert_eq!(
        check_defaults(&snapshot, "default", annotations).iter().map(ToString::to_string).collect::<Vec<_>>(),
        [told]
    );

    let labels = json!({(INJECT_LABEL.0): INJECT_LABEL.1});
    let object = json!({"metadata": {"name": "default", "labels": labels, "annotations": many}});
    snapshot.namespaces.insert(Namespace::from_object(object).unwrap());
    let pod = pod(&json!({"inject/big": "true"}));
    let request = PodRequest::create(&pod, "default").unwrap();
    let Outcome::Inject(plan) = inject(&request, &snapshot) else { panic!("the pod's own is right") };
    assert_eq!(plan.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [format!("left out: {told}")]);
}

/// However many names of a pod nobody knows, and however many it has that they could be meant for.
#[test]
fn what_was_meant_is_said_of_the_first_mistakes_alone() {
    let name = |index: usize| format!("{index:04}-{}", "x".repeat(45));
    let containers: Vec<_> = (0..1000).map(|index| json!({"name": name(index), "image": "a"})).collect();
    let unknown: Vec<_> = (0..64).map(|index| format!("{}y", name(index))).collect();
    let mut annotations = json!({});
    for graft in 0..64 {
        let key = format!("i{graft}.inject/big");
        annotations[key.clone()] = json!("true");
        annotations[format!("{key}.containers")] = json!(unknown.join(","));
    }
    let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": containers}}).to_string();
    let request = PodRequest::create(&pod, "default").unwrap();
    let snapshot = snapshot(&json!({"initContainers": [{"name": "a", "image": "a"}]}));
    let Outcome::Reject(reasons, _) = inject(&request, &snapshot) else { panic!("nobody knows the names") };
    assert_eq!(reasons.len(), 64 * 64);
    let meant = |reason: &&Reason| reason.to_string().contains("did you mean");
    assert_eq!(reasons.iter().take_while(meant).count(), 8);
    assert_eq!(reasons.iter().filter(meant).count(), 8);
}

#[test]
fn grafts_of_a_namespace_are_counted_and_deny_no_pod() {
    let mut snapshot = snapshot(&json!({"initContainers": [{"name": "a", "image": "a"}]}));
    let many: Value = (0..64).map(|index| (format!("i{index}.inject/big"), json!("true"))).collect();
    let labels = json!({(INJECT_LABEL.0): INJECT_LABEL.1});
    let object = json!({"metadata": {"name": "default", "labels": labels, "annotations": many}});
    snapshot.namespaces.insert(Namespace::from_object(object).unwrap());
    let pod = pod(&json!({"inject/big": "true"}));
    let request = PodRequest::create(&pod, "default").unwrap();
    let Outcome::Inject(plan) = inject(&request, &snapshot) else { panic!("the pod's own is right") };
    assert_eq!(plan.grafts.len(), 1);
    let told = "left out: the pod would get 65 grafts; at most 64 are allowed";
    assert_eq!(plan.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [told]);
}

/// As the API server counts: keys and values, without what JSON adds to them.
#[test]
fn annotations_may_fill_their_limit_to_the_last_byte() {
    let snapshot = snapshot(&json!({"pod": {"annotations": {"example.com/said": "\"a\""}}}));
    let left = |own: usize| {
        let mut pod: Value =
            serde_json::from_str(&pod(&json!({"inject/big": "true", "own": "x".repeat(own)}))).unwrap();
        let text = pod.to_string();
        let request = PodRequest::create(&text, "default").unwrap();
        let Outcome::Inject(plan) = inject(&request, &snapshot) else { return None };
        promises::apply(&mut pod, &plan.patch());
        let all = pod["metadata"]["annotations"].as_object().unwrap();
        let found: usize = all.iter().map(|(key, value)| key.len() + value.as_str().unwrap().len()).sum();
        (256 * 1024_usize).checked_sub(found)
    };
    let room = left(0).unwrap();
    assert_eq!((left(room), left(room + 1)), (Some(0), None));
}

#[test]
fn an_input_without_end_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("huge.yaml");
    // Holes take no room.
    File::create(&path).unwrap().set_len(256 * 1024 * 1024 + 1).unwrap();
    let (code, output, errors) = run(podgraft().arg("inject").arg(&path).current_dir(dir.path()));
    assert_eq!((code, output.as_str()), (Some(1), ""));
    let told = format!("{}: has more than 268435456 bytes, the most that is read; split it", path.display());
    assert!(errors.contains(&told), "{errors}");
}
