//! What people read when they apply something with kubectl.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::control_plane::{AUDIT_LOG, PLAIN};
use crate::podgraft::Podgraft;
use crate::scene::{Scene, pod, workload};

/// `kubectl apply` of an object.
fn apply(scene: &Scene, object: &Value) -> Output {
    let file = scene.directory.join(format!("{}.json", object["metadata"]["name"].as_str().expect("a name")));
    fs::write(&file, object.to_string()).expect("a file");
    let mut kubectl = scene.api.kubectl();
    kubectl.args(["apply", "-n", &scene.namespace, "-f"]).arg(file).output().expect("kubectl starts")
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Its standard error, once it has succeeded.
fn applied(scene: &Scene, object: &Value) -> String {
    let output = apply(scene, object);
    assert!(output.status.success(), "{}", errors(&output));
    errors(&output)
}

#[tokio::test]
async fn kubectl_apply_of_a_workload_prints_what_its_pods_will_hear() {
    let Some(scene) = Scene::set(&PLAIN, "validated-workloads").await else { return };
    let podgraft = Podgraft::serve(&scene, &[]).await;
    scene.register_validation(&podgraft).await;

    let bad = workload("bad", &json!({"inject/log-shiper": "true"}));
    let said = applied(&scene, &bad);
    let expected =
        "Warning: the pods of Deployment/bad will be denied: annotation inject/log-shiper: there is no template";
    assert!(said.contains(expected), "{said}");

    // A change beside the pods is not even sent.
    let before = podgraft.metric("podgraft_admission_requests_total").await;
    let scaled = {
        let mut scaled = bad.clone();
        scaled["spec"]["replicas"] = 3.into();
        scaled
    };
    assert_eq!(applied(&scene, &scaled), "");
    assert_eq!(applied(&scene, &workload("good", &json!({"inject/log-shipper": "true"}))), "");
    let cleaned = podgraft.metric("podgraft_admission_requests_total").await;
    assert!(cleaned > before, "a good one is looked at");
    assert_eq!(applied(&scene, &workload("plain", &json!({"sidecar.istio.io/inject": "true"}))), "");
    let mut controlled = bad.clone();
    controlled["kind"] = "ReplicaSet".into();
    controlled["metadata"] = json!({"name": "controlled", "ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "bad", "uid": "0", "controller": true},
    ]});
    assert_eq!(applied(&scene, &controlled), "");
    assert!((podgraft.metric("podgraft_admission_requests_total").await - cleaned).abs() < 0.5, "those are not sent");

    let template = bad["spec"]["template"].clone();
    let mut spec = pod("", &json!({}))["spec"].clone();
    spec["restartPolicy"] = "Never".into();
    let job = json!({"spec": {"template": {"metadata": template["metadata"], "spec": spec}}});
    let cron_job = json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly", "annotations": {"inject/log-shipper": "true"}},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": job},
    });
    let said = applied(&scene, &cron_job);
    for part in
        ["move it to spec.jobTemplate.spec.template.metadata.annotations", "the pods of CronJob/nightly will be denied"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
async fn annotating_the_workload_instead_of_its_pods_is_told_at_once() {
    let Some(scene) = Scene::set(&PLAIN, "validated-annotate").await else { return };
    let podgraft = Podgraft::serve(&scene, &[]).await;
    scene.register_validation(&podgraft).await;
    assert_eq!(applied(&scene, &workload("web", &json!({}))), "");
    let arguments = ["annotate", "-n", &scene.namespace, "deployment/web", "inject/log-shipper=true"];
    let output = scene.api.kubectl().args(arguments).output().expect("kubectl starts");
    let said = errors(&output);
    assert!(output.status.success() && said.contains("move it to spec.template.metadata.annotations"), "{said}");
}

#[tokio::test]
async fn the_audit_log_holds_the_decisions() {
    let Some(scene) = Scene::set(&PLAIN, "audited").await else { return };
    let podgraft = Podgraft::serve(&scene, &[]).await;
    scene.register(&podgraft, &[]).await;
    scene.register_validation(&podgraft).await;
    let bad = json!({"inject/log-shiper": "true"});
    applied(&scene, &workload("bad", &bad));
    scene.create(&pod("refused", &bad)).await.expect_err("a rejection");
    scene.create(&pod("good", &json!({"inject/log-shipper": "true"}))).await.expect("a pod");

    let log = fs::read_to_string(scene.api.directory.join(AUDIT_LOG)).expect("the log");
    let events: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let said = |resource: &str, key: &str| -> Vec<&str> {
        let ours = events.iter().filter(|event| event["objectRef"]["namespace"] == *scene.namespace);
        let about = ours.filter(|event| event["objectRef"]["resource"] == resource);
        about.filter_map(|event| event["annotations"][key].as_str()).collect()
    };
    assert!(said("deployments", "workloads.podgraft.dev/decision").contains(&"warned"), "{log}");
    let decisions = said("pods", "pods.podgraft.dev/decision");
    assert!(decisions.contains(&"rejected") && decisions.contains(&"injected"), "{decisions:?}");
    assert!(said("pods", "pods.podgraft.dev/reason").contains(&"unknown_template"));
    assert!(said("pods", "pods.podgraft.dev/templates").contains(&"log-shipper"));
}

#[tokio::test]
async fn a_workload_is_denied_where_the_operator_wants_it() {
    let Some(scene) = Scene::set(&PLAIN, "validated-denied").await else { return };
    let podgraft = Podgraft::serve(&scene, &["--workload-errors", "deny"]).await;
    scene.register_validation(&podgraft).await;
    let output = apply(&scene, &workload("bad", &json!({"inject/log-shiper": "true"})));
    let said = errors(&output);
    assert!(!output.status.success() && said.contains("(Forbidden)") && said.contains("did you mean"), "{said}");
}

#[tokio::test]
async fn a_namespace_is_told_what_nobody_will_read() {
    let Some(scene) = Scene::set(&PLAIN, "validated-namespaces").await else { return };
    let podgraft = Podgraft::serve(&scene, &[]).await;
    scene.register_validation(&podgraft).await;
    let mut namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": format!("{}-two", scene.namespace), "annotations": {"inject/set-evn": "A=b"}},
    });
    let create = |namespace: &Value| {
        let file = scene.directory.join("namespace.json");
        fs::write(&file, namespace.to_string()).expect("a file");
        errors(&scene.api.kubectl().args(["apply", "-f"]).arg(file).output().expect("kubectl starts"))
    };
    let said = create(&namespace);
    for part in ["not read without the label podgraft.dev/inject: enabled", "did you mean \"set-env\"?"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    namespace["metadata"]["labels"] = json!({"podgraft.dev/inject": "enabled"});
    namespace["metadata"]["annotations"] = json!({"inject/set-env": "A=b"});
    assert_eq!(create(&namespace), "");
}

