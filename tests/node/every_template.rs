//! What holds for every built-in template: for those of the future too, as nothing here names one.

use std::process::Command;

use serde_json::{Value, json};

use crate::scene::{IDLE, Scene, pod};
use crate::security::TOKEN;

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
    let claims = |template: &Value| {
        let claim = template["spec"]["podSecurity"].as_str().unwrap_or("restricted");
        rank(claim) >= rank(standard)
    };
    let claiming: Vec<_> = templates().into_iter().filter(claims).collect();
    grafted(&scene, &claiming, |_| {});

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
    grafted(&scene, &templates(), |_| {});

    let mut greedy = pod("greedy", &json!({}), IDLE);
    greedy["spec"]["containers"][0].as_object_mut().expect("a container").remove("resources");
    let refused = scene.dry_run(&greedy).expect_err("a container without resources");
    assert!(refused.contains("failed quota"), "{refused}");
}

#[test]
fn a_guaranteed_pod_stays_guaranteed() {
    let Some(scene) = Scene::set("guaranteed") else { return };
    let guarantee = |pod: &mut Value| {
        let resources = &mut pod["spec"]["containers"][0]["resources"];
        resources["requests"] = resources["limits"].clone();
    };
    for (name, pod) in grafted(&scene, &templates(), guarantee) {
        assert_eq!(pod["status"]["qosClass"], "Guaranteed", "{name}: {pod:#}");
    }
}

#[test]
fn no_injected_container_mounts_the_service_accounts_token() {
    let Some(scene) = Scene::set("tokens") else { return };
    for (name, pod) in grafted(&scene, &templates(), |_| {}) {
        let lists = [&pod["spec"]["containers"], &pod["spec"]["initContainers"]];
        for container in lists.into_iter().filter_map(Value::as_array).flatten() {
            let mounts = container["volumeMounts"].as_array().into_iter().flatten();
            let token = mounts.filter(|mount| mount["mountPath"] == TOKEN).map(|mount| &mount["name"]);
            let volumes = pod["spec"]["volumes"].as_array().expect("volumes");
            let mut token = token.filter_map(|name| volumes.iter().find(|volume| volume["name"] == *name));
            let has_it = token.any(|volume| volume["projected"].is_object());
            assert_eq!(has_it, container["name"] == "app", "{name}: {}", container["name"]);
        }
    }
}

/// Pods as they are admitted, by the template that each asks for; `change` is made to them before.
///
/// # Panics
///
/// If one is refused, or admitted without its graft, or if there is none.
fn grafted(scene: &Scene, templates: &[Value], change: impl Fn(&mut Value)) -> Vec<(String, Value)> {
    let (mut admitted, mut wrong) = (Vec::new(), Vec::new());
    for template in templates {
        let mut pod = asking(template);
        change(&mut pod);
        match scene.dry_run(&pod) {
            Ok(pod) if pod["metadata"]["annotations"]["podgraft.dev/status"].is_string() => {
                admitted.push((template["metadata"]["name"].to_string(), pod));
            }
            Ok(pod) => wrong.push(format!("admitted without its graft: {pod:#}")),
            Err(why) => wrong.push(format!("{why}{pod:#}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!admitted.is_empty(), "no template is asked for");
    admitted
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
