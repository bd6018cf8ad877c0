//! What podgraft adds to the creation of a pod: `KUBEBUILDER_ASSETS=… cargo bench --bench creation`.
//!
//! A real kube-apiserver, as the tests start it, with all its default admission plugins. Pods are created by dry run, so
//! that etcd is not what is measured: in a namespace where nothing is done to them, in three where a
//! MutatingAdmissionPolicy makes podgraft's graft, and in one whose pods podgraft is called for; in turns, pod by pod.
//! docs/performance.md says what the figures mean.
//!
//! The processors never halt meanwhile: virtual ones take long to wake, and a webhook's request wakes two. `just
//! load-apiserver` has the API server speak HTTP/1.1, as it does to webhooks that are not on its own machine.

#![expect(clippy::expect_used, clippy::panic, reason = "a bench that can't run says why")]
#![expect(clippy::print_stdout, reason = "the figures are what this is for")]
#![expect(clippy::cast_precision_loss, reason = "figures for people have three digits")]

#[path = "../../tests/apiserver/authority.rs"]
mod authority;
#[path = "../../tests/apiserver/control_plane.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod control_plane;
#[path = "../../tests/apiserver/podgraft.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod podgraft;
mod policy;
#[path = "../../tests/apiserver/process.rs"]
mod process;
#[path = "../review/mod.rs"]
mod review;
#[path = "../../tests/apiserver/scene.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod scene;

use std::path::Path;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use ::podgraft::admission;
use ::podgraft::inject::inject;
use ::podgraft::inject::outcome::Outcome;
use ::podgraft::snapshot::{INJECT_LABEL, Snapshot};
use ::podgraft::template::{LoadOptions, builtin};
use serde_json::{Value, json};

use control_plane::FULL;
use podgraft::Podgraft;
use policy::{for_any_labelled_pod, for_any_pod, for_this_pod, policy};
use process::Process;
use scene::{Scene, Webhook};

/// What `review` has its containers run as, and the directory that it asks for.
const USER: u32 = 1000;
const DIRECTORY: &str = "/var/log/orders";

/// How often a pod is created in each namespace, and before that for nothing.
const ROUNDS: usize = 2000;
const WARM_UP: usize = 200;

/// The whole run ends after this, whatever hangs.
const LIMIT: Duration = Duration::from_mins(10);

/// How long the API server may take to notice a policy.
const NOTICE: Duration = Duration::from_secs(30);

fn main() {
    if std::env::args().skip(1).any(|argument| !argument.starts_with('-') && !"creation".contains(&argument)) {
        // A filter for the other benches.
        return;
    }
    // Test runs that take in every target leave the option out.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("this takes minutes and a release build: cargo bench --bench creation");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(LIMIT, run()).await.expect("an end in time") });
}

/// Namespaces, by what is done to pods in them.
const NOTHING: &str = "nothing";
const CONSTANTS: &str = "constants";
const POLICY: &str = "policy";
const LABELLED: &str = "labelled";
/// Not podgraft's own namespace, whose pods are never sent.
const PODGRAFT: &str = "webhook";

