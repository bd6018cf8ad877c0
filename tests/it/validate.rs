//! `/validate` over HTTPS: what people read when they apply something.

use std::sync::Arc;

use http_body_util::Full;
use hyper::{Request, StatusCode, header};
use podgraft::json::MAX_VALUES;
use podgraft::snapshot::{Namespace, OnError, Policy, Snapshot};
use serde_json::{Value, json};

use crate::process::Process;
use crate::webhook::{Answer, Setup, Webhook, mutate, send};

/// The built-in templates, and a namespace that asks for one.
fn snapshot(policy: Policy) -> Snapshot {
    let mut snapshot = Snapshot { policy, ..Snapshot::default() };
    for template in crate::builtin::templates() {
        snapshot.templates.insert(template);
    }
    let shop = json!({"metadata": {
        "name": "shop",
        "labels": {"podgraft.dev/inject": "enabled"},
        "annotations": {"inject/ours": "true"},
    }});
    snapshot.namespaces.insert(Namespace::from_object(shop).unwrap());
    snapshot
}

async fn start(policy: Policy) -> Webhook {
    Setup { snapshot: Some(snapshot(policy)), ..Setup::default() }.start().await
}

/// A review of an object.
fn review(operation: &str, object: &Value, old: &Value) -> Value {
    let subject = if object.is_null() { old } else { object };
    let (group, version) = match subject["apiVersion"].as_str().unwrap().split_once('/') {
        Some((group, version)) => (group, version),
        None => ("", "v1"),
    };
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u",
            "kind": {"group": group, "version": version, "kind": subject["kind"]},
            "operation": operation,
            "namespace": subject["metadata"]["namespace"],
            "name": subject["metadata"]["name"],
            "object": object,
            "oldObject": old,
            "dryRun": false,
        },
    })
}

async fn post(webhook: &Webhook, body: impl ToString) -> Answer {
    let request = Request::post("/validate")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(body.to_string()))
        .unwrap();
    send(&mut webhook.http1().await, request).await
}

/// The response within the review that comes back.
async fn ask(webhook: &Webhook, operation: &str, object: &Value, old: &Value) -> Value {
    let answer = post(webhook, review(operation, object, old)).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
    let mut json = answer.json();
    assert_eq!((&json["kind"], &json["response"]["uid"]), (&"AdmissionReview".into(), &"u".into()));
    json["response"].take()
}

fn deployment(annotations: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"template": {
            "metadata": {"annotations": annotations},
            "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]},
        }},
    })
}

fn template(field: &str) -> Value {
    json!({
        "apiVersion": "podgraft.dev/v1alpha1",
        "kind": "ClusterInjectionTemplate",
        "metadata": {"name": "ours"},
        "spec": {"sidecars": [{"name": "ours", "image": "busybox:1.36", field: "Always"}]},
    })
}

async fn counted(webhook: &Webhook, operation: &str, outcome: &str) -> f64 {
    let labels = format!("operation=\"{operation}\",outcome=\"{outcome}\"");
    webhook.metric(&format!("podgraft_admission_requests_total{{{labels}}}")).await
}

#[tokio::test]
async fn a_workload_is_let_in_with_a_warning() {
    let webhook = start(Policy::default()).await;
    let response = ask(&webhook, "CREATE", &deployment(&json!({"inject/log-shiper": "true"})), &Value::Null).await;
    assert_eq!((&response["allowed"], response.get("status")), (&true.into(), None));
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("the pods of Deployment/web will be denied: annotation inject/log-shiper:"),
        "{warning}"
    );
    assert!(warning.contains("did you mean \"log-shipper\"?"), "{warning}");
    assert_eq!(response["auditAnnotations"], json!({"decision": "warned"}));

    let response = ask(&webhook, "CREATE", &deployment(&json!({"inject/log-shipper": "true"})), &Value::Null).await;
    let audit = json!({"decision": "allowed", "templates": "log-shipper"});
    assert_eq!(response, json!({"uid": "u", "allowed": true, "auditAnnotations": audit}));
    for (outcome, times) in [("warned", 1.0), ("allowed", 1.0), ("skipped", 0.0), ("rejected", 0.0)] {
        assert!((counted(&webhook, "validate_workload", outcome).await - times).abs() < 0.5, "{outcome}");
    }
}

