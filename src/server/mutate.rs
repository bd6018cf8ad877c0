//! `POST /mutate`: an AdmissionReview in, an AdmissionReview out, and a status code for everything that is none.

use std::time::Instant;

use axum::http::StatusCode;
use axum::response::Response;

use crate::admission::{self, DecodeError};
use crate::inject::inject_with;
use crate::metrics::Operation;

use super::admit::{admit, early, no_review, not_loaded};
use super::answer::json;
use super::body::Unread;
use super::{State, record};

pub(super) async fn mutate(state: &State, body: Unread) -> Response {
    let (_in_flight, body) = match admit(state, None, body).await {
        Ok(admitted) => admitted,
        Err(answer) => return answer,
    };
    let live = state.live();
    let Some(live) = live.as_deref() else { return not_loaded(state) };

    let start = Instant::now();
    let review = match admission::decode(&body.bytes) {
        Ok(review) => review,
        Err(DecodeError::NotAReview(problem)) => return no_review(state, problem),
        Err(DecodeError::BadObject { uid, message }) => {
            record::bad_object(&state.metrics, &uid, &message);
            return json(admission::refuse(&uid, StatusCode::BAD_REQUEST.as_u16(), &message));
        }
    };
    if review.request.creates_pod && live.snapshot.namespaces.awaits(&review.request.namespace) {
        let why = "the namespace was not seen here yet; come again in a second";
        return early(state, Operation::Create, Some(&review.request.namespace), why);
    }
    let outcome = inject_with(&review.request, &live.snapshot, &live.renderings);
    let answer = admission::encode(&review.uid, &outcome);
    record::decided(&state.metrics, &live.injections, &review, &outcome, start.elapsed());
    state.tell(&review, &outcome);
    json(answer)
}
