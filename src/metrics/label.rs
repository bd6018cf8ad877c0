//! Labels: the values that each may have, known beforehand, and a counter for each.

use prometheus::IntCounter;

use crate::inject::outcome::Why;
use crate::validate::{self, Decision, Subject};

/// A set of label values that is known beforehand.
pub trait Label: Copy + Eq + 'static {
    /// All of them.
    const ALL: &'static [Self];
    /// The value's word.
    fn word(self) -> &'static str;
}

macro_rules! labels {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];
            fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

labels! {
    /// What the API server does with the object.
    Operation {
        /// It creates a pod.
        Create = "create",
        /// Anything else, which the registration does not send.
        Other = "other",
        /// It creates or changes an object that makes pods.
        ValidateWorkload = "validate_workload",
        /// It creates or changes a namespace.
        ValidateNamespace = "validate_namespace",
        /// It creates, changes or deletes a template.
        ValidateTemplate = "validate_template",
        /// It does anything else, and we are asked whether it may.
        ValidateOther = "validate_other",
        /// The request could not be read.
        Unknown = "unknown",
    }
}

labels! {
    /// How a request was answered.
    Verdict {
        /// With a patch.
        Injected = "injected",
        /// The pod stays as it is; another object was not looked at.
        Skipped = "skipped",
        /// The pod or object is denied.
        Rejected = "rejected",
        /// There is nothing to say against the object.
        Allowed = "allowed",
        /// The object may be as it is, and its author was told what is wrong.
        Warned = "warned",
        /// The object is no pod that can be read: denied.
        BadObject = "bad_object",
        /// The request is no review: HTTP 400, 413, 415.
        BadRequest = "bad_request",
        /// Templates are not loaded, or the namespace was not seen yet: HTTP 503, to come again.
        NotReady = "not_ready",
        /// Our own failure: HTTP 500.
        Failed = "failed",
    }
}

labels! {
    /// What became of a template that a pod asked for.
    Graft {
        /// It was grafted.
        Injected = "injected",
        /// Its `when` is false for the pod.
        When = "when",
        /// The pod declined what its namespace asked for.
        Declined = "declined",
        /// All of it was there.
        Done = "done",
        /// It failed, and its failure policy is Ignore.
        Ignored = "ignored",
    }
}

labels! {
    /// What a reading of a file came to.
    Load {
        /// In force.
        Ok = "ok",
        /// Refused.
        Failed = "failed",
    }
}

labels! {
    /// Why a TLS handshake failed.
    HandshakeFailure {
        /// The client doesn't know our CA: the registration's `caBundle` is stale.
        UnknownCa = "unknown_ca",
        /// The client refuses the certificate; Go says so for an unknown CA, too.
        BadCertificate = "bad_certificate",
        /// The client's clock says that the certificate has expired.
        Expired = "certificate_expired",
        /// Clients must have a certificate of `--client-ca`, and this one has none.
        ClientRefused = "client_refused",
        /// What came is no TLS: plain HTTP, mostly.
        NotTls = "not_tls",
        /// No protocol version or cipher suite in common.
        Incompatible = "incompatible",
        /// It took too long.
        Timeout = "timeout",
        /// The client went away: a probe of the port, mostly.
        Closed = "closed",
        /// Anything else.
        Other = "other",
    }
}

labels! {
    /// What became of a rejection that an Event should tell of.
    EventFate {
        /// An Event was written.
        Written = "written",
        /// There is one already, that will be counted up.
        Repeated = "repeated",
        /// There were too many.
        Limited = "limited",
        /// There were more than could be looked at.
        Dropped = "dropped",
        /// The API server knows no such controller: none is written.
        Unknown = "unknown",
        /// The API server did not take it.
        Failed = "failed",
    }
}

impl From<Subject> for Operation {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Workload => Self::ValidateWorkload,
            Subject::Namespace => Self::ValidateNamespace,
            Subject::Template => Self::ValidateTemplate,
            Subject::Other => Self::ValidateOther,
        }
    }
}

impl From<&validate::Verdict> for Verdict {
    fn from(verdict: &validate::Verdict) -> Self {
        match verdict.decision {
            Decision::Denied(_) => Self::Rejected,
            _ if !verdict.warnings.is_empty() => Self::Warned,
            Decision::Allowed => Self::Allowed,
            Decision::Skipped(_) => Self::Skipped,
        }
    }
}

impl From<&Why> for Graft {
    fn from(why: &Why) -> Self {
        match why {
            Why::When => Self::When,
            Why::Declined => Self::Declined,
            Why::Done => Self::Done,
            Why::Ignored(_) | Why::Before(_) => Self::Ignored,
        }
    }
}

/// A counter for each value of a label.
#[derive(Debug, Clone)]
pub struct ByLabel<L: Label>(Vec<(L, IntCounter)>);

impl<L: Label> ByLabel<L> {
    pub(super) fn resolve(mut counter: impl FnMut(&str) -> IntCounter) -> Self {
        Self(L::ALL.iter().map(|label| (*label, counter(label.word()))).collect())
    }

    /// Counts one.
    pub fn inc(&self, label: L) {
        // A handful of values: a scan is as fast as anything.
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == label) {
            counter.inc();
        }
    }
}
