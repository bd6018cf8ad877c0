//! The chart, installed, upgraded and uninstalled by Helm, with certificates that live for seconds.

use std::collections::HashSet;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::cluster::{kubectl, skipped};
use crate::podgraft::SERVED_BY;
use crate::process::at_the_end;
use crate::scene::Scene;

use super::manifest::NAMESPACE;
use super::stream::{Pods, Stream, during};
use super::{memory, ready, say, scene};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/chart");

/// The authority is another one every 40 seconds, the certificate every 13.
const SHORT: [&str; 3] = ["--tls-ca-lifetime=60s", "--tls-lifetime=20s", "--tls-settle=4s"];

/// Authorities that are to be seen: the first, and two that come after.
const AUTHORITIES: usize = 3;

/// What a test that was killed leaves behind.
const REMOVE: &str = r#"
    helm uninstall podgraft --namespace "$1" --ignore-not-found >/dev/null 2>&1
    kubectl delete namespace "$1" --ignore-not-found --wait=false >/dev/null 2>&1"#;

#[test]
fn helm_installs_upgrades_and_leaves_nothing() {
    if Command::new("helm").arg("version").output().is_err() {
        return skipped("helm", "there is no helm on the path");
    }
    let Some((_alone, scene)) = scene("helm") else { return };
    if !scene.run.keep {
        at_the_end(REMOVE, NAMESPACE);
    }
    installs(&scene);
    let (authorities, rotated) = rotates(&scene);
    let memory = memory();
    let upgraded = upgrades(&scene);
    let removed = uninstalls(&scene);
    say(&format!(
        "by Helm: {authorities} authorities, one after the other: {rotated}; upgrade: {upgraded}; removal: {removed}; \
         memory after the rotations: {memory}",
    ));
}

/// Runs Helm in podgraft's namespace.
fn helm(args: &[&str]) {
    let output = Command::new("helm").args(["--namespace", NAMESPACE]).args(args).output().expect("helm starts");
    assert!(output.status.success(), "helm {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A value of the chart as an argument.
fn extra_args(args: &[&str]) -> String {
    format!("extraArgs={}", json!(args))
}

fn installs(scene: &Scene) {
    let (repository, tag) = scene.run.image.rsplit_once(':').expect("an image with a tag");
    let ours = json!([{"key": SERVED_BY, "operator": "In", "values": [scene.podgraft().name]}]);
    let values = [
        format!("image={}", json!({"repository": repository, "tag": tag})),
        format!("webhook.namespaceExpressions={ours}"),
        extra_args(&SHORT),
    ];
    let mut args = vec!["install", "podgraft", CHART, "--create-namespace", "--wait", "--timeout=2m"];
    args.extend(values.iter().flat_map(|value| ["--set-json", value]));
    let ((), plain) = during(scene, &Pods::plain(), || helm(&args));
    assert_eq!(plain.refused, [""; 0], "of {} that ask for nothing", plain.asked);
    assert_eq!(ready(), "2");
    let asking = Pods::asking();
    scene.until("pods are injected", || asking.create(scene).is_ok_and(|made| made == asking.injected()).then_some(()));
}

/// The authority changes again and again under a constant stream of creations.
fn rotates(scene: &Scene) -> (usize, Stream) {
    let (authorities, stream) = during(scene, &Pods::asking(), || {
        let mut seen = HashSet::new();
        scene.until("enough authorities", || {
            let bundle = scene.get("mutatingwebhookconfiguration/zz-podgraft", "{.webhooks[0].clientConfig.caBundle}");
            let pem = String::from_utf8(BASE64_STANDARD.decode(bundle).expect("Base64")).expect("PEM");
            seen.extend(pem.split_inclusive("-----END CERTIFICATE-----").map(|one| one.trim().to_owned()));
            seen.remove("");
            (seen.len() >= AUTHORITIES).then_some(())
        });
        // What is new signs, what is old goes.
        sleep(Duration::from_secs(30));
        seen.len()
    });
    stream.assert_injected("while certificates were rotated");
    (authorities, stream)
}

/// Other values, by which every pod is replaced.
fn upgrades(scene: &Scene) -> Stream {
    let values = extra_args(&[]);
    let args = ["upgrade", "podgraft", CHART, "--reuse-values", "--set-json", &values, "--wait", "--timeout=3m"];
    let ((), stream) = during(scene, &Pods::asking(), || helm(&args));
    stream.assert_injected("during the upgrade");
    stream
}

/// The namespace alone stays, which Helm does not look after.
fn uninstalls(scene: &Scene) -> Stream {
    let ((), stream) = during(scene, &Pods::asking(), || {
        helm(&["uninstall", "podgraft", "--wait", "--timeout=2m"]);
        scene.until("nothing is left", || left().is_empty().then_some(()));
    });
    assert_eq!(stream.refused, [""; 0], "of {} during the removal", stream.asked);
    // A replica that is told to stop serves on for a while, and must not bring back what it remembers.
    sleep(Duration::from_secs(5));
    assert_eq!(left(), [""; 0]);
    kubectl(&["delete", "namespace", NAMESPACE, "--timeout=2m"], "").unwrap_or_else(|why| panic!("{why}"));
    stream
}

/// What there is in podgraft's namespace, and what has its names in the cluster.
fn left() -> Vec<String> {
    let list = |kinds: &str| {
        let kinds = kubectl(&["api-resources", "--verbs=list", kinds, "-o", "name"], "").expect("kinds");
        let kinds = kinds.lines().collect::<Vec<_>>().join(",");
        kubectl(&["get", &kinds, "-n", NAMESPACE, "-o", "name"], "").expect("objects")
    };
    let there_anyway = |name: &str| {
        name.starts_with("event") || ["configmap/kube-root-ca.crt", "serviceaccount/default"].contains(&name)
    };
    let here =
        list("--namespaced=true").lines().filter(|name| !there_anyway(name)).map(str::to_owned).collect::<Vec<_>>();
    let ours = |object: &&str| {
        let name = object.split('/').nth(1).unwrap_or_default();
        *object != "namespace/podgraft"
            && (["podgraft", "zz-podgraft", "podgraft-view", "podgraft-edit"].contains(&name)
                || name.ends_with(".podgraft.dev"))
    };
    here.into_iter().chain(list("--namespaced=false").lines().filter(ours).map(str::to_owned)).collect()
}
