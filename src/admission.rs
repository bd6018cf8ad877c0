//! The wire: AdmissionReview bytes in and out (`admission.k8s.io/v1`, Kubernetes documentation, "Dynamic Admission Control").
//!
//! Bytes that are no review are an HTTP error, and the registration's failurePolicy decides; everything that can be
//! read as a review is answered in a review, and decides by itself.

use std::borrow::Cow;
use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::inject::json::Text;
use crate::inject::outcome::{Outcome, Reason, Warning};
use crate::inject::pod::Pod;
use crate::inject::reason::quote;
use crate::inject::request::{Document, PodError, PodRequest};
use crate::template::node::write_string;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// The longest warning in characters; the API server cuts longer ones.
const LONGEST_WARNING: usize = 256;

/// What all warnings of an answer may hold together, in characters; the API server drops what exceeds it.
const ALL_WARNINGS: usize = 4096;

/// The longest rejection in characters: enough for dozens of mistakes, and a bound for hostile pods.
const LONGEST_MESSAGE: usize = 16 * 1024;

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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "P: Deserialize<'de>"), expecting = "an AdmissionReview")]
struct Wire<'a, P> {
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow, default)]
    kind: Text<'a>,
    #[serde(default = "Option::default")]
    request: Option<WireRequest<'a, P>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "P: Deserialize<'de>"), expecting = "a request")]
struct WireRequest<'a, P> {
    #[serde(borrow, default)]
    uid: Text<'a>,
    #[serde(borrow, default)]
    kind: Option<WireKind<'a>>,
    #[serde(borrow, default)]
    sub_resource: Text<'a>,
    #[serde(borrow, default)]
    operation: Text<'a>,
    #[serde(borrow, default)]
    namespace: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(default)]
    dry_run: Option<bool>,
    #[serde(default = "Option::default")]
    object: Option<P>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireKind<'a> {
    #[serde(borrow)]
    group: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
}

impl<P> WireRequest<'_, P> {
    fn creates_pod(&self) -> bool {
        let of_pod = self.kind.as_ref().is_some_and(|kind| kind.group.is_empty() && &*kind.kind == "Pod");
        of_pod && self.sub_resource.is_empty() && &*self.operation == "CREATE"
    }
}

/// Reads a review in one pass over the body.
///
/// # Errors
///
/// See [`DecodeError`].
pub fn decode(body: &[u8]) -> Result<Review<'_>, DecodeError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        DecodeError::NotAReview(format!("the body is not UTF-8: byte {} is wrong", error.valid_up_to()))
    })?;
    match serde_json::from_str::<Wire<'_, Pod<'_>>>(text) {
        Ok(wire) => {
            let request = checked(wire)?;
            let creates_pod = request.creates_pod();
            if creates_pod && request.object.is_none() {
                return Err(bad_object(&request, "request.object: a pod is wanted, null was found".to_owned()));
            }
            Ok(Review { uid: request.uid.0.clone(), request: pod_request(text, creates_pod, request) })
        }
        // Slowly: was it the review, or only its object?
        Err(error) => match serde_json::from_str::<Wire<'_, IgnoredAny>>(text) {
            Ok(wire) => {
                let request = checked(wire)?;
                if request.creates_pod() {
                    let PodError { path, problem } = PodError::explain::<Wire<'_, Pod<'_>>>(text, &error);
                    return Err(bad_object(&request, format!("{path}: {problem}")));
                }
                let WireRequest { uid, kind, sub_resource, operation, namespace, name, dry_run, .. } = request;
                let uid_of_answer = uid.0.clone();
                let object = Some(Pod::default());
                let request = WireRequest { uid, kind, sub_resource, operation, namespace, name, dry_run, object };
                Ok(Review { uid: uid_of_answer, request: pod_request(text, false, request) })
            }
            Err(error) => {
                let PodError { path, problem } = PodError::explain::<Wire<'_, IgnoredAny>>(text, &error);
                let place = if path == "pod" { String::new() } else { format!("{path}: ") };
                Err(DecodeError::NotAReview(cut(format!("the body is no {KIND}: {place}{problem}"), LONGEST_MESSAGE)))
            }
        },
    }
}

fn checked<P>(wire: Wire<'_, P>) -> Result<WireRequest<'_, P>, DecodeError> {
    let refuse = |problem: String| Err(DecodeError::NotAReview(problem));
    if &*wire.api_version != API_VERSION || &*wire.kind != KIND {
        return refuse(format!(
            "the body is {} of {}; wanted is {KIND} of {API_VERSION}",
            quote(&wire.kind),
            quote(&wire.api_version)
        ));
    }
    let Some(request) = wire.request else { return refuse(format!("the {KIND} has no request")) };
    if request.uid.is_empty() {
        return refuse(format!("the {KIND} has no request.uid, which the answer must carry"));
    }
    Ok(request)
}

fn bad_object<P>(request: &WireRequest<'_, P>, message: String) -> DecodeError {
    DecodeError::BadObject { uid: request.uid.to_string(), message }
}

fn pod_request<'a>(text: &'a str, creates_pod: bool, request: WireRequest<'a, Pod<'a>>) -> PodRequest<'a> {
    PodRequest {
        namespace: request.namespace.0,
        name: request.name.0,
        operation: request.operation.0,
        creates_pod,
        dry_run: request.dry_run.unwrap_or_default(),
        pod: request.object.unwrap_or_default(),
        document: Document::Review(text),
    }
}

