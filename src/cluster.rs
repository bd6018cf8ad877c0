//! The Kubernetes API: what a running podgraft reads from it and writes to it.
//!
//! Everything here is optional: without an API server, or without the permission to use it, files and built-in
//! templates are served as before.

pub mod certificate;
pub mod client;
pub mod events;
#[cfg(test)]
mod fake;
mod kind;
mod mirror;
pub mod prefix;
mod resource;
mod status;
mod store;
mod templates;
mod trouble;

pub use kind::Kind;
pub use resource::definitions;
pub use store::{News, Update};
pub use templates::Event;
pub use trouble::Trouble;

use std::time::Duration;

use futures::StreamExt;
use futures::stream::select_all;
use kube::Client;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};

use crate::template::LoadOptions;

use store::Store;

/// The most events that are taken in at a time.
const BATCH: usize = 256;

/// Sets are this far apart at least, however fast objects change: each costs some milliseconds.
const PACE: Duration = Duration::from_millis(100);

/// Follows templates and namespaces for as long as the process lives. `tell` gets each new set, and what became of the
/// objects; the first time when all of them are known, or can't be known for now. It is called off the async workers.
pub async fn follow(client: Client, load: LoadOptions, tell: impl Fn(Update) + Clone + Send + 'static) {
    let (verdicts, to_write) = mpsc::unbounded_channel();
    tokio::spawn(status::write(client.clone(), to_write));
    let watches = Kind::ALL.map(|kind| {
        let events = watcher(kind.all(&client), watcher::Config::default()).default_backoff();
        events.map(move |event| (kind, event)).boxed()
    });
    let mut events = select_all(watches).ready_chunks(BATCH);
    let mut store = Store::new(load, verdicts, Instant::now());
    loop {
        let batch = tokio::select! {
            batch = events.next() => batch.unwrap_or_default(),
            () = sleep_until(store.deadline()) => Vec::new(),
        };
        let tell = tell.clone();
        let taken = spawn_blocking(move || {
            let update = store.take(batch, Instant::now());
            let published = update.layer.is_some();
            if published || !update.news.is_empty() {
                tell(update);
            }
            (store, published)
        });
        let Ok((same, published)) = taken.await else {
            // The panic hook has said where.
            tracing::error!(
                "reading the Kubernetes API failed inside; what is in force stays, and changes are not seen"
            );
            return;
        };
        store = same;
        if published {
            sleep(PACE).await;
        }
    }
}
