//! The bytes of an AdmissionReview as far as they are looked at.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::inject::json::Text;
use crate::inject::reason::quote;
use crate::inject::request::PodError;

use super::DecodeError;
use super::answer::{LONGEST_MESSAGE, cut};

pub(super) const API_VERSION: &str = "admission.k8s.io/v1";
pub(super) const KIND: &str = "AdmissionReview";

/// The longest `request.uid` in bytes: API servers send 36 (RFC 9562). The answer carries it, and answers that nobody
/// takes are memory that no budget counts.
const MAX_UID: usize = 128;

/// A review with objects of type `P`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "P: Deserialize<'de>"), expecting = "an AdmissionReview")]
pub(super) struct Wire<'a, P> {
    #[serde(borrow, default)]
    pub(super) api_version: Text<'a>,
    #[serde(borrow, default)]
    pub(super) kind: Text<'a>,
    #[serde(default = "Option::default")]
    pub(super) request: Option<WireRequest<'a, P>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "P: Deserialize<'de>"), expecting = "a request")]
pub(super) struct WireRequest<'a, P> {
    #[serde(borrow, default)]
    pub(super) uid: Text<'a>,
    #[serde(borrow, default)]
    pub(super) kind: Option<WireKind<'a>>,
    #[serde(borrow, default)]
    pub(super) sub_resource: Text<'a>,
    #[serde(borrow, default)]
    pub(super) operation: Text<'a>,
    #[serde(borrow, default)]
    pub(super) namespace: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(default)]
    pub(super) dry_run: Option<bool>,
    #[serde(default = "Option::default")]
    pub(super) object: Option<P>,
    #[serde(borrow, default)]
    pub(super) old_object: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct WireKind<'a> {
    #[serde(borrow)]
    pub(super) group: Text<'a>,
    #[serde(borrow)]
    pub(super) kind: Text<'a>,
}

impl<'a, P> WireRequest<'a, P> {
    /// The same request about another object.
    pub(super) fn of<O>(self, object: O) -> WireRequest<'a, O> {
        let Self { uid, kind, sub_resource, operation, namespace, name, dry_run, old_object, .. } = self;
        let object = Some(object);
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
pub(super) fn checked<P>(wire: Wire<'_, P>) -> Result<WireRequest<'_, P>, DecodeError> {
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

/// Where and why a text is no review, whatever its object is.
pub(super) fn no_review(text: &str) -> DecodeError {
    let PodError { path, problem } = PodError::of::<Wire<'_, IgnoredAny>>(text);
    let place = if path == "pod" { String::new() } else { format!("{path}: ") };
    DecodeError::NotAReview(cut(format!("the body is no {KIND}: {place}{problem}"), LONGEST_MESSAGE).into_owned())
}
