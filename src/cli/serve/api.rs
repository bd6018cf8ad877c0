//! What the Kubernetes API brings: put in force, counted, and told, a line a change.

use std::time::SystemTime;

use crate::cluster::{Event, Kind, News, Trouble, Update};
use crate::metrics::{Load, Metrics};
use crate::template::Origin;

use super::assembly::Assembly;

/// Takes an update in.
pub(super) fn take(update: Update, assembly: &Assembly, metrics: &Metrics) {
    let Update { layer, news, sound } = update;
    if let Some(layer) = layer {
        assembly.api(layer);
    }
    if sound {
        metrics.templates_read(SystemTime::now());
    }
    for one in news {
        tell(one, metrics);
    }
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
                    "not installed in this cluster (deploy/crds.yaml); they are looked for again every half minute"
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
            tracing::warn!(%kinds, "the Kubernetes API does not answer; what files and the program hold is served without");
        }
    }
}
