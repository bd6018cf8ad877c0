//! The wire: AdmissionReview bytes in and out (`admission.k8s.io/v1`, Kubernetes documentation, "Dynamic Admission Control").
//!
//! Bytes that are no review are an HTTP error, and the registration's failurePolicy decides; everything that can be
//! read as a review is answered in a review, and decides by itself.

mod answer;
mod audit;
mod rejection;
mod wire;

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::inject::crowd;
use crate::inject::outcome::{Outcome, Reason};
use crate::inject::pod::Pod;
use crate::inject::request::{Document, PodRequest};
use crate::json::Json;
use crate::validate::{self, Decision, Denial, Verdict};

use answer::{Answer, LONGEST_MESSAGE, cut};
use audit::Audit;
pub(crate) use audit::joined;
pub use rejection::{Owner, Rejection};
use wire::{Wire, WireRequest, checked};

/// The API server's word for what is denied.
const FORBIDDEN: &str = "Forbidden";

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
    let json = read(body)?;
    if let Some(entries) = crowd::of(&json, &["request", "object"]) {
        return crowded(json, entries);
    }
    match Wire::<'_, Option<Pod<'_>>>::deserialize(json.root()) {
        Ok(wire) => {
            let request = checked(wire)?;
            if request.creates_pod() && request.object.is_none() {
                return Err(no_object(&request));
            }
            Ok(reviewed(json, request))
        }
        // Is it the review that can't be read, or only its object?
        Err(unreadable) => match around_object(&json)? {
            request if request.creates_pod() => Err(bad_object(&request, unreadable.to_string())),
            request => Ok(reviewed(json, request.of(None))),
        },
    }
}

/// Reads a review whose object has too many entries to be read.
fn crowded(json: Json<'_>, entries: usize) -> Result<Review<'_>, DecodeError> {
    let request = around_object(&json)?;
    if !request.creates_pod() {
        return Ok(reviewed(json, request.of(None)));
    }
    let object = json.root().get("request").and_then(|request| request.get("object"));
    let object = object.ok_or_else(|| no_object(&request))?;
    let pod = crowd::outline(object, entries);
    let pod = pod.map_err(|error| bad_object(&request, format!("request.object.{error}")))?;
    Ok(reviewed(json, request.of(Some(pod))))
}

/// A review's request, whatever its object is.
fn around_object<'a>(json: &Json<'a>) -> Result<WireRequest<'a, Option<IgnoredAny>>, DecodeError> {
    checked(Wire::deserialize(json.root()).map_err(wire::unreadable)?)
}

/// The body as JSON.
fn read(body: &[u8]) -> Result<Json<'_>, DecodeError> {
    let text = wire::text(body)?;
    Json::read(text).ok_or_else(|| wire::no_review(&Json::why_not(text)))
}

fn no_object<O>(request: &WireRequest<'_, O>) -> DecodeError {
    bad_object(request, "request.object: a pod is wanted, null was found".to_owned())
}

fn bad_object<O>(request: &WireRequest<'_, O>, message: String) -> DecodeError {
    DecodeError::BadObject { uid: request.uid.to_string(), message }
}

fn reviewed<'a>(json: Json<'a>, request: WireRequest<'a, Option<Pod<'a>>>) -> Review<'a> {
    let creates_pod = request.creates_pod();
    Review {
        uid: request.uid.0,
        request: PodRequest {
            namespace: request.namespace.0,
            name: request.name.0,
            operation: request.operation.0,
            creates_pod,
            dry_run: request.dry_run.unwrap_or_default(),
            pod: request.object.unwrap_or_default(),
            document: Document::Review(json),
        },
    }
}

/// Reads a review of something that is not mutated.
///
/// # Errors
///
/// [`DecodeError::NotAReview`]; what the object is, is not looked at here.
pub fn decode_validation(body: &[u8]) -> Result<(Cow<'_, str>, validate::Request<'_>), DecodeError> {
    let json = read(body)?;
    let wire = Wire::<'_, Option<&RawValue>>::deserialize(json.root()).map_err(wire::unreadable)?;
    let request = checked(wire)?;
    let kind = request.kind.unwrap_or_default();
    Ok((
        request.uid.0,
        validate::Request {
            group: kind.group.0,
            kind: kind.kind.0,
            sub_resource: request.sub_resource.0,
            operation: request.operation.0,
            namespace: request.namespace.0,
            name: request.name.0,
            dry_run: request.dry_run.unwrap_or_default(),
            object: request.object,
            old_object: request.old_object,
        },
    ))
}

