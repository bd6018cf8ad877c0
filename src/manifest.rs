//! Manifests: text in, documents and the pods in them out, and the text of a document with a patch applied. Pure.
//!
//! A document that nothing touches keeps its bytes. YAML is read as kubectl reads it: YAML 1.1 scalars (`yes` is a
//! boolean, `0644` octal), merge keys where they stand, a repeated key's last value; but numbers that end with an
//! underscore, or have two in a row, are text here (`1_`, `2__3`). A text that begins like a JSON object and is a sequence
//! of JSON values is JSON, as in kubectl.

mod bounded;
mod custom;
mod emit;
mod misplaced;
mod pods;
mod splice;
mod split;
mod tree;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::Value;

pub use bounded::{Most, NoTree, json_tree};
pub use custom::{Custom, SPEC, template_text};
use emit::Style;
pub use pods::{Object, Place};
use tree::Node;

/// One document of a stream.
#[derive(Debug)]
pub struct Document<'t> {
    text: &'t str,
    /// The number of lines before it in the stream.
    line: usize,
    source: Source,
    value: Value,
}

/// How a document is written.
#[derive(Debug)]
enum Source {
    Yaml(Node),
    /// With what must stand before its YAML.
    Json(&'static str),
}

/// A document with a patch applied.
#[derive(Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The text, which takes the place of the document's own.
    pub text: String,
    /// The document had comments that are not in the text.
    pub comments_lost: bool,
}

/// Something that stops nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oddity {
    /// Kind and name of the object, for messages: `Deployment/web`.
    pub subject: String,
    /// What is odd.
    pub text: String,
}

/// A text that is no document, with its place in the stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct SyntaxError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was found.
    pub message: String,
}

/// Reads a stream of YAML or JSON documents. What [`Document::yaml`] gives for each is a stream of YAML.
///
/// # Errors
///
/// The first mistake of every document that can't be read.
pub fn read(stream: &str) -> Result<Vec<Document<'_>>, Vec<SyntaxError>> {
    let json = if split::looks_like_json(stream) { read_json(stream) } else { None };
    if let Some(Ok(documents)) = json {
        return Ok(documents);
    }
    let mut documents = Vec::new();
    let mut errors = Vec::new();
    let pieces = split::documents(stream);
    let is_one = pieces.len() == 1;
    for piece in pieces {
        match tree::parse(piece.text) {
            Ok(node) => {
                let (text, line, value) = (piece.text, piece.line, node.to_value());
                documents.push(Document { text, line, value, source: Source::Yaml(node) });
            }
            Err(error) => errors.push(SyntaxError { line: error.line + piece.line, ..error }),
        }
    }
    match json {
        _ if errors.is_empty() => Ok(documents),
        // Neither reading works: what begins like JSON was meant as JSON, unless it has documents, which JSON has not.
        Some(Err(error)) if is_one => Err(vec![error]),
        _ => Err(errors),
    }
}

fn read_json(stream: &str) -> Option<Result<Vec<Document<'_>>, SyntaxError>> {
    let json = stream.strip_prefix(split::BOM).unwrap_or(stream);
    let before = stream.len() - json.len();
    let mut values = serde_json::Deserializer::from_str(json).into_iter::<Value>();
    let mut documents: Vec<Document<'_>> = Vec::new();
    let mut start = 0;
    while let Some(value) = values.next() {
        match value {
            Ok(value) => {
                let end = before + values.byte_offset();
                let separator = if documents.is_empty() { "" } else { "---\n" };
                let text = stream.get(start..end)?;
                documents.push(Document { text, line: 0, value, source: Source::Json(separator) });
                start = end;
            }
            Err(error) => {
                let line = error.line();
                // It counts bytes.
                let text = json.split('\n').nth(line.saturating_sub(1)).unwrap_or_default();
                let column = text[..text.floor_char_boundary(error.column())].chars().count().max(1);
                let message = error.to_string();
                let place = format!(" at line {line} column {}", error.column());
                let message = match message.strip_suffix(&place).unwrap_or(&message) {
                    "recursion limit exceeded" => "it nests too deeply",
                    message => message,
                };
                let message = message.to_owned();
                return Some(Err(SyntaxError { line, column, message }));
            }
        }
    }
    if let Some(last) = documents.last_mut() {
        last.text = stream.get(start - last.text.len()..)?;
    }
    Some(Ok(documents))
}

