//! Bytes and pods that are wrong, each with the exact answer that it gets.

use podgraft::admission::{self, DecodeError};
use podgraft::inject::inject;
use podgraft::snapshot::Snapshot;
use serde_json::{Value, json};

/// What comes back: the HTTP error that says why the bytes are no review, or what the answering review says.
fn answer(body: &[u8], snapshot: &Snapshot) -> String {
    let response = match admission::decode(body) {
        Err(DecodeError::NotAReview(problem)) => return format!("HTTP 400: {problem}"),
        Err(DecodeError::BadObject { uid, message }) => admission::refuse(&uid, 400, &message),
        Ok(review) => admission::encode(&review.uid, &inject(&review.request, snapshot)),
    };
    let answer: Value = serde_json::from_slice(&response).unwrap();
    let response = &answer["response"];
    assert_eq!(response["uid"], "u");
    if response["allowed"] == true {
        return if response.get("patch").is_some() { "patched".to_owned() } else { "allowed".to_owned() };
    }
    let status = &response["status"];
    format!("{} {}: {}", status["code"], status["reason"].as_str().unwrap(), status["message"].as_str().unwrap())
}

/// Asserts every answer, and shows all that differ.
fn assert_answers(snapshot: &Snapshot, table: impl IntoIterator<Item = (String, Vec<u8>, &'static str)>) {
    let mut differ = String::new();
    for (what, body, wanted) in table {
        let found = answer(&body, snapshot);
        if found != wanted {
            differ.push_str(&format!("{what}\n  wanted {wanted:?}\n  found  {found:?}\n"));
        }
    }
    assert!(differ.is_empty(), "\n{differ}");
}

/// A review of the creation of a pod that is this JSON text.
fn review(object: &str) -> Vec<u8> {
    format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u","kind":{{"group":"","version":"v1","kind":"Pod"}},"namespace":"default","operation":"CREATE","object":{object}}}}}"#
    )
    .into_bytes()
}

#[test]
fn bytes_that_are_no_review() {
    let pod = r#"{"apiVersion":"v1","kind":"Pod"}"#;
    let table = [
        (&b""[..], "HTTP 400: the body is no AdmissionReview: EOF while parsing a value at line 1 column 0"),
        (b"{", "HTTP 400: the body is no AdmissionReview: EOF while parsing an object at line 1 column 1"),
        (b"hello", "HTTP 400: the body is no AdmissionReview: expected value at line 1 column 1"),
        (b"\xef\xbb\xbf{}", "HTTP 400: the body is no AdmissionReview: expected value at line 1 column 1"),
        (b"{\"kind\":\"\xff\"}", "HTTP 400: the body is not UTF-8: byte 9 is wrong"),
        (b"{} {}", "HTTP 400: the body is no AdmissionReview: trailing characters at line 1 column 4"),
        (b"null", "HTTP 400: ?"),
        (b"[]", "HTTP 400: ?"),
        (b"{}", "HTTP 400: ?"),
        (pod.as_bytes(), "HTTP 400: the body is \"Pod\" of \"v1\"; wanted is AdmissionReview of admission.k8s.io/v1"),
    ];
    let shown = |body| String::from_utf8_lossy(body).into_owned();
    assert_answers(&Snapshot::default(), table.map(|(body, wanted)| (shown(body), body.to_vec(), wanted)));
}

