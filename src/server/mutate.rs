//! `POST /mutate`, and what it shares with `/validate`: an AdmissionReview in, an AdmissionReview out, and a status code for everything that is none.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::{Method, StatusCode, Uri, Version, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::post;
use tower_http::catch_panic::CatchPanicLayer;

use crate::admission::{self, DecodeError};
use crate::inject::inject_with;
use crate::metrics::{Lasting, Operation, Verdict};

use super::answer::{come_again, json, text, with};
use super::body::{self, Read, Refusal};
use super::places::Place;
use super::validate::validate;
use super::{State, record};

/// What the webhook serves.
pub fn router(state: Arc<State>) -> Router {
    let routes = Router::new()
        .route("/mutate", post(mutate))
        .route("/validate", post(validate))
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            let line = format!("{method} {} is not allowed; use POST with an AdmissionReview", uri.path());
            with(text(StatusCode::METHOD_NOT_ALLOWED, line), header::ALLOW, "POST")
        })
        .fallback(async |uri: Uri| {
            text(
                StatusCode::NOT_FOUND,
                format!("{:.100} is not here; there are POST /mutate and POST /validate", uri.path()),
            )
        });
    guarded(routes, state)
}

/// What holds for every route.
fn guarded(routes: Router<Arc<State>>, state: Arc<State>) -> Router {
    let panicked = {
        let state = Arc::clone(&state);
        move |_: Box<dyn Any + Send>| {
            // The panic hook has said where. Whether the pod may go in without us is for the registration to say.
            state.metrics.answered(Operation::Unknown, Verdict::Failed);
            text(StatusCode::INTERNAL_SERVER_ERROR, "internal error; podgraft's log says more")
        }
    };
    routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(&state), ask_to_close))
        .with_state(state)
}

/// While we are leaving, every answer asks its client to connect anew: to another replica.
async fn ask_to_close(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let version = request.version();
    let answer = next.run(request).await;
    // In HTTP/2 the header is forbidden (RFC 9113, section 8.2.2); there, GOAWAY says it when we stop accepting.
    if state.leaving() && version < Version::HTTP_2 { with(answer, header::CONNECTION, "close") } else { answer }
}

/// What a request holds while it is answered.
pub(super) struct InFlight {
    _place: Place,
    _counted: Lasting,
}

/// A request's body and its place among those in flight, or the answer that it gets instead.
pub(super) async fn admit(state: &State, request: Request) -> Result<(InFlight, Read<'_>), Response> {
    let Some(place) = state.places.now().await else { return Err(too_many(state, request).await) };
    let in_flight = InFlight { _place: place, _counted: Lasting::count(&state.metrics.in_flight) };
    match body::read(request, state.patience.body, &state.places, &state.budget).await {
        Ok(body) => Ok((in_flight, body)),
        Err(refusal) if refusal.status() == StatusCode::TOO_MANY_REQUESTS => {
            if matches!(refusal, Refusal::NoRoom) {
                // Whoever holds memory and does not come to an end makes room for when this one comes again.
                state.places.need();
            }
            Err(shed(state, &refusal.to_string()))
        }
        Err(refusal) => {
            state.metrics.answered(Operation::Unknown, Verdict::BadRequest);
            Err(text(refusal.status(), refusal.to_string()))
        }
    }
}

/// The answer to a request more than may be in flight.
pub(super) async fn too_many(state: &State, request: Request) -> Response {
    body::pass_over(request, state.patience.body).await;
    shed(state, "too many requests are in flight; come again in a second")
}

fn shed(state: &State, why: &str) -> Response {
    state.metrics.shed.inc();
    come_again(StatusCode::TOO_MANY_REQUESTS, why)
}

/// The answer while there is nothing to decide by.
pub(super) fn not_loaded() -> Response {
    come_again(StatusCode::SERVICE_UNAVAILABLE, "templates are not loaded yet; come again in a second")
}

/// The answer to a body that is no review.
pub(super) fn no_review(state: &State, problem: String) -> Response {
    state.metrics.answered(Operation::Unknown, Verdict::BadRequest);
    text(StatusCode::BAD_REQUEST, problem)
}

async fn mutate(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let (_in_flight, body) = match admit(&state, request).await {
        Ok(admitted) => admitted,
        Err(answer) => return answer,
    };
    let live = state.live();
    let Some(live) = live.as_deref() else { return not_loaded() };

    let start = Instant::now();
    let review = match admission::decode(&body.bytes) {
        Ok(review) => review,
        Err(DecodeError::NotAReview(problem)) => return no_review(&state, problem),
        Err(DecodeError::BadObject { uid, message }) => {
            record::bad_object(&state.metrics, &uid, &message);
            return json(admission::refuse(&uid, StatusCode::BAD_REQUEST.as_u16(), &message));
        }
    };
    if review.request.creates_pod && live.snapshot.namespaces.awaits(&review.request.namespace) {
        return come_again(
            StatusCode::SERVICE_UNAVAILABLE,
            "the namespace was not seen here yet; come again in a second",
        );
    }
    let outcome = inject_with(&review.request, &live.snapshot, &live.renderings);
    let answer = admission::encode(&review.uid, &outcome);
    record::decided(&state.metrics, &live.injections, &review, &outcome, start.elapsed());
    state.tell(&review, &outcome);
    json(answer)
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt;

    use super::*;
    use crate::metrics::Metrics;
    use crate::server::Patience;

    #[tokio::test]
    async fn a_panic_is_500_and_leaves_nothing_in_flight() {
        async fn panics(Shared(state): Shared<Arc<State>>) {
            let _place = state.places.free().expect("the first request");
            let _in_flight = Lasting::count(&state.metrics.in_flight);
            panic!("a mistake of ours");
        }
        let state = Arc::new(State::new(Arc::new(Metrics::new().unwrap()), 1, Patience::default()));
        let router = guarded(Router::new().route("/", post(panics)), Arc::clone(&state));
        let request = Request::post("/").body(axum::body::Body::empty()).unwrap();
        let answer = router.oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(state.places.free().is_some());
        assert_eq!(state.metrics.in_flight.get(), 0);
        let counted = "podgraft_admission_requests_total{operation=\"unknown\",outcome=\"failed\"} 1\n";
        assert!(state.metrics.text().unwrap().contains(counted));
    }
}
