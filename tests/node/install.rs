//! `deploy/install.yaml` from `kubectl apply` to `kubectl delete`: pods are created at every moment.
//!
//! One story, because what it installs is there once in a cluster. Its registration is held to namespaces of this run.

mod manifest;

use std::io::{self, Write};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use serde_json::{Value, json};

use crate::cluster::{kubectl, skipped};
use crate::manifests::{IDLE, pod};
use crate::podgraft::{NOT_IN_CLUSTER, Podgraft};
use crate::scene::{PATIENCE, Scene};

use manifest::{Manifest, NAMESPACE};

/// The issue's promise for an empty cluster: from `kubectl apply` to the first pod that is injected.
const FIRST: Duration = Duration::from_secs(30);

#[test]
fn pods_are_created_at_every_moment_from_apply_to_delete() {
    if env::var_os("PODGRAFT_NODE_SERVER").is_some_and(|place| place != "cluster") {
        return skipped("install", NOT_IN_CLUSTER);
    }
    let Some(scene) = Scene::set_for("install", |run| Podgraft::installed(run, NAMESPACE)) else { return };
    let there =
        scene.kubectl(&["get", "mutatingwebhookconfiguration", "zz-podgraft", "--ignore-not-found", "-o", "name"]);
    assert_eq!(there, "", "podgraft is installed in this cluster already, and this test would uninstall it");
    let manifest = Manifest::read(&scene);

    let first = installs(&scene, &manifest);
    works(&scene);
    let rolled = rolls(&scene);
    let crashed = survives_a_crash(&scene);
    let without_secret = survives_the_loss_of_its_secret(&scene);
    let distrusted = is_trusted_again(&scene);
    takes_templates(&scene);
    let memory = memory();
    uninstalls(&scene, &manifest);
    let numbers = format!(
        "installed: first pod injected {:.1} s after apply; rollout: {} creations, {} refused; crash: {} creations, {} \
         refused; Secret deleted: {} creations, {} refused; caBundle cleared: {} creations, {} refused; memory: \
         {memory}\n",
        first.as_secs_f64(),
        rolled.asked,
        rolled.refused.len(),
        crashed.asked,
        crashed.refused.len(),
        without_secret.asked,
        without_secret.refused.len(),
        distrusted.asked,
        distrusted.refused.len(),
    );
    let _ = io::stderr().write_all(numbers.as_bytes());
}

/// Applies the manifest, and gives the time until a pod is injected. Pods that ask for nothing don't notice.
fn installs(scene: &Scene, manifest: &Manifest) -> Duration {
    let (first, others) = during(scene, &Pods::plain(), || {
        let start = Instant::now();
        manifest.apply();
        let asking = Pods::asking();
        while !asking.create(scene).is_ok_and(|made| made == asking.injected()) {
            assert!(start.elapsed() < PATIENCE, "no pod is injected\n{}", scene.podgraft().picture());
            thread::sleep(Duration::from_millis(100));
        }
        start.elapsed()
    });
    assert_eq!(others.refused, [""; 0], "of {} pods that ask for nothing", others.asked);
    assert!(first < FIRST, "{first:?}");
    in_namespace(&["rollout", "status", "deployment/podgraft", "--timeout=2m"]);
    assert_eq!(ready(), "2");
    // The manifest once more is an upgrade that changes nothing.
    let again = manifest.apply();
    assert!(again.lines().all(|line| line.ends_with(" unchanged") || line.ends_with(" configured")), "{again}");
    first
}

/// A pod that asks runs with what it asked for.
fn works(scene: &Scene) {
    scene.apply(pod("web", &json!({"inject/log-shipper": "true"}), &format!("echo hello >/var/log/app/a.log; {IDLE}")));
    scene.until_logged("web", "log-shipper", "hello");
}

/// Every pod is replaced under a constant stream of creations.
fn rolls(scene: &Scene) -> Stream {
    let before = replicas();
    let ((), stream) = during(scene, &Pods::asking(), || {
        in_namespace(&["rollout", "restart", "deployment/podgraft"]);
        in_namespace(&["rollout", "status", "deployment/podgraft", "--timeout=2m"]);
        for (name, _) in &before {
            in_namespace(&["wait", &format!("pod/{name}"), "--for=delete", "--timeout=2m"]);
        }
    });
    assert_eq!(stream.refused, [""; 0], "of {} during the rollout", stream.asked);
    stream
}

