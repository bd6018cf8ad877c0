//! Rejections where people look who never made a pod themselves: in the events of their Deployment or CronJob.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::account;
use crate::control_plane::PLAIN;
use crate::podgraft::Podgraft;
use crate::scene::{Scene, pod, workload};

/// Above what a busy machine takes for some requests.
const PATIENCE: Duration = Duration::from_mins(1);

/// A scene with a podgraft that has the permissions of an installation, registered.
async fn scene(name: &str) -> Option<(Scene, Podgraft)> {
    let scene = Scene::set(&PLAIN, name).await?;
    let kubeconfig = account::make(&scene).await;
    account::grant(&scene, &[]).await;
    let podgraft = Podgraft::serve(&scene, &["--kubeconfig", &kubeconfig]).await;
    podgraft.ready().await;
    scene.register(&podgraft, &[]).await;
    Some((scene, podgraft))
}

/// Makes an object below another one, as a controller does, and gives what is stored.
async fn make(scene: &Scene, group: &str, plural: &str, mut object: Value, owner: Option<&Value>) -> Value {
    object["metadata"]["ownerReferences"] = owner.map(|owner| json!([reference(owner)])).unwrap_or_default();
    let path = format!("/apis/{group}/v1/namespaces/{}/{plural}", scene.namespace);
    scene.post(&path, &object).await.expect("an object")
}

fn reference(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": true,
    })
}

/// A pod that is denied, made by this object.
fn denied(owner: Option<&Value>) -> Value {
    let mut pod = pod("denied", &json!({"inject/log-shiper": "true"}));
    pod["metadata"]["ownerReferences"] = owner.map(|owner| json!([reference(owner)])).unwrap_or_default();
    pod
}

