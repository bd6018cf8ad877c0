//! A request to admit a pod: what the API server, or the command line, asks about it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::pod::Pod;
use crate::template::expression::FieldMask;

/// Where the pod's whole text is, for the few templates whose expressions name `object`.
#[derive(Debug, Clone, Copy)]
pub enum Document<'a> {
    /// An AdmissionReview with the pod at `request.object`.
    Review(&'a str),
    /// The pod itself.
    Pod(&'a str),
}

/// A request to admit a pod.
#[derive(Debug)]
pub struct PodRequest<'a> {
    /// The namespace; from the request, as a pod's own may be empty.
    pub namespace: Cow<'a, str>,
    /// `request.name`; empty with `generateName`.
    pub name: Cow<'a, str>,
    /// `request.operation`.
    pub operation: Cow<'a, str>,
    /// Whether the request creates a pod: CREATE of v1 Pod, no subresource.
    pub creates_pod: bool,
    /// The server will not store the pod.
    pub dry_run: bool,
    /// The pod.
    pub pod: Pod<'a>,
    /// The pod's text.
    pub document: Document<'a>,
}

/// A pod that can't be read as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct PodError {
    /// Where: `spec.containers[0].name`.
    pub path: String,
    /// What was found and what is wanted.
    pub problem: String,
}

impl<'a> PodRequest<'a> {
    /// A request to create this pod, as the command line makes it.
    ///
    /// # Errors
    ///
    /// The text is no pod.
    pub fn create(pod: &'a str, namespace: &'a str) -> Result<Self, PodError> {
        let view: Pod<'a> = match serde_json::from_str(pod) {
            Ok(view) => view,
            Err(error) => return Err(PodError::explain::<Pod<'_>>(pod, &error)),
        };
        let name = view.metadata.as_ref().map(|metadata| metadata.name.0.clone()).unwrap_or_default();
        Ok(Self {
            namespace: Cow::Borrowed(namespace),
            name,
            operation: Cow::Borrowed("CREATE"),
            creates_pod: true,
            dry_run: false,
            pod: view,
            document: Document::Pod(pod),
        })
    }

    /// The pod as a tree, as far as the mask says, `metadata.namespace` filled: what `object` is in expressions.
    ///
    /// # Errors
    ///
    /// It nests deeper than serde_json reads (128 levels).
    pub fn object(&self, mask: &FieldMask) -> Result<Value, String> {
        let read = match (self.pod.tree(mask), self.document) {
            (Some(tree), _) => Ok(Value::Object(tree)),
            (None, Document::Pod(text)) => mask.read(text),
            (None, Document::Review(text)) => {
                let mask = FieldMask::member("request", FieldMask::member("object", mask.clone()));
                mask.read(text).map(|mut review| review["request"]["object"].take())
            }
        };
        let mut object = read.map_err(|error| format!("the pod can't be read as a tree: {error}"))?;
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            let namespace = metadata.entry("namespace").or_insert(Value::Null);
            if namespace.as_str().is_none_or(str::is_empty) {
                *namespace = Value::from(&*self.namespace);
            }
        } else if let Some(pod) = object.as_object_mut() {
            pod.insert("metadata".to_owned(), serde_json::json!({ "namespace": self.namespace }));
        }
        Ok(object)
    }
}

impl PodError {
    /// Reads `text` once more, slowly, to tell where it is no `T`.
    pub(crate) fn explain<'de, T: Deserialize<'de>>(text: &'de str, error: &serde_json::Error) -> Self {
        let mut reader = serde_json::Deserializer::from_str(text);
        match serde_path_to_error::deserialize::<_, T>(&mut reader) {
            Err(located) if located.path().iter().any(|segment| !matches!(segment, Segment::Unknown)) => {
                Self { path: located.path().to_string(), problem: without_position(located.inner()) }
            }
            _ => Self { path: "pod".to_owned(), problem: error.to_string() },
        }
    }
}

/// A mistake that has a path needs no position, as nobody sees a review's lines and columns; broken syntax has no path.
pub(super) fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        // The one type that serde has only Rust's name for.
        Some((problem, _)) if error.is_data() => problem.replace("expected i64", "expected an integer"),
        _ => text,
    }
}
