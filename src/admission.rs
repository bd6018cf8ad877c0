//! The wire: AdmissionReview bytes in and out (`admission.k8s.io/v1`).

use std::borrow::Cow;

use crate::inject::Outcome;
use crate::inject::pod::PodRequest;

/// A decoded review.
#[derive(Debug)]
pub struct Review<'a> {
    /// `request.uid`, which the answer carries.
    pub uid: Cow<'a, str>,
    /// What is to be decided.
    pub request: PodRequest<'a>,
}

/// Why bytes are no review that can be decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No `admission.k8s.io/v1` AdmissionReview with a request: the HTTP answer is 400 with this text.
    #[error("{0}")]
    NotAReview(String),
    /// A review whose object is no readable pod: answered in a review ([`refuse`]), `status.code` 400.
    #[error("{message}")]
    BadObject {
        /// `request.uid`.
        uid: String,
        /// What is wrong and where.
        message: String,
    },
}

/// Reads a review in one pass over the body.
///
/// # Errors
///
/// See [`DecodeError`].
pub fn decode(body: &[u8]) -> Result<Review<'_>, DecodeError> {
    let _ = body;
    todo!()
}

/// The answer to a decided review.
#[must_use]
pub fn encode(uid: &str, outcome: &Outcome<'_>) -> Vec<u8> {
    let _ = (uid, outcome);
    todo!()
}

/// An answer that denies with this code and message.
#[must_use]
pub fn refuse(uid: &str, code: u16, message: &str) -> Vec<u8> {
    let _ = (uid, code, message);
    todo!()
}