/// One replica is gone without a word. What it was asked at that moment is lost; soon nobody asks it any more.
fn survives_a_crash(scene: &Scene) -> Stream {
    let (name, uid) = replicas().swap_remove(0);
    let ((), stream) = during(scene, &Pods::asking(), || {
        if kill(&uid) {
            let restarts = "jsonpath={.status.containerStatuses[0].restartCount}";
            scene.until("a restart", || (in_namespace(&["get", "pod", &name, "-o", restarts]) == "1").then_some(()));
        } else {
            in_namespace(&["delete", "pod", &name, "--force", "--grace-period=0"]);
        }
        in_namespace(&["wait", "deployment/podgraft", "--for=condition=Available", "--timeout=2m"]);
        scene.until("two replicas", || (ready() == "2").then_some(()));
    });
    let asking = Pods::asking();
    assert_eq!(asking.create(scene).expect("pods"), asking.injected(), "after the crash");
    let Stream { asked, refused } = &stream;
    assert!(refused.len() * 10 < *asked, "{} of {asked} refused: {refused:#?}", refused.len());
    stream
}

/// The Secret with the certificate is made anew, and nobody notices.
fn survives_the_loss_of_its_secret(scene: &Scene) -> Stream {
    let ((), stream) = during(scene, &Pods::asking(), || {
        in_namespace(&["delete", "secret", "podgraft-tls"]);
        scene.until("a Secret", || {
            let certificate =
                ["get", "secret", "podgraft-tls", "--ignore-not-found", "-o", r"jsonpath={.data.tls\.crt}"];
            (!in_namespace(&certificate).is_empty()).then_some(())
        });
    });
    assert_eq!(stream.refused, [""; 0], "of {} without the Secret", stream.asked);
    stream
}

/// Somebody clears `caBundle`. Until it is back, which takes a moment, the API server trusts nobody.
fn is_trusted_again(scene: &Scene) -> Stream {
    let ((), stream) = during(scene, &Pods::asking(), || {
        for registration in ["mutatingwebhookconfiguration/zz-podgraft", "validatingwebhookconfiguration/podgraft"] {
            let clear = r#"[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]"#;
            scene.kubectl(&["patch", registration, "--type=json", "-p", clear]);
            let bundle = "{.webhooks[0].clientConfig.caBundle}";
            scene.until("a caBundle", || (!scene.get(registration, bundle).is_empty()).then_some(()));
        }
    });
    let asking = Pods::asking();
    assert_eq!(asking.create(scene).expect("pods"), asking.injected(), "with caBundle again");
    stream
}

/// A template is made, then changed, and pods get what it says; its status says that it is in force.
fn takes_templates(scene: &Scene) {
    for greeting in ["hello", "welcome"] {
        scene.apply(json!({
            "apiVersion": "podgraft.dev/v1alpha1",
            "kind": "ClusterInjectionTemplate",
            "metadata": {"name": "greeting"},
            "spec": {"description": "Greet.", "target": {"env": [{"name": "GREETING", "value": greeting}]}},
        }));
        scene.until("the template in force", || {
            let asking = pod("greeted", &json!({"inject/greeting": "true"}), IDLE);
            let made = scene.dry_run(&[asking]).ok()?;
            (made[0]["spec"]["containers"][0]["env"][0]["value"] == greeting).then_some(())
        });
        scene.wait("clusterinjectiontemplate/greeting", "condition=Ready");
    }
}

/// How many replicas are sent requests.
fn ready() -> String {
    in_namespace(&["get", "deployment", "podgraft", "-o", "jsonpath={.status.readyReplicas}"])
}

