//! Our table of the Pod Security Standards beside the API server's own: what it makes of a graft, we said before.

use std::sync::Arc;

use podgraft::inject::outcome::Warning;
use podgraft::inject::request::PodRequest;
use podgraft::inject::{Outcome, inject};
use podgraft::snapshot::{Namespace, Snapshot};
use podgraft::template::{self, LoadOptions, Origin};
use serde_json::{Value, json};

use crate::control_plane::PLAIN;
use crate::scene::Scene;

/// What templates say of their containers.
fn containers() -> Vec<Value> {
    let context = |context: Value| json!({"securityContext": context});
    vec![
        json!({}),
        context(json!({"runAsUser": 1000, "seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"}})),
        context(json!({"runAsUser": 0})),
        context(json!({"runAsNonRoot": false})),
        context(json!({"privileged": true})),
        context(json!({"allowPrivilegeEscalation": true})),
        context(json!({"seccompProfile": {"type": "Unconfined"}})),
        context(json!({"appArmorProfile": {"type": "Unconfined"}})),
        context(json!({"capabilities": {"drop": ["NET_RAW"]}})),
        context(json!({"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}})),
        context(json!({"capabilities": {"add": ["CHOWN"]}})),
        context(json!({"capabilities": {"add": ["SYS_TIME"]}})),
        context(json!({"seLinuxOptions": {"type": "container_t"}})),
        context(json!({"seLinuxOptions": {"type": "container_engine_t"}})),
        context(json!({"seLinuxOptions": {"type": "spc_t"}})),
        context(json!({"seLinuxOptions": {"user": "root"}})),
        json!({"ports": [{"containerPort": 8080, "hostPort": 8080}]}),
        json!({"livenessProbe": {"httpGet": {"port": 80, "host": "10.0.0.1"}}}),
        json!({"lifecycle": {"preStop": {"tcpSocket": {"port": 80, "host": "10.0.0.1"}}}}),
    ]
}

/// A pod that keeps every standard by itself.
fn app(user_namespace: bool) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "app-", "annotations": {"inject/tried": "true"}},
        "spec": {
            "hostUsers": !user_namespace,
            "containers": [{
                "name": "app",
                "image": "registry.example/app:1",
                "securityContext": {
                    "runAsNonRoot": true,
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            }],
        },
    })
}

fn snapshot(spec: &Value, namespace: &Value) -> Snapshot {
    let template = json!({
        "apiVersion": "podgraft.dev/v1alpha1",
        "kind": "ClusterInjectionTemplate",
        "metadata": {"name": "tried"},
        "spec": spec,
    });
    let loaded = template::load(Origin("tried.yaml".into()), &template.to_string(), &LoadOptions::default());
    let mut snapshot = Snapshot::default();
    snapshot.templates.insert(Arc::new(loaded.expect("a template").templates.remove(0)));
    snapshot.namespaces.insert(Namespace::from_object(namespace.clone()).expect("a namespace"));
    snapshot
}

/// The pod with its graft, and whether we said that it breaks the standard.
fn grafted(pod: &Value, namespace: &str, snapshot: &Snapshot) -> (Value, bool) {
    let text = pod.to_string();
    let request = PodRequest::create(&text, namespace).expect("a pod");
    let Outcome::Inject(plan) = inject(&request, snapshot) else { panic!("no graft on {pod}") };
    let mut grafted = pod.clone();
    let patch: json_patch::Patch = serde_json::from_str(&plan.patch()).expect("a patch");
    json_patch::patch(&mut grafted, &patch).expect("it applies");
    (grafted, plan.warnings.iter().any(|warning| matches!(warning, Warning::PodSecurity { .. })))
}

#[tokio::test]
async fn the_api_server_denies_what_we_said_it_would_and_nothing_else() {
    let Some(scene) = Scene::set(&PLAIN, "pod-security").await else { return };
    let volumes = [json!({"hostPath": {"path": "/var/log"}}), json!({"nfs": {"server": "a", "path": "/"}})];
    let with_volume = |volume: &Value| {
        let mut volume = volume.clone();
        volume["name"] = "v".into();
        json!({"volumes": [volume], "sidecars": [{"name": "a", "image": "b", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]})
    };
    let with_container = |container: &Value| {
        let mut container = container.clone();
        container["name"] = "a".into();
        container["image"] = "registry.example/a:1".into();
        json!({"sidecars": [container]})
    };
    let specs: Vec<_> = containers().iter().map(with_container).chain(volumes.iter().map(with_volume)).collect();
    let (mut differ, mut denied, mut accepted) = (Vec::new(), 0, 0);
    for standard in ["baseline", "restricted"] {
        for version in ["v1.7", "v1.18", "v1.21", "v1.22", "v1.23", "v1.30", "v1.31", "v1.34", "v1.35", "latest"] {
            let name = format!("{}-{standard}-{}", scene.namespace, version.replace('.', "-"));
            let labels = json!({
                "pod-security.kubernetes.io/enforce": standard,
                "pod-security.kubernetes.io/enforce-version": version,
            });
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
            scene.post("/api/v1/namespaces", &namespace).await.expect("a namespace");
            for (spec, user_namespace) in specs.iter().flat_map(|spec| [(spec, false), (spec, true)]) {
                let (pod, breaks) = grafted(&app(user_namespace), &name, &snapshot(spec, &namespace));
                let path = format!("/api/v1/namespaces/{name}/pods?dryRun=All");
                let answer = scene.post(&path, &pod).await;
                match &answer {
                    Ok(_) => accepted += 1,
                    Err(_) => denied += 1,
                }
                if answer.is_ok() == breaks {
                    let theirs = answer.err().map(|status| status.message).unwrap_or_default();
                    differ.push(format!("{standard} {version}, hostUsers {}: {spec}\n  {theirs}", !user_namespace));
                }
            }
        }
    }
    assert!(differ.is_empty(), "{} of {} differ:\n{}", differ.len(), accepted + denied, differ.join("\n"));
    assert!(accepted > 100 && denied > 100, "{accepted} accepted, {denied} denied");
}
