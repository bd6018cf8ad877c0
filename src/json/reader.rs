//! serde's door to a node: what it looks at is read, and the rest passed over in one step.

use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, MapDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, Expected, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Number;

use super::node::{Inside, Kind, Node};

/// How serde_json asks for a value as its text. A RawValue takes it from whoever knows the word; there is no other way to
/// make one without reading the value again.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// A value that is not what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(Box<Problem>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    path: String,
    problem: String,
}

impl Unreadable {
    /// Where, seen from the value that was to be read: `spec.containers[0].name`, or nothing for the value itself.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// What was found and what is wanted.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.0.problem
    }

    /// The same seen from the list or map around it, of which this step leads here.
    #[must_use]
    #[cold]
    pub fn seen_from(mut self, step: &str) -> Self {
        let dot = if self.0.path.is_empty() || self.0.path.starts_with('[') { "" } else { "." };
        self.0.path.insert_str(0, dot);
        self.0.path.insert_str(0, step);
        self
    }
}

/// `spec.containers[0].name: invalid type: map, expected a string`
impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { path, problem } = &*self.0;
        if path.is_empty() { f.write_str(problem) } else { write!(f, "{path}: {problem}") }
    }
}

impl std::error::Error for Unreadable {}

impl Error for Unreadable {
    #[cold]
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self(Box::new(Problem { path: String::new(), problem: problem.to_string() }))
    }

    #[cold]
    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        let found = if found == Unexpected::Unit { Unexpected::Other("null") } else { found };
        Self::custom(format_args!("invalid type: {found}, expected {}", in_words(wanted, "an integer")))
    }

    #[cold]
    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::custom(format_args!("invalid value: {found}, expected {}", in_words(wanted, "an integer of 64 bits")))
    }
}

/// The one type that serde has only Rust's name for.
fn in_words(wanted: &dyn Expected, integer: &str) -> String {
    let wanted = wanted.to_string();
    if wanted == "i64" { integer.to_owned() } else { wanted }
}

impl<'de> Deserializer<'de> for Node<'_, 'de> {
    type Error = Unreadable;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.kind() {
            Kind::Map => visitor.visit_map(self.inside()),
            Kind::List => visitor.visit_seq(self.inside()),
            Kind::Text => visit_string(self, visitor),
            Kind::Boolean => visitor.visit_bool(self.is_true()),
            Kind::Null => visitor.visit_unit(),
            Kind::Number => match number(self.text())? {
                Numeral::Unsigned(number) => visitor.visit_u64(number),
                Numeral::Signed(number) => visitor.visit_i64(number),
                Numeral::Float(number) => visitor.visit_f64(number),
            },
        }
    }

    // What is asked for by its kind needs no code for all the others.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if self.kind() == Kind::Map { visitor.visit_map(self.inside()) } else { Err(self.is_no(&visitor)) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if self.kind() == Kind::List { visitor.visit_seq(self.inside()) } else { Err(self.is_no(&visitor)) }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if self.kind() == Kind::Boolean { visitor.visit_bool(self.is_true()) } else { Err(self.is_no(&visitor)) }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if self.kind() == Kind::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        if name != RAW_VALUE {
            return visitor.visit_newtype_struct(self);
        }
        let text = BorrowedStrDeserializer::new(self.text());
        visitor.visit_map(MapDeserializer::new(std::iter::once((RAW_VALUE, text))))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct
        struct enum identifier
    }
}

impl Node<'_, '_> {
    /// Says what was found where this is wanted.
    #[cold]
    fn is_no(self, wanted: &dyn Expected) -> Unreadable {
        let string;
        let found = match self.kind() {
            Kind::Map => Unexpected::Map,
            Kind::List => Unexpected::Seq,
            Kind::Text => {
                string = self.string().unwrap_or_default();
                Unexpected::Str(&string)
            }
            Kind::Boolean => Unexpected::Bool(self.is_true()),
            Kind::Null => Unexpected::Unit,
            Kind::Number => match number(self.text()) {
                Ok(Numeral::Unsigned(number)) => Unexpected::Unsigned(number),
                Ok(Numeral::Signed(number)) => Unexpected::Signed(number),
                Ok(Numeral::Float(number)) => Unexpected::Float(number),
                Err(error) => return error,
            },
        };
        Unreadable::invalid_type(found, wanted)
    }
}

impl<'de> SeqAccess<'de> for Inside<'_, 'de> {
    type Error = Unreadable;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unreadable> {
        let Some(item) = self.next() else { return Ok(None) };
        seed.deserialize(item).map(Some).map_err(|error| error.seen_from(&format!("[{}]", self.passed() - 1)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.len())
    }
}

impl<'de> MapAccess<'de> for Inside<'_, 'de> {
    type Error = Unreadable;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unreadable> {
        self.next_key().map(|key| seed.deserialize(Key(key))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unreadable> {
        let (key, value) = self.value().ok_or_else(|| Unreadable::custom("there is no value"))?;
        seed.deserialize(value).map_err(|error| error.seen_from(&key.string().unwrap_or_default()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.len())
    }
}

/// A member's key: always a string.
struct Key<'t, 'de>(Node<'t, 'de>);

impl<'de> Deserializer<'de> for Key<'_, 'de> {
    type Error = Unreadable;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visit_string(self.0, visitor)
    }

    // What serde derives compares the names of fields as bytes, too.
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.0.plain_bytes() {
            Some(name) => visitor.visit_borrowed_bytes(name),
            None => visit_string(self.0, visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum ignored_any
    }
}

/// What a number is for serde.
enum Numeral {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

/// The number that a text says, as serde_json takes it. Apart, since every visitor would have it inlined.
#[inline(never)]
fn number(text: &str) -> Result<Numeral, Unreadable> {
    let number: Number = text.parse().map_err(|_| Unreadable::custom("the number is out of range"))?;
    let signed =
        || number.as_i64().map_or_else(|| Numeral::Float(number.as_f64().unwrap_or(f64::NAN)), Numeral::Signed);
    Ok(number.as_u64().map_or_else(signed, Numeral::Unsigned))
}

/// Most strings hold no escapes, which is found out without making a value that could be either.
#[inline]
fn visit_string<'de, V: Visitor<'de>>(node: Node<'_, 'de>, visitor: V) -> Result<V::Value, Unreadable> {
    match node.plain() {
        Some(text) => visitor.visit_borrowed_str(text),
        None => visitor.visit_string(
            node.unescaped().ok_or_else(|| Unreadable::custom("the string holds half a surrogate pair"))?,
        ),
    }
}