impl<'t> Document<'t> {
    /// The document as data; null when there is nothing but comments in it.
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.value
    }

    /// Where its pods are: the pod itself, the templates of workloads, those of a list's items.
    #[must_use]
    pub fn pods(&self) -> Vec<Place> {
        pods::find(&self.value)
    }

    /// Whether the pod at a place has annotations of this prefix.
    #[must_use]
    pub fn asks(&self, place: &Place, prefix: &str) -> bool {
        misplaced::asks(&self.value, place, prefix)
    }

    /// What its author should know: annotations of this prefix that nobody reads, keys that are repeated around pods.
    #[must_use]
    pub fn oddities(&self, prefix: &str) -> Vec<Oddity> {
        let places = self.pods();
        let with_pods: HashSet<_> = places.iter().map(|place| &*place.object).collect();
        let around = places.iter().flat_map(|place| {
            let misplaced = misplaced::around(&self.value, place, prefix).into_iter();
            misplaced.map(|text| Oddity { subject: place.subject.clone(), text })
        });
        let unknown = pods::objects(&self.value).into_iter().filter_map(|Object { pointer, kind, value }| {
            if with_pods.contains(&*pointer) {
                return None;
            }
            let path = misplaced::within(value, prefix)?;
            let version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
            let text = match (pods::template(kind, value), pods::version(kind)) {
                (Some(template), _) => {
                    format!("{path} is not read: there is no pod template at {}", misplaced::dotted(template))
                }
                (None, Some(known)) => {
                    format!(
                        "{path} asks for grafts, but a {kind} that has pods is of {known}, and this is of {version}"
                    )
                }
                (None, None) => {
                    format!("{path} asks for grafts, which are made only in a cluster: {kind} is no kind known here")
                }
            };
            Some(Oddity { subject: pods::subject(if kind.is_empty() { "object" } else { kind }, value), text })
        });
        around.chain(self.repeated(&places)).chain(unknown).collect()
    }

    /// Keys that are there again, in a document that has pods.
    fn repeated(&self, places: &[Place]) -> Vec<Oddity> {
        let (Source::Yaml(node), Some(first)) = (&self.source, places.first()) else { return Vec::new() };
        let items: HashMap<_, _> = places.iter().map(|place| (misplaced::indexed(&place.object), place)).collect();
        let place = |path: &str| {
            let mut starts = path.match_indices(']').map(|(end, _)| &path[..=end]);
            starts.find_map(|start| items.get(start)).map_or(first, |place| *place)
        };
        let line = |key: &Node| self.line + self.text[..key.span.start].matches('\n').count() + 1;
        let repeated = node.repeated().into_iter();
        repeated
            .map(|(path, key, again)| {
                let (line, other) = (line(key), line(again));
                let text = if again.is_brought() {
                    format!(
                        "{path} of line {line} is not read by kubectl, as the `<<` of line {other} says it again; put `<<` \
                         first"
                    )
                } else {
                    format!("{path} of line {line} is not read, as line {other} says it again; remove one of them")
                };
                Oddity { subject: place(&path).subject.clone(), text }
            })
            .collect()
    }

    /// Its text. Those of a stream's documents are the stream, byte for byte.
    #[must_use]
    pub const fn text(&self) -> &'t str {
        self.text
    }

    /// Whether it is read as JSON.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        matches!(self.source, Source::Json(_))
    }

    /// The document as YAML: byte for byte if it is YAML.
    #[must_use]
    pub fn yaml(&self) -> Cow<'t, str> {
        match self.source {
            Source::Yaml(_) => Cow::Borrowed(self.text),
            Source::Json(_) => Cow::Owned(self.as_yaml(&self.value)),
        }
    }

    /// A value as YAML in the document's place.
    #[must_use]
    pub fn as_yaml(&self, value: &Value) -> String {
        let separator = match self.source {
            Source::Yaml(_) => "",
            Source::Json(separator) => separator,
        };
        format!("{separator}{}", emit::yaml(value, Style::default()))
    }

    /// The text of `patched`, which is this document with a patch applied, in its own layout as far as that goes.
    #[must_use]
    pub fn rewrite(&self, patched: &Value) -> Rewritten {
        match &self.source {
            Source::Yaml(node) => {
                let spliced = splice::splice(self.text, node, patched);
                let ends = |text: &str| text.ends_with(['\n', '\r']);
                // What follows in the stream must not come into its last line, which a lone carriage return may end.
                if let Some(text) = spliced
                    && (ends(&text) || !ends(self.text))
                    && let Ok(again) = tree::parse(&text)
                    && again.to_value() == *patched
                {
                    let mut there = again.comments(&text).into_iter();
                    let comments_lost =
                        !node.comments(self.text).into_iter().all(|comment| there.any(|it| it == comment));
                    return Rewritten { text, comments_lost };
                }
                let (head, tail) = node.surroundings(self.text);
                let comments_lost = node.has_comments(self.text, head.len());
                let mut text = emit::between(head, patched, tail);
                if self.text.contains("\r\n") {
                    text = text.replace("\r\n", "\n").replace('\n', "\r\n");
                }
                Rewritten { text, comments_lost }
            }
            Source::Json(_) => Rewritten { text: emit::json(patched, self.text), comments_lost: false },
        }
    }
}

