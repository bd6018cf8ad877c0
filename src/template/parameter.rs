//! A template's parameters: what a value may be, and the one checked way from annotation text to a typed value.

use super::Line;

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

/// What a value, or each item of a list, must satisfy. Lengths are in characters.
#[derive(Debug, Default)]
pub struct Constraints {
    /// The only values allowed.
    pub one_of: Option<Vec<Value>>,
    /// A regular expression that must match somewhere, as in JSON Schema.
    pub pattern: Option<regex::Regex>,
    /// Least integer, number, duration or quantity.
    pub minimum: Option<Value>,
    /// Greatest integer, number, duration or quantity.
    pub maximum: Option<Value>,
    /// Shortest text.
    pub min_length: Option<usize>,
    /// Longest text.
    pub max_length: Option<usize>,
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

impl Parameter {
    /// Reads an annotation's text as a value of this parameter.
    ///
    /// # Errors
    ///
    /// The text is no value of the type or breaks a constraint.
    pub fn parse(&self, text: &str) -> Result<Value, ParameterError> {
        let _ = text;
        todo!()
    }
}
