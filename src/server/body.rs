//! The body of a request that may be a review, within limits of size, time and type.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use http_body_util::BodyExt;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// The largest body that is read, in bytes: etcd keeps objects below 1.5 MiB, and a review of an update holds two.
const MAX_BODY: u64 = 8 * 1024 * 1024;

/// From this size on a body is large, and waits for one of a few slots: hundreds of requests may be in flight, and their
/// bodies must not fill the memory. Most pods are a quarter of this.
const LARGE: u64 = 32 * 1024;

/// How much of a body that is too large is passed over, so that its sender hears why.
const MAX_PASSED_OVER: u64 = 64 * 1024 * 1024;

/// Why a body is not read, or not to its end. `Display` is the answer's text.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
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

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoType | Self::WrongType(_) | Self::Encoded(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BrokeOff(_) => StatusCode::BAD_REQUEST,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

/// A body, and its slot if it is large.
pub(super) struct Read<'s> {
    pub(super) bytes: Vec<u8>,
    _slot: Option<SemaphorePermit<'s>>,
}

/// Reads a body to its end.
pub(super) async fn read(request: Request, patience: Duration, large: &Semaphore) -> Result<Read<'_>, Refusal> {
    let headers = request.headers();
    check_type(headers)?;
    let asks_first = headers.contains_key(header::EXPECT);
    let collected = timeout(patience, collect(request.into_body(), asks_first, large)).await;
    collected.unwrap_or(Err(Refusal::TooSlow(patience)))
}

/// Reviews are JSON, and not compressed.
fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = |name: HeaderName| {
        let value = headers.get(name)?;
        // It comes back in the answer: a line of it is enough.
        Some(String::from_utf8_lossy(value.as_bytes()).chars().take(100).collect::<String>())
    };
    let found = value(header::CONTENT_TYPE).ok_or(Refusal::NoType)?;
    let essence = found.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Refusal::WrongType(found));
    }
    match value(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.eq_ignore_ascii_case("identity") => Err(Refusal::Encoded(encoding)),
        _ => Ok(()),
    }
}

/// Collects a body. Of one that is too large nothing is kept, but its end is waited for: a client that is still
/// sending when its connection closes may never see the answer. One that asks before it sends is told at once.
async fn collect(mut body: Body, asks_first: bool, large: &Semaphore) -> Result<Read<'_>, Refusal> {
    let told = body.size_hint().lower();
    if told > MAX_PASSED_OVER || (told > MAX_BODY && asks_first) {
        return Err(Refusal::TooLarge);
    }
    // Of what was announced no more than arrives is memory in use, and a buffer that needn't grow is never there twice.
    let (mut bytes, mut size, mut slot) = (Vec::with_capacity(told.min(LARGE) as usize), 0, None);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Refusal::BrokeOff)?.into_data() else { continue };
        size += data.len() as u64;
        if size > MAX_PASSED_OVER {
            break;
        }
        if size > LARGE && slot.is_none() {
            // Never closed. While it is waited for, nothing is read, and the client can't go on sending.
            slot = large.acquire().await.ok();
            bytes.reserve_exact((told.max(size).min(MAX_BODY) as usize).saturating_sub(bytes.len()));
        }
        if size > MAX_BODY { bytes = Vec::new() } else { bytes.extend_from_slice(&data) }
    }
    if size > MAX_BODY { Err(Refusal::TooLarge) } else { Ok(Read { bytes, _slot: slot }) }
}
