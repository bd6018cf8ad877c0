//! What is known of the API, and what an event makes of it.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::watcher;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::snapshot::{Layer, Namespace};
use crate::template::{LoadOptions, Origin};

use super::kind::{Key, Kind};
use super::mirror::{Made, Mirror};
use super::object::{Object, Part};
use super::status::{Pending, Verdict};
use super::templates::{self, Compiler, Event, Held};
use super::trouble::{Health, Trouble};

/// How long the first lists may take before it is said that nothing is served until they are in.
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
    /// How many templates are bad as they are now; `None` while some of what there is was not read yet.
    pub bad: Option<usize>,
    /// Templates were read: all of them that may be, all of a kind, or one.
    pub read: bool,
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
    /// The first lists take long: nothing is served before these kinds are known.
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
    pending: Pending,
    templates: [Source<Held>; 2],
    namespaces: Source<Arc<Namespace>>,
    start: Start,
    /// A template of the last events could not be read for a lack of threads.
    starved: bool,
}

/// Whether there is a first set already.
#[derive(Debug, PartialEq, Eq)]
enum Start {
    /// No, and that is to be said at this time.
    Early(Instant),
    /// No, and that was said.
    Late,
    /// Yes.
    Over,
}

impl<T> Source<T> {
    fn new(kind: Kind) -> Self {
        Self { kind, mirror: Mirror::default(), listed: false, health: Health::default() }
    }

    /// It is known what there is of this kind, or that nobody here may know. An API server that fails, or does not answer,
    /// says neither: what it holds may be a namespace's own template, that would stand before another one of its name.
    fn settled(&self) -> bool {
        self.listed || self.health.is_settled()
    }

