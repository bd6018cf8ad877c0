//! Files that change under a running server.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use podgraft::tls::{DEVELOPMENT_LIFETIME, authority, directory};

use crate::config_map::ConfigMap;
use crate::process::Process;
use crate::webhook::{LONG, mutate, review, send};

/// What DESIGN promises for a change, and some seconds for a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(12);

/// A template that sets a variable.
fn template(name: &str, value: &str) -> String {
    format!(
        "apiVersion: podgraft.dev/v1alpha1\nkind: ClusterInjectionTemplate\nmetadata: {{name: {name}}}\nspec:\n  \
         description: Set a variable.\n  target: {{env: [{{name: FROM, value: {value}}}]}}\n"
    )
}

/// The patch of a response, as text.
fn patch(response: &serde_json::Value) -> String {
    use base64::Engine as _;
    let patch = response["patch"].as_str().unwrap_or_default();
    String::from_utf8(base64::prelude::BASE64_STANDARD.decode(patch).unwrap()).unwrap()
}

/// Asks until the answer is as wanted; every answer on the way is a good one.
async fn until(process: &Process, key: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
    let begin = Instant::now();
    let mut connection = process.connect().await;
    loop {
        let answer = send(&mut connection, mutate(review("u", key, "true"))).await;
        assert_eq!(answer.status, 200, "no request fails meanwhile");
        let response = answer.json()["response"].take();
        if wanted(&response) {
            return;
        }
        assert!(begin.elapsed() < SOON, "{response} {}", patch(&response));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const LOADED: &str = r#"podgraft_template_loads_total{result="ok"}"#;
const FAILED: &str = r#"podgraft_template_loads_total{result="failed"}"#;

async fn metric_is(process: &Process, name: &str, wanted: f64) {
    let found = process.metric(name).await;
    assert!((found - wanted).abs() < 0.5, "{name} is {found}, not {wanted}");
}

#[tokio::test]
async fn a_changed_template_is_in_force_soon_and_no_other_is_compiled() {
    let prepare = |dir: &Path| {
        fs::create_dir(dir.join("templates")).unwrap();
        fs::write(dir.join("templates/a.yaml"), template("a", "one")).unwrap();
        fs::write(dir.join("templates/b.yaml"), template("b", "same")).unwrap();
    };
    let process = Process::start(prepare, &["--templates", "templates"]);
    metric_is(&process, LOADED, 2.0).await;
    until(&process, "inject/a", |response| patch(response).contains("one")).await;

    fs::write(process.path("templates/a.yaml"), template("a", "two")).unwrap();
    until(&process, "inject/a", |response| patch(response).contains("two")).await;
    metric_is(&process, LOADED, 3.0).await;

    fs::write(process.path("templates/c.yaml"), template("c", "new")).unwrap();
    until(&process, "inject/c", |response| patch(response).contains("new")).await;
    fs::remove_file(process.path("templates/b.yaml")).unwrap();
    until(&process, "inject/b", |response| response["allowed"] == false).await;
    metric_is(&process, LOADED, 4.0).await;
    metric_is(&process, FAILED, 0.0).await;
}

#[tokio::test]
async fn a_bad_file_keeps_its_last_good_version() {
    let prepare = |dir: &Path| {
        fs::create_dir(dir.join("templates")).unwrap();
        fs::write(dir.join("templates/a.yaml"), template("a", "one")).unwrap();
        fs::write(dir.join("templates/bad.yaml"), template("bad", "one").replace("target:", "tragte:")).unwrap();
    };
    let process = Process::start(prepare, &["--templates", "templates"]);
    let response = process.ask("inject/bad", "true").await;
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("tragte"), "a pod that asks for it gets its error: {message}");
    metric_is(&process, FAILED, 1.0).await;
    metric_is(&process, "podgraft_templates_refused", 1.0).await;
    let good = process.metric("podgraft_template_last_success_timestamp_seconds").await;
    assert!(good.abs() < 0.5, "there was no reading without a mistake");

    fs::write(process.path("templates/a.yaml"), "spec: [").unwrap();
    let begin = Instant::now();
    while process.metric(FAILED).await < 1.5 {
        assert!(begin.elapsed() < SOON, "it is counted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(patch(&process.ask("inject/a", "true").await).contains("one"));
    metric_is(&process, "podgraft_templates_refused", 2.0).await;

    fs::write(process.path("templates/a.yaml"), template("a", "two")).unwrap();
    until(&process, "inject/a", |response| patch(response).contains("two")).await;
    metric_is(&process, "podgraft_templates_refused", 1.0).await;
}

#[tokio::test]
async fn config_map_swaps_are_seen_every_time() {
    let prepare = |dir: &Path| {
        ConfigMap::mount(dir.join("templates"), &[("a.yaml", &template("a", "v1"))]);
    };
    let process = Process::start(prepare, &["--templates", "templates"]);
    until(&process, "inject/a", |response| patch(response).contains("v1")).await;
    let dir = process.path("templates");
    let mut mounted = ConfigMap::mounted(dir.clone());
    for round in ["v2", "v3", "v4"] {
        mounted.update(&[("a.yaml", &template("a", round)), ("b.yaml", &template("b", round))]);
        until(&process, "inject/a", |response| patch(response).contains(round)).await;
        until(&process, "inject/b", |response| patch(response).contains(round)).await;
    }
    mounted.update(&[("b.yaml", &template("b", "v5"))]);
    until(&process, "inject/a", |response| response["allowed"] == false).await;
}

#[tokio::test]
async fn namespaces_are_read_again() {
    let namespace = |value: &str| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: default\n  labels: {{podgraft.dev/inject: enabled}}\n  \
             annotations: {{inject/a: \"{value}\"}}\n"
        )
    };
    let prepare = |dir: &Path| {
        fs::create_dir(dir.join("templates")).unwrap();
        fs::write(dir.join("templates/a.yaml"), template("a", "one")).unwrap();
        fs::write(dir.join("namespaces.yaml"), namespace("true")).unwrap();
    };
    let process = Process::start(prepare, &["--templates", "templates", "--namespaces", "namespaces.yaml"]);
    until(&process, "note", |response| patch(response).contains("one")).await;
    fs::write(process.path("namespaces.yaml"), namespace("false")).unwrap();
    until(&process, "note", |response| response.get("patch").is_none()).await;
}

#[tokio::test]
async fn a_new_certificate_is_served_soon_and_a_bad_one_never() {
    let process = Process::start(|_| {}, &[]);
    let mut live = process.connect().await;
    let certs = process.path("certs");
    let expiry = process.metric("podgraft_certificate_expiry_timestamp_seconds").await;

    fs::write(certs.join("tls.key"), "nonsense").unwrap();
    let begin = Instant::now();
    while process.metric(r#"podgraft_certificate_loads_total{result="failed"}"#).await < 0.5 {
        assert!(begin.elapsed() < SOON, "it is counted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(process.ask("note", "x").await["allowed"], true, "the one before is served");

    let files = authority::make(vec!["localhost".to_owned()], DEVELOPMENT_LIFETIME * 2, SystemTime::now()).unwrap();
    directory::write(&certs, &files).unwrap();
    let begin = Instant::now();
    while (process.metric("podgraft_certificate_expiry_timestamp_seconds").await - expiry).abs() < 86400.0 {
        assert!(begin.elapsed() < SOON, "it is in force");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A new connection trusts the new CA alone.
    assert_eq!(process.ask("note", "x").await["allowed"], true);
    let answer = tokio::time::timeout(LONG, send(&mut live, mutate(review("u", "note", "x")))).await.unwrap();
    assert_eq!(answer.status, 200, "and the connection from before lives");
}
