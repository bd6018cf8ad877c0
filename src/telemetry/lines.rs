//! Lines of the log on their way to standard error, which may take its time: who reads it may have stopped to.
//!
//! Whoever logs leaves a line here and goes on. One thread writes what has come, all in one go. Where nobody takes it, lines
//! are lost, and their number is told when somebody does again; nothing else waits, neither requests nor probes nor the end.

use std::io::{self, Write};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// Bytes of lines that wait to be written.
const MAX_WAITING: usize = 1024 * 1024;

/// Bytes of the two buffers that are kept for further lines, each.
const KEPT: usize = 64 * 1024;

/// How long the writer rests when it has written. Lines that come close together cost one wake-up and one write: with rests of
/// a millisecond, a busy server wrote for a fortieth of its time.
const REST: Duration = Duration::from_millis(4);

/// Lines that wait to be written.
pub(super) struct Lines {
    waiting: Mutex<Waiting>,
    /// There is something to write, and the writer sleeps.
    came: Condvar,
    /// All is written.
    done: Condvar,
}

struct Waiting {
    text: Vec<u8>,
    /// Lines for which there was no room.
    lost: u64,
    /// The writer, while it tells how many were lost: nobody else's line comes before that one, or takes its room.
    teller: Option<ThreadId>,
    sleeps: bool,
    writes: bool,
}

impl Lines {
    pub(super) const fn new() -> Self {
        let waiting = Waiting { text: Vec::new(), lost: 0, teller: None, sleeps: false, writes: false };
        Self { waiting: Mutex::new(waiting), came: Condvar::new(), done: Condvar::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        let others_turn = waiting.teller.is_some_and(|teller| teller != thread::current().id());
        if others_turn || waiting.text.len() + line.len() > MAX_WAITING {
            waiting.lost += 1;
            return;
        }
        waiting.text.extend_from_slice(line);
        if mem::take(&mut waiting.sleeps) {
            drop(waiting);
            self.came.notify_one();
        }
    }

    /// Writes what comes, for ever. `lost` hears of lines that were lost behind those that are about to be written.
    pub(super) fn write_to(&self, mut out: impl Write, lost: impl Fn(u64)) {
        let mut text = Vec::new();
        loop {
            let mut waiting = self.waiting();
            while waiting.text.is_empty() {
                waiting.sleeps = true;
                waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            mem::swap(&mut waiting.text, &mut text);
            waiting.writes = true;
            let untold = mem::take(&mut waiting.lost);
            if untold > 0 {
                waiting.teller = Some(thread::current().id());
                drop(waiting);
                lost(untold);
                waiting = self.waiting();
                waiting.teller = None;
            }
            drop(waiting);
            // There is nobody to tell if that fails.
            let _ = out.write_all(&text).and_then(|()| out.flush());
            text.clear();
            text.shrink_to(KEPT);
            self.waiting().writes = false;
            self.done.notify_all();
            thread::sleep(REST);
        }
    }

    /// Waits until all is written, but no longer than this.
    pub(super) fn wait(&self, limit: Duration) {
        let unfinished = |waiting: &mut Waiting| waiting.writes || !waiting.text.is_empty();
        drop(self.done.wait_timeout_while(self.waiting(), limit, unfinished));
    }
}

/// A line comes in one piece.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::time::Instant;

    use super::*;

    /// Takes what is written when the test takes it.
    struct Slow(SyncSender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.send(text.to_vec()).map_err(io::Error::other)?;
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn start(lines: &'static Lines) -> Receiver<Vec<u8>> {
        let (sender, written) = sync_channel(0);
        let tell = |lost: u64| lines.push(format!("{lost} lost\n").as_bytes());
        thread::spawn(move || lines.write_to(Slow(sender), tell));
        written
    }

    fn forever() -> &'static Lines {
        Box::leak(Box::new(Lines::new()))
    }

    /// What is written next: lines of `x`, and those that were lost.
    fn next(written: &Receiver<Vec<u8>>, line: usize) -> (usize, usize) {
        let text = written.recv_timeout(Duration::from_mins(1)).expect("the writer goes on");
        let text = str::from_utf8(&text).unwrap();
        let told = text.split('x').flat_map(str::lines);
        let lost = told.map(|told| told.strip_suffix(" lost").expect(told).parse::<usize>().unwrap());
        (text.matches('x').count() / line, lost.sum())
    }

    #[test]
    fn lines_that_nobody_takes_hold_nobody_up_and_are_counted() {
        let lines = forever();
        let line = [b'x'; 1024];
        let (before, behind) = (3 * MAX_WAITING / line.len(), 5 * MAX_WAITING / line.len());
        let begin = Instant::now();
        // Some are lost before the writer comes, more while it waits for its reader.
        (0..before).for_each(|_| lines.push(&line));
        let written = start(lines);
        (0..behind).for_each(|_| lines.push(&line));
        lines.wait(Duration::from_millis(50));
        assert!(begin.elapsed() < Duration::from_secs(10), "nobody was held up");
        let (mut kept, mut lost) = (0, 0);
        while kept + lost < before + behind {
            let (more, told) = next(&written, line.len());
            (kept, lost) = (kept + more, lost + told);
        }
        assert_eq!(kept + lost, before + behind, "each line is written or told as lost");
        assert!(kept * line.len() <= 3 * MAX_WAITING, "no more is kept");
    }

    #[test]
    fn what_was_lost_is_told_though_others_go_on_at_once() {
        let lines = forever();
        let line = [b'x'; 1024];
        let pushed = 2 * MAX_WAITING / line.len();
        (0..pushed).for_each(|_| lines.push(&line));
        let (sender, written) = sync_channel(0);
        // Another thread has much to say while the writer tells for the first time.
        let tell = move |lost: u64| {
            if lost == pushed as u64 / 2 {
                thread::spawn(move || (0..pushed).for_each(|_| lines.push(&line))).join().unwrap();
            }
            lines.push(format!("{lost} lost\n").as_bytes());
        };
        thread::spawn(move || lines.write_to(Slow(sender), tell));
        assert_eq!(next(&written, line.len()), (pushed / 2, 0));
        assert_eq!(next(&written, line.len()), (0, pushed / 2), "where the lines are missing");
        assert_eq!(next(&written, line.len()), (0, pushed), "those of the other thread");
    }

    #[test]
    fn what_was_said_before_the_end_is_written() {
        let lines = forever();
        let written = start(lines);
        let reader = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            let mut all = written.recv_timeout(Duration::from_mins(1)).unwrap();
            while !all.ends_with(b"last\n") {
                all.extend(written.recv_timeout(Duration::from_mins(1)).unwrap());
            }
            all
        });
        lines.push(b"first\n");
        lines.push(b"last\n");
        lines.wait(Duration::from_mins(1));
        let waiting = lines.waiting();
        assert!(waiting.text.is_empty() && !waiting.writes);
        drop(waiting);
        assert_eq!(reader.join().unwrap(), b"first\nlast\n");
    }
}
