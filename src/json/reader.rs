//! serde's door to a node: what it looks at is read, and the rest passed over in one step.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::node::{Kind, Node};

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
            Kind::Map => visitor.visit_map(Members { members: self.members(), value: None }),
            Kind::List => visitor.visit_seq(Items(self.items())),
            Kind::Text => match self.string().ok_or(Unreadable)? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            Kind::Boolean => visitor.visit_bool(self.text() == "true"),
            Kind::Null => visitor.visit_unit(),
            Kind::Number => {
                let text = self.text();
                match text.parse() {
                    Ok(number) => visitor.visit_u64(number),
                    Err(_) => serde_json::Deserializer::from_str(text).deserialize_any(visitor).map_err(|_| Unreadable),
                }
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
        if name == RAW_VALUE {
            visitor.visit_map(AsText(Some(self.text())))
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

/// A map's members.
struct Members<'t, 'de, I> {
    members: I,
    value: Option<Node<'t, 'de>>,
}

impl<'t, 'de, I: Iterator<Item = (Node<'t, 'de>, Node<'t, 'de>)>> MapAccess<'de> for Members<'t, 'de, I> {
    type Error = Unreadable;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unreadable> {
        let Some((key, value)) = self.members.next() else { return Ok(None) };
        self.value = Some(value);
        match key.string().ok_or(Unreadable)? {
            Cow::Borrowed(key) => seed.deserialize(BorrowedStrDeserializer::new(key)),
            Cow::Owned(key) => seed.deserialize(StringDeserializer::new(key)),
        }
        .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unreadable> {
        seed.deserialize(self.value.take().ok_or(Unreadable)?)
    }
}

/// A list's items.
struct Items<I>(I);

impl<'t, 'de: 't, I: Iterator<Item = Node<'t, 'de>>> SeqAccess<'de> for Items<I> {
    type Error = Unreadable;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unreadable> {
        self.0.next().map(|item| seed.deserialize(item)).transpose()
    }
}

/// A value's text, as a RawValue takes it.
struct AsText<'de>(Option<&'de str>);

impl<'de> MapAccess<'de> for AsText<'de> {
    type Error = Unreadable;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unreadable> {
        if self.0.is_none() {
            return Ok(None);
        }
        seed.deserialize(BorrowedStrDeserializer::new(RAW_VALUE)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unreadable> {
        seed.deserialize(BorrowedStrDeserializer::new(self.0.take().ok_or(Unreadable)?))
    }
}