    /// Takes an event in. `true` when another set is to be told.
    fn take(
        &mut self,
        event: watcher::Result<watcher::Event<Object>>,
        now: Instant,
        news: &mut Vec<News>,
        make: impl FnMut(&Key, Option<&T>, Object) -> Option<Made<T>>,
    ) -> (bool, Vec<Key>) {
        let kind = self.kind;
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                let refused = self.health.is_refused();
                let told = self.health.fails(Trouble::of(kind, &error), self.listed, now).cloned();
                let Some(trouble) = told else { return (self.health.is_refused() != refused, Vec::new()) };
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
        let first = lists && !self.listed;
        self.listed |= lists;
        (step.changed || first || over.is_some(), step.gone)
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
    pub(super) fn new(load: LoadOptions, pending: Pending, now: Instant) -> Self {
        Self {
            compiler: Compiler::new(load),
            pending,
            templates: [Source::new(Kind::ClusterTemplate), Source::new(Kind::Template)],
            namespaces: Source::new(Kind::Namespace),
            start: Start::Early(now + START),
            starved: false,
        }
    }

    /// Whether a template could not be read for a lack of threads. When it is listed again, it is looked at again.
    pub(super) fn is_starved(&self) -> bool {
        self.starved
    }

    /// When to come back though nothing has happened.
    pub(super) fn deadline(&self) -> Instant {
        let health = self.templates.iter().map(Source::deadline).chain([self.namespaces.deadline()]).flatten();
        let start = if let Start::Early(late) = self.start { Some(late) } else { None };
        start.into_iter().chain(health).min().unwrap_or_else(|| Instant::now() + NEVER)
    }

    /// Takes events in.
    pub(super) fn take(
        &mut self,
        events: Vec<(Kind, watcher::Result<watcher::Event<Object>>)>,
        now: Instant,
    ) -> Update {
        self.starved = false;
        let mut news = Vec::new();
        let mut changed = false;
        let listing = events.iter().any(|(_, event)| matches!(event, Ok(watcher::Event::InitApply(_))));
        for (kind, event) in events {
            changed |= match kind {
                Kind::ClusterTemplate => self.template(0, event, now, &mut news),
                Kind::Template => self.template(1, event, now, &mut news),
                Kind::Namespace => self.namespaces.take(event, now, &mut news, namespace).0,
            };
        }
        for source in &mut self.templates {
            changed |= source.rest(now, &mut news);
        }
        changed |= self.namespaces.rest(now, &mut news);
        let mut read = news.iter().any(|one| match one {
            News::Template { .. } => true,
            News::Listed { kind, .. } => *kind != Kind::Namespace,
            _ => false,
        });
        if self.start != Start::Over {
            let waiting = self.waiting();
            if waiting.is_empty() {
                (self.start, changed, read) = (Start::Over, true, true);
            } else {
                if let Start::Early(late) = self.start {
                    let refused = waiting.iter().all(|(_, health)| health.is_being_refused());
                    let kinds = waiting.iter().map(|(kind, _)| *kind).collect();
                    // Long lists take their time, and so does finding out that a permission is missing, of which one is told.
                    let patient = if now < late { listing } else { refused };
                    if patient {
                        self.start = Start::Early(now + START);
                    } else if now >= late {
                        news.push(News::Late { kinds });
                        self.start = Start::Late;
                    }
                }
                return Update { layer: None, news, bad: None, read };
            }
        }
        let held = self.templates.iter().flat_map(|source| source.mirror.iter());
        let bad = held.filter(|(_, held)| held.problem.is_some()).count();
        Update { layer: changed.then(|| self.layer()), news, bad: Some(bad), read }
    }

    /// The kinds of which nothing is known yet, not even that nothing can be known for now.
    fn waiting(&self) -> Vec<(Kind, &Health)> {
        let templates = self.templates.iter().map(|source| (source.settled(), source.kind, &source.health));
        let namespaces = (self.namespaces.settled(), Kind::Namespace, &self.namespaces.health);
        let all = templates.chain([namespaces]);
        all.filter(|(settled, ..)| !settled).map(|(_, kind, health)| (kind, health)).collect()
    }

    fn template(
        &mut self,
        index: usize,
        event: watcher::Result<watcher::Event<Object>>,
        now: Instant,
        news: &mut Vec<News>,
    ) -> bool {
        let Self { compiler, pending, templates, starved, .. } = self;
        let source = &mut templates[index];
        let kind = source.kind;
        let mut happened = Vec::new();
        let (changed, gone) = source.take(event, now, news, |key, before, object| {
            let (held, event) = compiler.hold(kind, key, before, &object);
            *starved |= held.is_unread();
            match Verdict::of(kind, key, &object, held.problem.as_deref()) {
                // Once for a generation: what another podgraft says of it then is left.
                // Nothing was found out about it.
                _ if held.is_unread() => {}
                Some(verdict) if event.is_some() || before.is_none_or(|it| it.generation != held.generation) => {
                    pending.put(verdict);
                }
                Some(_) => {}
                None => pending.forget(kind, key),
            }
            let Some(event) = event else { return Some(Made::Same(held)) };
            happened.push(News::Template { origin: templates::origin(kind, key), event });
            Some(Made::New(held))
        });
        news.append(&mut happened);
        for key in &gone {
            pending.forget(kind, key);
            news.push(News::Template { origin: templates::origin(kind, key), event: Event::Removed });
        }
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
        // Where the watch fails there may be namespaces that it has not brought yet, and their pods come again until it does.
        // Without the permission to see them, none will ever be brought.
        if self.namespaces.listed && !self.namespaces.health.is_refused() {
            layer.namespaces.set_complete();
        }
        layer
    }
}

/// A namespace. What changes with each of its changes is left out: one of which nobody here sees anything is none.
fn namespace(_: &Key, before: Option<&Arc<Namespace>>, object: Object) -> Option<Made<Arc<Namespace>>> {
    let Object { mut metadata, spec, status } = object;
    metadata.resource_version = None;
    let tree = |part: &Part| part.text().and_then(|text| serde_json::from_str(text.get()).ok()).unwrap_or_default();
    let members: [(&str, Value); 5] = [
        ("apiVersion", "v1".into()),
        ("kind", "Namespace".into()),
        ("metadata", serde_json::to_value(metadata).ok()?),
        ("spec", tree(&spec)),
        ("status", tree(&status)),
    ];
    let object: Map<_, _> =
        members.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.to_owned(), value)).collect();
    match before {
        Some(before) if before.object.as_object() == Some(&object) => Some(Made::Same(Arc::clone(before))),
        _ => Namespace::from_object(object.into()).map(|namespace| Made::New(Arc::new(namespace))),
    }
}

#[cfg(test)]
mod tests;
