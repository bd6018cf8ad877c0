//! Constraints on values: checked at load for what a template declares, in a request for what a pod says.

use std::cmp::Ordering;
use std::fmt::Write;

use super::{Pattern, Steps, Type, Value, notation};

/// What a value, or each item of a list, must satisfy. Lengths are in characters.
#[derive(Debug, Clone, Default)]
pub struct Constraints {
    /// The only values allowed.
    pub one_of: Option<Vec<Value>>,
    /// A regular expression that must match somewhere, as in JSON Schema.
    pub pattern: Option<Pattern>,
    /// Least integer, number, duration or quantity.
    pub minimum: Option<Value>,
    /// Greatest integer, number, duration or quantity.
    pub maximum: Option<Value>,
    /// Shortest text.
    pub min_length: Option<usize>,
    /// Longest text.
    pub max_length: Option<usize>,
}

impl Constraints {
    /// Checks a value, or an item of a list, of type `kind`. Of a `sensitive` parameter, nothing tells the values allowed.
    ///
    /// # Errors
    ///
    /// The first constraint that does not hold, to follow the value in a sentence: `is greater than 5`.
    pub(super) fn check(&self, kind: Type, value: &Value, sensitive: bool, steps: &Steps) -> Result<(), String> {
        let out_of_range =
            |said: String| if sensitive { "is outside of its range (not shown)".to_owned() } else { said };
        if let Some(one_of) = &self.one_of
            && !one_of.iter().any(|allowed| compare(kind, allowed, value) == Some(Ordering::Equal))
        {
            return Err("is not allowed".to_owned());
        }
        if let Some(minimum) = &self.minimum
            && compare(kind, value, minimum) == Some(Ordering::Less)
        {
            return Err(out_of_range(format!("is less than {minimum}")));
        }
        if let Some(maximum) = &self.maximum
            && compare(kind, value, maximum) == Some(Ordering::Greater)
        {
            return Err(out_of_range(format!("is greater than {maximum}")));
        }
        if self.minimum.is_none() && is_negative(kind, value) {
            return Err("is negative".to_owned());
        }
        match value {
            Value::Text(text) => self.check_text(text, steps),
            _ => Ok(()),
        }
    }

    fn check_text(&self, text: &str, steps: &Steps) -> Result<(), String> {
        let length = text.chars().count();
        if let Some(least) = self.min_length.filter(|least| length < *least) {
            return Err(format!("is shorter than {least} characters"));
        }
        if let Some(most) = self.max_length.filter(|most| length > *most) {
            return Err(format!("is longer than {most} characters"));
        }
        self.pattern.as_ref().map_or(Ok(()), |pattern| pattern.check(text, steps))
    }

    /// What a value of type `kind` may be, in a phrase, which tells no value of a `sensitive` parameter.
    pub(super) fn allowed(&self, kind: Type, sensitive: bool) -> String {
        if let Some(one_of) = &self.one_of {
            if sensitive {
                return format!("one of {} values (not shown)", one_of.len());
            }
            let values: Vec<String> = one_of.iter().map(ToString::to_string).collect();
            return format!("one of {}", values.join(", "));
        }
        let mut phrase = kind.noun().to_owned();
        // Writing to a String can't fail.
        let _ = match (self.min_length, self.max_length) {
            (Some(least), Some(most)) => write!(phrase, " of {least} to {most} characters"),
            (Some(least), None) => write!(phrase, " of at least {least} characters"),
            (None, Some(most)) => write!(phrase, " of at most {most} characters"),
            (None, None) => Ok(()),
        };
        let _ = match (&self.minimum, &self.maximum) {
            (None, None) => Ok(()),
            _ if sensitive => write!(phrase, " in a range (not shown)"),
            (Some(minimum), Some(maximum)) => write!(phrase, " from {minimum} to {maximum}"),
            (Some(minimum), None) => write!(phrase, " of at least {minimum}"),
            (None, Some(maximum)) => write!(phrase, " of at most {maximum}"),
        };
        if let Some(pattern) = &self.pattern {
            let _ = write!(phrase, " matching {pattern}");
        }
        phrase
    }
}

/// How two values of one type stand to each other: durations and quantities by what they mean (`1000m` is `1`).
/// `None`: they are of different types.
pub(super) fn compare(kind: Type, left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => match kind {
            Type::Duration => notation::duration(left).partial_cmp(&notation::duration(right)),
            Type::Quantity => notation::quantity(left).partial_cmp(&notation::quantity(right)),
            _ => Some(left.cmp(right)),
        },
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => left.partial_cmp(right),
        (Value::Boolean(left), Value::Boolean(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// A duration or quantity below zero: refused unless a `minimum` says what is allowed, since hardly any field of
/// Kubernetes takes one.
fn is_negative(kind: Type, value: &Value) -> bool {
    let amount = match (kind, value) {
        (Type::Duration, Value::Text(text)) => notation::duration(text),
        (Type::Quantity, Value::Text(text)) => notation::quantity(text),
        _ => None,
    };
    amount.is_some_and(|amount| amount < 0)
}
