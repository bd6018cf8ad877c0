//! Manifests: text in, documents and the pods in them out, and the text of a document with a patch applied. Pure.
//!
//! A document that nothing touches keeps its bytes. YAML is read as kubectl reads it: YAML 1.1 scalars (`yes` is a
//! boolean, `0644` octal), merge keys, a repeated key's last value. A text that begins like a JSON object and is a
//! sequence of JSON values is JSON, as in kubectl.

mod bounded;
mod custom;
mod emit;
mod misplaced;
mod pods;
mod splice;
mod split;
mod tree;

use std::borrow::Cow;

use serde_json::Value;

use crate::snapshot::Namespace;
pub use bounded::{Most, NoTree};
pub use custom::{Custom, SPEC};
use emit::Style;
pub use pods::Place;
use tree::Node;

/// One document of a stream.
#[derive(Debug)]
pub struct Document<'t> {
    text: &'t str,
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

/// A document's YAML with a patch applied.
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

/// Reads a stream of YAML or JSON documents. What [`Document::yaml`] gives for each is a stream again, and for a YAML
/// stream the same one.
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
    for piece in split::documents(stream) {
        match tree::parse(piece.text) {
            Ok(node) => {
                documents.push(Document { text: piece.text, value: node.to_value(), source: Source::Yaml(node) });
            }
            Err(error) => errors.push(SyntaxError { line: error.line + piece.line, ..error }),
        }
    }
    match json {
        _ if errors.is_empty() => Ok(documents),
        // Neither reading works: what begins like JSON was meant as JSON.
        Some(Err(error)) => Err(vec![error]),
        _ => Err(errors),
    }
}

fn read_json(stream: &str) -> Option<Result<Vec<Document<'_>>, SyntaxError>> {
    let stream = stream.strip_prefix(split::BOM).unwrap_or(stream);
    let mut values = serde_json::Deserializer::from_str(stream).into_iter::<Value>();
    let mut documents = Vec::new();
    let mut start = 0;
    while let Some(value) = values.next() {
        match value {
            Ok(value) => {
                let end = values.byte_offset();
                let separator = if documents.is_empty() { "" } else { "---\n" };
                documents.push(Document { text: stream.get(start..end)?, value, source: Source::Json(separator) });
                start = end;
            }
            Err(error) => {
                let (line, column) = (error.line(), error.column().max(1));
                let message = error.to_string();
                let place = format!(" at line {line} column {}", error.column());
                let message = message.strip_suffix(&place).unwrap_or(&message).to_owned();
                return Some(Err(SyntaxError { line, column, message }));
            }
        }
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

    /// The namespaces that it declares.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Namespace> {
        pods::namespaces(&self.value)
    }

    /// Whether the pod at a place has annotations of this prefix.
    #[must_use]
    pub fn asks(&self, place: &Place, prefix: &str) -> bool {
        misplaced::asks(&self.value, place, prefix)
    }

    /// What its author should know: annotations of this prefix that nobody reads, or that are no text.
    #[must_use]
    pub fn oddities(&self, prefix: &str) -> Vec<Oddity> {
        let places = self.pods();
        let kind = self.value.get("kind").and_then(Value::as_str).unwrap_or("object");
        let unknown = if places.is_empty() { misplaced::within(&self.value, prefix) } else { None };
        let unknown = unknown.map(|path| Oddity {
            subject: pods::subject(kind, &self.value),
            text: format!("{path} asks for grafts, which are made only in a cluster: {kind} is no kind known here"),
        });
        let around = places.iter().flat_map(|place| {
            let misplaced = misplaced(&self.value, place, prefix).into_iter();
            misplaced.map(|text| Oddity { subject: place.subject.clone(), text })
        });
        around.chain(unknown).collect()
    }

    /// The document as YAML: byte for byte if it is YAML.
    #[must_use]
    pub fn yaml(&self) -> Cow<'t, str> {
        match self.source {
            Source::Yaml(_) => Cow::Borrowed(self.text),
            Source::Json(separator) => Cow::Owned(format!("{separator}{}", emit::yaml(&self.value, Style::default()))),
        }
    }

    /// The YAML of `patched`, which is this document with a patch applied.
    #[must_use]
    pub fn rewrite(&self, patched: &Value) -> Rewritten {
        match &self.source {
            Source::Yaml(node) => {
                let spliced = splice::splice(self.text, node, patched);
                let says = |text: &String| tree::parse(text).is_ok_and(|node| node.to_value() == *patched);
                if let Some(text) = spliced.filter(says) {
                    return Rewritten { text, comments_lost: false };
                }
                let (head, tail) = node.surroundings(self.text);
                let comments_lost = node.has_comments(self.text, head.len());
                let mut text = emit::between(head, patched, tail);
                if self.text.contains("\r\n") {
                    text = text.replace("\r\n", "\n").replace('\n', "\r\n");
                }
                Rewritten { text, comments_lost }
            }
            Source::Json(separator) => Rewritten {
                text: format!("{separator}{}", emit::yaml(patched, Style::default())),
                comments_lost: false,
            },
        }
    }
}

/// Where an object's pods are: itself, or the template of a workload; those of a list's items.
#[must_use]
pub fn pods(object: &Value) -> Vec<Place> {
    pods::find(object)
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
    lines.extend(misplaced::unquoted(object, place, prefix));
    lines
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
