//! `sensitive: true`: whatever a template does with the value, and whatever goes wrong, nobody is told it.

use std::sync::Arc;

use podgraft::admission;
use podgraft::inject::inject;
use podgraft::inject::request::PodRequest;
use podgraft::snapshot::{INJECT_LABEL, Namespace, OnError, Policy, Snapshot};
use podgraft::template::{self, LoadOptions, Origin, Template};
use podgraft::validate::validate;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::promises;
use crate::webhook::review_of;

/// A template of which any leaf may become an expression with the secret.
fn base() -> Value {
    json!({
        "when": "true",
        "validations": [{"expression": "true", "message": "no", "when": "true", "action": "Warn"}],
        "sharedVolumes": [{"name": "s", "mountPath": "/data", "volume": {"configMap": {"name": "c", "defaultMode": 420, "items": [{"key": "k", "path": "p"}]}}}],
        "volumes": [
            {"name": "v", "hostPath": {"path": "/v", "type": "Directory"}},
            {"name": "w", "emptyDir": {"sizeLimit": "1Mi", "medium": "Memory"}},
        ],
        "sidecars": [{
            "name": "side",
            "image": "image:1",
            "imagePullPolicy": "Always",
            "command": ["run"],
            "args": ["a"],
            "workingDir": "/",
            "terminationMessagePath": "/dev/termination-log",
            "env": [
                {"name": "A", "value": "a"},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "D", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
            ],
            "envFrom": [{"prefix": "P_", "configMapRef": {"name": "c"}}],
            "volumeMounts": [{"name": "s", "mountPath": "/s", "subPath": "a"}, {"name": "w", "mountPath": "/w"}],
            "resources": {"requests": {"cpu": "1m"}, "limits": {"memory": "1Mi"}},
            "securityContext": {
                "runAsUser": 1000,
                "privileged": false,
                "capabilities": {"add": ["CHOWN"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "readinessProbe": {"httpGet": {"path": "/", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 5},
            "lifecycle": {"preStop": {"exec": {"command": ["stop"]}}},
        }],
        "initContainers": [{"name": "init", "image": "image:1", "environment": "target", "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            "ports": [{"name": "http", "containerPort": 8080, "hostPort": 8080, "protocol": "TCP", "hostIP": "10.0.0.1"}]}],
        "target": {
            "env": [{"name": "T", "value": "t", "when": "true"}],
            "envFrom": [{"secretRef": {"name": "s"}}],
            "volumeMounts": [{"name": "w", "mountPath": "/w-{{ instance }}", "subPath": "w"}],
        },
        "pod": {
            "labels": {"a": "a"},
            "annotations": {"example.com/a": "a", "controller.kubernetes.io/pod-deletion-cost": "8080"},
            "imagePullSecrets": [{"name": "p"}],
            "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["h"]}],
        },
    })
}

/// What an expression makes of the secret; `BASE` is what the template said before, which the default gives, so that most
/// load. `when` and the like take what is between the braces.
const USES: [&str; 16] = [
    "{{ params.secret }}",
    "{{ params.secret == '8080' ? BASE : params.secret }}",
    "{{ params.secret == '8080' ? BASE : '/' + params.secret }}",
    "{{ params.secret == '8080' ? BASE : '../' + params.secret }}",
    "{{ params.secret == '8080' ? BASE : params.secret + ': ' + params.secret }}",
    "{{ params.secret == '8080' ? BASE : int(params.secret) }}",
    "{{ params.secret == '8080' ? BASE : [params.secret] }}",
    "{{ params.secret == '8080' ? BASE : {params.secret: params.secret} }}",
    "{{ params.secret == '8080' ? BASE : object.metadata.labels[params.secret] }}",
    "{{ params.secret == '8080' ? BASE : {'a': 1}[params.secret] }}",
    "{{ params.secret == '8080' ? BASE : [params.secret].filter(s, int(s) > 0)[0] }}",
    "{{ params.secret == '8080' ? BASE : string(seconds(params.secret)) }}",
    "{{ params.secret.matches('^[0-9]+$') ? BASE : params.secret }}",
    "{{ int(params.secret) }}",
    "a{{ params.secret }}",
    "{{ params.secret.split('0')[1] + params.secret }}",
];

/// Places of which messages tell, or the status: there a secret may not even be loaded.
const TOLD: [&str; 9] = [
    "/sharedVolumes/0/mountPath",
    "/sidecars/0/name",
    "/sidecars/0/env/0/name",
    "/sidecars/0/volumeMounts/1/mountPath",
    "/initContainers/0/ports/0/containerPort",
    "/target/env/0/name",
    "/target/volumeMounts/0/mountPath",
    "/pod/imagePullSecrets/0/name",
    "/pod/hostAliases/0/ip",
];

/// The places of all leaves.
fn leaves(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                leaves(value, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                leaves(value, format!("{at}/{index}"), found);
            }
        }
        _ => found.push(at),
    }
}

/// A template, as text, that puts the secret into some places.
pub fn text(name: &str) -> impl Strategy<Value = String> + use<> {
    let name = name.to_owned();
    let told = weighted(0.2, (select(TOLD.to_vec()), select(vec![USES[1], USES[2], USES[5]])));
    (vec((any::<Index>(), select(USES.to_vec())), 1..4), told, any::<bool>()).prop_map(move |(uses, told, ignore)| {
        let mut spec = base();
        let mut places = Vec::new();
        leaves(&spec, String::new(), &mut places);
        let uses = uses.iter().map(|(place, used)| (place.get(&places).as_str(), *used));
        // One of these alone, as it is to be accepted by everything but us.
        let uses = told.map_or_else(|| uses.collect(), |told| vec![told]);
        for (place, used) in uses {
            let before = match spec.pointer(place).unwrap() {
                Value::String(text) if text.contains("{{") => continue,
                Value::String(text) => format!("'{text}'"),
                other => other.to_string(),
            };
            let mut leaf = used.replace("BASE", &before);
            if ["/when", "/expression"].iter().any(|end| place.ends_with(end)) {
                leaf = leaf.trim_matches(['{', '}', ' ']).replace(&before, "true");
            }
            *spec.pointer_mut(place).unwrap() = leaf.into();
        }
        spec["failurePolicy"] = if ignore { "Ignore" } else { "Fail" }.into();
        spec["hostNetwork"] = "allow".into();
        spec["primaryParameter"] = "secret".into();
        spec["parameters"] =
            json!({"secret": {"type": "string", "default": "8080", "sensitive": true, "maxLength": 300}});
        let (version, kind) = ("podgraft.dev/v1alpha1", "ClusterInjectionTemplate");
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}).to_string()
    })
}

fn load(text: &str) -> Option<Template> {
    let loaded = template::load(Origin("secret.yaml".into()), text, &LoadOptions::default()).ok()?;
    loaded.templates.into_iter().next()
}

/// A value that can be looked for, and one that is as wrong as can be in some places.
pub fn secret() -> impl Strategy<Value = (String, String)> {
    let dress = select(vec![
        "{}", "{}", "{}", "{}", "/{}", "{}/..", "../{}", " {}", "{} ", "A{}:B", "{}\n", "0{}", "{{{}}}", "$({})",
        "{}é", "1{}Mi",
    ]);
    ("hush[a-z0-9]{12}", dress, prop_oneof![5 => Just(1), 1 => Just(30)])
        .prop_map(|(secret, dress, times)| (secret.clone(), dress.replace("{}", &secret).repeat(times)))
}

/// A pod that asks twice, with different secrets.
pub fn pod(name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "annotations": {
            (format!("inject/{name}.secret")): value,
            (format!("inject/{name}")): "true",
            (format!("b.inject/{name}")): format!("{value}x"),
        }},
        "spec": {
            "containers": [
                {"name": "web", "image": "web:1", "env": [{"name": "T", "value": "own"}], "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
                {"name": "other", "image": "own:1", "ports": [{"containerPort": 8081}]},
            ],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    })
}

/// A review of a Deployment with this pod as its template.
fn review_of_deployment(pod: &Value) -> String {
    let template = json!({"metadata": pod["metadata"], "spec": pod["spec"]});
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u",
            "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "operation": "CREATE",
            "namespace": "default",
            "name": "web",
            "object": {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": template}},
        },
    })
    .to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 100, ..super::config() })]

    #[test]
    fn nobody_is_told(text in text("keeps"), (secret, value) in secret(), deny in any::<bool>(), twice in any::<bool>()) {
        let Some(template) = load(&text) else { return Ok(()) };
        let errors = if deny { OnError::Deny } else { OnError::Warn };
        let policy = Policy { psa_errors: errors, workload_errors: errors, ..Policy::default() };
        let mut snapshot = Snapshot { policy, ..Snapshot::default() };
        snapshot.templates.insert(Arc::new(template));
        let labels = json!({(INJECT_LABEL.0): INJECT_LABEL.1, "pod-security.kubernetes.io/enforce": "restricted"});
        let metadata = json!({"name": "default", "labels": labels});
        snapshot.namespaces.insert(Namespace::from_object(json!({"metadata": metadata})).unwrap());
        let mut pod = pod("keeps", &value);
        if !twice {
            pod["metadata"]["annotations"].as_object_mut().unwrap().remove("b.inject/keeps");
        }
        let asked = pod.clone();
        pod["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "2", "controller": true}]);
        let body = review_of(&pod.to_string());
        let review = admission::decode(body.as_bytes()).unwrap();
        let outcome = inject(&review.request, &snapshot);
        // What the event of a rejected pod says.
        let event = admission::Rejection::of(&review, &outcome);
        prop_assert_eq!(event.is_some(), matches!(outcome, podgraft::inject::Outcome::Reject(..)));
        prop_assert!(event.iter().all(|event| !event.note.contains(&secret)), "{:?}", event);
        let mut answer: Value = serde_json::from_slice(&admission::encode("u", &outcome)).unwrap();
        if let podgraft::inject::Outcome::Inject(plan) = &outcome {
            promises::apply(&mut pod, &plan.patch());
            let status = pod["metadata"]["annotations"]["podgraft.dev/status"].as_str().unwrap();
            prop_assert!(!status.contains(&secret), "{}", status);
        }
        answer["response"]["patch"] = Value::Null;
        prop_assert!(!answer.to_string().contains(&secret), "{}", answer);

        let body = review_of_deployment(&asked);
        let (uid, request) = admission::decode_validation(body.as_bytes()).unwrap();
        let verdict = validate(&request, &snapshot);
        // Of which an answer may hold only the beginning.
        prop_assert!(!verdict.warnings.concat().contains(&secret), "{:?}", verdict);
        let answer = String::from_utf8(admission::encode_verdict(&uid, &verdict)).unwrap();
        prop_assert!(!answer.contains(&secret), "{}", answer);
    }
}

/// The property says nothing if most templates don't load, or if nothing goes wrong.
#[test]
fn enough_goes_wrong() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut labels = std::collections::BTreeMap::<&str, usize>::new();
    for _ in 0..300 {
        let text = text("keeps").new_tree(&mut runner).unwrap().current();
        let (_, value) = secret().new_tree(&mut runner).unwrap().current();
        let Some(template) = load(&text) else {
            *labels.entry("not loaded").or_default() += 1;
            continue;
        };
        let mut snapshot = Snapshot::default();
        snapshot.templates.insert(Arc::new(template));
        let pod = pod("keeps", &value).to_string();
        let request = PodRequest::create(&pod, "default").unwrap();
        match inject(&request, &snapshot) {
            podgraft::inject::Outcome::Reject(reasons, _) => {
                for reason in &reasons {
                    *labels.entry(reason.label()).or_default() += 1;
                }
            }
            _ => *labels.entry("not rejected").or_default() += 1,
        }
    }
    for often in ["not loaded", "evaluation", "not rejected"] {
        assert!(labels.get(often).is_some_and(|count| *count > 20), "{often}: {labels:?}");
    }
}
