//! The inputs that fuzzing left behind: each door's corpus, and whatever once broke a promise (`fuzz/found`).

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use crate::fuzz_targets;

/// Runs a target on every file of its folders.
fn run(name: &str) {
    let (_, target) = fuzz_targets::ALL.into_iter().find(|(it, _)| *it == name).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut broken = Vec::new();
    let mut ran = 0;
    for inputs in ["corpus", "found"] {
        let Ok(files) = fs::read_dir(folder.join(inputs).join(name)) else { continue };
        for file in files {
            let path = file.unwrap().path();
            let input = fs::read(&path).unwrap();
            ran += 1;
            if catch_unwind(|| target(&input)).is_err() {
                broken.push(path);
            }
        }
    }
    assert!(ran > 0, "{name} has inputs");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn reviews_keep_the_promises() {
    run("review");
}

#[test]
fn annotations_keep_the_promises() {
    run("annotations");
}

#[test]
fn templates_keep_the_promises() {
    run("template");
}

#[test]
fn expressions_keep_the_promises() {
    run("expression");
}

#[test]
fn manifests_keep_the_promises() {
    run("manifest");
}

#[test]
fn handshakes_keep_the_promises() {
    run("handshake");
}

#[test]
fn every_target_has_a_binary_and_a_test() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    let tests = include_str!("fuzz.rs");
    for (name, _) in fuzz_targets::ALL {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        assert!(tests.contains(&format!("run(\"{name}\")")), "{name}");
    }
}
