//! What people are warned of: data, and a sentence by `Display`.

use std::fmt;

use super::{Name, Reason};

/// Something that the person who made the pod should know. `Display` is the sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A graft was left out for a reason that would otherwise deny the pod.
    LeftOut(Box<Reason>),
    /// A graft was left out because a later one, which may not be, does not go together with it.
    GaveWay {
        /// The graft that was left out.
        graft: Name,
        /// What stood against the later one.
        reason: Box<Reason>,
    },
    /// A validation with `action: Warn` does not hold.
    Validation {
        /// The graft.
        graft: Name,
        /// The template's own words.
        message: String,
    },
    /// A target sets a variable itself, to another value than a graft would.
    VariableKept {
        /// The graft.
        graft: Name,
        /// The variable.
        variable: String,
        /// The target.
        container: String,
    },
    /// A variable refers to one that the target sets itself, which comes too late for it.
    VariableBehind {
        /// The graft.
        graft: Name,
        /// The variable.
        variable: String,
        /// The target's own variable.
        refers_to: String,
        /// The target.
        container: String,
    },
    /// The API server will deny the pod, unless it is exempt: something breaks the namespace's Pod Security Standard.
    PodSecurity {
        /// The graft.
        graft: Name,
        /// What breaks it: `container "web"`.
        what: String,
        /// The standard, and what it allows where.
        rule: String,
    },
    /// A Guaranteed pod is no longer, as an injected container declares no cpu or memory.
    QosLost {
        /// The graft.
        graft: Name,
        /// The injected container.
        container: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeftOut(reason) => write!(f, "left out: {reason}"),
            Self::GaveWay { graft, reason } => {
                write!(f, "{graft} is left out, as it does not go with another: {reason}")
            }
            Self::Validation { graft, message } => write!(f, "{graft}: {message}"),
            Self::VariableKept { graft, variable, container } => {
                write!(
                    f,
                    "{graft}: container {container:?} keeps its own value of {variable}, which differs from the template's"
                )
            }
            Self::VariableBehind { graft, variable, refers_to, container } => {
                write!(
                    f,
                    "{graft}: variable {variable} refers to $({refers_to}), which container {container:?} sets itself: what is added comes before that, so the reference is not replaced"
                )
            }
            Self::PodSecurity { graft, what, rule } => {
                write!(f, "{graft}: {what} breaks the Pod Security Standard that the namespace enforces: {rule}")
            }
            Self::QosLost { graft, container } => write!(
                f,
                "{graft}: container {container:?} declares no cpu or memory, so the pod is no longer Guaranteed"
            ),
        }
    }
}
