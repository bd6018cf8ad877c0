//! Answers: JSON for reviews, a line of text for whatever is wrong below them.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;

/// A review.
pub(super) fn json(body: Vec<u8>) -> Response {
    respond(StatusCode::OK, "application/json", body)
}

/// A line for people.
pub(super) fn text(status: StatusCode, line: impl Into<String>) -> Response {
    let mut line = line.into();
    line.push('\n');
    respond(status, "text/plain; charset=utf-8", line.into_bytes())
}

/// A line, and the request to come again in a second: the API server does so within its timeout.
pub(super) fn come_again(status: StatusCode, line: &str) -> Response {
    with(text(status, line), header::RETRY_AFTER, "1")
}

/// An answer with a header.
pub(super) fn with(mut answer: Response, name: HeaderName, value: &'static str) -> Response {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}

fn respond(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    with(answer, header::CONTENT_TYPE, content_type)
}
