//! What is done in the API server, and by which clock.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;
use axum::http::Request;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::sleep;
use tracing::instrument::WithSubscriber;
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::anew::once;
use crate::authority::{Options, Registration};
use crate::cluster::fake;

use super::*;

const HOUR: Duration = Duration::from_hours(1);

/// What an API server keeps for one replica, which therefore need not be told of changes.
#[derive(Default)]
struct Kept {
    version: u64,
    secret: Option<Value>,
    configurations: [Option<Value>; 2],
}

impl Kept {
    fn new() -> Self {
        let configuration = json!({
            "metadata": {"uid": "u", "resourceVersion": "1"},
            "webhooks": [{"name": "a.podgraft.dev", "clientConfig": {}}],
        });
        Self { version: 1, secret: None, configurations: [Some(configuration.clone()), Some(configuration)] }
    }

    fn answer(&mut self, request: &Request<Bytes>) -> (u16, Value) {
        let path = request.uri().path();
        let (place, plural) = if path.contains("/secrets") {
            (&mut self.secret, "/secrets")
        } else if path.contains("/mutating") {
            (&mut self.configurations[0], "/mutatingwebhookconfigurations")
        } else {
            (&mut self.configurations[1], "/validatingwebhookconfigurations")
        };
        let said: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let mut new = match (request.method().as_str(), place.clone()) {
            ("GET", object) if path.ends_with(plural) => {
                let items: Vec<_> = object.into_iter().collect();
                return (200, json!({"metadata": {"resourceVersion": self.version.to_string()}, "items": items}));
            }
            ("GET", Some(object)) => return (200, object),
            ("POST", None) => said,
            ("PUT" | "PATCH", Some(object)) => {
                if said["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
                    return (409, Value::Null);
                }
                said
            }
            ("POST", Some(_)) => return (409, Value::Null),
            _ => return (404, Value::Null),
        };
        self.version += 1;
        new["metadata"]["resourceVersion"] = self.version.to_string().into();
        *place = Some(new.clone());
        (200, new)
    }
}

fn names() -> Names {
    Names {
        namespace: "podgraft".to_owned(),
        secret: "podgraft-tls".to_owned(),
        mutating: "zz-podgraft".to_owned(),
        validating: "podgraft".to_owned(),
    }
}

fn machine() -> Machine {
    let options = Options {
        names: vec!["podgraft.podgraft.svc".to_owned()],
        ca_lifetime: 96 * HOUR,
        leaf_lifetime: 24 * HOUR,
        settle: Duration::from_millis(200),
    };
    Machine::new(options, 0.0)
}

/// What is served when this is said.
async fn until(events: &mut UnboundedReceiver<Event>, wanted: Standing, serving: &mut Option<Arc<Leaf>>) {
    loop {
        match events.recv().await.expect("it goes on") {
            Event::Serve(leaf) => *serving = Some(leaf),
            Event::Standing(standing) if standing == wanted => return,
            Event::Standing(_) => {}
        }
    }
}

#[tokio::test]
async fn a_clock_that_jumps_is_followed_by_a_certificate_that_is_valid_by_it() {
    let kept = Arc::new(Mutex::new(Kept::new()));
    let client = fake::client(move |request| kept.lock().unwrap().answer(request));
    let start = SystemTime::now();
    let time = Arc::new(Mutex::new(start));
    let clock = {
        let time = Arc::clone(&time);
        move || *time.lock().unwrap()
    };
    let (sender, mut events) = unbounded_channel();
    let keeper = tokio::spawn(keep(client, names(), machine(), clock, move |event| {
        let _ = sender.send(event);
    }));
    let mut serving = None;
    until(&mut events, Standing::Trusted, &mut serving).await;
    let first = serving.take().expect("a certificate");
    assert!(first.is_valid(start));

    // Two thirds are over: another one, that is no worse for those whose clocks have not jumped.
    *time.lock().unwrap() = start + 17 * HOUR;
    let Some(Event::Serve(second)) = events.recv().await else { panic!("another certificate") };
    assert!(second != first && second.ca == first.ca && second.is_valid_whenever(&first));

    for (now, standing) in [
        (start - 24_000 * HOUR, Standing::NotYetValid),
        (start + 90_000 * HOUR, Standing::Expired),
        (start, Standing::Trusted),
    ] {
        *time.lock().unwrap() = now;
        if standing == Standing::Trusted {
            // What was made for the other clocks serves this one too.
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(events.try_recv().is_err(), "nothing has to be done");
        } else {
            until(&mut events, standing, &mut serving).await;
            until(&mut events, Standing::Trusted, &mut serving).await;
        }
        let leaf = serving.as_ref().expect("another certificate");
        assert!(leaf.is_valid(now) && leaf.is_valid(start));
    }
    keeper.abort();
}

