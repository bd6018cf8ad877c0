//! Whatever makes pods makes them with their grafts.

use serde_json::{Value, json};

use crate::manifests::{IDLE, pod};
use crate::scene::Scene;

#[test]
fn a_job_completes_and_its_last_line_is_shipped() {
    let Some(scene) = Scene::set("job") else { return };
    let script =
        "for i in $(seq 1000); do echo line $i; done >/var/log/app/a.log; printf 'the last line' >>/var/log/app/a.log";
    let mut template = template("work", &json!({"inject/log-shipper": "true"}), script);
    template["spec"]["restartPolicy"] = "Never".into();
    scene.apply(workload("batch/v1", "Job", "work", &json!({"template": template, "backoffLimit": 0})));
    scene.wait("job/work", "condition=Complete");
    let pod = scene.get("pods", "{.items[0].metadata.name}");
    let log = scene.logs(&pod, "log-shipper");
    assert_eq!(log.lines().count(), 1001, "{log}");
    assert_eq!(log.lines().last(), Some("the last line"));
}

#[test]
fn a_deployment_rolls_out_a_new_template() {
    let Some(scene) = Scene::set("rollout") else { return };
    let rolled_out = || scene.kubectl(&["rollout", "status", "deployment/web", "--timeout=2m"]);
    // Of the new pod, once the old one is gone.
    let until_there_are = |names: &str| {
        scene.until(names, || (scene.get("pods", "{.items[*].spec.initContainers[*].name}") == names).then_some(()));
    };
    let mut deployment = deployment(&json!({"inject/log-shipper": "true"}));
    scene.apply(&deployment);
    rolled_out();
    until_there_are("log-shipper");

    deployment["spec"]["template"]["metadata"]["annotations"]["inject/wait-for-db"] =
        "tcp://kubernetes.default:443".into();
    scene.apply(&deployment);
    rolled_out();
    until_there_are("log-shipper wait-for-db");
}

#[test]
fn stateful_sets_and_cron_jobs_get_theirs() {
    let Some(scene) = Scene::set("kinds") else { return };
    let annotations = json!({"inject/log-shipper": "true"});
    let hello = "echo hello >/var/log/app/a.log;";
    let selector = json!({"matchLabels": {"app": "set"}});
    let spec = json!({"serviceName": "set", "selector": selector, "template": template("set", &annotations, &format!("{hello} {IDLE}"))});
    scene.apply(workload("apps/v1", "StatefulSet", "set", &spec));
    let mut template = template("now", &annotations, hello);
    template["spec"]["restartPolicy"] = "Never".into();
    let spec = json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template}}});
    scene.apply(workload("batch/v1", "CronJob", "yearly", &spec));
    scene.kubectl(&["create", "job", "now", "--from=cronjob/yearly"]);

    scene.wait("job/now", "condition=Complete");
    assert_eq!(scene.logs("job/now", "log-shipper"), "hello\n");
    scene.kubectl(&["rollout", "status", "statefulset/set", "--timeout=2m"]);
    scene.until_logged("set-0", "log-shipper", "hello");
}

/// A Deployment, `web`, whose pods have these annotations and do nothing.
pub fn deployment(annotations: &Value) -> Value {
    let spec = json!({"selector": {"matchLabels": {"app": "web"}}, "template": template("web", annotations, IDLE)});
    workload("apps/v1", "Deployment", "web", &spec)
}

fn template(name: &str, annotations: &Value, script: &str) -> Value {
    let pod = pod(name, annotations, script);
    json!({"metadata": {"labels": {"app": name}, "annotations": annotations}, "spec": pod["spec"]})
}

fn workload(api_version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec})
}
