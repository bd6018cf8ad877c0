//! A template's parameters: what a value may be, and the one checked way from annotation text to a typed value.
//!
//! [`Parameter::declare`] checks a declaration when its template is loaded; [`Parameter::parse`] reads what a pod or a
//! namespace says in a request. Both share the constraints, so that a default can't be what an annotation may not be.

mod constraint;
mod declare;
mod notation;
mod pattern;
mod value;

use super::Line;

pub use constraint::Constraints;
pub use declare::{Declaration, DeclarationError};
pub use pattern::{Pattern, Patterns, Steps};
pub use value::Value;

pub(crate) use notation::duration;
pub(in crate::template) use notation::{quantity, seconds, units};
pub(in crate::template) use value::quoted;

/// The most items that a list may have, and for as many one `forEach` may render.
pub const MAX_ITEMS: usize = 64;

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Any text.
    String,
    /// A 64-bit signed integer in decimal notation.
    Integer,
    /// A finite decimal number.
    Number,
    /// `true` or `false`, any letter case.
    Boolean,
    /// Go's notation, as in Kubernetes: `1h30m`, `500ms`. Kept as text.
    Duration,
    /// A resource quantity in Kubernetes' notation: `128Mi`, `0.5`. Kept as text.
    Quantity,
    /// A list of text.
    List,
}

/// One declared parameter.
#[derive(Debug)]
pub struct Parameter {
    /// Its camelCase name, at most 22 characters.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its type.
    pub kind: Type,
    /// The value when neither pod nor namespace says; none: the parameter is required.
    pub default: Option<Value>,
    /// A value for documentation and trial renderings.
    pub example: Option<Value>,
    /// What a value (of a list: an item) must satisfy.
    pub constraints: Constraints,
    /// Its value is not shown in logs, status or explanations.
    pub sensitive: bool,
    /// `$(VAR)` in its value is left to the kubelet.
    pub expand: bool,
    /// Its line in the template's file.
    pub line: Line,
}

/// Why a text is no value of a parameter: what is wrong with it and what is allowed, without key or template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; allowed: {allowed}")]
pub struct ParameterError {
    /// For people, and it quotes the value unless it is sensitive: `"abc" is not an integer`.
    pub problem: String,
    /// `an integer from 1 to 65535`.
    pub allowed: String,
}

impl Type {
    /// Every type.
    pub const ALL: [Self; 7] =
        [Self::String, Self::Integer, Self::Number, Self::Boolean, Self::Duration, Self::Quantity, Self::List];

    /// Its name in templates.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Duration => "duration",
            Self::Quantity => "quantity",
            Self::List => "list",
        }
    }

    /// The type of this name in templates.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// With an article, for messages.
    fn noun(self) -> &'static str {
        match self {
            Self::String => "text",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Duration => "a duration such as 1h30m or 500ms",
            Self::Quantity => "a quantity such as 500m or 128Mi",
            Self::List => "a list",
        }
    }

    /// The type that constraints are about: of a list's items, of anything else itself.
    fn item(self) -> Self {
        if self == Self::List { Self::String } else { self }
    }

    /// Reads one value; a list is read by [`list`]. Blanks around anything but text are none of the value: annotations
    /// written as YAML blocks end in a newline.
    ///
    /// # Errors
    ///
    /// What the text is not, to follow the text in a sentence: `is not an integer`.
    fn read(self, text: &str) -> Result<Value, String> {
        let trimmed = text.trim();
        let read = match self {
            Self::String | Self::List => Some(Value::Text(text.to_owned())),
            Self::Integer => trimmed.parse().ok().map(Value::Integer),
            Self::Number => trimmed.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Number),
            Self::Boolean if trimmed.eq_ignore_ascii_case("true") => Some(Value::Boolean(true)),
            Self::Boolean if trimmed.eq_ignore_ascii_case("false") => Some(Value::Boolean(false)),
            Self::Boolean => None,
            Self::Duration => notation::duration(trimmed).map(|_| Value::Text(trimmed.to_owned())),
            Self::Quantity => notation::quantity(trimmed).map(|_| Value::Text(trimmed.to_owned())),
        };
        read.ok_or_else(|| match self {
            Self::Integer if is_digits(trimmed) => "does not fit a 64-bit integer".to_owned(),
            _ => format!("is not {}", self.noun()),
        })
    }
}

