//! The admin port: metrics and health, plain HTTP.

use std::sync::Arc;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::get;

use super::State;
use super::answer::{text, with};

/// What the admin port serves.
pub fn admin(state: Arc<State>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || text(StatusCode::OK, "ok")))
        .route("/readyz", get(ready))
        .method_not_allowed_fallback(async |method: Method| {
            let line = format!("{method} is not allowed here; use GET");
            with(text(StatusCode::METHOD_NOT_ALLOWED, line), header::ALLOW, "GET, HEAD")
        })
        .fallback(async |uri: Uri| {
            text(StatusCode::NOT_FOUND, format!("{} is not here; there are /metrics, /healthz and /readyz", uri.path()))
        })
        .with_state(state)
}

async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    state.metrics.ready.set(state.unready().is_none().into());
    match state.metrics.text() {
        Ok(metrics) => {
            let answer = Response::new(metrics.into());
            with(answer, header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("metrics can't be written: {error}")),
    }
}

/// Whether requests should be sent here.
async fn ready(Shared(state): Shared<Arc<State>>) -> Response {
    match state.unready() {
        Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, why),
        None => text(StatusCode::OK, "ok"),
    }
}
