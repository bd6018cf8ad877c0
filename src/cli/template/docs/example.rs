//! Annotations to copy, and the values that a template's parameters have with them.

use crate::inject::annotations::{self, Annotation, Main, Setting};
use crate::inject::key::Level;
use crate::json::write_string;
use crate::template::Template;
use crate::template::parameter::{Value, list};

/// A pod that asks for a template, with every parameter that it must set and the primary one.
pub(super) struct Example {
    /// Keys and values.
    annotations: Vec<(String, String)>,
    /// The parameters' values; none where the template gives neither default nor example.
    pub(super) values: Vec<Option<Value>>,
}

impl Example {
    /// The example that a template's own values make; `prefix` is what annotation keys begin with.
    pub(super) fn of(template: &Template, prefix: &str) -> Self {
        let key = format!("{prefix}/{}", template.name);
        let mut example = Self { annotations: vec![(key.clone(), "true".to_owned())], values: Vec::new() };
        let validated: Vec<_> =
            template.validations.iter().flat_map(|entry| entry.value.expression.parameters()).copied().collect();
        for (index, parameter) in template.parameters.iter().enumerate() {
            let (example_value, default) = (parameter.example.as_ref(), parameter.default.as_ref());
            let shown = example_value.or(default);
            let text = shown.map_or_else(|| format!("<{}>", parameter.name), notation);
            let primary = template.primary == Some(index) && is_value(prefix, &key, &text);
            if primary {
                text.clone_into(&mut example.annotations[0].1);
            }
            // Without what its validations look at, the template could refuse its own example.
            let said = !primary && (default.is_none() || example_value.is_some() && validated.contains(&index));
            if said {
                example.annotations.push((format!("{key}.{}", parameter.name), text));
            }
            example.values.push(if primary || said { shown } else { default.or(example_value) }.cloned());
        }
        example
    }

    /// The part of a manifest that holds the annotations.
    pub(super) fn yaml(&self) -> String {
        let line = |(key, value): &(String, String)| ["    ", key, ": ", &quoted(value), "\n"].concat();
        let lines: String = self.annotations.iter().map(line).collect();
        format!("metadata:\n  annotations:\n{lines}")
    }
}

/// Text in YAML, always in quotes, as annotations are text.
fn quoted(text: &str) -> String {
    if text.contains(['"', '\\']) && !text.chars().any(char::is_control) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    // A JSON string is a YAML one.
    let mut json = String::new();
    write_string(text, &mut json);
    json
}

/// Whether the main key takes this text for a value, and not for a boolean or a mistake.
fn is_value(prefix: &str, key: &str, text: &str) -> bool {
    let read = annotations::read(prefix, Level::Pod, [(key, text)].into_iter(), &mut Vec::new());
    matches!(read[..], [Annotation { setting: Setting::Main(Main::Value(_)), .. }])
}

/// A value as an annotation says it.
pub(super) fn notation(value: &Value) -> String {
    let text = value.to_string();
    match value {
        // An item with a comma in it needs a JSON array.
        Value::List(items) if list(&text).as_ref() != Ok(items) => {
            let mut json = String::new();
            value.write_json(&mut json);
            json
        }
        _ => text,
    }
}
