//! `deploy/webhook.yaml` as it stands, and as the README says to use it.

use std::process::Command;
use std::{env, fs};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::authority::Authority;
use crate::control_plane::{ASSETS, PLAIN};
use crate::scene::Scene;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[tokio::test]
async fn the_registration_is_accepted_as_it_stands() {
    let Some(scene) = Scene::set(&PLAIN, "as-it-stands").await else { return };
    let args = ["create", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f"];
    succeed(scene.api.kubectl().args(args).arg(format!("{ROOT}/deploy/webhook.yaml")));
}

#[tokio::test]
async fn the_readmes_line_registers_a_local_server() {
    let Some(scene) = Scene::set(&PLAIN, "readme").await else { return };
    let readme = fs::read_to_string(format!("{ROOT}/README.md")).expect("the README");
    let line = readme.lines().find(|line| line.ends_with("| kubectl apply -f -")).expect("the line");
    // To be looked at, not to be in force beside the other tests.
    let line = line.replace("apply -f -", "apply --dry-run=server --output json -f -");

    let directory = &scene.directory;
    let authority = Authority::new().pem();
    fs::create_dir_all(directory.join("certs")).expect("a directory");
    fs::create_dir_all(directory.join("deploy")).expect("a directory");
    fs::write(directory.join("certs/ca.crt"), &authority).expect("a file");
    fs::copy(format!("{ROOT}/deploy/webhook.yaml"), directory.join("deploy/webhook.yaml")).expect("a file");
    let path = format!("{}:{}", env::var(ASSETS).expect("a directory"), env::var("PATH").expect("a path"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).current_dir(directory).env("PATH", path).env("KUBECONFIG", &scene.api.kubeconfig);

    let registered: Value = serde_json::from_str(&succeed(&mut shell)).expect("JSON");
    let configurations = registered["items"].as_array().expect("both configurations");
    let of = |kind: &str| {
        let found = configurations.iter().find(|configuration| configuration["kind"] == kind);
        found.and_then(|configuration| configuration["webhooks"].as_array()).expect("webhooks").iter()
    };
    let mutating = of("MutatingWebhookConfiguration").map(|entry| (entry, "https://127.0.0.1:8443/mutate"));
    let validating = of("ValidatingWebhookConfiguration").map(|entry| (entry, "https://127.0.0.1:8443/validate"));
    assert_eq!((mutating.len(), validating.len()), (3, 4));
    for (entry, url) in mutating.chain(validating) {
        let config = &entry["clientConfig"];
        assert_eq!(config["url"], url);
        assert_eq!(config["caBundle"], BASE64_STANDARD.encode(&authority));
        assert_eq!(config.get("service"), None);
    }
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("a program");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}
