//! A measurement: how long a change takes among ten thousand templates. By hand, with `--ignored --nocapture`.

use std::io::Write;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use serde_json::json;

use super::{change, eventually, from, scene, serve, template, templates};

const MANY: usize = 10_000;

/// At most this many requests at a time.
const AT_ONCE: usize = 16;

#[tokio::test]
#[ignore = "it takes minutes"]
async fn a_change_among_ten_thousand_templates_is_soon_in_force() {
    let Some(scene) = scene("many").await else { return };
    let say = |what: &str, since: Instant| {
        let _ = writeln!(std::io::stderr(), "{what}: {:?}", since.elapsed());
    };
    let here = templates(Some(&scene.namespace));
    let start = Instant::now();
    let made = stream::iter(0..MANY).map(async |number| {
        let name = format!("many-{number}");
        scene.post(&here, &template("InjectionTemplate", &name, "before")).await.expect("a template");
    });
    made.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    say("made", start);

    let start = Instant::now();
    let podgraft = serve(&scene, &[]).await;
    say("ready", start);
    eventually("all of them", async || podgraft.metric("podgraft_templates").await >= 10_000.0).await;
    say("all in force", start);
    scene.register(&podgraft, &[]).await;
    // Statuses are being written meanwhile.
    for round in 0..5 {
        let value = format!("after-{round}");
        let start = Instant::now();
        let spec = json!({"target": {"env": [{"name": "FROM", "value": value}]}});
        change(&scene, &format!("{here}/many-4321"), &spec).await;
        eventually("the change", async || from(&scene, "many-4321").await.as_deref() == Ok(&*value)).await;
        say("a change in force", start);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    say(&format!("{} MiB resident", podgraft.metric("process_resident_memory_bytes").await / 1_048_576.0), start);
}
