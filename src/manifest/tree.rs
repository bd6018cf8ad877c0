//! A YAML document as a tree whose nodes know their place in the text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{DuplicateKeyPolicy, Error, Spanned};

use super::{SyntaxError, split};

/// Twice as deep as any Kubernetes object (the deepest CustomResourceDefinitions have some 50 levels). A level takes
/// 25 KiB of stack in a debug build, so that this is a third of what a main thread has.
const MAX_DEPTH: usize = 100;

/// How many scalars and brackets aliases may repeat in one document.
const MAX_REPEATED: usize = 100_000;

/// How many bytes of scalars they may repeat.
const MAX_REPEATED_BYTES: usize = 64 * 1024 * 1024;

/// A value and where it is written.
#[derive(Debug)]
pub struct Node {
    /// The value.
    pub kind: Kind,
    /// Bytes of the text: a scalar's own, the first of a collection, an alias.
    pub span: Range<usize>,
    /// The same where the value is defined: other than `span` for what an alias or a merge key brought.
    pub defined: Range<usize>,
}

/// A value.
#[derive(Debug)]
pub enum Kind {
    /// Null, a boolean, a number or text.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A map, in the text's order; what merge keys brought comes last, as far as it counts. Repeated keys are repeated, but
    /// for those behind a key that is an integer: from there on the library gives the last of each alone, also of `<<`.
    Map(Vec<(Node, Node)>),
}

/// Reads one document; null when there is none in the text.
pub fn parse(text: &str) -> Result<Node, SyntaxError> {
    let options = serde_saphyr::options! {
        // What is written may be as large as a dump of a whole cluster; what aliases repeat of it may not.
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: usize::MAX,
            max_events: usize::MAX,
            max_anchors: usize::MAX,
            max_aliases: MAX_REPEATED,
            max_total_scalar_bytes: text.len().saturating_add(MAX_REPEATED_BYTES),
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPEATED },
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    let mut node: Node = serde_saphyr::from_str_with_options(&mark_first(text), options).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line() as usize, at.column() as usize));
        SyntaxError { line, column, message: message(&error) }
    })?;
    let strange = "a key that is no text, number or boolean: JSON has no such keys";
    let read = node.as_kubectl_reads(text);
    match read.and_then(|()| node.strange_key().map_or(Ok(()), |key| Err((key.span.start, strange)))) {
        Ok(()) => Ok(node),
        Err((at, message)) => {
            let before = &text[..at];
            let line = before.rsplit('\n').next().unwrap_or_default();
            let (line, column) = (before.matches('\n').count() + 1, line.chars().count() + 1);
            Err(SyntaxError { line, column, message: message.to_owned() })
        }
    }
}

/// The text with a byte order mark that follows the line `---` in front of it, where YAML has it: kubectl cuts that line
/// off, and so reads what `echo ---; cat FILE` writes. Everything behind keeps its place.
fn mark_first(text: &str) -> Cow<'_, str> {
    let nothing = |line: &str| matches!(line.trim(), "" | "---") || line.starts_with('#');
    match text.split_once(split::BOM) {
        Some((before, rest)) if before.ends_with('\n') && before.lines().all(nothing) => {
            Cow::Owned(format!("{}{before}{rest}", split::BOM))
        }
        _ => Cow::Borrowed(text),
    }
}

