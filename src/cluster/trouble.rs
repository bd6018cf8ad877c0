//! Why a kind can't be watched, and for how long already.

use std::mem::{self, Discriminant};
use std::time::Duration;

use kube::core::Status;
use kube::runtime::watcher::Error;
use tokio::time::Instant;

use super::kind::Kind;
use super::{client, pace};

/// A watch that breaks off is the normal thing: API servers are updated one after the other. It is trouble when so many
/// attempts to resume it failed too.
const ATTEMPTS: u32 = 3;

/// Attempts are closer together than this: each ends when the API server has been silent for [`client::SILENCE`], and
/// [`pace::LONGEST_PAUSE`] later comes the next. After so long without an error, the watch goes on: one that is resumed says
/// nothing before there is something new.
const QUIET: Duration = Duration::from_mins(3);
const _: () = assert!(QUIET.as_secs() > client::SILENCE.as_secs() + pace::LONGEST_PAUSE.as_secs());

/// That we lack a permission counts when it was said so often in a row, over this time, and so does that there is no such kind
/// any more. API servers that start, and whoever stands before them, say so too for some seconds; and without what is there,
/// pods would silently get something else.
const LASTING: Duration = Duration::from_secs(10);

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

impl Trouble {
    /// What an error says of a kind.
    pub(super) fn of(kind: Kind, error: &Error) -> Self {
        let Some(status) = answer(error) else { return Self::Failed(causes(error)) };
        match status.code {
            404 if kind.is_custom() && !is_watch_not_found(error) => Self::Absent,
            403 => Self::Forbidden(status.message.clone()),
            code => Self::Failed(format!("{} ({code})", status.message)),
        }
    }
}

/// The API server's answer, where there was one.
fn answer(error: &Error) -> Option<&Status> {
    match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchFailed(kube::Error::Api(status))
        | Error::WatchError(status) => Some(status),
        _ => None,
    }
}

/// Whether a watch was not found: that there was a list says that the kind was there.
pub(super) fn is_watch_not_found(error: &Error) -> bool {
    !matches!(error, Error::InitialListFailed(_)) && answer(error).is_some_and(|status| status.code == 404)
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
    /// The errors up to now that are of one kind.
    run: Option<Run>,
    trouble: Option<Trouble>,
    /// What kinds of it were told: API servers behind one address may say this and that in turns.
    told: Vec<Discriminant<Trouble>>,
    /// It went on for so long that it is no passing one.
    lasts: bool,
}

/// Errors of one kind, one after the other.
#[derive(Debug, Clone, Copy)]
struct Run {
    what: Discriminant<Trouble>,
    times: u32,
    first: Instant,
    last: Instant,
}

impl Health {
    /// Takes trouble in; gives it back if it is to be told and was not yet. `patient` is who has a list already.
    pub(super) fn fails(&mut self, trouble: Trouble, patient: bool, now: Instant) -> Option<&Trouble> {
        let what = mem::discriminant(&trouble);
        let before = self.run.filter(|run| run.what == what && now < run.last + QUIET);
        let (times, first) = before.map_or((1, now), |run| (run.times + 1, run.first));
        self.run = Some(Run { what, times, first, last: now });
        let lasts = times >= ATTEMPTS && now >= first + LASTING;
        let passes = match trouble {
            Trouble::Failed(_) => times < ATTEMPTS,
            Trouble::Absent => !lasts,
            Trouble::Forbidden(_) => false,
        };
        if patient && passes {
            return None;
        }
        let same = self.trouble.as_ref().is_some_and(|before| mem::discriminant(before) == what);
        self.lasts = lasts || (same && self.lasts);
        self.trouble = Some(trouble);
        let told = self.told.contains(&what);
        if !told {
            self.told.push(what);
        }
        self.trouble.as_ref().filter(|_| !told)
    }

    /// Something was heard of the watch; gives the trouble that is over.
    pub(super) fn works(&mut self) -> Option<Trouble> {
        mem::take(self).trouble
    }

    /// A watch that had no errors for long goes on; gives the trouble that is over.
    pub(super) fn rests(&mut self, now: Instant) -> Option<Trouble> {
        let over = self.until().is_some_and(|until| now >= until);
        if over { self.works() } else { None }
    }

    /// When the trouble is over if nothing more is heard.
    pub(super) fn until(&self) -> Option<Instant> {
        self.trouble.as_ref().and(self.run).map(|run| run.last + QUIET)
    }

    /// Whether it is known that there is nothing to be known: no such kind, or no permission.
    pub(super) fn is_settled(&self) -> bool {
        self.is_refused() || self.trouble == Some(Trouble::Absent)
    }

    /// Whether we lack a permission.
    pub(super) fn is_refused(&self) -> bool {
        self.lasts && self.is_being_refused()
    }

    /// Whether we lack a permission, at least for the moment.
    pub(super) fn is_being_refused(&self) -> bool {
        matches!(self.trouble, Some(Trouble::Forbidden(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u16, message: &str) -> Trouble {
        let status = Status::failure(message, "").with_code(code).boxed();
        Trouble::of(Kind::Template, &Error::InitialListFailed(kube::Error::Api(status)))
    }

    #[tokio::test]
    async fn trouble_is_told_once() {
        let (mut health, now) = (Health::default(), Instant::now());
        assert_eq!(health.fails(answered(404, "no"), false, now), Some(&Trouble::Absent));
        assert_eq!(health.fails(answered(404, "no"), false, now), None);
        let forbidden = Trouble::Forbidden("cannot list".to_owned());
        assert_eq!(health.fails(answered(403, "cannot list"), false, now), Some(&forbidden));
        assert_eq!(health.works(), Some(forbidden));
        assert_eq!(health.works(), None);
    }

    /// As they do while one of them starts.
    #[tokio::test]
    async fn what_two_api_servers_say_in_turns_is_told_once_each() {
        let (mut health, now) = (Health::default(), Instant::now());
        let told = |health: &mut Health| {
            let answers = [403, 503].repeat(5).into_iter();
            answers.filter(|code| health.fails(answered(*code, "no"), false, now).is_some()).count()
        };
        assert_eq!(told(&mut health), 2);
        assert!(health.works().is_some());
        assert_eq!(told(&mut health), 2);
    }

    #[tokio::test]
    async fn a_watch_that_breaks_off_now_and_then_is_no_trouble() {
        let (mut health, now) = (Health::default(), Instant::now());
        for round in 0..10 {
            assert_eq!(health.fails(answered(500, "no"), true, now + QUIET * round), None, "{round}");
        }
        let soon = now + QUIET * 10 - Duration::from_secs(1);
        assert_eq!(health.fails(answered(500, "no"), true, soon), None);
        let trouble = Trouble::Failed("no (500)".to_owned());
        assert_eq!(health.fails(answered(500, "no"), true, soon), Some(&trouble));
        assert_eq!(health.rests(soon + QUIET - Duration::from_secs(1)), None);
        assert_eq!(health.rests(soon + QUIET), Some(trouble));
    }
}
