//! `deploy/install.yaml` on an empty cluster with every replica down: nobody is locked out, least of all podgraft.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::Once;
use std::{fs, thread};

use serde_json::{Value, json};

use crate::control_plane::INSTALLED;
use crate::scene::{Scene, pod};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");

/// A namespace of this name, beside what is installed once for all tests.
async fn installed(name: &str) -> Option<Scene> {
    static INSTALL: Once = Once::new();
    let scene = Scene::set(&INSTALLED, name).await?;
    INSTALL.call_once(|| {
        let manifest = format!("{DEPLOY}/install.yaml");
        // Twice: the second time is an upgrade.
        for _ in 0..2 {
            succeed(&scene, &["apply", "--validate=strict", "--warnings-as-errors", "-f", &manifest], "");
        }
        // What controllers would do.
        let status = json!({"status": {"hard": {"pods": "1000"}, "used": {"pods": "0"}}}).to_string();
        let patch =
            ["patch", "quota", "podgraft", "-n", "podgraft", "--subresource=status", "--type=merge", "-p", &status];
        succeed(&scene, &patch, "");
    });
    scene.account().await;
    Some(scene)
}

/// Runs kubectl with this standard input.
fn kubectl(scene: &Scene, args: &[&str], input: &str) -> Output {
    let mut kubectl = scene.api.kubectl();
    kubectl.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    run(&mut kubectl, input)
}

fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command.spawn().expect("kubectl starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        child.wait_with_output().expect("its output")
    })
}

fn succeed(scene: &Scene, args: &[&str], input: &str) -> String {
    let output = kubectl(scene, args, input);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Why kubectl failed.
fn fail(scene: &Scene, args: &[&str], input: &str) -> String {
    let output = kubectl(scene, args, input);
    assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).expect("text")
}

/// What podgraft's ReplicaSet makes.
fn own_pod() -> Value {
    let text = fs::read_to_string(format!("{DEPLOY}/install.yaml")).expect("the manifest");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let deployment = objects.into_iter().find(|object| object["kind"] == "Deployment").expect("a Deployment");
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = "podgraft".into();
    pod
}

#[tokio::test]
async fn with_every_replica_down_podgrafts_own_pods_are_admitted() {
    let Some(scene) = installed("own-pods").await else { return };
    let made = succeed(&scene, &["create", "-n", "podgraft", "-o", "json", "-f", "-"], &own_pod().to_string());
    let made: Value = serde_json::from_str(&made).expect("JSON");
    assert_eq!(made["spec"]["priority"], 2_000_000_000);

    // Even if somebody made them ask.
    let mut asking = own_pod();
    asking["metadata"]["name"] = "podgraft-asking".into();
    asking["metadata"]["annotations"] = json!({"inject/log-shipper": "true"});
    succeed(&scene, &["create", "-n", "podgraft", "-f", "-"], &asking.to_string());

    // The class is what the quota allows, and only there.
    let mut elsewhere = own_pod();
    elsewhere["spec"]["serviceAccountName"] = "default".into();
    let why = fail(&scene, &["create", "-n", &scene.namespace, "-f", "-"], &elsewhere.to_string());
    assert!(why.contains("insufficient quota to match these scopes"), "{why}");
}

#[tokio::test]
async fn with_every_replica_down_only_pods_that_ask_are_denied() {
    let Some(scene) = installed("down-pods").await else { return };
    let asking = pod("asking", &json!({"inject/log-shipper": "true"}));
    let status = scene.create(&asking).await.expect_err("a denial");
    assert!(status.message.contains(r#"failed calling webhook "pods.podgraft.dev""#), "{}", status.message);
    let mirror = json!({"inject/log-shipper": "true", "kubernetes.io/config.mirror": "1"});
    let status = scene.create(&pod("mirror", &mirror)).await.expect_err("who may not make one");
    assert!(!status.message.contains("podgraft.dev"), "{}", status.message);

    scene.create(&pod("plain", &json!({}))).await.expect("a pod");
    scene.create(&pod("other", &json!({"sidecar.istio.io/inject": "true"}))).await.expect("a pod");
    let system = ["create", "-n", "kube-system", "--dry-run=server", "-f", "-"];
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    let _ = kubectl(&scene, &["create", "-n", "kube-system", "-f", "-"], &account.to_string());
    succeed(&scene, &system, &asking.to_string());
}

#[tokio::test]
async fn with_every_replica_down_namespaces_and_workloads_are_as_free_as_ever() {
    let Some(scene) = installed("down-workloads").await else { return };
    let asking = json!({"inject/log-shipper": "true"});
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "defaults", "labels": {"podgraft.dev/inject": "enabled"}, "annotations": asking},
    });
    succeed(&scene, &["create", "-f", "-"], &namespace.to_string());
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    succeed(&scene, &["create", "-n", "defaults", "-f", "-"], &account.to_string());
    for namespace in [scene.namespace.as_str(), "defaults"] {
        for workload in workloads(&asking) {
            succeed(&scene, &["create", "-n", namespace, "-f", "-"], &workload.to_string());
        }
    }
    // A namespace's defaults are not worth its pods.
    succeed(&scene, &["create", "-n", "defaults", "-f", "-"], &pod("plain", &json!({})).to_string());
    succeed(&scene, &["delete", "namespace", "defaults", "--wait=false"], "");
}

