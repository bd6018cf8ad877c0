//! The body of a request that may be a review, within limits of size, time and type.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use futures::FutureExt as _;
use futures::future::OptionFuture;
use http_body_util::BodyExt;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::memory::given_back;
use super::places::{Guest, Places};

/// The largest body that is read, in bytes: etcd keeps objects below 1.5 MiB, and a review of an update holds two.
const MAX_BODY: u64 = 8 * 1024 * 1024;

/// How much of a body that is not kept is passed over, so that its sender hears why.
const MAX_PASSED_OVER: u64 = 64 * 1024 * 1024;

/// How much of what is announced is believed at once, in bytes: nearly all reviews. A buffer takes no memory before it is
/// written to, and growing it would leave a hole.
const AT_ONCE: usize = 128 * 1024;

/// Bytes of bodies that are in memory at a time, over all requests in flight.
const BUDGET: usize = 64 * 1024 * 1024;

/// The budget, in two parts. A quarter is divided evenly among the requests that may be in flight: with 512 of them each
/// has 32 KiB, four times a usual pod's review, and never depends on what others send. What a body has beyond that is
/// taken from the rest as it arrives. Nobody waits for it, so none who sends slowly holds others up: what does not fit
/// is asked to come again.
#[derive(Debug)]
pub(super) struct Budget {
    each: usize,
    rest: Semaphore,
}

impl Budget {
    pub(super) fn new(max_in_flight: usize) -> Self {
        Self { each: BUDGET / 4 / max_in_flight.max(1), rest: Semaphore::new(BUDGET - BUDGET / 4) }
    }
}

/// What one body has of the rest of the budget.
struct Share<'b> {
    budget: &'b Budget,
    taken: SemaphorePermit<'b>,
}

impl<'b> Share<'b> {
    fn of(budget: &'b Budget) -> Option<Self> {
        Some(Self { budget, taken: budget.rest.try_acquire_many(0).ok()? })
    }

    /// Whether there is room for a body of this size.
    fn grow(&mut self, size: usize) -> bool {
        let more = size.saturating_sub(self.budget.each + self.taken.num_permits());
        // Bodies are far below 4 GiB.
        match self.budget.rest.try_acquire_many(more as u32) {
            Ok(more) => {
                self.taken.merge(more);
                true
            }
            Err(_) => false,
        }
    }
}

/// Why a body is not read, or not to its end.
#[derive(Debug)]
pub(super) enum Refusal {
    Bad(Bad),
    Shed(Shed),
}

impl From<Bad> for Refusal {
    fn from(bad: Bad) -> Self {
        Self::Bad(bad)
    }
}

impl From<Shed> for Refusal {
    fn from(shed: Shed) -> Self {
        Self::Shed(shed)
    }
}

/// What is wrong with a body, however often it comes. `Display` is the answer's text.
#[derive(Debug, thiserror::Error)]
pub(super) enum Bad {
    #[error("there is no Content-Type; send an AdmissionReview as application/json")]
    NoType,
    #[error("Content-Type is {0}; send an AdmissionReview as application/json")]
    WrongType(String),
    #[error("Content-Encoding is {0}; send an AdmissionReview as it is")]
    Encoded(String),
    #[error("the body has more than {MAX_BODY} bytes, the most that is read")]
    TooLarge,
    #[error("the body broke off: {0}")]
    BrokeOff(axum::Error),
    #[error("the body did not arrive within {} s", .0.as_secs_f64())]
    TooSlow(Duration),
}

impl Bad {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoType | Self::WrongType(_) | Self::Encoded(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BrokeOff(_) => StatusCode::BAD_REQUEST,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

/// Why a request is to come again. `Display` is the answer's text.
#[derive(Debug, thiserror::Error)]
pub(super) enum Shed {
    #[error("too many requests are in flight; come again in a second")]
    NoPlace,
    #[error("bodies in flight take all the memory that they may; come again in a second")]
    NoRoom,
    #[error("the body did not arrive within {} s, and others need its place; come again in a second", .0.as_secs_f64())]
    Outstayed(Duration),
}

/// A body, and what it has of the budget.
pub(super) struct Read<'b> {
    pub(super) bytes: Bytes,
    _share: Share<'b>,
}

/// A body that is yet to come, with what its request's head says of it. Futures have room for every place that a value is
/// moved through, and a head is large: it goes no further than this.
pub(super) struct Unread {
    body: Body,
    /// The client asks before it sends.
    asks_first: bool,
}

impl From<Request> for Unread {
    fn from(request: Request) -> Self {
        let asks_first = request.headers().contains_key(header::EXPECT);
        Self { body: request.into_body(), asks_first }
    }
}

/// Reads a body to its end, unless its place is needed before, or one of those `beside` it.
pub(super) async fn read<'b>(
    unread: Unread,
    patience: Duration,
    places: &Arc<Places>,
    beside: Option<&Arc<Places>>,
    budget: &'b Budget,
) -> Result<Read<'b>, Refusal> {
    let mut arrives = pin!(collect(unread, budget));
    // A body that is there needs no timers, nor the memory for them.
    if let Some(read) = arrives.as_mut().now_or_never() {
        return read;
    }
    let arrives = async {
        let also = OptionFuture::from(beside.map(|places| places.outstayed(Guest::Stranger)));
        let outstayed = || Err(Shed::Outstayed(places.grace(Guest::Stranger)).into());
        tokio::select! {
            biased;
            read = timeout(patience, arrives) => read.unwrap_or(Err(Bad::TooSlow(patience).into())),
            () = places.outstayed(Guest::Stranger) => outstayed(),
            Some(()) = also => outstayed(),
        }
    };
    Box::pin(arrives).await
}

