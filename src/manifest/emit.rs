//! Values as YAML that reads the same under YAML 1.1 and 1.2, in the layout of kubectl.

use serde_json::Value;

/// A value as a block of YAML, with a newline at its end.
pub fn yaml(value: &Value) -> String {
    // Long lines stay lines: folding would break the scripts in them for every other reader.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    // JSON is YAML, should the writer ever refuse.
    serde_saphyr::to_string_with_options(value, options).unwrap_or_else(|_| format!("{value}\n"))
}

/// A value as YAML between the head and the tail of the document that it replaces.
pub fn between(head: &str, value: &Value, tail: &str) -> String {
    let newline = if head.is_empty() || head.ends_with('\n') { "" } else { "\n" };
    format!("{}{newline}{}{tail}", head.trim_end_matches([' ', '\t']), yaml(value))
}
