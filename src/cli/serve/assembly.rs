//! The set in force, put together from its two sources: files, with the built-in templates below them, and the API.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

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
    /// Whether all templates of each source are good as they are now.
    sound: [bool; 2],
}

/// A source of templates.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    /// Files.
    Files,
    /// The API.
    Api,
}

impl Assembly {
    /// Puts the files in force, unless the API is to be waited for.
    pub(super) fn new(state: Arc<State>, files: Snapshot, await_api: bool) -> Self {
        let api = (!await_api).then(Layer::default);
        let parts = Parts { files, api, sound: [false, !await_api] };
        let assembly = Self { state, parts: Mutex::new(parts) };
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

    /// The templates of a source were read, and are all good or not. What is told of it is when all of both were.
    pub(super) fn read(&self, source: Source, sound: bool) {
        let mut parts = self.parts();
        parts.sound[source as usize] = sound;
        if parts.sound == [true, true] {
            self.state.metrics.templates_read(SystemTime::now());
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::server::Patience;

    #[test]
    fn all_is_well_when_files_and_api_are() {
        let never = "podgraft_template_last_success_timestamp_seconds 0\n";
        let with = |api: bool| {
            let metrics = Arc::new(Metrics::new().unwrap());
            let state = State::new(Arc::clone(&metrics), 1, Patience::default());
            (Assembly::new(Arc::new(state), Snapshot::default(), api), metrics)
        };
        let (assembly, metrics) = with(true);
        for (source, sound) in [
            (Source::Files, true),
            (Source::Files, false),
            (Source::Api, true),
            (Source::Api, false),
            (Source::Files, true),
        ] {
            assembly.read(source, sound);
            assert!(metrics.text().unwrap().contains(never), "{source:?} {sound}");
        }
        assembly.read(Source::Api, true);
        assert!(!metrics.text().unwrap().contains(never));

        let (files, metrics) = with(false);
        files.read(Source::Files, true);
        assert!(!metrics.text().unwrap().contains(never), "there are no others");
    }
}
