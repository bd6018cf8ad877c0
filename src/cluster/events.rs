//! Rejections as Events on the object that people look at: the Deployment of a pod's ReplicaSet, the CronJob of its Job.
//!
//! A review is taken for what it says by whoever reaches our port; an Event is for what the API server knows. So none is
//! written of a controller that is not there as the review has it, or that we can't look for.
//!
//! kube's `Recorder` is not used: it takes two notes about one object for the same and keeps the first one's text, and
//! what it remembers is bounded by time alone.

mod limit;
mod waiting;

use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Fuse, FusedFuture};
use k8s_openapi::api::apps::v1::{DaemonSet, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ReplicationController;
use k8s_openapi::api::events::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::admission::{Owner, Rejection};
use crate::anew::once;

use super::attempt::{Failure, Told, insist, within};
use limit::{Limits, Turn};
use waiting::{Due, Waiting};

/// How long an Event may take, all its calls together. The next rejection brings the next attempt, but not within a minute.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// An Event says so.
    Written,
    /// An Event says so already, and will be counted up by a later one.
    Repeated,
    /// There are too many.
    Limited,
    /// There is no such controller, or of a kind that is not looked for.
    Unknown,
    /// The Event could not be written.
    Failed,
}

/// Writes what it is sent until nobody sends any more. Each replica counts what it has seen itself; `instance` is its name.
/// What is sent is taken at once, also while the API server takes its time for what was sent before. If something fails inside,
/// what was taken up to then is lost, and what comes is not.
pub async fn write(client: Client, instance: String, mut rejections: mpsc::Receiver<Rejection>, tell: impl Fn(Fate)) {
    while !rejections.is_closed() {
        once(write_each(&client, &instance, &mut rejections, &tell)).await;
    }
}

async fn write_each(client: &Client, instance: &str, rejections: &mut mpsc::Receiver<Rejection>, tell: &impl Fn(Fate)) {
    let (mut limits, hasher) = (Limits::new(Instant::now()), RandomState::new());
    let (mut waiting, mut told, mut is_open) = (Waiting::default(), Told::default(), true);
    let mut call = pin!(Fuse::terminated());
    loop {
        if call.is_terminated()
            && let Some(due) = waiting.next()
        {
            call.set(publish(client, instance, due).fuse());
        }
        let fate = tokio::select! {
            rejection = rejections.recv(), if is_open => {
                let Some(rejection) = rejection else {
                    is_open = false;
                    continue;
                };
                let Owner { api_version, kind, name, uid } = &rejection.owner;
                // All of it: who says something false of a controller takes no turn of what is true.
                let key = hasher.hash_one((api_version, kind, name, uid, &rejection.note));
                match limits.take(key, &rejection.namespace, Instant::now()) {
                    Turn::Later => Fate::Repeated,
                    Turn::Never => Fate::Limited,
                    Turn::Now { count } => match waiting.put(Due { rejection, key, count }) {
                        None => continue,
                        Some(_) => Fate::Limited,
                    },
                }
            }
            (namespace, published) = &mut call, if !call.is_terminated() => match published {
                Ok(fate) => {
                    told.works();
                    fate
                }
                Err(failure) => {
                    if told.is_news(&failure) {
                        tracing::warn!(namespace, "an event can't be written: {}", failure.problem);
                    }
                    Fate::Failed
                }
            },
            else => return,
        };
        tell(fate);
    }
}

/// Has an Event written, and says of which namespace.
async fn publish(client: &Client, instance: &str, due: Due) -> (String, Result<Fate, Failure>) {
    let Due { rejection, key, count } = due;
    let report = Report { rejection: &rejection, instance, key, count };
    let published = within(PATIENCE, insist(|| report.publish(client))).await;
    (rejection.namespace, published)
}

/// A rejection whose turn it is.
struct Report<'a> {
    rejection: &'a Rejection,
    instance: &'a str,
    /// Of the rejection's owner and note.
    key: u64,
    /// How often it was seen.
    count: i32,
}

