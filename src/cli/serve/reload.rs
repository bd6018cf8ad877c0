//! What changes while we serve: templates, namespaces and the certificate, read again when their files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::task::spawn_blocking;

use crate::cli::options::SourceArgs;
use crate::library::{Event, Library, Report};
use crate::metrics::{Load, Metrics};
use crate::server::State;
use crate::tls::{Clients, ClientsReload, Handshakes, Keeper, Reload, directory};
use crate::watch::Watch;

use super::assembly::{Assembly, Source};

/// Reads templates and namespaces whenever their files may have changed, and puts them in force if they have.
pub(super) async fn templates(
    mut library: Library,
    sources: SourceArgs,
    assembly: Arc<Assembly>,
    metrics: Arc<Metrics>,
) {
    let paths: Vec<PathBuf> = sources.paths().collect();
    if paths.is_empty() {
        return;
    }
    let mut watch = Watch::new(paths);
    loop {
        // The first time at once: something may have changed since the start, when nobody watched.
        let read = spawn_blocking(move || {
            let loaded = library.load();
            (library, loaded)
        });
        let Ok((same, loaded)) = read.await else {
            // The panic hook has said where.
            tracing::error!("reading templates failed inside; those in force stay, and changes are no longer seen");
            return;
        };
        library = same;
        let changed = loaded.report.changed();
        if changed {
            tell(&loaded.report, &metrics, &assembly);
            assembly.files(loaded.snapshot);
            tracing::info!("templates and namespaces were read again");
        }
        watch.changed().await;
    }
}

/// Reads the certificate whenever its files may have changed, and looks at the clock.
pub(super) async fn certificate(mut keeper: Keeper, dir: PathBuf, state: Arc<State>) {
    let mut watch = Watch::new([dir.clone()]);
    let metrics = &state.metrics;
    warn_of_exposed(&dir);
    let mut doubt = None;
    loop {
        let read = spawn_blocking(move || {
            let reload = keeper.reload(SystemTime::now());
            (keeper, reload)
        });
        let Ok((same, reload)) = read.await else {
            tracing::error!("reading the certificate failed inside; the one in force stays, and changes are not seen");
            return;
        };
        keeper = same;
        match reload {
            Reload::Unchanged | Reload::StillKept => {}
            Reload::Swapped => {
                metrics.certificate_loads.inc(Load::Ok);
                metrics.certificate(keeper.bundle().not_after);
                let (names, until) = (keeper.bundle().names.join(", "), keeper.bundle().valid_until());
                tracing::info!(names, until, "another certificate is in force");
                warn_of_exposed(&dir);
            }
            Reload::Kept(error) => {
                metrics.certificate_loads.inc(Load::Failed);
                tracing::error!(%error, "the certificate files are bad; the certificate before stays in force");
            }
        }
        if doubt.as_deref() != keeper.doubt() {
            doubt = keeper.doubt().map(str::to_owned);
            if let Some(doubt) = &doubt {
                tracing::warn!(dir = %dir.display(), doubt, "clients that trust ca.crt will refuse the certificate");
            }
        }
        state.distrusted(keeper.obstacle(SystemTime::now()));
        watch.changed().await;
    }
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
