//! What changes while we serve: templates, namespaces and the certificate, read again when their files change.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::cli::options::SourceArgs;
use crate::library::{Event, Library, Report};
use crate::metrics::{Load, Metrics};
use crate::server::State;
use crate::tls::{Clients, ClientsReload, Handshakes, Keeper, Reload, directory};
use crate::watch::Watch;

use super::anew::{PAUSE, forever};
use super::assembly::{Assembly, Source};

/// After this long, a thread is asked for again.
const NO_THREAD: Duration = Duration::from_secs(1);

/// Has something done on a thread of its own, as files may take their time; `None` if it failed inside. Waits for a thread if
/// the system has none: tokio would panic, and what runs here runs as long as we do.
async fn aside<S: Send + 'static, T: Send + 'static>(kept: &Arc<Mutex<S>>, work: fn(&mut S) -> T) -> Option<T> {
    let mut told = false;
    loop {
        let (kept, (done, result)) = (Arc::clone(kept), oneshot::channel());
        let work = move || done.send(work(&mut kept.lock().unwrap_or_else(PoisonError::into_inner)));
        match thread::Builder::new().spawn(work) {
            Ok(_) => return result.await.ok(),
            Err(error) if !told => {
                tracing::error!(%error, "no thread is to be had to read files on; it is asked for again every second");
                told = true;
            }
            Err(_) => {}
        }
        sleep(NO_THREAD).await;
    }
}

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
        let mut watch = Watch::new(paths.clone());
        loop {
            // The first time at once: something may have changed since the start, when nobody watched.
            let Some(loaded) = aside(&library, Library::load).await else { return };
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

/// Reads the certificate whenever its files may have changed, and looks at the clock.
pub(super) async fn certificate(keeper: Keeper, dir: PathBuf, state: Arc<State>) {
    let mut watch = Watch::new([dir.clone()]);
    warn_of_exposed(&dir);
    let keeper = Arc::new(Mutex::new(keeper));
    let mut doubt = None;
    loop {
        let Some(reload) = aside(&keeper, |keeper| keeper.reload(SystemTime::now())).await else {
            tracing::error!("reading the certificate failed inside; the one in force stays, and changes are not seen");
            return;
        };
        take(reload, &keeper.lock().unwrap_or_else(PoisonError::into_inner), &dir, &mut doubt, &state);
        watch.changed().await;
    }
}

/// Logs and counts what a reading of the certificate did, and notes whether it can be served.
fn take(reload: Reload, keeper: &Keeper, dir: &Path, doubt: &mut Option<String>, state: &State) {
    let metrics = &state.metrics;
    match reload {
        Reload::Unchanged | Reload::StillKept => {}
        Reload::Swapped => {
            metrics.certificate_loads.inc(Load::Ok);
            metrics.certificate(keeper.bundle().not_after);
            let (names, until) = (keeper.bundle().names.join(", "), keeper.bundle().valid_until());
            tracing::info!(names, until, "another certificate is in force");
            warn_of_exposed(dir);
        }
        Reload::Kept(error) => {
            metrics.certificate_loads.inc(Load::Failed);
            tracing::error!(%error, "the certificate files are bad; the certificate before stays in force");
        }
    }
    if doubt.as_deref() != keeper.doubt() {
        *doubt = keeper.doubt().map(str::to_owned);
        if let Some(doubt) = doubt {
            tracing::warn!(dir = %dir.display(), doubt, "clients that trust ca.crt will refuse the certificate");
        }
    }
    state.distrusted(keeper.obstacle(SystemTime::now()));
}

fn warn_of_exposed(dir: &Path) {
    if let Some(mode) = directory::exposed_key(dir) {
        let key = dir.join(directory::KEY);
        tracing::warn!(key = %key.display(), mode = format!("{mode:04o}"), "everybody may read the key; chmod 600 keeps it secret");
    }
}

/// Reads the authorities of clients whenever their file may have changed.
pub(super) async fn clients(mut clients: Clients, handshakes: Arc<Handshakes>, metrics: Arc<Metrics>) {
    let mut watch = Watch::new([clients.file().to_owned()]);
    loop {
        let (file, reload) = (clients.file().display().to_string(), clients.reload());
        match reload {
            ClientsReload::Unchanged | ClientsReload::StillKept => {}
            ClientsReload::Changed => match handshakes.serve(&clients) {
                Ok(()) => {
                    metrics.certificate_loads.inc(Load::Ok);
                    tracing::info!(file, "clients of other authorities are served");
                }
                Err(error) => tracing::error!(%error, "clients of the authorities before are served"),
            },
            ClientsReload::Kept(error) => {
                metrics.certificate_loads.inc(Load::Failed);
                tracing::error!(%error, "clients of the authorities before are served");
            }
        }
        watch.changed().await;
    }
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
