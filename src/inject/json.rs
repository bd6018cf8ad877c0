//! JSON text taken apart one level deep: members keep their order and their text, so nothing that we don't know is lost.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Unexpected, Visitor};
use serde_json::value::RawValue;

use crate::json::{Json, Kind, Node, write_string};
use crate::template::parameter::same_quantity;

/// Text as Go reads it: absent and `null` are empty. Borrowed from the input unless it holds an escape.
///
/// Numbers and booleans are taken as they are written: quantities may be numbers, and whatever else the pod got wrong
/// is left to the API server.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'a> Text<'a> {
    /// The text of a value; empty for a map or list.
    #[must_use]
    pub fn of(raw: &'a RawValue) -> Self {
        serde_json::from_str(raw.get()).unwrap_or_default()
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_bool<E: Error>(self, boolean: bool) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(if boolean { "true" } else { "false" })))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Text::default())
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

/// A map's members in the order of the text. A key that stands twice is kept twice: Go takes the last, so does [`get`].
///
/// [`get`]: Members::get
#[derive(Debug, Clone)]
pub struct Members<'a, T>(pub Vec<(Text<'a>, T)>);

impl<T> Default for Members<'_, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Members<'_, T> {
    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&T> {
        self.0.iter().rev().find(|(k, _)| &**k == key).map(|(_, value)| value)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Members<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor<'a, T>(std::marker::PhantomData<Members<'a, T>>);

        impl<'de: 'a, 'a, T: Deserialize<'de>> Visitor<'de> for MembersVisitor<'a, T> {
            type Value = Members<'a, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(map.size_hint().unwrap_or(0));
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Members::default())
            }
        }

        deserializer.deserialize_any(MembersVisitor(std::marker::PhantomData))
    }
}

/// Lets structs be read from maps, by the members that are named for their fields; all others are passed over, what is not
/// there is what `Default` makes of it, and what stands twice is refused. Fields behind `but` are not read.
///
/// What serde derives takes a list of the fields' values as well, which JSON never means, and names the Rust type in its
/// errors. It also keeps an Option of each field aside until all are read: the program would be 100 kB larger.
macro_rules! from_map {
    ($($name:ident $(<$lifetime:lifetime $(, $object:ident)?>)?, $expecting:literal: {
        $($key:literal => $field:ident),+ $(; but $($unread:ident),+)?
    })+) => {$(
        impl<'de $(: $lifetime, $lifetime $(, $object: serde::Deserialize<'de> + Default)?)?> serde::Deserialize<'de>
            for $name$(<$lifetime $(, $object)?>)?
        {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[allow(non_camel_case_types, reason = "named as the fields are")]
                #[derive(Clone, Copy)]
                enum Field { $($field,)+ }

                struct FromMap<T>(std::marker::PhantomData<T>);

                impl<'de $(: $lifetime, $lifetime $(, $object: serde::Deserialize<'de> + Default)?)?> serde::de::Visitor<'de>
                    for FromMap<$name$(<$lifetime $(, $object)?>)?>
                {
                    type Value = $name$(<$lifetime $(, $object)?>)?;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut read = $name::default();
                        let mut seen = 0_u32;
                        let field = |key: &[u8]| match key {
                            $($key => Some(Field::$field),)+
                            _ => None,
                        };
                        while let Some(field) = map.next_key_seed($crate::inject::json::Key(field))? {
                            let Some(field) = field else {
                                map.next_value::<serde::de::IgnoredAny>()?;
                                continue;
                            };
                            let bit = 1 << field as u32;
                            if seen & bit != 0 {
                                // Of `b"key"` what is behind the b.
                                let key = match field { $(Field::$field => stringify!($key),)+ };
                                return Err(serde::de::Error::custom(format_args!("{} stands twice", &key[1..])));
                            }
                            seen |= bit;
                            match field { $(Field::$field => read.$field = map.next_value()?,)+ }
                        }
                        // None is forgotten.
                        let $name { $($field: _,)+ $($($unread: _,)+)? } = &read;
                        Ok(read)
                    }
                }

                deserializer.deserialize_map(FromMap(std::marker::PhantomData))
            }
        }
    )+};
}

/// Reads a member's key as what this makes of it.
pub(crate) struct Key<F>(pub(crate) F);

impl<'de, T, F: FnOnce(&[u8]) -> T> DeserializeSeed<'de> for Key<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<T, F: FnOnce(&[u8]) -> T> Visitor<'_> for Key<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<T, E> {
        Ok(self.0(key))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<T, E> {
        Ok(self.0(key.as_bytes()))
    }
}

pub(crate) use from_map;

/// Any JSON value as its text.
pub type Raw<'a> = &'a RawValue;

/// A list that is read only when someone looks at it, and then once. If what is in it can't be read, it counts as empty:
/// what the pod got wrong by itself is left to the API server.
#[derive(Debug)]
pub struct Lazy<'a, T> {
    raw: Option<Raw<'a>>,
    read: OnceCell<Vec<T>>,
}

impl<T> Default for Lazy<'_, T> {
    fn default() -> Self {
        Self { raw: None, read: OnceCell::new() }
    }
}

impl<'a, T: Deserialize<'a>> Lazy<'a, T> {
    /// Whether it is there and not `null`.
    #[must_use]
    pub const fn is_some(&self) -> bool {
        self.raw.is_some()
    }

    /// The length of its text in bytes.
    #[must_use]
    pub fn text_len(&self) -> usize {
        self.raw.map_or(0, |raw| raw.get().len())
    }

    /// Its items as their text; none when it is absent, or can't be read.
    #[must_use]
    pub fn items(&self) -> Vec<Raw<'a>> {
        self.raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// Its items; none when it is absent.
    #[must_use]
    pub fn get(&self) -> &[T] {
        let Some(raw) = self.raw else { return &[] };
        let read = || Vec::deserialize(Json::read(raw.get())?.root()).ok();
        self.read.get_or_init(|| read().unwrap_or_default())
    }
}

