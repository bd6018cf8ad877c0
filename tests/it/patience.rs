//! Clients that keep the server waiting, and whose place is needed.

use std::time::Duration;

use hyper::StatusCode;
use podgraft::server::Patience;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::webhook::{LONG, Setup, Webhook, mutate, review, send, start, tls_over};

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off_but_an_idle_connection_is_not() {
    let patience = Patience { head: Duration::from_millis(300), ..Patience::default() };
    let webhook = Setup { patience, ..Setup::default() }.start().await;
    let mut idle = webhook.http1().await;
    assert_eq!(send(&mut idle, mutate(review("u", "note", "x"))).await.status, StatusCode::OK);

    let mut slow = webhook.tls(&["http/1.1"]).await.unwrap();
    slow.write_all(b"POST /mutate HTTP/1.1\r\nHost: ").await.unwrap();
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(LONG, slow.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "it was cut off");
    assert!(rest.is_empty());

    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(send(&mut idle, mutate(review("u", "note", "x"))).await.status, StatusCode::OK, "it idled for longer");
}

#[tokio::test]
async fn connections_without_requests_are_closed_in_the_end() {
    let patience =
        Patience { first: Duration::from_millis(200), idle: Duration::from_millis(200), ..Patience::default() };
    let webhook = Setup { patience, ..Setup::default() }.start().await;
    assert_eq!(webhook.raw(b"").await, "", "nothing was ever asked");
    let answer = webhook.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "closed after an answer: {answer}");

    let mut http2 = webhook.http2().await;
    let closed = async {
        while http2.ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, closed).await.expect("HTTP/2, too");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_408() {
    let patience =
        Patience { body: Duration::from_millis(200), head: Duration::from_millis(200), ..Patience::default() };
    let webhook = Setup { patience, ..Setup::default() }.start().await;
    let answer = webhook
        .raw(b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        .await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("did not arrive within 0.2 s"), "{answer}");
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_cut_off() {
    let patience = Patience { write: Duration::from_millis(200), ..Patience::default() };
    let webhook = Setup { patience, ..Setup::default() }.start().await;
    // A small window, so that answers pile up at the server soon.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(webhook.address).await.unwrap();
    let stream = tls_over(stream, &webhook.certs().join("ca.crt"), &["http/1.1"]).await.unwrap();
    let (_unread, mut requests) = tokio::io::split(stream);
    let asking = tokio::spawn(async move {
        // Until the server has enough of it.
        while requests.write_all(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000)).await.is_ok() {}
    });
    tokio::time::timeout(LONG, asking).await.expect("it was cut off").unwrap();
}

#[tokio::test]
async fn at_the_most_connections_an_idle_one_makes_room_and_so_does_a_slow_body() {
    let options = podgraft::server::Options { max_connections: 1, ..Default::default() };
    let webhook = Setup { options, ..Setup::default() }.start().await;
    let mut idle = webhook.tls(&["http/1.1"]).await.unwrap();
    assert_eq!(webhook.mutate(review("u", "note", "x")).await.status, StatusCode::OK);
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0, "it was closed");

    for kind in ["application/json", "text/plain"] {
        let mut slow = begun(&webhook, "/mutate", kind).await;
        // Well before the body's own timeout of 10 s.
        let answer = tokio::time::timeout(Duration::from_secs(7), webhook.mutate(review("u", "note", "x"))).await;
        assert_eq!(answer.expect("a place").status, StatusCode::OK);
        let closed = tokio::time::timeout(LONG, slow.read_to_end(&mut Vec::new())).await;
        assert!(closed.is_ok(), "it was closed");
    }
}

/// Whoever talks but never asks for a review has no more right to its place than whoever is silent.
#[tokio::test]
async fn at_the_most_connections_whoever_asks_for_nothing_makes_room() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0podgraft";
    const NOT_HERE: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    for (protocol, first, again) in [("h2", PREFACE, PING), ("http/1.1", NOT_HERE, NOT_HERE)] {
        let options = podgraft::server::Options { max_connections: 1, ..Default::default() };
        let webhook = Setup { options, ..Setup::default() }.start().await;
        let mut stranger = webhook.tls(&[protocol]).await.unwrap();
        stranger.write_all(first).await.unwrap();
        let talking = async {
            while stranger.write_all(again).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = talking => {}
            answer = tokio::time::timeout(LONG, webhook.mutate(review("u", "note", "x"))) => {
                assert_eq!(answer.expect("a place").status, StatusCode::OK);
            }
        }
    }
}

/// Sends the head of a review, of this type and path, and the beginning of its body.
async fn begun(webhook: &Webhook, path: &str, kind: &str) -> impl AsyncReadExt + Unpin + use<> {
    let mut stream = webhook.tls(&["http/1.1"]).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn what_can_be_no_review_takes_no_place_in_flight() {
    let webhook = Setup { max_in_flight: 1, ..Setup::default() }.start().await;
    let _held = begun(&webhook, "/mutate", "text/plain").await;
    let counted = r#"podgraft_admission_requests_total{operation="unknown",outcome="bad_request"}"#;
    while webhook.metric(counted).await < 0.5 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(webhook.mutate(review("u", "note", "x")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_slow_body_for_validate_makes_room_for_the_next() {
    let webhook = Setup { max_in_flight: 8, ..Setup::default() }.start().await;
    let _held = begun(&webhook, "/validate", "application/json").await;
    while webhook.metric("podgraft_requests_in_flight").await < 0.5 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let validate = async || {
        let mut request = mutate(review("u", "note", "x"));
        *request.uri_mut() = "/validate".parse().unwrap();
        send(&mut webhook.http1().await, request).await.status
    };
    assert_eq!(validate().await, StatusCode::TOO_MANY_REQUESTS, "an eighth of eight is taken");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(validate().await, StatusCode::OK);
}

#[tokio::test]
async fn those_who_stay_on_the_admin_port_keep_no_probe_out() {
    let webhook = start().await;
    let mut stay = Vec::new();
    for _ in 0..32 {
        let mut stream = tokio::net::TcpStream::connect(webhook.admin).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        stream.read_exact(&mut [0; 15]).await.unwrap();
        stay.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let probed = tokio::time::timeout(Duration::from_secs(3), webhook.get("/healthz")).await;
    assert_eq!(probed.expect("within a probe's patience").status, StatusCode::OK);
}
