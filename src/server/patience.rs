//! How long a connection may keep us waiting.
//!
//! hyper's own header timeout starts when it begins to wait for a request, and would close the idle connections that
//! API servers keep for 90 s. Ours starts with a request's first byte; a connection without a request may idle. Where all
//! places are taken, whoever keeps us waiting may lose its place before: see `places`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::places::{Guest, Lingering, Places};

/// How long a client may take, at each stage of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// From the handshake to the first request's first byte.
    pub first: Duration,
    /// To a request's first byte, from when the server stops. A request may be on its way while we have yet to say that
    /// we close; after this long there is none.
    pub when_stopping: Duration,
    /// From a request's first byte to the end of its head.
    pub head: Duration,
    /// From the end of its head to the end of its body.
    pub body: Duration,
    /// Between two requests. API servers close idle connections after 90 s; who closes first loses a request.
    pub idle: Duration,
    /// For the client to take in a part of an answer.
    pub write: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            first: Duration::from_secs(30),
            when_stopping: Duration::from_secs(1),
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            idle: Duration::from_mins(2),
            write: Duration::from_secs(10),
        }
    }
}

/// What a connection's service knows and its stream must know: the requests that began and ended.
#[derive(Debug, Default)]
pub(super) struct Pace {
    began: AtomicU32,
    ended: AtomicU32,
    stopping: AtomicBool,
}

/// A request that is being answered, until it is dropped.
pub(super) struct Busy(Arc<Pace>);

impl Pace {
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.began.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a stream waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// The first request's first byte.
    First,
    /// A further request's first byte.
    Next,
    /// One of these two, and the server stops.
    Last,
    /// The rest of a head.
    Head,
    /// Nothing: the handler is at work, and has its own patience with the body.
    Nothing,
}

/// A wait for the peer. It ends when the time is up, or when it has lasted a while and somebody needs the place.
struct Waiting {
    guest: Guest,
    since: Instant,
    timer: Pin<Box<Sleep>>,
    lingering: Option<Lingering>,
}

impl Waiting {
    fn begin(places: &Places, guest: Guest, limit: Duration) -> Self {
        let since = Instant::now();
        let timer = Box::pin(sleep_until(since + limit.min(places.grace(guest))));
        Self { guest, since, timer, lingering: None }
    }

    /// The same anew, without another timer.
    fn again(&mut self, places: &Places, guest: Guest, limit: Duration) {
        (self.guest, self.since) = (guest, Instant::now());
        self.timer.as_mut().reset(self.since + limit.min(places.grace(guest)));
        self.lingering = None;
    }

    fn poll(&mut self, cx: &mut Context<'_>, places: &Arc<Places>, limit: Duration) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let until = self.since + limit;
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(until);
            self.lingering = Some(places.linger(self.guest));
        }
        self.lingering.as_mut().map_or(Poll::Pending, |lingering| Pin::new(lingering).poll(cx))
    }
}

/// A stream whose reads and writes end when the peer takes too long.
pub(super) struct Timed<S> {
    stream: S,
    patience: Patience,
    places: Arc<Places>,
    pace: Arc<Pace>,
    /// HTTP/2: what comes between requests is no head of one, but frames of the connection.
    multiplexed: bool,
    wait: Wait,
    /// Requests that had begun when we last looked.
    seen: u32,
    reading: Option<(Wait, Waiting)>,
    writing: Option<Waiting>,
}

impl<S> Timed<S> {
    pub(super) fn new(stream: S, patience: Patience, places: Arc<Places>, pace: Arc<Pace>, multiplexed: bool) -> Self {
        Self { stream, patience, places, pace, multiplexed, wait: Wait::First, seen: 0, reading: None, writing: None }
    }

    /// What the stream waits for now that there is nothing to read.
    fn waits_for(&mut self) -> Wait {
        let (began, ended) = (self.pace.began.load(Ordering::Relaxed), self.pace.ended.load(Ordering::Relaxed));
        if began != self.seen {
            // The head that we were waiting for is complete.
            self.seen = began;
            self.wait = Wait::Next;
        }
        match self.wait {
            _ if began != ended => Wait::Nothing,
            Wait::First | Wait::Next if self.pace.stopping.load(Ordering::Relaxed) => Wait::Last,
            wait => wait,
        }
    }

    /// Whether the peer has used up the time that it has.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Wait> {
        let wait = self.waits_for();
        let limit = match wait {
            Wait::First => self.patience.first,
            Wait::Next => self.patience.idle,
            Wait::Last => self.patience.when_stopping,
            Wait::Head => self.patience.head,
            Wait::Nothing => {
                self.restart();
                return Poll::Pending;
            }
        };
        let guest = if self.seen == 0 { Guest::Stranger } else { Guest::Regular };
        let waiting = match &mut self.reading {
            Some((running, waiting)) if *running == wait => waiting,
            Some((running, waiting)) => {
                *running = wait;
                waiting.again(&self.places, guest, limit);
                waiting
            }
            none => &mut none.insert((wait, Waiting::begin(&self.places, guest, limit))).1,
        };
        waiting.poll(cx, &self.places, limit).map(|()| wait)
    }

    /// Notes that something was read.
    fn heard(&mut self) {
        match self.waits_for() {
            Wait::Nothing => {}
            _ if self.multiplexed => {
                self.wait = Wait::Next;
                self.restart();
            }
            // The head's further bytes do not win it more time.
            _ if self.wait == Wait::Head => {}
            _ => {
                self.wait = Wait::Head;
                self.restart();
            }
        }
    }

    /// Lets the next wait begin anew, whatever it is for.
    fn restart(&mut self) {
        if let Some((running, waiting)) = &mut self.reading {
            *running = Wait::Nothing;
            waiting.lingering = None;
        }
    }

    /// Ends a write that the peer has not taken for too long.
    fn poll_stalled<T>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.writing = None;
            return progress;
        }
        let limit = self.patience.write;
        let waiting = self.writing.get_or_insert_with(|| Waiting::begin(&self.places, Guest::Regular, limit));
        ready!(waiting.poll(cx, &self.places, limit));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buf) {
            if buf.filled().len() > before {
                self.heard();
            }
            return Poll::Ready(read);
        }
        match ready!(self.poll_patience(cx)) {
            // As if the peer had hung up: hyper says goodbye and closes.
            Wait::Next | Wait::Last => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.poll_stalled(cx, progress)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_flush(cx);
        self.poll_stalled(cx, progress)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.poll_stalled(cx, progress)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.poll_stalled(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::timeout;

    use super::*;
    use crate::server::places::GRACE;

    #[tokio::test]
    async fn a_connection_that_is_used_does_not_idle() {
        let patience = Patience { idle: Duration::from_secs(2), ..Patience::default() };
        let (mut client, server) = duplex(64);
        let pace = Arc::new(Pace::default());
        let mut stream = Timed::new(server, patience, Places::new(1, GRACE), Arc::clone(&pace), false);
        let mut byte = [0];
        for request in 0..5 {
            client.write_all(b"x").await.unwrap();
            stream.read_exact(&mut byte).await.unwrap();
            // It came whole, and is answered before anything else is read.
            drop(pace.begin());
            let next = timeout(patience.idle / 3, stream.read(&mut byte)).await;
            assert!(next.is_err(), "closed after {request}: {next:?}");
        }
        assert_eq!(stream.read(&mut byte).await.unwrap(), 0, "closed as if the client had hung up");
    }
}
