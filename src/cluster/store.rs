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
mod tests {
    use kube::core::Status;
    use watcher::{Error, Event as Seen};

    use super::*;
    use crate::snapshot::Lookup;

    fn object(text: &str) -> Object {
        serde_json::from_str(text).unwrap()
    }

    fn template(name: &str, generation: i64, spec: &str) -> Object {
        object(&format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"shop","uid":"{name}","generation":{generation}}},"spec":{spec}}}"#
        ))
    }

    const GOOD: &str = r#"{"target":{"env":[{"name":"A","value":"b"}]}}"#;

    fn failed(code: u16) -> Result<Seen<Object>, Error> {
        let status = Status::failure("no", "").with_code(code).boxed();
        Err(Error::InitialListFailed(kube::Error::Api(status)))
    }

    /// What a watch says, of which there was a list already.
    fn cut(code: u16) -> Result<Seen<Object>, Error> {
        let status = Status::failure("no", "").with_code(code).boxed();
        Err(Error::WatchStartFailed(kube::Error::Api(status)))
    }

    fn listed(objects: Vec<Object>) -> Vec<Result<Seen<Object>, Error>> {
        let objects = objects.into_iter().map(Seen::InitApply);
        [Seen::Init].into_iter().chain(objects).chain([Seen::InitDone]).map(Ok).collect()
    }

    /// A store, and its time.
    fn store() -> (Store, Instant) {
        let now = Instant::now();
        (Store::new(LoadOptions::default(), Pending::default(), now), now)
    }

    impl Store {
        fn hears(&mut self, now: Instant, kind: Kind, events: Vec<Result<Seen<Object>, Error>>) -> Update {
            self.take(events.into_iter().map(|event| (kind, event)).collect(), now)
        }

        /// A store that knows these templates and one namespace.
        fn filled(templates: Vec<Object>) -> (Self, Layer, Instant) {
            let (mut store, now) = store();
            store.hears(now, Kind::ClusterTemplate, listed(Vec::new()));
            store.hears(
                now,
                Kind::Namespace,
                listed(vec![object(r#"{"metadata":{"name":"shop","resourceVersion":"1"}}"#)]),
            );
            let layer = store.hears(now, Kind::Template, listed(templates)).layer.expect("all is known");
            (store, layer, now)
        }
    }

    #[test]
    fn nothing_is_told_before_all_is_known() {
        let (mut store, now) = store();
        assert!(store.hears(now, Kind::ClusterTemplate, listed(Vec::new())).layer.is_none());
        assert!(store.hears(now, Kind::Namespace, listed(Vec::new())).layer.is_none());
        let update = store.hears(now, Kind::Template, vec![failed(500)]);
        assert!(update.layer.is_none());
        assert!(matches!(update.news[..], [News::Trouble { trouble: Trouble::Failed(_), .. }]), "{:?}", update.news);

        // However long it takes; it is said once.
        let late = store.take(Vec::new(), now + START);
        assert!(late.layer.is_none());
        assert!(matches!(&late.news[..], [News::Late { kinds }] if *kinds == [Kind::Template]), "{:?}", late.news);
        let hours = now + START * 1000;
        let update = store.hears(hours, Kind::Template, vec![failed(500)]);
        assert!(update.layer.is_none() && update.news.is_empty(), "{:?}", update.news);

        let update = store.hears(hours, Kind::Template, listed(vec![template("a", 1, GOOD)]));
        let layer = update.layer.expect("all is known");
        assert!(matches!(layer.templates.find("shop", "a"), Lookup::Found(_)) && update.bad == Some(0) && update.read);
    }

    #[test]
    fn what_nobody_may_know_is_not_waited_for_for_long() {
        for code in [403, 404] {
            let (mut store, now) = store();
            let mut hears = |seconds| {
                let now = now + Duration::from_secs(seconds);
                store.hears(now, Kind::ClusterTemplate, vec![failed(code)]);
                store.hears(now, Kind::Template, vec![failed(code)]);
                store.hears(now, Kind::Namespace, vec![failed(403)])
            };
            let first = hears(0);
            assert!(matches!(first.news[..], [News::Trouble { trouble: Trouble::Forbidden(_), .. }]), "{first:?}");
            // An API server that starts refuses at first what it will allow. Nor is that late.
            for seconds in 1..10 {
                let update = hears(seconds);
                assert!(update.layer.is_none() && update.news.is_empty(), "{seconds}: {update:?}");
            }
            let update = hears(10);
            let layer = update.layer.expect("no more is to be known");
            assert!(!layer.namespaces.awaits("shop") && update.bad == Some(0) && update.read, "{code}");
            assert!(update.news.is_empty(), "{:?}", update.news);
        }
    }

    #[test]
    fn who_is_refused_is_not_late_before_that_is_settled() {
        let (mut store, now) = store();
        for kind in Kind::ALL {
            store.hears(now, kind, vec![failed(403)]);
        }
        let update = store.take(Vec::new(), now + START);
        assert!(update.layer.is_none() && update.news.is_empty(), "{update:?}");
        assert!(store.deadline() > now + START, "nobody is to ask without end");
        // Who fails is.
        let update = store.hears(now + START * 2, Kind::Template, vec![failed(500)]);
        assert!(matches!(&update.news[..], [_, News::Late { kinds }] if *kinds == Kind::ALL), "{update:?}");
    }

    #[test]
    fn a_refusal_that_passes_changes_nothing_and_one_that_lasts_leaves_new_namespaces_alone() {
        let (mut store, _, now) = Store::filled(Vec::new());
        let mut hears = |seconds, events| {
            store.hears(now + Duration::from_secs(seconds), Kind::Namespace, events);
            let namespaces = store.layer().namespaces;
            assert!(!namespaces.awaits("shop"), "{seconds}");
            namespaces.awaits("new")
        };
        for (seconds, awaits) in [(0, true), (1, true), (9, true), (10, false)] {
            assert_eq!(hears(seconds, vec![cut(403)]), awaits, "{seconds}");
        }
        // A failure among refusals is none of permission.
        assert!(!hears(11, vec![cut(500)]) && !hears(12, vec![cut(403)]));
        assert!(hears(12 + 180, Vec::new()), "the watch goes on");
        // Few are not many, however far apart.
        assert!(hears(200, vec![cut(403)]) && hears(220, vec![cut(403)]));
        assert!(hears(221, listed(vec![object(r#"{"metadata":{"name":"shop"}}"#)])));
        assert!(hears(222, vec![cut(403)]) && hears(223, vec![cut(403)]) && hears(224, vec![cut(403)]));
    }

    #[test]
    fn what_is_known_stays_until_lists_say_for_long_that_there_is_no_such_kind() {
        let (mut store, _, now) = Store::filled(vec![template("a", 1, GOOD)]);
        let second = Duration::from_secs(1);
        let there = |store: &Store| matches!(store.layer().templates.find("shop", "a"), Lookup::Found(_));
        for kind in [Kind::Template, Kind::Namespace] {
            let update = store.hears(now, kind, vec![cut(404)]);
            assert!(update.layer.is_none() && update.news.is_empty(), "{:?}", update.news);
        }
        for seconds in 0..10 {
            store.hears(now + second * seconds, Kind::Template, vec![cut(404), failed(404)]);
            assert!(there(&store), "{seconds}");
        }
        // A list that is complete says more than those that were not.
        store.hears(now + second * 10, Kind::Template, listed(vec![template("a", 1, GOOD)]));
        for seconds in 11..21 {
            store.hears(now + second * seconds, Kind::Template, vec![failed(404)]);
            assert!(there(&store), "{seconds}");
        }
        let update = store.hears(now + second * 21, Kind::Template, vec![failed(404)]);
        assert!(update.layer.is_some() && !there(&store));
        assert!(
            matches!(
                update.news[..],
                [News::Trouble { trouble: Trouble::Absent, .. }, News::Template { event: Event::Removed, .. },]
            ),
            "{:?}",
            update.news
        );
    }

    #[test]
    fn there_are_namespaces_in_every_cluster() {
        let (mut known, _, now) = Store::filled(Vec::new());
        for second in 0..60 {
            let now = now + Duration::from_secs(second);
            known.hears(now, Kind::Namespace, vec![cut(404), failed(404)]);
            let namespaces = known.layer().namespaces;
            assert!(!namespaces.awaits("shop") && namespaces.awaits("new"), "{second}");
        }
        let (mut store, now) = store();
        store.hears(now, Kind::ClusterTemplate, vec![failed(404)]);
        store.hears(now, Kind::Template, vec![failed(404)]);
        let update = store.hears(now, Kind::Namespace, vec![failed(404)]);
        assert!(update.layer.is_none(), "what there is of them is not known yet");
    }

    #[test]
    fn an_api_server_that_fails_has_pods_of_unseen_namespaces_come_again_for_as_long_as_it_does() {
        let (mut store, layer, now) = Store::filled(Vec::new());
        assert!(layer.namespaces.awaits("new") && !layer.namespaces.awaits("shop"));
        for minute in 0..60 {
            let update =
                store.hears(now + Duration::from_mins(minute), Kind::Namespace, vec![failed(500), failed(500)]);
            let awaits = |layer: &Layer| layer.namespaces.awaits("new") && !layer.namespaces.awaits("shop");
            assert!(update.layer.is_none_or(|layer| awaits(&layer)), "minute {minute}");
        }
        let hours = now + Duration::from_hours(2);
        store.hears(hours, Kind::Namespace, vec![failed(403), failed(403)]);
        let update = store.hears(hours + START, Kind::Namespace, vec![failed(403)]);
        assert!(!update.layer.expect("no more is to be known").namespaces.awaits("new"));
    }

    #[test]
    fn a_bad_object_harms_itself_alone() {
        let nested = |levels: usize| format!(r#"{{"when":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        let bad = [
            ("deep", nested(125)),
            ("deeper", nested(126)),
            ("deepest", nested(10_000)),
            ("long", format!(r#"{{"description":"{}"}}"#, "x".repeat(300_000))),
            ("many", format!(r#"{{"when":[0{}]}}"#, ",0".repeat(20_000))),
        ];
        let mut objects: Vec<_> = bad.iter().map(|(name, spec)| template(name, 1, spec)).collect();
        objects.push(template("good", 1, GOOD));
        let (store, layer, _) = Store::filled(objects);
        assert!(matches!(layer.templates.find("shop", "good"), Lookup::Found(_)));
        for (name, _) in bad {
            let Lookup::Broken(broken) = layer.templates.find("shop", name) else { panic!("{name}") };
            assert!(broken.error.text.len() < 10_000, "{name}: what is refused for its size is not kept");
            let said = broken.error.to_string();
            assert!(said.contains("InjectionTemplate/shop/"), "{said}");
        }
        let told = store.templates[1].mirror.iter().filter(|(_, held)| held.problem.is_some()).count();
        assert_eq!(told, 5);
    }

    #[test]
    fn what_says_the_same_changes_nothing() {
        let (mut store, _, now) = Store::filled(vec![template("a", 1, GOOD)]);
        let apply = |object: Object| vec![Ok(Seen::Apply(object))];
        let namespace = |rest: &str| object(&format!(r#"{{"metadata":{{"name":"shop",{rest}}}}}"#));
        for (kind, event) in [
            (Kind::Template, apply(template("a", 1, GOOD))),
            // Another generation of the same text.
            (Kind::Template, apply(template("a", 2, GOOD))),
            (Kind::Template, listed(vec![template("a", 2, GOOD)])),
            (Kind::Namespace, apply(namespace(r#""resourceVersion":"2","managedFields":[{"manager":"a"}]"#))),
            (Kind::Namespace, listed(vec![namespace(r#""resourceVersion":"3""#)])),
        ] {
            let update = store.hears(now, kind, event);
            assert!(update.layer.is_none() && update.news.is_empty() && !update.read, "{kind:?} {:?}", update.news);
        }
        let update = store.hears(now, Kind::Namespace, apply(namespace(r#""annotations":{"a":"b"}"#)));
        assert!(update.layer.is_some() && !update.read);
        let update = store.hears(now, Kind::Template, apply(template("a", 3, "{}")));
        assert!(update.layer.is_some() && update.read);
        let update = store.hears(now, Kind::Template, listed(Vec::new()));
        assert!(matches!(update.news[..], [News::Template { event: Event::Removed, .. }]), "{:?}", update.news);
        assert!(update.layer.is_some());
    }
}
