//! What is written down of a request: its metrics and its line in the log, both from the outcome, both here.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::admission::{Review, denied, joined, message};
use crate::inject::Outcome;
use crate::inject::outcome::Reason;
use crate::inject::request::PodRequest;
use crate::metrics::{Graft, Injections, Metrics, Operation, Verdict};
use crate::validate::{self, Decision};

use super::State;

/// The longest word of a request in a line of the log, in bytes: names have 253 at most, and whoever can reach the port
/// can send others.
const MAX_WORD: usize = 1024;

/// Records a decision and the time that it took.
///
/// Pods' contents are never logged. Reasons quote annotations, which their authors choose: they are written escaped.
pub(super) fn decided(
    metrics: &Metrics,
    injections: &Injections,
    review: &Review<'_>,
    outcome: &Outcome<'_>,
    took: Duration,
) {
    let (uid, request) = (short(&review.uid), &review.request);
    let name = pod_name(request);
    let pod = short(&name);
    let (namespace, dry_run, seconds) = (short(&request.namespace), request.dry_run, took.as_secs_f64());
    metrics.duration.observe(seconds);
    let verdict = match outcome {
        Outcome::Inject(plan) => {
            let names = plan.grafts.iter().map(|graft| graft.name);
            names.clone().for_each(|name| injections.inc(name.template, Graft::Injected));
            plan.not_applied.iter().for_each(|left| injections.inc(left.name.template, Graft::from(&left.why)));
            let templates = joined(names, ", ");
            let warnings = plan.warnings.len();
            tracing::info!(uid, namespace, pod, templates, dry_run, warnings, seconds, "grafted");
            Verdict::Injected
        }
        Outcome::Skip(reason, warnings) => {
            tracing::debug!(
                uid,
                namespace,
                pod,
                reason = reason.label(),
                warnings = warnings.len(),
                seconds,
                "skipped"
            );
            Verdict::Skipped
        }
        Outcome::Reject(reasons, _) => {
            let labels: Vec<_> = reasons.iter().map(Reason::label).collect();
            for label in &labels {
                metrics.rejected(label);
            }
            let labels = joined(BTreeSet::from_iter(labels), ", ");
            let why = message(reasons);
            tracing::info!(uid, namespace, pod, reasons = labels, dry_run, seconds, ?why, "rejected");
            Verdict::Rejected
        }
    };
    let operation = if request.creates_pod { Operation::Create } else { Operation::Other };
    metrics.answered(operation, verdict);
}

/// Records a decision about something that is not mutated.
pub(super) fn validated(
    metrics: &Metrics,
    uid: &str,
    request: &validate::Request<'_>,
    verdict: &validate::Verdict,
    took: Duration,
) {
    metrics.answered(Operation::from(request.subject()), Verdict::from(verdict));
    let (uid, namespace, kind, name) =
        (short(uid), short(&request.namespace), short(&request.kind), short(&request.name));
    let (operation, dry_run, seconds) = (short(&request.operation), request.dry_run, took.as_secs_f64());
    match &verdict.decision {
        Decision::Denied(denial) => {
            let why = denied(denial);
            tracing::info!(uid, namespace, kind, name, operation, dry_run, seconds, ?why, "denied");
        }
        _ if !verdict.warnings.is_empty() => {
            let warnings = &verdict.warnings;
            tracing::info!(uid, namespace, kind, name, operation, dry_run, seconds, ?warnings, "warned");
        }
        Decision::Allowed => tracing::debug!(uid, namespace, kind, name, operation, "allowed"),
        Decision::Skipped(skip) => {
            tracing::debug!(uid, namespace, kind, name, operation, reason = skip.label(), "not looked at");
        }
    }
}

/// A pod's name; before the API server has made one, what it begins with and a star.
fn pod_name<'a>(request: &'a PodRequest<'_>) -> Cow<'a, str> {
    let metadata = request.pod.metadata.as_ref();
    match metadata.map(|metadata| (&*metadata.name, &*metadata.generate_name)) {
        Some(("", beginning)) if !beginning.is_empty() => [beginning, "*"].concat().into(),
        Some((name, _)) if !name.is_empty() => name.into(),
        _ => (&*request.name).into(),
    }
}

/// Records a review of something that is no pod.
pub(super) fn bad_object(metrics: &Metrics, uid: &str, problem: &str) {
    metrics.answered(Operation::Unknown, Verdict::BadObject);
    tracing::info!(uid = short(uid), problem = ?short(problem), "rejected: no pod");
}

/// Records a request that is asked to come again, because what it needs is not here yet. Whoever is never ready says so, and
/// not at each request.
pub(super) fn early(state: &State, operation: Operation, namespace: Option<&str>, why: &'static str) {
    state.metrics.answered(operation, Verdict::NotReady);
    if let Some(untold) = state.early.passes() {
        tracing::warn!(namespace = namespace.map(short), untold, "asked to come again: {why}");
    }
}

/// As much of a word as a line of the log holds.
fn short(word: &str) -> &str {
    &word[..word.floor_char_boundary(MAX_WORD)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_request_are_cut_to_their_bound() {
        assert_eq!(short("web"), "web");
        assert_eq!(short(&"a".repeat(MAX_WORD + 1)).len(), MAX_WORD);
        // Not in the middle of a character.
        assert_eq!(short(&"é".repeat(MAX_WORD)).len(), MAX_WORD);
        assert_eq!(short(&format!("a{}", "é".repeat(MAX_WORD))).len(), MAX_WORD - 1);
    }
}