/// Whatever fails inside, in the decisions or in what comes of them: it goes on with what it knows, and has forgotten nothing.
#[tokio::test]
async fn a_failure_inside_ends_one_round_and_the_certificate_is_kept_on() {
    let kept = Arc::new(Mutex::new(Kept::new()));
    let client = fake::client({
        let kept = Arc::clone(&kept);
        move |request| kept.lock().unwrap().answer(request)
    });
    let mut keeper = Keeper::new(&client, names(), machine());
    let fails = AtomicUsize::new(2);
    let (sender, mut events) = unbounded_channel();
    let tell = |event: Event| {
        let is_due = fails.load(Ordering::Relaxed) == if matches!(event, Event::Serve(_)) { 2 } else { 1 };
        if is_due && !matches!(event, Event::Standing(Standing::NoCertificate)) {
            fails.fetch_sub(1, Ordering::Relaxed);
            panic!("a mistake of ours");
        }
        let _ = sender.send(event);
    };
    for left in [1, 0] {
        once(keeper.round(&SystemTime::now, &tell)).await;
        assert_eq!(fails.load(Ordering::Relaxed), left);
    }
    // Only this replica remembers it.
    let secret = kept.lock().unwrap().secret.take().unwrap();
    let restored = async {
        let mut serving = None;
        until(&mut events, Standing::Trusted, &mut serving).await;
        assert!(serving.is_some_and(|leaf| leaf.is_valid(SystemTime::now())), "it is told in the end");
        loop {
            if let Some(restored) = &kept.lock().unwrap().secret {
                assert_eq!(restored["data"], secret["data"]);
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = once(keeper.round(&SystemTime::now, &tell)) => panic!("a mistake"),
        () = restored => {}
    }
}

/// Counts lines about mistakes.
struct Errors(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Errors {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A permission that is missing, and a namespace.
#[tokio::test]
async fn what_is_refused_again_and_again_is_told_once() {
    tokio::join!(refused_with(403), refused_with(404));
}

async fn refused_with(code: u16) {
    let lines = Arc::new(AtomicUsize::new(0));
    let lines_of = tracing::Dispatch::new(tracing_subscriber::registry().with(Errors(Arc::clone(&lines))));
    let kept = Arc::new(Mutex::new(Kept::new()));
    let (sender, mut attempts) = unbounded_channel();
    let client = fake::client(move |request| {
        if request.method() == "POST" {
            let _ = sender.send(());
            return (code, Value::Null);
        }
        kept.lock().unwrap().answer(request)
    });
    let work = keep(client, names(), machine(), SystemTime::now, |_| {}).with_subscriber(lines_of);
    let attempts = async {
        for _ in 0..4 {
            attempts.recv().await;
        }
    };
    tokio::select! {
        () = work => {}
        () = attempts => {}
    }
    assert_eq!(lines.load(Ordering::Relaxed), 1, "{code}");
}

#[tokio::test]
async fn what_is_there_counts_after_an_etcd_was_restored() {
    let object = |version: u64, generation: &str| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {
                "name": "zz-podgraft",
                "uid": "u",
                "resourceVersion": version.to_string(),
                "annotations": {(crate::authority::GENERATION): generation},
            },
            "webhooks": [],
        })
    };
    let client = fake::client(move |_| (200, object(50, "3")));
    let read = |value: Value| Some(serde_json::from_value::<DynamicObject>(value).unwrap());
    let of = |generation| Registration::Present { generation: Some(generation), entries: Vec::new() };
    let mut keeper = Keeper::new(&client, names(), machine());
    keeper.take(News::Configuration(0, read(object(90, "7")))).await;
    assert_eq!(keeper.configurations[0].sight, of(7));
    keeper.take(News::Configuration(0, read(object(40, "2")))).await;
    assert_eq!(keeper.configurations[0].sight, of(3));
}

/// Else a Secret might be made after an uninstallation that nobody could see.
#[tokio::test]
async fn what_is_there_is_asked_once_more_of_an_api_server_that_is_busy_for_a_moment() {
    let busy_at_first = || {
        let (kept, asked) = (Arc::new(Mutex::new(Kept::new())), Arc::new(AtomicUsize::new(0)));
        fake::client(move |request| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => (503, Value::Null),
            _ => kept.lock().unwrap().answer(request),
        })
    };
    let mut configuration = Configuration::new(&busy_at_first(), Kind::Mutating, "a".to_owned());
    let mut vault = Vault::new(&busy_at_first(), &names());
    let read = tokio::join!(configuration.read(), vault.read());
    assert!(read.0.is_ok() && read.1.is_ok());
    assert!(matches!(configuration.sight, Registration::Present { .. }), "{:?}", configuration.sight);
    assert!(matches!(vault.sight, Sight::Absent));
}

#[test]
fn failures_are_followed_by_longer_and_longer_pauses() {
    let now = Instant::now();
    let mut pause = Pause::new(now);
    assert!(!pause.is_on(now));
    let mut pauses = Vec::new();
    for _ in 0..9 {
        pause.failed(now);
        pauses.push((pause.until - now).as_millis());
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    pause.succeeded(now);
    pause.failed(now);
    assert_eq!(pause.until, now + FIRST_PAUSE);
}

#[test]
fn who_undoes_everything_gets_an_answer_a_second() {
    let now = Instant::now();
    let mut pause = Pause::new(now);
    (0..BURST).for_each(|_| pause.succeeded(now));
    assert!(!pause.is_on(now), "a few at once");
    pause.succeeded(now);
    assert_eq!(pause.until, now + BREATH);
    pause.succeeded(now + 2 * BREATH * BURST as u32);
    assert_eq!(pause.until, now + BREATH, "a rare one");
}

#[test]
fn what_was_read_before_is_not_taken_for_news() {
    let meta = |uid: &str, version: &str| ObjectMeta {
        uid: Some(uid.to_owned()),
        resource_version: Some(version.to_owned()),
        ..ObjectMeta::default()
    };
    assert!(is_outdated(&meta("a", "9"), &meta("a", "10")));
    for (read, known) in [(("a", "10"), ("a", "9")), (("a", "9"), ("a", "9")), (("b", "9"), ("a", "10"))] {
        assert!(!is_outdated(&meta(read.0, read.1), &meta(known.0, known.1)), "{read:?} {known:?}");
    }
    assert!(!is_outdated(&meta("a", "x"), &meta("a", "10")), "no number");
}