/// An answer in the making. It is written as text: the patch is most of it, and goes from its own text straight into the
/// answer's base64, which needs no escaping.
struct Answer(String);

impl Answer {
    fn new(uid: &str, allowed: bool, room: usize) -> Self {
        let mut out = String::with_capacity(256 + room);
        out.push_str(r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"#);
        write_string(uid, &mut out);
        out.push_str(if allowed { r#","allowed":true"# } else { r#","allowed":false"# });
        Self(out)
    }

    fn patched(uid: &str, patch: &str) -> Self {
        let mut answer = Self::new(uid, true, patch.len().div_ceil(3) * 4);
        answer.0.push_str(r#","patchType":"JSONPatch","patch":""#);
        BASE64_STANDARD.encode_string(patch, &mut answer.0);
        answer.0.push('"');
        answer
    }

    fn denied(uid: &str, code: u16, reason: &str, message: &str) -> Self {
        let Self(mut out) = Self::new(uid, false, message.len());
        out.push_str(r#","status":{"status":"Failure","message":"#);
        write_string(message, &mut out);
        // Writing to a String can't fail.
        let _ = write!(out, r#","reason":"{reason}","code":{code}}}"#);
        Self(out)
    }

    fn finish(self, warned: &[Warning]) -> Vec<u8> {
        let Self(mut out) = self;
        if !warned.is_empty() {
            out.push_str(r#","warnings":["#);
            for (index, line) in warnings(warned).iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(line, &mut out);
            }
            out.push(']');
        }
        out.push_str("}}");
        out.into_bytes()
    }
}

/// The answer to a decided review.
#[must_use]
pub fn encode(uid: &str, outcome: &Outcome<'_>) -> Vec<u8> {
    match outcome {
        Outcome::Inject(plan) => Answer::patched(uid, &plan.patch()).finish(&plan.warnings),
        Outcome::Skip(_, warned) => Answer::new(uid, true, 0).finish(warned),
        Outcome::Reject(reasons, warned) => Answer::denied(uid, 403, "Forbidden", &message(reasons)).finish(warned),
    }
}

/// An answer that denies with this code and message.
#[must_use]
pub fn refuse(uid: &str, code: u16, message: &str) -> Vec<u8> {
    let reason = if code == 400 { "BadRequest" } else { "Forbidden" };
    Answer::denied(uid, code, reason, &cut(message.to_owned(), LONGEST_MESSAGE)).finish(&[])
}

/// All reasons of a rejection as people read them: one alone as a sentence, several one a line.
#[must_use]
pub fn message(reasons: &[Reason]) -> String {
    if let [reason] = reasons {
        return cut(reason.to_string(), LONGEST_MESSAGE);
    }
    let mut text = format!("{} problems:", reasons.len());
    for reason in reasons {
        text.push_str("\n- ");
        text.push_str(&reason.to_string());
    }
    cut(text, LONGEST_MESSAGE)
}

/// Warnings as the API server lets them through: one line each, in length and number bounded.
fn warnings(warnings: &[Warning]) -> Vec<String> {
    let mut left = ALL_WARNINGS;
    let lines = warnings.iter().map(|warning| {
        let line: String = warning.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        cut(line, LONGEST_WARNING)
    });
    let fitting = lines.take_while(|line| {
        let length = line.chars().count();
        let fits = length <= left;
        left = left.saturating_sub(length);
        fits
    });
    fitting.collect()
}

fn cut(text: String, most: usize) -> String {
    match text.char_indices().nth(most.saturating_sub(1)) {
        Some((at, _)) if text.chars().count() > most => format!("{}…", &text[..at]),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_to_their_bound() {
        assert_eq!(cut("abc".to_owned(), 3), "abc");
        assert_eq!(cut("abcd".to_owned(), 3), "ab…");
        assert_eq!(cut("äöüß".to_owned(), 3), "äö…");
    }

    #[test]
    fn what_is_no_review_is_told_apart() {
        let pod = r#"{"apiVersion":"v1","kind":"Pod"}"#;
        let no_uid = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{}}"#;
        let no_request = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#;
        for (body, said) in [
            (&b"\xff"[..], "not UTF-8"),
            (b"", "EOF"),
            (b"{", "EOF"),
            (b"[]", "wanted is AdmissionReview"),
            (pod.as_bytes(), "\"Pod\" of \"v1\""),
            (no_request.as_bytes(), "no request"),
            (no_uid.as_bytes(), "no request.uid"),
        ] {
            match decode(body) {
                Err(DecodeError::NotAReview(message)) => assert!(message.contains(said), "{message}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_unreadable_pod_is_answered_with_its_path() {
        let body = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u",
            "kind":{"group":"","version":"v1","kind":"Pod"},"operation":"CREATE",
            "object":{"spec":{"containers":[{"name":"a"},{"image":[]}]}}}}"#;
        match decode(body.as_bytes()) {
            Err(DecodeError::BadObject { uid, message }) => {
                assert_eq!(uid, "u");
                assert!(message.starts_with("request.object.spec.containers[1].image: "), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_pod_passes_whatever_it_is() {
        let body = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u",
            "kind":{"group":"apps","version":"v1","kind":"Deployment"},"operation":"CREATE","object":{"spec":5}}}"#;
        assert!(!decode(body.as_bytes()).unwrap().request.creates_pod);
    }
}
