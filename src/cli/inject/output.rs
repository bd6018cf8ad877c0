//! What `podgraft inject` prints.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use diffy::Line;
use serde_json::{Value, json};

use crate::manifest;

use super::graft::{File, Grafted};

/// `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The manifests, injected; documents that ask for nothing byte for byte.
    Yaml,
    /// The objects, injected: one, or a v1 List of them.
    Json,
    /// A JSON Patch for each object, one a line; [] where nothing changes.
    Patch,
    /// What changes, as a unified diff of the manifests.
    Diff,
}

/// The whole output.
pub fn render(files: &[File<'_>], format: Format, color: bool) -> serde_json::Result<String> {
    Ok(match format {
        Format::Yaml => yaml(files),
        Format::Json => json(files)?,
        Format::Patch => patches(files)?,
        Format::Diff => files.iter().map(|file| diff(file, color)).collect(),
    })
}

fn yaml(files: &[File<'_>]) -> String {
    let mut stream = String::new();
    for file in files {
        manifest::append(&mut stream, &file.yaml());
    }
    stream
}

/// The documents that hold something.
fn objects<'f>(files: &'f [File<'_>]) -> impl Iterator<Item = &'f Grafted<'f>> {
    files.iter().flat_map(|file| &file.documents).filter(|grafted| !grafted.document.value().is_null())
}

fn json(files: &[File<'_>]) -> serde_json::Result<String> {
    let value = |grafted: &'_ Grafted<'_>| match &grafted.patched {
        Some(patched) => patched.value.clone(),
        None => grafted.document.value().clone(),
    };
    let mut values: Vec<Value> = objects(files).map(value).collect();
    let object = match values.len() {
        1 => values.remove(0),
        _ => json!({"apiVersion": "v1", "kind": "List", "items": values}),
    };
    Ok(serde_json::to_string_pretty(&object)? + "\n")
}

fn patches(files: &[File<'_>]) -> serde_json::Result<String> {
    objects(files).map(|grafted| Ok(serde_json::to_string(&grafted.patch)? + "\n")).collect()
}

/// A unified diff of a file; empty when nothing in it changes.
fn diff(file: &File<'_>, color: bool) -> String {
    let before: String = file.documents.iter().map(|grafted| grafted.document.yaml()).collect();
    let after = file.yaml();
    let patch = diffy::create_patch(&before, &after);
    let mut out = String::new();
    for (index, hunk) in patch.hunks().iter().enumerate() {
        let mut line = |style: Style, text: &str| {
            let style = if color { style } else { Style::new() };
            // Writing to a string can't fail.
            let _ = writeln!(out, "{style}{}{style:#}", text.trim_end_matches('\n'));
        };
        if index == 0 {
            line(Style::new().bold(), &format!("--- {}", file.name));
            line(Style::new().bold(), &format!("+++ {}", file.name));
        }
        line(AnsiColor::Cyan.on_default(), &format!("@@ -{} +{} @@", hunk.old_range(), hunk.new_range()));
        for change in hunk.lines() {
            let (style, sign, text) = match *change {
                Line::Context(text) => (Style::new(), ' ', text),
                Line::Delete(text) => (AnsiColor::Red.on_default(), '-', text),
                Line::Insert(text) => (AnsiColor::Green.on_default(), '+', text),
            };
            line(style, &format!("{sign}{text}"));
            if !text.ends_with('\n') {
                line(Style::new(), "\\ No newline at end of file");
            }
        }
    }
    out
}
