//! Tasks that go on for as long as the process lives, whatever fails in them.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::sleep;

/// How long to wait before a task begins anew: what failed may fail again at once, and is told each time.
pub(crate) const PAUSE: Duration = Duration::from_secs(30);

/// Does a task until it ends or something fails inside. The panic hook says what it was.
pub(crate) async fn once(task: impl Future<Output = ()>) {
    let _ = AssertUnwindSafe(task).catch_unwind().await;
}

/// Does a task, which ends only when something fails inside, again and again.
pub(crate) async fn forever<T: Future<Output = ()>>(what: &str, pause: Duration, task: impl Fn() -> T) {
    loop {
        once(async { task().await }).await;
        tracing::error!("{what} failed inside; what is in force stays, and it begins anew in {} s", pause.as_secs());
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_task_that_fails_begins_anew_after_a_pause() {
        let (begun, third) = (AtomicU32::new(0), Notify::new());
        let task = || async {
            match begun.fetch_add(1, Ordering::Relaxed) {
                0 => panic!("a mistake of ours"),
                1 => {}
                _ => {
                    third.notify_one();
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            () = forever("a test", Duration::from_millis(1), task) => {}
            () = third.notified() => {}
        }
        assert_eq!(begun.into_inner(), 3);
    }
}