async fn run() {
    let Some(plain) = Scene::set(&FULL, NOTHING).await else { return };
    let mut scenes = vec![plain];
    for name in [CONSTANTS, POLICY, LABELLED, PODGRAFT] {
        scenes.extend(Scene::set(&FULL, name).await);
    }
    for scene in &scenes {
        scene.account().await;
    }
    let [nothing, constants, any, any_labelled, grafted] = &scenes[..] else { panic!("a namespace for each") };
    let webhook = Podgraft::serve(grafted, &[]).await;
    grafted.register(&webhook, &[]).await;
    let _awake = keep_awake(&grafted.directory);

    for (what, containers) in [("one container", 1), ("three containers", 3)] {
        let pod = pod(containers);
        let before = nothing.try_out(&pod).await.expect("a pod");
        // The API server adds the token's volume before it asks anybody.
        let patch = patch(&before);
        enforce(constants, for_this_pod(&patch), &pod).await;
        let labelled = labelled(&pod);
        enforce(any, for_any_pod(&patch, DIRECTORY, USER), &pod).await;
        enforce(any_labelled, for_any_labelled_pod(&patch, DIRECTORY, USER), &labelled).await;
        assert_alike([constants, grafted], &pod).await;
        for pod in with_others(&pod) {
            assert_alike([any, grafted], &pod).await;
            assert_settled(any, &pod).await;
            let pod = self::labelled(&pod);
            assert_alike([any_labelled, grafted], &pod).await;
            assert_settled(any_labelled, &pod).await;
        }

        let mut declined = pod.clone();
        declined["metadata"]["annotations"]["inject/log-shipper"] = "false".into();
        let cases = [
            ("nothing is done", nothing, &pod),
            ("a policy for this very pod", constants, &pod),
            ("a policy for any pod", any, &pod),
            ("podgraft grafts", grafted, &pod),
            ("podgraft is called only", grafted, &declined),
            ("a policy by label", any_labelled, &labelled),
            ("podgraft grafts by label", grafted, &labelled),
        ];
        let mut took: Vec<Vec<Duration>> = vec![Vec::with_capacity(ROUNDS); cases.len()];
        let mut counted = (0, 0.0, 0.0);
        for round in 0..WARM_UP + ROUNDS {
            if round == WARM_UP {
                counted = counts(&webhook).await;
            }
            for ((_, scene, pod), took) in cases.iter().zip(&mut took) {
                let begin = Instant::now();
                scene.try_out(pod).await.expect("a pod");
                if round >= WARM_UP {
                    took.push(begin.elapsed());
                }
            }
        }
        let (calls, decisions, seconds) = counts(&webhook).await;
        println!("\n{what}, {} bytes, one sidecar; ms, {ROUNDS} creations each:", pod.to_string().len());
        println!("{:28}{:>8}{:>8}{:>8}{:>12}{:>10}", "", "p50", "p99", "mean", "added p50", "added p99");
        let figures: Vec<_> = took.into_iter().map(Figures::new).collect();
        for ((case, ..), its) in cases.iter().zip(&figures) {
            print!("{case:28}{:>8.3}{:>8.3}{:>8.3}", its.p50, its.p99, its.mean);
            println!("{:>12.3}{:>10.3}", its.p50 - figures[0].p50, its.p99 - figures[0].p99);
        }
        println!(
            "calls of podgraft for a pod: {:.3}; of its time, deciding took {:.3} ms a call",
            // Of seven pods three are sent to it.
            (calls - counted.0) as f64 / ROUNDS as f64 / 3.0,
            (seconds - counted.2) * 1e3 / (decisions - counted.1)
        );
    }
}

/// Gives processors something to do that gives way to everything else.
fn keep_awake(directory: &Path) -> Vec<Process> {
    let spin = |index: usize| {
        let args = ["--idle", "0", "sh", "-c", "while :; do :; done"];
        Process::spawn(Path::new("/usr/bin/chrt"), args, directory.join(format!("awake-{index}.log"))).expect("chrt")
    };
    (0..available_parallelism().map_or(1, usize::from)).map(spin).collect()
}

struct Figures {
    p50: f64,
    p99: f64,
    mean: f64,
}

impl Figures {
    fn new(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let milliseconds = |took: Duration| took.as_secs_f64() * 1e3;
        let percentile = |percent: usize| milliseconds(took[(took.len() - 1) * percent / 100]);
        let mean = milliseconds(took.iter().sum()) / took.len() as f64;
        Self { p50: percentile(50), p99: percentile(99), mean }
    }
}

/// A pod as people write it, which asks for log-shipper.
fn pod(containers: usize) -> Value {
    let review: Value = serde_json::from_slice(&review::review(containers, &review::annotations(1))).expect("a review");
    let object = &review["request"]["object"];
    let mut containers = object["spec"]["containers"].clone();
    for container in containers.as_array_mut().expect("containers") {
        container["volumeMounts"] = json!([{"name": "config", "mountPath": "/etc/app", "readOnly": true}]);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "orders",
            "labels": object["metadata"]["labels"],
            "annotations": object["metadata"]["annotations"],
        },
        "spec": {"containers": containers, "volumes": [object["spec"]["volumes"][0]]},
    })
}

