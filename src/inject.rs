//! The one door: a pod and a snapshot in, an [`Outcome`] out. Pure; nothing here reads a file, a clock or a socket.
//!
//! ```text
//! annotations ── resolve ── targets ── graft (one template: volume, target, container, pod_fields)
//!  keys, values   │          wired onto    │ appends to the draft, or is rolled back
//!                 ▼                        ▼
//!            rendering                   plan ── environment ── order ── patch
//!            the template with values
//! ```

pub mod annotations;
pub mod fragment;
pub mod key;
pub mod op;
pub mod outcome;
pub mod pod;
pub mod reason;
pub mod request;
pub mod status;

mod asked;
mod bindings;
pub mod crowd;
mod draft;
mod environment;
mod files;
mod graft;
mod hardening;
pub mod json;
mod mounts;
mod order;
mod patch;
mod paths;
mod plan;
mod rendering;
mod renderings;
mod resolve;
mod targets;
mod volumes;

pub use outcome::Outcome;
pub use renderings::Renderings;

use annotations::MAX_ANNOTATIONS;
use crowd::MAX_ENTRIES;
use key::Level;
use outcome::{Reason, SkipReason, Warning};
use pod::Pod;
use request::PodRequest;

use crate::snapshot::Snapshot;
use crate::template::names::MAX_LABEL;

/// The annotation of the kubelet's copies of static pods (Kubernetes' well-known annotations): they can't be changed.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Decides what a pod gets.
#[must_use]
pub fn inject<'a>(request: &'a PodRequest<'a>, snapshot: &'a Snapshot) -> Outcome<'a> {
    decide(request, snapshot, None)
}

/// Decides what a pod gets, with what was made of this snapshot's templates for pods before. That makes it faster, and no
/// difference.
#[must_use]
pub fn inject_with<'a>(request: &'a PodRequest<'a>, snapshot: &'a Snapshot, renderings: &Renderings) -> Outcome<'a> {
    decide(request, snapshot, Some(renderings))
}

fn decide<'a>(request: &'a PodRequest<'a>, snapshot: &'a Snapshot, renderings: Option<&Renderings>) -> Outcome<'a> {
    if !request.creates_pod {
        return Outcome::Skip(SkipReason::NotPodCreate, Vec::new());
    }
    let annotations = request.pod.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
    let of_pod = || annotations.into_iter().flat_map(json::Members::iter).map(|(key, value)| (key, &**value));
    if of_pod().any(|(key, _)| key == MIRROR) {
        return Outcome::Skip(SkipReason::MirrorPod, Vec::new());
    }
    let namespace = snapshot.namespaces.get(&request.namespace);
    let defaults = || {
        let defaults = namespace.map(|namespace| namespace.defaults.as_slice()).unwrap_or_default();
        defaults.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    };
    let prefix = &*snapshot.policy.annotation_prefix;
    let asked = of_pod().filter(|(key, _)| annotations::is_ours(prefix, key)).count();
    if asked == 0 && !defaults().any(|(key, _)| annotations::is_ours(prefix, key)) {
        return Outcome::Skip(SkipReason::NothingAsked, Vec::new());
    }
    if let Some(reason) = too_much(asked, &request.pod) {
        return if asked > 0 {
            Outcome::Reject(vec![reason], Vec::new())
        } else {
            Outcome::Skip(SkipReason::NothingLeft, vec![Warning::LeftOut(Box::new(reason))])
        };
    }

    let mut reasons = Vec::new();
    let mut of_namespace_reasons = Vec::new();
    let pod = annotations::read(prefix, Level::Pod, of_pod(), &mut reasons);
    let found = defaults().filter(|(key, _)| annotations::is_ours(prefix, key)).count();
    let namespace = if found > MAX_ANNOTATIONS {
        of_namespace_reasons.push(Reason::TooManyAnnotations { level: Level::Namespace, found, most: MAX_ANNOTATIONS });
        Vec::new()
    } else {
        annotations::read(prefix, Level::Namespace, defaults(), &mut of_namespace_reasons)
    };
    let mut resolved = resolve::resolve(snapshot, renderings, request, &pod, &namespace);
    resolved.reasons.splice(0..0, reasons);
    let left_out = of_namespace_reasons.into_iter().map(|reason| Warning::LeftOut(Box::new(reason)));
    resolved.warnings.splice(0..0, left_out);
    plan::plan(request, snapshot, resolved)
}

/// What is wrong with a namespace's annotations, whatever its pods say: unknown names, and values that fit nothing.
/// A parameter that the template requires is missing only where the namespace asks for the template.
#[must_use]
pub fn check_defaults<'a>(
    snapshot: &Snapshot,
    namespace: &str,
    annotations: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    // The namespace is what the messages are about: its annotations need not be told from a pod's.
    let read = annotations::read(&snapshot.policy.annotation_prefix, Level::Pod, annotations, &mut reasons);
    let found = read.len() + reasons.len();
    if found > MAX_ANNOTATIONS {
        return vec![Reason::TooManyAnnotations { level: Level::Namespace, found, most: MAX_ANNOTATIONS }];
    }
    reasons.extend(resolve::check(snapshot, namespace, &read));
    reasons
}

/// What nobody writes by hand and nobody may make others wait for. The API server has not checked the pod yet: it does so
/// behind us.
fn too_much(asked: usize, pod: &Pod<'_>) -> Option<Reason> {
    let entries = pod.entries();
    let annotations = pod.annotations_len(|_| true);
    if asked > MAX_ANNOTATIONS {
        Some(Reason::TooManyAnnotations { level: Level::Pod, found: asked, most: MAX_ANNOTATIONS })
    } else if entries > MAX_ENTRIES {
        Some(Reason::TooManyEntries { found: entries, most: MAX_ENTRIES })
    } else if annotations > ALL_ANNOTATIONS {
        Some(Reason::Annotations { found: annotations, most: ALL_ANNOTATIONS })
    } else {
        pod.names().find(|(_, name)| name.len() > MAX_LABEL).map(|(what, name)| Reason::LongName {
            what,
            name: reason::cut(name).to_owned(),
            found: name.len(),
            most: MAX_LABEL,
        })
    }
}

/// What all annotations of an object may hold, keys and values together (apimachinery's `TotalAnnotationSizeLimitB`).
const ALL_ANNOTATIONS: usize = 256 * 1024;

#[cfg(test)]
mod tests;