impl Report<'_> {
    /// Makes the Event, or counts it up where it is there.
    async fn publish(&self, client: &Client) -> Result<Fate, kube::Error> {
        let Some(owner) = self.top(client).await? else { return Ok(Fate::Unknown) };
        let kind = ApiResource::erase::<v1::Event>(&());
        let events = Api::<DynamicObject>::namespaced_with(client.clone(), &self.rejection.namespace, &kind);
        let (name, now) = (self.name(&owner), Timestamp::now());
        let made = events.create(&PostParams::default(), &self.event(&owner, now)).await;
        let made = match made {
            // Nobody else makes this name: it is ours, of before or of an attempt that nobody heard of. Where its kind was
            // forgotten meanwhile, we count anew, and a series has two at least (Kubernetes, validation of events).
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let again = json!({"series": series(self.count.max(2), now)});
                events.patch(&name, &PatchParams::default(), &Patch::Merge(again)).await
            }
            made => made,
        };
        made.map(|_| Fate::Written)
    }

    /// The object that people made: the controller's own controller, or where there is none the controller. `None` if the
    /// API server does not know the controller. No more than its metadata is read.
    async fn top(&self, client: &Client) -> Result<Option<Owner>, kube::Error> {
        let Rejection { namespace, owner, .. } = self.rejection;
        let Some(kind) = controller(&owner.api_version, &owner.kind) else { return Ok(None) };
        let controllers = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &kind);
        let metadata = match controllers.get_metadata(&owner.name).await {
            Ok(object) => object.metadata,
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
            Err(error) => return Err(error),
        };
        if metadata.uid.as_ref() != Some(&owner.uid) {
            return Ok(None);
        }
        let above = metadata.owner_references.into_iter().flatten().find(|owner| owner.controller == Some(true));
        // This one is believed: who writes the controller may say whose it is.
        let above = above.map(|it| Owner { api_version: it.api_version, kind: it.kind, name: it.name, uid: it.uid });
        Ok(Some(above.unwrap_or_else(|| owner.clone())))
    }

    fn name(&self, owner: &Owner) -> String {
        // Names of objects have at most 253 characters, all of them ASCII.
        let beginning = owner.name.get(..236).unwrap_or(&owner.name).trim_end_matches(['.', '-']);
        format!("{beginning}.{:016x}", self.key)
    }

    fn event(&self, owner: &Owner, now: Timestamp) -> DynamicObject {
        let Rejection { namespace, note, .. } = self.rejection;
        let Owner { api_version, kind, name, uid } = owner;
        let mut event = DynamicObject::new(&self.name(owner), &ApiResource::erase::<v1::Event>(&())).within(namespace);
        event.data = json!({
            "type": "Warning",
            "reason": "PodRejected",
            "action": "Inject",
            "note": note,
            "regarding": {"apiVersion": api_version, "kind": kind, "name": name, "namespace": namespace, "uid": uid},
            "reportingController": "podgraft",
            "reportingInstance": self.instance,
            "eventTime": MicroTime(now),
            // The Event of before has been forgotten: the API server keeps them for an hour.
            "series": (self.count > 1).then(|| series(self.count, now)),
        });
        event
    }
}

/// The controllers of Kubernetes that make pods, which we may look for.
fn controller(api_version: &str, kind: &str) -> Option<ApiResource> {
    Some(match (api_version, kind) {
        ("apps/v1", "DaemonSet") => ApiResource::erase::<DaemonSet>(&()),
        ("apps/v1", "ReplicaSet") => ApiResource::erase::<ReplicaSet>(&()),
        ("apps/v1", "StatefulSet") => ApiResource::erase::<StatefulSet>(&()),
        ("batch/v1", "Job") => ApiResource::erase::<Job>(&()),
        ("v1", "ReplicationController") => ApiResource::erase::<ReplicationController>(&()),
        _ => return None,
    })
}

