//! The values of expressions: views into what they were given wherever that is possible, never copies of it.

use std::cmp::Ordering;
use std::ops::{Deref, Range};
use std::sync::Arc;

use serde_json::Value as Json;

use super::tree::{Tree, Unread};
use crate::template::parameter::Value;

/// A CEL value. What was borrowed stays borrowed, what was made is shared: a copy costs the same however large it is.
#[derive(Debug, Clone)]
pub(super) enum Data<'v> {
    Null,
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Text(Text<'v>),
    List(List<'v>),
    Map(Map<'v>),
    Optional(Option<Arc<Data<'v>>>),
    /// A type's name, as `type(x)` gives it.
    Type(&'static str),
}

/// A string.
#[derive(Debug, Clone)]
pub(super) enum Text<'v> {
    Borrowed(&'v str),
    Shared(Arc<str>),
}

/// A list.
#[derive(Debug, Clone)]
pub(super) enum List<'v> {
    Json(&'v [Json]),
    Tree(Tree<'v>),
    Texts(&'v [String]),
    Shared(Arc<[Data<'v>]>),
}

/// A map, in the order in which it was written.
#[derive(Debug, Clone)]
pub(super) enum Map<'v> {
    Json(&'v serde_json::Map<String, Json>),
    Tree(Tree<'v>),
    Shared(Arc<[(Data<'v>, Data<'v>)]>),
}

impl Data<'_> {
    /// The name of its type, as CEL spells it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Boolean(_) => "bool",
            Self::Integer(_) => "int",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
        }
    }

    /// Whether a map can be asked for it; a double is asked for as the int that it is equal to.
    pub(super) fn is_key(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Integer(_) | Self::Double(_) | Self::Boolean(_))
    }

    /// The position in a list that it stands for: a number that is whole.
    pub(super) fn position(&self) -> Option<usize> {
        match self {
            Self::Integer(integer) => usize::try_from(*integer).ok(),
            Self::Double(double) => {
                let whole = Self::Integer(*double as i64);
                (whole.order(self) == Some(Ordering::Equal)).then(|| whole.position()).flatten()
            }
            _ => None,
        }
    }

    pub(super) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(Text::Shared(text.into()))
    }

    /// The value as long as this one is there: of a text, nothing is counted.
    pub(super) fn borrowed(&self) -> Data<'_> {
        match self {
            Self::Text(text) => Data::Text(Text::Borrowed(text)),
            other => other.clone(),
        }
    }

    /// A number of things, as an integer.
    pub(super) fn count(number: usize) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(List::Shared(items.into()))
    }

    pub(super) fn some(self) -> Self {
        Self::Optional(Some(Arc::new(self)))
    }

    /// How two values are ordered: numbers by what they are worth, texts by code point, booleans. `None`: they are not.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(right)),
            (Self::Double(left), Self::Double(right)) => left.partial_cmp(right),
            (Self::Integer(left), Self::Double(right)) => order_mixed(*left, *right),
            (Self::Double(left), Self::Integer(right)) => order_mixed(*right, *left).map(Ordering::reverse),
            (Self::Text(left), Self::Text(right)) => Some((**left).cmp(&**right)),
            (Self::Boolean(left), Self::Boolean(right)) => Some(left.cmp(right)),
            _ => None,
        }
    }
}

/// Compares without rounding the integer: doubles beyond 64 bits are decided by their sign, the others by their whole
/// part, then by the fraction.
fn order_mixed(integer: i64, double: f64) -> Option<Ordering> {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        None
    } else if double >= BOUND {
        Some(Ordering::Less)
    } else if double < -BOUND {
        Some(Ordering::Greater)
    } else {
        Some(integer.cmp(&(double.trunc() as i64)).then_with(|| 0.0_f64.total_cmp(&(double.fract() + 0.0))))
    }
}

impl<'v> From<&'v Json> for Data<'v> {
    fn from(json: &'v Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(boolean) => Self::Boolean(*boolean),
            // Kubernetes knows 64-bit signed integers; what is greater is as near as a double gets.
            Json::Number(number) => match number.as_i64() {
                Some(integer) => Self::Integer(integer),
                None => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Text(Text::Borrowed(text)),
            Json::Array(items) => Self::List(List::Json(items)),
            Json::Object(members) => Self::Map(Map::Json(members)),
        }
    }
}

impl<'v> From<&'v Value> for Data<'v> {
    fn from(value: &'v Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(Text::Borrowed(text)),
            Value::Integer(integer) => Self::Integer(*integer),
            Value::Number(number) => Self::Double(*number),
            Value::Boolean(boolean) => Self::Boolean(*boolean),
            Value::List(items) => Self::List(List::Texts(items)),
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl Text<'_> {
    /// A part of the text: of a borrowed text, borrowed.
    pub(super) fn part(&self, range: Range<usize>) -> Self {
        match self {
            Self::Borrowed(text) => Self::Borrowed(&text[range]),
            Self::Shared(text) => Self::Shared(text[range].into()),
        }
    }
}

impl<'v> List<'v> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(items) => items.len(),
            Self::Tree(tree) => tree.len(),
            Self::Texts(items) => items.len(),
            Self::Shared(items) => items.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Unread<'v>> {
        let made = match self {
            Self::Tree(tree) => return tree.items().nth(index),
            Self::Json(items) => items.get(index).map(Data::from),
            Self::Texts(items) => items.get(index).map(|item| Data::Text(Text::Borrowed(item))),
            Self::Shared(items) => items.get(index).cloned(),
        };
        made.map(Unread::Made)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Unread<'v>> {
        // Of a text, one after the other: an item's place is known only from the one before it.
        let tree = if let Self::Tree(tree) = self { Some(tree.items()) } else { None };
        let others = if tree.is_some() { 0 } else { self.len() };
        tree.into_iter().flatten().chain((0..others).filter_map(|index| self.get(index)))
    }
}

impl<'v> Map<'v> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(members) => members.len(),
            Self::Tree(tree) => tree.len(),
            Self::Shared(entries) => entries.len(),
        }
    }

    /// The value of a key. A map that an expression wrote has no more keys than fit into the expression's text.
    pub(super) fn get(&self, key: &Data<'_>) -> Option<Unread<'v>> {
        let made = match (self, key) {
            (Self::Tree(tree), Data::Text(key)) => return tree.get(key),
            (Self::Json(members), Data::Text(key)) => members.get(&**key).map(Data::from),
            (Self::Json(_) | Self::Tree(_), _) => None,
            (Self::Shared(entries), key) => {
                let found = entries.iter().find(|(known, _)| known.order(key) == Some(Ordering::Equal));
                found.map(|(_, value)| value.clone())
            }
        };
        made.map(Unread::Made)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Unread<'v>> + '_ {
        self.entries().map(|(key, _)| key)
    }

    pub(super) fn entries(&self) -> Box<dyn Iterator<Item = (Unread<'v>, Unread<'v>)> + '_> {
        let made = |(key, value)| (Unread::Made(key), Unread::Made(value));
        match self {
            Self::Json(members) => {
                let member =
                    |(key, value): (&'v String, &'v Json)| (Data::Text(Text::Borrowed(key)), Data::from(value));
                Box::new(members.iter().map(member).map(made))
            }
            Self::Tree(tree) => Box::new(tree.members()),
            Self::Shared(entries) => Box::new(entries.iter().cloned().map(made)),
        }
    }
}
