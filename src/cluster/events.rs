//! Rejections as Events on the object that people look at: the Deployment of a pod's ReplicaSet, the CronJob of its Job.
//!
//! kube's `Recorder` is not used: it takes two notes about one object for the same and keeps the first one's text, and
//! what it remembers is bounded by time alone.

mod limit;

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::events::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::admission::{Owner, Rejection};

use limit::{Limits, Turn};

/// How long an Event may take, all its calls together. The next rejection brings the next attempt.
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
    /// The Event could not be written.
    Failed,
}

/// Writes what it is sent until nobody sends any more. Each replica counts what it has seen itself; `instance` is its name.
pub async fn write(client: Client, instance: String, mut rejections: mpsc::Receiver<Rejection>, tell: impl Fn(Fate)) {
    let (mut limits, hasher) = (Limits::new(Instant::now()), RandomState::new());
    let mut told = None;
    while let Some(rejection) = rejections.recv().await {
        let key = hasher.hash_one((&rejection.owner.uid, &rejection.note));
        let fate = match limits.take(key, Instant::now()) {
            Turn::Later => Fate::Repeated,
            Turn::Never => Fate::Limited,
            Turn::Now { count } => {
                let report = Report { rejection: &rejection, instance: &instance, key, count };
                match timeout(PATIENCE, report.publish(&client)).await {
                    Ok(Ok(())) => {
                        told = None;
                        Fate::Written
                    }
                    failed => {
                        let problem = match failed {
                            Ok(Err(kube::Error::Api(status))) => status.message,
                            Ok(Err(error)) => error.to_string(),
                            _ => format!("the API server did not answer within {} s", PATIENCE.as_secs()),
                        };
                        if told.as_ref() != Some(&problem) {
                            tracing::warn!(namespace = rejection.namespace, "an event can't be written: {problem}");
                            told = Some(problem);
                        }
                        Fate::Failed
                    }
                }
            }
        };
        tell(fate);
    }
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
    async fn publish(&self, client: &Client) -> Result<(), kube::Error> {
        let owner = self.top(client).await;
        let kind = ApiResource::erase::<v1::Event>(&());
        let events = Api::<DynamicObject>::namespaced_with(client.clone(), &self.rejection.namespace, &kind);
        let (name, now) = (self.name(&owner), Timestamp::now());
        let made = events.create(&PostParams::default(), &self.event(&owner, now)).await;
        let made = match made {
            // Nobody else makes this name: it is ours of before.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let again = json!({"series": series(self.count, now)});
                events.patch(&name, &PatchParams::default(), &Patch::Merge(again)).await
            }
            made => made,
        };
        made.map(drop)
    }

    /// The object that people made: the controller's own controller, or where there is none the controller.
    async fn top(&self, client: &Client) -> Owner {
        let owner = &self.rejection.owner;
        let above = match (&*owner.api_version, &*owner.kind) {
            ("apps/v1", "ReplicaSet") => self.above(client, ApiResource::erase::<ReplicaSet>(&())).await,
            ("batch/v1", "Job") => self.above(client, ApiResource::erase::<Job>(&())).await,
            _ => None,
        };
        above.unwrap_or_else(|| owner.clone())
    }

    /// The controller of the pod's controller, of which no more than its metadata is read.
    async fn above(&self, client: &Client, kind: ApiResource) -> Option<Owner> {
        let Rejection { namespace, owner, .. } = self.rejection;
        let controllers = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &kind);
        let metadata = controllers.get_metadata(&owner.name).await.ok()?.metadata;
        if metadata.uid.as_ref() != Some(&owner.uid) {
            return None;
        }
        let above = metadata.owner_references.into_iter().flatten().find(|owner| owner.controller == Some(true))?;
        Some(Owner { api_version: above.api_version, kind: above.kind, name: above.name, uid: above.uid })
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

fn series(count: i32, last: Timestamp) -> Value {
    json!({"count": count, "lastObservedTime": MicroTime(last)})
}
