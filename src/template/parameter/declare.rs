//! Declarations of parameters, checked when a template is loaded.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::constraint::compare;
use super::value::quoted;
use super::{Constraints, HIDDEN, MAX_ITEMS, Parameter, Pattern, Patterns, Steps, Type, Value, shown};
use crate::template::Line;

/// The longest name: an annotation's name part holds 63 characters, a template's name 40 of them and the dot one.
const MAX_NAME: usize = 22;

/// The most values of an `enum`: as many as a list has items.
const MAX_ENUM: usize = 64;

/// A parameter as a template declares it, of the right YAML types but otherwise unchecked.
#[derive(Debug, Clone)]
pub struct Declaration {
    /// The key under `parameters`.
    pub name: String,
    /// `description`.
    pub description: Option<String>,
    /// `type`.
    pub kind: Type,
    /// `default`.
    pub default: Option<Json>,
    /// `example`.
    pub example: Option<Json>,
    /// `enum`.
    pub one_of: Option<Vec<Json>>,
    /// `pattern`.
    pub pattern: Option<String>,
    /// `minimum`.
    pub minimum: Option<Json>,
    /// `maximum`.
    pub maximum: Option<Json>,
    /// `minLength`.
    pub min_length: Option<usize>,
    /// `maxLength`.
    pub max_length: Option<usize>,
    /// `sensitive`.
    pub sensitive: bool,
    /// `expand`.
    pub expand: bool,
    /// Its line in the template's file.
    pub line: Line,
}

/// A mistake in a declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclarationError {
    /// The field that is wrong, by its YAML name; `name` is the key under `parameters`.
    pub field: &'static str,
    /// The item that is wrong, when the field is a list.
    pub index: Option<usize>,
    /// What was found.
    pub message: String,
    /// What is allowed there, or what to do.
    pub help: Option<String>,
}

impl DeclarationError {
    fn new(field: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { field, index: None, message: message.into(), help: Some(help.into()) }
    }

    fn at(self, index: usize) -> Self {
        Self { index: Some(index), ..self }
    }
}

impl Parameter {
    /// Checks a declaration; its pattern is one of the template's.
    ///
    /// # Errors
    ///
    /// Every mistake in it.
    pub fn declare(declaration: Declaration, patterns: &Patterns) -> Result<Self, Vec<DeclarationError>> {
        let mut check = Check {
            kind: declaration.kind,
            sensitive: declaration.sensitive,
            steps: Steps::default(),
            errors: Vec::new(),
        };
        check.name(&declaration.name);
        check.applicable(&declaration);
        let constraints = Constraints {
            one_of: declaration.one_of.as_deref().and_then(|values| check.one_of(values)),
            pattern: declaration.pattern.as_deref().and_then(|pattern| check.pattern(pattern, patterns)),
            minimum: declaration.minimum.as_ref().and_then(|limit| check.scalar("minimum", limit)),
            maximum: declaration.maximum.as_ref().and_then(|limit| check.scalar("maximum", limit)),
            min_length: declaration.min_length,
            max_length: declaration.max_length,
        };
        check.ranges(&constraints);
        // Values are held against constraints only once these are right: one mistake, one message.
        let sound = check.errors.is_empty();
        if sound {
            for (index, value) in constraints.one_of.iter().flatten().enumerate() {
                let others = Constraints { one_of: None, ..constraints.clone() };
                let problem = check.constrained("enum", &others, value);
                check.errors.extend(problem.map(|error| error.at(index)));
            }
        }
        let default = declaration.default.as_ref().and_then(|value| check.value("default", value, &constraints, sound));
        let example = declaration.example.as_ref().and_then(|value| check.value("example", value, &constraints, sound));
        if !check.errors.is_empty() {
            return Err(check.errors);
        }
        Ok(Self {
            name: declaration.name,
            description: declaration.description.unwrap_or_default(),
            kind: declaration.kind,
            default,
            example,
            constraints,
            sensitive: declaration.sensitive,
            expand: declaration.expand,
            line: declaration.line,
        })
    }

    /// A value for a trial rendering: default, else example, else the first of `enum`, else `minimum`, else a
    /// placeholder that fits the constraints as far as one can be made.
    #[must_use]
    pub fn trial(&self) -> Value {
        let stated = [&self.default, &self.example].into_iter().flatten().next();
        if let Some(value) = stated {
            return value.clone();
        }
        let constraints = &self.constraints;
        let item = (constraints.one_of.iter().flatten().next().cloned())
            .or_else(|| constraints.minimum.clone())
            .unwrap_or_else(|| self.placeholder());
        match (self.kind, item) {
            (Type::List, Value::Text(item)) => Value::List(vec![item]),
            (_, item) => item,
        }
    }

