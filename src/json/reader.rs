//! serde's door to a node: what it looks at is read, and the rest passed over in one step.

use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, MapDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Number;

use super::node::{Inside, Kind, Node};

/// How serde_json asks for a value as its text. A RawValue takes it from whoever knows the word; there is no other way to
/// make one without reading the value again.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// A value is not what is wanted. Where and why, serde_json says when it reads the same text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value is not what is wanted")
    }
}

impl std::error::Error for Unreadable {}

impl Error for Unreadable {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
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
            Kind::Number => {
                let number: Number = self.text().parse().map_err(|_| Unreadable)?;
                number.deserialize_any(visitor).map_err(|_| Unreadable)
            }
        }
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
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

impl<'de> SeqAccess<'de> for Inside<'_, 'de> {
    type Error = Unreadable;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unreadable> {
        self.next().map(|item| seed.deserialize(item)).transpose()
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
        seed.deserialize(self.next().ok_or(Unreadable)?)
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

/// Most strings hold no escapes, which is found out without making a value that could be either.
#[inline]
fn visit_string<'de, V: Visitor<'de>>(node: Node<'_, 'de>, visitor: V) -> Result<V::Value, Unreadable> {
    match node.plain() {
        Some(text) => visitor.visit_borrowed_str(text),
        None => visitor.visit_string(node.unescaped().ok_or(Unreadable)?),
    }
}
