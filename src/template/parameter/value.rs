//! Checked values of parameters, and how messages show them.

use std::fmt;

use crate::json::write_string;

/// A checked value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string, duration or quantity.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A boolean.
    Boolean(bool),
    /// A list.
    List(Vec<String>),
}

impl Value {
    /// Appends the value as JSON.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Self::Text(text) => write_string(text, out),
            Self::Integer(_) | Self::Number(_) | Self::Boolean(_) => out.push_str(&self.to_string()),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(item, out);
                }
                out.push(']');
            }
        }
    }
}

/// As an annotation would say it: a list is joined by commas, a whole number has no fraction.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(integer) => integer.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Boolean(boolean) => boolean.fmt(f),
            Self::List(items) => f.write_str(&items.join(",")),
        }
    }
}

/// The most characters of a value that a message shows.
const SHOWN: usize = 80;

/// `text` in quotes for a message: one line, escaped, shortened.
pub(in crate::template) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}... ({} bytes)", &text[..end], text.len()),
    }
}
