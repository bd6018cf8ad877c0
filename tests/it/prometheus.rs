//! Metrics and alerts as a real Prometheus takes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use podgraft::metrics::Metrics;
use podgraft::snapshot::Snapshot;
use podgraft::template::{self, LoadOptions};
use serde_json::Value;

use crate::generated::up_to_date;
use crate::process::Process;
use crate::servers::{Prometheus, promtool};
use crate::webhook;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn alerts_are_raised_when_they_should_be_and_not_when_they_should_not() {
    const TESTS: [&str; 2] = ["alerts.yaml", "alerts_of_days.yaml"];
    let Some((good, told)) = promtool(&["test", "rules", TESTS[0], TESTS[1]], "") else { return };
    assert!(good, "{told}");

    let rules: Value = serde_saphyr::from_str(&read("deploy/chart/files/rules.yaml")).unwrap();
    let rules = rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let alerts: BTreeSet<_> = rules.map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect();
    let tests: Vec<Value> =
        TESTS.iter().map(|file| serde_saphyr::from_str(&read(&format!("tests/it/{file}"))).unwrap()).collect();
    let cases = tests.iter().flat_map(|file| file["tests"].as_array().unwrap());
    let checks: Vec<&Value> = cases.flat_map(|case| case["alert_rule_test"].as_array().unwrap()).collect();
    for raised in [true, false] {
        let tried = checks.iter().filter(|check| check.get("exp_alerts").is_some() == raised);
        let tried: BTreeSet<_> = tried.map(|check| check["alertname"].as_str().unwrap().to_owned()).collect();
        assert_eq!(tried, alerts, "alerts of which it is tried that they are raised, if {raised}");
    }
}

#[test]
fn metrics_are_named_and_written_as_prometheus_wants_them() {
    let Some((good, told)) = promtool(&["check", "metrics"], &Metrics::new().unwrap().text().unwrap()) else { return };
    assert!(good, "{told}");
}

/// A metric's row: its labels with the words that each can be.
fn row(name: &str, help: &str, text: &str) -> String {
    let kind = text.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} "))).unwrap();
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for series in text.lines().filter_map(|line| line.strip_prefix(&format!("{name}{{"))) {
        // No word of ours has a comma or a brace.
        for label in series.split('}').next().unwrap().split(',') {
            let (label, word) = label.split_once('=').unwrap();
            labels.entry(label).or_default().insert(word.trim_matches('"'));
        }
    }
    let words = |words: &BTreeSet<&str>| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let labels = labels.iter().map(|(label, found)| match *label {
        "template" => "`template`: its name, or `(others)`".to_owned(),
        "version" => "`version`".to_owned(),
        _ => format!("`{label}`: {}", words(found)),
    });
    format!("| `{name}` | {kind} | {} | {help} |\n", labels.collect::<Vec<_>>().join("; "))
}

#[test]
fn the_reference_of_metrics_is_up_to_date() {
    let metrics = Metrics::new().unwrap();
    let mut snapshot = Snapshot::default();
    for template in template::builtin(&LoadOptions::default()).unwrap() {
        snapshot.templates.insert(Arc::new(template));
    }
    let _injections = metrics.templates(&snapshot);
    let text = metrics.text().unwrap();
    let mut found = "\
# Metrics

Written by `PODGRAFT_UPDATE=1 cargo test --test it up_to_date`; edit `src/metrics.rs`.

`/metrics` on the admin port, in Prometheus' text format; times are in seconds. [install.md](install.md#watching-it) has alerts and a
dashboard, [limits.md](limits.md) how many series there can be.

| metric | type | labels | |
|---|---|---|---|
"
    .to_owned();
    for line in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let (name, help) = line.split_once(' ').unwrap();
        found += &row(name, help, &text);
    }
    up_to_date("docs/metrics.md", &found);
}

#[tokio::test]
async fn a_prometheus_that_scrapes_us_raises_what_is_wrong() {
    let Some(prometheus) = Prometheus::new() else { return };
    let prepare = |dir: &Path| {
        fs::create_dir(dir.join("templates")).unwrap();
        fs::write(dir.join("templates/bad.yaml"), "spec: [").unwrap();
    };
    let podgraft = Process::start(prepare, &["--templates", "templates"]);
    let server = prometheus.start(podgraft.admin, &read("deploy/chart/files/rules.yaml"));
    let address = prometheus.address();

    let alerts = async || {
        let answer = webhook::get(address, "/api/v1/alerts").await;
        // Not while it reads what it has stored.
        let answer = if answer.status == 200 { answer.json() } else { Value::Null };
        let alerts = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
        let names = alerts.iter().map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let begin = std::time::Instant::now();
    // Pending: it has to be so for a minute. Before the first scrape another one is, and then nothing else is wrong.
    while alerts().await != ["PodgraftTemplateBroken"] {
        assert!(begin.elapsed() < webhook::LONG, "{:?}:\n{}", alerts().await, server.log());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let answer = webhook::get(address, "/api/v1/query?query=podgraft_build_info").await.json();
    let found = &answer["data"]["result"][0]["metric"];
    assert_eq!(found["version"], env!("CARGO_PKG_VERSION"), "{answer}");
    assert_eq!(found["instance"], podgraft.admin.to_string(), "{answer}");
}
