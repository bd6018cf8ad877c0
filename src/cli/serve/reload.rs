//! What changes while we serve: templates, namespaces and the certificate, read again when their files change.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::anew::{PAUSE, forever};
use crate::aside::aside;
use crate::cli::options::SourceArgs;
use crate::library::{Event, Library, Report};
use crate::metrics::{Load, Metrics};
use crate::server::State;
use crate::tls::{Clients, ClientsReload, Handshakes, Keeper, Reload, directory};
use crate::watch::Watch;

use super::assembly::{Assembly, Source};

/// Reads templates and namespaces whenever their files may have changed, and puts them in force if they have.
pub(super) async fn templates(library: Library, sources: SourceArgs, assembly: Arc<Assembly>, metrics: Arc<Metrics>) {
    let paths: Vec<PathBuf> = sources.paths().collect();
    if paths.is_empty() {
        return;
    }
    let library = Arc::new(Mutex::new(library));
    // Something was read and did not come into force, for a mistake of ours: it does the next time, changed or not.
    let owed = AtomicBool::new(false);
    let task = || async {
        let mut watch = Watch::new(paths.clone()).await;
        loop {
            // The first time at once: something may have changed since the start, when nobody watched.
            let Some(loaded) = aside(&library, Library::load).await else {
                owed.store(true, Ordering::Relaxed);
                return;
            };
            if loaded.report.changed() || owed.load(Ordering::Relaxed) {
                owed.store(true, Ordering::Relaxed);
                tell(&loaded.report, &metrics, &assembly);
                assembly.files(loaded.snapshot);
                owed.store(false, Ordering::Relaxed);
                tracing::info!("templates and namespaces were read again");
            }
            watch.changed().await;
        }
    };
    forever("reading templates", PAUSE, task).await;
}

/// Reads the certificate whenever its files may have changed.
pub(super) async fn certificate(keeper: Keeper, dir: PathBuf, state: Arc<State>) {
    let keeper = Arc::new(Mutex::new(keeper));
    let task = || async {
        let mut watch = Watch::new([dir.clone()]).await;
        let mut told = Told::default();
        loop {
            let read = |keeper: &mut Keeper| (keeper.reload(SystemTime::now()), keeper.exposed_key());
            let Some((reload, exposed)) = aside(&keeper, read).await else { return };
            told.take(reload, exposed, &keeper.lock().unwrap_or_else(PoisonError::into_inner), &dir, &state);
            watch.changed().await;
        }
    };
    forever("reading the certificate", PAUSE, task).await;
}

/// What was said of a certificate that is served all the same, so that it is said once.
#[derive(Debug, Default)]
struct Told {
    doubt: Option<String>,
    /// The key's mode.
    exposed: Option<u32>,
}

impl Told {
    /// Logs and counts what a reading of the certificate did, and notes until when it can be served.
    fn take(&mut self, reload: Reload, exposed: Option<u32>, keeper: &Keeper, dir: &Path, state: &State) {
        let metrics = &state.metrics;
        // Also if nothing has changed since: what came of the reading before may have failed inside.
        state.certified(keeper.bundle().not_after);
        match reload {
            Reload::Unchanged | Reload::StillKept => {}
            Reload::Swapped => {
                metrics.certificate_loads.inc(Load::Ok);
                let (names, until) = (keeper.bundle().names.join(", "), keeper.bundle().valid_until());
                tracing::info!(names, until, "another certificate is in force");
                self.exposed = None;
            }
            Reload::Kept(error) => {
                metrics.certificate_loads.inc(Load::Failed);
                tracing::error!(%error, "the certificate files are bad; the certificate before stays in force");
            }
        }
        if self.doubt.as_deref() != keeper.doubt() {
            self.doubt = keeper.doubt().map(str::to_owned);
            if let Some(doubt) = &self.doubt {
                tracing::warn!(dir = %dir.display(), doubt, "clients that trust ca.crt will refuse the certificate");
            }
        }
        if self.exposed != exposed {
            self.exposed = exposed;
            if let Some(mode) = exposed {
                let (key, mode) = (dir.join(directory::KEY), format!("{mode:04o}"));
                tracing::warn!(key = %key.display(), mode, "everybody may read the key; chmod 600 keeps it secret");
            }
        }
    }
}

/// Reads the authorities of clients whenever their file may have changed.
pub(super) async fn clients(clients: Clients, handshakes: Arc<Handshakes>, metrics: Arc<Metrics>) {
    let path = clients.file().to_owned();
    let file = path.display();
    let clients = Arc::new(Mutex::new(clients));
    // Others were read and are not served, for a mistake of ours.
    let owed = AtomicBool::new(false);
    let task = || async {
        let mut watch = Watch::new([path.clone()]).await;
        loop {
            let Some(reload) = aside(&clients, Clients::reload).await else { return };
            match reload {
                ClientsReload::Unchanged | ClientsReload::StillKept => {}
                ClientsReload::Changed => owed.store(true, Ordering::Relaxed),
                ClientsReload::Kept(error) => {
                    metrics.certificate_loads.inc(Load::Failed);
                    tracing::error!(%error, "clients of the authorities before are served");
                }
            }
            if owed.load(Ordering::Relaxed) {
                let served = handshakes.serve(&clients.lock().unwrap_or_else(PoisonError::into_inner));
                match served {
                    Ok(()) => {
                        owed.store(false, Ordering::Relaxed);
                        metrics.certificate_loads.inc(Load::Ok);
                        tracing::info!(%file, "clients of other authorities are served");
                    }
                    Err(error) => tracing::error!(%error, "clients of the authorities before are served"),
                }
            }
            watch.changed().await;
        }
    };
    forever("reading the authorities of clients", PAUSE, task).await;
}

/// Logs and counts what a reading of the library did: each change once.
pub(super) fn tell(report: &Report, metrics: &Metrics, assembly: &Assembly) {
    for file in report.files.iter().filter(|file| file.changed) {
        let (path, in_force) = (file.path.display(), file.in_force);
        match &file.event {
            Event::Good(notes) => {
                metrics.template_loads.inc(Load::Ok);
                tracing::info!(file = %path, in_force, "read");
                for note in notes {
                    tracing::warn!(file = %path, line = note.line, column = note.column, "{}", note.message);
                }
            }
            Event::Kept(problem) => {
                metrics.template_loads.inc(Load::Failed);
                tracing::error!(file = %path, in_force, "bad, its last good version stays in force:\n{problem}");
            }
            Event::Failed(problem) => {
                metrics.template_loads.inc(Load::Failed);
                tracing::error!(file = %path, "bad, and nothing of it is in force:\n{problem}");
            }
            Event::Removed => tracing::info!(file = %path, "gone, and what it declared with it"),
        }
    }
    for warning in &report.warnings {
        tracing::warn!("{warning}");
    }
    assembly.read(Source::Files, Some(report.problems().count()));
}
