//! A request to admit a pod: what the API server, or the command line, asks about it.

use std::borrow::Cow;

use serde::Deserialize;

use super::crowd;
use super::pod::Pod;
use crate::json::{Json, Node, Unreadable};

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
        let json = Json::read(pod).ok_or_else(|| PodError::syntax(pod))?;
        let view = match crowd::of(&json, &[]) {
            Some(entries) => crowd::outline(json.root(), entries)?,
            None => Pod::deserialize(json.root())?,
        };
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
    fn syntax(text: &str) -> Self {
        Self { path: "pod".to_owned(), problem: Json::why_not(text) }
    }
}

impl From<Unreadable> for PodError {
    fn from(error: Unreadable) -> Self {
        let path = if error.path().is_empty() { "pod" } else { error.path() };
        Self { path: path.to_owned(), problem: error.problem().to_owned() }
    }
}
