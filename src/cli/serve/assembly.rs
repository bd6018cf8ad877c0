//! The set in force, put together from its two sources: files, with the built-in templates below them, and the API.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::server::State;
use crate::snapshot::{Layer, Snapshot};

/// Where the sources meet. Each brings its own part when that has changed.
#[derive(Debug)]
pub(super) struct Assembly {
    state: Arc<State>,
    parts: Mutex<Parts>,
}

#[derive(Debug)]
struct Parts {
    files: Snapshot,
    /// `None`: the API is in use and has not said yet what it holds, so nothing is in force.
    api: Option<Layer>,
}

impl Assembly {
    /// Puts the files in force, unless the API is to be waited for.
    pub(super) fn new(state: Arc<State>, files: Snapshot, await_api: bool) -> Self {
        let api = (!await_api).then(Layer::default);
        let assembly = Self { state, parts: Mutex::new(Parts { files, api }) };
        assembly.publish(&assembly.parts());
        assembly
    }

    /// Other files are in force.
    pub(super) fn files(&self, files: Snapshot) {
        let mut parts = self.parts();
        parts.files = files;
        self.publish(&parts);
    }

    /// The API holds something else.
    pub(super) fn api(&self, layer: Layer) {
        let mut parts = self.parts();
        parts.api = Some(layer);
        self.publish(&parts);
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With the lock held: sets go into force in the order in which their parts came.
    fn publish(&self, parts: &Parts) {
        if let Some(api) = &parts.api {
            self.state.publish(parts.files.under(api));
        }
    }
}
