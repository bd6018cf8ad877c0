//! The shape of the crate, held by a machine: the core is pure, and each layer uses only those below it.

use std::fs;
use std::path::{Path, PathBuf};

/// What the core may not touch: files, clocks, the environment, sockets, the runtime, logs. `std::io` is left out, as an
/// error that a thread could not be had is one of its own.
const IO: [&str; 19] = [
    "std::fs",
    "std::env",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::process",
    "std::time",
    "std::path",
    "tokio",
    "hyper",
    "axum",
    "tower",
    "rustls",
    "notify",
    "tracing",
    "prometheus",
    "kube",
    "anyhow",
    "clap",
];

/// Each layer, and the layers of this crate that it may use; every other one is forbidden.
const LAYERS: [(&str, &[&str]); 21] = [
    ("json", &["json"]),
    ("nearest", &[]),
    ("template", &["json", "nearest", "template"]),
    ("snapshot", &["snapshot", "template"]),
    ("inject", &["inject", "json", "nearest", "snapshot", "template"]),
    ("manifest", &["inject", "manifest", "snapshot"]),
    ("validate", &["inject", "manifest", "snapshot", "template", "validate"]),
    ("admission", &["admission", "inject", "json", "template", "validate"]),
    ("anew", &["anew"]),
    ("aside", &["aside"]),
    ("files", &["files"]),
    ("watch", &["aside", "watch"]),
    ("shutdown", &["shutdown"]),
    ("telemetry", &["telemetry"]),
    ("library", &["files", "library", "manifest", "snapshot", "template"]),
    ("tls", &["files", "tls"]),
    ("authority", &["authority", "tls"]),
    ("cluster", &["admission", "anew", "authority", "cluster", "manifest", "snapshot", "template", "tls"]),
    ("metrics", &["inject", "library", "metrics", "snapshot", "tls", "template", "validate"]),
    ("wait", &["files", "nearest", "tls", "wait"]),
    ("server", &["admission", "inject", "metrics", "server", "shutdown", "snapshot", "tls", "validate"]),
];

/// The layers that are pure.
const CORE: [&str; 8] = ["json", "nearest", "template", "snapshot", "inject", "manifest", "validate", "admission"];

/// A layer's files: `src/<layer>.rs` and all below `src/<layer>/`.
fn files(layer: &str) -> Vec<PathBuf> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "tests") {
                    below(&path, found);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = vec![source.join(format!("{layer}.rs"))];
    below(&source.join(layer), &mut found);
    found
}

/// A file's code lines, without its unit tests and comments.
fn code(path: &Path) -> Vec<(usize, String)> {
    if path.file_name().is_some_and(|name| name == "tests.rs") {
        return Vec::new();
    }
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().enumerate().take_while(|(_, line)| line.trim() != "mod tests {");
    lines
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number + 1, line.to_owned()))
        .collect()
}

/// Whether a line names a path, and not a longer one that begins alike.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let ident = |c: char| c.is_alphanumeric() || c == '_';
        let before = line[..at].chars().next_back();
        let after = &line[at + path.len()..];
        !before.is_some_and(|c| ident(c) || c == ':') && !after.starts_with(ident)
    })
}

#[test]
fn the_core_does_no_io() {
    let mut found = Vec::new();
    for layer in CORE {
        for file in files(layer) {
            for (number, line) in code(&file) {
                found.extend(
                    IO.iter().filter(|io| names(&line, io)).map(|io| format!("{}:{number}: {io}", file.display())),
                );
            }
        }
    }
    assert!(found.is_empty(), "the core decides and does no IO:\n{}", found.join("\n"));
}

#[test]
fn layers_use_only_those_below() {
    let all: Vec<&str> = LAYERS.iter().map(|(layer, _)| *layer).chain(["cli"]).collect();
    let mut found = Vec::new();
    for (layer, below) in LAYERS {
        for file in files(layer) {
            for (number, line) in code(&file) {
                for other in all.iter().filter(|other| **other != layer && !below.contains(other)) {
                    if names(&line, &format!("crate::{other}")) {
                        found.push(format!("{}:{number}: {layer} uses {other}", file.display()));
                    }
                }
            }
        }
    }
    assert!(found.is_empty(), "arrows that point the wrong way:\n{}", found.join("\n"));
}

#[test]
fn every_module_has_its_layer() {
    let library = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let modules = library.lines().filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';'));
    let unknown: Vec<_> = modules.filter(|it| *it != "cli" && !LAYERS.iter().any(|(layer, _)| layer == it)).collect();
    assert!(unknown.is_empty(), "not in LAYERS: {unknown:?}");
}

#[test]
fn a_path_is_found_and_its_neighbours_are_not() {
    assert!(names("use std::fs::File;", "std::fs"));
    assert!(names("    let text = std::fs::read(path);", "std::fs"));
    assert!(!names("use std::fsync::File;", "std::fs"));
    assert!(!names("use my::std::fs::File;", "std::fs"));
}
