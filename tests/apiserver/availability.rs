//! When podgraft is down or busy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::control_plane::PLAIN;
use crate::neighbours::registration;
use crate::podgraft::Podgraft;
use crate::scene::{Scene, Webhook, named, pod};
use crate::stub::{Stub, allow, later};

#[tokio::test]
async fn without_us_pods_that_ask_are_denied_and_others_created() {
    let defaults = json!({"labels": {"podgraft.dev/inject": "enabled"}});
    let Some(scene) = Scene::set_with(&PLAIN, "down", defaults).await else { return };
    let mut podgraft = Podgraft::serve(&scene, &[]).await;
    scene.register(&podgraft, &[]).await;
    podgraft.kill();

    let mut asking = pod("asking", &json!({"inject/log-shipper": "true"}));
    for entry in ["pods.podgraft.dev", "labelled-pods.podgraft.dev"] {
        let status = scene.create(&asking).await.expect_err("a denial");
        assert_eq!(status.code, 500, "{status:#?}");
        assert!(status.message.contains(&format!("failed calling webhook {entry:?}")), "{}", status.message);
        asking["metadata"]["labels"]["podgraft.dev/inject"] = "enabled".into();
    }
    // The namespace's entry lets pods in without us.
    scene.create(&pod("other", &json!({"sidecar.istio.io/inject": "true"}))).await.expect("a pod");
}

#[tokio::test]
async fn the_api_server_comes_back_where_it_is_asked_to() {
    let Some(scene) = Scene::set(&PLAIN, "retried").await else { return };
    let stub = Stub::serve(|call, review| match call {
        // The registration's probe.
        1 => allow(review, &json!([])),
        2 => later(StatusCode::TOO_MANY_REQUESTS),
        3 => later(StatusCode::SERVICE_UNAVAILABLE),
        _ => allow(review, &json!([{"op": "add", "path": "/metadata/labels", "value": {"calls": call.to_string()}}])),
    });
    let stub = stub.await;
    scene.register_as(registration("busy"), &stub, &[]).await;
    assert_eq!(stub.calls().await, 1);

    let created = scene.create(&pod("app", &json!({}))).await.expect("a pod");
    assert_eq!(created["metadata"]["labels"]["calls"], "4");
}

#[tokio::test]
async fn a_pod_that_finds_us_overloaded_is_injected_a_second_later() {
    let Some(scene) = Scene::set(&PLAIN, "overloaded").await else { return };
    let podgraft = Podgraft::serve(&scene, &["--max-in-flight", "1"]).await;
    scene.register(&podgraft, &[]).await;

    let unfinished = unfinished_request(&podgraft).await;
    reaches(&podgraft, "podgraft_requests_in_flight").await;
    let asking = pod("app", &json!({"inject/log-shipper": "true"}));
    let (created, ()) = tokio::join!(scene.create(&asking), async {
        reaches(&podgraft, "podgraft_requests_shed_total").await;
        drop(unfinished);
    });
    named(&created.expect("a pod")["spec"]["initContainers"], "log-shipper");
}

/// Waits until a metric is at least 1.
async fn reaches(podgraft: &Podgraft, metric: &str) {
    let until = Instant::now() + Duration::from_secs(30);
    while podgraft.metric(metric).await < 1.0 {
        assert!(Instant::now() < until, "{metric} stays at 0");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A request whose body never ends.
async fn unfinished_request(podgraft: &Podgraft) -> impl Sized {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(podgraft.authority().as_bytes()).expect("a certificate");
    roots.add(authority).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(podgraft.address()).await.expect("a connection");
    let name = ServerName::from(podgraft.address().ip());
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake");
    let head =
        b"POST /mutate HTTP/1.1\r\nHost: podgraft\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{";
    stream.write_all(head).await.expect("most of a request");
    stream
}
