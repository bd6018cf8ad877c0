//! Names and values in the sentences of reasons: quoted, cut, with the nearest one that would have been right.

use std::fmt;

use crate::inject::key::Key;

/// The names that would have been right, as far as a sentence shows them: there may be many, and many mistakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    shown: Vec<String>,
    more: usize,
}

impl Known {
    /// The first of these names, and how many there are.
    pub fn new<'n>(mut names: impl Iterator<Item = &'n str>) -> Self {
        const MOST: usize = 20;
        let shown = names.by_ref().take(MOST).map(|name| cut(name).escape_debug().to_string()).collect();
        Self { shown, more: names.count() }
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.shown[..], self.more) {
            ([], _) => f.write_str("known: none"),
            (shown, 0) => write!(f, "known: {}", shown.join(", ")),
            (shown, more) => write!(f, "known: {} and {more} more", shown.join(", ")),
        }
    }
}

/// `did you mean "x"? `, or nothing.
pub(super) fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("did you mean {nearest:?}? ")).unwrap_or_default()
}

/// A value in a message: quoted, escaped and cut, as it may be long or hostile.
#[must_use]
pub fn quote(value: &str) -> String {
    let shown = cut(value);
    if shown.len() < value.len() { format!("{shown:?}…") } else { format!("{value:?}") }
}

/// As much of a text as a message shows.
#[must_use]
pub fn cut(text: &str) -> &str {
    const MOST: usize = 80;
    text.char_indices().nth(MOST).map_or(text, |(end, _)| &text[..end])
}

/// The first of many things in a message, and how many more there are.
pub fn some(mut all: impl Iterator<Item = String>, between: &str) -> String {
    const MOST: usize = 10;
    let mut shown: Vec<_> = all.by_ref().take(MOST).collect();
    let more = all.count();
    shown.extend((more > 0).then(|| format!("and {more} more")));
    shown.join(between)
}

/// A template's own words in a message: one line, and no longer than people read.
#[must_use]
pub fn said(words: &str) -> String {
    const MOST: usize = 1024;
    words.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// How a word that looks like a boolean is meant literally.
pub(super) fn literally(key: &Key, parameter: Option<&str>) -> String {
    let own = |parameter| format!(", or, to mean it literally, set {}.{parameter}", key.text.escape_debug());
    parameter.map(own).unwrap_or_default()
}

/// That a container, by itself or by an earlier graft, mounts what only the kubelet knows.
pub(super) fn computed(container: &str, path: &str, by: Option<&str>) -> String {
    match by {
        None => format!("container {container:?} mounts {path} with subPathExpr"),
        Some(by) => format!("{by} makes container {container:?} mount {path} with subPathExpr"),
    }
}

/// Two values in a sentence.
pub(super) fn both(values: Option<&(String, String)>) -> String {
    values.map(|(one, other)| format!(" ({} and {})", quote(one), quote(other))).unwrap_or_default()
}
