use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use proptest::prelude::*;
use serde_json::{Value, json};

mod reading;
mod splicing;

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
    for (document, marker) in
        [("a: 1\n...\n", "...\n"), ("a: 1\r... # x\r\n", "... # x\r\n"), ("{a:\n...b}\n", ""), ("a: ...", ""), ("", "")]
    {
        assert_eq!(texts(document).concat(), document);
        assert_eq!(split::end_marker(document), marker, "{document:?}");
    }
    assert_eq!(texts("\u{feff}---\na: 1\r\n---\r\nb: 2\r\n"), ["\u{feff}---\na: 1\r\n", "---\r\nb: 2\r\n"]);
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
        let want = Place {
            object: String::new(),
            pointer: "/spec/template".to_owned(),
            subject: format!("{kind}/x"),
            namespace: None,
        };
        assert_eq!(places, [want]);
    }
    let cron =
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": template}}}});
    assert_eq!(pods::find(&cron)[0].pointer, "/spec/jobTemplate/spec/template");
    let pod_template = json!({"apiVersion": "v1", "kind": "PodTemplate", "template": template});
    assert_eq!(pods::find(&pod_template)[0].pointer, "/template");
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "x-", "namespace": "n"}});
    let want = Place {
        object: String::new(),
        pointer: String::new(),
        subject: "Pod/x-*".to_owned(),
        namespace: Some("n".to_owned()),
    };
    assert_eq!(pods::find(&pod), [want]);
    let odd = json!({"kind": "Pod", "metadata": {"name": "a\u{1b}[31m\n"}});
    assert_eq!(pods::find(&odd)[0].subject, "Pod/a\u{fffd}[31m\u{fffd}");

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
fn annotations_where_nobody_reads_them_are_pointed_out() {
    let oddities = |text: &str| -> Vec<String> {
        one(text).oddities("inject").into_iter().map(|oddity| format!("{}: {}", oddity.subject, oddity.text)).collect()
    };
    assert_eq!(
        oddities(
            "{apiVersion: v1, kind: List, items: [{apiVersion: batch/v1, kind: CronJob, metadata: {name: x, \
             annotations: {a: b, inject/one: 'true', inject/two: 'true'}}, spec: {jobTemplate: {metadata: {annotations: \
             {second.inject/one: 'true'}}, spec: {template: {metadata: {labels: {inject/three: 'true'}, annotations: \
             {inject/two: 'true'}}}}}}}]}"
        ),
        [
            "CronJob/x: annotation inject/one of metadata.annotations is not read; move it to \
             spec.jobTemplate.spec.template.metadata.annotations",
            "CronJob/x: annotation second.inject/one of spec.jobTemplate.metadata.annotations is not read; move it to \
             spec.jobTemplate.spec.template.metadata.annotations",
            "CronJob/x: label inject/three of spec.jobTemplate.spec.template.metadata.labels is not read; move it to \
             spec.jobTemplate.spec.template.metadata.annotations",
        ]
    );
    assert_eq!(
        oddities("{kind: Pod, metadata: {annotations: {inject/a: 'true'}, labels: {inject/b: 'true'}}}"),
        ["Pod: label inject/b of metadata.labels is not read; move it to metadata.annotations"]
    );
    assert_eq!(
        oddities(
            "{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: web, annotations: {inject/a: 'true'}}, \
             spec: {template: {metadata: {annotations: {inject/a: 'true'}}}}}"
        ),
        ["Rollout/web: spec.template.metadata.annotations asks for grafts, which are made only in a cluster: \
          Rollout is no kind known here"]
    );
    assert_eq!(
        oddities(
            "{apiVersion: extensions/v1beta1, kind: Deployment, spec: {template: {metadata: {annotations: {inject/a: a}}}}}"
        ),
        [
            "Deployment: spec.template.metadata.annotations asks for grafts, but a Deployment that has pods is of apps/v1, \
          and this is of extensions/v1beta1"
        ]
    );
    assert_eq!(
        oddities(
            "{apiVersion: v1, kind: List, items: [{apiVersion: ray.io/v1, kind: RayCluster, metadata: {name: r}, \
            spec: {groups: [{}, {template: {metadata: {annotations: {inject/a: a}}}}]}}]}"
        ),
        [
            "RayCluster/r: spec.groups[1].template.metadata.annotations asks for grafts, which are made only in a cluster: \
          RayCluster is no kind known here"
        ]
    );
    assert_eq!(
        oddities("{apiVersion: apps/v1, kind: Deployment, spec: {metadata: {annotations: {inject/a: a}}}}"),
        ["Deployment: spec.metadata.annotations is not read: there is no pod template at spec.template"]
    );
    let unquoted = value("{kind: Pod, metadata: {annotations: {inject/a: yes, inject/b: 'yes', c: 1}}}");
    assert_eq!(
        super::unquoted(&unquoted, "", "inject"),
        ["annotation inject/a is true and no text, which Kubernetes refuses; put it in quotes"]
    );
    assert_eq!(oddities("{kind: Namespace, metadata: {annotations: {inject/a: 'true'}}}"), [""; 0]);
}

