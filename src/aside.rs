//! Work that may block, kept from the threads that answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

/// After this long, a thread is asked for again.
const NO_THREAD: Duration = Duration::from_secs(1);

/// Has something done on a thread of its own, as files may take their time; `None` if it failed inside. Waits for a thread if
/// the system has none: tokio would panic, and what runs here runs as long as we do.
pub(crate) async fn aside<S: Send + 'static, T: Send + 'static>(
    kept: &Arc<Mutex<S>>,
    work: fn(&mut S) -> T,
) -> Option<T> {
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// There is one worker, and the work waits for what only that does.
    #[tokio::test]
    async fn work_that_blocks_keeps_no_worker() {
        let (sender, waits) = mpsc::channel();
        let kept = Arc::new(Mutex::new(waits));
        let work = aside(&kept, |waits| waits.recv_timeout(Duration::from_secs(30)));
        let (received, ()) = tokio::join!(work, async { sender.send(7).unwrap() });
        assert_eq!(received, Some(Ok(7)));
    }

    #[tokio::test]
    async fn work_that_fails_inside_is_told_and_what_it_had_can_still_be_had() {
        let kept = Arc::new(Mutex::new(1));
        let failed: Option<()> = aside(&kept, |_| panic!("a mistake of ours")).await;
        assert_eq!((failed, aside(&kept, |kept| *kept).await), (None, Some(1)));
    }
}
