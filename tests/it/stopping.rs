//! The end of a server: nobody's request fails because of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use podgraft::server::Options;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::webhook::{LONG, Setup, Webhook, mutate, review, send, start};

async fn ended(webhook: Webhook) {
    tokio::time::timeout(LONG, webhook.running).await.expect("the server ends").unwrap();
    TcpStream::connect(webhook.address).await.expect_err("nobody listens");
}

#[tokio::test]
async fn the_end_waits_for_no_idle_connection() {
    let webhook = start().await;
    let mut idle = webhook.http1().await;
    send(&mut idle, mutate(review("u", "note", "x"))).await;
    let _http2 = webhook.http2().await;
    let _never_used = webhook.tls(&["http/1.1"]).await.unwrap();
    webhook.stop.cancel();
    // Far below the drain timeout.
    tokio::time::timeout(Duration::from_secs(10), ended(webhook)).await.expect("at once");
}

#[tokio::test]
async fn while_leaving_a_server_is_unready_serves_on_and_asks_to_close() {
    let options = Options { shutdown_delay: Duration::from_millis(700), ..Options::default() };
    let webhook = Setup { options, ..Setup::default() }.start().await;
    let mut before = webhook.http1().await;
    let answer = send(&mut before, mutate(review("u", "note", "x"))).await;
    assert_eq!(answer.header("connection"), "");

    webhook.stop.cancel();
    while webhook.get("/readyz").await.status == StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(webhook.get("/readyz").await.body, "shutting down\n");
    assert_eq!(webhook.get("/healthz").await.status, StatusCode::OK);
    for mut connection in [before, webhook.http1().await] {
        let answer = send(&mut connection, mutate(review("u", "note", "x"))).await;
        assert_eq!((answer.status, answer.header("connection")), (StatusCode::OK, "close"));
    }
    ended(webhook).await;
}

#[tokio::test]
async fn a_request_in_flight_is_finished() {
    let webhook = start().await;
    let body = review("u", "note", "x");
    let mut stream = webhook.tls(&["http/1.1"]).await.unwrap();
    let head = format!(
        "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    while webhook.metric("podgraft_requests_in_flight").await < 0.5 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    webhook.stop.cancel();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    ended(webhook).await;
}

/// Neither the one that waits for a place, nor the one behind it in the kernel's queue.
#[tokio::test]
async fn clients_that_wait_for_a_place_are_served_at_the_end() {
    let options = Options { max_connections: 1, ..Options::default() };
    let webhook = Setup { options, ..Setup::default() }.start().await;
    let mut idle = webhook.http1().await;
    send(&mut idle, mutate(review("u", "note", "x"))).await;
    let ask = async || webhook.mutate(review("u", "note", "x")).await.status;
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        webhook.stop.cancel();
    };
    let (first, second, ()) = tokio::join!(ask(), ask(), stop);
    assert_eq!((first, second), (StatusCode::OK, StatusCode::OK));
    ended(webhook).await;
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off_at_the_drain_timeout() {
    let options = Options { drain_timeout: Duration::from_millis(200), ..Options::default() };
    let webhook = Setup { options, ..Setup::default() }.start().await;
    let mut stream = webhook.tls(&["http/1.1"]).await.unwrap();
    stream
        .write_all(b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n")
        .await
        .unwrap();
    while webhook.metric("podgraft_requests_in_flight").await < 0.5 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    webhook.stop.cancel();
    // Well before the body's own timeout of 10 s.
    tokio::time::timeout(Duration::from_secs(8), ended(webhook)).await.expect("it was cut off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_request_fails() {
    let options = Options { shutdown_delay: Duration::from_millis(500), ..Options::default() };
    let webhook = Arc::new(Setup { options, ..Setup::default() }.start().await);
    let served = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (webhook, served) = (Arc::clone(&webhook), Arc::clone(&served));
        clients.spawn(async move {
            // As an API server does: a connection is kept until it is asked to close it, then the next replica gets
            // the requests. Here there is none, so the client ends.
            let mut connection = webhook.http1().await;
            loop {
                let answer = send(&mut connection, mutate(review("u", "note", "x"))).await;
                assert_eq!(answer.status, StatusCode::OK);
                served.fetch_add(1, Ordering::Relaxed);
                if answer.header("connection") == "close" {
                    break;
                }
            }
        });
    }
    while served.load(Ordering::Relaxed) < 100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    webhook.stop.cancel();
    while let Some(client) = clients.join_next().await {
        client.expect("no request failed");
    }
    ended(Arc::into_inner(webhook).unwrap()).await;
}
