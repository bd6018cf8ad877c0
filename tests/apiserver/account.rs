//! podgraft's own account, with the permissions of the chart and no others.

use std::fs;

use serde_json::{Value, json};

use crate::scene::Scene;

const INSTALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/install.yaml");

/// Makes the account in the test's namespace, where it may do nothing yet, and gives a kubeconfig file of its.
pub async fn make(scene: &Scene) -> String {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "podgraft"}});
    scene.post(&format!("/api/v1/namespaces/{}/serviceaccounts", scene.namespace), &account).await.expect("an account");
    kubeconfig(scene, &scene.namespace).await
}

/// A kubeconfig file of the account in a namespace.
pub async fn kubeconfig(scene: &Scene, namespace: &str) -> String {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/podgraft/token");
    let token = scene.post(&path, &request).await.expect("a token");
    let token = token["status"]["token"].as_str().expect("a token");
    let text = fs::read_to_string(&scene.api.kubeconfig).expect("the administrator's");
    let path = scene.directory.join("account");
    fs::write(&path, text.replace("{token: admin}", &format!("{{token: '{token}'}}"))).expect("a file");
    path.display().to_string()
}

/// Lets it do in the whole cluster what an installation lets it do; with webhook configurations of these names, as a test
/// has its own.
pub async fn grant(scene: &Scene, configurations: &[&str]) {
    let text = fs::read_to_string(INSTALL).expect("the manifest");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let of = |object: &&Value| object["kind"] == "ClusterRole" && object["metadata"]["name"] == "podgraft";
    let mut rules = objects.iter().find(of).expect("the role")["rules"].clone();
    for rule in rules.as_array_mut().expect("rules") {
        if rule["apiGroups"][0] == "admissionregistration.k8s.io" {
            rule["resourceNames"] = json!(configurations);
        }
    }
    let name = format!("podgraft-{}", scene.namespace);
    let group = "rbac.authorization.k8s.io";
    let role = json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules,
    });
    let binding = json!({
        "apiVersion": format!("{group}/v1"),
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "podgraft", "namespace": scene.namespace}],
    });
    for (plural, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
        scene.post(&format!("/apis/{group}/v1/{plural}"), &object).await.expect("a permission");
    }
}
