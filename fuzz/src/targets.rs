//! Bytes from nowhere into each door of podgraft: a target panics if what comes back breaks a promise.
//!
//! libFuzzer calls them, and `tests/it/fuzz.rs` does for every committed input.

use std::sync::{Arc, LazyLock};

use podgraft::admission::{self, DecodeError};
use podgraft::inject::request::PodRequest;
use podgraft::inject::{Outcome, Renderings, inject, inject_with};
use podgraft::manifest;
use podgraft::snapshot::{INJECT_LABEL, Namespace, Snapshot};
use podgraft::template::parameter::Type;
use podgraft::template::{self, LoadOptions, Origin, Template};
use podgraft::validate::validate;
use podgraft::wait::{StatusSet, Target, ask};
use serde_json::{Map, Value, json};

use crate::promises;

/// A target.
pub type Fuzz = fn(&[u8]);

/// Every target, by its name.
pub const ALL: [(&str, Fuzz); 6] = [
    ("review", review),
    ("annotations", annotations),
    ("template", self::template),
    ("expression", expression),
    ("manifest", self::manifest),
    ("handshake", handshake),
];

/// The longest message that an answer may hold, in characters.
const LONGEST_MESSAGE: usize = 16 * 1024;

/// Every built-in template, and what they don't do; a namespace with defaults that holds pods to a standard.
static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let mut snapshot = Snapshot::default();
    let own = include_str!("../../tests/it/properties/templates.yaml");
    let own = template::load(Origin("templates.yaml".into()), own, &LoadOptions::default()).expect("they load");
    let built_in = template::builtin(&LoadOptions::default()).expect("they load");
    for template in built_in.into_iter().chain(own.templates) {
        snapshot.templates.insert(Arc::new(template));
    }
    snapshot.namespaces.insert(namespace(&json!({"inject/meta": "true"})));
    snapshot
});

/// What was made of templates for pods before, whatever they were.
static RENDERINGS: LazyLock<Renderings> = LazyLock::new(Renderings::default);

/// What a pod gets: the same whether a server has seen the like of it or not.
fn decide<'a>(request: &'a PodRequest<'a>, snapshot: &'a Snapshot) -> Outcome<'a> {
    let outcome = inject(request, snapshot);
    let wanted = admission::encode("u", &outcome);
    // The first keeps what the second finds.
    for _ in 0..2 {
        let found = admission::encode("u", &inject_with(request, snapshot, &RENDERINGS));
        assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(&wanted));
    }
    outcome
}

/// The namespace `default` with these annotations.
fn namespace(annotations: &Value) -> Namespace {
    let labels = json!({(INJECT_LABEL.0): INJECT_LABEL.1, "pod-security.kubernetes.io/enforce": "restricted"});
    let metadata = json!({"name": "default", "labels": labels, "annotations": annotations});
    Namespace::from_object(json!({"metadata": metadata})).expect("a namespace")
}

/// An AdmissionReview, as `POST /mutate` and `POST /validate` get it: it is answered, and a patch keeps the promises.
pub fn review(body: &[u8]) {
    if let Ok((uid, request)) = admission::decode_validation(body) {
        answered(&admission::encode_verdict(&uid, &validate(&request, &SNAPSHOT)), &uid);
    }
    match admission::decode(body) {
        Err(DecodeError::NotAReview(problem)) => assert!(!problem.is_empty(), "an error says something"),
        Err(DecodeError::BadObject { uid, message }) => answered(&admission::refuse(&uid, 400, &message), &uid),
        Ok(review) => {
            answered(&admission::encode(&review.uid, &decide(&review.request, &SNAPSHOT)), &review.uid);
            let Ok(mut tree) = serde_json::from_slice::<Value>(body) else { return };
            let pod = tree["request"]["object"].take();
            if review.request.creates_pod && pod.is_object() {
                grafted(&pod, &review.request.namespace, &SNAPSHOT);
            }
        }
    }
}

/// Annotations, a line each: `inject/log-shipper: true`; those of the namespace after `ns `. Keys and values hold what a
/// line holds.
pub fn annotations(lines: &[u8]) {
    let lines = String::from_utf8_lossy(lines);
    let (mut of_pod, mut of_namespace) = (Map::new(), Map::new());
    for line in lines.lines() {
        let (of, line) = line.strip_prefix("ns ").map_or((&mut of_pod, line), |line| (&mut of_namespace, line));
        let (key, value) = line.split_once(": ").unwrap_or((line, ""));
        of.insert(key.to_owned(), value.into());
    }
    let mut snapshot = Snapshot { templates: SNAPSHOT.templates.clone(), ..Snapshot::default() };
    snapshot.namespaces.insert(namespace(&of_namespace.into()));
    grafted(&pod(&of_pod), "default", &snapshot);
}

