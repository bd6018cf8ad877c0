//! What the parts of a template make of a pod's own words.

use serde_json::{Value, json};

use crate::inject::request::PodRequest;
use crate::inject::tests::snapshot;
use crate::inject::{Outcome, inject};

/// Why a pod with this spec does not get this template, if it does not.
fn refused(template: &Value, spec: &Value) -> Vec<String> {
    let mut snapshot = snapshot(&[("t", template)]);
    snapshot.policy.native_sidecars = false;
    let pod = json!({"metadata": {"annotations": {"inject/t": "true"}}, "spec": spec}).to_string();
    let request = PodRequest::create(&pod, "default").unwrap();
    let Outcome::Reject(reasons, _) = inject(&request, &snapshot) else { return Vec::new() };
    // As data: what a sentence leaves out is held in memory all the same.
    reasons.iter().map(|reason| format!("{reason:?}")).collect()
}

#[test]
fn little_is_told_of_a_pod_that_says_much() {
    let long = "x".repeat(1_000_000);
    let path = json!({"name": "logs", "mountPath": "/logs", "volume": {"emptyDir": {}}});
    let shares = json!({"targets": "all", "sharedVolumes": [path]});
    let mounts = json!({"volumes": [{"name": "v", "emptyDir": {}}], "target": {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}});
    let computes = json!({
        "sharedVolumes": [path],
        "sidecars": [{"name": "s", "image": "s", "volumeMounts": [{"name": "logs", "mountPath": "/s", "subPathExpr": "s"}]}],
    });
    let sidecar = json!({"sidecars": [{"name": "s", "image": "s"}]});
    let variable = json!({"target": {"env": [{"name": "A", "value": "a"}]}});
    let app = |members: Value| {
        let mut app = json!({"name": "app", "image": "a"});
        app.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        app
    };
    let mount = |name: &str, path: &str, sub_path: &str| {
        app(json!({"volumeMounts": [{"name": name, "mountPath": path, "subPath": sub_path}]}))
    };
    let other = json!({"name": "other", "image": "a", "volumeMounts": [{"name": "v", "mountPath": "/logs"}]});
    for (what, template, spec) in [
        ("an operating system", &variable, json!({"os": {"name": long}, "containers": [app(json!({}))]})),
        (
            "a node's operating system",
            &variable,
            json!({"nodeSelector": {"kubernetes.io/os": long}, "containers": [app(json!({}))]}),
        ),
        ("a restart policy", &sidecar, json!({"restartPolicy": long, "containers": [app(json!({}))]})),
        ("a sub path", &shares, json!({"containers": [mount("v", "/logs", &long), other]})),
        ("another's sub path", &shares, json!({"containers": [other, mount("v", "/logs", &long)]})),
        ("a volume", &shares, json!({"containers": [mount(&long, "/logs", ""), other]})),
        (
            "a sub path beside one that is computed",
            &computes,
            json!({"containers": [mount("v", "/logs", &long[..4000])]}),
        ),
        ("a volume at a path", &mounts, json!({"containers": [mount(&long, "/v", "")]})),
        (
            "a device of the same volume",
            &mounts,
            json!({
                "containers": [app(json!({"volumeDevices": [{"name": "t-v", "devicePath": format!("/{}", &long[..400_000])}]}))],
                "volumes": [{"name": "t-v", "emptyDir": {}}],
            }),
        ),
    ] {
        let reasons = refused(template, &spec);
        assert!(!reasons.is_empty(), "{what}");
        for reason in reasons {
            assert!(reason.len() < 1000, "{what}: {} bytes: {reason:.300}", reason.len());
        }
    }
}

/// A graft that is refused for what it adds has not added all of it first.
#[test]
fn a_long_sub_path_is_mounted_no_more_often_than_there_is_room_for() {
    const LONG: usize = 1_000_000;
    let logs = json!({"name": "logs", "mountPath": "/logs", "volume": {"emptyDir": {}}});
    let mounts = |containers: usize, mounts: usize| {
        let each = (0..mounts).map(|it| json!({"name": "logs", "mountPath": format!("/m{it}")}));
        let each: Vec<_> = each.collect();
        let sidecars = (0..containers).map(|it| json!({"name": format!("s{it}"), "image": "s", "volumeMounts": each}));
        json!({"sharedVolumes": [logs], "sidecars": sidecars.collect::<Vec<_>>()})
    };
    let app_mounts = json!([{"name": "v", "mountPath": "/logs", "subPath": "x".repeat(LONG)}]);
    for (what, template, others) in [
        ("other targets", json!({"targets": "all", "sharedVolumes": [logs]}), 255),
        ("mounts of a container", mounts(1, 50), 0),
        ("containers", mounts(50, 1), 0),
    ] {
        let app = json!({"name": "app", "image": "a", "volumeMounts": app_mounts});
        let others = (0..others).map(|it| json!({"name": format!("c{it}"), "image": "a"}));
        let spec = json!({"containers": std::iter::once(app).chain(others).collect::<Vec<_>>()});
        let reasons = refused(&template, &spec);
        let [reason] = &reasons[..] else { panic!("{what}: {reasons:?}") };
        let found = reason.split_once("found: ").and_then(|(_, rest)| rest.split_once(',')?.0.parse().ok());
        let found: usize = found.unwrap_or_else(|| panic!("{what}: {reason}"));
        assert!(reason.contains("bytes of additions") && found < 4 * LONG, "{what}: {reason}");
    }
}
