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
    pub refused: Vec<String>,
    /// From the beginning of the first list of which some were refused to the end of the last.
    pub window: Duration,
}

/// Creates pods for as long as something else takes.
pub fn during<T: Send>(scene: &Scene, pods: &Pods, work: impl FnOnce() -> T + Send) -> (T, Stream) {
    let mut stream = Stream { asked: 0, refused: Vec::new(), window: Duration::ZERO };
    let mut first_refusal = None;
    let done = thread::scope(|scope| {
        let work = scope.spawn(work);
        while !work.is_finished() {
            stream.asked += pods.count;
            let start = Instant::now();
            if let Err(why) = pods.create(scene) {
                stream.window = first_refusal.get_or_insert(start).elapsed();
                stream.refused.extend(why.lines().filter(|line| line.starts_with("Error")).map(str::to_owned));
            }
        }
        work.join()
    });
    // A failed test's own words.
    (done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), stream)
}
