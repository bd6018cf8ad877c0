//! Waiting until databases and services are ready: what the injected init containers run.
//!
//! Every target has a task of its own, which asks again and again and tells what changes. [`Wait`] keeps the last state
//! of each, so that whoever ends it, by a deadline or a signal, can say what was being waited for.

mod attempt;
mod http;
mod lookup;
mod mysql;
mod not_yet;
mod pace;
mod postgres;
mod redis;
mod target;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use attempt::Probe;
use pace::Backoff;

pub use attempt::ask;
pub use http::{StatusSet, StatusSetError};
pub use not_yet::NotYet;
pub use target::{Target, TargetError};
pub use tls::{Trust, TrustError};

/// How to wait.
#[derive(Debug, Clone)]
pub struct Options {
    /// In all.
    pub timeout: Duration,
    /// About the first pause between two attempts; it doubles up to 10 s, and begins anew when something changes.
    pub interval: Duration,
    /// For one attempt: look-up, connection and answer.
    pub attempt_timeout: Duration,
    /// What HTTP targets have to answer.
    pub status: StatusSet,
    /// Whose certificates are believed; looked at only if a target is asked over TLS.
    pub trust: Trust,
}

/// What is known of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing: the first attempt has no result.
    Asked,
    /// It is not ready, and why.
    NotYet(NotYet),
    /// It is ready, after so much time.
    Ready(Duration),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("no answer yet"),
            Self::NotYet(reason) => write!(f, "not yet: {reason}"),
            Self::Ready(after) => write!(f, "ready after {}", Rounded(*after)),
        }
    }
}

/// Targets that are waited for, and what is known of them.
#[derive(Debug)]
pub struct Wait {
    since: Instant,
    options: Arc<Options>,
    targets: Vec<(Arc<Probe>, State)>,
}

impl Wait {
    /// Prepares to wait; the time runs from here. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// A target is asked over TLS, and no certificate could be believed.
    pub fn new(targets: Vec<Target>, options: Options) -> Result<Self, TrustError> {
        let since = Instant::now();
        let config = targets.iter().any(Target::tls).then(|| tls::config(&options.trust)).transpose()?;
        let probe = |target: Target| {
            let config = config.clone().filter(|_| target.tls());
            let (tls, status) = (config.zip(target.server_name()), options.status.clone());
            (Arc::new(Probe { target, tls, status }), State::Asked)
        };
        let targets = targets.into_iter().map(probe).collect();
        Ok(Self { since, options: Arc::new(options), targets })
    }

    /// Asks all targets side by side, and tells every change, until all are ready or the time is up. May be dropped at
    /// any time; what is known stays.
    pub async fn run(&mut self, mut tell: impl FnMut(&Target, &State)) {
        let deadline = self.since + self.options.timeout;
        let (news, mut heard) = mpsc::unbounded_channel();
        // Dropped, the set ends its tasks.
        let mut tasks = JoinSet::new();
        for (index, (probe, _)) in self.targets.iter().enumerate() {
            let news = news.clone();
            let tell = move |state| {
                let _ = news.send((index, state));
            };
            tasks.spawn(watch(Arc::clone(probe), Arc::clone(&self.options), self.since, deadline, tell));
        }
        drop(news);
        while let Some((index, state)) = heard.recv().await {
            if let Some((probe, known)) = self.targets.get_mut(index) {
                *known = state;
                tell(&probe.target, known);
            }
        }
    }

    /// How long it has been.
    #[must_use]
    pub fn elapsed(&self) -> Rounded {
        Rounded(self.since.elapsed())
    }

    /// The targets that are not ready.
    pub fn missing(&self) -> impl Iterator<Item = (&Target, &State)> {
        let missing = self.targets.iter().filter(|(_, state)| !matches!(state, State::Ready(_)));
        missing.map(|(probe, state)| (&probe.target, state))
    }
}

/// Asks a target until it is ready or the time is up, and tells every change.
async fn watch(probe: Arc<Probe>, options: Arc<Options>, since: Instant, deadline: Instant, tell: impl Fn(State)) {
    let mut backoff = Backoff::new(options.interval);
    let mut known = None;
    loop {
        let end = deadline.min(Instant::now() + options.attempt_timeout);
        let Err(reason) = probe.attempt(end).await else {
            return tell(State::Ready(since.elapsed()));
        };
        // An attempt that the deadline cut short tells less than the one before.
        let over = Instant::now() >= deadline;
        if known.as_ref() != Some(&reason) && !(over && known.is_some()) {
            backoff.reset();
            tell(State::NotYet(reason.clone()));
            known = Some(reason);
        }
        sleep_until(deadline.min(Instant::now() + backoff.pause())).await;
        if Instant::now() >= deadline {
            return;
        }
    }
}

/// A time as people tell it: tenths of a second below a minute, else minutes and seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounded(pub Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, 0, seconds) => write!(f, "{seconds}.{}s", self.0.subsec_millis() / 100),
            (0, minutes, 0) => write!(f, "{minutes}m"),
            (0, minutes, seconds) => write!(f, "{minutes}m{seconds}s"),
            (hours, minutes, seconds) => write!(f, "{hours}h{minutes}m{seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests;
