//! Workloads: their pods as the engine would decide about them, before there are any.

use serde_json::Value;

use super::same::same;
use super::{Decision, Denial, Object, Request, Skip, Verdict};
use crate::inject::outcome::{Outcome, SkipReason, Warning};
use crate::inject::request::PodRequest;
use crate::inject::{self};
use crate::manifest::{self, NoTree};
use crate::snapshot::{OnError, Snapshot};

pub(super) fn review(request: &Request<'_>, snapshot: &Snapshot) -> Verdict {
    let Some(object) = Object::read(request.object) else { return Verdict::skipped(Skip::Unreadable) };
    if object.is_being_deleted() {
        return Verdict::skipped(Skip::Deleted);
    }
    let object = match object.tree() {
        Ok(object) => object,
        Err(NoTree::Unreadable(_)) => return Verdict::skipped(Skip::Unreadable),
        Err(problem) => return request.unseen(&problem),
    };
    if is_controlled(&object) {
        return Verdict::skipped(Skip::Controlled);
    }
    let Some(place) = manifest::pods(&object).pop() else { return Verdict::skipped(Skip::Unreadable) };
    let prefix = &*snapshot.policy.annotation_prefix;
    let mut misplaced = manifest::misplaced(&object, &place, prefix);
    let old = if &*request.operation == "UPDATE" { Object::read(request.old_object) } else { None };
    let old = old.and_then(|old| old.tree().ok());
    let unchanged = old.filter(|old| same(old.pointer(&place.pointer), object.pointer(&place.pointer)));
    if let Some(old) = &unchanged {
        // Somebody may just have annotated the workload instead of its pods.
        let before = manifest::misplaced(old, &place, prefix);
        misplaced.retain(|line| !before.contains(line));
    }
    let about = |text: String| format!("{}: {text}", place.subject);
    let mut verdict = Verdict::warned(misplaced.into_iter().map(about).collect());
    if unchanged.is_some() {
        if verdict.warnings.is_empty() {
            verdict.decision = Decision::Skipped(Skip::Unchanged);
        }
        return verdict;
    }

    let pod = place.pod(&object);
    let Ok(pod) = PodRequest::create(&pod, &request.namespace) else {
        // The API server has read it: it knows something that we don't.
        return if verdict.warnings.is_empty() { Verdict::skipped(Skip::Unreadable) } else { verdict };
    };
    let pods = format!("the pods of {}", place.subject);
    let warn = |warnings: &[Warning], verdict: &mut Verdict| {
        verdict.warnings.extend(warnings.iter().map(|warning| format!("{pods}: {warning}")));
    };
    match inject::inject(&pod, snapshot) {
        Outcome::Inject(plan) => {
            verdict.templates = plan.grafts.iter().map(|graft| graft.name.to_string()).collect();
            warn(&plan.warnings, &mut verdict);
        }
        Outcome::Skip(SkipReason::NothingAsked, _) if verdict.warnings.is_empty() => {
            verdict.decision = Decision::Skipped(Skip::NothingAsked);
        }
        Outcome::Skip(_, warnings) => warn(&warnings, &mut verdict),
        Outcome::Reject(reasons, warnings) => {
            if snapshot.policy.workload_errors == OnError::Deny {
                verdict.decision = Decision::Denied(Denial::Pods(reasons));
            } else {
                verdict.warnings.extend(reasons.iter().map(|reason| format!("{pods} will be denied: {reason}")));
            }
            warn(&warnings, &mut verdict);
        }
    }
    verdict
}

/// Whether another object makes this one and goes on deciding what it is.
fn is_controlled(object: &Value) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| owner.get("controller").is_some_and(|controller| controller == true))
}
