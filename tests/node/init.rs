//! What the init containers of the built-in templates do in real pods.

mod db_migrate;
mod environment;
mod fetch_config;
mod generate_secret;
mod volumes;
mod waits;

use serde_json::Value;

use crate::scene::Scene;

/// The pod, which is not started again when it fails.
fn once(mut pod: Value) -> Value {
    pod["spec"]["restartPolicy"] = "Never".into();
    pod
}

/// Waits until the pod of a name has failed without its app ever having started, and gives the termination message that
/// `kubectl describe` shows for an init container.
fn failure(scene: &Scene, pod: &str, container: &str) -> String {
    scene.wait(&format!("pod/{pod}"), "jsonpath={.status.phase}=Failed");
    let started = scene.get(&format!("pod/{pod}"), "{.status.containerStatuses[*].state.terminated.startedAt}");
    assert_eq!(started, "", "the app has run");
    let path = format!("{{.status.initContainerStatuses[?(@.name==\"{container}\")].state.terminated.message}}");
    let message = scene.get(&format!("pod/{pod}"), &path);
    let first = message.lines().next().unwrap_or_default();
    assert!(scene.kubectl(&["describe", "pod", pod]).contains(first), "{message}");
    message
}
