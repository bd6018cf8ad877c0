//! What a store makes of events, in made-up time.

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
        let update = store.hears(now + Duration::from_mins(minute), Kind::Namespace, vec![failed(500), failed(500)]);
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
