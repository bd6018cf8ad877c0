//! What requests share: the set in force, the metrics, and whether we are leaving.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::{Semaphore, mpsc};

use crate::admission::{Rejection, Review};
use crate::inject::{Outcome, Renderings};
use crate::metrics::{EventFate, Injections, Metrics};
use crate::snapshot::Snapshot;

use super::Patience;
use super::body::Budget;
use super::places::{GRACE, Places};
use super::seldom::Seldom;

/// Objects that are looked at by `/validate` at a time: a template takes milliseconds to compile, and whatever is applied
/// meanwhile, a processor is left for pods.
const VALIDATIONS: usize = 2;

/// Which part of the requests in flight may be for `/validate`: those that wait there must not keep pods away.
const PART_VALIDATED: usize = 8;

/// What requests share.
#[derive(Debug)]
pub struct State {
    /// Everything that is counted.
    pub metrics: Arc<Metrics>,
    /// How long a client may take.
    pub patience: Patience,
    live: ArcSwapOption<Live>,
    /// One for each request in flight.
    pub(super) places: Arc<Places>,
    /// Of the memory for their bodies.
    pub(super) budget: Budget,
    /// One for each request in flight for `/validate`, beside its place.
    pub(super) waiting: Arc<Places>,
    /// One for each object that is being looked at. Its owner is the work, which goes on when its client does not.
    pub(super) validations: Arc<Semaphore>,
    leaving: AtomicBool,
    /// For the line about requests that come too early.
    pub(super) early: Seldom,
    /// Why clients can't trust our certificate, if they can't.
    untrusted: ArcSwapOption<&'static str>,
    /// When our certificate expires, whoever should have kept it from that. Unknown, it does not.
    certified_until: ArcSwapOption<SystemTime>,
    /// Who hears of rejections.
    rejections: Option<mpsc::Sender<Rejection>>,
}

/// A snapshot with what goes with it: all change in one step.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) snapshot: Snapshot,
    pub(super) renderings: Renderings,
    pub(super) injections: Injections,
}

impl State {
    /// A state without a snapshot: not ready, and requests are asked to come again. So many may be in flight.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, max_in_flight: usize, patience: Patience) -> Self {
        Self {
            metrics,
            patience,
            live: ArcSwapOption::empty(),
            places: Places::new(max_in_flight, GRACE),
            budget: Budget::new(max_in_flight),
            waiting: Places::new((max_in_flight / PART_VALIDATED).max(1), GRACE),
            validations: Arc::new(Semaphore::new(VALIDATIONS)),
            leaving: AtomicBool::new(false),
            early: Seldom::default(),
            untrusted: ArcSwapOption::empty(),
            certified_until: ArcSwapOption::empty(),
            rejections: None,
        }
    }

    /// The same state, with somebody who hears of rejections.
    #[must_use]
    pub fn with_rejections_told(mut self, listener: mpsc::Sender<Rejection>) -> Self {
        self.rejections = Some(listener);
        self
    }

    /// Tells of a decision, if it is a rejection that should be known. Nobody waits: who listens too slowly misses some.
    pub(super) fn tell(&self, review: &Review<'_>, outcome: &Outcome<'_>) {
        let Some(listener) = &self.rejections else { return };
        let Some(rejection) = Rejection::of(review, outcome) else { return };
        if listener.try_send(rejection).is_err() {
            self.metrics.events.inc(EventFate::Dropped);
        }
    }

    /// Says why clients can't trust our certificate, and that they can. Until then they are taken to.
    pub fn distrusted(&self, why: Option<&'static str>) {
        self.untrusted.store(why.map(Arc::new));
    }

    /// Notes until when the certificate in force is valid: from then on we are not ready, whatever else is said.
    pub fn certified(&self, not_after: SystemTime) {
        self.metrics.certificate(not_after);
        self.certified_until.store(Some(Arc::new(not_after)));
    }

    /// Why no requests should be sent here, if that is so.
    pub(super) fn unready(&self) -> Option<&'static str> {
        if self.leaving() {
            Some("shutting down")
        } else if self.live().is_none() {
            Some("templates are not loaded yet")
        } else {
            self.untrusted_at(SystemTime::now())
        }
    }

    fn untrusted_at(&self, now: SystemTime) -> Option<&'static str> {
        let has_expired = self.certified_until.load().as_deref().is_some_and(|not_after| now > *not_after);
        self.untrusted.load().as_deref().copied().or(has_expired.then_some("the certificate has expired"))
    }

    /// Puts a snapshot in force, for requests from now on.
    pub fn publish(&self, snapshot: Snapshot) {
        let injections = self.metrics.templates(&snapshot);
        self.live.store(Some(Arc::new(Live { snapshot, renderings: Renderings::default(), injections })));
    }

    /// The snapshot in force. A request looks once.
    pub(super) fn live(&self) -> Guard<Option<Arc<Live>>> {
        self.live.load()
    }

    /// The snapshot in force, for work that goes on elsewhere.
    pub(super) fn live_shared(&self) -> Option<Arc<Live>> {
        self.live.load_full()
    }

    /// From now on we are not ready, and clients are asked to close their connections.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    pub(super) fn leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::admission;
    use crate::inject::outcome::Reason;

    #[test]
    fn who_serves_a_certificate_past_its_end_is_not_ready_whatever_became_of_its_keeper() {
        let state = State::new(Arc::new(Metrics::new().unwrap()), 1, Patience::default());
        let now = SystemTime::now();
        let later = now + Duration::from_secs(2);
        assert_eq!(state.untrusted_at(later), None, "nobody has said anything");
        state.certified(now + Duration::from_secs(1));
        state.distrusted(None);
        assert_eq!((state.untrusted_at(now), state.untrusted_at(later)), (None, Some("the certificate has expired")));
        state.distrusted(Some("the API server does not trust the certificate yet"));
        assert_eq!(state.untrusted_at(later), Some("the API server does not trust the certificate yet"));
        state.distrusted(None);
        state.certified(later);
        assert_eq!(state.untrusted_at(later), None);
        state.certified(now - Duration::from_secs(1));
        assert_eq!(state.untrusted_at(SystemTime::now()), Some("the certificate has expired"));
    }

    #[test]
    fn nobody_waits_for_who_hears_of_rejections() {
        let body = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","namespace":"shop",
            "kind":{"group":"","version":"v1","kind":"Pod"},"operation":"CREATE","object":{"metadata":{"ownerReferences":[
            {"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"1","controller":true}]}}}}"#;
        let review = admission::decode(body.as_bytes()).unwrap();
        let reason = Reason::Order { graft: "a".to_owned(), chain: "b".to_owned() };
        let outcome = Outcome::Reject(vec![reason], Vec::new());
        let (listener, mut heard) = mpsc::channel(1);
        let metrics = Arc::new(Metrics::new().unwrap());
        let state = State::new(Arc::clone(&metrics), 1, Patience::default()).with_rejections_told(listener);
        for _ in 0..3 {
            state.tell(&review, &outcome);
        }
        assert_eq!(heard.try_recv().unwrap().owner.name, "web");
        let counted = "podgraft_rejection_events_total{result=\"dropped\"} 2\n";
        assert!(metrics.text().unwrap().contains(counted));
    }
}