impl<'de: 'a, 'a, T> Deserialize<'de> for Lazy<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: Option<Raw<'a>> = Option::deserialize(deserializer)?;
        match raw.map(RawValue::get) {
            // A patch that adds to it would not apply.
            Some(text) if !text.starts_with('[') => {
                Err(D::Error::invalid_type(Unexpected::Other(kind_of(text)), &"a list"))
            }
            _ => Ok(Self { raw, read: OnceCell::new() }),
        }
    }
}

/// In serde's words.
fn kind_of(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'[') => "sequence",
        Some(b'{') => "map",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        _ => "number",
    }
}

/// A writer of a JSON map: separators and escaping in one place.
#[derive(Debug)]
pub struct MapWriter {
    out: String,
    /// Where the map begins.
    start: usize,
}

impl MapWriter {
    /// An empty map, with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self::behind(String::with_capacity(capacity))
    }

    /// An empty map behind a text, which `finish` gives back with it.
    #[must_use]
    pub fn behind(mut out: String) -> Self {
        let start = out.len();
        out.push('{');
        Self { out, start }
    }

    /// A map that has members already: its text without the closing brace.
    #[must_use]
    pub fn from_open(members: &str) -> Self {
        let mut out = String::with_capacity(members.len() + 64);
        out.push_str(members);
        Self { out, start: 0 }
    }

    fn separate(&mut self) {
        if self.out.len() > self.start + 1 {
            self.out.push(',');
        }
    }

    /// Adds members that are text already, without braces.
    pub fn members(&mut self, members: &str) {
        if !members.is_empty() {
            self.separate();
            self.out.push_str(members);
        }
    }

    /// Begins the member `key` and gives the place where its JSON value is appended.
    pub fn member(&mut self, key: &str) -> &mut String {
        self.separate();
        write_string(key, &mut self.out);
        self.out.push(':');
        &mut self.out
    }

    /// Adds a member whose value `write` appends, unless that says that there is none.
    ///
    /// # Errors
    ///
    /// What `write` returns.
    pub fn try_member<E>(&mut self, key: &str, write: impl FnOnce(&mut String) -> Result<bool, E>) -> Result<(), E> {
        let start = self.out.len();
        if !write(self.member(key))? {
            self.out.truncate(start);
        }
        Ok(())
    }

    /// Adds a member whose value is JSON already.
    pub fn json(&mut self, key: &str, json: &str) {
        self.member(key).push_str(json);
    }

    /// Adds a member that is text.
    pub fn text(&mut self, key: &str, text: &str) {
        write_string(text, self.member(key));
    }

    /// Its members, without braces.
    #[must_use]
    pub fn into_members(mut self) -> String {
        self.out.remove(self.start);
        self.out
    }

    /// The map.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.out.push('}');
        self.out
    }
}

/// The members of volume sources that are quantities, wherever they stand: the API server writes them in its own notation.
const QUANTITIES: [&str; 3] = ["sizeLimit", "divisor", "storage"];

/// Whether two JSON texts are the same value, whatever their white space, escapes and member order.
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    a == b || compare(a, b, Compared::Exactly)
}

/// Whether everything that `part` says, `whole` says as well: the API server's defaults may have come to it.
#[must_use]
pub fn says_all(whole: &str, part: &str) -> bool {
    whole == part || compare(whole, part, Compared::AsPart)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    /// Both say the same.
    Exactly,
    /// One may say more, and a quantity otherwise.
    AsPart,
}

/// Where they stand in their texts: one is somebody's pod, and values of it would take many times its bytes.
fn compare(whole: &str, part: &str, how: Compared) -> bool {
    match (Json::read(whole), Json::read(part)) {
        (Some(whole), Some(part)) => within(whole.root(), part.root(), how),
        _ => false,
    }
}

/// It goes no deeper than both do, and `part` is a template's.
fn within(whole: Node<'_, '_>, part: Node<'_, '_>, how: Compared) -> bool {
    if whole.kind() != part.kind() {
        return false;
    }
    match part.kind() {
        Kind::Map => {
            let mut members = part.members();
            (how == Compared::AsPart || whole.len() == part.len())
                && members.all(|(key, part)| {
                    let Some(key) = key.string() else { return false };
                    let is_quantity = how == Compared::AsPart && QUANTITIES.contains(&&*key);
                    let same = |whole| within(whole, part, how) || (is_quantity && same_amount(whole, part));
                    whole.get(&key).is_some_and(same)
                })
        }
        Kind::List => {
            let mut both = whole.items().zip(part.items());
            whole.len() == part.len() && both.all(|(whole, part)| within(whole, part, how))
        }
        Kind::Text => whole.string() == part.string(),
        Kind::Number => whole.text() == part.text() || number(whole).is_some_and(|it| Some(it) == number(part)),
        Kind::Boolean | Kind::Null => whole.is_true() == part.is_true(),
    }
}

/// Reads what we have written as the pod's own is read: to read it in another way as well would make the program larger.
#[must_use]
pub fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    T::deserialize(Json::read(json)?.root()).ok()
}

fn number(node: Node<'_, '_>) -> Option<serde_json::Number> {
    serde_json::from_str(node.text()).ok()
}

fn same_amount(a: Node<'_, '_>, b: Node<'_, '_>) -> bool {
    let text = |node: Node<'_, '_>| node.string().map_or_else(|| node.text().to_owned(), Cow::into_owned);
    same_quantity(&text(a), &text(b))
}

#[cfg(test)]
mod tests;
