//! What injected containers may do.

use std::process::Command;

use serde_json::{Value, json};

use crate::scene::{IDLE, Scene, pod};

/// Where a pod's service account has its token.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

#[test]
fn no_injected_container_holds_the_service_accounts_token() {
    let Some(scene) = Scene::set("token") else { return };
    let annotations = json!({"inject/log-shipper": "true", "inject/wait-for-service": "awaited"});
    scene.apply(pod("web", &annotations, IDLE));

    // Init containers can be looked into while they wait.
    scene.wait("pod/web", "jsonpath={.status.initContainerStatuses[?(@.name=='wait-for-service')].state.running}");
    assert_eq!(scene.status("web"), "Init:1/2");
    assert_eq!(scene.exec("web", "wait-for-service", &["ls", TOKEN]), "");
    scene.apply(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "awaited"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    }));
    scene.wait("pod/web", "condition=Ready");
    assert_eq!(scene.exec("web", "log-shipper", &["ls", TOKEN]), "");
    assert!(scene.exec("web", "app", &["cat", &format!("{TOKEN}/token")]).starts_with("ey"), "the app keeps its token");
}

#[test]
fn namespaces_that_enforce_a_standard_admit_every_template_that_claims_it() {
    // What meets a standard meets those before it.
    let standards = ["privileged", "baseline", "restricted"];
    for (rank, standard) in standards.into_iter().enumerate().skip(1) {
        let metadata = json!({"labels": {"pod-security.kubernetes.io/enforce": standard}});
        let Some(scene) = Scene::set_with(standard, metadata) else { return };
        let rank_of = |template: &Value| {
            let claim = template["spec"]["podSecurity"].as_str().unwrap_or("restricted");
            standards.iter().position(|known| *known == claim).expect("a standard")
        };
        let pods: Vec<_> = templates().iter().filter(|template| rank_of(template) >= rank).map(asking).collect();
        let named = |pod: &Value| pod["metadata"]["name"].as_str().expect("a name").to_owned();
        let mut admitted = Vec::new();
        for pod in &pods {
            let answer = scene.dry_run(pod).unwrap_or_else(|why| panic!("{standard} refuses {pod:#}: {why}"));
            admitted.extend(answer["metadata"]["annotations"]["podgraft.dev/status"].as_str().map(|_| named(&answer)));
        }
        assert_eq!(admitted, pods.iter().map(named).collect::<Vec<_>>());
        assert!(!admitted.is_empty(), "no template claims {standard}");

        // The namespace does enforce it.
        let mut privileged = pod("privileged", &json!({}), IDLE);
        privileged["spec"]["hostNetwork"] = true.into();
        let refused = scene.dry_run(&privileged).expect_err("a pod in the node's network");
        assert!(refused.contains("PodSecurity"), "{refused}");
    }
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

#[test]
fn podgraft_itself_runs_in_a_namespace_that_enforces_restricted() {
    let Some(scene) = Scene::set("itself") else { return };
    let Some(namespace) = scene.run.podgraft().namespace() else { return };
    let label = r"{.metadata.labels.pod-security\.kubernetes\.io/enforce}";
    assert_eq!(scene.get(&format!("namespace/{namespace}"), label), "restricted");
    let ready = ["get", "deployment", "podgraft", "-n", namespace, "-o", "jsonpath={.status.readyReplicas}"];
    assert_eq!(scene.kubectl(&ready), "2");
}
