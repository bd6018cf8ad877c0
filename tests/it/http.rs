//! The webhook's HTTP: every bad input has its own answer, and both protocols give the same.

use std::time::Duration;

use http_body_util::Full;
use hyper::header;
use hyper::{Method, Request, StatusCode};
use podgraft::json::MAX_VALUES;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::webhook::{Answer, Setup, mutate, review, send, start};

fn said(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.body.trim_end())
}

#[tokio::test]
async fn a_pod_that_asks_for_nothing_is_allowed_and_keeps_its_uid() {
    let webhook = start().await;
    let answer = webhook.mutate(review("u-1", "note", "x")).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
    let response = &answer.json()["response"];
    assert_eq!((&response["uid"], &response["allowed"]), (&"u-1".into(), &true.into()));
    assert!(response.get("patch").is_none());
    let skipped = r#"podgraft_admission_requests_total{operation="create",outcome="skipped"}"#;
    assert!((webhook.metric(skipped).await - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn a_rejection_is_an_answer_with_403_inside() {
    let webhook = start().await;
    let answer = webhook.mutate(review("u-2", "inject/nothing-like-it", "true")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let response = &answer.json()["response"];
    assert_eq!((&response["uid"], &response["allowed"]), (&"u-2".into(), &false.into()));
    assert_eq!(response["status"]["code"], 403);
    assert!(response["status"]["message"].as_str().unwrap().contains("nothing-like-it"));
    assert!((webhook.metric(r#"podgraft_rejections_total{reason="unknown_template"}"#).await - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn a_body_that_is_no_review_is_400_and_says_why() {
    let webhook = start().await;
    let no_uid = review("", "note", "x");
    let pod = r#"{"apiVersion":"v1","kind":"Pod"}"#;
    let v1beta1 = review("u", "note", "x").replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1");
    let deep = format!("{{\"a\":{}", "[".repeat(500_000));
    let many = format!("[{}0]", "0,".repeat(MAX_VALUES));
    let bodies: [(&[u8], &str); 10] = [
        (b"", "EOF"),
        (b"{", "EOF"),
        (b"{\"apiVersion\": nonsense}", "line 1 column"),
        (b"[]", "AdmissionReview"),
        (b"\xff\xfe", "UTF-8"),
        (pod.as_bytes(), "\"Pod\" of \"v1\""),
        (v1beta1.as_bytes(), "v1beta1"),
        (no_uid.as_bytes(), "request.uid"),
        (deep.as_bytes(), "EOF while parsing a list"),
        (many.as_bytes(), "more than 1048576 values"),
    ];
    for (body, expected) in bodies {
        let answer = webhook.mutate(body.to_vec()).await;
        let (status, text) = said(&answer);
        assert_eq!(status, 400, "{text}");
        assert!(text.contains(expected) && text.lines().count() == 1 && text.len() < 500, "{expected}: {text}");
        assert!(answer.header("content-type").starts_with("text/plain"));
    }
    let counted = r#"podgraft_admission_requests_total{operation="unknown",outcome="bad_request"}"#;
    assert!((webhook.metric(counted).await - 10.0).abs() < 0.5);
}

#[tokio::test]
async fn an_object_that_is_no_pod_is_denied_in_a_review() {
    let webhook = start().await;
    let body = review("u-3", "note", "x").replace(r#""containers":["#, r#""containers":[5,"#);
    let answer = webhook.mutate(body).await;
    let response = &answer.json()["response"];
    assert_eq!((answer.status, &response["uid"], &response["allowed"]), (StatusCode::OK, &"u-3".into(), &false.into()));
    assert_eq!(response["status"]["code"], 400);
    assert!(response["status"]["message"].as_str().unwrap().contains("spec.containers[0]"), "{response}");
}

#[tokio::test]
async fn a_pod_that_nests_deeply_is_answered() {
    let webhook = start().await;
    let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    let body = review("u-4", "note", "x").replace(r#""spec":{"#, &format!(r#""spec":{{"future":{deep},"#));
    let answer = webhook.mutate(body).await;
    assert_eq!((answer.status, &answer.json()["response"]["uid"]), (StatusCode::OK, &"u-4".into()));
}

#[tokio::test]
async fn a_head_that_is_too_long_is_431() {
    let webhook = start().await;
    let request = |bytes: usize| {
        let mut request = mutate(review("u", "note", "x"));
        *request.uri_mut() = "https://localhost/mutate".parse().unwrap();
        request.headers_mut().insert("x-long", "x".repeat(bytes).try_into().unwrap());
        request
    };
    for (bytes, status) in [(15 * 1024, StatusCode::OK), (16 * 1024, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)] {
        assert_eq!(send(&mut webhook.http1().await, request(bytes)).await.status, status);
        assert_eq!(webhook.http2().await.send_request(request(bytes)).await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn other_paths_methods_and_types_are_told_what_is_allowed() {
    let webhook = start().await;
    let mut connection = webhook.http1().await;
    let request = |method: Method, path: &str, content_type: Option<&str>| {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "x");
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        request.body(Full::from(review("u", "note", "x"))).unwrap()
    };
    let json = Some("application/json");
    for (asked, status, expected) in [
        (request(Method::GET, "/mutate", None), 405, "GET /mutate is not allowed; use POST"),
        (request(Method::PUT, "/mutate", json), 405, "PUT /mutate is not allowed; use POST"),
        (request(Method::GET, "/validate", None), 405, "GET /validate is not allowed; use POST"),
        (request(Method::POST, "/other", json), 404, "/other is not here; there are POST /mutate and POST /validate"),
        (request(Method::GET, "/", None), 404, "/ is not here; there are POST /mutate"),
        (request(Method::POST, "/validate", Some("text/plain")), 415, "Content-Type is text/plain; send"),
        (request(Method::POST, "/mutate", None), 415, "there is no Content-Type; send"),
        (request(Method::POST, "/mutate", Some("text/plain")), 415, "Content-Type is text/plain; send"),
        (request(Method::POST, "/mutate", Some("application/jsonx")), 415, "application/json"),
        (request(Method::POST, "/mutate", Some("Application/JSON; charset=utf-8")), 200, "\"allowed\":true"),
    ] {
        // All on one connection: none of these mistakes costs a client more than its request.
        let answer = send(&mut connection, asked).await;
        let (found, text) = said(&answer);
        assert_eq!(found, status, "{text}");
        assert!(text.contains(expected), "{text}");
        assert_eq!(answer.header("allow"), if status == 405 { "POST" } else { "" });
    }
    let mut compressed = mutate(review("u", "note", "x"));
    compressed.headers_mut().insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
    let answer = send(&mut connection, compressed).await;
    assert_eq!(said(&answer), (415, "Content-Encoding is gzip; send an AdmissionReview as it is"));
}

#[tokio::test]
async fn a_body_of_ten_mebibytes_is_413_however_it_is_sent() {
    let webhook = start().await;
    let expected = "the body has more than 8388608 bytes, the most that is read";
    let answer = webhook.mutate(vec![b' '; 10 * 1024 * 1024]).await;
    assert_eq!(said(&answer), (413, expected));

    let mut chunked = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n\
                        Transfer-Encoding: chunked\r\n\r\n"
        .to_vec();
    for _ in 0..10 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.resize(chunked.len() + 1024 * 1024, b' ');
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let answer = webhook.raw(&chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains(expected), "{answer}");

    // A client that asks first need not send it, and one that announces too much is not waited for.
    for announced in ["10485760\r\nExpect: 100-continue", "99999999999"] {
        let head = format!(
            "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {announced}\r\n\r\n"
        );
        let answer = webhook.raw(head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
}

#[tokio::test]
async fn a_body_just_within_the_limit_is_read() {
    let webhook = start().await;
    let mut body = review("u-4", "note", "x").into_bytes();
    body.resize(8 * 1024 * 1024, b' ');
    assert_eq!(webhook.mutate(body).await.status, StatusCode::OK);
}

#[tokio::test]
async fn http2_gives_the_same_answers() {
    let webhook = start().await;
    let mut connection = webhook.http2().await;
    let mut ask = async |uid: &str| {
        let mut request = mutate(review(uid, "note", "x"));
        *request.uri_mut() = "https://localhost/mutate".parse().unwrap();
        let answer = connection.send_request(request).await.unwrap();
        assert_eq!(answer.version(), hyper::Version::HTTP_2);
        Answer::read(answer).await.json()["response"]["uid"].clone()
    };
    assert_eq!(ask("u-5").await, "u-5");
    assert_eq!(ask("u-6").await, "u-6");
}

/// curl gives up on a stream that is reset while it sends, and tells nobody what was answered: it did so in every fifth try.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_waits_for_the_body_that_it_does_not_read() {
    let webhook = start().await;
    let body = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&body, " ".repeat(60_000)).unwrap();
    let json = "content-type: application/json";
    for (method, path, kind, status) in [
        ("POST", "nowhere", json, "404"),
        ("PUT", "mutate", json, "405"),
        ("POST", "mutate", "content-type: text/plain", "415"),
    ] {
        for protocol in ["--http2", "--http1.1"] {
            for _ in 0..20 {
                let mut curl = std::process::Command::new("curl");
                curl.args(["-sk", protocol, "-X", method, "-H", kind, "--data-binary"]);
                curl.arg(format!("@{}", body.path().display()));
                curl.args(["-o", "/dev/null", "-w", "%{http_code}"]).arg(format!("https://{}/{path}", webhook.address));
                let said = tokio::task::block_in_place(|| curl.output()).unwrap();
                assert_eq!(
                    String::from_utf8_lossy(&said.stdout),
                    status,
                    "{protocol} {method} {path}, {kind}: {said:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_offers_no_protocol_is_served_http1() {
    let webhook = start().await;
    let mut stream = webhook.tls(&[]).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[tokio::test]
async fn without_templates_requests_are_asked_to_come_again() {
    let webhook = Setup { snapshot: None, ..Setup::default() }.start().await;
    let answer = webhook.mutate(review("u", "note", "x")).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    let early = r#"podgraft_admission_requests_total{operation="unknown",outcome="not_ready"}"#;
    assert!((webhook.metric(early).await - 1.0).abs() < 0.5, "it is counted");
    let ready = webhook.get("/readyz").await;
    assert_eq!(said(&ready), (503, "templates are not loaded yet"));
    assert_eq!(webhook.get("/healthz").await.status, StatusCode::OK);
    webhook.state.publish(podgraft::snapshot::Snapshot::default());
    assert_eq!(said(&webhook.get("/readyz").await), (200, "ok"));
    assert_eq!(webhook.mutate(review("u", "note", "x")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_pod_of_a_namespace_that_was_not_seen_yet_is_asked_to_come_again() {
    use podgraft::snapshot::{Layer, Namespace, Snapshot};

    let seen = |names: &[&str]| {
        let mut layer = Layer::default();
        let objects = names.iter().map(|name| serde_json::json!({"metadata": {"name": name}}));
        objects.filter_map(Namespace::from_object).for_each(|namespace| layer.namespaces.insert(namespace));
        layer
    };
    // Files need not name every namespace.
    let webhook = Setup { snapshot: Some(Snapshot::default().under(&seen(&[]))), ..Setup::default() }.start().await;
    assert_eq!(webhook.mutate(review("u", "note", "x")).await.status, StatusCode::OK);

    let mut all = seen(&["other"]);
    all.namespaces.set_complete();
    webhook.state.publish(Snapshot::default().under(&all));
    let answer = webhook.mutate(review("u", "note", "x")).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    let early = r#"podgraft_admission_requests_total{operation="create",outcome="not_ready"}"#;
    assert!((webhook.metric(early).await - 1.0).abs() < 0.5, "it is counted");

    let mut all = seen(&["other", "default"]);
    all.namespaces.set_complete();
    webhook.state.publish(Snapshot::default().under(&all));
    assert_eq!(webhook.mutate(review("u", "note", "x")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn more_requests_than_may_be_in_flight_are_shed() {
    let webhook = Setup { max_in_flight: 1, ..Setup::default() }.start().await;
    let body = review("u", "note", "x");
    let mut slow = webhook.tls(&["http/1.1"]).await.unwrap();
    let head = format!(
        "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    while webhook.metric("podgraft_requests_in_flight").await < 0.5 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let shed = webhook.mutate(body.clone()).await;
    assert_eq!((shed.status.as_u16(), shed.header("retry-after")), (429, "1"));
    assert!((webhook.metric("podgraft_requests_shed_total").await - 1.0).abs() < 0.5);
    assert_eq!(webhook.get("/readyz").await.status, StatusCode::OK, "health is no request of this kind");

    slow.write_all(body.as_bytes()).await.unwrap();
    let mut start = [0; 15];
    slow.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    assert_eq!(webhook.mutate(body).await.status, StatusCode::OK);
}

#[tokio::test]
async fn many_large_bodies_are_answered_in_turn() {
    let webhook = std::sync::Arc::new(start().await);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let webhook = std::sync::Arc::clone(&webhook);
        clients.spawn(async move {
            let mut body = review("u", "note", "x").into_bytes();
            body.resize(1024 * 1024, b' ');
            webhook.mutate(body).await.status
        });
    }
    while let Some(status) = clients.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::OK);
    }
}

/// As many as one connection may have at a time; before bodies had a budget of their own, they waited for each other.
#[tokio::test]
async fn many_large_bodies_of_one_http2_connection_are_answered() {
    let webhook = start().await;
    let connection = webhook.http2().await;
    let mut answers = tokio::task::JoinSet::new();
    for index in 0..64 {
        let mut connection = connection.clone();
        answers.spawn(async move {
            let mut body = review(&format!("u-{index}"), "note", "x").into_bytes();
            body.resize(512 * 1024, b' ');
            let mut request = mutate(body);
            *request.uri_mut() = "https://localhost/mutate".parse().unwrap();
            let answer = connection.send_request(request).await.unwrap();
            (index, answer.status(), Answer::read(answer).await)
        });
    }
    while let Some(answered) = answers.join_next().await {
        let (index, status, answer) = answered.unwrap();
        assert_eq!(status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.json()["response"]["uid"], format!("u-{index}"));
    }
}

#[tokio::test]
async fn the_admin_port_names_what_it_has() {
    let webhook = start().await;
    assert_eq!(said(&webhook.get("/").await), (404, "/ is not here; there are /metrics, /healthz and /readyz"));
    let metrics = webhook.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
    assert!(metrics.body.contains("# TYPE podgraft_admission_duration_seconds histogram"));
}
