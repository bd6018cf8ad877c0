//! Reading the parts of a template that are podgraft's own, every mistake reported where it stands.

use crate::nearest::nearest;

use super::diagnostic::{Place, Problems, shorten};
use super::yaml::{Kind, Tree};

/// The longest name, in bytes, for which a nearest one is looked for: distances cost the product of the lengths.
const MAX_NAME: usize = 64;

/// A map whose keys are known.
pub(super) struct Fields<'t> {
    tree: &'t Tree<'t>,
    /// What messages about missing fields point at.
    owner: &'t Place,
}

impl<'t> Fields<'t> {
    /// Reads a map and reports the keys that aren't `known`.
    pub(super) fn read(
        tree: &'t Tree<'t>,
        owner: &'t Place,
        known: &[&str],
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        expect_map(tree, problems)?;
        for (key, place, _) in tree.all_members().filter(|(key, ..)| !known.contains(key)) {
            if problems.is_full() {
                break;
            }
            let (message, help) = unknown_field(key, known);
            problems.error(place, message).help(help);
        }
        Some(Self { tree, owner })
    }

    /// A map whose keys are checked elsewhere.
    pub(super) fn open(tree: &'t Tree<'t>) -> Self {
        Self { tree, owner: &tree.place }
    }

    /// The value of a field; null is the same as absent.
    pub(super) fn get(&self, name: &str) -> Option<&'t Tree<'t>> {
        self.entry(name).map(|(_, value)| value)
    }

    /// The place of a field's key, and its value.
    pub(super) fn entry(&self, name: &str) -> Option<(&'t Place, &'t Tree<'t>)> {
        self.tree.members().find(|(key, ..)| *key == name).map(|(_, place, value)| (place, value))
    }

    /// The value of a field that must be there.
    pub(super) fn required(&self, name: &str, problems: &mut Problems<'_>) -> Option<&'t Tree<'t>> {
        self.required_entry(name, problems).map(|(_, value)| value)
    }

    /// The place of the key, and the value, of a field that must be there.
    pub(super) fn required_entry(&self, name: &str, problems: &mut Problems<'_>) -> Option<(&'t Place, &'t Tree<'t>)> {
        let entry = self.entry(name);
        if entry.is_none() {
            problems.error(self.owner, format!("`{name}` is missing here"));
        }
        entry
    }
}

/// Message and help about an unknown key: the nearest known one, or else all of them.
pub(super) fn unknown_field(key: &str, known: &[&str]) -> (String, String) {
    let near = if key.len() <= MAX_NAME { nearest(key, known.iter().copied()) } else { None };
    let help = near.map_or_else(
        || {
            if key.contains(' ') {
                return "if it belongs to the text before it, quote that: a comma ends text in braces".to_owned();
            }
            let mut sorted = known.to_vec();
            sorted.sort_unstable();
            format!("known here: {}", sorted.join(", "))
        },
        |near| format!("did you mean `{near}`?"),
    );
    (format!("there is no field `{}` here", shorten(key)), help)
}

/// Reports that a value is of another type; nothing if it was reported before.
pub(super) fn unexpected(tree: &Tree<'_>, wanted: &str, problems: &mut Problems<'_>) {
    let source = problems.text().get(tree.place.range.clone()).unwrap_or_default();
    let help = match (&tree.kind, wanted) {
        (Kind::Broken, _) => return,
        (Kind::Number(_) | Kind::Bool(_), "text") => Some(format!("quote it: \"{source}\"")),
        (Kind::Text(text), _) if text.contains("{{") => Some("an expression can't stand here".to_owned()),
        _ => None,
    };
    problems.error(&tree.place, format!("this must be {wanted}, and it is {}", tree.noun())).help = help;
}

/// A map.
pub(super) fn expect_map(tree: &Tree<'_>, problems: &mut Problems<'_>) -> Option<()> {
    let is_map = matches!(tree.kind, Kind::Map(_));
    if !is_map {
        unexpected(tree, "a map", problems);
    }
    is_map.then_some(())
}

/// A list.
pub(super) fn list<'t>(tree: &'t Tree<'t>, problems: &mut Problems<'_>) -> Option<&'t [Tree<'t>]> {
    let Kind::List(items) = &tree.kind else {
        unexpected(tree, "a list", problems);
        return None;
    };
    Some(items)
}

/// Text.
pub(super) fn text<'t>(tree: &'t Tree<'_>, problems: &mut Problems<'_>) -> Option<&'t str> {
    let text = tree.as_text();
    if text.is_none() {
        unexpected(tree, "text", problems);
    }
    text
}

/// `true` or `false`.
pub(super) fn flag(tree: &Tree<'_>, problems: &mut Problems<'_>) -> Option<bool> {
    let Kind::Bool(value) = tree.kind else {
        unexpected(tree, "true or false", problems);
        return None;
    };
    Some(value)
}

/// One of a few words.
pub(super) fn choice<T: Copy>(tree: &Tree<'_>, choices: &[(&str, T)], problems: &mut Problems<'_>) -> Option<T> {
    let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
    let Some(word) = tree.as_text() else {
        unexpected(tree, &format!("one of {}", names.join(", ")), problems);
        return None;
    };
    let found = choices.iter().find(|(name, _)| *name == word);
    if found.is_none() {
        let message = format!("`{}` is none of {}", shorten(word), names.join(", "));
        let near = if word.len() <= MAX_NAME { nearest(word, names) } else { None };
        problems.error(&tree.place, message).help = near.map(|near| format!("did you mean `{near}`?"));
    }
    found.map(|(_, value)| *value)
}
