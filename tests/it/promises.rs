//! The promises of the engine that any patched pod can be held to, without knowing what was asked for.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

/// Applies a patch of `add` operations.
pub fn apply(pod: &mut Value, patch: &str) {
    let operations: json_patch::Patch = serde_json::from_str(patch).unwrap();
    for operation in &operations.0 {
        assert!(matches!(operation, json_patch::PatchOperation::Add(_)), "only add: {operation}");
    }
    json_patch::patch(pod, &operations).unwrap_or_else(|error| panic!("the patch applies: {error}"));
}

/// Asserts that the patch is additive and sound, and gives the patched pod.
pub fn keep(pod: &str, patch: &str) -> Value {
    let before: Value = serde_json::from_str(pod).unwrap();
    let mut after = before.clone();
    apply(&mut after, patch);

    if let Err(lost) = contained(&before, &after, "") {
        panic!("the patch takes away or changes {lost}");
    }
    let (unknown, mut unknown_after) = (unknown_fields(&before), unknown_fields(&after));
    for field in &unknown {
        let stays = unknown_after.iter().position(|it| it == field).unwrap_or_else(|| panic!("{field} stays"));
        unknown_after.remove(stays);
    }
    unknown_after.retain(|field| !unknown.iter().any(|original| is_copy(field, original)));
    assert!(unknown_after.is_empty(), "unknown fields are added: {unknown_after:?}");
    let (wrong_before, wrong_after) = (problems(&before), problems(&after));
    let new: Vec<_> = wrong_after.difference(&wrong_before).collect();
    assert!(new.is_empty(), "the patch breaks core/v1 rules: {new:?}");
    after
}

/// Our own annotation: the one thing that may be overwritten.
const STATUS: &str = "/metadata/annotations/podgraft.dev~1status";

/// Whether `after` still has everything that `before` has: each member of a map, each item of a list in its order. A
/// `null` may become a list or a map, as it counts as absent. The error is the path of what is lost.
fn contained(before: &Value, after: &Value, path: &str) -> Result<(), String> {
    match (before, after) {
        (Value::Null, Value::Array(_) | Value::Object(_)) => Ok(()),
        (Value::Object(before), Value::Object(after)) => before.iter().try_for_each(|(key, value)| {
            let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
            match after.get(key) {
                _ if path == STATUS => Ok(()),
                Some(after) => contained(value, after, &path),
                None => Err(path),
            }
        }),
        (Value::Array(before), Value::Array(after)) => {
            // The earliest match leaves the most for the rest, so if any order-keeping assignment exists, this finds it.
            let mut rest = after.iter();
            before.iter().enumerate().try_for_each(|(index, item)| {
                let path = format!("{path}/{index}");
                if rest.any(|after| contained(item, after, &path).is_ok()) { Ok(()) } else { Err(path) }
            })
        }
        _ if before == after => Ok(()),
        _ => Err(path.to_owned()),
    }
}

/// The fields that core/v1 of the dependency does not know, without list positions, which the patch may shift.
fn unknown_fields(pod: &Value) -> Vec<String> {
    let mut unknown = Vec::new();
    let decoded: Result<Pod, _> = serde_ignored::deserialize(pod, |path| {
        let path = path.to_string();
        let names = path.split('.').filter(|name| *name != "?" && name.parse::<usize>().is_err());
        unknown.push(names.collect::<Vec<_>>().join("."));
    });
    decoded.unwrap_or_else(|error| panic!("the pod is core/v1: {error}"));
    unknown.sort();
    unknown
}

/// Whether it may be the same unknown field in another container's environment, which `environment: target` copies.
fn is_copy(field: &str, original: &str) -> bool {
    let in_entry = |field: &str| field.find(".env").map(|at| field[at..].to_owned());
    in_entry(field).is_some_and(|field| in_entry(original) == Some(field))
}

