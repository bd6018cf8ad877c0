//! What is known of the API, and what an event makes of it.

use std::sync::Arc;
use std::time::Duration;

use kube::api::DynamicObject;
use kube::runtime::watcher;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::snapshot::{Layer, Namespace};
use crate::template::{LoadOptions, Origin};

use super::kind::{Key, Kind};
use super::mirror::{Mirror, Step};
use super::status::Verdict;
use super::templates::{self, Compiler, Event, Held};
use super::trouble::{Health, Trouble};

/// How long the API server may be silent before the first lists are in; then the rest is served without them.
const START: Duration = Duration::from_secs(10);

/// Longer than any process lives.
const NEVER: Duration = Duration::from_hours(24 * 365);

/// What there is to know after some events.
#[derive(Debug)]
pub struct Update {
    /// What the API holds from now on; `None` where that did not change.
    pub layer: Option<Layer>,
    /// What happened, in order.
    pub news: Vec<News>,
    /// No template is bad as it is now.
    pub sound: bool,
}

/// Something that happened.
#[derive(Debug)]
pub enum News {
    /// A template is new, has changed or is gone.
    Template {
        /// Kind, namespace and name.
        origin: Origin,
        /// What became of it.
        event: Event,
    },
    /// All objects of a kind are known.
    Listed {
        /// The kind.
        kind: Kind,
        /// How many there are.
        count: usize,
    },
    /// A kind can't be watched. What was known of it stays in force, unless there is no such kind any more.
    Trouble {
        /// The kind.
        kind: Kind,
        /// Why not.
        trouble: Trouble,
    },
    /// The watch of a kind goes on after it could not.
    Resumed {
        /// The kind.
        kind: Kind,
    },
    /// The first lists take too long: these kinds are not waited for any longer.
    Late {
        /// At least one.
        kinds: Vec<Kind>,
    },
}

/// One kind: its objects, and how its watch fares.
#[derive(Debug)]
struct Source<T> {
    kind: Kind,
    mirror: Mirror<T>,
    listed: bool,
    health: Health,
}

/// What is known of the API.
#[derive(Debug)]
pub(super) struct Store {
    compiler: Compiler,
    verdicts: UnboundedSender<Verdict>,
    templates: [Source<Held>; 2],
    namespaces: Source<Arc<Namespace>>,
    /// When the first set is told at the latest; `None` once it was.
    start: Option<Instant>,
}

impl<T> Source<T> {
    fn new(kind: Kind) -> Self {
        Self { kind, mirror: Mirror::default(), listed: false, health: Health::default() }
    }

    /// It is known what there is of this kind, or that it can't be known for now.
    fn settled(&self) -> bool {
        self.listed || matches!(self.health.trouble(), Some(Trouble::Absent | Trouble::Forbidden(_)))
    }

    /// Takes an event in. `true` when another set is to be told.
    fn take(
        &mut self,
        event: watcher::Result<watcher::Event<DynamicObject>>,
        now: Instant,
        news: &mut Vec<News>,
        make: impl FnMut(&Key, Option<&T>, DynamicObject) -> Option<T>,
    ) -> (bool, Vec<Key>) {
        let kind = self.kind;
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                let Some(trouble) = self.health.fails(&error, self.listed, now).cloned() else {
                    return (false, Vec::new());
                };
                let gone = if trouble == Trouble::Absent { self.forget() } else { Vec::new() };
                news.push(News::Trouble { kind, trouble });
                return (true, gone);
            }
        };
        let begins = matches!(event, watcher::Event::Init | watcher::Event::InitApply(_));
        let lists = matches!(event, watcher::Event::InitDone);
        let step = self.mirror.take(event, make);
        let over = if begins { None } else { self.health.works() };
        if lists && (!self.listed || over.is_some()) {
            news.push(News::Listed { kind, count: self.mirror.len() });
        } else if over.is_some() {
            news.push(News::Resumed { kind });
        }
        self.listed |= lists;
        match step {
            Step::Waiting => (over.is_some(), Vec::new()),
            Step::Changed => (true, Vec::new()),
            Step::Gone(keys) => (true, keys),
        }
    }

    fn forget(&mut self) -> Vec<Key> {
        self.listed = false;
        self.mirror.clear()
    }

    /// Time has passed. `true` when another set is to be told.
    fn rest(&mut self, now: Instant, news: &mut Vec<News>) -> bool {
        let resumed = self.listed && self.health.rests(now).is_some();
        if resumed {
            news.push(News::Resumed { kind: self.kind });
        }
        resumed
    }

    fn deadline(&self) -> Option<Instant> {
        self.health.until().filter(|_| self.listed)
    }
}

