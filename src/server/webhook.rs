//! The paths of the webhook: which are here, how they are asked, and what holds for every answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{Method, StatusCode, Version, header};
use axum::response::Response;
use axum::routing::{MethodRouter, any_service};
use futures::FutureExt as _;
use tower::service_fn;

use crate::metrics::{Operation, Verdict};

use super::State;
use super::admit::refused;
use super::answer::{text, with};
use super::body::{self, Unread};
use super::mutate::mutate;
use super::validate::validate;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Lasting, Metrics};
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