/// What core/v1 validation, or DESIGN 4, has against a pod, as far as a graft could cause it.
pub fn problems(pod: &Value) -> BTreeSet<String> {
    let mut problems = BTreeSet::new();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let spec = &pod["spec"];
    let volumes = list(&spec["volumes"]);
    let mut unique = Unique::default();
    for volume in &volumes {
        unique.add(format!("volume {}", text(&volume["name"])));
    }

    for (kind, container) in containers(spec) {
        let name = text(&container["name"]);
        unique.add(format!("container {name}"));
        if name.is_empty() || name.len() > 63 {
            problems.insert(format!("{kind} name {name:?}"));
        }
        let env = list(&container["env"]);
        for variable in &env {
            let variable = text(&variable["name"]);
            // core/v1 has nothing against it; but of two the earlier one comes to nothing, unless another refers to it.
            let refers = |it: &Value| text(&it["value"]).contains(&format!("$({variable})"));
            if !env.iter().any(refers) {
                unique.add(format!("variable {variable} in {name}"));
            }
        }
        for source in list(&container["envFrom"]) {
            unique.add(format!("source {source} in {name}"));
        }
        for mount in list(&container["volumeMounts"]) {
            let path = text(&mount["mountPath"]);
            unique.add(format!("mount path {} in {name}", clean(&path)));
            // Where neither has a name, they don't mean each other.
            if text(&mount["name"]).is_empty() || !volumes.iter().any(|volume| volume["name"] == mount["name"]) {
                problems.insert(format!("{name} mounts {}, which is no volume", mount["name"]));
            }
            // core/v1 lets a pod cover its own system directories; no graft may.
            let system = matches!(&*clean(&path), "" | "/proc" | "/sys" | "/dev");
            if system || path.contains(':') || path.split('/').any(|part| part == "..") {
                problems.insert(format!("{name} mounts at {path}"));
            }
        }
        for device in list(&container["volumeDevices"]) {
            unique.add(format!("mount path {} in {name}", clean(&text(&device["devicePath"]))));
        }
        let runs_on = kind == "container" || container["restartPolicy"] == "Always";
        for port in list(&container["ports"]) {
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            if runs_on {
                unique.add(format!("port {}/{protocol}", port["containerPort"]));
            }
            if let (true, Some(host_port @ 1..)) = (runs_on, port["hostPort"].as_i64()) {
                unique.add(format!("host port {host_port}/{protocol} on {:?}", text(&port["hostIP"])));
            }
            if let Some(port_name) = port["name"].as_str() {
                unique.add(format!("port name {port_name} in {name}"));
            }
        }
        if kind == "init container" && !runs_on {
            for field in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"] {
                if container.get(field).is_some_and(|value| !value.is_null()) {
                    problems.insert(format!("init container {name} has {field}"));
                }
            }
        }
        if container["image"].as_str().is_none_or(str::is_empty) {
            problems.insert(format!("{name} has no image"));
        }
    }
    problems.extend(unique.repeated);
    problems
}

/// A path without what makes no difference.
fn clean(path: &str) -> String {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).flat_map(|part| ["/", part]).collect()
}

/// Every container of a pod, with what it is.
pub fn containers(spec: &Value) -> Vec<(&'static str, &Value)> {
    [("init container", "initContainers"), ("container", "containers"), ("ephemeral container", "ephemeralContainers")]
        .into_iter()
        .flat_map(|(kind, field)| spec[field].as_array().into_iter().flatten().map(move |item| (kind, item)))
        .collect()
}

/// Things that may be there once.
#[derive(Default)]
struct Unique {
    seen: BTreeSet<String>,
    repeated: BTreeSet<String>,
}

impl Unique {
    fn add(&mut self, thing: String) {
        if let Some(thing) = self.seen.replace(thing) {
            self.repeated.insert(format!("{thing} twice"));
        }
    }
}

#[test]
fn what_is_taken_away_is_seen() {
    let before = json!({"a": 1, "list": [{"name": "x", "y": {"z": [1, 2]}}, {"name": "w"}], "none": null});
    let kept = json!({"list": [{"name": "new"}, {"y": {"z": [0, 1, 2]}, "name": "x", "more": 1}, {"name": "w"}], "none": [], "a": 1});
    assert_eq!(contained(&before, &kept, ""), Ok(()));
    for (path, after) in [
        ("/a", json!({"list": before["list"]})),
        ("/a", json!({"a": 2, "list": before["list"]})),
        ("/a", json!({"a": [1], "list": before["list"]})),
        ("/none", json!({"a": 1, "list": before["list"]})),
        ("/none", json!({"a": 1, "list": before["list"], "none": 1})),
        ("/list/1", json!({"a": 1, "list": [{"name": "w"}, {"name": "x", "y": {"z": [1, 2]}}]})),
        ("/list/0", json!({"a": 1, "list": [{"name": "x", "y": {"z": [2, 1]}}, {"name": "w"}]})),
    ] {
        assert_eq!(contained(&before, &after, ""), Err(path.to_owned()), "{after}");
    }
}

#[test]
fn what_core_v1_refuses_is_seen() {
    let container = |name: &str| {
        json!({
            "name": name,
            "image": "a",
            "volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "w", "mountPath": "/a/"}],
            "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
            "ports": [{"containerPort": 1, "hostPort": 2}],
            "lifecycle": {},
        })
    };
    let mounts = ["/", "/proc/.", "//sys/", "/dev", "/../b", "/a:b", "/dev/shm", "/data"];
    let mounts = mounts.map(|path| json!({"name": "v", "mountPath": path}));
    let pod = json!({"spec": {
        "initContainers": [container("i"), {"name": "m", "image": "a", "volumeMounts": mounts}],
        "containers": [container("c"), container("c")],
        "volumes": [{"name": "v"}, {"name": "v"}],
    }});
    let wanted = [
        "c mounts \"w\", which is no volume",
        "container c twice",
        "host port 2/TCP on \"\" twice",
        "i mounts \"w\", which is no volume",
        "init container i has lifecycle",
        "m mounts at /",
        "m mounts at /../b",
        "m mounts at //sys/",
        "m mounts at /a:b",
        "m mounts at /dev",
        "m mounts at /proc/.",
        "mount path /a in c twice",
        "mount path /a in i twice",
        "port 1/TCP twice",
        "variable A in c twice",
        "variable A in i twice",
        "volume v twice",
    ];
    assert_eq!(problems(&pod), wanted.map(str::to_owned).into());
}
