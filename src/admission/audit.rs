//! What an answer leaves in the API server's audit log: the decision in a few short words, and no value of anything.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::{Display, Write};

use crate::inject::outcome::{Outcome, Reason};
use crate::validate::{Decision, Denial, Verdict};

/// Keys and values; the empty ones are not written.
pub(super) struct Audit(pub(super) [(&'static str, Cow<'static, str>); 3]);

impl Audit {
    fn new(
        decision: &'static str,
        templates: impl IntoIterator<Item = impl Display>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self([("decision", decision.into()), ("templates", joined(templates, ",").into()), ("reason", reason.into())])
    }

    /// The decision about a pod.
    pub(super) fn of_pod(outcome: &Outcome<'_>) -> Self {
        match outcome {
            Outcome::Inject(plan) => Self::new("injected", plan.grafts.iter().map(|graft| graft.name), ""),
            Outcome::Skip(reason, _) => Self::new("skipped", NONE, reason.label()),
            Outcome::Reject(reasons, _) => Self::new("rejected", NONE, labels(reasons)),
        }
    }

    /// The decision about anything else.
    pub(super) fn of_verdict(verdict: &Verdict) -> Self {
        let reason = match &verdict.decision {
            Decision::Skipped(skip) => skip.label().into(),
            Decision::Denied(Denial::Pods(reasons)) => labels(reasons).into(),
            Decision::Denied(Denial::Template(_) | Denial::Unreadable(_)) => "bad_template".into(),
            Decision::Allowed => Cow::Borrowed(""),
        };
        Self::new(verdict.word(), &verdict.templates, reason)
    }

    /// The decision about what can't be read.
    pub(super) fn of_bad_object() -> Self {
        Self::new("rejected", NONE, "bad_object")
    }
}

/// No templates.
const NONE: [&str; 0] = [];

fn labels(reasons: &[Reason]) -> String {
    joined(reasons.iter().map(Reason::label).collect::<BTreeSet<_>>(), ",")
}

/// A few short words in one, as the log has them too.
pub(crate) fn joined(items: impl IntoIterator<Item = impl Display>, separator: &str) -> String {
    let mut list = String::with_capacity(64);
    for item in items {
        if !list.is_empty() {
            list.push_str(separator);
        }
        // Writing to a String can't fail.
        let _ = write!(list, "{item}");
    }
    list
}
