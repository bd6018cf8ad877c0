//! What YAML reads otherwise than its author meant: looked for in the whole document before anything else.

use super::diagnostic::{Place, Problems};
use super::yaml::{Kind, Tree};

/// What the YAML 1.1 readers of Kubernetes' own tools take for a boolean, beside `true` and `false`.
const AMBIGUOUS: &[&str] = &["y", "n", "yes", "no", "on", "off"];

/// Reports unquoted expressions, keys that are no text and words that other readers take for booleans. What is wrong
/// becomes [`Kind::Broken`] or goes away, so that it is reported once.
pub(super) fn lint(tree: &mut Tree<'_>, problems: &mut Problems<'_>) {
    match &mut tree.kind {
        Kind::Map(members) if is_expression(members) => {
            let place = whole_expression(&tree.place, problems.text());
            let text = problems.text().get(place.range.clone()).unwrap_or_default().to_owned();
            problems
                .error(&place, "an expression without quotes is a map to YAML")
                .help(format!("quote it: \"{text}\""));
            tree.kind = Kind::Broken;
        }
        Kind::Map(members) => {
            members.retain_mut(|(key, value)| {
                lint(value, problems);
                lint_key(key, problems)
            });
        }
        Kind::List(items) => items.iter_mut().for_each(|item| lint(item, problems)),
        Kind::Text(text) if is_ambiguous(text, &tree.place, problems.text()) => {
            problems
                .warning(&tree.place, format!("kubectl reads `{text}` without quotes as a boolean"))
                .help(format!("write true or false for a boolean, \"{text}\" for text"));
        }
        _ => {}
    }
}

fn lint_key(key: &Tree<'_>, problems: &mut Problems<'_>) -> bool {
    let Some(text) = key.as_text() else {
        if !matches!(key.kind, Kind::Broken) {
            problems.error(&key.place, format!("a key must be text, and this is {}", key.noun())).help("quote it");
        }
        return false;
    };
    if text.contains("{{") {
        problems.error(&key.place, "a key can't hold an expression").help("expressions stand in values");
        return false;
    }
    if is_ambiguous(text, &key.place, problems.text()) {
        problems
            .warning(&key.place, format!("kubectl reads the key `{text}` without quotes as a boolean"))
            .help(format!("write \"{text}\""));
    }
    true
}

/// `{{ params.x }}` is a map whose only key is a map.
fn is_expression(members: &[(Tree<'_>, Tree<'_>)]) -> bool {
    matches!(members, [(Tree { kind: Kind::Map(_), .. }, _)])
}

/// From the first brace to the last of the line.
fn whole_expression(place: &Place, text: &str) -> Place {
    let mut place = place.clone();
    let line = text[place.range.start..].lines().next().unwrap_or_default();
    if let Some(end) = line.find("}}") {
        place.range.end = place.range.start + end + 2;
    }
    place
}

fn is_ambiguous(text: &str, place: &Place, file: &str) -> bool {
    let plain = file.get(place.range.clone()) == Some(text);
    plain && AMBIGUOUS.iter().any(|word| text.eq_ignore_ascii_case(word))
}