/// A template file: it is refused with words, or what it makes keeps the promises.
pub fn template(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    match template::load(Origin("fuzz.yaml".into()), text, &LoadOptions::default()) {
        Err(error) => {
            assert!(!error.diagnostics.is_empty() && !error.to_string().is_empty(), "an error says something");
        }
        Ok(loaded) => {
            for template in loaded.templates {
                asked_for(template);
            }
        }
    }
}

/// CEL in each kind of place: it is refused at load, or evaluated within its budget.
pub fn expression(source: &[u8]) {
    let Ok(source) = std::str::from_utf8(source) else { return };
    let leaf = format!("{{{{ {source} }}}}");
    let container =
        json!({"name": "a", "image": "a", "env": [{"name": "A", "value": leaf}], "args": [format!("<{leaf}>")]});
    let repeated = json!({"name": "b-{{ index }}", "image": "a", "forEach": source, "args": ["{{ item }}"]});
    for spec in [
        json!({"initContainers": [container]}),
        json!({"initContainers": [repeated]}),
        json!({"when": source, "target": {"env": leaf}}),
    ] {
        let mut spec = spec;
        spec["parameters"] = json!({
            "text": {"type": "string", "default": "a,b"},
            "number": {"type": "integer", "default": 3},
            "list": {"type": "list", "default": ["x", "y"]},
            "time": {"type": "duration", "default": "90s"},
            "size": {"type": "quantity", "default": "64Mi"},
        });
        let (version, kind) = ("podgraft.dev/v1alpha1", "ClusterInjectionTemplate");
        let text = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "fuzz"}, "spec": spec}).to_string();
        template(text.as_bytes());
    }
}

/// A stream of manifests, as `podgraft inject` gets it: what is not touched keeps its bytes, what is says the same as the
/// patched data, by itself and in the streams that are printed: in the file's own language, and as YAML.
pub fn manifest(stream: &[u8]) {
    let Ok(stream) = std::str::from_utf8(stream) else { return };
    let documents = match manifest::read(stream) {
        Ok(documents) => documents,
        Err(errors) => return assert!(errors.iter().all(|error| !error.message.is_empty()), "an error says something"),
    };
    let (mut whole, mut printed, mut yaml, mut wanted) = (String::new(), String::new(), String::new(), Vec::new());
    for document in &documents {
        manifest::append(&mut whole, &document.yaml());
        let _ = (document.oddities("inject"), manifest::namespaces(document.value()));
        let mut patched = document.value().clone();
        for place in document.pods() {
            let before: Value = serde_json::from_str(&place.pod(document.value())).expect("JSON");
            let Some(after) = grafted(&before, "default", &SNAPSHOT) else { continue };
            let Some(in_place) = patched.pointer_mut(&place.pointer) else { panic!("{} is there", place.pointer) };
            for (key, value) in
                after.as_object().into_iter().flatten().filter(|(key, _)| *key != "apiVersion" && *key != "kind")
            {
                in_place[key] = value.clone();
            }
        }
        let text = if patched == *document.value() {
            document.text().to_owned()
        } else {
            let rewritten = document.rewrite(&patched).text;
            says(&rewritten, &[whole_numbers(patched.clone())]);
            rewritten
        };
        printed.push_str(&text);
        yaml.push_str(&if document.is_json() { document.as_yaml(&patched) } else { text });
        wanted.extend(Some(whole_numbers(patched)).filter(|patched| !patched.is_null()));
    }
    says(&whole, &values(&documents));
    says(&printed, &wanted);
    says(&yaml, &wanted);
    // Two files. A text alone is no manifest, and may take in comments that come before the next document's marker; a last
    // line without a break gets one, which a block scalar that keeps its breaks (`|+`) has then as well.
    if wanted.iter().all(Value::is_object) && yaml.ends_with('\n') {
        let mut both = yaml.clone();
        manifest::append(&mut both, &yaml);
        says(&both, &[wanted.as_slice(), &wanted].concat());
    }
}

fn says(stream: &str, wanted: &[Value]) {
    let read = manifest::read(stream).unwrap_or_else(|errors| panic!("{errors:?}: {stream}"));
    assert_eq!(values(&read), wanted, "{stream}");
}

fn values(documents: &[manifest::Document<'_>]) -> Vec<Value> {
    documents.iter().filter(|it| !it.value().is_null()).map(|it| whole_numbers(it.value().clone())).collect()
}

/// The value with `2` for `2.0`: kubectl reads YAML so, and JSON as it stands.
fn whole_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0) {
            // Beyond 64 bits it is none in YAML either.
            Some(float) if float.abs() < 9_223_372_036_854_775_808.0 => (float as i64).into(),
            _ => number.into(),
        },
        Value::Array(items) => items.into_iter().map(whole_numbers).collect(),
        Value::Object(members) => members.into_iter().map(|(key, value)| (key, whole_numbers(value))).collect(),
        other => other,
    }
}

