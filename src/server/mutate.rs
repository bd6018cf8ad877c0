//! `POST /mutate`, and what it shares with `/validate`: an AdmissionReview in, an AdmissionReview out, and a status code for everything that is none.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::http::{Method, StatusCode, Version, header};
use axum::response::Response;
use axum::routing::{MethodRouter, any_service};
use futures::FutureExt as _;
use tower::service_fn;

use crate::admission::{self, DecodeError};
use crate::inject::inject_with;
use crate::metrics::{Lasting, Operation, Verdict};

use super::answer::{come_again, json, text, with};
use super::body::{self, Read, Refusal, Shed, Unread};
use super::places::{Place, Places};
use super::validate::validate;
use super::{State, record};

/// What the webhook serves: one handler that tells its paths apart itself. A router does more for each request.
pub fn router(state: Arc<State>) -> MethodRouter {
    // No handler of axum: it moves the request about, with its head, and has a box for each step.
    any_service(service_fn(move |request: Request| {
        let (state, version, asked) = (Arc::clone(&state), request.version(), Asked::by(&request, &state));
        let body = Unread::from(request);
        async move { Ok(guarded(&state, version, answered(&state, asked, body)).await) }
    }))
}

/// Whether requests of a path are what we are here for.
pub(super) fn is_review(path: &str) -> bool {
    matches!(path, "/mutate" | "/validate")
}

/// What a request wants.
enum Asked {
    Mutate,
    Validate,
    /// Something else, or nothing that could be a review, and this is the answer. So it needs no place among those that
    /// are in flight.
    Other(Box<Response>),
}

impl Asked {
    fn by(request: &Request, state: &State) -> Self {
        let (method, path) = (request.method(), request.uri().path());
        let refusal = match path {
            "/mutate" | "/validate" if method == Method::POST => match body::check_type(request.headers()) {
                Ok(()) if path == "/mutate" => return Self::Mutate,
                Ok(()) => return Self::Validate,
                Err(bad) => refused(state, bad.into()),
            },
            "/mutate" | "/validate" => {
                let line = format!("{method} {path} is not allowed; use POST with an AdmissionReview");
                with(text(StatusCode::METHOD_NOT_ALLOWED, line), header::ALLOW, "POST")
            }
            _ => {
                let line = format!("{path:.100} is not here; there are POST /mutate and POST /validate");
                text(StatusCode::NOT_FOUND, line)
            }
        };
        Self::Other(Box::new(refusal))
    }
}

async fn answered(state: &Arc<State>, asked: Asked, body: Unread) -> Response {
    match asked {
        Asked::Mutate => mutate(state, body).await,
        // Seldom, and larger than the others: in a box of its own.
        Asked::Validate => Box::pin(validate(state, body)).await,
        Asked::Other(answer) => {
            body::pass_over(body, state.patience.body).await;
            *answer
        }
    }
}

/// What holds for every route.
fn guarded(state: &State, version: Version, answer: impl Future<Output = Response>) -> impl Future<Output = Response> {
    AssertUnwindSafe(answer).catch_unwind().map(move |answer| {
        let answer = answer.unwrap_or_else(|_| {
            // The panic hook has said where. Whether the pod may go in without us is for the registration to say.
            state.metrics.answered(Operation::Unknown, Verdict::Failed);
            text(StatusCode::INTERNAL_SERVER_ERROR, "internal error; podgraft's log says more")
        });
        // While we are leaving, every answer asks its client to connect anew: to another replica. In HTTP/2 the header is
        // forbidden (RFC 9113, section 8.2.2); there, GOAWAY says it when we stop accepting.
        if state.leaving() && version < Version::HTTP_2 { with(answer, header::CONNECTION, "close") } else { answer }
    })
}

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
fn refused(state: &State, refusal: Refusal) -> Response {
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
fn early(state: &State, operation: Operation, namespace: Option<&str>, why: &'static str) -> Response {
    record::early(state, operation, namespace, why);
    come_again(StatusCode::SERVICE_UNAVAILABLE, why)
}

/// The answer to a body that is no review.
pub(super) fn no_review(state: &State, problem: String) -> Response {
    state.metrics.answered(Operation::Unknown, Verdict::BadRequest);
    text(StatusCode::BAD_REQUEST, problem)
}

async fn mutate(state: &State, body: Unread) -> Response {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::server::Patience;

    #[tokio::test]
    async fn a_panic_is_500_and_leaves_nothing_in_flight() {
        let state = State::new(Arc::new(Metrics::new().unwrap()), 1, Patience::default());
        let panics = async {
            let _place = state.places.free().expect("the first request");
            let _in_flight = Lasting::count(&state.metrics.in_flight);
            panic!("a mistake of ours");
        };
        let answer = guarded(&state, Version::HTTP_11, panics).await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(state.places.free().is_some());
        assert_eq!(state.metrics.in_flight.get(), 0);
        let counted = "podgraft_admission_requests_total{operation=\"unknown\",outcome=\"failed\"} 1\n";
        assert!(state.metrics.text().unwrap().contains(counted));
    }
}
