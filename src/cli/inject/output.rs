//! What `podgraft inject` prints.

use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;

use anstyle::{AnsiColor, Style};
use diffy::Line;
use serde_json::{Value, json};

use crate::manifest;

use super::graft::{File, Grafted};

/// `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The manifests, injected; documents that ask for nothing byte for byte. JSON stays JSON if all of it is.
    Yaml,
    /// The objects, injected: one, or a v1 List of them and of the items of lists.
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

/// The manifests: a stream of YAML, or of JSON if they all are.
fn yaml(files: &[File<'_>]) -> String {
    let mut stream = String::new();
    if files.iter().flat_map(|file| &file.documents).all(|grafted| grafted.document.is_json()) {
        for file in files {
            if !stream.is_empty() && !stream.ends_with('\n') {
                stream.push('\n');
            }
            let text: String = file.documents.iter().map(Grafted::text).collect();
            // A byte order mark may only begin it all.
            stream.push_str(if stream.is_empty() { &text } else { text.trim_start_matches('\u{feff}') });
        }
        return stream;
    }
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
        // A list in a list is refused by kubectl.
        _ => json!({
            "apiVersion": "v1",
            "kind": "List",
            "items": values.into_iter().flat_map(manifest::items).collect::<Vec<_>>(),
        }),
    };
    Ok(serde_json::to_string_pretty(&object)? + "\n")
}

