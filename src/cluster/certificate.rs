//! Self-managed certificates: does in the API server what [`Machine`] decides, and tells it what is there.
//!
//! The objects are watched by name, which a Role may allow for that name alone. Everything is written over exactly what
//! was read: a write that comes too late is refused (409), and what is there now is read instead.

mod registration;
mod secret;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::stream::select_all;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use crate::anew::{PAUSE, forever};
use crate::authority::{Decision, Leaf, Machine, Moment, Seen, Sight, Standing};

use super::attempt::{self, Told};
use super::pace::Pauses;
use registration::{Configuration, Kind};
use secret::Vault;

/// How long a single call may take. The objects are small, and the next attempt is due in a moment.
const CALL: Duration = Duration::from_secs(10);

/// After a call that failed, the next one waits this long, and twice as long with each further failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Somebody may undo at once whatever we do. After so many changes at once there is no more than one a second.
const BURST: usize = 10;
const BREATH: Duration = Duration::from_secs(1);

/// The objects that certificates are kept in and trusted by.
#[derive(Debug, Clone)]
pub struct Names {
    /// The namespace of the Secret.
    pub namespace: String,
    /// The Secret.
    pub secret: String,
    /// The MutatingWebhookConfiguration.
    pub mutating: String,
    /// The ValidatingWebhookConfiguration.
    pub validating: String,
}

/// What the rest of the program has to know.
#[derive(Debug, Clone)]
pub enum Event {
    /// This certificate is to be served from now on.
    Serve(Arc<Leaf>),
    /// Whether requests should come here has changed.
    Standing(Standing),
}

/// What a watch says.
enum News {
    Secret(Option<Secret>),
    Configuration(usize, Option<DynamicObject>),
    Trouble(&'static str, String),
}

/// Why something was not written.
enum Failure {
    /// It is not what was read any more.
    Outdated,
    Other(attempt::Failure),
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            // 404: deleted since. 409: changed since, or made by somebody else.
            kube::Error::Api(status) if status.code == 409 || status.code == 404 => Self::Outdated,
            error => Self::Other(error.into()),
        }
    }
}

/// Keeps certificates for as long as the process lives. `clock` is the one that certificates are dated by.
pub async fn keep(
    client: Client,
    names: Names,
    machine: Machine,
    clock: impl Fn() -> SystemTime + Send + Sync,
    tell: impl Fn(Event) + Send + Sync,
) {
    // It stays, whatever fails inside: what was read of a Secret that is gone now, and whose leaf is served, nobody else may
    // remember.
    let keeper = Mutex::new(Keeper::new(&client, names, machine));
    let task = || async { keeper.lock().await.round(&clock, &tell).await };
    forever("keeping the certificate", PAUSE, task).await;
}

struct Keeper {
    vault: Vault,
    configurations: [Configuration; 2],
    machine: Machine,
    start: Instant,
    /// A leaf that is to be served, until that is told.
    serve: Option<Arc<Leaf>>,
    /// What was told last.
    standing: Option<Standing>,
    pause: Pause,
    /// What watches complained of last, each said once.
    trouble: Vec<(&'static str, String)>,
}

impl Keeper {
    fn new(client: &Client, names: Names, machine: Machine) -> Self {
        let vault = Vault::new(client, &names);
        let configurations = [
            Configuration::new(client, Kind::Mutating, names.mutating),
            Configuration::new(client, Kind::Validating, names.validating),
        ];
        let start = Instant::now();
        let (pause, trouble) = (Pause::new(start), Vec::new());
        Self { vault, configurations, machine, start, serve: None, standing: None, pause, trouble }
    }

    fn watches(&self) -> impl Stream<Item = News> + Unpin + use<> {
        let secrets = watcher::watch_object(self.vault.api.clone(), &self.vault.name).backoff(Pauses::default());
        let secrets = secrets.map(|found| match found {
            Ok(secret) => News::Secret(secret),
            Err(error) => News::Trouble("secrets", error.to_string()),
        });
        let mut watches = vec![secrets.boxed()];
        for (index, configuration) in self.configurations.iter().enumerate() {
            let plural = configuration.kind.plural();
            let found =
                watcher::watch_object(configuration.api.clone(), &configuration.name).backoff(Pauses::default());
            let news = found.map(move |found| match found {
                Ok(object) => News::Configuration(index, object),
                Err(error) => News::Trouble(plural, error.to_string()),
            });
            watches.push(news.boxed());
        }
        select_all(watches)
    }

    async fn round(&mut self, clock: &(impl Fn() -> SystemTime + Sync), tell: &(impl Fn(Event) + Sync)) {
        let mut news = self.watches();
        let mut fresh = false;
        loop {
            let at = Moment { wall: clock(), steady: self.start.elapsed() };
            let mut decision = self.machine.decide(at, &self.seen());
            self.serve = decision.serve.take().or(self.serve.take());
            if let Some(leaf) = &self.serve {
                tell(Event::Serve(Arc::clone(leaf)));
                self.serve = None;
            }
            if self.standing != Some(decision.standing) {
                tell(Event::Standing(decision.standing));
                self.standing = Some(decision.standing);
            }
            if !self.pause.is_on(Instant::now()) {
                if !fresh && self.refresh(&decision).await {
                    fresh = true;
                    continue;
                }
                // What was done may call for more.
                if self.act(decision, at.wall).await {
                    fresh = false;
                    continue;
                }
            }
            fresh = false;
            let pace = Instant::now() + self.machine.options().pace();
            let again = if self.pause.is_on(Instant::now()) { pace.min(self.pause.until) } else { pace };
            tokio::select! {
                // The watches never end.
                Some(news) = news.next() => self.take(news).await,
                () = sleep_until(again) => {}
            }
        }
    }