/// Deletes what was applied. Until the registration is gone pods are injected, and then left alone.
fn uninstalls(scene: &Scene, manifest: &Manifest) {
    let (_, stream) = during(scene, &Pods::asking(), || manifest.delete());
    assert_eq!(stream.refused, [""; 0], "of {} during the removal", stream.asked);
    let definitions = kubectl(&["get", "customresourcedefinitions", "-o", "name"], "").expect("a list");
    assert!(!definitions.contains(".podgraft.dev"), "{definitions}");
    assert_eq!(manifest.left(), "");
    assert_eq!(kubectl(&["get", "namespace", NAMESPACE, "--ignore-not-found"], "").expect("an answer"), "");
    // What was injected lives on.
    assert_eq!(scene.status("web"), "Running");
}

/// Runs kubectl in podgraft's own namespace.
fn in_namespace(args: &[&str]) -> String {
    kubectl(&[&["-n", NAMESPACE], args].concat(), "").unwrap_or_else(|why| panic!("{why}"))
}

/// Names and UIDs of podgraft's pods.
fn replicas() -> Vec<(String, String)> {
    let path = r#"jsonpath={range .items[*]}{.metadata.name} {.metadata.uid}{"\n"}{end}"#;
    let list = in_namespace(&["get", "pods", "-l", "app.kubernetes.io/name=podgraft", "-o", path]);
    list.lines().filter_map(|line| line.split_once(' ')).map(|(name, uid)| (name.to_owned(), uid.to_owned())).collect()
}

/// Kills the process of a pod, where the node's processes are this machine's as well. Its control group has the pod's UID.
fn kill(uid: &str) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ours = processes.filter(|process| {
        let read = |file: &str| fs::read_to_string(process.path().join(file)).unwrap_or_default();
        (read("cgroup").contains(uid) || read("cgroup").contains(&uid.replace('-', "_")))
            && read("comm").starts_with("podgraft")
    });
    let killed = ours.map(|process| Command::new("kill").arg("-KILL").arg(process.file_name()).status());
    killed.filter(|status| status.as_ref().is_ok_and(std::process::ExitStatus::success)).count() > 0
}

/// Resident memory of each replica.
fn memory() -> String {
    let resident = replicas().into_iter().map(|(name, _)| {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}:9090/proxy/metrics");
        let metrics = kubectl(&["get", "--raw", &path], "").unwrap_or_default();
        let bytes = metrics.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        bytes
            .and_then(|bytes| bytes.parse::<f64>().ok())
            .map_or("?".to_owned(), |bytes| format!("{:.1} MiB", bytes / 1_048_576.0))
    });
    resident.collect::<Vec<_>>().join(", ")
}

/// Pods to create, without keeping them.
struct Pods {
    list: String,
    count: usize,
}

impl Pods {
    fn asking() -> Self {
        Self::new(&json!({"inject/log-shipper": "true"}))
    }

    fn plain() -> Self {
        Self::new(&json!({}))
    }

    fn new(annotations: &Value) -> Self {
        let count = 20;
        let pods: Vec<Value> = (0..count).map(|number| pod(&format!("web-{number}"), annotations, IDLE)).collect();
        Self { list: json!({"apiVersion": "v1", "kind": "List", "items": pods}).to_string(), count }
    }

    /// What is printed when all of them are injected.
    fn injected(&self) -> String {
        "log-shipper\n".repeat(self.count)
    }

    /// Asks for one after the other, and goes on after a refusal.
    fn create(&self, scene: &Scene) -> Result<String, String> {
        let names = r#"jsonpath={.spec.initContainers[*].name}{"\n"}"#;
        kubectl(&["create", "-n", &scene.namespace, "--dry-run=server", "-f", "-", "-o", names], &self.list)
    }
}

/// What came of a stream of pods.
struct Stream {
    asked: usize,
    refused: Vec<String>,
}

/// Creates pods for as long as something else takes.
fn during<T: Send>(scene: &Scene, pods: &Pods, work: impl FnOnce() -> T + Send) -> (T, Stream) {
    let mut stream = Stream { asked: 0, refused: Vec::new() };
    let done = thread::scope(|scope| {
        let work = scope.spawn(work);
        while !work.is_finished() {
            stream.asked += pods.count;
            if let Err(why) = pods.create(scene) {
                stream.refused.extend(why.lines().filter(|line| line.starts_with("Error")).map(str::to_owned));
            }
        }
        work.join()
    });
    // A failed test's own words.
    (done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), stream)
}