/// Where an object's pods are: itself, or the template of a workload; those of a list's items.
#[must_use]
pub fn pods(object: &Value) -> Vec<Place> {
    pods::find(object)
}

/// The objects that a list holds; itself, if it is none.
#[must_use]
pub fn items(object: Value) -> Vec<Value> {
    pods::items(object)
}

/// Whether objects of this kind make pods from a template that they hold.
#[must_use]
pub fn makes_pods(group: &str, kind: &str) -> bool {
    pods::holds_template(group, kind)
}

/// What the author of an object should know: annotations of this prefix that stand where nobody reads them, or are no
/// text.
#[must_use]
pub fn misplaced(object: &Value, place: &Place, prefix: &str) -> Vec<String> {
    let mut lines = misplaced::around(object, place, prefix);
    lines.extend(unquoted(object, &place.pointer, prefix));
    lines
}

/// Annotations of this prefix that are no text, which Kubernetes refuses, on what is at a JSON Pointer.
#[must_use]
pub fn unquoted(object: &Value, pointer: &str, prefix: &str) -> Vec<String> {
    misplaced::unquoted(object, pointer, prefix)
}

/// The objects of a document: itself, or the items of a list.
#[must_use]
pub fn objects(document: &Value) -> Vec<Object<'_>> {
    pods::objects(document)
}

/// The Namespaces among them.
#[must_use]
pub fn namespaces(document: &Value) -> Vec<Object<'_>> {
    pods::namespaces(document)
}

/// Kind and name of an object, for messages.
#[must_use]
pub fn subject(object: &Object<'_>) -> String {
    pods::subject(object.kind, object.value)
}

/// Appends the text of a stream to a stream, with a document separator between them where one is needed.
pub fn append(stream: &mut String, next: &str) {
    let next = if stream.is_empty() { next } else { next.strip_prefix(split::BOM).unwrap_or(next) };
    if !stream.is_empty() && !stream.ends_with('\n') {
        stream.push('\n');
    }
    if !stream.is_empty() {
        stream.push_str(split::separator(next));
    }
    stream.push_str(next);
}

#[cfg(test)]
mod tests;