#[test]
fn reviews_that_lack_something() {
    let head = r#""apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview""#;
    let old = r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"u"}}"#;
    let table = [
        (old.to_owned(), "HTTP 400: ?"),
        (format!("{{{head}}}"), "HTTP 400: the AdmissionReview has no request"),
        (format!(r#"{{{head},"request":null}}"#), "HTTP 400: the AdmissionReview has no request"),
        (format!(r#"{{{head},"request":[]}}"#), "HTTP 400: ?"),
        (format!(r#"{{{head},"request":"x"}}"#), "HTTP 400: ?"),
        (format!(r#"{{{head},"request":{{}}}}"#), "HTTP 400: ?"),
        (format!(r#"{{{head},"request":{{"uid":""}}}}"#), "HTTP 400: ?"),
        (format!(r#"{{{head},"request":{{"uid":{{}}}}}}"#), "HTTP 400: ?"),
        // Nothing is known of it but its identity: it creates no pod.
        (format!(r#"{{{head},"request":{{"uid":"u"}}}}"#), "allowed"),
    ];
    assert_answers(&Snapshot::default(), table.map(|(body, wanted)| (body.clone(), body.into_bytes(), wanted)));
}

#[test]
fn objects_that_are_no_pod() {
    let table = [
        ("null", "400 BadRequest: ?"),
        ("5", "400 BadRequest: ?"),
        ("[]", "400 BadRequest: ?"),
        (r#"{"metadata":"x"}"#, "400 BadRequest: ?"),
        (r#"{"metadata":{"annotations":["inject/x"]}}"#, "400 BadRequest: ?"),
        (r#"{"metadata":{"annotations":{"inject/x":["true"]}}}"#, "400 BadRequest: ?"),
        (r#"{"spec":{"containers":{}}}"#, "400 BadRequest: ?"),
        (r#"{"spec":{"containers":[{"name":"a"},"b"]}}"#, "400 BadRequest: ?"),
        (r#"{"spec":{"containers":[{"name":"a"},{"env":5}]}}"#, "400 BadRequest: ?"),
        (r#"{"spec":{"containers":[{"ports":[{"containerPort":"http"}]}]}}"#, "400 BadRequest: ?"),
        (r#"{"spec":{"volumes":[5]}}"#, "400 BadRequest: ?"),
        (r#"{"spec":{"hostNetwork":"yes"}}"#, "400 BadRequest: ?"),
        (r#"{"spec":{"securityContext":{"runAsUser":1e400}}}"#, "400 BadRequest: ?"),
        // What a pod lacks is for the API server to say.
        ("{}", "allowed"),
        (r#"{"metadata":null,"spec":null}"#, "allowed"),
    ];
    assert_answers(&Snapshot::default(), table.map(|(object, wanted)| (object.to_owned(), review(object), wanted)));
}

/// Deeper than any parser of ours recurses: answered, and without an end of the stack.
#[test]
fn deep_nesting() {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    for depth in [100, 1_000, 100_000] {
        let body = deep(depth);
        assert!(answer(body.as_bytes(), &Snapshot::default()).starts_with("HTTP 400: "));
        let unknown = format!(r#"{{"metadata":{{"name":"x"}},"spec":{{"future":{}}}}}"#, deep(depth));
        assert_eq!(answer(&review(&unknown), &Snapshot::default()), "allowed");
        let open = "{\"a\":".repeat(depth);
        assert!(answer(open.as_bytes(), &Snapshot::default()).starts_with("HTTP 400: "));
    }
}

/// Annotations of every shape against the built-in templates.
#[test]
fn annotations_that_are_wrong() {
    let snapshot = crate::builtin::snapshot();
    let table = [
        ("inject/", "true", "403 Forbidden: ?"),
        ("inject/a/b", "true", "403 Forbidden: ?"),
        (".inject/log-shipper", "true", "403 Forbidden: ?"),
        ("inject/log-shipper", "\"/var/log\"", "403 Forbidden: ?"),
        ("inject/log-shipper", "/a\nrestartPolicy: Never", "403 Forbidden: ?"),
        ("inject/log-shipper", "{{ object.spec }}", "403 Forbidden: ?"),
        ("inject/wait-for-db", "$(reboot)", "403 Forbidden: ?"),
        ("inject/wait-for-db", "db; reboot", "403 Forbidden: ?"),
        ("inject/wait-for-db", "-e", "403 Forbidden: ?"),
        ("inject/wait-for-db.port", "5432 # the port", "403 Forbidden: ?"),
        ("inject/wait-for-service", "a, `reboot`", "403 Forbidden: ?"),
        ("inject/set-env", "{\"A\": 1}", "403 Forbidden: ?"),
        ("inject/set-env", "A B=1", "403 Forbidden: ?"),
        ("inject/log-shipper.containers", "[]", "403 Forbidden: ?"),
    ];
    let table = table.map(|(key, value, wanted)| {
        let template = key.split('.').next().unwrap();
        let mut annotations = json!({ key: value });
        if template != key && !template.is_empty() {
            annotations[template] = json!("true");
        }
        let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "web"}]}});
        (format!("{key}: {value}"), review(&pod.to_string()), wanted)
    });
    assert_answers(&snapshot, table);
}
