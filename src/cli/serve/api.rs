//! What the Kubernetes API brings: put in force, counted, and told, a line a change.

use std::fs;
use std::sync::Arc;

use kube::Client;
use tokio::sync::mpsc;

use crate::admission::Rejection;
use crate::anew::{PAUSE, forever};
use crate::cluster::events::{self, Fate};
use crate::cluster::prefix::{self, Mismatch};
use crate::cluster::{Event, Kind, News, Trouble, Update};
use crate::metrics::{EventFate, Load, Metrics};
use crate::template::Origin;

use super::assembly::{Assembly, Source};

/// Takes an update in.
pub(super) fn take(update: Update, assembly: &Assembly, metrics: &Metrics) {
    let Update { layer, news, bad, read } = update;
    if let Some(layer) = layer {
        assembly.api(layer);
    }
    if read {
        assembly.read(Source::Api, bad);
    }
    for one in news {
        tell(one, metrics);
    }
}

/// Rejections that nobody has looked at yet; each holds some hundred bytes, and 2 KiB at most.
pub(super) const WAITING: usize = 256;

/// Tells of rejections in the API for as long as anybody rejects.
pub(super) async fn tell_of(rejections: mpsc::Receiver<Rejection>, api: Client, metrics: Arc<Metrics>) {
    // In a pod it is the pod's name.
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let instance = match host.trim() {
        "" => "podgraft".to_owned(),
        name => name.to_owned(),
    };
    events::write(api, instance, rejections, |fate| {
        metrics.events.inc(match fate {
            Fate::Written => EventFate::Written,
            Fate::Repeated => EventFate::Repeated,
            Fate::Limited => EventFate::Limited,
            Fate::Unknown => EventFate::Unknown,
            Fate::Failed => EventFate::Failed,
        });
    })
    .await;
}

/// Says for as long as the process lives where the registration looks for another annotation prefix than we do.
pub(super) async fn compare(api: Client, [mutating, validating]: [String; 2], own: String, metrics: Arc<Metrics>) {
    let tell = |found: &[Mismatch]| {
        metrics.prefix_mismatches.set(i64::try_from(found.len()).unwrap_or(i64::MAX));
        for Mismatch { configuration, entry, prefixes } in found {
            let theirs = prefixes.join("/, ");
            tracing::error!(
                entry,
                "{configuration} looks for annotations of {theirs}/, and --annotation-prefix is {own}: nobody who asks is \
                 heard; give both the same"
            );
        }
        if found.is_empty() {
            tracing::info!("the registration looks for annotations of {own}/ now, as we do");
        }
    };
    let task = || prefix::compare(api.clone(), &mutating, &validating, &own, tell);
    forever("comparing the registration with --annotation-prefix", PAUSE, task).await;
}

fn tell(news: News, metrics: &Metrics) {
    match news {
        News::Template { origin: Origin(template), event } => match event {
            Event::Good(notes) => {
                metrics.template_loads.inc(Load::Ok);
                tracing::info!(%template, "compiled");
                for note in notes {
                    tracing::warn!(%template, line = note.line, "{}", note.message);
                }
            }
            Event::Kept(error) => {
                metrics.template_loads.inc(Load::Failed);
                tracing::error!(%template, "bad; its last good version stays in force:\n{error}");
            }
            Event::Failed(error) => {
                metrics.template_loads.inc(Load::Failed);
                tracing::error!(%template, "bad, and pods that ask for it are denied:\n{error}");
            }
            Event::Removed => tracing::info!(%template, "gone"),
        },
        News::Listed { kind, count } => tracing::info!(kind = kind.plural(), count, "read from the Kubernetes API"),
        News::Trouble { kind, trouble } => {
            let kind = kind.plural();
            match trouble {
                Trouble::Absent => tracing::warn!(
                    kind,
                    "not installed in this cluster (deploy/crds.yaml); they are looked for again every second or two"
                ),
                Trouble::Forbidden(permission) => tracing::error!(
                    kind,
                    "can't be read; grant get, list and watch to podgraft's service account: {permission}"
                ),
                Trouble::Failed(error) => {
                    tracing::error!(kind, "can't be watched; what is known of them stays in force: {error}");
                }
            }
        }
        News::Resumed { kind } => tracing::info!(kind = kind.plural(), "watched again"),
        News::Late { kinds } => {
            let kinds: Vec<_> = kinds.into_iter().map(Kind::plural).collect();
            let kinds = kinds.join(", ");
            tracing::error!(
                %kinds,
                "the Kubernetes API does not say what these are, and nothing is served before it does: without them, pods would \
                 silently get something else; --kubernetes never serves files and built-in templates alone"
            );
        }
    }
}
