//! What came of a request: a plan, a skip or a rejection, as data. Text, metric labels and command line output are
//! made from it at the edges.

use std::fmt;

use crate::template::parameter::Value;
use crate::template::{Line, Template};

use super::op::{self, Op};
pub use super::reason::{Reason, Warning};

/// The engine's answer.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// The pod gets grafts. Its warnings go to the person who made it.
    Inject(Plan<'a>),
    /// The pod stays as it is.
    Skip(SkipReason, Vec<Warning>),
    /// The pod is denied: every reason at once.
    Reject(Vec<Reason>, Vec<Warning>),
}

/// Why a pod is left alone. A skip is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// The request creates no pod.
    NotPodCreate,
    /// The pod is the kubelet's copy of a static pod, which can't be changed.
    MirrorPod,
    /// Neither pod nor namespace asks for anything.
    NothingAsked,
    /// Everything it asks for is there.
    AlreadyDone,
    /// Everything it asks for was left out, with a warning or because of a template's `when`.
    NothingLeft,
}

impl SkipReason {
    /// The word that logs, metrics and `want.skip` files use.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotPodCreate => "not_pod_create",
            Self::MirrorPod => "mirror_pod",
            Self::NothingAsked => "nothing_asked",
            Self::AlreadyDone => "already_done",
            Self::NothingLeft => "nothing_left",
        }
    }
}

/// A template and instance, as people name it: `log-shipper` or `second.log-shipper`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraftName<'a> {
    /// The template.
    pub template: &'a str,
    /// The instance, if it is a named one.
    pub instance: Option<&'a str>,
}

impl fmt::Display for GraftName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.instance {
            Some(instance) => write!(f, "{instance}.{}", self.template),
            None => f.write_str(self.template),
        }
    }
}

/// Where a parameter's value was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An annotation of the pod.
    Pod,
    /// An annotation of the namespace.
    Namespace,
    /// The template's default.
    Default,
}

/// A parameter's value and where it was said. Same index as the template's `parameters`.
#[derive(Debug, Clone)]
pub struct Bound {
    /// The value.
    pub value: Value,
    /// Who said it.
    pub source: Source,
}

/// A template that is grafted onto a pod.
#[derive(Debug)]
pub struct Graft<'a> {
    /// Its name in messages.
    pub name: GraftName<'a>,
    /// The template.
    pub template: &'a Template,
}

/// One operation, and where it comes from.
#[derive(Debug)]
pub struct Change {
    /// Index in the plan's grafts; `None` for what serves the pod as a whole (the status annotation).
    pub graft: Option<usize>,
    /// The line of the template that asked for it; 0 where no single line did.
    pub line: Line,
    /// What is added.
    pub op: Op,
}

/// A template that was asked for and is not grafted.
#[derive(Debug)]
pub struct NotApplied<'a> {
    /// Its name.
    pub name: GraftName<'a>,
    /// Why.
    pub why: Why,
}

/// Why a template that was asked for is not grafted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Its `when` is false for this pod.
    When,
    /// The pod says `false` where its namespace says `true`.
    Declined,
    /// All it would add is there.
    Done,
    /// It failed, and its failure policy is Ignore.
    Ignored(Box<Reason>),
    /// An earlier call for this pod left it out, for this reason.
    Before(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::When => f.write_str("its when is false for this pod"),
            Self::Declined => f.write_str("the pod declines it"),
            Self::Done => f.write_str("all of it is there"),
            Self::Ignored(reason) => reason.fmt(f),
            Self::Before(reason) => f.write_str(reason),
        }
    }
}

/// What a pod gets: ordered changes with their origin.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The grafts, in the order in which they were planned.
    pub grafts: Vec<Graft<'a>>,
    /// The changes, in the order in which they are applied.
    pub changes: Vec<Change>,
    /// What was asked for and is left out.
    pub not_applied: Vec<NotApplied<'a>>,
    /// For the person who made the pod.
    pub warnings: Vec<Warning>,
}

impl Plan<'_> {
    /// The changes' operations.
    pub fn ops(&self) -> impl Iterator<Item = &Op> {
        self.changes.iter().map(|change| &change.op)
    }

    /// They as a JSON Patch document.
    #[must_use]
    pub fn patch(&self) -> String {
        let mut out = String::with_capacity(2 + self.ops().map(Op::room).sum::<usize>());
        op::write(self.ops(), &mut out, |value, out| out.push_str(value));
        out
    }
}
