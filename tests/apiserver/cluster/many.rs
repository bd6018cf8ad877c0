//! A change among many templates: some hundred in every run of the tests, and as a measurement as many as
//! `$PODGRAFT_TEST_TEMPLATES` says, with `$PODGRAFT_TEST_PROGRAM` for a release build.

use std::env;
use std::io::Write;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use serde_json::json;

use crate::podgraft::Podgraft;

use super::{change, eventually, from, scene, template, templates};

/// In the tests: enough for more than one batch of the watch.
const SOME: usize = 600;

/// How long a change may take to be in force among 10,000, by a release build.
const WANTED: Duration = Duration::from_secs(2);

/// At most this many requests at a time.
const AT_ONCE: usize = 16;

#[tokio::test]
async fn a_change_among_many_templates_is_in_force() {
    let Some(scene) = scene("many-templates").await else { return };
    let asked = env::var("PODGRAFT_TEST_TEMPLATES").ok().map(|many| many.parse().expect("a number"));
    let many = asked.unwrap_or(SOME);
    let say = |what: &str, took: Duration| {
        if asked.is_some() {
            let _ = writeln!(std::io::stderr(), "{many} templates, {what}: {took:?}");
        }
    };
    let here = templates(Some(&scene.namespace));
    let start = Instant::now();
    let made = stream::iter(0..many).map(async |number| {
        let name = format!("many-{number}");
        scene.post(&here, &template("InjectionTemplate", &name, "before")).await.expect("a template");
    });
    made.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    say("made", start.elapsed());

    let start = Instant::now();
    let kubeconfig = scene.api.kubeconfig.display().to_string();
    let podgraft = Podgraft::serve(&scene, &["--kubeconfig", &kubeconfig, "--log-level", "warn"]).await;
    eventually("ready", async || podgraft.is_ready().await).await;
    say("ready", start.elapsed());
    // Ready means that all are in force.
    scene.register(&podgraft, &[]).await;
    let path = |number: usize| format!("{here}/many-{number}");
    for round in 0..5 {
        // Statuses are being written meanwhile.
        let (value, number) = (format!("after-{round}"), round * (many / 5));
        let start = Instant::now();
        let spec = json!({"target": {"env": [{"name": "FROM", "value": value}]}});
        change(&scene, &path(number), &spec).await;
        let name = format!("many-{number}");
        eventually("the change", async || from(&scene, &name).await.as_deref() == Ok(&*value)).await;
        let took = start.elapsed();
        say("a change in force", took);
        assert!(took < WANTED || env::var_os("PODGRAFT_TEST_PROGRAM").is_none(), "a change took {took:?}");
    }
    assert_eq!(from(&scene, "many-1").await.as_deref(), Ok("before"), "the others");
    let resident = podgraft.metric("process_resident_memory_bytes").await / 1_048_576.0;
    say(&format!("{resident:.1} MiB resident, since the start"), start.elapsed());
}