/// One of each kind that makes pods, of pods with these annotations.
fn workloads(annotations: &Value) -> Vec<Value> {
    let mut spec = pod("app", &json!({}))["spec"].clone();
    spec["restartPolicy"] = "Never".into();
    let job = json!({"template": {"metadata": {"annotations": annotations}, "spec": spec}});
    spec["restartPolicy"] = "Always".into();
    let template = json!({"metadata": {"labels": {"app": "app"}, "annotations": annotations}, "spec": spec});
    let set = json!({"selector": {"matchLabels": {"app": "app"}}, "template": template});
    let of = |group: &str, kind: &str, spec: Value| json!({"apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {"name": "app"}, "spec": spec});
    vec![
        of("apps", "Deployment", set.clone()),
        of("apps", "DaemonSet", set.clone()),
        of("apps", "ReplicaSet", set.clone()),
        of("apps", "StatefulSet", set),
        of("batch", "Job", job.clone()),
        of("batch", "CronJob", json!({"schedule": "0 0 * * *", "jobTemplate": {"spec": job}})),
    ]
}

#[tokio::test]
async fn its_account_may_do_what_it_needs_and_nothing_else() {
    let Some(scene) = installed("account").await else { return };
    // Verb, group, resource, name and namespace; `*` is any.
    for (allowed, action) in [
        (true, "watch  namespaces * *"),
        (true, "list podgraft.dev injectiontemplates * *"),
        (true, "watch podgraft.dev clusterinjectiontemplates * *"),
        (true, "patch podgraft.dev injectiontemplates/status * *"),
        (true, "patch podgraft.dev clusterinjectiontemplates/status * *"),
        (true, "update  secrets podgraft-tls podgraft"),
        (true, "watch  secrets podgraft-tls podgraft"),
        (true, "create  secrets * podgraft"),
        (true, "watch admissionregistration.k8s.io mutatingwebhookconfigurations zz-podgraft *"),
        (true, "patch admissionregistration.k8s.io mutatingwebhookconfigurations zz-podgraft *"),
        (true, "patch admissionregistration.k8s.io validatingwebhookconfigurations podgraft *"),
        (true, "create events.k8s.io events * *"),
        (true, "patch events.k8s.io events * *"),
        (true, "get apps replicasets * *"),
        (true, "get batch jobs * *"),
        (false, "get  secrets * podgraft"),
        (false, "get  secrets podgraft-tls default"),
        (false, "create  secrets * default"),
        (false, "delete  secrets podgraft-tls podgraft"),
        (false, "create admissionregistration.k8s.io mutatingwebhookconfigurations zz-podgraft *"),
        (false, "delete admissionregistration.k8s.io mutatingwebhookconfigurations zz-podgraft *"),
        (false, "patch admissionregistration.k8s.io mutatingwebhookconfigurations other *"),
        (false, "patch podgraft.dev injectiontemplates * *"),
        (false, "list apps replicasets * *"),
        (false, "get events.k8s.io events * *"),
        (false, "get  pods * *"),
        (false, "list  configmaps * podgraft"),
        (false, "patch  namespaces * *"),
    ] {
        let [verb, group, resource, name, namespace] = action.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{action}")
        };
        let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
        let [name, namespace] = [name, namespace].map(|any| if any == "*" { "" } else { any });
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": "system:serviceaccount:podgraft:podgraft",
                "resourceAttributes": {
                    "verb": verb, "group": group, "resource": resource, "subresource": part, "name": name,
                    "namespace": namespace,
                },
            },
        });
        let answer =
            scene.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await.expect("an answer");
        assert_eq!(answer["status"]["allowed"], allowed, "{action}");
    }
}

#[tokio::test]
async fn kustomize_gives_the_same_objects_in_the_same_order() {
    let Some(scene) = installed("kustomize").await else { return };
    let built = succeed(&scene, &["kustomize", DEPLOY], "");
    let written = fs::read_to_string(format!("{DEPLOY}/install.yaml")).expect("the manifest");
    // In one notation.
    let [built, written] = [built, written]
        .map(|manifest| succeed(&scene, &["create", "--dry-run=client", "-o", "json", "-f", "-"], &manifest));
    assert!(built == written, "{built}\n{written}");
}
