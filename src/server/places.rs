//! A limited number of places, and who gives one up when all are taken.
//!
//! A connection that says nothing, or a body that does not come to its end, costs next to nothing but its place. So it
//! may keep that, but only while nobody else needs it: then whoever has waited longest for its client goes first, and
//! strangers, who never asked for anything, before all others. A thousand connections that are opened and left alone
//! keep no API server out, and don't take the connections that it keeps.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

/// A place, until it is dropped.
pub(super) type Place = OwnedSemaphorePermit;

/// How long a stranger may wait for its client before its place can be needed: what is on its way has arrived by then.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// Who waits for its client.
#[derive(Debug, Clone, Copy)]
pub(super) enum Guest {
    /// It has not come to what it is here for: a connection to a request, a request to its body's end.
    Stranger,
    /// It has. Its connection may be used again at any moment, and is closed under a request then, so it has more grace:
    /// whenever it can be asked to go, strangers are past theirs. Not much more: who sends a review in time keeps its place.
    Regular,
}

/// Places, shared by those who want one.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    grace: Duration,
    strangers: Queue,
    regulars: Queue,
}

/// Those who linger: they have waited for longer than the grace.
#[derive(Debug, Default)]
struct Queue {
    length: AtomicUsize,
    /// A `Notify` wakes those who wait for it in the order in which they came.
    needed: Arc<Notify>,
}

impl Queue {
    /// Has the first of the queue give its place up; `false` if nobody stands there.
    fn next(&self) -> bool {
        let somebody = self.length.load(Ordering::Relaxed) > 0;
        if somebody {
            self.needed.notify_one();
        }
        somebody
    }
}

impl Places {
    pub(super) fn new(count: usize, grace: Duration) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { free, grace, strangers: Queue::default(), regulars: Queue::default() })
    }

    fn queue(&self, guest: Guest) -> &Queue {
        match guest {
            Guest::Stranger => &self.strangers,
            Guest::Regular => &self.regulars,
        }
    }

    /// How long somebody may wait for its client before its place can be needed.
    pub(super) fn grace(&self, guest: Guest) -> Duration {
        match guest {
            Guest::Stranger => self.grace,
            Guest::Regular => 2 * self.grace,
        }
    }

    /// A place that is free.
    pub(super) fn free(&self) -> Option<Place> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// A place that is free, or is given up for us now.
    pub(super) async fn now(&self) -> Option<Place> {
        let free = self.free();
        if free.is_some() || !self.need() {
            return free;
        }
        // Seldom, so no other request's future has room for it.
        Box::pin(self.freed()).await
    }

    /// A place, as soon as there is one.
    pub(super) async fn soon(&self) -> Place {
        loop {
            if let Some(place) = self.now().await {
                return place;
            }
            // Nobody lingers yet.
            if let Some(place) = self.freed().await {
                return place;
            }
        }
    }

    /// Has one of those who linger give its place up; `false` if nobody lingers.
    pub(super) fn need(&self) -> bool {
        self.strangers.next() || self.regulars.next()
    }

    /// The next place that is given back, within a moment.
    async fn freed(&self) -> Option<Place> {
        timeout(self.grace, Arc::clone(&self.free).acquire_owned()).await.ok()?.ok()
    }

    /// From now on we linger.
    pub(super) fn linger(self: &Arc<Self>, guest: Guest) -> Lingering {
        let queue = self.queue(guest);
        queue.length.fetch_add(1, Ordering::Relaxed);
        let mut needed = Box::pin(Arc::clone(&queue.needed).notified_owned());
        // Into the queue at once, not when it is first polled.
        needed.as_mut().enable();
        Lingering { needed, guest, places: Arc::clone(self) }
    }

    /// For somebody who holds a place and begins to wait for its client: until it has to give the place up.
    pub(super) async fn outstayed(self: &Arc<Self>, guest: Guest) {
        sleep(self.grace(guest)).await;
        self.linger(guest).await;
    }
}

/// Somebody who holds a place and lingers. Ready when the place is needed.
pub(super) struct Lingering {
    needed: Pin<Box<OwnedNotified>>,
    guest: Guest,
    places: Arc<Places>,
}

impl Future for Lingering {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.needed.as_mut().poll(cx)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        self.places.queue(self.guest).length.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn whoever_lingers_longest_goes_first_but_strangers_before_all() {
        let places = Places::new(2, GRACE);
        let held = (places.free().unwrap(), places.free().unwrap());
        assert!(places.now().await.is_none(), "nobody lingers");
        let mut regular = places.linger(Guest::Regular);
        let (mut first, mut second) = (places.linger(Guest::Stranger), places.linger(Guest::Stranger));
        let newcomer = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.soon().await }
        });
        (&mut first).await;
        assert!(timeout(2 * GRACE, &mut second).await.is_err(), "one place was needed");
        drop((first, held.0));
        drop(newcomer.await.unwrap());
        drop(second);
        assert!(places.need());
        (&mut regular).await;
        drop(regular);
        assert!(!places.need(), "nobody lingers any more");
    }

    #[tokio::test]
    async fn who_waits_for_a_place_gets_it_from_one_who_begins_to_linger() {
        let places = Places::new(1, GRACE);
        let held = places.free().unwrap();
        let newcomer = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.soon().await }
        });
        places.outstayed(Guest::Stranger).await;
        drop(held);
        drop(newcomer.await.unwrap());
    }
}
