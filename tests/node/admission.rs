//! What namespaces demand of pods, every template meets: those of the future too, as nothing here names one.

use std::process::Command;

use serde_json::{Value, json};

use crate::scene::{IDLE, Scene, pod};

/// The Pod Security Standards; what meets one meets those before it.
const STANDARDS: [&str; 3] = ["privileged", "baseline", "restricted"];

#[test]
fn a_namespace_that_enforces_restricted_admits_every_template_that_claims_it() {
    every_template_that_claims_it_is_admitted("restricted");
}

#[test]
fn a_namespace_that_enforces_baseline_admits_every_template_that_claims_it() {
    every_template_that_claims_it_is_admitted("baseline");
}

fn every_template_that_claims_it_is_admitted(standard: &str) {
    let metadata = json!({"labels": {"pod-security.kubernetes.io/enforce": standard}});
    let Some(scene) = Scene::set_with(standard, metadata) else { return };
    let rank = |standard: &str| STANDARDS.iter().position(|known| *known == standard).expect("a standard");
    let claims = |template: &&Value| {
        let claim = template["spec"]["podSecurity"].as_str().unwrap_or("restricted");
        rank(claim) >= rank(standard)
    };
    all_are_admitted(&scene, templates().iter().filter(claims));

    let mut outside = pod("outside", &json!({}), IDLE);
    outside["spec"]["hostNetwork"] = true.into();
    let refused = scene.dry_run(&outside).expect_err("a pod in the node's network");
    assert!(refused.contains("violates PodSecurity"), "{refused}");
}

/// A quota refuses containers that declare no resources.
#[test]
fn a_namespace_with_a_quota_admits_every_template() {
    let Some(scene) = Scene::set("quota") else { return };
    let hard = json!({"requests.cpu": "8", "requests.memory": "8Gi", "limits.cpu": "8", "limits.memory": "8Gi"});
    scene.apply(json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "quota"},
        "spec": {"hard": hard},
    }));
    // A controller adds up what is there before anything is admitted.
    scene.wait("resourcequota/quota", "jsonpath={.status.hard}");
    all_are_admitted(&scene, templates().iter());

    let mut greedy = pod("greedy", &json!({}), IDLE);
    greedy["spec"]["containers"][0].as_object_mut().expect("a container").remove("resources");
    let refused = scene.dry_run(&greedy).expect_err("a container without resources");
    assert!(refused.contains("failed quota"), "{refused}");
}

/// Every one of these templates is grafted onto a pod that is admitted.
fn all_are_admitted<'t>(scene: &Scene, templates: impl Iterator<Item = &'t Value>) {
    let mut refused = Vec::new();
    let mut asked = 0;
    for template in templates {
        asked += 1;
        let pod = asking(template);
        match scene.dry_run(&pod) {
            Ok(pod) if pod["metadata"]["annotations"]["podgraft.dev/status"].is_string() => {}
            Ok(pod) => refused.push(format!("admitted without its graft: {pod:#}")),
            Err(why) => refused.push(format!("{why}{pod:#}")),
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(asked > 0, "no template is asked for");
}

/// The built-in templates.
fn templates() -> Vec<Value> {
    let podgraft = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_podgraft")).arg("template").args(args).output();
        String::from_utf8(output.expect("podgraft starts").stdout).expect("text")
    };
    let read = |name: &str| serde_saphyr::from_str(&podgraft(&["show", name])).expect("YAML");
    podgraft(&["list", "-o", "name"]).lines().map(read).collect()
}

/// A pod that asks for a template, with an example for each parameter that must be given.
fn asking(template: &Value) -> Value {
    let name = template["metadata"]["name"].as_str().expect("a name");
    let primary = &template["spec"]["primaryParameter"];
    let mut annotations = json!({format!("inject/{name}"): "true"});
    for (parameter, declared) in template["spec"]["parameters"].as_object().into_iter().flatten() {
        let example = match &declared["example"] {
            _ if declared.get("default").is_some() => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let key = if primary == parameter { format!("inject/{name}") } else { format!("inject/{name}.{parameter}") };
        annotations[key] = example.into();
    }
    pod(name, &annotations, IDLE)
}
