//! An API server of a test's own.

use std::convert::Infallible;

use axum::http::{Request, Response};
use http_body_util::Full;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

/// A client whose requests are answered with a status and an object. Where the status is an error's, the object is not told.
pub(super) fn client(answer: impl Fn(&Request<Body>) -> (u16, Value) + Clone + Send + 'static) -> Client {
    let service = service_fn(move |request: Request<Body>| {
        let (code, mut object) = answer(&request);
        if code >= 400 {
            let reason = if code == 404 { "NotFound" } else { "Other" };
            object = json!({"kind": "Status", "status": "Failure", "message": format!("no: {code}"), "reason": reason, "code": code});
        }
        let answer = Response::builder().status(code).body(Full::from(object.to_string())).unwrap();
        async { Ok::<_, Infallible>(answer) }
    });
    Client::new(service, "default")
}