fn patches(files: &[File<'_>]) -> serde_json::Result<String> {
    objects(files).map(|grafted| Ok(serde_json::to_string(&grafted.patch)? + "\n")).collect()
}

/// How many lines a hunk of a diff has around its changes.
const AROUND: usize = 3;

/// A unified diff of a file; empty when nothing in it changes.
fn diff(file: &File<'_>, color: bool) -> String {
    // Documents, but for those of JSON that share a line: what nothing touches isn't compared.
    let mut pieces: Vec<(String, String)> = Vec::new();
    for grafted in &file.documents {
        let (old, new) = (grafted.document.text(), grafted.text());
        match pieces.last_mut() {
            Some((before, after)) if !before.ends_with('\n') => {
                before.push_str(old);
                after.push_str(new);
            }
            _ => pieces.push((old.to_owned(), new.to_owned())),
        }
    }
    unified(file.name, &pieces, color)
}

/// A unified diff of a text, piece by piece; empty when nothing in it changes.
fn unified(name: &str, pieces: &[(String, String)], color: bool) -> String {
    let mut lines = Vec::new();
    for (old, new) in pieces {
        compare(old, new, &mut lines);
    }

    let mut out = String::new();
    let mut line = |style: Style, text: &str| {
        let style = if color { style } else { Style::new() };
        // Writing to a string can't fail.
        let _ = writeln!(out, "{style}{}{style:#}", text.trim_end_matches('\n'));
    };
    let (mut old_line, mut new_line, mut told) = (0, 0, 0);
    for hunk in hunks(&lines) {
        if told == 0 {
            line(Style::new().bold(), &format!("--- {name}"));
            line(Style::new().bold(), &format!("+++ {name}"));
        }
        let count = |lines: &[Line<'_, str>]| {
            let count = |wanted: fn(&Line<'_, str>) -> bool| lines.iter().filter(|line| wanted(line)).count();
            (count(|line| !matches!(line, Line::Insert(_))), count(|line| !matches!(line, Line::Delete(_))))
        };
        let (old, new) = count(&lines[told..hunk.start]);
        (old_line, new_line) = (old_line + old, new_line + new);
        let (old, new) = count(&lines[hunk.clone()]);
        line(AnsiColor::Cyan.on_default(), &format!("@@ -{} +{} @@", range(old_line, old), range(new_line, new)));
        (old_line, new_line, told) = (old_line + old, new_line + new, hunk.end);
        for change in &lines[hunk] {
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

/// A hunk's range in a file: the number of its first line, or of the one before if it has none, and how many it has.
fn range(before: usize, lines: usize) -> String {
    format!("{},{lines}", before + usize::from(lines > 0))
}

/// Which lines to show: those that change and what stands around them.
fn hunks(lines: &[Line<'_, str>]) -> Vec<Range<usize>> {
    let mut hunks: Vec<Range<usize>> = Vec::new();
    for (at, _) in lines.iter().enumerate().filter(|(_, line)| !matches!(line, Line::Context(_))) {
        let around = at.saturating_sub(AROUND)..(at + 1 + AROUND).min(lines.len());
        match hunks.last_mut() {
            Some(last) if around.start <= last.end => last.end = around.end,
            _ => hunks.push(around),
        }
    }
    hunks
}

/// What becomes of the lines of a text. It is compared between lines that both texts have once, as a text of thousands
/// of lines would else take minutes.
fn compare<'t>(old: &'t str, new: &'t str, lines: &mut Vec<Line<'t, str>>) {
    let (in_old, in_new) = (lines_that_are_there_once(old), lines_that_are_there_once(new));
    let (mut offset, mut old_done, mut new_done) = (0, 0, 0);
    for line in old.split_inclusive('\n') {
        if let (Some(Some(_)), Some(&Some(at))) = (in_old.get(line), in_new.get(line))
            && at >= new_done
        {
            compare_between(&old[old_done..offset], &new[new_done..at], lines);
            lines.push(Line::Context(line));
            (old_done, new_done) = (offset + line.len(), at + line.len());
        }
        offset += line.len();
    }
    compare_between(&old[old_done..], &new[new_done..], lines);
}

fn compare_between<'t>(old: &'t str, new: &'t str, lines: &mut Vec<Line<'t, str>>) {
    if old == new {
        return lines.extend(old.split_inclusive('\n').map(Line::Context));
    }
    let patch = diffy::DiffOptions::new().set_context_len(old.len()).create_patch(old, new);
    // Its lines live no longer than the patch does.
    let (mut old, mut new) = (old, new);
    let take = |text: &mut &'t str, line: &str| {
        let (line, rest) = text.split_at(line.len());
        *text = rest;
        line
    };
    for line in patch.hunks().iter().flat_map(diffy::Hunk::lines) {
        lines.push(match *line {
            Line::Context(line) => {
                take(&mut new, line);
                Line::Context(take(&mut old, line))
            }
            Line::Delete(line) => Line::Delete(take(&mut old, line)),
            Line::Insert(line) => Line::Insert(take(&mut new, line)),
        });
    }
}

/// A text's lines; of those that are there once, with where they begin.
fn lines_that_are_there_once(text: &str) -> HashMap<&str, Option<usize>> {
    let mut lines = HashMap::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        lines.entry(line).and_modify(|at| *at = None).or_insert(Some(offset));
        offset += line.len();
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A diff's lines as `patch` takes them.
    fn compared(old: &str, new: &str) -> Vec<String> {
        let mut lines = Vec::new();
        compare(old, new, &mut lines);
        lines
            .iter()
            .map(|line| match line {
                Line::Context(text) => format!(" {text}"),
                Line::Delete(text) => format!("-{text}"),
                Line::Insert(text) => format!("+{text}"),
            })
            .collect()
    }

    #[test]
    fn additions_are_additions_wherever_lines_repeat() {
        let old = "a\nx\nb\nx\nc\n";
        let new = "x\na\nx\ny\nb\nx\nc\nx\n";
        let want = ["+x\n", " a\n", " x\n", "+y\n", " b\n", " x\n", " c\n", "+x\n"];
        assert_eq!(compared(old, new), want);
        assert_eq!(compared("a\nb\n", "b\na\n"), ["+b\n", " a\n", "-b\n"]);
    }

    #[test]
    fn hunks_have_three_lines_around_and_meet_where_they_touch() {
        let line = |sign| match sign {
            '+' => Line::Insert("y\n"),
            '-' => Line::Delete("z\n"),
            _ => Line::Context("x\n"),
        };
        let of = |signs: &str| hunks(&signs.chars().map(line).collect::<Vec<_>>());
        assert_eq!(of("     +      -       +"), [2..16, 17..21]);
        assert_eq!(of("-         +"), [0..4, 7..11]);
        assert!(of("   ").is_empty());
    }

    #[test]
    fn many_changes_far_apart_are_found_one_by_one() {
        let pod = |number: usize| format!("pod: {number}\n") + &"  line: x\n".repeat(30);
        let old: String = (0..3000).map(pod).collect();
        let new: String = (0..3000).map(|number| pod(number) + "  added: y\n").collect();
        let added = compared(&old, &new).into_iter().filter(|line| !line.starts_with(' '));
        assert_eq!(added.collect::<Vec<_>>(), vec!["+  added: y\n"; 3000]);
    }

    proptest! {
        /// Lines that repeat, texts that end without a line break, pieces that don't change: what it says is what was done.
        #[test]
        fn a_diff_makes_the_new_text_of_the_old_one(
            pieces in prop::collection::vec(("([ab]?\\n){0,12}", "([abc]?\\n){0,12}"), 0..6),
            last in ("[ab]?", "[abc]?"),
        ) {
            let mut pieces = pieces;
            pieces.push(last);
            let text = |of: fn(&(String, String)) -> &str| pieces.iter().map(of).collect::<String>();
            let (old, new) = (text(|(old, _)| old), text(|(_, new)| new));
            let diff = unified("pod.yaml", &pieces, false);
            prop_assert_eq!(diff.is_empty(), pieces.iter().all(|(old, new)| old == new), "{}", diff);
            if diff.is_empty() {
                return Ok(());
            }
            let patch = diffy::Patch::from_str(&diff).map_err(|error| TestCaseError::fail(format!("{error}: {diff}")))?;
            prop_assert_eq!(diffy::apply(&old, &patch).expect(&diff), new, "{}", diff);
        }
    }
}