    fn placeholder(&self) -> Value {
        let candidates = match self.kind {
            Type::Boolean => return Value::Boolean(true),
            Type::Integer => vec![Value::Integer(1)],
            Type::Number => vec![Value::Number(1.0)],
            Type::Duration => vec![Value::Text("1s".to_owned())],
            Type::Quantity => vec![Value::Text("1".to_owned())],
            Type::String | Type::List => {
                let long = "x".repeat(self.constraints.min_length.unwrap_or(1).clamp(1, 4096));
                let shapes = ["x", "X", "1", "/x", "x:1", "x=1", "X=1", "x/x:1", "x.x:1", "http://x", "https://x.x"];
                std::iter::once(long.as_str()).chain(shapes).map(|text| Value::Text(text.to_owned())).collect()
            }
        };
        let fits = |value: &&Value| self.constraints.check(self.kind.item(), value, false, &Steps::default()).is_ok();
        // What does not fit is most often too great for its maximum.
        let fallback = self.constraints.maximum.as_ref().unwrap_or(&candidates[0]);
        candidates.iter().find(fits).unwrap_or(fallback).clone()
    }
}

/// The checks of one declaration.
struct Check {
    kind: Type,
    /// Messages don't show what is declared.
    sensitive: bool,
    /// What its literals may cost, as many as they are.
    steps: Steps,
    errors: Vec<DeclarationError>,
}

impl Check {
    fn refuse(&mut self, field: &'static str, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(DeclarationError::new(field, message, help));
    }

    fn name(&mut self, name: &str) {
        let camel_case = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_alphanumeric())
            && name.len() <= MAX_NAME;
        if !camel_case {
            self.refuse(
                "name",
                format!("{} is no name of a parameter", quoted(name)),
                format!("camelCase: a small letter, then letters and digits, at most {MAX_NAME} characters"),
            );
        }
        if name == "containers" {
            self.refuse(
                "name",
                "containers is reserved",
                "the annotation <template>.containers names the target containers; choose another name",
            );
        }
    }

    /// Constraints that mean nothing for the type.
    fn applicable(&mut self, declaration: &Declaration) {
        let ordered = matches!(self.kind, Type::Integer | Type::Number | Type::Duration | Type::Quantity);
        let text = matches!(self.kind, Type::String | Type::List);
        let meaningless = [
            ("enum", declaration.one_of.is_some() && self.kind == Type::Boolean),
            ("pattern", declaration.pattern.is_some() && !text),
            ("minLength", declaration.min_length.is_some() && !text),
            ("maxLength", declaration.max_length.is_some() && !text),
            ("minimum", declaration.minimum.is_some() && !ordered),
            ("maximum", declaration.maximum.is_some() && !ordered),
            ("expand", declaration.expand && !text),
        ];
        for (field, _) in meaningless.into_iter().filter(|(_, wrong)| *wrong) {
            let help = match field {
                "enum" => "remove it: a boolean is true or false",
                "minimum" | "maximum" => "it is for integer, number, duration and quantity",
                _ => "it is for string and list",
            };
            self.refuse(field, format!("{field} means nothing for type {}", self.kind.name()), help);
        }
    }

    fn ranges(&mut self, constraints: &Constraints) {
        if let (Some(minimum), Some(maximum)) = (&constraints.minimum, &constraints.maximum)
            && compare(self.kind, minimum, maximum) == Some(Ordering::Greater)
        {
            let message = if self.sensitive {
                "the minimum is greater than the maximum (not shown)".to_owned()
            } else {
                format!("minimum {minimum} is greater than maximum {maximum}")
            };
            self.refuse("minimum", message, "no value fits");
        }
        if let (Some(least), Some(most)) = (constraints.min_length, constraints.max_length)
            && least > most
        {
            self.refuse("minLength", format!("minLength {least} is greater than maxLength {most}"), "no value fits");
        }
    }

    fn pattern(&mut self, pattern: &str, patterns: &Patterns) -> Option<Pattern> {
        match Pattern::compile(pattern, patterns) {
            Ok(pattern) => Some(pattern),
            Err(message) => {
                self.refuse("pattern", message, Pattern::HELP);
                None
            }
        }
    }

    fn one_of(&mut self, values: &[Json]) -> Option<Vec<Value>> {
        if values.is_empty() {
            self.refuse("enum", "enum is empty", "list the values that are allowed");
            return None;
        }
        if values.len() > MAX_ENUM {
            let help = format!("at most {MAX_ENUM}; a pattern may say what more have in common");
            self.refuse("enum", format!("enum has {} values", values.len()), help);
            return None;
        }
        let before = self.errors.len();
        let mut read: Vec<Value> = Vec::new();
        for (index, json) in values.iter().enumerate() {
            match self.literal(self.kind.item(), json) {
                Ok(value) if read.iter().any(|seen| compare(self.kind, seen, &value) == Some(Ordering::Equal)) => {
                    let value = if self.sensitive { HIDDEN.to_owned() } else { value.to_string() };
                    let message = format!("{value} is there twice");
                    self.errors.push(DeclarationError::new("enum", message, "remove one of them").at(index));
                }
                Ok(value) => read.push(value),
                Err((message, help)) => self.errors.push(DeclarationError::new("enum", message, help).at(index)),
            }
        }
        (self.errors.len() == before).then_some(read)
    }

    /// A literal of the type itself (`minimum`, `maximum`).
    fn scalar(&mut self, field: &'static str, json: &Json) -> Option<Value> {
        self.literal(self.kind.item(), json).map_err(|(message, help)| self.refuse(field, message, help)).ok()
    }

    /// A whole value: `default` or `example`.
    fn value(&mut self, field: &'static str, json: &Json, constraints: &Constraints, sound: bool) -> Option<Value> {
        if self.kind != Type::List {
            let value = self.scalar(field, json)?;
            if sound {
                self.errors.extend(self.constrained(field, constraints, &value));
            }
            return Some(value);
        }
        let Json::Array(items) = json else {
            self.refuse(field, format!("found {}, not a list", described(json)), "write a YAML list: [a, b]");
            return None;
        };
        if items.len() > MAX_ITEMS {
            self.refuse(field, format!("the list has {} items", items.len()), format!("at most {MAX_ITEMS}"));
        }
        let mut read = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let problem = match self.literal(Type::String, item) {
                Err((message, help)) => Some(DeclarationError::new(field, message, help)),
                Ok(value) if value.to_string().trim().is_empty() => {
                    Some(DeclarationError::new(field, "the item is empty", "items of a list are not empty"))
                }
                Ok(value) => {
                    let problem = sound.then(|| self.constrained(field, constraints, &value)).flatten();
                    read.push(value.to_string());
                    problem
                }
            };
            self.errors.extend(problem.map(|error| error.at(index)));
        }
        Some(Value::List(read))
    }

    fn literal(&self, kind: Type, json: &Json) -> Result<Value, (String, String)> {
        let read = literal(kind, json);
        if !self.sensitive {
            return read;
        }
        read.map_err(|_| (format!("{HIDDEN} is not {}", kind.noun()), format!("write {}", kind.noun())))
    }

    fn constrained(&self, field: &'static str, constraints: &Constraints, value: &Value) -> Option<DeclarationError> {
        let kind = self.kind.item();
        let problem = constraints.check(kind, value, self.sensitive, &self.steps).err()?;
        let message = format!("{} {problem}", shown(self.sensitive, &value.to_string()));
        Some(DeclarationError::new(field, message, format!("allowed: {}", constraints.allowed(kind, self.sensitive))))
    }
}

