//! A stream of creations, beside whatever else happens.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::kubectl;
use crate::manifests::{IDLE, pod};
use crate::scene::Scene;

/// Pods to create, without keeping them.
pub struct Pods {
    list: String,
    count: usize,
}

impl Pods {
    /// That ask for the log shipper.
    pub fn asking() -> Self {
        Self::new(&json!({"inject/log-shipper": "true"}))
    }

    /// That ask for nothing.
    pub fn plain() -> Self {
        Self::new(&json!({}))
    }

    fn new(annotations: &Value) -> Self {
        let count = 20;
        let pods: Vec<Value> = (0..count).map(|number| pod(&format!("web-{number}"), annotations, IDLE)).collect();
        Self { list: json!({"apiVersion": "v1", "kind": "List", "items": pods}).to_string(), count }
    }

    /// What is printed when all of them are injected.
    pub fn injected(&self) -> String {
        "log-shipper\n".repeat(self.count)
    }

    /// Asks for one after the other, and goes on after a refusal.
    pub fn create(&self, scene: &Scene) -> Result<String, String> {
        let names = r#"jsonpath={.spec.initContainers[*].name}{"\n"}"#;
        kubectl(&["create", "-n", &scene.namespace, "--dry-run=server", "-f", "-", "-o", names], &self.list)
    }
}

/// What came of a stream of pods.
pub struct Stream {
    pub asked: usize,
    /// How many came with the log shipper.
    pub injected: usize,
    /// What was said instead of a pod.
    pub refused: Vec<String>,
    /// From the beginning of the first list of which some were refused to the end of the last.
    pub window: Duration,
}

/// Creates pods for as long as something else takes.
pub fn during<T: Send>(scene: &Scene, pods: &Pods, work: impl FnOnce() -> T + Send) -> (T, Stream) {
    let mut stream = Stream { asked: 0, injected: 0, refused: Vec::new(), window: Duration::ZERO };
    let mut first_refusal = None;
    let done = thread::scope(|scope| {
        let work = scope.spawn(work);
        while !work.is_finished() {
            stream.asked += pods.count;
            let start = Instant::now();
            let made = pods.create(scene);
            if made.is_err() {
                stream.window = first_refusal.get_or_insert(start).elapsed();
            }
            // After a line of its own, a failure has what was made as well.
            let (skipped, said) = made.map_or_else(|why| (1, why), |made| (0, made));
            for line in said.lines().skip(skipped) {
                match line {
                    "log-shipper" => stream.injected += 1,
                    line if line.is_empty() || line.starts_with("Warning: ") => {}
                    line => stream.refused.push(line.to_owned()),
                }
            }
        }
        work.join()
    });
    // A failed test's own words.
    (done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), stream)
}
