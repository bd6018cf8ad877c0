use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn one(text: &str) -> Document<'_> {
    let mut documents = read(text).unwrap();
    assert_eq!(documents.len(), 1, "{text:?}");
    documents.remove(0)
}

fn value(text: &str) -> Value {
    one(text).value
}

/// The document's YAML with a value added.
fn added(text: &str, path: &str, value: Value) -> String {
    let document = one(text);
    let add = AddOperation { path: PointerBuf::parse(path).unwrap(), value };
    let mut patched = document.value().clone();
    json_patch::patch(&mut patched, &Patch(vec![PatchOperation::Add(add)])).unwrap();
    let rewritten = document.rewrite(&patched).text;
    assert_eq!(super::tests::value(&rewritten), patched, "{rewritten}");
    rewritten
}

fn texts(stream: &str) -> Vec<&str> {
    split::documents(stream).into_iter().map(|piece| piece.text).collect()
}

#[test]
fn streams_split_at_markers_only() {
    assert_eq!(texts(""), Vec::<&str>::new());
    assert_eq!(texts("a: 1"), ["a: 1"]);
    assert_eq!(texts("a: 1\n---\nb: 2\n"), ["a: 1\n", "---\nb: 2\n"]);
    assert_eq!(texts("# c\n---\na: 1\n--- # x\nb: 2"), ["# c\n---\na: 1\n", "--- # x\nb: 2"]);
    assert_eq!(texts("---\n---\n"), ["---\n", "---\n"]);
    assert_eq!(texts("--- {a: 1}\n--- |\n text\n--- x"), ["--- {a: 1}\n", "--- |\n text\n", "--- x"]);
    assert_eq!(texts("a: |\n  ---\n  x\n"), ["a: |\n  ---\n  x\n"]);
    assert_eq!(texts("a: 1\n----\n---x\n"), ["a: 1\n----\n---x\n"]);
    assert_eq!(
        texts("%YAML 1.1\n---\na: 1\n...\n%YAML 1.1\n---\nb: 2\n"),
        ["%YAML 1.1\n---\na: 1\n...\n", "%YAML 1.1\n---\nb: 2\n"]
    );
    assert_eq!(texts("a: 1\n...\n# end\n"), ["a: 1\n...\n", "# end\n"]);
    assert_eq!(texts("\u{feff}---\na: 1\r\n---\r\nb: 2\r\n"), ["\u{feff}---\na: 1\r\n", "---\r\nb: 2\r\n"]);
}

#[test]
fn scalars_are_read_as_kubectl_reads_them() {
    let read = "{a: yes, b: 'yes', c: 0644, d: '0777', e: 1e3, f: 1.0, g: 0.5, h: ~, i: 1_000, j: off, k: 0x1F, \
                l: 2001-01-01, m: '5', o: 12345678901234567890}";
    assert_eq!(
        value(read),
        json!({"a": true, "b": "yes", "c": 420, "d": "0777", "e": 1000, "f": 1, "g": 0.5, "h": null, "i": 1000, "j": false,
               "k": 31, "l": "2001-01-01", "m": "5", "o": 12_345_678_901_234_567_890_u64})
    );
    assert_eq!(value("n: 1\n8080: 2\na: 3\na: 4\n"), json!({"false": 1, "8080": 2, "a": 4}));
    assert_eq!(
        value("base: &b {x: 1, z: 2}\nuse: *b\nmerged: {<<: *b, z: 3}\n"),
        json!({"base": {"x": 1, "z": 2}, "use": {"x": 1, "z": 2}, "merged": {"z": 3, "x": 1}})
    );
}

#[test]
fn mistakes_have_their_place_in_the_stream() {
    let errors = read("a: 1\n---\n# c\nb: c: d\n---\n? [x]\n: 1\n").unwrap_err();
    let lines: Vec<_> = errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [4, 6], "{errors:?}");
    assert_eq!(errors[0].to_string(), "4:5: mapping values are not allowed in this context");
    read("a: .inf").unwrap_err();
}

