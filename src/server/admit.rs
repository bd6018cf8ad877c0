//! Who is let in: a request's place and its body, or what it is told instead.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;

use crate::metrics::{Lasting, Operation, Verdict};

use super::answer::{come_again, text};
use super::body::{self, Read, Refusal, Shed, Unread};
use super::places::{Place, Places};
use super::{State, record};

/// What a request holds while it is answered.
pub(super) struct InFlight {
    _place: Place,
    _counted: Lasting,
}

/// A request's body and its place among those in flight, or the answer that it gets instead. `beside` are other places of
/// which it has one.
pub(super) async fn admit<'s>(
    state: &'s State,
    beside: Option<&Arc<Places>>,
    body: Unread,
) -> Result<(InFlight, Read<'s>), Response> {
    let Some(place) = state.places.now().await else { return Err(too_many(state, body).await) };
    let in_flight = InFlight { _place: place, _counted: Lasting::count(&state.metrics.in_flight) };
    match body::read(body, state.patience.body, &state.places, beside, &state.budget).await {
        Ok(body) => Ok((in_flight, body)),
        Err(refusal) => Err(refused(state, refusal)),
    }
}

/// The answer to a request more than may be in flight.
pub(super) async fn too_many(state: &State, body: Unread) -> Response {
    body::pass_over(body, state.patience.body).await;
    refused(state, Shed::NoPlace.into())
}

/// The answer to a body that is not read.
pub(super) fn refused(state: &State, refusal: Refusal) -> Response {
    match refusal {
        Refusal::Bad(bad) => {
            state.metrics.answered(Operation::Unknown, Verdict::BadRequest);
            text(bad.status(), bad.to_string())
        }
        Refusal::Shed(shed) => {
            if matches!(shed, Shed::NoRoom) {
                // Whoever holds memory and does not come to an end makes room for when this one comes again.
                state.places.need();
            }
            state.metrics.shed.inc();
            come_again(StatusCode::TOO_MANY_REQUESTS, &shed.to_string())
        }
    }
}

/// The answer while there is nothing to decide by.
pub(super) fn not_loaded(state: &State) -> Response {
    early(state, Operation::Unknown, None, "templates are not loaded yet; come again in a second")
}

/// The answer while something is missing that is about to come.
pub(super) fn early(state: &State, operation: Operation, namespace: Option<&str>, why: &'static str) -> Response {
    record::early(state, operation, namespace, why);
    come_again(StatusCode::SERVICE_UNAVAILABLE, why)
}

/// The answer to a body that is no review.
pub(super) fn no_review(state: &State, problem: String) -> Response {
    state.metrics.answered(Operation::Unknown, Verdict::BadRequest);
    text(StatusCode::BAD_REQUEST, problem)
}
