//! The golden corpus: every folder of `tests/fixtures/inject` through every way into the engine. (The command line's
//! is in `cli/corpus.rs`.)
//!
//! A folder holds `pod.yaml` and, if it needs them, `templates.yaml` (beside the built-ins), `namespace.yaml` and
//! `options.yaml`; and what comes of the pod: `want.pod.yaml` and `want.patch.json`, or `want.skip`, or `want.reject`,
//! and `want.warnings`. `PODGRAFT_UPDATE=1` writes these; `PODGRAFT_CASE=mesh` looks only at cases with that in their name.

pub mod case;
mod doors;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use std::{env, fs};

use case::Case;
use doors::{Answer, Verdict};
use podgraft::snapshot::Policy;
use podgraft::template::Template;
use serde_json::Value;

use crate::generated::updates;
use crate::promises;

/// The files that say what is wanted.
const WANTS: [&str; 5] = ["want.patch.json", "want.pod.yaml", "want.reject", "want.skip", "want.warnings"];

/// The review's identity; an answer carries it back.
const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

#[test]
fn every_case_comes_out_as_wanted() {
    let update = updates();
    for_each_case(|case| {
        let found = files(case, &doors::engine(case, &case.pod));
        if update { write(case, &found) } else { compare(case, &found) }
    });
}

#[test]
fn every_case_keeps_the_promises() {
    for_each_case(|case| {
        let answer = doors::engine(case, &case.pod);
        assert_eq!(doors::engine(case, &case.pod), answer, "the same bytes again");
        let Verdict::Inject(patch) = &answer.verdict else { return };
        let patched = promises::keep(&case.pod, patch);
        let again = doors::engine(case, &patched.to_string());
        assert_eq!(again.verdict, Verdict::Skip("already_done"), "a second time");
    });
}

#[test]
fn an_admission_review_says_the_same_as_the_engine() {
    for_each_case(|case| {
        let answer = doors::engine(case, &case.pod);
        doors::assert_says(&doors::admission(case, UID), UID, &answer);
    });
}

#[tokio::test]
async fn the_server_gives_the_same_bytes_over_https() {
    let webhook = crate::webhook::start().await;
    let mut connection = webhook.http1().await;
    for folder in case::folders() {
        let case = Case::read(folder);
        let (body, wanted) = (doors::review(&case, UID), doors::admission(&case, UID));
        webhook.state.publish(case.snapshot);
        let answer = crate::webhook::send(&mut connection, crate::webhook::mutate(body)).await;
        assert_eq!(answer.status, 200, "{}", case.name);
        assert_eq!(answer.body.as_bytes(), wanted, "{}", case.name);
    }
}

/// Calls `check` for every case, and names those for which it panics.
pub fn for_each_case(check: impl Fn(&Case)) {
    let only = env::var("PODGRAFT_CASE").unwrap_or_default();
    let (mut tried, mut failed) = (0, Vec::new());
    for folder in case::folders() {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.contains(&only) {
            continue;
        }
        tried += 1;
        if catch_unwind(AssertUnwindSafe(|| check(&Case::read(folder)))).is_err() {
            failed.push(name);
        }
    }
    assert!(tried > 0, "no case has {only:?} in its name");
    assert!(failed.is_empty(), "{} cases fail: {failed:#?}", failed.len());
}

/// The `want` files that this answer makes.
fn files(case: &Case, answer: &Answer) -> BTreeMap<&'static str, String> {
    let mut files = BTreeMap::new();
    match &answer.verdict {
        Verdict::Inject(patch) => {
            let mut pod: Value = serde_json::from_str(&case.pod).unwrap();
            promises::apply(&mut pod, patch);
            files.insert("want.patch.json", one_operation_a_line(patch));
            files.insert("want.pod.yaml", to_yaml(pod));
        }
        Verdict::Skip(label) => drop(files.insert("want.skip", format!("{label}\n"))),
        Verdict::Reject(reasons) => {
            let lines = reasons.iter().map(|(label, sentence)| format!("{label}: {sentence}\n"));
            files.insert("want.reject", lines.collect());
        }
    }
    if !answer.warnings.is_empty() {
        files.insert("want.warnings", answer.warnings.join("\n") + "\n");
    }
    files
}

fn one_operation_a_line(patch: &str) -> String {
    let mut operations: Vec<Value> = serde_json::from_str(patch).unwrap();
    operations.iter_mut().for_each(abbreviate);
    let lines: Vec<_> = operations.iter().map(|operation| format!("  {operation}")).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

fn to_yaml(mut pod: Value) -> String {
    abbreviate(&mut pod);
    let text = serde_saphyr::to_string(&pod).unwrap();
    assert_eq!(case::yaml::<Value>("want.pod.yaml", &text), pod, "YAML reads back");
    text
}

/// Writes `<script of log-shipper>` for that script and `<hash of log-shipper>` for that template's hash, so that a
/// built-in can be improved without a change to every pod that has it; and `podgraft:VERSION` for this version's image.
fn abbreviate(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(abbreviate),
        Value::Object(members) => members.values_mut().for_each(abbreviate),
        Value::String(text) => {
            for (long, short) in ABBREVIATIONS.iter().filter(|(long, _)| text.contains(long)).collect::<Vec<_>>() {
                *text = text.replace(long, short);
            }
        }
        _ => {}
    }
}

static ABBREVIATIONS: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let of_template = |template: Arc<Template>| {
        let document: Value = case::yaml(&template.name, &template.text);
        let lists = ["initContainers", "sidecars"].map(|list| document["spec"][list].clone());
        let containers = lists.iter().filter_map(Value::as_array).flatten();
        let words = containers.filter_map(|container| container["command"].as_array()).flatten();
        let scripts = words.filter_map(Value::as_str).filter(|word| word.contains('\n'));
        let scripts = scripts.map(|script| (script.to_owned(), format!("<script of {}>", template.name)));
        let hash = (template.hash.clone(), format!("<hash of {}>", template.name));
        scripts.chain([hash]).collect::<Vec<_>>()
    };
    let image = (Policy::default().image, "podgraft:VERSION".to_owned());
    crate::builtin::templates().flat_map(of_template).chain([image]).collect()
});

fn compare(case: &Case, found: &BTreeMap<&'static str, String>) {
    let wanted: BTreeMap<_, _> = case.wants().collect();
    let mut differences = String::new();
    for name in WANTS {
        let (wanted, found) = (wanted.get(name), found.get(name));
        if wanted != found {
            let (wanted, found) = (wanted.map_or("", String::as_str), found.map_or("", String::as_str));
            differences
                .push_str(&[&*case.name, "/", name, ":\n", &diffy::create_patch(wanted, found).to_string()].concat());
        }
    }
    assert!(differences.is_empty(), "PODGRAFT_UPDATE=1 writes what was found:\n{differences}");
}

fn write(case: &Case, found: &BTreeMap<&'static str, String>) {
    for name in WANTS {
        let path = case.folder.join(name);
        match found.get(name) {
            Some(text) => fs::write(path, text).unwrap(),
            None => drop(fs::remove_file(path)),
        }
    }
}