/// What a peer sends to `podgraft wait`, after a byte that chooses the protocol: it is ready, or there are words for why
/// not.
pub fn handshake(bytes: &[u8]) {
    let [protocol, bytes @ ..] = bytes else { return };
    let target = match protocol % 4 {
        0 => "postgres://db",
        1 => "mysql://db",
        2 => "redis://db",
        _ => "http://db/healthz",
    };
    let target: Target = target.parse().expect("a target");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut stream = tokio::io::join(bytes, Vec::new());
    let answer = runtime.block_on(ask(&target, &StatusSet::default(), &mut stream));
    if let Err(reason) = answer {
        let said = reason.to_string();
        assert!(!said.is_empty() && said.len() < 2048 && !said.contains(['\n', '\0']), "{said:?}");
    }
}

/// A pod with something of everything that grafts look at.
fn pod(annotations: &Map<String, Value>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "labels": {"app": "web"}, "annotations": annotations},
        "spec": {
            "initContainers": [{"name": "prepare", "image": "prepare:1"}],
            "containers": [
                {
                    "name": "web",
                    "image": "web:1",
                    "env": [{"name": "A", "value": "1"}],
                    "ports": [{"containerPort": 8080}],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                },
                {"name": "api", "image": "api:1", "securityContext": {"runAsUser": 1000}},
            ],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    })
}

/// A pod asks for the template twice, and says what the template does not.
fn asked_for(template: Template) {
    let mut annotations = Map::new();
    for instance in ["", "two."] {
        let key = format!("{instance}inject/{}", template.name);
        annotations.insert(key.clone(), "true".into());
        for parameter in template.parameters.iter().filter(|parameter| parameter.default.is_none()) {
            let value = match parameter.kind {
                Type::Integer | Type::Number | Type::Quantity => "1",
                Type::Boolean => "true",
                Type::Duration => "1s",
                Type::String | Type::List => "a",
            };
            annotations.insert(format!("{key}.{}", parameter.name), value.into());
        }
    }
    let mut snapshot = Snapshot::default();
    snapshot.templates.insert(Arc::new(template));
    grafted(&pod(&annotations), "default", &snapshot);
}

/// The pod with its grafts, if it gets some; it keeps the promises.
fn grafted(before: &Value, namespace: &str, snapshot: &Snapshot) -> Option<Value> {
    let text = before.to_string();
    let request = PodRequest::create(&text, namespace).ok()?;
    let outcome = decide(&request, snapshot);
    answered(&admission::encode("u", &outcome), "u");
    let Outcome::Inject(plan) = outcome else { return None };
    let patch = plan.patch();
    let typed = serde_json::from_value::<k8s_openapi::api::core::v1::Pod>(before.clone());
    if typed.is_err() || !promises::problems(before).is_empty() {
        // The API server would refuse it anyway: what the pod got wrong by itself may come of its grafts, too.
        let mut after = before.clone();
        promises::apply(&mut after, &patch);
        return Some(after);
    }
    let after = promises::keep(&text, &patch);
    let again = after.to_string();
    let request = PodRequest::create(&again, namespace).expect("a patched pod is a pod");
    match decide(&request, snapshot) {
        Outcome::Skip(reason, _) => assert_eq!(reason.label(), "already_done", "{again}"),
        Outcome::Inject(plan) => panic!("a second time adds {}: {again}", plan.patch()),
        Outcome::Reject(reasons, _) => panic!("a second time is rejected, {reasons:?}: {again}"),
    }
    Some(after)
}

/// The answer is a review, within the API server's limits.
fn answered(answer: &[u8], uid: &str) {
    let answer: Value = serde_json::from_slice(answer).expect("the answer is JSON");
    let response = &answer["response"];
    assert_eq!(response["uid"], uid);
    if response["allowed"] == false {
        let message = response["status"]["message"].as_str().unwrap_or_default();
        assert!((1..=LONGEST_MESSAGE).contains(&message.chars().count()), "{response}");
    }
    let warnings = response["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lengths: Vec<_> = warnings.iter().map(|line| line.as_str().expect("text").chars().count()).collect();
    assert!(lengths.iter().all(|length| *length <= 256) && lengths.iter().sum::<usize>() <= 4096, "{warnings:?}");
    assert!(warnings.iter().all(|line| !line.as_str().expect("text").contains(char::is_control)), "{warnings:?}");
}