#[test]
fn repeated_keys_are_told_of_the_object_that_has_them() {
    let pod = |name: &str| format!("{{kind: Pod, metadata: {{name: {name}}}, spec: {{a: 1, a: 2}}}}");
    let item = format!("- kind: List\n  items:\n  - {}\n", pod("c"));
    let list = format!("kind: List\nitems:\n- {}\n- {}\n{item}a: 1\na: 2\n", pod("a"), pod("b"));
    let told: Vec<_> = one(&list).oddities("inject").into_iter().map(|it| it.subject + " " + &it.text).collect();
    let text = |path: &str, lines: [u8; 2]| {
        let [line, other] = lines;
        format!("{path} of line {line} is not read, as line {other} says it again; remove one of them")
    };
    assert_eq!(
        told,
        [
            "Pod/a ".to_owned() + &text("items[0].spec.a", [3, 3]),
            "Pod/b ".to_owned() + &text("items[1].spec.a", [4, 4]),
            "Pod/c ".to_owned() + &text("items[2].items[0].spec.a", [7, 7]),
            "Pod/a ".to_owned() + &text("a", [8, 9]),
        ]
    );
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

/// yaml.v2 takes a tab at the start of a block scalar for indentation and refuses it.
#[test]
fn a_text_that_begins_with_a_tab_is_quoted() {
    for (text, written) in [
        ("\tall:\n\tmake\n", "a: \"\\tall:\\n\\tmake\\n\"\n"),
        ("\n\n\tx\n", "a: \"\\n\\n\\tx\\n\"\n"),
        ("all:\n\tmake\n", "a: |\n  all:\n  \tmake\n"),
    ] {
        let object = json!({"a": text});
        assert_eq!(emit::yaml(&object, Style::default()), written);
        assert_eq!(value(written), object);
    }
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

/// The value as Kubernetes could have it: no list right within a list, no text of nothing but newlines.
fn plausible(value: Value) -> Value {
    match value {
        Value::Array(items) => items
            .into_iter()
            .map(|item| if item.is_array() { json!({"in": plausible(item)}) } else { plausible(item) })
            .collect(),
        Value::Object(members) => {
            members.into_iter().map(|(key, member)| (key, plausible(member))).collect::<serde_json::Map<_, _>>().into()
        }
        Value::String(text) if text.trim().is_empty() => "x".into(),
        _ => value,
    }
}

/// Adds a value to a collection on the way down from this one.
fn add_somewhere(base: &mut Value, new: Value, seed: u64) {
    let (choice, rest) = ((seed % 7) as usize, seed / 7);
    match base {
        Value::Array(items) if choice == 0 || items.is_empty() => items.insert(rest as usize % (items.len() + 1), new),
        Value::Object(members) if choice == 0 || members.is_empty() => {
            members.entry("added").or_insert(new);
        }
        Value::Array(items) => {
            let index = choice % items.len();
            if !items[index].is_null() {
                add_somewhere(&mut items[index], new, rest);
            }
        }
        Value::Object(members) => {
            let index = choice % members.len();
            members.values_mut().nth(index).into_iter().for_each(|member| add_somewhere(member, new.clone(), rest));
        }
        Value::Null => *base = json!({"added": new}),
        _ => {}
    }
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
    fn whatever_a_document_looks_like_its_rewriting_says_what_it_should(
        lines in prop::collection::vec((0_usize..4, prop_oneof![
            "[a-e]: ", "[a-e]: ([a-e]|'x'|\"y\"|1\\.0|~|\\{\\}|\\[\\]|\\*[a-c]|&[a-c] x|\\{a: 1, b: \\[x, ~\\]\\}|é|!!str 1)( # c)?",
            "[a-e]: &[a-c]", "- ", "- ([a-e]|\\*[a-c]|\\{a: \\{\\}\\}|\\[\\]|a: 1|- 2|~)( # c)?", "[a-e]: [|>][+-]?( # c)?",
            "# c", "", "<<: \\*[a-c]", "\\? [a-e]", ": x", "text", "\\]", "\\}", "[a-e]: \\[", "[a-e]: \\{ # c",
        ]), 0..14),
        end in prop_oneof![Just("\n"), Just("\r\n")], new in values(), seed: u64,
    ) {
        let text: String = lines.iter().map(|(indent, line)| ["  ".repeat(*indent).as_str(), line, end].concat()).collect();
        for document in read(&text).unwrap_or_default() {
            let mut patched = document.value().clone();
            add_somewhere(&mut patched, new.clone(), seed);
            if patched.is_object() || patched.is_array() {
                let rewritten = document.rewrite(&patched);
                let again = read(&rewritten.text).map(|documents| documents[0].value.clone());
                prop_assert_eq!(again, Ok(patched), "{}\n{}", text, rewritten.text);
                // In a block scalar a `# c` is text, which may go with the first of two keys.
                if !rewritten.comments_lost && !text.contains(['|', '>']) {
                    let comments = |text: &str| text.matches("# c").count();
                    prop_assert!(comments(&rewritten.text) >= comments(document.text), "{}\n{}", text, rewritten.text);
                }
            }
        }
    }

    #[test]
    fn any_value_is_read_as_it_was_written(value in values(), indent_lists: bool) {
        let yaml = emit::yaml(&value, Style { indent_lists });
        let documents = read(&yaml).unwrap();
        prop_assert_eq!(&documents[0].value, &value, "{}", yaml);
        let flow = emit::flow(&value);
        prop_assert_eq!(&tree::parse(&flow).unwrap().to_value(), &value, "{}", flow);
    }

    #[test]
    fn an_addition_moves_no_line_of_a_block(base in values(), new in values(), indent_lists: bool, seed: u64) {
        let base = json!({"base": plausible(base), "end": [{"a": 1}]});
        let text = emit::yaml(&base, Style { indent_lists });
        let mut patched = base.clone();
        add_somewhere(&mut patched, new, seed);
        let document = one(&text);
        let rewritten = document.rewrite(&patched);
        let read = read(&rewritten.text).unwrap();
        prop_assert_eq!(&read[0].value, &patched, "{}\n{}", text, rewritten.text);
        let mut lines = rewritten.text.lines();
        for line in text.lines().filter(|line| !line.ends_with(['}', ']', 'l'])) {
            prop_assert!(lines.any(|new| new == line), "{line}:\n{text}\n{}", rewritten.text);
        }
    }
}
