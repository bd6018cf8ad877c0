//! `spec.parameters`: the YAML of a declaration, its mistakes pointed at.

use serde_json::Value as Json;

use super::diagnostic::{Place, Problems};
use super::fields::{Fields, choice, flag, list, text, unexpected};
use super::parameter::{Declaration, Parameter, Patterns, Type};
use super::yaml::{Kind, Tree};

const FIELDS: &[&str] = &[
    "type",
    "description",
    "default",
    "example",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "sensitive",
    "expand",
];

/// Reads the declaration of a parameter. A wrong one gives a parameter of its name all the same, so that expressions
/// that name it aren't reported too.
pub(super) fn parameter(
    name: &str,
    key: &Place,
    tree: &Tree<'_>,
    patterns: &Patterns,
    problems: &mut Problems<'_>,
) -> Option<Parameter> {
    let bare = |kind| Declaration {
        name: name.to_owned(),
        description: None,
        kind,
        default: None,
        example: None,
        one_of: None,
        pattern: None,
        minimum: None,
        maximum: None,
        min_length: None,
        max_length: None,
        sensitive: false,
        expand: false,
        line: key.line,
    };
    let Some(fields) = Fields::read(tree, key, FIELDS, problems) else {
        return Parameter::declare(bare(Type::String), patterns).ok();
    };
    let before = problems.count();
    let types = Type::ALL.map(|kind| (kind.name(), kind));
    let kind = fields.required("type", problems).and_then(|tree| choice(tree, &types, problems));
    let known_kind = kind.unwrap_or(Type::String);
    let own_text = |name: &str, problems: &mut Problems<'_>| {
        fields.get(name).and_then(|tree| text(tree, problems)).map(str::to_owned)
    };
    let declaration = Declaration {
        description: own_text("description", problems),
        default: fields.get("default").map(json),
        example: fields.get("example").map(json),
        one_of: fields.get("enum").and_then(|tree| list(tree, problems)).map(|items| items.iter().map(json).collect()),
        pattern: own_text("pattern", problems),
        minimum: fields.get("minimum").map(json),
        maximum: fields.get("maximum").map(json),
        min_length: fields.get("minLength").and_then(|tree| length(tree, problems)),
        max_length: fields.get("maxLength").and_then(|tree| length(tree, problems)),
        sensitive: fields.get("sensitive").and_then(|tree| flag(tree, problems)).unwrap_or_default(),
        expand: fields.get("expand").and_then(|tree| flag(tree, problems)).unwrap_or_default(),
        ..bare(known_kind)
    };
    if problems.count() > before {
        return Parameter::declare(bare(known_kind), patterns).ok();
    }
    match Parameter::declare(declaration, patterns) {
        Ok(parameter) => Some(parameter),
        Err(errors) => {
            for error in errors {
                let place = match (fields.get(error.field), error.index) {
                    (Some(tree), Some(index)) => tree.items().get(index).map_or(&tree.place, |item| &item.place),
                    (Some(tree), None) => &tree.place,
                    (None, _) => key,
                };
                problems.error(place, error.message).help = error.help;
            }
            Parameter::declare(bare(known_kind), patterns).ok()
        }
    }
}

fn length(tree: &Tree<'_>, problems: &mut Problems<'_>) -> Option<usize> {
    let length = match &tree.kind {
        Kind::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
        _ => None,
    };
    if length.is_none() {
        unexpected(tree, "a whole number, 0 or greater", problems);
    }
    length
}

/// A literal, as [`Declaration`] takes it.
fn json(tree: &Tree<'_>) -> Json {
    match &tree.kind {
        Kind::Null | Kind::Broken => Json::Null,
        Kind::Bool(value) => Json::Bool(*value),
        Kind::Number(number) => Json::Number(number.clone()),
        Kind::Text(text) => Json::String(text.clone().into_owned()),
        Kind::List(items) => Json::Array(items.iter().map(json).collect()),
        Kind::Map(_) => tree.members().map(|(key, _, value)| (key.to_owned(), json(value))).collect(),
    }
}
