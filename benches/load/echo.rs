//! What a request costs before anything is done for it: podgraft's own listener, TLS and HTTP settings, routing and
//! counting of requests; the body is read and forgotten, the answer always the same.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Result;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use axum::routing::any_service;
use http_body_util::BodyExt;
use podgraft::metrics::Metrics;
use podgraft::server::{Options, Patience, Server, State, keep_freed};
use podgraft::tls::{self, Keeper};
use tower::service_fn;

/// Serves until it is killed; prints its address as `podgraft serve` does.
pub fn serve(certificates: &Path, answer: &Path) -> Result<()> {
    let answer = Bytes::from(fs::read(answer)?);
    keep_freed();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let keeper = Keeper::open(certificates, true, SystemTime::now())?;
        let state = Arc::new(State::new(Arc::new(Metrics::new()?), 512, Patience::default()));
        let config = Arc::new(tls::Handshakes::new(keeper.resolver(), None)?);
        let free = "127.0.0.1:0".parse()?;
        let server = Server::bind(free, free, config, state, Options::default()).await?;
        let route = any_service(service_fn(move |request: Request| {
            let (mut body, answer) = (request.into_body(), answer.clone());
            async move {
                while let Some(Ok(_)) = body.frame().await {}
                let mut response = Response::new(Body::from(answer));
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Ok(response)
            }
        }));
        let server = server.with_routes(route);
        let mut out = std::io::stdout();
        writeln!(out, "https://{}/mutate", server.webhook_address()?)?;
        out.flush()?;
        server.run(std::future::pending()).await;
        Ok(())
    })
}
