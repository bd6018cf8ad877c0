//! `deploy/install.yaml` from `kubectl apply` to `kubectl delete`: pods are created at every moment. The chart by Helm is
//! the same story once more.
//!
//! A story each, and one after the other, because what they install is there once in a cluster. Its registration is held
//! to namespaces of this run.

mod helm;
mod manifest;
mod stream;

use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use serde_json::json;

use crate::cluster::{kubectl, skipped};
use crate::manifests::{IDLE, pod};
use crate::podgraft::{NOT_IN_CLUSTER, Podgraft};
use crate::scene::{PATIENCE, Scene};

use manifest::{Manifest, NAMESPACE};
use stream::{Pods, Stream, during};

/// The issue's promise for an empty cluster: from `kubectl apply` to the first pod that is injected.
const FIRST: Duration = Duration::from_secs(30);

/// Where podgraft is to be installed, by nobody else meanwhile; `None`, which is said, where it can't be.
fn scene(test: &str) -> Option<(MutexGuard<'static, ()>, Scene)> {
    static ALONE: Mutex<()> = Mutex::new(());
    if env::var_os("PODGRAFT_NODE_SERVER").is_some_and(|place| place != "cluster") {
        skipped(test, NOT_IN_CLUSTER);
        return None;
    }
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let scene = Scene::set_for(test, |run| Podgraft::installed(run, NAMESPACE))?;
    let there =
        scene.kubectl(&["get", "mutatingwebhookconfiguration", "zz-podgraft", "--ignore-not-found", "-o", "name"]);
    assert_eq!(there, "", "podgraft is installed in this cluster already, and this test would uninstall it");
    Some((alone, scene))
}

#[test]
fn pods_are_created_at_every_moment_from_apply_to_delete() {
    let Some((_alone, scene)) = scene("install") else { return };
    let manifest = Manifest::read(&scene);

    let first = installs(&scene, &manifest);
    works(&scene);
    let idle = memory();
    let rolled = rolls(&scene);
    let crashed = survives_a_crash(&scene);
    let without_secret = survives_the_loss_of_its_secret(&scene);
    let (healed, distrusted) = is_trusted_again(&scene);
    takes_templates(&scene);
    let busy = memory();
    uninstalls(&scene, &manifest);
    say(&format!(
        "installed: first pod injected {:.1} s after apply; rollout: {rolled}; crash: {crashed}; Secret deleted: \
         {without_secret}; caBundle cleared: {distrusted}, back after {:.2} s; memory: {idle} idle, {busy} at the end",
        first.as_secs_f64(),
        healed.as_secs_f64(),
    ));
}

/// Numbers are not judged here, but printed.
fn say(numbers: &str) {
    let _ = io::stderr().write_all(format!("{numbers}\n").as_bytes());
}

impl Stream {
    /// Every pod was made, and with the log shipper.
    fn assert_injected(&self, when: &str) {
        assert_eq!(self.refused, [""; 0], "of {} {when}", self.asked);
        assert_eq!(self.injected, self.asked, "{when}");
    }
}

impl Display for Stream {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { asked, refused, window, .. } = self;
        write!(f, "{asked} creations, {} refused", refused.len())?;
        if refused.is_empty() { Ok(()) } else { write!(f, " within {:.2} s", window.as_secs_f64()) }
    }
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
    stream.assert_injected("during the rollout");
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
    let Stream { asked, injected, refused, .. } = &stream;
    assert!(refused.len() * 10 < *asked, "{} of {asked} refused: {refused:#?}", refused.len());
    assert_eq!(injected + refused.len(), *asked, "none goes in without");
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
    stream.assert_injected("without the Secret");
    stream
}

/// Somebody clears `caBundle`. While it is empty the API server trusts nobody, and refuses who asks; that is over in a
/// moment. Gives the longer time that one of both took.
fn is_trusted_again(scene: &Scene) -> (Duration, Stream) {
    let (healed, stream) = during(scene, &Pods::asking(), || {
        let healed = [("mutatingwebhookconfiguration/zz-podgraft", 2), ("validatingwebhookconfiguration/podgraft", 4)]
            .map(|(registration, entries)| {
                let remove =
                    |entry| json!({"op": "remove", "path": format!("/webhooks/{entry}/clientConfig/caBundle")});
                let clear = json!((0..entries).map(remove).collect::<Vec<_>>()).to_string();
                scene.kubectl(&["patch", registration, "--type=json", "-p", &clear]);
                let start = Instant::now();
                while scene.get(registration, "{.webhooks[*].clientConfig.caBundle}").split(' ').count() < entries {
                    assert!(start.elapsed() < PATIENCE, "{registration} stays cleared\n{}", scene.podgraft().picture());
                }
                start.elapsed()
            });
        // The API server acts upon it a moment after it has stored it.
        thread::sleep(Duration::from_secs(1));
        healed
    });
    let ((), after) = during(scene, &Pods::asking(), || thread::sleep(Duration::from_secs(3)));
    after.assert_injected("with caBundle again");
    (healed.into_iter().max().unwrap_or_default(), stream)
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
