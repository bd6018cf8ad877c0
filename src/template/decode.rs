//! Strict decoding of trial renderings as core/v1: a serde [`Deserializer`] that knows the place of all it reads.
//!
//! The types of k8s-openapi hand the names of their fields to `deserialize_struct`, so one pass finds the unknown ones,
//! their nearest known name and a wrong type, without paths that would have to be mapped back to the file.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::LoadOptions;
use super::diagnostic::{MAX_DIAGNOSTICS, Place, Problems, shorten};
use super::fields::unknown_field;
use super::parameter::HIDDEN;
use super::rendered::{Basis, Content, Rendered};

/// The most wrong types that are looked for in one rendering: each costs a decoding.
const MAX_MISMATCHES: usize = 20;

/// Reports what a rendering has that core/v1 does not know, and what has the wrong type there. `ours` are the fields that
/// podgraft adds to the outermost map.
pub(super) fn strictly<T: DeserializeOwned>(
    rendered: &Rendered<'_>,
    ours: &[&str],
    options: &LoadOptions,
    problems: &mut Problems<'_>,
) {
    let unknown = RefCell::new(Vec::new());
    for _ in 0..MAX_MISMATCHES {
        unknown.borrow_mut().clear();
        let outcome = T::deserialize(Decoder { rendered, root: rendered, unknown: &unknown });
        let Some((mismatch, found)) = outcome.err().and_then(|mismatch| mismatch.at.map(|at| (mismatch, at))) else {
            break;
        };
        found.refused.set(true);
        let place = found.place;
        if found.basis < Basis::Pod {
            let help = mismatch.help(problems.text().get(found.place.range.clone()).unwrap_or_default());
            let found = found.secret.then_some(HIDDEN);
            problems.error(place, mismatch.shown(found)).help = help;
        }
    }
    // A nearest name is looked for to each, which costs more than to find that it is unknown.
    for Unknown { key, place, known, outermost } in unknown.take().into_iter().take(MAX_DIAGNOSTICS) {
        if outermost && ours.contains(&key) {
            continue;
        }
        if problems.is_full() {
            break;
        }
        let known: Vec<_> = known.iter().chain(ours.iter().filter(|_| outermost)).copied().collect();
        let (message, help) = unknown_field(key, &known);
        if options.allow_unknown_fields {
            problems.warning(place, message).help(help);
        } else {
            problems.error(place, message).help(help);
        }
    }
}

/// The first place of a rendering that core/v1 takes for something else, and why.
pub(super) fn mismatch<T: DeserializeOwned>(rendered: &Rendered<'_>) -> Option<String> {
    let unknown = RefCell::new(Vec::new());
    let mismatch = T::deserialize(Decoder { rendered, root: rendered, unknown: &unknown }).err()?;
    let path = mismatch.at.and_then(|at| path(rendered, at)).filter(|path| !path.is_empty());
    Some(path.map_or_else(|| mismatch.to_string(), |path| format!("{}: {mismatch}", path.trim_start_matches('.'))))
}

/// The way from one rendering to another inside of it: `.env[0].value`.
fn path(from: &Rendered<'_>, to: &Rendered<'_>) -> Option<String> {
    if std::ptr::eq(from, to) {
        return Some(String::new());
    }
    match &from.content {
        Content::List(items) => {
            items.iter().enumerate().find_map(|(index, item)| Some(format!("[{index}]{}", path(item, to)?)))
        }
        Content::Map(members) => {
            members.iter().find_map(|(key, _, member)| Some(format!(".{key}{}", path(member, to)?)))
        }
        _ => None,
    }
}

/// A field that its type does not have.
struct Unknown<'r> {
    key: &'r str,
    place: &'r Place,
    known: &'static [&'static str],
    /// It stands in the outermost map.
    outermost: bool,
}

#[derive(Clone, Copy)]
struct Decoder<'r> {
    rendered: &'r Rendered<'r>,
    root: &'r Rendered<'r>,
    unknown: &'r RefCell<Vec<Unknown<'r>>>,
}

impl<'r> Decoder<'r> {
    fn at(self, rendered: &'r Rendered<'r>) -> Self {
        Self { rendered, ..self }
    }

    /// Keeps what a map has beside these fields.
    fn look_for_strangers(self, known: &'static [&'static str]) {
        let members = self.rendered.members().iter().map(|(key, place, _)| (&**key, *place));
        let strangers = members.filter(|(key, _)| !known.contains(key));
        let nulls = self.rendered.nulls.iter().filter(|(key, _)| !known.contains(key)).copied();
        let outermost = std::ptr::eq(self.rendered, self.root);
        let unknown = strangers.chain(nulls).map(|(key, place)| Unknown { key, place, known, outermost });
        self.unknown.borrow_mut().extend(unknown);
    }
}

