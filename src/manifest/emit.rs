//! Values as YAML that reads the same under YAML 1.1 and 1.2, in the layout of kubectl.

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::tree;

/// Habits of a document that additions to it follow.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// The dashes of a list stand right of the key above, not below it.
    pub indent_lists: bool,
}

/// A value as a block of YAML, with a newline at its end.
pub fn yaml(value: &Value, style: Style) -> String {
    let options = serde_saphyr::ser_options! {
        compact_list_indent: !style.indent_lists,
        // Long lines stay lines: folding them makes scripts unreadable.
        folded_wrap_chars: usize::MAX,
        prefer_block_scalars: !begins_with_tab(value),
    };
    // JSON is YAML, should the writer ever refuse.
    let text = serde_saphyr::to_string_with_options(value, options).unwrap_or_else(|_| format!("{value}\n"));
    let tidy = without_blanks(&text);
    if tidy == text || tree::parse(&tidy).is_ok_and(|node| node.to_value() == *value) { tidy } else { text }
}

/// Whether a text in it has lines of which the first that isn't empty begins with a tab. As a block scalar it is right, but
/// kubectl takes the tab for indentation and refuses it.
fn begins_with_tab(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\n') && text.trim_start_matches('\n').starts_with('\t'),
        Value::Array(items) => items.iter().any(begins_with_tab),
        Value::Object(members) => members.values().any(begins_with_tab),
        _ => false,
    }
}

/// A text without the blanks of lines that hold nothing else: in nearly every block scalar they say nothing.
fn without_blanks(text: &str) -> String {
    let tidy = |line: &str| if line.trim_start_matches(' ') == "\n" { "\n".to_owned() } else { line.to_owned() };
    text.split_inclusive('\n').map(tidy).collect()
}

/// A value as a block of YAML behind so many spaces.
pub fn indented(value: &Value, indent: usize, style: Style) -> String {
    let margin = " ".repeat(indent);
    let indent = |line: &str| if line == "\n" { line.to_owned() } else { format!("{margin}{line}") };
    yaml(value, style).split_inclusive('\n').map(indent).collect()
}

/// A value as JSON, in the layout of an object's text: indented like it or on one line, with the white space around it.
pub fn json(value: &Value, like: &str) -> String {
    let (start, end) = (like.find('{').unwrap_or_default(), like.rfind('}').map_or(like.len(), |brace| brace + 1));
    let inside = like[start..].trim_start_matches('{').trim_start_matches([' ', '\t', '\r']);
    let mut json = Vec::new();
    let written = match inside.strip_prefix('\n') {
        Some(indented) => {
            let indent = &indented[..indented.len() - indented.trim_start_matches([' ', '\t']).len()];
            let layout = PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut json, layout))
        }
        None => value.serialize(&mut Serializer::new(&mut json)),
    };
    let json = written.ok().and_then(|()| String::from_utf8(json).ok()).unwrap_or_else(|| value.to_string());
    let json = if like.contains("\r\n") { json.replace('\n', "\r\n") } else { json };
    [&like[..start], &json, &like[end..]].concat()
}

/// A value on one line, to stand in a flow collection.
pub fn flow(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| format!("{}: {}", word(name), flow(value));
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) => word(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A text without quotes where it can do without.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let yaml = yaml(&text.into(), Style::default());
    if text.chars().all(plain) && yaml.trim_end() == text { text.to_owned() } else { Value::from(text).to_string() }
}

/// A value as YAML between the head and the tail of the document that it replaces.
pub fn between(head: &str, value: &Value, tail: &str) -> String {
    let newline = if head.is_empty() || head.ends_with('\n') { "" } else { "\n" };
    format!("{}{newline}{}{tail}", head.trim_end_matches([' ', '\t']), yaml(value, Style::default()))
}
