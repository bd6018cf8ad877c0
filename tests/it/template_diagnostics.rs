//! Every kind of mistake in a template file, and what its author reads: `bad/<case>.yaml` with the expected
//! `bad/<case>.txt`. `PODGRAFT_UPDATE=1` rewrites the texts. Templates in `good/` load; a `<case>.txt` there holds the
//! warnings.

#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use podgraft::template::{LoadOptions, Origin, load, render_warnings};

use crate::generated::updates;

/// The files of a directory with this extension, sorted.
fn files(directory: &Path, extension: &str) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

/// Holds what `describe` says about each YAML file against the text beside it; no text stands for nothing to say.
fn golden(directory: &str, describe: impl Fn(Origin, &str) -> Result<String, String>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/templates").join(directory);
    let update = updates();
    let mut failures = Vec::new();
    let mut stale = files(&directory, "txt");
    let cases = files(&directory, "yaml");
    assert!(!cases.is_empty());
    for path in &cases {
        let name = path.file_name().unwrap().to_str().unwrap();
        let answer = path.with_extension("txt");
        stale.remove(&answer);
        match describe(Origin(name.into()), &fs::read_to_string(path).unwrap()) {
            Err(unexpected) => failures.push(format!("{name}: {unexpected}")),
            Ok(text) if update => match text.is_empty() {
                true if answer.exists() => fs::remove_file(answer).unwrap(),
                true => {}
                false => fs::write(answer, text + "\n").unwrap(),
            },
            Ok(text) => {
                let wanted = fs::read_to_string(&answer).unwrap_or_default();
                if text != wanted.trim_end() {
                    failures.push(format!("{name}: got\n{text}\nwant\n{wanted}"));
                }
            }
        }
    }
    failures.extend(stale.iter().map(|path| format!("{} belongs to no template", path.display())));
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn mistakes_are_shown_with_their_place() {
    golden("bad", |origin, text| match load(origin, text, &LoadOptions::default()) {
        Ok(_) => Err("it loads".to_owned()),
        Err(error) => Ok(error.to_string()),
    });
}

#[test]
fn a_template_in_a_list_has_the_text_of_its_own() {
    let list = include_str!("../fixtures/templates/good/list.yaml");
    let templates = load(Origin("list.yaml".into()), list, &LoadOptions::default()).unwrap().templates;
    let names: Vec<_> = templates.iter().map(|template| &*template.name).collect();
    assert_eq!(names, ["first", "second", "third"]);
    for template in &templates {
        let alone = load(Origin("alone.yaml".into()), &template.text, &LoadOptions::default()).unwrap().templates;
        assert_eq!(
            (alone.len(), &alone[0].name, &alone[0].hash),
            (1, &template.name, &template.hash),
            "{}",
            template.text
        );
    }
    let text = &*templates[0].text;
    assert!(text.starts_with("apiVersion: ") && text.ends_with("\nstatus: {}"), "{text}");
    assert!(text.contains("\n    - |\n      several\n\n      lines\n"), "{text}");
}

#[test]
fn good_templates_load() {
    golden("good", |origin, text| match load(origin.clone(), text, &LoadOptions::default()) {
        Ok(loaded) => Ok(render_warnings(&origin, text, &loaded.warnings, false)),
        Err(error) => Err(error.to_string()),
    });
}