/// The pod and others: one has nothing of what a graft adds to, one more, in one another container is to be served.
fn with_others(pod: &Value) -> [Value; 4] {
    let bare = scene::pod("bare", &json!({"inject/log-shipper": "true"}));
    let mut rich = pod.clone();
    rich["spec"]["initContainers"] = json!([{"name": "first", "image": "registry.example/first:1"}]);
    rich["spec"]["securityContext"] = json!({"runAsUser": 2000, "runAsGroup": 0});
    rich["spec"]["containers"][0]["securityContext"].take();
    let mut chosen = pod.clone();
    let more = json!({"name": "more", "image": "registry.example/more:1"});
    chosen["spec"]["containers"].as_array_mut().expect("containers").push(more);
    chosen["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] = "more".into();
    [pod.clone(), bare, rich, chosen]
}

/// The pod, asking by the label as well.
fn labelled(pod: &Value) -> Value {
    let mut pod = pod.clone();
    pod["metadata"]["labels"][INJECT_LABEL.0] = INJECT_LABEL.1.into();
    pod
}

/// What podgraft adds to a pod.
fn patch(pod: &Value) -> Vec<Value> {
    let mut snapshot = Snapshot::default();
    for template in builtin(&LoadOptions::default()).expect("they load") {
        snapshot.templates.insert(template.into());
    }
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": "default",
            "object": pod,
        },
    })
    .to_string();
    let review = admission::decode(review.as_bytes()).expect("a review");
    match inject(&review.request, &snapshot) {
        Outcome::Inject(plan) => serde_json::from_str(&plan.patch()).expect("operations"),
        other => panic!("no graft: {other:?}"),
    }
}

/// Puts the policy in force in the scene's namespace.
async fn enforce(scene: &Scene, spec: Value, pod: &Value) {
    let base = "/apis/admissionregistration.k8s.io/v1";
    for (object, list) in
        policy(&scene.namespace, spec).into_iter().zip(["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"])
    {
        let own = format!("{base}/{list}/{}", scene.namespace);
        match scene.get(&own).await {
            Ok(there) => {
                let mut object = object;
                object["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"].clone();
                scene.put(&own, &object).await.expect("a policy");
            }
            Err(_) => drop(scene.post(&format!("{base}/{list}"), &object).await.expect("a policy")),
        }
    }
    let until = Instant::now() + NOTICE;
    let names = |pod: &Value| pod["spec"]["containers"].as_array().map(Vec::len);
    loop {
        let made = scene.try_out(pod).await.expect("a pod");
        if made["spec"]["initContainers"].is_array() && names(&made) == names(pod) {
            return;
        }
        assert!(Instant::now() < until, "{}: the policy is not in force", scene.namespace);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The same is made of a pod in these namespaces.
async fn assert_alike(scenes: [&Scene; 2], pod: &Value) {
    let [one, other] = scenes;
    let by_one = comparable(one.try_out(pod).await.expect("a pod"));
    let by_other = comparable(other.try_out(pod).await.expect("a pod"));
    assert_eq!(by_one, by_other, "{} makes another pod than {}", one.namespace, other.namespace);
}

/// What is made of a pod stays as it is when it comes back.
async fn assert_settled(scene: &Scene, pod: &Value) {
    let mut made = scene.try_out(pod).await.expect("a pod");
    let metadata = made["metadata"].take();
    made["metadata"] = json!({"name": "again", "annotations": metadata["annotations"], "labels": metadata["labels"]});
    made["status"].take();
    let again = scene.try_out(&made).await.expect("a pod");
    assert_eq!(again["spec"], made["spec"], "{} grafts twice", scene.namespace);
}

/// A pod without what differs between two that are made alike.
fn comparable(mut pod: Value) -> Value {
    let metadata = pod["metadata"].take();
    let annotations = metadata["annotations"].as_object().into_iter().flatten();
    let annotations: Vec<_> = annotations.filter(|(name, _)| !name.starts_with("podgraft.dev/")).collect();
    pod["metadata"] = json!({"labels": metadata["labels"], "annotations": annotations.len()});
    // The token's volume has a name of its own in each pod.
    let text = pod.to_string();
    let token = text.split('"').find(|name| name.starts_with("kube-api-access-")).unwrap_or("-");
    serde_json::from_str(&text.replace(token, "token")).expect("a pod")
}

/// Calls, decisions and the seconds that they took.
async fn counts(webhook: &Podgraft) -> (u64, f64, f64) {
    let duration = "podgraft_admission_duration_seconds";
    let (count, sum) = (format!("{duration}_count"), format!("{duration}_sum"));
    (webhook.calls().await, webhook.metric(&count).await, webhook.metric(&sum).await)
}