#[tokio::test]
async fn a_template_that_can_not_be_used_is_denied_with_the_place() {
    let Some(scene) = Scene::set(&PLAIN, "validated-templates").await else { return };
    let name = format!("in-{}", scene.namespace);
    let asking = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "shop",
        "labels": {"podgraft.dev/inject": "enabled"},
        "annotations": {(format!("inject/{name}")): "true"},
    }});
    let namespaces = scene.directory.join("namespaces.yaml");
    fs::write(&namespaces, asking.to_string()).expect("a file");
    let podgraft = Podgraft::serve(&scene, &["--namespaces", namespaces.to_str().expect("text")]).await;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "clusterinjectiontemplates.podgraft.dev"},
        "spec": {
            "group": "podgraft.dev",
            "scope": "Cluster",
            "names": {"kind": "ClusterInjectionTemplate", "plural": "clusterinjectiontemplates"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }}}],
        },
    });
    applied(&scene, &definition);
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd/clusterinjectiontemplates.podgraft.dev"];
    assert!(scene.api.kubectl().args(wait).status().expect("kubectl starts").success());
    scene.register_validation(&podgraft).await;

    let template = |field: &str| {
        json!({
            "apiVersion": "podgraft.dev/v1alpha1",
            "kind": "ClusterInjectionTemplate",
            "metadata": {"name": name},
            "spec": {"sidecars": [{"name": "ours", "image": "busybox:1.36", (field): "Always"}]},
        })
    };
    let output = apply(&scene, &template("imagePulPolicy"));
    let said = errors(&output);
    assert!(!output.status.success(), "{said}");
    for part in ["(Forbidden)", "there is no field `imagePulPolicy` here", "did you mean `imagePullPolicy`?", "^^^"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(applied(&scene, &template("imagePullPolicy")), "");

    let delete = ["delete", "clusterinjectiontemplates.podgraft.dev", &name];
    let output = scene.api.kubectl().args(delete).output().expect("kubectl starts");
    let said = errors(&output);
    assert!(output.status.success() && said.contains("namespace shop still asks for"), "{said}");
}
