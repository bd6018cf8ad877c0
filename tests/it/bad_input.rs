//! Bytes and pods that are wrong, each with the exact answer that it gets.

use std::time::Instant;

use podgraft::admission::{self, DecodeError};
use podgraft::inject::inject;
use podgraft::snapshot::{INJECT_LABEL, Lookup, Namespace, Snapshot};
use serde_json::{Map, Value, json};

use crate::webhook;

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
    let differ = table.into_iter().filter_map(|(what, body, wanted)| {
        let found = answer(&body, snapshot);
        (found != wanted).then(|| format!("\n{what}\n  wanted {wanted:?}\n  found  {found:?}"))
    });
    let differ: String = differ.collect();
    assert!(differ.is_empty(), "{differ}");
}

/// A review of the creation of a pod that is this JSON text.
fn review(object: &str) -> Vec<u8> {
    webhook::review_of(object).into_bytes()
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
        (b"null", "HTTP 400: the body is no AdmissionReview: invalid type: null, expected an AdmissionReview"),
        (b"[]", "HTTP 400: the body is no AdmissionReview: invalid type: sequence, expected an AdmissionReview"),
        (b"{}", "HTTP 400: the body is \"\" of \"\"; wanted is AdmissionReview of admission.k8s.io/v1"),
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
        (
            old.to_owned(),
            "HTTP 400: the body is \"AdmissionReview\" of \"admission.k8s.io/v1beta1\"; wanted is AdmissionReview of admission.k8s.io/v1",
        ),
        (format!("{{{head}}}"), "HTTP 400: the AdmissionReview has no request"),
        (format!(r#"{{{head},"request":null}}"#), "HTTP 400: the AdmissionReview has no request"),
        (
            format!(r#"{{{head},"request":[]}}"#),
            "HTTP 400: the body is no AdmissionReview: request: invalid type: sequence, expected a request",
        ),
        (
            format!(r#"{{{head},"request":"x"}}"#),
            "HTTP 400: the body is no AdmissionReview: request: invalid type: string \"x\", expected a request",
        ),
        (
            format!(r#"{{{head},"request":{{}}}}"#),
            "HTTP 400: the AdmissionReview has no request.uid, which the answer must carry",
        ),
        (
            format!(r#"{{{head},"request":{{"uid":""}}}}"#),
            "HTTP 400: the AdmissionReview has no request.uid, which the answer must carry",
        ),
        (
            format!(r#"{{{head},"request":{{"uid":{{}}}}}}"#),
            "HTTP 400: the body is no AdmissionReview: request.uid: invalid type: map, expected a string",
        ),
        // Nothing is known of it but its identity: it creates no pod.
        (format!(r#"{{{head},"request":{{"uid":"u"}}}}"#), "allowed"),
    ];
    assert_answers(&Snapshot::default(), table.map(|(body, wanted)| (body.clone(), body.into_bytes(), wanted)));
}

#[test]
fn objects_that_are_no_pod() {
    let table = [
        ("null", "400 BadRequest: request.object: a pod is wanted, null was found"),
        ("5", "400 BadRequest: request.object: invalid type: integer `5`, expected a pod"),
        ("[]", "400 BadRequest: request.object: invalid type: sequence, expected a pod"),
        (
            r#"{"metadata":"x"}"#,
            "400 BadRequest: request.object.metadata: invalid type: string \"x\", expected metadata",
        ),
        (
            r#"{"metadata":{"annotations":["inject/x"]}}"#,
            "400 BadRequest: request.object.metadata.annotations: invalid type: sequence, expected a map",
        ),
        (
            r#"{"metadata":{"annotations":{"inject/x":["true"]}}}"#,
            "400 BadRequest: request.object.metadata.annotations.inject/x: invalid type: sequence, expected a string",
        ),
        (
            r#"{"spec":{"containers":{}}}"#,
            "400 BadRequest: request.object.spec.containers: invalid type: map, expected a sequence",
        ),
        (
            r#"{"spec":{"containers":[{"name":"a"},"b"]}}"#,
            "400 BadRequest: request.object.spec.containers[1]: invalid type: string \"b\", expected a container",
        ),
        (
            r#"{"spec":{"containers":[{"name":"a"},{"image":[]}]}}"#,
            "400 BadRequest: request.object.spec.containers[1].image: invalid type: sequence, expected a string",
        ),
        (
            r#"{"spec":{"containers":[{"securityContext":{"runAsUser":"root"}}]}}"#,
            "400 BadRequest: request.object.spec.containers[0].securityContext.runAsUser: invalid type: string \"root\", expected an integer",
        ),
        (
            r#"{"spec":{"volumes":[5]}}"#,
            "400 BadRequest: request.object.spec.volumes[0]: invalid type: integer `5`, expected a volume",
        ),
        (
            r#"{"spec":{"hostNetwork":"yes"}}"#,
            "400 BadRequest: request.object.spec.hostNetwork: invalid type: string \"yes\", expected a boolean",
        ),
        (
            r#"{"spec":{"securityContext":{"runAsUser":1e400}}}"#,
            "400 BadRequest: request.object.spec.securityContext.runAsUser: the number is out of range",
        ),
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
        (
            "inject/",
            "true",
            "403 Forbidden: annotation inject/: the template \"\" after inject/ must be 1 to 40 lower case letters, digits and '-'",
        ),
        (
            "inject/a/b",
            "true",
            "403 Forbidden: annotation inject/a/b: the template \"a/b\" after inject/ must be 1 to 40 lower case letters, digits and '-'",
        ),
        (
            ".inject/log-shipper",
            "true",
            "403 Forbidden: annotation .inject/log-shipper: the instance \"\" before .inject/ must be 1 to 20 lower case letters, digits and '-'",
        ),
        (
            "inject/log-shipper",
            "\"/var/log\"",
            "403 Forbidden: annotation inject/log-shipper: item 1, \"\\\"/var/log\\\"\", does not match its pattern; allowed: The directories in which the container writes its *.log files, at most four (a list of at most 64 items, each text matching ^/[^,:*?\\[\\]${}\\s]+$)",
        ),
        (
            "inject/log-shipper",
            "/a\nrestartPolicy: Never",
            "403 Forbidden: annotation inject/log-shipper: item 2, \"restartPolicy: Never\", does not match its pattern; allowed: The directories in which the container writes its *.log files, at most four (a list of at most 64 items, each text matching ^/[^,:*?\\[\\]${}\\s]+$)",
        ),
        (
            "inject/log-shipper",
            "{{ object.spec }}",
            "403 Forbidden: annotation inject/log-shipper: item 1, \"{{ object.spec }}\", does not match its pattern; allowed: The directories in which the container writes its *.log files, at most four (a list of at most 64 items, each text matching ^/[^,:*?\\[\\]${}\\s]+$)",
        ),
        (
            "inject/wait-for-db",
            "$(reboot)",
            "403 Forbidden: annotation inject/wait-for-db: \"$(reboot)\" does not match its pattern; allowed: The database: HOST, HOST:PORT or SCHEME://HOST[:PORT], an IPv6 address in brackets. Without a port: 5432 for postgres, 6379 for redis, else 3306. No user or password: they don't belong into an annotation (text matching ^((postgres(ql)?|mysql|mariadb|redis|tcp)://)?([0-9A-Za-z][-0-9A-Z_a-z]*(\\.[-0-9A-Z_a-z]+)*\\.?|\\[[.0-9:A-Fa-f]+\\])(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$)",
        ),
        (
            "inject/wait-for-db",
            "db; reboot",
            "403 Forbidden: annotation inject/wait-for-db: \"db; reboot\" does not match its pattern; allowed: The database: HOST, HOST:PORT or SCHEME://HOST[:PORT], an IPv6 address in brackets. Without a port: 5432 for postgres, 6379 for redis, else 3306. No user or password: they don't belong into an annotation (text matching ^((postgres(ql)?|mysql|mariadb|redis|tcp)://)?([0-9A-Za-z][-0-9A-Z_a-z]*(\\.[-0-9A-Z_a-z]+)*\\.?|\\[[.0-9:A-Fa-f]+\\])(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$)",
        ),
        (
            "inject/wait-for-db",
            "-e",
            "403 Forbidden: annotation inject/wait-for-db: \"-e\" does not match its pattern; allowed: The database: HOST, HOST:PORT or SCHEME://HOST[:PORT], an IPv6 address in brackets. Without a port: 5432 for postgres, 6379 for redis, else 3306. No user or password: they don't belong into an annotation (text matching ^((postgres(ql)?|mysql|mariadb|redis|tcp)://)?([0-9A-Za-z][-0-9A-Z_a-z]*(\\.[-0-9A-Z_a-z]+)*\\.?|\\[[.0-9:A-Fa-f]+\\])(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$)",
        ),
        (
            "inject/wait-for-db.port",
            "5432 # the port",
            "403 Forbidden: annotation inject/wait-for-db.port: \"5432 # the port\" is not an integer; allowed: an integer from 0 to 65535",
        ),
        (
            "inject/wait-for-service",
            "a, `reboot`",
            "403 Forbidden: annotation inject/wait-for-service: item 2, \"`reboot`\", does not match its pattern; allowed: A DNS name must have an address; HOST:PORT must accept a connection; an http or https URL must answer with an expected status. Short names are those of the pod's namespace. What has a comma or starts with a bracket is written as a JSON array (a list of at most 64 items, each text of at least 1 characters matching ^([0-9A-Za-z][-0-9A-Z_a-z]*(\\.[-0-9A-Z_a-z]+)*\\.?(:[0-9]{1,5})?|\\[[.0-9:A-Fa-f]+\\]:[0-9]{1,5}|https?://([0-9A-Za-z][-0-9A-Z_a-z]*(\\.[-0-9A-Z_a-z]+)*\\.?|\\[[.0-9:A-Fa-f]+\\])(:[0-9]{1,5})?([/?][!-~]*)?)$)",
        ),
        (
            "inject/set-env",
            "{\"A\": 1}",
            "403 Forbidden: annotation inject/set-env: item 1, \"{\\\"A\\\": 1}\", does not match its pattern; allowed: NAME=value, several separated by commas, one a line, or as a JSON array. A variable that a container sets itself keeps its value (a list of at most 64 items, each text matching ^[a-zA-Z_][-._a-zA-Z0-9]*=)",
        ),
        (
            "inject/set-env",
            "A B=1",
            "403 Forbidden: annotation inject/set-env: item 1, \"A B=1\", does not match its pattern; allowed: NAME=value, several separated by commas, one a line, or as a JSON array. A variable that a container sets itself keeps its value (a list of at most 64 items, each text matching ^[a-zA-Z_][-._a-zA-Z0-9]*=)",
        ),
        (
            "inject/log-shipper.containers",
            "[]",
            "403 Forbidden: annotation inject/log-shipper.containers: the list is empty; write container names separated by commas",
        ),
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

/// Templates may look at a pod of any depth, and at all of it as deep as people write.
#[test]
fn a_pod_that_nests_deeply_is_looked_at() {
    let snapshot = crate::properties::make::all_templates();
    for depth in [200, 100_000] {
        let deep = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let pod = |container: &str, spec: &str| {
            let metadata = r#"{"annotations":{"inject/meta":"true"}}"#;
            review(&format!(r#"{{"metadata":{metadata},"spec":{{"containers":[{{"name":"web"{container}}}]{spec}}}}}"#))
        };
        let future = format!(r#","future":{deep}"#);
        assert_eq!(answer(&pod("", &future), &snapshot), "patched", "beside what expressions look at");
        assert_eq!(answer(&pod(&future, ""), &snapshot), "patched", "inside of what expressions look at");
    }
}

/// However much a pod asks for, the answer is short.
#[test]
fn annotations_without_measure() {
    let snapshot = crate::builtin::snapshot();
    let pod = |annotations: Value| {
        review(
            &json!({"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "web"}]}}).to_string(),
        )
    };

    let many: Value = (0..1_000).map(|n| (format!("a{n}.inject/set-env"), json!("A=1"))).collect();
    let wanted = "403 Forbidden: the pod would get 1000 grafts; at most 64 are allowed";
    assert_eq!(answer(&pod(many), &snapshot), wanted);

    let more: Value = (0..100_000).map(|n| (format!("inject/set-env.n{n}"), json!("1"))).collect();
    let wanted = "403 Forbidden: the pod has 100000 annotations of podgraft; at most 1280 are allowed";
    assert_eq!(answer(&pod(more), &snapshot), wanted);

    let long = "x,".repeat(120 * 1024);
    for key in ["inject/log-shipper", "inject/set-env", "inject/wait-for-service", "inject/nobody"] {
        let answer = answer(&pod(json!({ key: long })), &snapshot);
        assert!(answer.starts_with(&format!("403 Forbidden: annotation {key}: ")), "{answer}");
        assert!(answer.len() < 1_000, "{} bytes", answer.len());
    }

    let too_long = pod(json!({"inject/set-env": "A=1", "other": "x".repeat(256 * 1024)}));
    let wanted = "403 Forbidden: the pod's annotations take 262166 bytes; at most 262144 are allowed by Kubernetes";
    assert_eq!(answer(&too_long, &snapshot), wanted);
    let asks_nothing = pod(json!({"other": "x".repeat(512 * 1024)}));
    assert_eq!(answer(&asks_nothing, &snapshot), "allowed", "it is the API server's to say");

    let wrong: Value = (0..1_000).map(|n| (format!("a{n}.inject/nobody"), json!(long[..200]))).collect();
    let answer = answer(&pod(wrong), &snapshot);
    assert!(answer.starts_with("403 Forbidden: 1000 problems:\n- annotation a0.inject/nobody: "), "{answer}");
    assert!(answer.chars().count() <= 16 * 1024 + "403 Forbidden: ".len(), "{} characters", answer.chars().count());
}

/// However much there is to compare, it takes no time to speak of: each of these took minutes once.
#[test]
fn pods_without_measure() {
    let snapshot = crate::builtin::snapshot();
    let pod = |annotations: Value, container: Value, containers: usize| {
        let named = (0..containers).map(|n| json!({"name": format!("c{n}")}));
        let containers: Vec<_> = [container].into_iter().chain(named).collect();
        review(&json!({"metadata": {"annotations": annotations}, "spec": {"containers": containers}}).to_string())
    };
    let asks = |status: &Value| json!({"inject/log-shipper": "true", "podgraft.dev/status": status.to_string()});
    let hash = match snapshot.templates.find("default", "log-shipper") {
        Lookup::Found(template) => template.hash.clone(),
        other => panic!("{other:?}"),
    };
    let long = "x".repeat(1_000_000);
    // One of them is there, so that the status is this pod's.
    let others: Vec<_> = (0..10_000).map(|n| format!("d{n}")).chain(["c0".to_owned()]).collect();
    let of_another = json!({"grafts": [{"template": "x", "targets": others, "containers": others}]});
    let last = vec!["c14999"; 25_000];
    let done = json!({"grafts": [{"template": "log-shipper", "hash": hash, "targets": ["a"], "containers": last}]});
    let variables = |count| (0..count).map(|n| json!({"name": format!("V{n}")})).collect::<Vec<_>>();
    let many_variables = (0..64).map(|graft| {
        let all: Vec<_> = (0..64).map(|n| format!("V{graft}_{n}=1")).collect();
        (format!("i{graft}.inject/set-env"), json!(all.join(",")))
    });
    let many_variables: Value = many_variables.collect();
    let of_targets: Map<String, Value> =
        (0..20_000).map(|n| (format!("c{n}"), json!([]))).chain([("a".to_owned(), json!(["V0"]))]).collect();
    let made = json!({"grafts": [{"template": "set-env", "variables": of_targets}]});
    let sets: Vec<_> = (0..64).map(|n| format!("V{n}=1")).collect();
    let too_long_to_hand_on = (0..32).flat_map(|graft| {
        let (sets, checks) = (format!("i{graft}.inject/set-env"), format!("i{graft}.inject/validate-env"));
        [(sets, json!("V0=1,V1=1,V2=1,V3=1,V4=1,V5=1,V6=1,V7=1")), (checks, json!("V0"))]
    });
    let too_long_to_hand_on: Value = too_long_to_hand_on.collect();
    let short = |count| (0..count).map(|n| json!({"name": format!("{n:04x}")})).collect::<Vec<_>>();
    let made = json!({"inject/set-env": sets.join(","), "podgraft.dev/status": made.to_string()});
    let table = [
        (
            "a name",
            pod(
                json!({"inject/log-shipper": "true", "inject/log-shipper.containers": format!("{}y", "x".repeat(200_000))}),
                json!({"name": "x".repeat(63)}),
                0,
            ),
            "403 Forbidden: annotation inject/log-shipper.containers: the pod has no container \"",
        ),
        (
            "a long name",
            pod(json!({"inject/log-shipper": "true"}), json!({"name": long}), 0),
            "403 Forbidden: the pod has a container name of 1000000 bytes, \"xxxxxxxx",
        ),
        (
            "a long volume",
            review(
                &json!({
                    "metadata": {"annotations": {"inject/log-shipper": "true"}},
                    "spec": {"containers": [{"name": "a"}], "volumes": [{"name": long, "emptyDir": {}}]},
                })
                .to_string(),
            ),
            "403 Forbidden: the pod has a volume name of 1000000 bytes, \"xxxxxxxx",
        ),
        ("many variables", pod(many_variables, json!({"name": "x".repeat(63)}), 0), "patched"),
        (
            "references without an end",
            pod(
                json!({"inject/validate-env": "A"}),
                json!({"name": "a", "env": [{"name": "A", "value": "$(".repeat(125_000)}]}),
                0,
            ),
            "patched",
        ),
        (
            "variables that were made, for targets that nobody has",
            pod(made, json!({"name": "a", "env": variables(64)}), 0),
            "allowed",
        ),
        ("another's containers", pod(asks(&of_another), json!({"name": "a"}), 15_000), "patched"),
        ("our containers", pod(asks(&done), json!({"name": "a"}), 15_000), "allowed"),
        (
            "containers",
            pod(json!({"inject/log-shipper": "true"}), json!({"name": "a"}), 100_000),
            "403 Forbidden: the pod has 100001 containers, volumes, variables, mounts and ports; with grafts, at most 16384 are allowed",
        ),
        (
            "variables",
            pod(json!({"inject/log-shipper": "true"}), json!({"name": "a", "env": variables(10_000)}), 0),
            "patched",
        ),
        (
            "environments that are too long to be handed on",
            pod(too_long_to_hand_on, json!({"name": "a", "env": short(26_000)}), 0),
            "403 Forbidden: 32 problems:\n- i",
        ),
        ("not ours to say", pod(json!({}), json!({"name": "a", "env": variables(100_000)}), 0), "allowed"),
    ];
    let start = Instant::now();
    for (what, body, wanted) in table {
        let answer = answer(&body, &snapshot);
        assert!(answer.starts_with(wanted), "{what}: {answer}");
    }
    // A guard against squares of what a pod says, not a measure.
    assert!(start.elapsed() < webhook::LONG, "{:?}", start.elapsed());
}

/// Else the pod could not be admitted once more, as where another webhook changes it.
#[test]
fn a_pod_is_no_larger_with_its_grafts_than_one_that_may_ask() {
    let snapshot = crate::builtin::snapshot();
    let grafted = |volumes: usize| {
        let metadata = json!({"annotations": {"inject/validate-env": "A", "inject/log-shipper": "true"}});
        let volumes: Vec<_> = (0..volumes).map(|n| json!({"name": format!("v{n}"), "emptyDir": {}})).collect();
        let spec = json!({"containers": [{"name": "a", "env": [{"name": "A", "value": "1"}]}], "volumes": volumes});
        answer(&review(&json!({"metadata": metadata, "spec": spec}).to_string()), &snapshot)
    };
    assert_eq!(grafted(16_000), "patched");
    let wanted = " containers, volumes, variables, mounts and ports; with grafts, at most 16384 are allowed";
    let refused = grafted(16_382);
    assert!(refused.starts_with("403 Forbidden: the pod has 163") && refused.ends_with(wanted), "{refused}");
}

/// What a namespace asks for never keeps a pod from going in, however large it is.
#[test]
fn a_large_pod_that_asks_for_nothing_goes_in() {
    let mut snapshot = crate::builtin::snapshot();
    let metadata = json!({
        "name": "default",
        "labels": {INJECT_LABEL.0: INJECT_LABEL.1},
        "annotations": {"inject/log-shipper": "true"},
    });
    snapshot.namespaces.insert(Namespace::from_object(json!({"metadata": metadata})).unwrap());
    let containers: Vec<_> = (0..20_000).map(|n| json!({"name": format!("c{n}")})).collect();
    let body = review(&json!({"spec": {"containers": containers}}).to_string());
    let review = admission::decode(&body).unwrap();
    let answer: Value = serde_json::from_slice(&admission::encode("u", &inject(&review.request, &snapshot))).unwrap();
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(
        answer["response"]["warnings"][0],
        "left out: the pod has 20000 containers, volumes, variables, mounts and ports; with grafts, at most 16384 are allowed"
    );
}
