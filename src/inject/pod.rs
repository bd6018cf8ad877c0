//! A borrowed view of the incoming pod: only what the engine looks at is parsed, the text stays the truth.

use std::borrow::Cow;

/// A request to admit a pod.
#[derive(Debug)]
pub struct PodRequest<'a> {
    /// The namespace; from the request, as a pod's own may be empty.
    pub namespace: Cow<'a, str>,
    /// Whether the request creates a pod: CREATE of v1 Pod, no subresource.
    pub creates_pod: bool,
    /// The server will not store the pod.
    pub dry_run: bool,
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
    pub fn create(pod: &'a [u8], namespace: &'a str) -> Result<Self, PodError> {
        let _ = (pod, namespace);
        todo!()
    }
}