/// Reads a YAML scalar as a literal of a type.
///
/// # Errors
///
/// What was found, and what to write instead.
fn literal(kind: Type, json: &Json) -> Result<Value, (String, String)> {
    let found = || format!("found {}, not {}", described(json), kind.noun());
    let read = match (kind, json) {
        (_, Json::String(text)) if text.contains("{{") => {
            let help = "only the template's other parts may have expressions; a computed value belongs there";
            return Err(("an expression in a declaration, which takes literals".to_owned(), help.to_owned()));
        }
        (Type::String | Type::List, Json::Number(_) | Json::Bool(_)) => {
            return Err((found(), format!("put it in quotes: \"{json}\"")));
        }
        (Type::Integer, Json::Number(number)) => number.as_i64().map(Value::Integer),
        (Type::Number, Json::Number(number)) => number.as_f64().map(Value::Number),
        (Type::Boolean, Json::Bool(boolean)) => Some(Value::Boolean(*boolean)),
        (Type::Integer | Type::Number | Type::Boolean, Json::String(text)) if kind.read(text).is_ok() => {
            return Err((found(), format!("write it without quotes: {}", text.trim())));
        }
        (Type::Duration | Type::Quantity, Json::Number(number)) => kind.read(&number.to_string()).ok(),
        (Type::String | Type::List | Type::Duration | Type::Quantity, Json::String(text)) => kind.read(text).ok(),
        _ => None,
    };
    read.ok_or_else(|| (found(), format!("write {}", kind.noun())))
}

/// A YAML node in a message.
fn described(json: &Json) -> String {
    match json {
        Json::Null => "nothing".to_owned(),
        Json::Bool(boolean) => format!("the boolean {boolean}"),
        Json::Number(number) => format!("the number {number}"),
        Json::String(text) => format!("the text {}", quoted(text)),
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "a map".to_owned(),
    }
}