#[test]
fn nothing_nests_too_deeply_for_the_stack() {
    let main_thread = std::thread::Builder::new().stack_size(8 << 20);
    let hostile = || {
        for text in ["[", "a: {", "{\"a\":", "- ", "? "] {
            read(&text.repeat(100_000)).unwrap_err();
        }
        let deep = "{a: ".repeat(99) + "1" + &"}".repeat(99);
        assert_eq!(pods::find(one(&deep).value()), []);
    };
    main_thread.spawn(hostile).unwrap().join().unwrap();
}

#[test]
fn json_is_a_stream_of_objects_or_a_flow_mapping() {
    let documents = read("\u{feff}{\"a\": 1}\n{\"b\": \"yes\"} ").unwrap();
    let values: Vec<_> = documents.iter().map(|document| document.value.clone()).collect();
    assert_eq!(values, [json!({"a": 1}), json!({"b": "yes"})]);
    assert_eq!(documents.iter().map(Document::yaml).collect::<String>(), "a: 1\n---\nb: \"yes\"\n");
    assert_eq!(value("{\"a\": b}"), json!({"a": "b"}));
    assert_eq!(one("{\"a\": b}").yaml(), "{\"a\": b}");
    assert_eq!(read("{\"a\":\n 1,}x").unwrap_err()[0].to_string(), "2:4: trailing comma");
}

#[test]
fn every_kind_says_where_its_pods_are() {
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {}});
    let workload = |group: &str, kind: &str| json!({"apiVersion": group, "kind": kind, "metadata": {"name": "x"}, "spec": {"template": template}});
    for (group, kind) in [
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "ReplicaSet"),
        ("batch/v1", "Job"),
        ("v1", "ReplicationController"),
    ] {
        let places = pods::find(&workload(group, kind));
        let want = Place { pointer: "/spec/template".to_owned(), subject: format!("{kind}/x"), namespace: None };
        assert_eq!(places, [want]);
    }
    let cron =
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": template}}}});
    assert_eq!(pods::find(&cron)[0].pointer, "/spec/jobTemplate/spec/template");
    let pod_template = json!({"apiVersion": "v1", "kind": "PodTemplate", "template": template});
    assert_eq!(pods::find(&pod_template)[0].pointer, "/template");
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "x-", "namespace": "n"}});
    let want = Place { pointer: String::new(), subject: "Pod/x-*".to_owned(), namespace: Some("n".to_owned()) };
    assert_eq!(pods::find(&pod), [want]);

    let list = json!({"apiVersion": "v1", "kind": "List", "items": [cron, {"kind": "Secret"}, {"kind": "List", "items": [pod]}]});
    let pointers: Vec<_> = pods::find(&list).into_iter().map(|place| place.pointer).collect();
    assert_eq!(pointers, ["/items/0/spec/jobTemplate/spec/template", "/items/2/items/0"]);
    let typed = json!({"apiVersion": "apps/v1", "kind": "DeploymentList", "items": [{"spec": {"template": template}}]});
    assert_eq!(pods::find(&typed)[0].pointer, "/items/0/spec/template");
}

#[test]
fn what_only_looks_like_a_workload_is_left_alone() {
    for other in [
        json!({"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "spec": {"template": {}}}),
        json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "spec": {"template": {}}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": null}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment"}),
        json!({"apiVersion": "v1", "kind": "List", "items": "none"}),
        json!(null),
        json!([1]),
        json!("Pod"),
    ] {
        assert_eq!(pods::find(&other), []);
    }
}

#[test]
fn a_template_becomes_a_pod_with_nothing_that_it_does_not_have() {
    let pod = |text: &str| {
        let document = value(text);
        let place = pods::find(&document).remove(0);
        serde_json::from_str::<Value>(&place.pod(&document)).unwrap()
    };
    assert_eq!(
        pod(
            "{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: n}, spec: {template: {spec: {containers: []}}}}"
        ),
        json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": []}})
    );
    assert_eq!(
        pod("{apiVersion: v1, kind: PodList, items: [{metadata: null, spec: {}, status: {phase: Running}}]}"),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": null, "spec": {}, "status": {"phase": "Running"}})
    );
}

