//! What a body becomes in memory, and what is kept of pods that were answered: whoever sends them, nobody fills ours.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::scene::{LONG, Scene, memory, runtime};
use crate::webhook::tls_to;

/// Sends bodies side by side, and gives the answers.
fn answers(scene: &Scene, path: &str, bodies: Vec<String>) -> Vec<String> {
    runtime().block_on(async {
        let mut all = JoinSet::new();
        for body in bodies {
            let mut stream =
                tls_to(scene.server.address, &scene.server.path("certs/ca.crt"), &["http/1.1"]).await.unwrap();
            let path = path.to_owned();
            all.spawn(async move {
                let head = format!(
                    "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n\
                     Content-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(body.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                let mut answer = Vec::new();
                // podgraft ends a TLS connection as it should, and what else may go wrong shows in the answer.
                let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.expect("an answer");
                String::from_utf8(answer).unwrap()
            });
        }
        all.join_all().await
    })
}

/// A review of this object.
fn review(object: &str) -> String {
    format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u","kind":{{"version":"v1","kind":"Pod"}},"operation":"CREATE","namespace":"d","object":{object}}}}}"#
    )
}

/// A pod that asks, with this in its spec.
fn pod(spec: &str) -> String {
    review(&format!(r#"{{"metadata":{{"annotations":{{"inject/log-shipper":"true"}}}},"spec":{{{spec}}}}}"#))
}

/// As many of the pieces as make so many bytes.
fn many(piece: &str, bytes: usize) -> String {
    let pieces = bytes / (piece.len() + 1);
    let mut all = String::with_capacity(bytes);
    for index in 0..pieces {
        all.push_str(if index > 0 { "," } else { "" });
        all.push_str(piece);
    }
    all
}

/// A pod with this annotation beside the one by which it asks.
fn annotated(annotation: &str) -> String {
    let spec = r#""spec":{"containers":[{"name":"a"}]}"#;
    review(&format!(r#"{{"metadata":{{"annotations":{{"inject/set-env":"A=b",{annotation}}}}},{spec}}}"#))
}

/// A pod that asks for 64 grafts, with this in its spec.
fn asks_often(annotation: &str, value: &str, spec: &str) -> String {
    let all: Vec<_> = (0..64).map(|instance| format!(r#""i{instance}.inject/{annotation}":"{value}""#)).collect();
    review(&format!(r#"{{"metadata":{{"annotations":{{{}}}}},"spec":{{{spec}}}}}"#, all.join(",")))
}

/// The shapes that make the most of each byte: for the list of a body's values, and for what the engine reads of a pod.
fn dense(bytes: usize) -> Vec<(&'static str, String)> {
    let brackets = bytes / 2;
    let (opened, closed) = ("[".repeat(brackets), "]".repeat(brackets));
    let empty = many("{}", bytes);
    vec![
        ("grafts that were made, as many as Kubernetes allows", {
            let grafts = many("{}", bytes.min(250_000));
            annotated(&format!(r#""podgraft.dev/status":"{{\"grafts\":[{grafts}],\"skipped\":[{grafts}]}}""#))
        }),
        (
            "a list, as long as Kubernetes allows",
            annotated(&format!(r#""x.inject/set-env":"{}""#, many("A", bytes.min(250_000)))),
        ),
        ("what opens", "[".repeat(bytes)),
        ("what nests", review(&format!(r#"{{"x":{opened}{closed}}}"#))),
        ("maps", format!("[{empty}]")),
        ("containers", pod(&format!(r#""containers":[{empty}]"#))),
        (
            "containers as API servers write them",
            pod(&format!(r#""containers":[{}]"#, many(r#"{"name":"","resources":{}}"#, bytes))),
        ),
        ("containers that stand twice", pod(&format!(r#""containers":[{empty}],"containers":[]"#))),
        ("containers of a second request", {
            let first = pod(&format!(r#""containers":[{empty}]"#));
            let end = first.len() - 1;
            format!(r#"{},"request":{{}}}}"#, &first[..end])
        }),
        ("mounts", pod(&format!(r#""containers":[{{"name":"a","volumeMounts":[{empty}]}}]"#))),
        ("variables", pod(&format!(r#""containers":[{{"name":"a","env":[{empty}]}}]"#))),
        ("volumes", pod(&format!(r#""volumes":[{empty}],"containers":[{{"name":"a"}}]"#))),
        ("host aliases", pod(&format!(r#""hostAliases":[{empty}],"containers":[{{"name":"a"}}]"#))),
        ("annotations", {
            let annotations = many(r#""":"""#, bytes);
            review(&format!(
                r#"{{"metadata":{{"annotations":{{"inject/log-shipper":"true",{annotations}}}}},"spec":{{"containers":[{{"name":"a"}}]}}}}"#
            ))
        }),
        ("grafts that were made", annotated(&format!(r#""podgraft.dev/status":"{{\"grafts\":[{empty}]}}""#))),
        ("a list", annotated(&format!(r#""x.inject/set-env":"{}""#, many("A", bytes)))),
        ("a key", annotated(&format!(r#""{}.inject/set-env":"A=b""#, "\\u007f".repeat(bytes / 6)))),
        (
            "a name of which much is told",
            asks_often("set-env", "A=b", &format!(r#""containers":[{{"name":"{}"}}]"#, "a".repeat(bytes - 4096))),
        ),
        (
            "a path of which much is told",
            asks_often(
                "fix-permissions",
                "/data",
                &format!(
                    r#""containers":[{{"name":"a","volumeMounts":[{{"name":"v","mountPath":"{}"}}]}}],"volumes":[{{"name":"v","emptyDir":{{}}}}]"#,
                    "/a".repeat(bytes / 2 - 2048)
                ),
            ),
        ),
        (
            "a command like ours",
            pod(&format!(
                r#""containers":[{{"name":"app"}},{{"name":"log-shipper","command":[{}]}}]"#,
                many(r#""""#, bytes)
            )),
        ),
        ("no metadata, and containers", review(&format!(r#"{{"metadata":7,"spec":{{"containers":[{empty}]}}}}"#))),
    ]
}

#[test]
fn bodies_of_many_values_take_little_more_than_their_bytes() {
    const SIDE_BY_SIDE: usize = 2;
    // What is read of a body, for each of those that are read at a time.
    const READ: u64 = 24;
    // As large as they may be, and with nearly as many values as are read.
    for (path, bytes) in [("/mutate", 8 * 1024 * 1024 - 1024), ("/mutate", 1_500_000), ("/validate", 1_500_000)] {
        for (shape, body) in dense(bytes) {
            // What others left behind would count as well.
            let scene = Scene::start(&[]);
            let before = memory(&scene.server, "VmRSS:");
            let size = body.len();
            let found = answers(&scene, path, vec![body; SIDE_BY_SIDE]);
            let status: Vec<_> = found.iter().map(|answer| answer.get(9..12).unwrap_or("none")).collect();
            let more = memory(&scene.server, "VmHWM:") - before;
            println!("{path}, {SIDE_BY_SIDE} of {} KiB, {shape}: {status:?}, {more} MiB", size / 1024);
            assert!(status.iter().all(|status| ["200", "400"].contains(status)), "{shape}: {status:?}");
            let most = SIDE_BY_SIDE as u64 * (size as u64 / 1024 / 1024 + READ);
            assert!(more <= most, "{shape}: {more} MiB, not {most}");
        }
    }
}

/// Renderings are kept for the next pod that says the same. Pods that say much, each something else, must not add up.
#[test]
fn pods_that_say_much_are_not_kept() {
    let scene = Scene::start(&[]);
    let body = |index: usize, sub_path: String, value: String| {
        let annotations = json!({"inject/log-shipper": "true", "inject/log-shipper.image": value});
        let mounts = [json!({"name": "own", "mountPath": "/var/log/app", "subPath": sub_path})];
        let object = json!({
            "metadata": {"annotations": annotations, "name": format!("p{index}")},
            "spec": {"containers": [{"name": "a", "volumeMounts": mounts}], "volumes": [{"name": "own", "emptyDir": {}}]},
        });
        review(&object.to_string())
    };
    let long = |index: usize, bytes: usize| format!("{index}{}", "x".repeat(bytes));
    let send = |from: usize, to: usize| {
        for index in from..to {
            let image = body(index, "logs".to_owned(), long(index, 60 * 1024));
            let sub_path = body(index, long(index, 1024 * 1024), format!("i{index}"));
            for answer in answers(&scene, "/mutate", vec![image, sub_path]) {
                assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"allowed\":true"), "{answer:.300}");
            }
        }
        memory(&scene.server, "VmRSS:")
    };
    let (early, late) = (send(0, 16), send(16, 128));
    println!("of pods with much to say: {early} MiB after 32, {late} MiB after 256");
    assert!(late <= early + 16, "{early} MiB after 32 pods, {late} MiB after 256");
}
