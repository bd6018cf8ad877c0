//! The bytes of an AdmissionReview as far as they are looked at.

use serde_json::value::RawValue;

use crate::inject::json::{Text, from_map};
use crate::inject::reason::quote;
use crate::json::Unreadable;

use super::DecodeError;
use super::answer::{LONGEST_MESSAGE, cut};

pub(super) const API_VERSION: &str = "admission.k8s.io/v1";
pub(super) const KIND: &str = "AdmissionReview";

/// The longest `request.uid` in bytes: API servers send 36 (RFC 9562). The answer carries it, and answers that nobody
/// takes are memory that no budget counts.
const MAX_UID: usize = 128;

/// A review with an object of type `O`, which may be absent.
#[derive(Default)]
pub(super) struct Wire<'a, O> {
    pub(super) api_version: Text<'a>,
    pub(super) kind: Text<'a>,
    pub(super) request: Option<WireRequest<'a, O>>,
}

#[derive(Default)]
pub(super) struct WireRequest<'a, O> {
    pub(super) uid: Text<'a>,
    pub(super) kind: Option<WireKind<'a>>,
    pub(super) sub_resource: Text<'a>,
    pub(super) operation: Text<'a>,
    pub(super) namespace: Text<'a>,
    pub(super) name: Text<'a>,
    pub(super) dry_run: Option<bool>,
    pub(super) object: O,
    pub(super) old_object: Option<&'a RawValue>,
}

#[derive(Default)]
pub(super) struct WireKind<'a> {
    pub(super) group: Text<'a>,
    pub(super) kind: Text<'a>,
}

from_map! {
    Wire<'a, O>, "an AdmissionReview": {
        b"apiVersion" => api_version,
        b"kind" => kind,
        b"request" => request
    }
    WireRequest<'a, O>, "a request": {
        b"uid" => uid,
        b"kind" => kind,
        b"subResource" => sub_resource,
        b"operation" => operation,
        b"namespace" => namespace,
        b"name" => name,
        b"dryRun" => dry_run,
        b"object" => object,
        b"oldObject" => old_object
    }
    WireKind<'a>, "a kind": {
        b"group" => group,
        b"kind" => kind
    }
}

impl<'a, O> WireRequest<'a, O> {
    /// The same request about another object.
    pub(super) fn of<P>(self, object: P) -> WireRequest<'a, P> {
        let Self { uid, kind, sub_resource, operation, namespace, name, dry_run, old_object, .. } = self;
        WireRequest { uid, kind, sub_resource, operation, namespace, name, dry_run, object, old_object }
    }

    pub(super) fn creates_pod(&self) -> bool {
        let of_pod = self.kind.as_ref().is_some_and(|kind| kind.group.is_empty() && &*kind.kind == "Pod");
        of_pod && self.sub_resource.is_empty() && &*self.operation == "CREATE"
    }
}

/// The body as text.
pub(super) fn text(body: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(body).map_err(|error| {
        DecodeError::NotAReview(format!("the body is not UTF-8: byte {} is wrong", error.valid_up_to()))
    })
}

/// A review's request, if it is a review that can be answered.
pub(super) fn checked<O>(wire: Wire<'_, O>) -> Result<WireRequest<'_, O>, DecodeError> {
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
    if request.uid.len() > MAX_UID {
        let bytes = request.uid.len();
        return refuse(format!(
            "request.uid of the {KIND} has {bytes} bytes; at most {MAX_UID} are allowed, send a UUID"
        ));
    }
    Ok(request)
}

/// What is no review, and why.
pub(super) fn no_review(problem: &str) -> DecodeError {
    DecodeError::NotAReview(cut(format!("the body is no {KIND}: {problem}"), LONGEST_MESSAGE).into_owned())
}

/// JSON that is no review, and why.
#[expect(clippy::needless_pass_by_value, reason = "a step of a Result's way")]
pub(super) fn unreadable(error: Unreadable) -> DecodeError {
    no_review(&error.to_string())
}