#[test]
fn a_rewritten_document_keeps_what_stands_around_it() {
    let text = "%YAML 1.1\n# licence\n--- # first\n# source\nb: 1\na: \"yes\"\n...\n";
    assert_eq!(
        added(text, "/c", json!("0777")),
        "%YAML 1.1\n# licence\n--- # first\n# source\nb: 1\na: \"yes\"\nc: \"0777\"\n...\n"
    );
    assert_eq!(added("--- {a: 1}\n", "/b", json!([])), "---\na: 1\nb: []\n");
    assert_eq!(added("  a: 1", "/b", json!({})), "a: 1\nb: {}\n");
    assert_eq!(added("a: 1\r\nb: |\r\n  x\r\n  y\r\n", "/c", json!(null)), "a: 1\r\nb: |\r\n  x\r\n  y\r\nc: null\r\n");
    assert_eq!(added("{\"a\": 1.5}", "/b", json!("y")), "a: 1.5\nb: \"y\"\n");
}

#[test]
fn lost_comments_are_noticed_and_nothing_else() {
    let lost = |text: &str| {
        let document = one(text);
        document.rewrite(document.value()).comments_lost
    };
    assert!(lost("a: 1 # here\n"));
    assert!(lost("a: |  # here\n  text\n"));
    assert!(lost("a:\n- 1\n# here\n"));
    assert!(!lost("# kept\n---\n# kept\na: 1\n"));
    assert!(!lost("a: 'x # y'\nb: x#y\nc: |\n  # text\nd: \"\\\"#\"\n"));
}

#[test]
fn streams_are_joined_with_what_parsers_need_between_them() {
    let join = |texts: &[&str]| {
        let mut stream = String::new();
        for text in texts {
            append(&mut stream, text);
        }
        stream
    };
    assert_eq!(join(&["a: 1", "b: 2\n"]), "a: 1\n---\nb: 2\n");
    assert_eq!(join(&["a: 1\n", "# c\n---\nb: 2\n"]), "a: 1\n# c\n---\nb: 2\n");
    assert_eq!(join(&["a: 1\n", "# only\n"]), "a: 1\n# only\n");
    assert_eq!(join(&["a: 1\n", "\u{feff}b: 2\n"]), "a: 1\n---\nb: 2\n");
    assert_eq!(join(&["a: 1\n", "%YAML 1.1\n---\nb: 2\n"]), "a: 1\n...\n%YAML 1.1\n---\nb: 2\n");
    assert_eq!(join(&["\u{feff}# c\n"]), "\u{feff}# c\n");
}

/// Values as manifests hold them, with text that YAML could take for something else.
fn values() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "(yes|no|on|off|y|n|true|null|~|0777|0x1F|1e3|1_000|1:30|=|<<|-|---|\\.\\.\\.|2001-01-01|\\.inf|!x|&a|\\*a|\\?|@|%)",
        "[ -~]{0,12}",
        "([ \t#:a-z-]{0,6}\n){1,4}",
        "\\PC{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..5)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn any_stream_that_nothing_touches_comes_out_byte_for_byte(
        lines in prop::collection::vec(prop_oneof![
            Just("---\n"), Just("--- # c\n"), Just("...\n"), Just("# c\n"), Just("\n"), Just("a: 1\n"), Just("b:\r\n- x\r\n"),
            Just("c: |\n  ---\n\n  x\n"), Just("\u{feff}"), Just("%YAML 1.1\n"), Just("d: \"x\n  y\"\n"), Just("e: 'é' # c"),
        ], 0..12),
    ) {
        let stream = lines.concat();
        prop_assert_eq!(texts(&stream).concat(), stream.as_str());
        if let Ok(documents) = read(&stream) {
            prop_assert_eq!(documents.iter().map(Document::yaml).collect::<String>(), stream);
        }
    }

    #[test]
    fn any_text_splits_into_itself(stream in "\\PC*|[-. #%a:\n\r]{0,40}") {
        prop_assert_eq!(texts(&stream).concat(), stream.as_str());
        let _ = read(&stream);
    }

    #[test]
    fn any_value_is_read_as_it_was_written(value in values()) {
        let yaml = emit::yaml(&value);
        let documents = read(&yaml).unwrap();
        prop_assert_eq!(&documents[0].value, &value, "{}", yaml);
    }
}