/// What is said in the namespace of one object, once there is something.
async fn said_of(scene: &Scene, podgraft: &Podgraft, object: &Value) -> Value {
    let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", scene.namespace);
    let until = Instant::now() + PATIENCE;
    loop {
        let events = scene.get(&path).await.expect("events");
        let of = |event: &&Value| event["regarding"]["uid"] == object["metadata"]["uid"];
        let found: Vec<_> = events["items"].as_array().expect("a list").iter().filter(of).collect();
        if let [event] = found[..] {
            return event.clone();
        }
        assert!(found.is_empty() && Instant::now() < until, "{found:#?}\n{}", podgraft.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The state of a metric's series, waited for.
async fn until_metric(podgraft: &Podgraft, series: &str, value: f64) {
    let until = Instant::now() + PATIENCE;
    loop {
        let found = podgraft.metric(series).await;
        if (found - value).abs() < 0.5 {
            return;
        }
        assert!(Instant::now() < until, "{series} is {found}, not {value}\n{}", podgraft.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_deployment_says_why_its_pods_are_denied() {
    let Some((scene, podgraft)) = scene("events").await else { return };
    let deployment = make(&scene, "apps", "deployments", workload("web", &json!({})), None).await;
    let mut set = workload("web-1", &json!({}));
    set["kind"] = "ReplicaSet".into();
    let set = make(&scene, "apps", "replicasets", set, Some(&deployment)).await;

    // Nobody waits for a dry run, and whoever makes a pod by hand reads the answer.
    scene.try_out(&denied(Some(&set))).await.expect_err("a denial");
    scene.create(&denied(None)).await.expect_err("a denial");
    // A controller tries again and again.
    for _ in 0..5 {
        scene.create(&denied(Some(&set))).await.expect_err("a denial");
    }
    let event = said_of(&scene, &podgraft, &deployment).await;
    until_metric(&podgraft, r#"podgraft_rejection_events_total{result="repeated"}"#, 4.0).await;
    until_metric(&podgraft, "podgraft_rejection_events_total", 5.0).await;
    let note = event["note"].as_str().expect("a note");
    assert!(note.starts_with("annotation inject/log-shiper: there is no template"), "{note}");
    assert_eq!(
        (&event["type"], &event["reason"], &event["reportingController"], &event["regarding"]["kind"]),
        (&json!("Warning"), &json!("PodRejected"), &json!("podgraft"), &json!("Deployment")),
    );
    let described = scene.api.kubectl().args(["describe", "deployment", "web", "-n", &scene.namespace]).output();
    let described = String::from_utf8(described.expect("kubectl starts").stdout).expect("text");
    assert!(described.contains("PodRejected") && described.contains(note), "{described}");
}

#[tokio::test]
async fn a_cron_job_is_found_above_its_job_and_others_speak_for_themselves() {
    let Some((scene, podgraft)) = scene("events-of-others").await else { return };
    let mut spec = pod("", &json!({}))["spec"].clone();
    spec["restartPolicy"] = "Never".into();
    let job = json!({"template": {"spec": spec}});
    let of = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "batch/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let nightly = of("CronJob", "nightly", json!({"schedule": "0 3 * * *", "jobTemplate": {"spec": job}}));
    let nightly = make(&scene, "batch", "cronjobs", nightly, None).await;
    let tonight = make(&scene, "batch", "jobs", of("Job", "nightly-1", job.clone()), Some(&nightly)).await;
    let alone = make(&scene, "batch", "jobs", of("Job", "alone", job), None).await;
    let mut daemons = workload("daemons", &json!({}));
    daemons["kind"] = "DaemonSet".into();
    let daemons = make(&scene, "apps", "daemonsets", daemons, None).await;
    for (owner, speaker) in [(&tonight, &nightly), (&alone, &alone), (&daemons, &daemons)] {
        scene.create(&denied(Some(owner))).await.expect_err("a denial");
        let event = said_of(&scene, &podgraft, speaker).await;
        assert_eq!(event["regarding"]["name"], speaker["metadata"]["name"]);
    }
}

/// Whoever reaches the port can say that anything made a pod.
#[tokio::test]
async fn nothing_is_said_of_what_the_api_server_does_not_know() {
    let Some((scene, podgraft)) = scene("events-of-nobody").await else { return };
    let mut daemons = workload("daemons", &json!({}));
    daemons["kind"] = "DaemonSet".into();
    let daemons = make(&scene, "apps", "daemonsets", daemons, None).await;
    let change = |field: &str, value: &str| {
        let mut other = daemons.clone();
        match field {
            "name" | "uid" => other["metadata"][field] = value.into(),
            _ => other[field] = value.into(),
        }
        other
    };
    let another = change("uid", "00000000-0000-0000-0000-000000000000");
    let gone = change("name", "gone");
    let unknown = change("kind", "Rollout");
    for owner in [&another, &gone, &unknown] {
        scene.create(&denied(Some(owner))).await.expect_err("a denial");
    }
    until_metric(&podgraft, r#"podgraft_rejection_events_total{result="unknown"}"#, 3.0).await;
    scene.create(&denied(Some(&daemons))).await.expect_err("a denial");
    said_of(&scene, &podgraft, &daemons).await;
    let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", scene.namespace);
    let events = scene.get(&path).await.expect("events");
    let ours = |event: &&Value| event["reportingController"] == "podgraft";
    assert_eq!(events["items"].as_array().expect("a list").iter().filter(ours).count(), 1, "{events:#}");
}

#[tokio::test]
async fn what_is_no_permission_is_said_once_and_harms_nobody() {
    let Some(scene) = Scene::set(&PLAIN, "events-forbidden").await else { return };
    let kubeconfig = account::make(&scene).await;
    let podgraft = Podgraft::serve(&scene, &["--kubeconfig", &kubeconfig]).await;
    podgraft.ready().await;
    scene.register(&podgraft, &[]).await;
    for name in ["one", "two"] {
        let set = make(&scene, "apps", "statefulsets", stateful(name), None).await;
        scene.create(&denied(Some(&set))).await.expect_err("a denial");
    }
    until_metric(&podgraft, r#"podgraft_rejection_events_total{result="failed"}"#, 2.0).await;
    assert_eq!(podgraft.log().matches("an event can't be written").count(), 1, "{}", podgraft.log());
}

fn stateful(name: &str) -> Value {
    let mut set = workload(name, &json!({}));
    set["kind"] = "StatefulSet".into();
    set
}