impl Store {
    /// Nothing is known yet.
    pub(super) fn new(load: LoadOptions, verdicts: UnboundedSender<Verdict>, now: Instant) -> Self {
        Self {
            compiler: Compiler::new(load),
            verdicts,
            templates: [Source::new(Kind::ClusterTemplate), Source::new(Kind::Template)],
            namespaces: Source::new(Kind::Namespace),
            start: Some(now + START),
        }
    }

    /// When to come back though nothing has happened.
    pub(super) fn deadline(&self) -> Instant {
        let health = self.templates.iter().map(Source::deadline).chain([self.namespaces.deadline()]).flatten();
        self.start.into_iter().chain(health).min().unwrap_or_else(|| Instant::now() + NEVER)
    }

    /// Takes events in.
    pub(super) fn take(
        &mut self,
        events: Vec<(Kind, watcher::Result<watcher::Event<DynamicObject>>)>,
        now: Instant,
    ) -> Update {
        let mut news = Vec::new();
        let mut changed = false;
        let listing = events.iter().any(|(_, event)| matches!(event, Ok(watcher::Event::InitApply(_))));
        for (kind, event) in events {
            changed |= match kind {
                Kind::ClusterTemplate => self.template(0, event, now, &mut news),
                Kind::Template => self.template(1, event, now, &mut news),
                Kind::Namespace => self.namespaces.take(event, now, &mut news, |_, _, object| namespace(object)).0,
            };
        }
        for source in &mut self.templates {
            changed |= source.rest(now, &mut news);
        }
        changed |= self.namespaces.rest(now, &mut news);
        if let Some(start) = self.start {
            // Long lists are waited for.
            let start = if listing { now + START } else { start };
            let kinds = self.waiting();
            if !kinds.is_empty() && now < start {
                self.start = Some(start);
                return Update { layer: None, news, sound: false };
            }
            if !kinds.is_empty() {
                news.push(News::Late { kinds });
            }
            (self.start, changed) = (None, true);
        }
        let mut held = self.templates.iter().flat_map(|source| source.mirror.iter());
        let sound = held.all(|(_, held)| held.problem.is_none());
        Update { layer: changed.then(|| self.layer()), news, sound }
    }

    /// The kinds of which nothing is known yet, not even that nothing can be known for now.
    fn waiting(&self) -> Vec<Kind> {
        let templates = self.templates.iter().filter(|source| !source.settled()).map(|source| source.kind);
        templates.chain((!self.namespaces.settled()).then_some(Kind::Namespace)).collect()
    }

    fn template(
        &mut self,
        index: usize,
        event: watcher::Result<watcher::Event<DynamicObject>>,
        now: Instant,
        news: &mut Vec<News>,
    ) -> bool {
        let Self { compiler, verdicts, templates, .. } = self;
        let source = &mut templates[index];
        let kind = source.kind;
        let applied = matches!(event, Ok(watcher::Event::Apply(_)));
        let (mut happened, before) = (Vec::new(), news.len());
        let (mut changed, gone) = source.take(event, now, news, |key, before, object| {
            let (held, event) = compiler.hold(kind, key, before, &object);
            let new = before.is_none_or(|before| before.generation != held.generation) || event.is_some();
            if new && let Some(verdict) = Verdict::of(kind, key, &object, held.problem.as_deref()) {
                // Without its reader the process is about to end.
                let _ = verdicts.send(verdict);
            }
            happened.extend(event.map(|event| News::Template { origin: templates::origin(kind, key), event }));
            Some(held)
        });
        if applied && happened.is_empty() && news.len() == before {
            // Its status is another, written by ourselves perhaps: that changes nothing.
            changed = false;
        }
        news.append(&mut happened);
        news.extend(
            gone.iter().map(|key| News::Template { origin: templates::origin(kind, key), event: Event::Removed }),
        );
        changed
    }

    fn layer(&self) -> Layer {
        let mut layer = Layer::default();
        for (key, held) in self.templates.iter().flat_map(|source| source.mirror.iter()) {
            held.shelve(key, &mut layer.templates);
        }
        for (_, namespace) in self.namespaces.mirror.iter() {
            layer.namespaces.insert(Arc::clone(namespace));
        }
        if self.namespaces.listed && self.namespaces.health.trouble().is_none() {
            layer.namespaces.set_complete();
        }
        layer
    }
}

/// A namespace, without the history of its fields, which is the larger part of it.
fn namespace(mut object: DynamicObject) -> Option<Arc<Namespace>> {
    object.metadata.managed_fields = None;
    let mut object = serde_json::to_value(object).ok()?;
    // The items of a list have neither.
    let map = object.as_object_mut()?;
    map.entry("apiVersion").or_insert_with(|| Value::from("v1"));
    map.entry("kind").or_insert_with(|| Value::from("Namespace"));
    Namespace::from_object(object).map(Arc::new)
}
