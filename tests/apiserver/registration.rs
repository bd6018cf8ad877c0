//! `deploy/webhook.yaml` as it stands, and as the README says to use it.

use std::process::Command;

use crate::control_plane::PLAIN;
use crate::scene::Scene;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/webhook.yaml");

#[tokio::test]
async fn the_registration_is_accepted_as_it_stands() {
    let Some(scene) = Scene::set(&PLAIN, "as-it-stands").await else { return };
    let args = ["create", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f", FILE];
    succeed(scene.api.kubectl().args(args));
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("a program");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}
