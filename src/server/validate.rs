//! `POST /validate`: the same reviews about everything that is not mutated. What is looked at there may take milliseconds
//! (a template is compiled), so it happens beside the threads that answer for pods, and only a little of it at a time.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use axum::response::Response;
use tokio::task::spawn_blocking;

use crate::admission::{self, DecodeError};
use crate::metrics::{Operation, Verdict};
use crate::validate;

use super::admit::{admit, no_review, not_loaded, too_many};
use super::answer::{json, text};
use super::body::Unread;
use super::state::Live;
use super::{State, record};

pub(super) async fn validate(state: &Arc<State>, body: Unread) -> Response {
    let Some(_waiting) = state.waiting.now().await else { return too_many(state, body).await };
    let (_in_flight, mut body) = match admit(state, Some(&state.waiting), body).await {
        Ok(admitted) => admitted,
        Err(answer) => return answer,
    };
    let Some(live) = state.live_shared() else { return not_loaded(state) };
    let bytes = mem::take(&mut body.bytes);
    // Never closed, so there is always one to be had.
    let permit = Arc::clone(&state.validations).acquire_owned().await;
    let work = {
        let state = Arc::clone(state);
        spawn_blocking(move || {
            let _permit = permit;
            decide(&state, &live, &bytes)
        })
    };
    work.await.unwrap_or_else(|_| {
        // The panic hook has said where.
        state.metrics.answered(Operation::Unknown, Verdict::Failed);
        text(StatusCode::INTERNAL_SERVER_ERROR, "internal error; podgraft's log says more")
    })
}

fn decide(state: &State, live: &Live, body: &[u8]) -> Response {
    let start = Instant::now();
    let (uid, request) = match admission::decode_validation(body) {
        Ok(review) => review,
        Err(DecodeError::NotAReview(problem) | DecodeError::BadObject { message: problem, .. }) => {
            return no_review(state, problem);
        }
    };
    let verdict = validate::validate(&request, &live.snapshot);
    let answer = admission::encode_verdict(&uid, &verdict);
    record::validated(&state.metrics, &uid, &request, &verdict, start.elapsed());
    json(answer)
}
