//! What an answer leaves in the API server's audit log: the decision in a few short words, and no value of anything.

use std::collections::BTreeSet;

use crate::inject::outcome::{Outcome, Reason};
use crate::validate::{Decision, Denial, Verdict};

/// Keys and values; the empty ones are not written.
pub(super) struct Audit(pub(super) [(&'static str, String); 3]);

/// The decision about a pod.
pub(super) fn of_pod(outcome: &Outcome<'_>) -> Audit {
    match outcome {
        Outcome::Inject(plan) => {
            let templates: Vec<_> = plan.grafts.iter().map(|graft| graft.name.to_string()).collect();
            audit("injected", &templates, "")
        }
        Outcome::Skip(reason, _) => audit("skipped", &[], reason.label()),
        Outcome::Reject(reasons, _) => audit("rejected", &[], &labels(reasons)),
    }
}

/// The decision about anything else.
pub(super) fn of_verdict(verdict: &Verdict) -> Audit {
    let reason = match &verdict.decision {
        Decision::Skipped(skip) => skip.label().to_owned(),
        Decision::Denied(Denial::Pods(reasons)) => labels(reasons),
        Decision::Denied(Denial::Template(_) | Denial::Unreadable(_)) => "bad_template".to_owned(),
        Decision::Allowed => String::new(),
    };
    audit(verdict.word(), &verdict.templates, &reason)
}

/// The decision about what can't be read.
pub(super) fn of_nothing() -> Audit {
    audit("rejected", &[], "bad_object")
}

fn audit(decision: &str, templates: &[String], reason: &str) -> Audit {
    Audit([("decision", decision.to_owned()), ("templates", templates.join(",")), ("reason", reason.to_owned())])
}

fn labels(reasons: &[Reason]) -> String {
    let labels: BTreeSet<_> = reasons.iter().map(Reason::label).collect();
    labels.into_iter().collect::<Vec<_>>().join(",")
}
