//! YAML, and so JSON, as a tree in which every key and value knows its place in the file.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

use super::diagnostic::{Place, shorten};
use super::{Gap, Line};

/// A key or a value.
#[derive(Debug)]
pub(super) struct Tree<'t> {
    pub(super) kind: Kind<'t>,
    pub(super) place: Place,
}

/// What a key or value is.
#[derive(Debug)]
pub(super) enum Kind<'t> {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(Cow<'t, str>),
    List(Vec<Tree<'t>>),
    /// In the file's order. After [`super::lint`] every key is text.
    Map(Vec<(Tree<'t>, Tree<'t>)>),
    /// A mistake that was reported: readers say nothing more about it.
    Broken,
}

/// A file or document that is not YAML.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) place: Place,
    pub(super) message: String,
}

/// One document of a file.
#[derive(Debug)]
pub(super) struct Document<'t> {
    /// Where it starts.
    pub(super) place: Place,
    /// Its text, without the line that begins it.
    pub(super) text: &'t str,
    /// Its content; `None` if it is empty.
    pub(super) root: Result<Option<Tree<'t>>, SyntaxError>,
}

/// Deepest nesting: core/v1 needs about ten levels.
const MAX_DEPTH: usize = 48;

/// Reads every document of a file that isn't empty. One that is no YAML does not spoil its neighbours. Lines are those of
/// the text that the file is of, with its gaps.
pub(super) fn documents<'t>(text: &'t str, gaps: &[Gap]) -> impl Iterator<Item = Document<'t>> {
    split(text).filter_map(|(line, range)| {
        let line = line + gaps.iter().rfind(|gap| gap.at <= line).map_or(0, |gap| gap.lines);
        let document = &text[range.clone()];
        let body = document.strip_prefix("---\n").unwrap_or(document).trim_end();
        let place = Place { line: line + 1, column: 1, range: range.start..range.start };
        // A byte order mark begins what is behind the marker, too, as for kubectl, which cuts that line off.
        let root = || match document.strip_prefix("---\n").filter(|rest| rest.starts_with('\u{feff}')) {
            Some(rest) => parse(rest, line + 1, range.end - rest.len()),
            None => parse(document, line, range.start),
        };
        (!body.is_empty()).then(|| Document { place, text: body, root: root() })
    })
}

/// The line and byte range of each document. A line that begins with `---` ends a document whatever it stands in (YAML
/// 1.2, 9.1.2); directives, comments and empty documents count to the next one.
fn split(text: &str) -> impl Iterator<Item = (Line, Range<usize>)> {
    let mut starts = vec![(0, 0)];
    let mut content = false;
    let mut offset = 0;
    for (number, line) in (0..).zip(text.split_inclusive('\n')) {
        let marker = line.strip_prefix("---").filter(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if marker.is_some() && content {
            starts.push((number, offset));
            content = false;
        }
        content |= !marker.unwrap_or(line).trim().is_empty() && !line.starts_with(['#', '%']);
        offset += line.len();
    }
    let ends: Vec<_> = starts.iter().skip(1).map(|&(_, start)| start).chain([offset]).collect();
    starts.into_iter().zip(ends).map(|((line, start), end)| (line, start..end))
}

fn parse(document: &str, line: Line, offset: usize) -> Result<Option<Tree<'_>>, SyntaxError> {
    let mut roots: Vec<Tree<'_>> = serde_saphyr::from_multiple_with_options(document, options()).map_err(|error| {
        let at = error.location();
        let mut place = at.map_or_else(Place::default, |at| Place::from_location(at, document));
        place.shift(line, offset);
        SyntaxError { place, message: message(&error) }
    })?;
    for root in &mut roots {
        root.shift(line, offset);
    }
    if let Some(second) = roots.get(1) {
        let message = "a second document without `---` before it".to_owned();
        return Err(SyntaxError { place: second.place.clone(), message });
    }
    Ok(roots.pop())
}

