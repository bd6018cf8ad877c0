//! What holds for every built-in template: for those of the future too, as nothing here names one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::manifests::{IDLE, pod};
use crate::scene::{PATIENCE, Scene};
use crate::security::TOKEN;

/// The Pod Security Standards; what meets one meets those before it.
const STANDARDS: [&str; 3] = ["privileged", "baseline", "restricted"];

/// A web server, as http://content.
const CONTENT: &str = "
apiVersion: v1
kind: Pod
metadata: {name: content, labels: {app: content}}
spec:
  containers:
    - {name: nginx, image: \"nginx:1.27-alpine\"}
---
apiVersion: v1
kind: Service
metadata: {name: content}
spec:
  selector: {app: content}
  ports: [{port: 80}]
";

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
        let claim = template["spec"]["podSecurity"].as_str().unwrap_or("privileged");
        rank(claim) >= rank(standard)
    };
    let claiming: Vec<_> = templates().into_iter().filter(claims).collect();
    grafted(&scene, &claiming, |_| {});

    let mut outside = pod("outside", &json!({}), IDLE);
    outside["spec"]["hostNetwork"] = true.into();
    let refused = scene.dry_run(&[outside]).expect_err("a pod in the node's network");
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
    let refused = scene.dry_run(&[greedy]).expect_err("a container without resources");
    assert!(refused.contains("failed quota"), "{refused}");
}

#[test]
fn a_guaranteed_pod_stays_guaranteed() {
    let Some(scene) = Scene::set("guaranteed") else { return };
    let guarantee = |pod: &mut Value| {
        let resources = &mut pod["spec"]["containers"][0]["resources"];
        resources["requests"] = resources["limits"].clone();
    };
    for pod in grafted(&scene, &templates(), guarantee) {
        assert_eq!(pod["status"]["qosClass"], "Guaranteed", "{pod:#}");
    }
}

#[test]
fn no_injected_container_mounts_the_service_accounts_token() {
    let Some(scene) = Scene::set("tokens") else { return };
    for pod in grafted(&scene, &templates(), |_| {}) {
        let lists = [&pod["spec"]["containers"], &pod["spec"]["initContainers"]];
        for container in lists.into_iter().filter_map(Value::as_array).flatten() {
            let mounts = container["volumeMounts"].as_array().into_iter().flatten();
            let token = mounts.filter(|mount| mount["mountPath"] == TOKEN).map(|mount| &mount["name"]);
            let volumes = pod["spec"]["volumes"].as_array().expect("volumes");
            let mut token = token.filter_map(|name| volumes.iter().find(|volume| volume["name"] == *name));
            let has_it = token.any(|volume| volume["projected"].is_object());
            assert_eq!(has_it, container["name"] == "app", "{} of {pod:#}", container["name"]);
        }
    }
}

/// Native sidecars are told to end when the app has ended.
#[test]
fn a_sidecar_adds_less_than_two_seconds_to_a_pods_end() {
    let Some(scene) = Scene::set("end") else { return };
    scene.apply(CONTENT);
    let has_sidecars = |template: &&Value| template["spec"]["sidecars"].is_array();
    let mut late: Vec<_> = templates().iter().filter(has_sidecars).map(asking).collect();
    assert!(!late.is_empty(), "no template has a sidecar");
    // A busy node may be late by itself, but hardly three times with the same pod.
    for _ in 0..3 {
        let ends = ends_beside_one_without(&scene, &late);
        let limit = ends["without"] + Duration::from_secs(2);
        late.retain(|pod| ends[text(&pod["metadata"]["name"]).as_str()] >= limit);
        if late.is_empty() {
            return;
        }
    }
    panic!("these are late three times: {late:#?}");
}

