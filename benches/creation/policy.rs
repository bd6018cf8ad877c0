//! A MutatingAdmissionPolicy that makes podgraft's own graft: what an administrator would write in CEL instead of installing
//! it. Its values are constants, which is less work than reading them from annotations, and it is not reinvoked. It says
//! what to add by operations: in an ApplyConfiguration, a container can't have a `command` or `args`.

use serde_json::{Value, json};

/// A policy that does what this patch does, and its binding to a namespace.
pub fn policy(namespace: &str, patch: &[Value]) -> [Value; 2] {
    let grafts = patch.iter().filter(|change| !text(&change["path"]).starts_with("/metadata/"));
    let operations: Vec<_> = grafts.map(operation).collect();
    let expression = format!("[{}]", operations.join(", "));
    let mutation = json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}});
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]});
    let asks = "has(object.metadata.annotations) && 'inject/log-shipper' in object.metadata.annotations";
    let here = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
    let object = |kind: &str, spec: Value| {
        let metadata = json!({"name": namespace});
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec})
    };
    [
        object(
            "MutatingAdmissionPolicy",
            json!({
                "matchConstraints": {"resourceRules": [rule]},
                "matchConditions": [{"name": "asks", "expression": asks}],
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "mutations": [mutation],
            }),
        ),
        object(
            "MutatingAdmissionPolicyBinding",
            json!({"policyName": namespace, "matchResources": {"namespaceSelector": here}}),
        ),
    ]
}

/// An operation in CEL.
fn operation(change: &Value) -> String {
    let path = text(&change["path"]);
    let fields = path.split('/').filter(|part| !part.is_empty() && *part != "-" && part.parse::<usize>().is_err());
    let kind = fields.fold("Object".to_owned(), |kind, field| kind + "." + field);
    format!("JSONPatch{{op: 'add', path: '{path}', value: {}}}", literal(&kind, &change["value"]))
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