impl Rendered<'_> {
    /// Nothing is known of it, or everything that is wrong with it.
    fn is_passed_over(&self) -> bool {
        self.refused.get() || matches!(self.content, Content::Hole)
    }
}

impl<'de, 'r> Deserializer<'de> for Decoder<'r> {
    type Error = Mismatch<'r>;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let visited = match &self.rendered.content {
            Content::Bool(value) => visitor.visit_bool(*value),
            Content::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => visitor.visit_i64(integer),
                (None, Some(float)) => visitor.visit_f64(float),
                (None, None) => visitor.visit_unit(),
            },
            Content::Text(text) => visitor.visit_str(text),
            Content::List(items) => visitor.visit_seq(Items { rest: items.iter(), decoder: self }),
            Content::Map(members) => visitor.visit_map(Members { rest: members.iter(), value: None, decoder: self }),
            Content::Hole => visitor.visit_unit(),
        };
        visited.map_err(|mismatch| Mismatch { at: mismatch.at.or(Some(self.rendered)), ..mismatch })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.look_for_strangers(known);
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier
    }
}

struct Items<'r> {
    rest: std::slice::Iter<'r, Rendered<'r>>,
    decoder: Decoder<'r>,
}

impl<'de, 'r> SeqAccess<'de> for Items<'r> {
    type Error = Mismatch<'r>;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Self::Error> {
        let next = self.rest.find(|item| !item.is_passed_over());
        next.map(|item| seed.deserialize(self.decoder.at(item))).transpose()
    }
}

struct Members<'r> {
    rest: std::slice::Iter<'r, (std::borrow::Cow<'r, str>, &'r Place, Rendered<'r>)>,
    value: Option<&'r Rendered<'r>>,
    decoder: Decoder<'r>,
}

impl<'de, 'r> MapAccess<'de> for Members<'r> {
    type Error = Mismatch<'r>;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Self::Error> {
        let Some((key, _, value)) = self.rest.find(|(.., value)| !value.is_passed_over()) else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Self::Error> {
        let value = self.value.take().ok_or_else(|| de::Error::custom("a value without a key"))?;
        seed.deserialize(self.decoder.at(value))
    }
}

/// A value that core/v1 does not take where it stands.
#[derive(Debug)]
struct Mismatch<'r> {
    wanted: String,
    found: String,
    at: Option<&'r Rendered<'r>>,
}

impl fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown(None))
    }
}

impl std::error::Error for Mismatch<'_> {}

impl de::Error for Mismatch<'_> {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { wanted: "what core/v1 takes".to_owned(), found: format!("not: {message}"), at: None }
    }

    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self { wanted: wanted_noun(&wanted.to_string()), found: found_noun(found), at: None }
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::invalid_type(found, wanted)
    }
}

/// What serde and k8s-openapi call a type, in the words of people who write YAML.
fn wanted_noun(expected: &str) -> String {
    match expected {
        "a string" => "text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "i32" => "a whole number below 2^31",
        "i64" => "a whole number",
        "f64" => "a number",
        "Quantity" => "a quantity",
        "IntOrString" => "a number or text",
        name if name.starts_with(char::is_uppercase) => return format!("a map ({name})"),
        other => other,
    }
    .to_owned()
}

fn found_noun(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Signed(number) => format!("the number {number}"),
        Unexpected::Unsigned(number) => format!("the number {number}"),
        Unexpected::Float(number) => format!("the number {number}"),
        Unexpected::Str(text) => format!("the text \"{}\"", shorten(text)),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map".to_owned(),
        other => other.to_string(),
    }
}

impl Mismatch<'_> {
    /// The sentence, with another word for what was found.
    fn shown(&self, found: Option<&str>) -> String {
        format!("this must be {}, and it is {}", self.wanted, found.unwrap_or(&self.found))
    }

    /// What to write instead, where that is plain.
    fn help(&self, source: &str) -> Option<String> {
        let found = self.at?;
        let number = self.wanted.contains("number");
        Some(match (&self.wanted[..], &found.content) {
            ("text", _) if found.expression => "write string(…) in the expression".to_owned(),
            (_, Content::Text(_)) if found.expression && number => "write int(…) in the expression".to_owned(),
            ("true or false", _) if found.expression => {
                "compare in the expression, or make the parameter a boolean".to_owned()
            }
            ("text", Content::Number(_) | Content::Bool(_)) => format!("quote it: \"{source}\""),
            ("true or false", _) => "write true or false, without quotes".to_owned(),
            (_, Content::Text(text)) if number && text.parse::<f64>().is_ok() => format!("remove the quotes: {text}"),
            _ => return None,
        })
    }
}
