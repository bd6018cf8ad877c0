//! How long a connection may keep us waiting.
//!
//! hyper's own header timeout starts when it begins to wait for a request, and would close the idle connections that
//! API servers keep for 90 s. Ours starts with a request's first byte; a connection without a request may idle. Where all
//! places are taken, whoever keeps us waiting may lose its place before: see `places`. Only reviews, which are what we are
//! here for, win a connection more time there: anybody can send frames that ask for nothing, or what is no review.

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
    /// Requests for reviews, and those of them that are answered.
    reviews: AtomicU32,
    answered: AtomicU32,
    /// One of them was a review: it was decided, or is to be sent again.
    reviewed: AtomicBool,
    /// Requests for anything else.
    others: AtomicU32,
    stopping: AtomicBool,
}

/// A request for a review that is being answered, until it is dropped.
pub(super) struct Busy(Arc<Pace>);

impl Busy {
    /// It was a review.
    pub(super) fn was_review(&self) {
        self.0.reviewed.store(true, Ordering::Relaxed);
    }
}

impl Pace {
    pub(super) fn begin_review(self: &Arc<Self>) -> Busy {
        self.reviews.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// A request that nobody should be kept out for.
    pub(super) fn begin_other(&self) {
        self.others.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn has_reviewed(&self) -> bool {
        self.reviewed.load(Ordering::Relaxed)
    }

    /// Requests that began: for reviews, and others.
    fn began(&self) -> (u32, u32) {
        (self.reviews.load(Ordering::Relaxed), self.others.load(Ordering::Relaxed))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a connection has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It has sent no review yet, and whatever else it says, also where reviews go, does not change that.
    Stranger,
    /// Between two requests.
    Idle,
    /// In a request's head. Over HTTP/2 there is no such stage: heads are frames like others, which mean nothing before
    /// they are a request.
    Head,
    /// Reviews are at work, and have their own patience with their bodies. While these are waited for, somebody else may
    /// need the place more.
    Busy,
}

/// A wait for the peer. It ends when the time is up, or when it has lasted a while and somebody needs the place.
struct Waiting {
    guest: Guest,
    since: Instant,
    timer: Pin<Box<Sleep>>,
    lingering: Option<Lingering>,
}

impl Waiting {
    /// The grace of a stranger runs from when it was `born`, whatever it has said meanwhile.
    fn begin(places: &Places, guest: Guest, born: Option<Instant>, limit: Duration) -> Self {
        let since = Instant::now();
        let timer = Box::pin(sleep_until(first(places, guest, born, since, limit)));
        Self { guest, since, timer, lingering: None }
    }

    /// The same anew, without another timer.
    fn again(&mut self, places: &Places, guest: Guest, born: Option<Instant>, limit: Duration) {
        (self.guest, self.since) = (guest, Instant::now());
        self.timer.as_mut().reset(first(places, guest, born, self.since, limit));
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

/// When somebody begins to linger, or its time is up.
fn first(places: &Places, guest: Guest, born: Option<Instant>, since: Instant, limit: Duration) -> Instant {
    (since + limit).min(born.unwrap_or(since) + places.grace(guest))
}

/// A stream whose reads and writes end when the peer takes too long.
pub(super) struct Timed<S> {
    stream: S,
    patience: Patience,
    places: Arc<Places>,
    pace: Arc<Pace>,
    multiplexed: bool,
    born: Instant,
    stage: Stage,
    /// Requests that had begun when we last looked.
    seen: (u32, u32),
    /// What is waited for, and whether it is the last; none: the next wait begins anew.
    running: Option<(Stage, bool)>,
    reading: Option<Waiting>,
    writing: Option<Waiting>,
}

impl<S> Timed<S> {
    pub(super) fn new(stream: S, patience: Patience, places: Arc<Places>, pace: Arc<Pace>, multiplexed: bool) -> Self {
        Self {
            stream,
            patience,
            places,
            pace,
            multiplexed,
            born: Instant::now(),
            stage: Stage::Stranger,
            seen: (0, 0),
            running: None,
            reading: None,
            writing: None,
        }
    }

    /// Looks at what the service has done meanwhile: requests that began and ended are all that moves us on, but for a
    /// head's first byte.
    fn look(&mut self) -> Stage {
        let began = self.pace.began();
        let stage = if began.0 != self.pace.answered.load(Ordering::Relaxed) {
            Stage::Busy
        } else if began == self.seen && self.stage == Stage::Head {
            Stage::Head
        } else if self.pace.has_reviewed() {
            Stage::Idle
        } else {
            Stage::Stranger
        };
        if (began, stage) != (self.seen, self.stage) {
            // The wait for what came has ended.
            (self.seen, self.stage) = (began, stage);
            self.rest();
        }
        stage
    }

    /// Who waits, and since when it is a stranger. Who has sent half a review is one from then on: see `places`.
    fn guest(&self) -> (Guest, Option<Instant>) {
        match self.stage {
            Stage::Busy => (Guest::Stranger, None),
            _ if !self.pace.has_reviewed() => (Guest::Stranger, Some(self.born)),
            _ => (Guest::Regular, None),
        }
    }

    /// Whether the peer has used up the time that it has; and then, whether it may leave as if it had hung up.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let stage = self.look();
        let last = matches!(stage, Stage::Stranger | Stage::Idle) && self.pace.is_stopping();
        let limit = match stage {
            Stage::Head => self.patience.head,
            _ if last => self.patience.when_stopping,
            _ if self.seen == (0, 0) => self.patience.first,
            // Far longer than anything takes that is at work.
            _ => self.patience.idle,
        };
        let (guest, born) = self.guest();
        let waiting = match &mut self.reading {
            Some(waiting) => {
                if self.running != Some((stage, last)) {
                    waiting.again(&self.places, guest, born, limit);
                }
                waiting
            }
            none => none.insert(Waiting::begin(&self.places, guest, born, limit)),
        };
        self.running = Some((stage, last));
        let quiet = last || self.seen != (0, 0) && stage != Stage::Head;
        waiting.poll(cx, &self.places, limit).map(|()| quiet)
    }

    /// Notes that something was read. A head's further bytes do not win it more time, and over HTTP/2 no bytes do.
    fn heard(&mut self) {
        if !self.multiplexed && matches!(self.look(), Stage::Stranger | Stage::Idle) {
            self.stage = Stage::Head;
            self.rest();
        }
    }

    /// Lets the next wait begin anew, whatever it is for.
    fn rest(&mut self) {
        self.running = None;
        if let Some(waiting) = &mut self.reading {
            waiting.lingering = None;
        }
    }

    /// Ends a write that the peer has not taken for too long.
    fn poll_stalled<T>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.writing = None;
            return progress;
        }
        self.look();
        let ((guest, born), limit) = (self.guest(), self.patience.write);
        let waiting = self.writing.get_or_insert_with(|| Waiting::begin(&self.places, guest, born, limit));
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
        if ready!(self.poll_patience(cx)) {
            // hyper says goodbye and closes.
            Poll::Ready(Ok(()))
        } else {
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
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
            drop(pace.begin_review());
            let next = timeout(patience.idle / 3, stream.read(&mut byte)).await;
            assert!(next.is_err(), "closed after {request}: {next:?}");
        }
        assert_eq!(stream.read(&mut byte).await.unwrap(), 0, "closed as if the client had hung up");
    }

    /// Talks more often than anybody's grace is long, and finds out for how long its place is its own once it is needed.
    async fn kept(multiplexed: bool, talk: impl Fn(&Arc<Pace>)) -> bool {
        let grace = Duration::from_millis(20);
        let places = Places::new(1, grace);
        let _held = places.free().unwrap();
        let (mut client, server) = duplex(64);
        let pace = Arc::new(Pace::default());
        let patience = Patience::default();
        let mut stream = Timed::new(server, patience, Arc::clone(&places), Arc::clone(&pace), multiplexed);
        let (start, mut byte) = (Instant::now(), [0]);
        while start.elapsed() < 20 * grace {
            client.write_all(b"x").await.unwrap();
            stream.read_exact(&mut byte).await.unwrap();
            talk(&pace);
            if let Ok(read) = timeout(grace / 4, stream.read(&mut byte)).await {
                assert!(!matches!(read, Ok(1..)), "nothing was sent");
                return false;
            }
            places.need();
        }
        true
    }

    #[tokio::test]
    async fn whatever_a_connection_says_only_reviews_keep_its_place() {
        for multiplexed in [false, true] {
            assert!(kept(multiplexed, |pace| pace.begin_review().was_review()).await);
            assert!(!kept(multiplexed, |pace| drop(pace.begin_review())).await, "what is no review where reviews go");
            assert!(!kept(multiplexed, |pace| pace.begin_other()).await, "requests for nothing that is here");
            assert!(!kept(multiplexed, |_| ()).await, "bytes that are no request");
        }
    }

    #[tokio::test]
    async fn frames_that_are_no_request_do_not_put_the_end_off() {
        let patience = Patience { when_stopping: Duration::from_millis(200), ..Patience::default() };
        let (mut client, server) = duplex(64);
        let pace = Arc::new(Pace::default());
        let mut stream = Timed::new(server, patience, Places::new(1, GRACE), Arc::clone(&pace), true);
        pace.stop();
        let talking = async {
            loop {
                client.write_all(b"ping").await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let mut heard = Vec::new();
        let reading = timeout(Duration::from_secs(10), stream.read_to_end(&mut heard));
        tokio::select! {
            () = talking => {}
            ended = reading => assert!(ended.expect("it ends").is_ok()),
        }
    }
}