#[tokio::test]
async fn a_workload_is_denied_with_its_pods_words_where_the_operator_wants_it() {
    let webhook = start(Policy { workload_errors: OnError::Deny, ..Policy::default() }).await;
    let asked = json!({"inject/log-shiper": "true", "inject/set-env": "true"});
    let response = ask(&webhook, "CREATE", &deployment(&asked), &Value::Null).await;
    assert_eq!((&response["allowed"], &response["status"]["code"]), (&false.into(), &403.into()));
    assert_eq!(response["auditAnnotations"]["decision"], "rejected");
    assert_eq!(response["auditAnnotations"]["reason"], "missing_parameter,unknown_template");

    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default", "annotations": asked},
        "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]},
    });
    let of_pod = webhook.mutate(review("CREATE", &pod, &Value::Null).to_string()).await.json();
    assert_eq!(of_pod["response"]["status"], response["status"]);
    assert_eq!(of_pod["response"]["auditAnnotations"], response["auditAnnotations"]);
}

#[tokio::test]
async fn a_bad_template_is_denied_with_the_line_and_a_good_one_is_not() {
    let webhook = start(Policy::default()).await;
    let response = ask(&webhook, "CREATE", &template("imagePulPolicy"), &Value::Null).await;
    assert_eq!((&response["allowed"], &response["status"]["code"]), (&false.into(), &403.into()));
    let message = response["status"]["message"].as_str().unwrap();
    for part in ["ClusterInjectionTemplate/ours can't be used", "imagePulPolicy: Always", "^", "did you mean"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(response["auditAnnotations"]["reason"], "bad_template");

    let response = ask(&webhook, "CREATE", &template("imagePullPolicy"), &Value::Null).await;
    assert_eq!((&response["allowed"], response.get("warnings")), (&true.into(), None));
    let unchanged = ask(&webhook, "UPDATE", &template("imagePulPolicy"), &template("imagePulPolicy")).await;
    assert_eq!((&unchanged["allowed"], &unchanged["auditAnnotations"]["reason"]), (&true.into(), &"unchanged".into()));
    let response = ask(&webhook, "DELETE", &Value::Null, &template("imagePullPolicy")).await;
    assert!(response["warnings"][0].as_str().unwrap().contains("namespace shop still asks for \"ours\""), "{response}");
    for (outcome, times) in [("rejected", 1.0), ("allowed", 1.0), ("skipped", 1.0), ("warned", 1.0)] {
        assert!((counted(&webhook, "validate_template", outcome).await - times).abs() < 0.5, "{outcome}");
    }
}

#[tokio::test]
async fn namespaces_are_warned_and_all_else_is_let_through() {
    let webhook = start(Policy::default()).await;
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "new", "annotations": {"inject/log-shipper": "true"}},
    });
    let response = ask(&webhook, "CREATE", &namespace, &Value::Null).await;
    assert!(response["warnings"][0].as_str().unwrap().contains("the label podgraft.dev/inject: enabled"), "{response}");

    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "annotations": {"inject/x": "true"}}});
    let response = ask(&webhook, "CREATE", &secret, &Value::Null).await;
    let audit = json!({"decision": "skipped", "reason": "not_for_us"});
    assert_eq!(response, json!({"uid": "u", "allowed": true, "auditAnnotations": audit}));
    assert!((counted(&webhook, "validate_other", "skipped").await - 1.0).abs() < 0.5);

    let mut scale = review("UPDATE", &deployment(&json!({"inject/nothing": "true"})), &Value::Null);
    scale["request"]["subResource"] = "scale".into();
    assert_eq!(post(&webhook, scale).await.json()["response"]["auditAnnotations"], audit);
}

#[tokio::test]
async fn what_is_no_review_gets_the_same_answer_as_from_mutate() {
    let webhook = start(Policy::default()).await;
    for body in ["", "[]", "{\"apiVersion\": 1", "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}"] {
        let (here, there) = (post(&webhook, body).await, webhook.mutate(body).await);
        assert_eq!((here.status, &here.body), (StatusCode::BAD_REQUEST, &there.body));
    }
    let large = " ".repeat(10 * 1024 * 1024);
    assert_eq!(post(&webhook, large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let unloaded = Setup { snapshot: None, ..Setup::default() }.start().await;
    let answer = post(&unloaded, review("CREATE", &template("imagePullPolicy"), &Value::Null)).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
}

#[tokio::test]
async fn pods_are_answered_while_templates_are_compiled() {
    let webhook = Arc::new(start(Policy::default()).await);
    // Each of these takes many times as long as a pod.
    let mut large = template("imagePullPolicy");
    let sidecar = |index: usize| {
        let env = json!({"name": "A", "value": "{{ object.metadata.namespace + string(1 + 1) }}"});
        json!({"name": format!("c{index}"), "image": "busybox:1.36", "env": vec![env; 40]})
    };
    large["spec"]["sidecars"] = (0..60).map(sidecar).collect();
    let large = review("CREATE", &large, &Value::Null).to_string();
    let mut templates = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (webhook, large) = (Arc::clone(&webhook), large.clone());
        templates.spawn(async move { post(&webhook, large).await.status });
    }
    let mut connection = webhook.http1().await;
    let mut during = 0;
    while templates.try_join_next().is_none() {
        let answer = send(&mut connection, mutate(crate::webhook::review("u", "inject/log-shipper", "true"))).await;
        assert_eq!(answer.status, StatusCode::OK);
        during += 1;
        assert!(during < 1_000_000, "the templates are never done");
    }
    assert!(during > 1, "no pod was answered before the first template");
    while let Some(status) = templates.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::OK);
    }
}

