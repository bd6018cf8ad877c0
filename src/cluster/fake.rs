//! An API server of a test's own.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use futures::stream;
use http_body_util::BodyExt;
use kube::Client;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::service_fn;

/// A client whose requests are answered with a status and an object. Where the status is an error's, the object is not told.
/// Of what is watched, nothing ever changes.
pub(super) fn client(answer: impl Fn(&Request<Bytes>) -> (u16, Value) + Clone + Send + 'static) -> Client {
    slow(Duration::ZERO, answer)
}

/// The same with an API server that takes so long for each answer.
pub(super) fn slow(
    pause: Duration,
    answer: impl Fn(&Request<Bytes>) -> (u16, Value) + Clone + Send + 'static,
) -> Client {
    let service = service_fn(move |request: Request<kube::client::Body>| {
        let answer = answer.clone();
        async move {
            if !pause.is_zero() {
                sleep(pause).await;
            }
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let watches = head.uri.query().is_some_and(|query| query.contains("watch=true"));
            let (code, mut object) = answer(&Request::from_parts(head, body));
            if code >= 400 {
                let reason = if code == 404 { "NotFound" } else { "Other" };
                object = json!({"kind": "Status", "status": "Failure", "message": format!("no: {code}"), "reason": reason, "code": code});
            }
            let body = if watches && code < 400 {
                Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())
            } else {
                Body::from(object.to_string())
            };
            Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
        }
    });
    Client::new(service, "default")
}
