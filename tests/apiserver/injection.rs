//! What is stored of pods that ask.

use serde_json::{Value, json};

use crate::control_plane::PLAIN;
use crate::podgraft::Podgraft;
use crate::scene::{Scene, Webhook, named, pod};

#[tokio::test]
async fn the_stored_pod_has_the_graft() {
    let Some(scene) = Scene::set(&PLAIN, "stored").await else { return };
    let podgraft = Podgraft::serve(&scene, &[]).await;
    scene.register(&podgraft, &[]).await;

    let asking = pod("app", &json!({"inject/log-shipper": "/var/log/nginx"}));
    scene.create(&asking).await.expect("a pod");
    assert_ships_logs(&scene.stored(&asking).await.expect("the pod"), "/var/log/nginx");
}

#[tokio::test]
async fn a_workloads_pod_has_the_graft() {
    let Some(scene) = Scene::set(&PLAIN, "workload").await else { return };
    let podgraft = Podgraft::serve(&scene, &[]).await;
    scene.register(&podgraft, &[]).await;

    let labels = json!({"app": "web"});
    let mut template = pod("", &json!({"inject/log-shipper": "true"}));
    template["metadata"] = json!({"labels": labels, "annotations": template["metadata"]["annotations"]});
    let replica_set = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": template["metadata"], "spec": template["spec"]},
        },
    });
    let path = format!("/apis/apps/v1/namespaces/{}/replicasets", scene.namespace);
    let replica_set = scene.post(&path, &replica_set).await.expect("a replica set");

    // What its controller, which is not here, makes of it: the name is the API server's to choose, after admission.
    let mut pod = template;
    pod["metadata"]["generateName"] = "web-".into();
    pod["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "web",
        "uid": replica_set["metadata"]["uid"],
        "controller": true,
        "blockOwnerDeletion": true,
    }]);
    let created = scene.create(&pod).await.expect("a pod");
    assert!(created["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("web-")), "{created:#}");
    assert_ships_logs(&scene.stored(&created).await.expect("the pod"), "/var/log/app");
}

#[tokio::test]
async fn a_rejection_reaches_the_client_whole() {
    let Some(scene) = Scene::set(&PLAIN, "rejection").await else { return };
    let podgraft = Podgraft::serve(&scene, &[]).await;
    scene.register(&podgraft, &[]).await;

    let asking = pod("app", &json!({"inject/log-shipper": "relative/path", "inject/log-shiper": "true"}));
    let status = scene.create(&asking).await.expect_err("a rejection");
    assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"), "{status:#?}");
    let said = &status.message;
    // The webhook, and of each error the key, the value and what is allowed.
    for part in ["pods.podgraft.dev", "inject/log-shipper", "relative/path", "^/", "inject/log-shiper", "log-shipper"] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    assert_eq!(scene.stored(&asking).await.expect_err("no pod").code, 404);
}

#[tokio::test]
async fn a_dry_run_is_answered_and_stores_nothing() {
    let Some(scene) = Scene::set(&PLAIN, "dry-run").await else { return };
    let podgraft = Podgraft::serve(&scene, &[]).await;
    scene.register(&podgraft, &[]).await;

    let asking = pod("app", &json!({"inject/log-shipper": "true"}));
    assert_ships_logs(&scene.try_out(&asking).await.expect("an answer"), "/var/log/app");
    assert_eq!(scene.stored(&asking).await.expect_err("no pod").code, 404);
}

#[tokio::test]
async fn many_grafts_make_one_valid_pod() {
    let Some(scene) = Scene::set(&PLAIN, "many").await else { return };
    let podgraft = Podgraft::serve(&scene, &[]).await;
    scene.register(&podgraft, &[]).await;

    let asking = pod(
        "app",
        &json!({
            "inject/log-shipper": "/var/log/app",
            "audit.inject/log-shipper": "/var/log/audit",
            "inject/wait-for-db": "true",
            "inject/wait-for-service": "myservice,mydb",
            "inject/set-env": "FIRST=1,SECOND=a=b",
        }),
    );
    scene.create(&asking).await.expect("a pod");
    let stored = scene.stored(&asking).await.expect("the pod");
    let init = &stored["spec"]["initContainers"];
    for name in ["log-shipper", "log-shipper-audit", "wait-for-db", "wait-for-service"] {
        named(init, name);
    }
    let app = named(&stored["spec"]["containers"], "app");
    assert_eq!(named(&app["env"], "FIRST")["value"], "1");
    assert_eq!(named(&app["env"], "SECOND")["value"], "a=b");
    for path in ["/var/log/app", "/var/log/audit"] {
        mount(app, path);
    }
}

#[tokio::test]
async fn only_pods_that_ask_reach_us() {
    let defaults = json!({
        "labels": {"podgraft.dev/inject": "enabled"},
        "annotations": {"inject/set-env": "TEAM=payments"},
    });
    let Some(other) = Scene::set(&PLAIN, "not-asking").await else { return };
    let Some(scene) = Scene::set_with(&PLAIN, "namespace-defaults", defaults.clone()).await else { return };
    let mut namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": defaults});
    namespace["metadata"]["name"] = scene.namespace.clone().into();
    let file = scene.directory.join("namespaces.yaml");
    std::fs::write(&file, namespace.to_string()).expect("a file");
    let podgraft = Podgraft::serve(&scene, &["--namespaces", file.to_str().expect("a path")]).await;
    scene.register(&podgraft, &[&other.namespace, "kube-system"]).await;

    let before = podgraft.calls().await;
    let similar =
        json!({"sidecar.istio.io/inject": "true", "vault.hashicorp.com/agent-inject": "true", "inject": "true"});
    other.create(&pod("similar", &similar)).await.expect("a pod");
    let mut bare = pod("bare", &json!({}));
    bare["metadata"] = json!({"name": "bare"});
    other.create(&bare).await.expect("a pod");
    let mut mirror = pod("mirror", &json!({"inject/log-shipper": "true", "kubernetes.io/config.mirror": "0123"}));
    mirror["spec"]["nodeName"] = "node".into();
    other.create(&mirror).await.expect("a pod");
    let system = pod("system", &json!({"inject/log-shipper": "true"}));
    scene.post("/api/v1/namespaces/kube-system/pods", &system).await.expect("a pod");
    assert_eq!(podgraft.calls().await, before, "calls for pods that don't ask");

    other.create(&pod("asking", &json!({"inject/log-shipper": "true"}))).await.expect("a pod");
    assert_eq!(podgraft.calls().await, before + 1, "calls for a pod that asks");

    let stored = scene.create(&bare).await.expect("a pod");
    assert_eq!(podgraft.calls().await, before + 2, "calls for a pod whose namespace asks");
    let app = named(&stored["spec"]["containers"], "app");
    assert_eq!(named(&app["env"], "TEAM")["value"], "payments");

    let mut labelled = pod("labelled", &json!({"inject/log-shipper": "true"}));
    labelled["metadata"]["labels"]["podgraft.dev/inject"] = "enabled".into();
    for (calls, scene) in [(3, &other), (4, &scene)] {
        assert_ships_logs(&scene.create(&labelled).await.expect("a pod"), "/var/log/app");
        assert_eq!(podgraft.calls().await, before + calls, "calls for a pod that asks by a label as well");
    }
}

/// Asserts that `log-shipper` is a native sidecar, and that it shares with `app` what is mounted there at `path`.
fn assert_ships_logs(pod: &Value, path: &str) {
    let shipper = named(&pod["spec"]["initContainers"], "log-shipper");
    assert_eq!(shipper["restartPolicy"], "Always", "{shipper:#}");
    let volume = &mount(named(&pod["spec"]["containers"], "app"), path)["name"];
    let volume = named(&pod["spec"]["volumes"], volume.as_str().expect("a name"));
    assert!(volume["emptyDir"].is_object(), "{volume:#}");
    named(&shipper["volumeMounts"], volume["name"].as_str().expect("a name"));
}

/// What a container mounts at `path`.
fn mount<'v>(container: &'v Value, path: &str) -> &'v Value {
    let mounts = container["volumeMounts"].as_array();
    let found = mounts.into_iter().flatten().find(|mount| mount["mountPath"] == path);
    found.unwrap_or_else(|| panic!("nothing at {path}: {container:#}"))
}
