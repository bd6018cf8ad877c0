//! What requests share: the set in force, the metrics, and whether we are leaving.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::Semaphore;

use crate::metrics::{Injections, Metrics};
use crate::snapshot::Snapshot;

use super::Patience;

/// What requests share.
#[derive(Debug)]
pub struct State {
    /// Everything that is counted.
    pub metrics: Arc<Metrics>,
    /// How long a client may take.
    pub patience: Patience,
    live: ArcSwapOption<Live>,
    pub(super) slots: Semaphore,
    leaving: AtomicBool,
}

/// A snapshot with its counters: both change in one step.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) snapshot: Snapshot,
    pub(super) injections: Injections,
}

impl State {
    /// A state without a snapshot: not ready, and requests are asked to come again. So many may be in flight.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, max_in_flight: usize, patience: Patience) -> Self {
        let slots = Semaphore::new(max_in_flight.min(Semaphore::MAX_PERMITS));
        Self { metrics, patience, live: ArcSwapOption::empty(), slots, leaving: AtomicBool::new(false) }
    }

    /// Puts a snapshot in force, for requests from now on.
    pub fn publish(&self, snapshot: Snapshot) {
        let injections = self.metrics.templates(&snapshot);
        self.live.store(Some(Arc::new(Live { snapshot, injections })));
    }

    /// The snapshot in force. A request looks once.
    pub(super) fn live(&self) -> Option<Arc<Live>> {
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