    fn seen(&self) -> Seen {
        let registrations = self.configurations.iter().map(|configuration| configuration.sight.clone()).collect();
        Seen { secret: self.vault.sight.clone(), registrations }
    }

    /// Takes in what a watch says. What is older than what is known is mostly a watch that lags behind, and after a restored
    /// etcd all that there is: then it is read.
    async fn take(&mut self, news: News) {
        let what = match news {
            News::Secret(secret) => {
                if !self.vault.take(secret) {
                    let _ = call(self.vault.read()).await;
                }
                "secrets"
            }
            News::Configuration(index, object) => {
                let configuration = &mut self.configurations[index];
                if !configuration.take(object) {
                    let _ = call(configuration.read()).await;
                }
                configuration.kind.plural()
            }
            News::Trouble(what, problem) => {
                let known = self.trouble.iter().any(|(whose, said)| *whose == what && *said == problem);
                if !known {
                    self.trouble.retain(|(whose, _)| *whose != what);
                    tracing::warn!(problem, "{what} can't be watched, and what was last read of them counts");
                    self.trouble.push((what, problem));
                }
                return;
            }
        };
        self.trouble.retain(|(whose, _)| *whose != what);
    }

    /// Reads what a decision depends on, as one watch may lag behind another; whether there was any need. Where it can't be
    /// read, what is remembered counts.
    async fn refresh(&mut self, decision: &Decision) -> bool {
        if !decision.apply.is_empty() {
            // Whom to trust is what the Secret says now.
            let _ = call(self.vault.read()).await;
            true
        } else if decision.write.is_some() && matches!(self.vault.sight, Sight::Absent) {
            // In an uninstallation the configurations went before it, and then it should stay away.
            for configuration in &mut self.configurations {
                let _ = call(configuration.read()).await;
            }
            true
        } else {
            false
        }
    }

    /// Does what was decided; whether anything came of it. The configurations first: they may have been cleared.
    async fn act(&mut self, decision: Decision, now: SystemTime) -> bool {
        let (mut done, mut failed) = (false, false);
        for index in decision.apply {
            let configuration = &mut self.configurations[index];
            let applied = call(configuration.apply(&decision.trust, decision.generation)).await;
            match applied {
                Ok(()) => {
                    configuration.told.works();
                    let (kind, name) = (configuration.kind.plural(), &configuration.name);
                    tracing::info!(generation = decision.generation, "{kind}/{name} trusts our authority");
                    done = true;
                }
                Err(Failure::Outdated) => {
                    failed = true;
                    let _ = call(configuration.read()).await;
                }
                Err(Failure::Other(failure)) => {
                    failed = true;
                    if configuration.told.is_news(&failure) {
                        let (kind, name) = (configuration.kind.plural(), &configuration.name);
                        let problem = failure.problem;
                        tracing::error!(problem, "{kind}/{name} can't be told whom to trust; it is tried again");
                    }
                }
            }
        }
        if let Some(change) = decision.write {
            let (step, generation) = (change.step.text(), change.generation);
            let written = match change.make(self.machine.options(), now) {
                Ok(material) => call(self.vault.write(&material)).await,
                Err(error) => Err(Failure::Other(attempt::Failure { code: 0, problem: error.to_string() })),
            };
            match written {
                Ok(()) => {
                    self.vault.told.works();
                    let (namespace, name) = (&self.vault.namespace, &self.vault.name);
                    tracing::info!(generation, "secret {namespace}/{name}: {step}");
                    done = true;
                }
                Err(Failure::Outdated) => {
                    failed = true;
                    let _ = call(self.vault.read()).await;
                }
                Err(Failure::Other(failure)) => {
                    failed = true;
                    if self.vault.told.is_news(&failure) {
                        let (namespace, name) = (&self.vault.namespace, &self.vault.name);
                        let problem = failure.problem;
                        tracing::error!(problem, "secret {namespace}/{name} can't be written; it is tried again");
                    }
                }
            }
        }
        if failed {
            self.pause.failed(Instant::now());
        } else if done {
            self.pause.succeeded(Instant::now());
        }
        done
    }
}

/// One call, in bounded time.
async fn call(call: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let late = || attempt::Failure { code: 0, problem: attempt::late(CALL) };
    timeout(CALL, call).await.unwrap_or_else(|_| Err(Failure::Other(late())))
}

/// How long the API server is left alone: after failures, and after too much.
struct Pause {
    until: Instant,
    next: Duration,
    /// When the last changes were made.
    changes: VecDeque<Instant>,
}

impl Pause {
    fn new(now: Instant) -> Self {
        Self { until: now, next: FIRST_PAUSE, changes: VecDeque::new() }
    }

    fn failed(&mut self, now: Instant) {
        self.until = now + self.next;
        self.next = (self.next * 2).min(LONGEST_PAUSE);
    }

    fn succeeded(&mut self, now: Instant) {
        self.next = FIRST_PAUSE;
        self.changes.push_back(now);
        if self.changes.len() > BURST
            && let Some(first) = self.changes.pop_front()
            && now < first + BREATH * BURST as u32
        {
            self.until = now + BREATH;
        }
    }

    fn is_on(&self, now: Instant) -> bool {
        now < self.until
    }
}

/// Whether something that was read is older than what is known: a watch lags behind the answers to our own calls.
/// Versions of one object are numbers that grow (Kubernetes API concepts, "Resource versions").
fn is_outdated(read: &ObjectMeta, known: &ObjectMeta) -> bool {
    let version = |meta: &ObjectMeta| meta.resource_version.as_ref().and_then(|version| version.parse::<u64>().ok());
    read.uid == known.uid && version(read).zip(version(known)).is_some_and(|(read, known)| read < known)
}
