//! Tells when files under some paths may have changed, so that they are read again.
//!
//! Watched are directories, never files: the kubelet swaps a mounted ConfigMap or Secret by renaming a symbolic link
//! beside the file, and a watch on the file itself sees that once and then never again. What is watched may not be
//! there yet, and may be replaced as a whole. Who waits reads everything again and compares: an event says only that
//! it is time to look.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, mem, thread};

use notify::event::{AccessKind, AccessMode};
use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use crate::aside::aside;

/// A change is told once this long nothing further happened: a set of files is rarely written in one go.
const QUIET: Duration = Duration::from_millis(300);

/// A change is told after this long at the latest, however busy the directory is.
const PATIENCE: Duration = Duration::from_secs(1);

/// Without any event, it is time to look after this long: some file systems (NFS, FUSE) tell nothing.
const POLL: Duration = Duration::from_secs(30);

/// The same where the system gives us no watcher at all.
const POLL_UNWATCHED: Duration = Duration::from_millis(1500);

/// A wait for changes under some paths.
#[derive(Debug)]
pub struct Watch {
    eyes: Arc<Mutex<Eyes>>,
    /// Changes are told, as far as the system can.
    sees: bool,
    wake: Arc<Notify>,
}

/// What looks at paths. On a file system that hangs all of it may, and so it is done aside.
#[derive(Debug)]
struct Eyes {
    roots: Vec<PathBuf>,
    /// The symbolic links on the way to the roots: who swaps one replaces all that is below.
    links: Arc<Mutex<Vec<PathBuf>>>,
    watcher: Option<RecommendedWatcher>,
    /// The system has no watch left for us, and that was said.
    blind: bool,
    wake: Arc<Notify>,
}

impl Watch {
    /// Starts to watch directories, files (by their directory), and paths that are yet to come.
    pub async fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let wake = Arc::<Notify>::default();
        let eyes = Eyes {
            roots: paths.into_iter().collect(),
            links: Arc::default(),
            watcher: None,
            blind: false,
            wake: Arc::clone(&wake),
        };
        let eyes = Arc::new(Mutex::new(eyes));
        let sees = aside(&eyes, Eyes::open).await.unwrap_or(false);
        Self { eyes, sees, wake }
    }

    /// Waits until it is time to look again. Dropped while it waits, it may forget a change until the next poll.
    pub async fn changed(&mut self) {
        let poll = if self.sees { POLL } else { POLL_UNWATCHED };
        if timeout(poll, self.wake.notified()).await.is_ok() {
            let latest = Instant::now() + PATIENCE;
            while Instant::now() < latest {
                if timeout_at(latest.min(Instant::now() + QUIET), self.wake.notified()).await.is_err() {
                    break;
                }
            }
        }
        // Before the caller reads: what changes from now on wakes us again.
        self.sees = aside(&self.eyes, Eyes::arm).await.unwrap_or(false);
    }
}

impl Eyes {
    /// Begins to watch; whether the system tells what changes.
    fn open(&mut self) -> bool {
        self.roots = self.roots.iter().map(|path| root(path)).collect();
        self.arm()
    }

    /// Watches what is there now. A path may be another directory than a moment ago, so each is watched anew; and the system
    /// may have by now what it had not.
    fn arm(&mut self) -> bool {
        let mut links = Vec::new();
        self.roots.iter().for_each(|root| follow(root, &mut links));
        let missing = self.watch(&links).err();
        if let Some(error) = &missing
            && !self.blind
        {
            tracing::warn!(
                %error,
                "files can't be watched and are polled instead; fs.inotify.max_user_watches and max_user_instances are the \
                 system's limits"
            );
        }
        self.blind = missing.is_some();
        *self.links.lock().unwrap_or_else(PoisonError::into_inner) = links;
        !self.blind
    }

    /// Watches the roots, and what is above them and above these links; an error if the system can't tell of all.
    fn watch(&mut self, links: &[PathBuf]) -> notify::Result<()> {
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            None => self.watcher.insert(watcher(&self.roots, &self.links, &self.wake)?),
        };
        let mut all = Ok(());
        // The directory above tells when this one comes, goes or is replaced.
        let above = self.roots.iter().chain(links).filter_map(|path| path.ancestors().skip(1).find(|it| it.is_dir()));
        for path in above.chain(self.roots.iter().map(PathBuf::as_path)) {
            if let Err(error) = watcher.watch(path, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, path = %path.display(), "not watched for now");
                if matches!(error.kind, ErrorKind::MaxFilesWatch) {
                    all = Err(error);
                }
            }
        }
        all
    }
}

/// What tells of changes at roots and links by waking who waits.
fn watcher(
    roots: &[PathBuf],
    links: &Arc<Mutex<Vec<PathBuf>>>,
    wake: &Arc<Notify>,
) -> notify::Result<RecommendedWatcher> {
    // notify does not look whether it got its thread, and panics later if it did not.
    thread::Builder::new().spawn(|| {})?;
    let (roots, links, wake) = (roots.to_owned(), Arc::clone(links), Arc::clone(wake));
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let links = || links.lock().unwrap_or_else(PoisonError::into_inner);
        if event.map_or(true, |event| concerns(&event, &roots) || concerns(&event, &links())) {
            wake.notify_one();
        }
    })?;
    match watcher.configure(notify::Config::default()) {
        Ok(_) => Ok(watcher),
        Err(error) => {
            // Somebody else took the thread. To drop it would panic as well.
            mem::forget(watcher);
            Err(error)
        }
    }
}

