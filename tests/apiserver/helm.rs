//! The chart, installed, upgraded and uninstalled by Helm, while a replica keeps certificates as the chart's own account.

use std::env;
use std::io::{self, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::account;
use crate::control_plane::HELM;
use crate::podgraft::Podgraft;
use crate::scene::Scene;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/chart");

/// Above what anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

const SECRET: &str = "/api/v1/namespaces/podgraft/secrets/podgraft-tls";
const REGISTRATIONS: [&str; 2] = [
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/zz-podgraft",
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/podgraft",
];

/// Runs Helm.
fn helm(scene: &Scene, args: &[&str]) {
    let mut helm = Command::new("helm");
    helm.args(["--namespace", "podgraft"]).args(args).env("KUBECONFIG", &scene.api.kubeconfig);
    let output = helm.output().expect("helm starts");
    assert!(output.status.success(), "helm {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn helm_installs_upgrades_and_leaves_nothing() {
    if let Err(error) = Command::new("helm").arg("version").output() {
        assert!(env::var("CI").as_deref() != Ok("true"), "helm: {error}");
        // Not eprintln!, whose text a passing test keeps to itself.
        let _ = io::stderr().write_all(format!("skipped a test of the chart: helm: {error}\n").as_bytes());
        return;
    }
    let Some(scene) = Scene::set(&HELM, "anywhere").await else { return };
    let before = left(&scene);
    helm(&scene, &["install", "podgraft", CHART, "--create-namespace"]);
    let kubeconfig = account::kubeconfig(&scene, "podgraft").await;
    let options = ["--tls", "self-managed", "--service-namespace", "podgraft", "--kubeconfig", &kubeconfig];
    let podgraft = Podgraft::serve(&scene, &options).await;
    podgraft.ready().await;
    let made = kept(&scene).await;
    assert!(made.iter().all(|value| !value.is_null()), "{made:?}");

    // What podgraft writes is not Helm's.
    helm(&scene, &["upgrade", "podgraft", CHART, "--set", "replicas=3", "--set", "annotationPrefix=graft"]);
    assert_eq!(kept(&scene).await, made);
    // Not even after it was made anew.
    scene.delete(SECRET).await.expect("a deletion");
    until("a Secret", async || scene.get(SECRET).await.is_ok()).await;
    helm(&scene, &["upgrade", "podgraft", CHART, "--set", "replicas=2"]);
    assert_eq!(kept(&scene).await, made);
    helm(&scene, &["rollback", "podgraft", "1"]);
    assert_eq!(kept(&scene).await, made);

    helm(&scene, &["uninstall", "podgraft"]);
    until("the removal", async || left(&scene) == before).await;
    // The replica still runs, and remembers.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(left(&scene), before, "{}", podgraft.log());
}

/// What podgraft writes: the Secret's data, and whom each entry trusts.
async fn kept(scene: &Scene) -> Vec<Value> {
    let mut kept = vec![scene.get(SECRET).await.expect("a Secret")["data"].clone()];
    for path in REGISTRATIONS {
        let registration = scene.get(path).await.expect("a registration");
        let entries = registration["webhooks"].as_array().expect("entries").iter();
        kept.extend(entries.map(|entry| entry["clientConfig"]["caBundle"].clone()));
    }
    kept
}

/// What there is of podgraft's, in its namespace and by its names; not the namespace itself, which Helm leaves.
fn left(scene: &Scene) -> Vec<String> {
    let kubectl = |args: &[&str]| {
        let output = scene.api.kubectl().args(args).output().expect("kubectl starts");
        String::from_utf8(output.stdout).expect("text")
    };
    let list = |scope: &str| {
        let kinds = kubectl(&["api-resources", "--verbs=list", scope, "-o", "name"]);
        kubectl(&["get", &kinds.lines().collect::<Vec<_>>().join(","), "-n", "podgraft", "-o", "name"])
    };
    // A controller's, where there is one, and the CRDs' own kinds while they go.
    let ours = |name: &&str| name.contains("podgraft") && *name != "namespace/podgraft";
    let (here, cluster) = (list("--namespaced=true"), list("--namespaced=false"));
    here.lines().chain(cluster.lines().filter(ours)).map(str::to_owned).collect()
}

async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so().await {
        assert!(Instant::now() < until, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
