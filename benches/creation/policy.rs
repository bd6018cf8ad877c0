//! MutatingAdmissionPolicies that make podgraft's own graft: what an administrator would write in CEL instead of
//! installing it. They say what to add by operations: in an ApplyConfiguration, a container can't have a `command` or
//! `args`.
//!
//! One is of constants, for a single pod: the least that any policy costs, and of no use in a cluster. The others graft
//! whatever pod asks, as log-shipper does by default, and are evaluated again where somebody has changed the pod since, as
//! podgraft is called again.

use ::podgraft::snapshot::INJECT_LABEL;
use serde_json::{Value, json};

/// A policy of this `spec`, and its binding to a namespace.
pub fn policy(namespace: &str, mut spec: Value) -> [Value; 2] {
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]});
    spec["matchConstraints"]["resourceRules"] = json!([rule]);
    spec["failurePolicy"] = "Fail".into();
    let here = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
    let object = |kind: &str, spec: Value| {
        let metadata = json!({"name": namespace});
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec})
    };
    [
        object("MutatingAdmissionPolicy", spec),
        object(
            "MutatingAdmissionPolicyBinding",
            json!({"policyName": namespace, "matchResources": {"namespaceSelector": here}}),
        ),
    ]
}

/// Does what this patch does, to a pod that it fits.
pub fn for_this_pod(patch: &[Value]) -> Value {
    let grafts = patch.iter().filter(|change| !text(&change["path"]).starts_with("/metadata/"));
    let operations: Vec<_> = grafts.map(operation).collect();
    json!({
        "matchConditions": [{
            "name": "asks",
            "expression": "has(object.metadata.annotations) && 'inject/log-shipper' in object.metadata.annotations",
        }],
        "mutations": [mutation(&format!("[{}]", operations.join(", ")))],
        "reinvocationPolicy": "Never",
    })
}

/// Does it to any pod that asks for log-shipper, with `true` or a directory. What does not depend on the pod is taken
/// from a patch for one that names `directory` and runs as `user`.
pub fn for_any_pod(patch: &[Value], directory: &str, user: u32) -> Value {
    // Without the lists that it makes where there are none.
    let added = |list: &'static str| {
        let there = patch.iter().filter(move |change| text(&change["path"]).starts_with(list));
        there.map(|change| &change["value"]).filter(|value| value.is_object())
    };
    let volumes: Vec<_> = added("/spec/volumes/").map(|volume| literal("Object.spec.volumes", volume)).collect();
    let appended = volumes.iter().map(|volume| add("'/spec/volumes/-'", volume)).collect::<Vec<_>>().join(", ");
    let volumes = add("'/spec/volumes'", &format!("[{}]", volumes.join(", ")));

    let mount = added("/spec/containers/").map(|mount| literal("Object.spec.containers.volumeMounts", mount));
    let mount = mount.collect::<String>().replace(&format!("{directory:?}"), "variables.directory");
    let first_mount = add("variables.mounts", &format!("[{mount}]"));
    let mount = add("variables.mounts + '/-'", &mount);

    let sidecar = added("/spec/initContainers/").map(|sidecar| literal("Object.spec.initContainers", sidecar));
    let sidecar = sidecar
        .collect::<String>()
        .replace(&format!("\"/logs{directory}\""), "'/logs' + variables.directory")
        .replace(&format!("{directory:?}"), "variables.directory")
        .replace(&format!("runAsUser: {user}"), "runAsUser: variables.user > 0 ? variables.user : 65532")
        .replace(&format!("runAsGroup: {user}"), "runAsGroup: variables.group > 0 ? variables.group : 65532");
    // A variable can't hold an `Object`, so the long literal stands in one place with the list made before it.
    let sidecar = add("'/spec/initContainers/0'", &sidecar);
    let list = add("'/spec/initContainers'", "[]");

    let grafts = format!(
        "(has(object.spec.volumes) ? [{appended}] : [{volumes}]) + \
         (!has(variables.container.volumeMounts) ? [{first_mount}] : \
         variables.container.volumeMounts.exists(it, it.mountPath == variables.directory) ? [] : [{mount}]) + \
         (has(object.spec.initContainers) ? [] : [{list}]) + [{sidecar}]"
    );
    let asked = "object.metadata.annotations['inject/log-shipper']";
    let preferred = "object.metadata.annotations['kubectl.kubernetes.io/default-container']";
    json!({
        "matchConditions": [{
            "name": "asks",
            "expression": format!(
                "has(object.metadata.annotations) && 'inject/log-shipper' in object.metadata.annotations && \
                 ({asked} == 'true' || {asked}.startsWith('/'))"
            ),
        }, {
            "name": "is-not-done",
            "expression": "!has(object.spec.volumes) || !object.spec.volumes.exists(it, it.name == 'log-shipper-logs')",
        }],
        "variables": [{
            "name": "directory",
            "expression": format!("{asked} == 'true' ? '/var/log/app' : {asked}"),
        }, {
            // Its index. As podgraft does, serve the container that is kubectl's, or else the first.
            "name": "target",
            "expression": format!(
                "'kubectl.kubernetes.io/default-container' in object.metadata.annotations && \
                 object.spec.containers.exists(it, it.name == {preferred}) ? \
                 object.spec.containers.map(it, it.name).indexOf({preferred}) : 0"
            ),
        }, {
            "name": "container",
            "expression": "object.spec.containers[variables.target]",
        }, {
            "name": "mounts",
            "expression": "'/spec/containers/' + string(variables.target) + '/volumeMounts'",
        }, {
            "name": "user",
            "expression": of_target("runAsUser"),
        }, {
            "name": "group",
            "expression": of_target("runAsGroup"),
        }],
        "mutations": [mutation(&grafts)],
        "reinvocationPolicy": "IfNeeded",
    })
}