/// As many symbolic links as the kernel follows on one path (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Adds the symbolic links on the way to a path.
fn follow(path: &Path, found: &mut Vec<PathBuf>) {
    for part in path.ancestors() {
        if found.len() < MAX_LINKS
            && !found.iter().any(|known| known == part)
            && let Ok(target) = fs::read_link(part)
        {
            found.push(part.to_owned());
            follow(&part.parent().unwrap_or(part).join(target), found);
        }
    }
}

/// The directory to watch for a path.
fn root(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match path.parent() {
        Some(parent) if path.is_file() => parent.to_owned(),
        _ => path,
    }
}

/// Whether an event is about something in, at or above a root.
fn concerns(event: &notify::Event, roots: &[PathBuf]) -> bool {
    // Our own reading opens files: to answer that would never end.
    let reading = matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
    let about = |path: &PathBuf| roots.iter().any(|root| path.starts_with(root) || root.starts_with(path));
    !reading && (event.paths.is_empty() || event.paths.iter().any(about))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::mpsc;

    use super::*;

    /// Far above the second or so that a change takes to be told, far below the poll.
    const SOON: Duration = Duration::from_secs(10);

    async fn told(watch: &mut Watch) -> bool {
        timeout(SOON, watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn every_swap_of_a_mounted_config_map_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let swap = |round: usize| {
            let version = format!("..2026_{round}");
            fs::create_dir(at(&version)).unwrap();
            fs::write(at(&version).join("a.yaml"), version.as_bytes()).unwrap();
            symlink(&version, at("..data_tmp")).unwrap();
            fs::rename(at("..data_tmp"), at("..data")).unwrap();
        };
        swap(0);
        symlink("..data/a.yaml", at("a.yaml")).unwrap();
        let mut directory = Watch::new([dir.path().to_owned()]).await;
        let mut file = Watch::new([at("a.yaml")]).await;
        for round in 1..4 {
            swap(round);
            assert!(told(&mut directory).await, "the directory, round {round}");
            assert!(told(&mut file).await, "the file, round {round}");
        }
    }

    #[tokio::test]
    async fn a_directory_that_comes_later_and_is_replaced_is_watched() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("not/yet");
        let mut watch = Watch::new([dir.clone()]).await;
        fs::create_dir_all(&dir).unwrap();
        assert!(told(&mut watch).await, "it came");
        fs::write(dir.join("a.yaml"), "1").unwrap();
        assert!(told(&mut watch).await, "a file came");
        fs::rename(&dir, parent.path().join("not/now")).unwrap();
        fs::create_dir(&dir).unwrap();
        assert!(told(&mut watch).await, "it was replaced");
        fs::write(dir.join("a.yaml"), "2").unwrap();
        assert!(told(&mut watch).await, "a file of the new one came");
    }

    /// As git-sync does, and whoever keeps releases side by side.
    #[tokio::test]
    async fn a_link_anywhere_on_the_way_may_be_swapped() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for version in ["v1", "v2", "v3"] {
            fs::create_dir_all(at(version).join("deep/templates")).unwrap();
        }
        let swap = |link: &str, to: &str| {
            symlink(to, at("new")).unwrap();
            fs::rename(at("new"), at(link)).unwrap();
        };
        fs::create_dir(at("links")).unwrap();
        swap("links/latest", "../v1");
        swap("current", "links/latest");
        let mut watch = Watch::new([at("current/deep/templates")]).await;
        swap("links/latest", "../v2");
        assert!(told(&mut watch).await, "the second link");
        swap("current", "v3");
        assert!(told(&mut watch).await, "the first link");
        fs::write(at("v3/deep/templates/a.yaml"), "1").unwrap();
        assert!(told(&mut watch).await, "a file");
    }

    #[tokio::test]
    async fn reading_is_no_change() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.yaml");
        fs::write(&file, "1").unwrap();
        let mut watch = Watch::new([dir.path().to_owned()]).await;
        fs::read(&file).unwrap();
        fs::read_dir(dir.path()).unwrap().for_each(drop);
        assert!(timeout(Duration::from_secs(1), watch.changed()).await.is_err());
    }

    /// As on a network file system whose server is away.
    #[tokio::test]
    async fn who_waits_for_a_file_system_keeps_no_worker() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::new([dir.path().to_owned()]).await;
        let (eyes, (hangs, hung), (back, gone)) = (Arc::clone(&watch.eyes), mpsc::channel(), mpsc::channel::<()>());
        let server = thread::spawn(move || {
            let _held = eyes.lock().unwrap();
            hangs.send(()).unwrap();
            let _ = gone.recv_timeout(SOON);
        });
        hung.recv().unwrap();
        fs::write(dir.path().join("a.yaml"), "1").unwrap();
        assert!(timeout(2 * PATIENCE, watch.changed()).await.is_err(), "the worker goes on");
        drop(back);
        server.join().unwrap();
        fs::write(dir.path().join("a.yaml"), "2").unwrap();
        assert!(told(&mut watch).await, "it is back");
    }
}
