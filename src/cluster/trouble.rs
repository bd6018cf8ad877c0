//! Why a kind can't be watched, and for how long already.

use std::time::Duration;

use kube::runtime::watcher::Error;
use tokio::time::Instant;

/// A watch that breaks off is the normal thing: API servers are updated one after the other. It is trouble when so many
/// attempts to resume it failed too.
const ATTEMPTS: u32 = 3;

/// Attempts are at most about half a minute apart. After so long without an error, the watch goes on: one that is resumed
/// says nothing before there is something new.
const QUIET: Duration = Duration::from_secs(90);

/// Why a kind can't be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The API server has no such kind: the custom resource definitions are not installed.
    Absent,
    /// We lack a permission; the API server's own sentence says which.
    Forbidden(String),
    /// The API server can't be reached, or fails.
    Failed(String),
}

impl From<&Error> for Trouble {
    fn from(error: &Error) -> Self {
        let status = match error {
            Error::InitialListFailed(kube::Error::Api(status))
            | Error::WatchStartFailed(kube::Error::Api(status))
            | Error::WatchFailed(kube::Error::Api(status))
            | Error::WatchError(status) => status,
            other => return Self::Failed(causes(other)),
        };
        match status.code {
            404 => Self::Absent,
            403 => Self::Forbidden(status.message.clone()),
            code => Self::Failed(format!("{} ({code})", status.message)),
        }
    }
}

/// An error with its causes, each said once.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// How a watch fares.
#[derive(Debug, Default)]
pub(super) struct Health {
    errors: u32,
    last: Option<Instant>,
    trouble: Option<Trouble>,
}

impl Health {
    /// Takes an error in; gives the trouble if it is one that was not told yet. `patient` is who has a list already.
    pub(super) fn fails(&mut self, error: &Error, patient: bool, now: Instant) -> Option<&Trouble> {
        let trouble = Trouble::from(error);
        self.errors = if self.last.is_some_and(|last| now < last + QUIET) { self.errors + 1 } else { 1 };
        self.last = Some(now);
        if patient && matches!(trouble, Trouble::Failed(_)) && self.errors < ATTEMPTS {
            return None;
        }
        let told =
            self.trouble.as_ref().is_some_and(|told| std::mem::discriminant(told) == std::mem::discriminant(&trouble));
        self.trouble = Some(trouble);
        self.trouble.as_ref().filter(|_| !told)
    }

    /// Something was heard of the watch; gives the trouble that is over.
    pub(super) fn works(&mut self) -> Option<Trouble> {
        self.errors = 0;
        self.last = None;
        self.trouble.take()
    }

    /// A watch that had no errors for long goes on; gives the trouble that is over.
    pub(super) fn rests(&mut self, now: Instant) -> Option<Trouble> {
        let over = self.until().is_some_and(|until| now >= until);
        if over { self.works() } else { None }
    }

    /// When trouble will be over if nothing more is heard. What only a list can end has no such time.
    pub(super) fn until(&self) -> Option<Instant> {
        let failed = matches!(self.trouble, Some(Trouble::Failed(_)));
        self.last.filter(|_| failed).map(|last| last + QUIET)
    }

    /// What is wrong, if anything is.
    pub(super) fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }
}