#[tokio::test]
async fn more_than_a_part_of_what_may_be_in_flight_is_told_to_come_again() {
    let webhook = Arc::new(Setup { max_in_flight: 8, ..Setup::default() }.start().await);
    // One of eight may be here. It never sends its body.
    let mut stuck = webhook.tls(&["http/1.1"]).await.unwrap();
    let head = b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{";
    tokio::io::AsyncWriteExt::write_all(&mut stuck, head).await.unwrap();
    while webhook.metric("podgraft_requests_in_flight").await < 1.0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let shed = post(&webhook, review("CREATE", &deployment(&json!({})), &Value::Null)).await;
    assert_eq!((shed.status.as_u16(), shed.header("retry-after")), (429, "1"));
    let pod = webhook.mutate(crate::webhook::review("u", "note", "x")).await;
    assert_eq!(pod.status, StatusCode::OK, "pods have the rest");
}

/// The most memory that a process has had, in MiB.
fn peak(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    line.unwrap().parse::<u64>().unwrap() / 1024
}

/// A tree of `[{"":0},…]` takes 150 times the memory of its text, and there are two in an update.
#[tokio::test]
async fn large_objects_take_little_memory() {
    let review = |group: &str, kind: &str, object: &str, old: &str| {
        format!(
            r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u","kind":{{"group":"{group}","version":"v1","kind":"{kind}"}},
            "operation":"UPDATE","namespace":"default","name":"x","object":{object},"oldObject":{old}}}}}"#
        )
    };
    let deployment = |item: &str, count: usize| {
        let items = vec![item; count].join(",");
        format!(
            r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"x"}},"spec":{{"template":{{"metadata":{{"annotations":
            {{"inject/log-shipper":"true"}}}},"x":[{items}],"spec":{{"containers":[{{"name":"a","image":"b"}}]}}}}}}}}"#
        )
    };
    let template = |item: &str, count: usize| {
        let items = vec![item; count].join(",");
        format!(
            r#"{{"apiVersion":"podgraft.dev/v1alpha1","kind":"InjectionTemplate","metadata":{{"name":"x","namespace":"default"}},"spec":{{"when":[{items}]}}}}"#
        )
    };
    let process = Process::start(|_| {}, &[]);
    assert_eq!(process.ask("inject/log-shipper", "true").await["allowed"], true);
    let before = peak(&process);
    let mut bodies = Vec::new();
    for (item, marks, values) in [("0", 1, 1), (r#"{"":0}"#, 3, 4)] {
        // As many values as are read of a body, in which there are two objects, and as are looked at.
        let whole = (MAX_VALUES / 2 - 1024) / values;
        for count in [whole, 32_000 / marks] {
            bodies.push(review("apps", "Deployment", &deployment(item, count), &deployment(item, count - 1)));
        }
        for count in [whole, 16_000 / marks] {
            bodies.push(review(
                "podgraft.dev",
                "InjectionTemplate",
                &template(item, count),
                &template(item, count - 1),
            ));
        }
    }
    let mut answers = tokio::task::JoinSet::new();
    for body in bodies {
        let mut connection = process.connect().await;
        let request = Request::post("/validate").header(header::HOST, "localhost");
        let request = request.header(header::CONTENT_TYPE, "application/json").body(Full::from(body)).unwrap();
        answers.spawn(async move { send(&mut connection, request).await });
    }
    let mut denied = 0;
    while let Some(answer) = answers.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        denied += usize::from(answer.json()["response"]["allowed"] == false);
    }
    assert_eq!(denied, 4, "the templates");
    let after = peak(&process);
    assert!(after < before + 160, "{before} MiB before, {after} MiB at most");
}
