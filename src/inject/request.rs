//! A request to admit a pod: what the API server, or the command line, asks about it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_path_to_error::Segment;

use super::crowd;
use super::pod::Pod;
use crate::json::{Json, MAX_VALUES, Node};

/// A text with a pod in it.
#[derive(Debug)]
pub enum Document<'a> {
    /// An AdmissionReview with the pod at `request.object`.
    Review(Json<'a>),
    /// The pod itself.
    Pod(Json<'a>),
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
        let Some(json) = Json::read(pod) else { return Err(PodError::of::<Pod<'_>>(pod)) };
        let view = match crowd::of(&json, &[]) {
            Some(entries) => crowd::outline(json.root(), entries),
            None => Pod::deserialize(json.root()),
        };
        let Ok(view) = view else { return Err(PodError::of::<Pod<'_>>(pod)) };
        let name = view.metadata.as_ref().map(|metadata| metadata.name.0.clone()).unwrap_or_default();
        Ok(Self {
            namespace: Cow::Borrowed(namespace),
            name,
            operation: Cow::Borrowed("CREATE"),
            creates_pod: true,
            dry_run: false,
            pod: view,
            document: Document::Pod(json),
        })
    }

    /// The pod's text: what `object` is in expressions.
    #[must_use]
    pub fn object(&self) -> Option<Node<'_, 'a>> {
        match &self.document {
            Document::Review(review) => review.root().get("request")?.get("object"),
            Document::Pod(pod) => Some(pod.root()),
        }
    }
}

impl PodError {
    /// Reads `text`, which is no `T`, once more, slowly, to tell where and why.
    pub(crate) fn of<'de, T: Deserialize<'de>>(text: &'de str) -> Self {
        let pod = |problem: String| Self { path: "pod".to_owned(), problem };
        if Json::is_too_much(text) {
            return pod(format!("it has more than {MAX_VALUES} values, keys among them, lists and maps twice"));
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        match serde_path_to_error::deserialize::<_, T>(&mut reader) {
            Err(located) if located.path().iter().any(|segment| !matches!(segment, Segment::Unknown)) => {
                Self { path: located.path().to_string(), problem: without_position(located.inner()) }
            }
            Err(located) => pod(located.inner().to_string()),
            Ok(_) => pod(reader.end().map_or_else(|error| error.to_string(), |()| "it can't be read".to_owned())),
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
