//! Webhooks of the tests' own.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::authority::Authority;
use crate::scene::Webhook;

/// A webhook that answers as the test says; it is served until the test's runtime ends.
pub struct Stub {
    address: SocketAddr,
    authority: String,
    calls: Arc<AtomicU64>,
}

impl Stub {
    /// Serves a webhook whose answer to its n-th call (from 1), a review, is `answer(n, review)`.
    pub async fn serve(answer: impl Fn(u64, &Value) -> Response + Send + Sync + 'static) -> Self {
        let authority = Authority::new();
        let (certificate, key) = authority.issue();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate")],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key"),
            )
            .expect("a certificate and its key");
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let calls = Arc::new(AtomicU64::new(0));
        let (counter, answer) = (Arc::clone(&calls), Arc::new(answer));
        let handle = move |body: Bytes| {
            let review = serde_json::from_slice(&body).expect("an AdmissionReview");
            ready(answer(counter.fetch_add(1, Ordering::Relaxed) + 1, &review))
        };
        let router = axum::Router::new().route("/mutate", post(handle));
        let listener = Listener { socket, tls: TlsAcceptor::from(Arc::new(config)) };
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, authority: authority.pem(), calls }
    }
}

impl Webhook for Stub {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn authority(&self) -> String {
        self.authority.clone()
    }

    async fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

/// Allows what the review asks for, with a JSON patch.
pub fn allow(review: &Value, patch: &Value) -> Response {
    let patch = BASE64_STANDARD.encode(patch.to_string());
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": review["request"]["uid"], "allowed": true, "patchType": "JSONPatch", "patch": patch},
    });
    ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

/// Asks the API server to come back in a second.
pub fn later(status: StatusCode) -> Response {
    (status, [(header::RETRY_AFTER, "1")]).into_response()
}

/// TLS for axum. A handshake at a time is enough for one client.
struct Listener {
    socket: TcpListener,
    tls: TlsAcceptor,
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, peer) = self.socket.accept().await.expect("a connection");
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}