fn series(count: i32, last: Timestamp) -> Value {
    json!({"count": count, "lastObservedTime": MicroTime(last)})
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use futures::future::join_all;

    use super::*;
    use crate::cluster::fake;

    /// What becomes of a rejection of a pod of this controller, where there is a DaemonSet `daemons` and a ReplicaSet `set`
    /// of a Deployment; and whom the Event is about.
    async fn written(api_version: &str, kind: &str, name: &str, uid: &str) -> (Fate, Option<String>) {
        let (told, mut heard) = mpsc::unbounded_channel();
        let client = fake::client(move |request| {
            let path = request.uri().path();
            if path.ends_with("/daemonsets/daemons") {
                return (200, json!({"metadata": {"name": "daemons", "uid": "1"}}));
            }
            if path.ends_with("/replicasets/set") {
                let above = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "3", "controller": true}]);
                return (200, json!({"metadata": {"name": "set", "uid": "2", "ownerReferences": above}}));
            }
            if path.ends_with("/events") {
                let _ = told.send(());
                return (201, json!({"metadata": {"name": "a"}}));
            }
            (404, Value::Null)
        });
        let owner = Owner {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
        };
        let rejection = Rejection { namespace: "shop".to_owned(), owner, note: "no".to_owned() };
        let report = Report { rejection: &rejection, instance: "a", key: 1, count: 1 };
        let fate = report.publish(&client).await.expect("an answer");
        let about = report.top(&client).await.expect("an answer").map(|owner| owner.name);
        assert_eq!(heard.try_recv().is_ok(), fate == Fate::Written);
        (fate, about)
    }

    pub(super) fn rejection(namespace: &str, note: String) -> Rejection {
        let owner = Owner {
            api_version: "apps/v1".to_owned(),
            kind: "DaemonSet".to_owned(),
            name: "daemons".to_owned(),
            uid: "1".to_owned(),
        };
        Rejection { namespace: namespace.to_owned(), owner, note }
    }

    #[tokio::test]
    async fn an_event_whose_kind_was_forgotten_is_counted_up_all_the_same() {
        let (told, mut heard) = mpsc::unbounded_channel();
        let client = fake::client(move |request| {
            if request.method() == "PATCH" {
                let _ = told.send(serde_json::from_slice::<Value>(request.body()).unwrap()["series"]["count"].clone());
                return (200, json!({"metadata": {"name": "a"}}));
            }
            if request.method() == "POST" {
                return (409, Value::Null);
            }
            (200, json!({"metadata": {"name": "daemons", "uid": "1"}}))
        });
        for (count, said) in [(1, 2), (2, 2), (7, 7)] {
            let rejection = rejection("shop", "no".to_owned());
            let report = Report { rejection: &rejection, instance: "a", key: 1, count };
            assert_eq!(report.publish(&client).await.expect("an answer"), Fate::Written);
            assert_eq!(heard.recv().await, Some(json!(said)));
        }
    }

    #[tokio::test]
    async fn an_api_server_that_is_busy_for_a_moment_is_asked_once_more() {
        let cases = [
            (&[201][..], Ok(Fate::Written)),
            (&[429, 201], Ok(Fate::Written)),
            (&[503, 201], Ok(Fate::Written)),
            // It was written, but nobody heard of it.
            (&[504, 409, 200], Ok(Fate::Written)),
            (&[503, 503, 201], Err(503)),
            (&[403, 201], Err(403)),
        ];
        let checks = cases.map(async |(codes, wanted)| {
            let answers = Arc::new(Mutex::new(codes.iter()));
            let client = fake::client(move |request| match request.method().as_str() {
                "GET" => (200, json!({"metadata": {"name": "daemons", "uid": "1"}})),
                _ => (*answers.lock().unwrap().next().unwrap(), json!({"metadata": {"name": "a"}})),
            });
            let due = Due { rejection: rejection("shop", "no".to_owned()), key: 1, count: 1 };
            let (_, fate) = publish(&client, "a", due).await;
            assert_eq!(fate.map_err(|failure| failure.code), wanted, "{codes:?}");
        });
        join_all(checks).await;
    }

    #[tokio::test]
    async fn whoever_floods_a_namespace_silences_no_other_where_the_api_server_is_slow() {
        let (told, mut heard) = mpsc::unbounded_channel();
        let client = fake::slow(Duration::from_millis(200), move |request| {
            if request.method() == "POST" {
                let namespace = request.uri().path().split('/').nth(5).unwrap_or_default().to_owned();
                let _ = told.send(namespace);
            }
            (200, json!({"metadata": {"name": "daemons", "uid": "1"}}))
        });
        let (sender, rejections) = mpsc::channel(16);
        let writer = tokio::spawn(write(client, "a".to_owned(), rejections, |_| {}));
        for index in 0..100 {
            sender.try_send(rejection("flooded", format!("no: {index}"))).expect("it is taken at once");
            tokio::task::yield_now().await;
        }
        sender.try_send(rejection("quiet", "no".to_owned())).expect("it is taken at once");
        // One was under way already, and another one had its turn.
        let first = [heard.recv().await, heard.recv().await, heard.recv().await].map(Option::unwrap);
        assert_eq!(first, ["flooded", "flooded", "quiet"]);
        writer.abort();
    }

    #[tokio::test]
    async fn a_failure_inside_loses_what_was_taken_and_nothing_that_comes() {
        let client = fake::client(|_| (200, json!({"metadata": {"name": "daemons", "uid": "1"}})));
        let (told, mut heard) = mpsc::unbounded_channel();
        let failed = Arc::new(AtomicBool::new(false));
        let (sender, rejections) = mpsc::channel(16);
        let writer = tokio::spawn({
            let failed = Arc::clone(&failed);
            write(client, "a".to_owned(), rejections, move |fate| {
                assert!(failed.swap(true, Ordering::Relaxed), "a mistake of ours");
                let _ = told.send(fate);
            })
        });
        sender.send(rejection("shop", "one".to_owned())).await.unwrap();
        while !failed.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
        sender.send(rejection("shop", "two".to_owned())).await.unwrap();
        assert_eq!(heard.recv().await, Some(Fate::Written));
        drop(sender);
        writer.await.expect("it ends when nobody sends any more");
    }

    #[tokio::test]
    async fn nothing_is_said_of_what_the_api_server_does_not_know() {
        for (api_version, kind, name, uid) in [
            ("apps/v1", "DaemonSet", "daemons", "2"),
            ("apps/v1", "DaemonSet", "gone", "1"),
            ("apps/v1", "StatefulSet", "daemons", "1"),
            ("v1", "DaemonSet", "daemons", "1"),
            ("v1", "Node", "daemons", "1"),
            ("example.org/v1", "Rollout", "daemons", "1"),
        ] {
            assert_eq!(
                written(api_version, kind, name, uid).await,
                (Fate::Unknown, None),
                "{api_version} {kind} {name}"
            );
        }
        assert_eq!(written("apps/v1", "DaemonSet", "daemons", "1").await, (Fate::Written, Some("daemons".to_owned())));
        assert_eq!(written("apps/v1", "ReplicaSet", "set", "2").await, (Fate::Written, Some("web".to_owned())));
    }
}