/// What is wrong, without places: they would be of the document, and not of the stream.
fn message(error: &Error) -> String {
    let too_deep = || format!("it nests too deeply: more than {MAX_DEPTH} levels");
    match error {
        Error::AliasError { error, .. } => message(error),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => too_deep(),
        Error::Budget { breach: BudgetBreach::ScalarBytes { .. }, .. } => {
            format!("its aliases repeat more than {MAX_REPEATED_BYTES} bytes")
        }
        Error::Budget { breach: BudgetBreach::Aliases { .. }, .. } => {
            format!("it has more than {MAX_REPEATED} aliases")
        }
        Error::AliasReplayLimitExceeded { .. } => {
            format!("its aliases repeat more than {MAX_REPEATED} scalars and brackets")
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an alias stands within what it repeats".to_owned(),
        error => {
            let text = error.to_string();
            match text.split_once(" at line ").map_or(&*text, |(message, _)| message) {
                // What the parser itself does not go into, however few levels are allowed.
                "recursion limit exceeded" => too_deep(),
                message => message.to_owned(),
            }
        }
    }
}

/// A place in the text, and what is wrong there.
type Mistake = (usize, &'static str);

impl Node {
    /// Follows merge keys, and takes scalars that go by their spelling for what kubectl takes them for.
    fn as_kubectl_reads(&mut self, text: &str) -> Result<(), Mistake> {
        match &mut self.kind {
            Kind::Scalar(value) => {
                let spelled = text.get(self.defined.clone()).unwrap_or_default();
                respell(value, spelled).map_err(|message| (self.span.start, message))
            }
            Kind::List(items) => items.iter_mut().try_for_each(|item| item.as_kubectl_reads(text)),
            Kind::Map(members) => {
                for (key, member) in &mut *members {
                    key.as_kubectl_reads(text)?;
                    member.as_kubectl_reads(text)?;
                }
                merge(members, text)
            }
        }
    }

    /// The value as JSON. Numbers are as kubectl passes them on: a whole `1.0` or `1e3` is an integer.
    pub fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::List(items) => items.iter().map(Self::to_value).collect(),
            Kind::Map(members) => {
                members.iter().map(|(key, value)| (key.to_key(), value.to_value())).collect::<Map<_, _>>().into()
            }
        }
    }

    /// The name of a member. Keys that are no text become text, as in kubectl: `1:` is "1", `on:` is "true".
    pub fn to_key(&self) -> String {
        match &self.kind {
            Kind::Scalar(Value::String(text)) => text.clone(),
            Kind::Scalar(value) => value.to_string(),
            Kind::List(_) | Kind::Map(_) => String::new(),
        }
    }

    /// What stands around the root node: the lines before it (directives, comments, marker) and the end marker.
    pub fn surroundings<'t>(&self, text: &'t str) -> (&'t str, &'t str) {
        let before = &text[..self.span.start.min(text.len())];
        let head = before.trim_end_matches([' ', '\t']);
        let head = if head.is_empty() || head.ends_with('\n') { head } else { before };
        (head, split::end_marker(text))
    }

    /// Whether there are comments from this byte on.
    pub fn has_comments(&self, text: &str, from: usize) -> bool {
        self.gaps(text, from).any(|gap| gap.contains('#'))
    }

    /// The comments, in their order.
    pub fn comments<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let comment = |line: &'t str| line.find('#').map(|start| line[start..].trim_end());
        self.gaps(text, 0).flat_map(str::lines).filter_map(comment).collect()
    }

    /// What stands between scalars, from this byte on: a `#` there begins a comment.
    fn gaps<'t>(&self, text: &'t str, from: usize) -> impl Iterator<Item = &'t str> {
        let mut scalars = Vec::new();
        self.scalars(&mut scalars);
        scalars.push(text.len()..text.len());
        scalars.sort_unstable_by_key(|span| span.start);
        let mut end = from;
        scalars.into_iter().filter_map(move |span| {
            let gap = text.get(end..span.start);
            end = end.max(span.end);
            gap
        })
    }

    /// The first key that can't be the name of a JSON object's member.
    fn strange_key(&self) -> Option<&Self> {
        match &self.kind {
            Kind::Scalar(_) => None,
            Kind::List(items) => items.iter().find_map(Self::strange_key),
            Kind::Map(members) => members.iter().find_map(|(key, value)| match key.kind {
                Kind::Scalar(Value::String(_) | Value::Number(_) | Value::Bool(_)) => value.strange_key(),
                _ => Some(key),
            }),
        }
    }

    /// Whether a merge key, or an alias, brought it.
    pub fn is_brought(&self) -> bool {
        self.span != self.defined
    }

    /// Keys that are there again in their map, with the path to each and the next one of that name. That may be one that a
    /// merge key brought.
    pub fn repeated(&self) -> Vec<(String, &Self, &Self)> {
        let mut found = Vec::new();
        self.walk_repeated("", &mut found);
        found
    }

    fn walk_repeated<'n>(&'n self, path: &str, found: &mut Vec<(String, &'n Self, &'n Self)>) {
        match &self.kind {
            // What an alias stands for has been looked at where it is defined.
            _ if self.is_brought() => {}
            Kind::Scalar(_) => {}
            Kind::List(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, item)| item.walk_repeated(&format!("{path}[{index}]"), found));
            }
            Kind::Map(members) => {
                let mut last = HashMap::new();
                for (key, member) in members {
                    let name = key.to_key();
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    member.walk_repeated(&path, found);
                    if let Some(before) = last.insert(name, key).filter(|before: &&Self| !before.is_brought()) {
                        found.push((path, before, key));
                    }
                }
            }
        }
    }

    fn scalars(&self, spans: &mut Vec<Range<usize>>) {
        match &self.kind {
            Kind::Scalar(_) => spans.push(self.defined.clone()),
            Kind::List(items) => items.iter().for_each(|item| item.scalars(spans)),
            Kind::Map(members) => members.iter().for_each(|(key, value)| {
                key.scalars(spans);
                value.scalars(spans);
            }),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Spanned::<Kind>::deserialize(deserializer)?;
        let range = |at: serde_saphyr::Location| {
            let start = at.span().byte_offset().unwrap_or_default() as usize;
            start..start + at.span().byte_len().unwrap_or_default() as usize
        };
        Ok(Self { span: range(node.referenced), defined: range(node.defined), kind: node.value })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        // Without one, the spelling decides, which is not known here.
        Ok(Kind::Scalar(number(value).map_or(NO_NUMBER, Value::from)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Kind::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Kind, A::Error> {
        let mut map = Vec::new();
        while let Some(member) = members.next_entry()? {
            map.push(member);
        }
        Ok(Kind::Map(map))
    }
}

/// Stands for a number that is not finite until its spelling is looked at. No scalar is a list.
const NO_NUMBER: Value = Value::Array(Vec::new());

/// What is said of one that is meant.
const NO_JSON: &str = "a number that JSON does not have";

/// Gives a scalar the value that its spelling has in yaml.v2, which kubectl reads by: `12e4567`, the hash of a commit, is
/// beyond all numbers and so text, and so is `nO`.
fn respell(value: &mut Value, spelled: &str) -> Result<(), &'static str> {
    let kept = match value {
        // Quoted, it has a tag that says what it is.
        Value::Null | Value::Bool(_) if spelled.starts_with(['"', '\'', '|', '>']) => true,
        Value::Null => matches!(spelled, "" | "~" | "null" | "Null" | "NULL"),
        Value::Bool(_) => {
            let word = spelled.get(1..).unwrap_or_default();
            word == word.to_ascii_lowercase() || spelled == spelled.to_ascii_uppercase()
        }
        Value::Array(_) => match spelled.trim_start_matches(['+', '-']) {
            ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN" => return Err(NO_JSON),
            _ if spelled.starts_with(['"', '\'']) => return Err(NO_JSON),
            _ => false,
        },
        _ => true,
    };
    if !kept {
        *value = spelled.into();
    }
    Ok(())
}

/// Puts what merge keys name in their place, in yaml.v2's order: it gives way only to keys of the map's own behind them.
fn merge(members: &mut Vec<(Node, Node)>, text: &str) -> Result<(), Mistake> {
    let is_merge = |key: &Node| text.get(key.defined.clone()) == Some("<<");
    if !members.iter().any(|(key, _)| is_merge(key)) {
        return Ok(());
    }
    let names = members.iter().enumerate().map(|(index, (key, _))| (key.to_key(), index));
    let last: HashMap<String, usize> = names.collect();
    let mut merged = Vec::new();
    let mut own = Vec::with_capacity(members.len());
    for (index, (key, value)) in std::mem::take(members).into_iter().enumerate() {
        if !is_merge(&key) {
            own.push((key, value));
            continue;
        }
        let sources = match value.kind {
            Kind::List(items) => items,
            _ => vec![value],
        };
        // Of several maps the first counts most.
        for source in sources.into_iter().rev() {
            let span = key.span.start..source.span.end.max(key.span.start);
            match source.kind {
                Kind::Map(brought) => {
                    let counts = |name: &Node| last.get(&name.to_key()).is_none_or(|own| *own < index);
                    let brought = brought.into_iter().filter(|(name, _)| counts(name));
                    merged.extend(brought.map(|(name, value)| {
                        let span = span.clone();
                        (Node { span: span.clone(), ..name }, Node { span, ..value })
                    }));
                }
                Kind::Scalar(Value::Null) => {}
                _ => return Err((source.span.start, "`<<` takes a map, or a list of maps")),
            }
        }
    }
    own.append(&mut merged);
    *members = own;
    Ok(())
}

/// A float as kubectl passes it on: Go writes whole numbers below 2^63 without a fraction.
fn number(value: f64) -> Option<Number> {
    // 2^63 itself is out of range; every whole float below it is an exact i64.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if value.fract() == 0.0 && value.abs() < LIMIT { Some((value as i64).into()) } else { Number::from_f64(value) }
}