/// What is wrong, without the `at line … column …` of the parser, which the rendering shows.
fn message(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::{Error, budget::BudgetBreach};
    match error.without_snippet() {
        Error::AliasError { error, .. } => message(error),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{}` stands here twice", shorten(key)),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            format!("this nests too deeply: more than {MAX_DEPTH} levels")
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "the file holds too much, with everything that its aliases repeat".to_owned()
        }
        error => {
            let text = error.to_string();
            match text.split_once(" at line ").map_or(&*text, |(message, _)| message) {
                "recursion limit exceeded" => "this nests too deeply".to_owned(),
                message => shorten(message),
            }
        }
    }
}

/// The reader's dialect and limits. Octal numbers and booleans are read as Kubernetes' users expect; the limits hold
/// for what aliases repeat too, so that no file of [`super::MAX_FILE`] bytes can grow to more than a few of its sizes.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: 200_000,
            max_events: 500_000,
            max_aliases: 10_000,
            max_total_scalar_bytes: 4 * super::MAX_FILE,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        legacy_octal_numbers: true,
        reject_unsupported_tags: true,
        strict_booleans: true,
        with_snippet: false,
    }
}

impl Place {
    /// The parser counts lines, columns and characters, and bytes only for what it borrows.
    fn from_location(at: Location, text: &str) -> Self {
        let span = at.span();
        let bytes =
            span.byte_offset().zip(span.byte_len()).map(|(start, length)| start as usize..(start + length) as usize);
        let range = bytes.unwrap_or_else(|| {
            let byte =
                |characters: u64| text.char_indices().nth(characters as usize).map_or(text.len(), |(byte, _)| byte);
            byte(span.offset())..byte(span.offset() + span.len())
        });
        Self { line: at.line() as Line, column: at.column() as u32, range }
    }

    fn shift(&mut self, lines: Line, bytes: usize) {
        self.line += lines;
        self.range = self.range.start + bytes..self.range.end + bytes;
    }
}

impl<'t> Tree<'t> {
    fn shift(&mut self, lines: Line, bytes: usize) {
        self.place.shift(lines, bytes);
        match &mut self.kind {
            Kind::List(items) => items.iter_mut().for_each(|item| item.shift(lines, bytes)),
            Kind::Map(members) => members.iter_mut().for_each(|(key, value)| {
                key.shift(lines, bytes);
                value.shift(lines, bytes);
            }),
            _ => {}
        }
    }

    /// The text, if it is text.
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members of a map that count, with their keys' places: null is the same as absent in Kubernetes.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &Place, &Tree<'t>)> {
        self.all_members().filter(|(.., value)| !matches!(value.kind, Kind::Null))
    }

    /// The keys of a map whose values are null: they are held against the known ones like all others.
    pub(super) fn nulls(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.all_members().filter(|(.., value)| matches!(value.kind, Kind::Null)).map(|(key, place, _)| (key, place))
    }

    /// All members of a map, with their keys' places.
    pub(super) fn all_members(&self) -> impl Iterator<Item = (&str, &Place, &Tree<'t>)> {
        let members = match &self.kind {
            Kind::Map(members) => members.as_slice(),
            _ => &[],
        };
        members.iter().filter_map(|(key, value)| Some((key.as_text()?, &key.place, value)))
    }

    /// A member of a map.
    pub(super) fn get(&self, name: &str) -> Option<&Tree<'t>> {
        self.members().find(|(key, ..)| *key == name).map(|(.., value)| value)
    }

    /// The items of a list.
    pub(super) fn items(&self) -> &[Tree<'t>] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    /// The items of a list that count: null and mistakes are left out.
    pub(super) fn live_items(&self) -> impl Iterator<Item = &Self> {
        self.items().iter().filter(|item| !matches!(item.kind, Kind::Null | Kind::Broken))
    }

    /// What it is, for messages: `a number`.
    pub(super) fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Broken => "a mistake",
        }
    }
}

impl<'de> Deserialize<'de> for Tree<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value: kind, defined, .. } = Spanned::<Kind<'de>>::deserialize(deserializer)?;
        Ok(Self { kind, place: Place::from_location(defined, "") })
    }
}

impl<'de> Deserialize<'de> for Kind<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KindVisitor;

        impl<'de> Visitor<'de> for KindVisitor {
            type Value = Kind<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a YAML value")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Kind::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Kind::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Kind::Number(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Kind::Number(value.into()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
                let number = serde_json::Number::from_f64(value);
                number.map(Kind::Number).ok_or_else(|| E::custom("a number that is not finite"))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Kind::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Kind::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(Kind::Text(Cow::Owned(text)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Kind::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Kind::Map(members))
            }
        }

        deserializer.deserialize_any(KindVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(text: &str) -> Vec<Result<String, String>> {
        let show = |tree: &Tree<'_>| format!("{}:{} {}", tree.place.line, tree.place.column, tree.noun());
        documents(text, &[])
            .filter_map(|document| document.root.transpose())
            .map(|root| root.as_ref().map(show).map_err(|error| error.message.clone()))
            .collect()
    }

    #[test]
    fn documents_are_told_apart_as_yaml_does() {
        for (text, found) in [
            ("a: 1", vec!["1:1 a map"]),
            ("a: 1\n---\n[b]\n", vec!["1:1 a map", "3:1 a list"]),
            ("---\na: 1\n...\n---\nb: 1", vec!["2:1 a map", "5:1 a map"]),
            ("%YAML 1.2\n---\na: 1\n", vec!["3:1 a map"]),
            ("# x\n---\n# y\n---\n\n---\na: 1\n---\n", vec!["7:1 a map"]),
            ("--- {a: 1}\n--- [b]\r\n---\r\nc: |\r\n  ---\r\n", vec!["1:5 a map", "2:5 a list", "4:1 a map"]),
            ("\u{feff}a: 1\n", vec!["1:1 a map"]),
            ("a: 1\n---\n\u{feff}b: 1\n", vec!["1:1 a map", "3:1 a map"]),
            ("---x: 1\n", vec!["1:1 a map"]),
            ("", vec![]),
        ] {
            let found: Vec<_> = found.into_iter().map(|found| Ok(found.to_owned())).collect();
            assert_eq!(roots(text), found, "{text}");
        }
        assert!(matches!(&roots("a: [\n---\nb: 1")[..], [Err(_), Ok(_)]));
        assert!(matches!(&roots("a: 1\n...\nb: 1")[..], [Err(_)]));
    }

    #[test]
    fn scalars_are_read_as_kubernetes_users_expect() {
        let text = "[0644, 0o17, 0x1f, 1.5, 1e3, yes, On, true, ~, null, '5', 2026-11-20, 12:30, \"\\ud83d\\ude00\"]";
        let document = documents(text, &[]).next().unwrap();
        let root = document.root.unwrap().unwrap();
        let shown: Vec<_> = root.items().iter().map(|item| format!("{:?}", item.kind)).collect();
        assert_eq!(
            shown.join(" "),
            "Number(Number(420)) Number(Number(15)) Number(Number(31)) Number(Number(1.5)) Number(Number(1000.0)) \
             Text(\"yes\") Text(\"On\") Bool(true) Null Null Text(\"5\") Text(\"2026-11-20\") Text(\"12:30\") Text(\"😀\")"
        );
        assert_eq!(&text[root.items()[13].place.range.clone()], "\"\\ud83d\\ude00\"");
    }
}
