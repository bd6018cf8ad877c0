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
mod pace;
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

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, select_all};
use futures::{Stream, StreamExt};
use kube::Client;
use kube::api::Api;
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};

use crate::anew::{PAUSE, forever, once};
use crate::template::LoadOptions;

use object::Object;
use pace::Pauses;
use status::Pending;
use store::Store;

/// The most events that are taken in at a time.
const BATCH: usize = 64;

/// Sets are this far apart at least, however fast objects change: each costs some milliseconds.
const PACE: Duration = Duration::from_millis(100);

/// So many objects of a list are asked for at a time. Of the largest that an API server stores, these are some 30 MiB of
/// text, which is there three or four times while it is read.
const PAGE: u32 = 20;

/// Follows templates and namespaces for as long as the process lives. `tell` gets each new set, and what became of the
/// objects; the first time when all of them are known, or nobody here may know them. It is called off the async workers.
///
/// A round ends when something fails inside, which may poison the store, or when no thread is to be had: Tokio panics when it
/// gets none for `spawn_blocking`.
pub async fn follow(client: Client, load: LoadOptions, tell: impl Fn(Update) + Clone + Send + 'static) {
    let pending = Pending::default();
    let (writer, verdicts) = (client.clone(), pending.clone());
    let write = move || status::write(writer.clone(), verdicts.clone());
    tokio::spawn(async move { forever("writing statuses", PAUSE, write).await });
    let new = || Arc::new(Mutex::new(Store::new(load.clone(), pending.clone(), Instant::now())));
    let mut store = new();
    loop {
        once(round(&client, &store, &tell)).await;
        // What failed may come again, but nothing that changes is ever to go unseen.
        tracing::error!(
            "reading the Kubernetes API failed inside, or for lack of threads; what is in force stays, and all is read anew \
             in {} s",
            PAUSE.as_secs()
        );
        sleep(PAUSE).await;
        if store.is_poisoned() {
            store = new();
        }
    }
}

async fn round(client: &Client, store: &Arc<Mutex<Store>>, tell: &(impl Fn(Update) + Clone + Send + 'static)) {
    let watches = Kind::ALL.map(|kind| {
        let events = events(kind.all(client)).backoff(Pauses::default());
        events.map(move |event| (kind, event)).boxed()
    });
    let mut events = select_all(watches).ready_chunks(BATCH);
    loop {
        // Nobody else has it now.
        let deadline = store.lock().unwrap_or_else(PoisonError::into_inner).deadline();
        let batch = tokio::select! {
            batch = events.next() => batch.unwrap_or_default(),
            () = sleep_until(deadline) => Vec::new(),
        };
        let (store, tell) = (Arc::clone(store), tell.clone());
        let taken = spawn_blocking(move || {
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            let update = store.take(batch, Instant::now());
            let published = update.layer.is_some();
            if published || !update.news.is_empty() {
                tell(update);
            }
            (published, store.is_starved())
        });
        let Ok((published, false)) = taken.await else { return };
        if published {
            sleep(PACE).await;
        }
    }
}

/// What happens to the objects of a kind, without pauses after errors.
///
/// Once it has a list, kube's watcher asks for watches alone, until one says that its version is gone. But where a watch is
/// not found, only another list can say whether there is such a kind; until it is complete, what is known stays. Where lists
/// are found and watches never are, lists are all there is, further and further apart.
fn events(api: Api<Object>) -> impl Stream<Item = watcher::Result<watcher::Event<Object>>> + Send {
    let anew = move || watcher(api.clone(), watcher::Config::default().page_size(PAGE)).boxed();
    stream::unfold((anew(), anew, Pauses::default()), |(mut watch, anew, mut pauses)| async {
        let event = watch.next().await?;
        match &event {
            Err(error) if trouble::is_watch_not_found(error) => {
                sleep(pauses.next().unwrap_or(pace::LONGEST_PAUSE)).await;
                watch = anew();
            }
            Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_)) => pauses.reset(),
            _ => {}
        }
        Some((event, (watch, anew, pauses)))
    })
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::json;
    use tokio::time::timeout;

    use super::*;

    /// An API server that starts: what it does not serve yet it does not know.
    #[tokio::test]
    async fn a_watch_that_is_not_found_is_followed_by_a_list_after_a_pause_that_grows() {
        static LISTS: AtomicU32 = AtomicU32::new(0);
        let client = fake::client(|request| {
            if request.uri().query().is_some_and(|query| query.contains("watch=true")) {
                return (if LISTS.load(Ordering::Relaxed) < 3 { 404 } else { 200 }, serde_json::Value::Null);
            }
            let list = LISTS.fetch_add(1, Ordering::Relaxed);
            let name = format!("n{list}");
            (200, json!({"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"name": name}}]}))
        });
        let mut events = pin!(events(Kind::Namespace.all(&client)));
        let (mut heard, start) = (Vec::new(), Instant::now());
        while let Ok(Some(event)) = timeout(Duration::from_secs(4), events.next()).await {
            match event {
                Ok(watcher::Event::InitApply(object)) => heard.push(object.metadata.name.unwrap_or_default()),
                Ok(_) => {}
                Err(error) => {
                    assert!(matches!(Trouble::of(Kind::Namespace, &error), Trouble::Failed(_)), "{error}");
                    heard.push("no".to_owned());
                }
            }
            if heard.len() == 5 {
                break;
            }
        }
        assert_eq!(heard, ["n0", "no", "n1", "no", "n2"]);
        // kube's pauses are 0.8 and 1.6 s at least.
        assert!(start.elapsed() > Duration::from_millis(2300), "{:?}", start.elapsed());
    }

    /// There are no namespaces and no templates may be, which is told; and there, something fails inside.
    #[tokio::test]
    async fn a_failure_inside_ends_one_round_and_not_the_process() {
        static TOLD: AtomicU32 = AtomicU32::new(0);
        let client = fake::client(|request| {
            let code = if request.uri().path().ends_with("/namespaces") { 200 } else { 404 };
            (code, json!({"metadata": {"resourceVersion": "1"}, "items": []}))
        });
        let tell = |_: Update| {
            TOLD.fetch_add(1, Ordering::Relaxed);
            panic!("a mistake of ours");
        };
        for nth in 1..3 {
            let store = store();
            once(round(&client, &store, &tell)).await;
            assert_eq!((TOLD.load(Ordering::Relaxed), store.is_poisoned()), (nth, true));
        }
    }

    fn store() -> Arc<Mutex<Store>> {
        Arc::new(Mutex::new(Store::new(LoadOptions::default(), Pending::default(), Instant::now())))
    }

    /// There is no memory for such a stack, and so there is no such thread.
    #[test]
    fn a_lack_of_threads_ends_one_round_and_what_is_known_stays() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().thread_stack_size(1 << 60).build().unwrap();
        runtime.block_on(async {
            let client = fake::client(|_| (404, serde_json::Value::Null));
            let store = store();
            once(round(&client, &store, &|_| panic!("no thread told this"))).await;
            assert!(!store.is_poisoned());
        });
    }
}