/// Creates pods and one without grafts, `without`, and tells how long it takes to delete them, of which two seconds are
/// the app's own.
fn ends_beside_one_without(scene: &Scene, pods: &[Value]) -> BTreeMap<String, Duration> {
    let mut pods = [pods, &[pod("without", &json!({}), IDLE)]].concat();
    for pod in &mut pods {
        pod["spec"]["containers"][0]["command"][2] = IDLE.replace("exit 0", "sleep 2; exit 0").into();
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": pods}).to_string();
    // What examples download is served by a pod of this test.
    scene.apply(list.replace("https://example.com/site.tar.gz", "http://content/index.html"));
    scene.kubectl(&["wait", "pods", "--all", "--for=condition=Ready", "--timeout=2m"]);
    // All at the same time, so that the node is as busy for one as for the other.
    thread::scope(|scope| {
        let ends = scope.spawn(|| ends(&scene.namespace, pods.len()));
        scene.kubectl(&["delete", "pods", "--selector=app!=content", "--wait=false"]);
        ends.join().expect("they end")
    })
}

/// How long it takes from now on until each of a namespace's pods is gone.
fn ends(namespace: &str, pods: usize) -> BTreeMap<String, Duration> {
    let start = Instant::now();
    let events = r#"jsonpath={.type} {.object.metadata.name}{"\n"}"#;
    let timeout = format!("--request-timeout={}s", PATIENCE.as_secs());
    let mut watch = Command::new("kubectl")
        .args(["get", "pods", "--watch", "--output-watch-events", "-o", events, "-n", namespace, &timeout])
        .stdout(Stdio::piped())
        .spawn()
        .expect("kubectl is installed");
    let lines = BufReader::new(watch.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let gone = lines.filter_map(|line| Some((line.strip_prefix("DELETED ")?.to_owned(), start.elapsed())));
    let ends: BTreeMap<_, _> = gone.take(pods).collect();
    let _ = watch.kill();
    let _ = watch.wait();
    assert_eq!(ends.len(), pods, "of {pods} pods only these are gone in time: {ends:#?}");
    ends
}

/// Pods as they are admitted, named as the template that each asks for; `change` is made to them before.
///
/// # Panics
///
/// If one is refused, or admitted without its graft, or if there is none.
fn grafted(scene: &Scene, templates: &[Value], change: impl Fn(&mut Value)) -> Vec<Value> {
    let mut pods: Vec<_> = templates.iter().map(asking).collect();
    pods.iter_mut().for_each(change);
    let pods = scene.dry_run(&pods).unwrap_or_else(|why| panic!("{why}"));
    assert!(!pods.is_empty(), "no template is asked for");
    for pod in &pods {
        assert!(pod["metadata"]["annotations"]["podgraft.dev/status"].is_string(), "it has no graft: {pod:#}");
    }
    pods
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

/// A pod that asks for a template as its examples show, and has what templates look for: a port, and a volume where
/// one must be there already.
fn asking(template: &Value) -> Value {
    let name = template["metadata"]["name"].as_str().expect("a name");
    let spec = &template["spec"];
    let mut annotations = json!({format!("inject/{name}"): "true"});
    for (parameter, declared) in spec["parameters"].as_object().into_iter().flatten() {
        let is_primary = spec["primaryParameter"] == *parameter;
        let key = if is_primary { format!("inject/{name}") } else { format!("inject/{name}.{parameter}") };
        // The primary one may be needed even if it has a default: a URL, say, that a command can take the place of.
        if let Some(example) = declared.get("example").filter(|_| is_primary || declared.get("default").is_none()) {
            annotations[key] = text(example).into();
        }
    }
    let mut pod = pod(name, &annotations, IDLE);
    let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
    for shared in spec["sharedVolumes"].as_array().into_iter().flatten().filter(|shared| shared.get("volume").is_none())
    {
        let path = shared["mountPath"].as_str().expect("a path");
        let parameter = path.strip_prefix("{{ params.").and_then(|rest| rest.strip_suffix(" }}"));
        let path = parameter.map_or(path.to_owned(), |parameter| {
            let declared = &spec["parameters"][parameter];
            text(declared.get("default").unwrap_or(&declared["example"]))
        });
        volumes.push(json!({"name": shared["name"], "emptyDir": {}}));
        mounts.push(json!({"name": shared["name"], "mountPath": path}));
    }
    pod["spec"]["volumes"] = volumes.into();
    let app = &mut pod["spec"]["containers"][0];
    app["volumeMounts"] = mounts.into();
    app["ports"] = json!([{"containerPort": 3000}]);
    pod
}

/// A parameter's value as it is written into an annotation.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