/// The same for pods with [`INJECT_LABEL`]. What stood in conditions is asked where the operations are made: the API server
/// converts the pod once more for conditions.
pub fn for_any_labelled_pod(patch: &[Value], directory: &str, user: u32) -> Value {
    let mut spec = for_any_pod(patch, directory, user);
    let conditions = spec["matchConditions"].take();
    let conditions = conditions.as_array().into_iter().flatten().map(|condition| text(&condition["expression"]));
    let conditions = conditions.map(|expression| format!("({expression})")).collect::<Vec<_>>().join(" && ");
    let grafts = text(&spec["mutations"][0]["jsonPatch"]["expression"]);
    spec["mutations"] = json!([mutation(&format!("{conditions} ? {grafts} : []"))]);
    spec["matchConstraints"] = json!({"objectSelector": {"matchLabels": {INJECT_LABEL.0: INJECT_LABEL.1}}});
    spec
}

/// What the target runs as, by its own word or the pod's; else 0, for which log-shipper has a user of its own.
fn of_target(field: &str) -> String {
    format!("variables.container.?securityContext.?{field}.or(object.spec.?securityContext.?{field}).orValue(0)")
}

fn mutation(expression: &str) -> Value {
    json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}})
}

/// An operation in CEL, of a path and a value in CEL.
fn add(path: &str, value: &str) -> String {
    format!("JSONPatch{{op: 'add', path: {path}, value: {value}}}")
}

/// A change as an operation in CEL.
fn operation(change: &Value) -> String {
    let path = text(&change["path"]);
    let fields = path.split('/').filter(|part| !part.is_empty() && *part != "-" && part.parse::<usize>().is_err());
    let kind = fields.fold("Object".to_owned(), |kind, field| kind + "." + field);
    add(&format!("'{path}'"), &literal(&kind, &change["value"]))
}

/// A value of a type as CEL writes it: objects by the name of their type, maps and all else as JSON does.
fn literal(kind: &str, value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let is_map = kind.ends_with(".requests") || kind.ends_with(".limits");
            let fields = fields.iter().map(|(name, value)| {
                let value = literal(&format!("{kind}.{name}"), value);
                if is_map { format!("'{name}': {value}") } else { format!("{name}: {value}") }
            });
            let fields = fields.collect::<Vec<_>>().join(", ");
            if is_map { format!("{{{fields}}}") } else { format!("{kind}{{{fields}}}") }
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| literal(kind, item)).collect();
            format!("[{}]", items.join(", "))
        }
        scalar => scalar.to_string(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
