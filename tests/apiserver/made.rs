//! Made-up pods before a real API server: what it accepts without grafts, it accepts with them.

use std::env;
use std::sync::Arc;

use podgraft::inject::request::PodRequest;
use podgraft::inject::{Outcome, inject};
use podgraft::snapshot::Snapshot;
use podgraft::template::{self, LoadOptions, Origin};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::control_plane::PLAIN;
use crate::make::{self, Made};
use crate::scene::Scene;

/// How many are made; of some, nothing comes but a rejection.
const PODS: usize = 300;

/// Which pods they are: the same each time, unless `PODGRAFT_TEST_SEED`, a number, says otherwise.
fn seed() -> u64 {
    env::var("PODGRAFT_TEST_SEED").map_or(0, |seed| seed.parse().expect("PODGRAFT_TEST_SEED is a number"))
}

/// The pod with its grafts, if it gets some.
fn grafted(pod: &str, snapshot: &Snapshot) -> Option<Value> {
    let request = PodRequest::create(pod, "default").expect("a pod");
    let Outcome::Inject(plan) = inject(&request, snapshot) else { return None };
    let mut pod = serde_json::from_str(pod).expect("JSON");
    let patch: json_patch::Patch = serde_json::from_str(&plan.patch()).expect("a patch");
    json_patch::patch(&mut pod, &patch).expect("it applies");
    Some(pod)
}

fn in_namespace(mut pod: Value, namespace: &str) -> Value {
    pod["metadata"]["namespace"] = namespace.into();
    pod["metadata"]["generateName"] = "made-".into();
    // For JSON Pointers a good key, for Kubernetes none.
    pod["metadata"]["annotations"].as_object_mut().map(|annotations| annotations.remove("example.com/a~b"));
    pod
}

#[tokio::test]
async fn made_up_pods_are_accepted_with_their_grafts() {
    let Some(scene) = Scene::set(&PLAIN, "made").await else { return };
    let seed = seed();
    println!("PODGRAFT_TEST_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let (mut tried, mut refused, mut not_accepted) = (0, Vec::new(), Vec::new());
    for _ in 0..PODS {
        let Made { pod, snapshot } = make::pod().new_tree(&mut runner).expect("a pod").current();
        let Some(after) = grafted(&pod, &snapshot) else { continue };
        let before = in_namespace(serde_json::from_str(&pod).expect("JSON"), &scene.namespace);
        if let Err(status) = scene.try_out_loosely(&before).await {
            not_accepted.push(status.message);
            continue;
        }
        tried += 1;
        if let Err(status) = scene.try_out_loosely(&in_namespace(after, &scene.namespace)).await {
            refused.push(format!("{}\n{pod}", status.message));
        }
    }
    assert!(refused.is_empty(), "{} of {tried} are refused with their grafts:\n{}", refused.len(), refused.join("\n"));
    assert!(tried >= PODS / 5, "only {tried} were accepted without grafts: {not_accepted:#?}");
}

/// Any value for every place that core/v1 has a rule for: a rejection of ours, or a pod that is accepted.
#[tokio::test]
async fn made_up_values_are_accepted_or_rejected_by_us() {
    let Some(scene) = Scene::set(&PLAIN, "values").await else { return };
    let text = include_str!("../it/rules.yaml");
    let loaded = template::load(Origin("rules.yaml".into()), text, &LoadOptions::default());
    let template = loaded.expect("a template").templates.remove(0);
    let parameters: Vec<String> = template.parameters.iter().map(|parameter| parameter.name.clone()).collect();
    let mut snapshot = Snapshot::default();
    snapshot.templates.insert(Arc::new(template));
    let values = [
        "a",
        "A",
        "",
        " ",
        "-",
        "a-",
        "a--b",
        "1",
        "0",
        "-1",
        "81",
        "65535",
        "65536",
        "100m",
        "1e3",
        "1.5Gi",
        ".5",
        "5.",
        "99999999999",
        "Always",
        "Never",
        "TCP",
        "SCTP",
        "udp",
        "/",
        "/a",
        "/a/",
        "a/b",
        "../x",
        "a/../b",
        "..a",
        "./a",
        "/a:b",
        "10.0.0.1",
        "::1",
        "010.0.0.1",
        "::ffff:10.0.0.1",
        "a.b",
        "a..b",
        "status.podIP",
        "metadata.labels['a']",
        "metadata.labels['']",
        "metadata.annotations['a b']",
        "metadata.labels['a/b/c']",
        "ä",
        "$(A)",
        "averyveryverylongname",
        "0777",
        "511",
        "512",
    ];
    let (mut accepted, mut refused) = (0, Vec::new());
    for parameter in &parameters {
        for value in values {
            let annotations = json!({"inject/dyn": "true", format!("inject/dyn.{parameter}"): value});
            let pod = json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"annotations": annotations},
                "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]},
            });
            let Some(after) = grafted(&pod.to_string(), &snapshot) else { continue };
            match scene.try_out(&in_namespace(after, &scene.namespace)).await {
                Ok(_) => accepted += 1,
                Err(status) => refused.push(format!("{parameter}: {value:?}: {}", status.message)),
            }
        }
    }
    assert!(refused.is_empty(), "{} are refused with their grafts:\n{}", refused.len(), refused.join("\n"));
    assert!(accepted >= parameters.len(), "only {accepted} were accepted");
}