fn is_digits(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

impl Parameter {
    /// Reads an annotation's text as a value of this parameter, at the cost of the request's steps.
    ///
    /// # Errors
    ///
    /// The text is no value of the type or breaks a constraint; of a list, every item that does is named.
    pub fn parse(&self, text: &str, steps: &Steps) -> Result<Value, ParameterError> {
        let refuse = |problem: String| ParameterError { problem, allowed: self.explained() };
        if self.kind != Type::List {
            return self.checked(text, steps).map_err(|problem| refuse(format!("{} {problem}", self.subject(text))));
        }
        let items = list(text).map_err(refuse)?;
        let problems: Vec<String> = (items.iter().enumerate())
            .filter_map(|(index, item)| {
                let problem = self.checked(item, steps).err()?;
                Some(format!("item {}, {}, {problem}", index + 1, self.subject(item)))
            })
            .collect();
        if problems.is_empty() { Ok(Value::List(items)) } else { Err(refuse(problems.join("; "))) }
    }

    /// What a value may be, in a phrase: `an integer from 1 to 65535`, `one of postgres, mysql`, `text matching ^/`.
    #[must_use]
    pub fn allowed(&self) -> String {
        let item = self.constraints.allowed(self.kind.item(), self.sensitive);
        match self.kind {
            Type::List if item == Type::String.noun() => format!("a list of at most {MAX_ITEMS} items"),
            Type::List => format!("a list of at most {MAX_ITEMS} items, each {item}"),
            _ => item,
        }
    }

    /// What a value may be, for whoever wrote another one: a pattern alone tells most people little.
    fn explained(&self) -> String {
        let description = self.description.trim_end_matches('.');
        if self.constraints.pattern.is_none() || description.is_empty() {
            return self.allowed();
        }
        format!("{description} ({})", self.allowed())
    }

    /// One value, or one item of a list.
    fn checked(&self, text: &str, steps: &Steps) -> Result<Value, String> {
        let kind = self.kind.item();
        let value = kind.read(text)?;
        self.constraints.check(kind, &value, self.sensitive, steps)?;
        Ok(value)
    }

    /// What a message calls a value: the value in quotes, or, when it is sensitive, nothing that shows it.
    fn subject(&self, text: &str) -> String {
        shown(self.sensitive, text)
    }
}

/// What stands in messages for a sensitive value.
pub(super) const HIDDEN: &str = "the value (not shown)";

/// A value in a message: in quotes, unless it is sensitive.
pub(super) fn shown(sensitive: bool, text: &str) -> String {
    if sensitive { HIDDEN.to_owned() } else { quoted(text) }
}

/// What is said instead of what is wrong with something that shows a sensitive value.
pub(crate) const HIDDEN_PROBLEM: &str = "what a sensitive parameter makes of it is not allowed here (not shown)";

/// Whether two texts are the same resource quantity, in whatever notation: `1` and `1000m`.
pub(crate) fn same_quantity(a: &str, b: &str) -> bool {
    a == b || notation::quantity(a).is_some_and(|a| Some(a) == notation::quantity(b))
}

/// Splits a list: a JSON array of strings if it begins with `[`, else one item a line if it has newlines, else at
/// commas. Items of lines and commas are trimmed. Messages name items by their place only: the list may be sensitive.
pub(crate) fn list(text: &str) -> Result<Vec<String>, String> {
    let text = text.trim();
    if text.starts_with('[') {
        let items: Vec<String> = serde_json::from_str(text)
            .map_err(|error| format!("begins with [ but is no JSON array of strings (column {})", error.column()))?;
        check_items(items.iter().map(|item| item.trim()))?;
        return Ok(items);
    }
    let items = text.split(if text.contains('\n') { '\n' } else { ',' }).map(str::trim);
    // Before they are made: a text of commas is one of many items.
    check_items(items.clone())?;
    Ok(items.map(str::to_owned).collect())
}

fn check_items<'t>(mut items: impl Iterator<Item = &'t str> + Clone) -> Result<(), String> {
    let count = items.clone().count();
    match items.position(str::is_empty) {
        Some(index) => Err(format!("item {} of the list is empty; an empty list is []", index + 1)),
        None if count > MAX_ITEMS => Err(format!("the list has {count} items")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