/// The answer to a decided review.
#[must_use]
pub fn encode(uid: &str, outcome: &Outcome<'_>) -> Vec<u8> {
    let audit = Audit::of_pod(outcome);
    match outcome {
        Outcome::Inject(plan) => Answer::patched(uid, plan).finish(&plan.warnings, audit),
        Outcome::Skip(_, warned) => Answer::new(uid, true, 0).finish(warned, audit),
        Outcome::Reject(reasons, warned) => {
            Answer::denied(uid, 403, FORBIDDEN, &message(reasons)).finish(warned, audit)
        }
    }
}

/// The answer to a decided review of something that is not mutated.
#[must_use]
pub fn encode_verdict(uid: &str, verdict: &Verdict) -> Vec<u8> {
    let answer = match &verdict.decision {
        // 422 would be the word for a bad object, and `kubectl apply --force` would delete a workload for it.
        Decision::Denied(denial) => Answer::denied(uid, 403, FORBIDDEN, &denied(denial)),
        Decision::Allowed | Decision::Skipped(_) => Answer::new(uid, true, 0),
    };
    answer.finish(&verdict.warnings, Audit::of_verdict(verdict))
}

/// Why an object is denied, as people read it.
#[must_use]
pub fn denied(denial: &Denial) -> String {
    match denial {
        Denial::Pods(reasons) => message(reasons),
        Denial::Template(error) => {
            cut(format!("{} can't be used:\n\n{error}", error.origin.0), LONGEST_MESSAGE).into_owned()
        }
        Denial::Unreadable(problem) => cut(problem, LONGEST_MESSAGE).into_owned(),
    }
}

/// An answer that denies with this code and message.
#[must_use]
pub fn refuse(uid: &str, code: u16, message: &str) -> Vec<u8> {
    let reason = if code == 400 { "BadRequest" } else { FORBIDDEN };
    Answer::denied(uid, code, reason, &cut(message, LONGEST_MESSAGE)).finish::<String>(&[], Audit::of_bad_object())
}

/// All reasons of a rejection as people read them: one alone as a sentence, several one a line.
#[must_use]
pub fn message(reasons: &[Reason]) -> String {
    /// Of a character in UTF-8, in bytes.
    const LONGEST_CHARACTER: usize = 4;
    if let [reason] = reasons {
        return cut(reason.to_string(), LONGEST_MESSAGE).into_owned();
    }
    let mut text = format!("{} problems:", reasons.len());
    // What is cut off anyway is not put into words: there may be thousands.
    for reason in reasons {
        if text.len() > LONGEST_MESSAGE * LONGEST_CHARACTER {
            break;
        }
        text.push_str("\n- ");
        text.push_str(&reason.to_string());
    }
    cut(text, LONGEST_MESSAGE).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_review_is_told_apart() {
        let pod = r#"{"apiVersion":"v1","kind":"Pod"}"#;
        let no_uid = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{}}"#;
        let long_uid = no_uid.replace("{}", &format!(r#"{{"uid":"{}"}}"#, "u".repeat(129)));
        let no_request = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#;
        for (body, said) in [
            (&b"\xff"[..], "not UTF-8"),
            (b"", "EOF"),
            (b"{", "EOF"),
            (b"[]", "invalid type: sequence, expected an AdmissionReview"),
            (b"{}", "wanted is AdmissionReview"),
            (pod.as_bytes(), "\"Pod\" of \"v1\""),
            (no_request.as_bytes(), "no request"),
            (no_uid.as_bytes(), "no request.uid"),
            (long_uid.as_bytes(), "request.uid of the AdmissionReview has 129 bytes; at most 128 are allowed"),
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
    fn what_a_patch_could_not_add_to_or_stands_twice_is_no_pod() {
        for (container, said) in [
            (r#""volumeMounts":"d""#, ".volumeMounts: invalid type: string \"d\", expected a sequence"),
            (r#""env":{}"#, ".env: invalid type: map, expected a list"),
            (r#""ports":5"#, ".ports: invalid type: number, expected a list"),
            (r#""resources":[]"#, ".resources: invalid type: sequence, expected resources"),
            (r#""image":"a","image":"b""#, ": \"image\" stands twice"),
            (r#""env":null,"\u0065nv":[]"#, ": \"env\" stands twice"),
        ] {
            let body = format!(
                r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u",
                "kind":{{"group":"","version":"v1","kind":"Pod"}},"operation":"CREATE",
                "object":{{"spec":{{"containers":[{{"name":"a",{container}}}]}}}}}}}}"#
            );
            match decode(body.as_bytes()) {
                Err(DecodeError::BadObject { message, .. }) => {
                    assert_eq!(message, format!("request.object.spec.containers[0]{said}"));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_pod_passes_whatever_it_is() {
        let body = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u",
            "kind":{"group":"apps","version":"v1","kind":"Deployment"},"operation":"CREATE","object":{"spec":5}}}"#;
        assert!(!decode(body.as_bytes()).unwrap().request.creates_pod);
    }
}
