//! The Kubernetes API: what a running podgraft reads from it and writes to it.
//!
//! Everything here is optional: without permissions or definitions, files and built-in templates are served as before.
//! But an API server that is to be asked and does not answer leaves open what is in force, and then nothing is.

mod attempt;
pub mod certificate;
pub mod client;
pub mod events;
#[cfg(test)]
mod fake;
mod kind;
pub mod kubeconfig;
mod mirror;
mod object;
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
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};

use crate::template::LoadOptions;

use status::Pending;
use store::Store;

/// The most events that are taken in at a time.
const BATCH: usize = 64;

/// Sets are this far apart at least, however fast objects change: each costs some milliseconds.
const PACE: Duration = Duration::from_millis(100);

/// So many objects of a list are asked for at a time. Of the largest that an API server stores, these are some 30 MiB of
/// text, which is there three or four times while it is read.
const PAGE: u32 = 20;

/// How long to wait before following begins anew.
const PAUSE: Duration = Duration::from_secs(30);

/// Follows templates and namespaces for as long as the process lives. `tell` gets each new set, and what became of the
/// objects; the first time when all of them are known, or nobody here may know them. It is called off the async workers.
pub async fn follow(client: Client, load: LoadOptions, tell: impl Fn(Update) + Clone + Send + 'static) {
    let pending = Pending::default();
    tokio::spawn(status::write(client.clone(), pending.clone()));
    loop {
        once(&client, Store::new(load.clone(), pending.clone(), Instant::now()), &tell).await;
        // The panic hook has said where. What failed may come again, but nothing that changes is ever to go unseen.
        tracing::error!(
            "reading the Kubernetes API failed inside; what is in force stays, and all is read anew in {} s",
            PAUSE.as_secs()
        );
        sleep(PAUSE).await;
    }
}

/// The same until something fails inside.
async fn once(client: &Client, mut store: Store, tell: &(impl Fn(Update) + Clone + Send + 'static)) {
    let watches = Kind::ALL.map(|kind| {
        let events = watcher(kind.all(client), watcher::Config::default().page_size(PAGE)).default_backoff();
        events.map(move |event| (kind, event)).boxed()
    });
    let mut events = select_all(watches).ready_chunks(BATCH);
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
        let Ok((same, published)) = taken.await else { return };
        store = same;
        if published {
            sleep(PACE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Nobody may know what there is, which is told; and there, something fails inside.
    #[tokio::test]
    async fn a_failure_inside_ends_one_round_and_not_the_process() {
        static TOLD: AtomicU32 = AtomicU32::new(0);
        let client = fake::client(|_| (404, serde_json::Value::Null));
        let tell = |_: Update| {
            TOLD.fetch_add(1, Ordering::Relaxed);
            panic!("a mistake of ours");
        };
        for round in 1..3 {
            let store = Store::new(LoadOptions::default(), Pending::default(), Instant::now());
            once(&client, store, &tell).await;
            assert_eq!(TOLD.load(Ordering::Relaxed), round);
        }
    }
}