/// Waits for the end of a body that is not kept: a client that is still sending when its connection closes, or its stream
/// is reset, may never see the answer. One that asks before it sends is told at once.
pub(super) async fn pass_over(mut unread: Unread, patience: Duration) {
    if !unread.asks_first {
        // Seldom, so no other request's future has room for it.
        let _ = Box::pin(timeout(patience, passed_over(&mut unread.body, 0))).await;
    }
}

async fn passed_over(body: &mut Body, mut size: u64) {
    while size <= MAX_PASSED_OVER
        && let Some(Ok(frame)) = body.frame().await
    {
        size += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
}

/// Reviews are JSON, and not compressed.
pub(super) fn check_type(headers: &HeaderMap) -> Result<(), Bad> {
    // It comes back in the answer: a line of it is enough.
    let line = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).chars().take(100).collect();
    let found = headers.get(header::CONTENT_TYPE).ok_or(Bad::NoType)?;
    let essence = found.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(b"application/json") {
        return Err(Bad::WrongType(line(found)));
    }
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => Err(Bad::Encoded(line(encoding))),
        _ => Ok(()),
    }
}

/// Collects a body. Of one that is refused nothing is kept, and its end is waited for.
async fn collect(unread: Unread, budget: &Budget) -> Result<Read<'_>, Refusal> {
    let Unread { mut body, asks_first } = unread;
    let told = body.size_hint().lower();
    let mut size = 0;
    let refusal = if told > MAX_BODY {
        Bad::TooLarge.into()
    } else {
        match kept(&mut body, &mut size, told, budget).await {
            Ok(read) => return Ok(read),
            Err(broke @ Refusal::Bad(Bad::BrokeOff(_))) => return Err(broke),
            Err(refusal) => refusal,
        }
    };
    if told <= MAX_PASSED_OVER && !asks_first {
        passed_over(&mut body, size).await;
    }
    Err(refusal)
}

async fn kept<'b>(body: &mut Body, size: &mut u64, told: u64, budget: &'b Budget) -> Result<Read<'b>, Refusal> {
    let mut share = Share::of(budget).ok_or(Shed::NoRoom)?;
    let (mut whole, mut bytes) = (Bytes::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Bad::BrokeOff)?.into_data() else { continue };
        *size += data.len() as u64;
        if *size > MAX_BODY {
            return Err(Bad::TooLarge.into());
        }
        if !share.grow(*size as usize) {
            return Err(Shed::NoRoom.into());
        }
        if data.len() as u64 == told {
            // It came in one piece, and stays where the connection has read it. Only its end is still to come.
            whole = data;
            continue;
        }
        // What is announced is believed once some of it has come: a buffer that needn't grow is never there twice.
        if bytes.capacity() == 0 {
            bytes.reserve_exact((told as usize).min(budget.each.max(AT_ONCE)));
        }
        if told > *size && bytes.capacity() < *size as usize {
            bytes.reserve_exact(given_back(told as usize) - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Read { bytes: if bytes.is_empty() { whole } else { bytes.into() }, _share: share })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::places::GRACE;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// What becomes of a body of this many bytes.
    async fn read_one(budget: &Budget, bytes: usize) -> Result<Read<'_>, Refusal> {
        let request = Request::post("/mutate").body(Body::from(vec![b' '; bytes])).unwrap();
        read(request.into(), PATIENCE, &Places::new(1, GRACE), None, budget).await
    }

    #[tokio::test]
    async fn bodies_share_the_budget_and_small_ones_do_not_depend_on_it() {
        let budget = Budget { each: 10, rest: Semaphore::new(100) };
        let held = [read_one(&budget, 50).await.unwrap(), read_one(&budget, 60).await.unwrap()];
        assert_eq!(budget.rest.available_permits(), 10);
        assert_eq!(read_one(&budget, 20).await.unwrap().bytes.len(), 20);
        assert!(matches!(read_one(&budget, 21).await, Err(Refusal::Shed(Shed::NoRoom))));
        let _more = read_one(&budget, 20).await.unwrap();
        assert!(matches!(read_one(&budget, 11).await, Err(Refusal::Shed(Shed::NoRoom))));
        assert_eq!(read_one(&budget, 10).await.unwrap().bytes.len(), 10);
        drop(held);
        assert_eq!(budget.rest.available_permits(), 90, "what was refused holds nothing");
    }

    #[test]
    fn the_budget_is_exact_whatever_may_be_in_flight() {
        for max_in_flight in [1, 3, 512, 100_000, usize::MAX] {
            let budget = Budget::new(max_in_flight);
            let most = budget.each.saturating_mul(max_in_flight) + budget.rest.available_permits();
            assert!(most <= BUDGET, "{max_in_flight}: {most}");
        }
        assert_eq!(Budget::new(512).each, 32 * 1024);
    }
}
