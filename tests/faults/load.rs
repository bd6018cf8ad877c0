//! The load, from the side of who starts it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::client::{MARK, Tally, Task};

/// A running client. Ended when dropped.
pub struct Load {
    child: Child,
    task: Option<ChildStdin>,
    latest: Arc<(Mutex<Tally>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

impl Load {
    /// Starts the command, which has to call `client::run`.
    pub fn start(mut command: Command, task: &Task) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("starting the client")?;
        let mut stdin = child.stdin.take().context("there is no pipe")?;
        serde_json::to_writer(&stdin, task)?;
        stdin.write_all(b"\n")?;
        let latest = Arc::new((Mutex::new(Tally::default()), Condvar::new()));
        let lines = BufReader::new(child.stdout.take().context("there is no pipe")?).lines();
        let reader = std::thread::spawn({
            let latest = Arc::clone(&latest);
            move || {
                for line in lines.map_while(Result::ok) {
                    let tally = line.strip_prefix(MARK).and_then(|tally| serde_json::from_str(tally).ok());
                    if let Some(tally) = tally {
                        *latest.0.lock().unwrap_or_else(PoisonError::into_inner) = tally;
                        latest.1.notify_all();
                    }
                }
            }
        });
        Ok(Self { child, task: Some(stdin), latest, reader: Some(reader) })
    }

    /// What it has told last.
    pub fn tally(&self) -> Tally {
        self.latest.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it tells this.
    pub fn until(&self, patience: Duration, told: impl Fn(&Tally) -> bool) -> Result<Tally> {
        let tally = self.latest.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.latest.1.wait_timeout_while(tally, patience, |tally| !told(tally));
        let (tally, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        ensure!(!waited.timed_out(), "not within {patience:?}: {tally:?}");
        Ok(tally.clone())
    }

    /// Lets it finish what it has begun, and gives its last word.
    pub fn end(mut self) -> Result<Tally> {
        drop(self.task.take());
        let deadline = Instant::now() + Duration::from_secs(90);
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None => ensure!(Instant::now() < deadline, "the client does not end: {:?}", self.tally()),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        ensure!(status.success(), "the client failed: {:?}", self.tally());
        Ok(self.tally())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
