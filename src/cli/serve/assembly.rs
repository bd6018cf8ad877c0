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
    /// How many files or objects of each source are bad as they are now; `None`: it has not been read.
    bad: [Option<usize>; 2],
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
        let parts = Parts { files, api, bad: [None, (!await_api).then_some(0)] };
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

    /// The templates of a source were read, and so many files or objects are bad; `None`: some were not read yet.
    pub(super) fn read(&self, source: Source, bad: Option<usize>) {
        let mut parts = self.parts();
        parts.bad[source as usize] = bad;
        let metrics = &self.state.metrics;
        let refused: usize = parts.bad.into_iter().flatten().sum();
        metrics.templates_refused.set(i64::try_from(refused).unwrap_or(i64::MAX));
        if parts.bad == [Some(0), Some(0)] {
            metrics.templates_read(SystemTime::now());
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
        for (source, bad, refused) in [
            (Source::Files, Some(0), 0),
            (Source::Files, Some(2), 2),
            (Source::Api, None, 2),
            (Source::Api, Some(0), 2),
            (Source::Api, Some(3), 5),
            (Source::Files, Some(0), 3),
        ] {
            assembly.read(source, bad);
            let text = metrics.text().unwrap();
            assert!(text.contains(never), "{source:?} {bad:?}");
            assert!(text.contains(&format!("\npodgraft_templates_refused {refused}\n")), "{source:?} {bad:?}");
        }
        assembly.read(Source::Api, Some(0));
        assert!(!metrics.text().unwrap().contains(never));

        let (files, metrics) = with(false);
        files.read(Source::Files, Some(0));
        assert!(!metrics.text().unwrap().contains(never), "there are no others");
    }
}
