//! Where the pods of an object are.

use serde_json::{Map, Value};

use crate::snapshot::Namespace;

/// The API groups and kinds that hold a pod template, and where they hold it.
const TEMPLATES: &[(&str, &str, &str)] = &[
    ("apps", "DaemonSet", "/spec/template"),
    ("apps", "Deployment", "/spec/template"),
    ("apps", "ReplicaSet", "/spec/template"),
    ("apps", "StatefulSet", "/spec/template"),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template"),
    ("batch", "Job", "/spec/template"),
    ("", "Pod", ""),
    ("", "PodTemplate", "/template"),
    ("", "ReplicationController", "/spec/template"),
];

/// A pod of a document: where it is and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// JSON Pointer to the object that holds it: empty, unless that is an item of a list.
    pub object: String,
    /// JSON Pointer to the pod or pod template; the object's own when that is the pod.
    pub pointer: String,
    /// Kind and name of the object that holds it, for messages: `Deployment/web`.
    pub subject: String,
    /// The object's `metadata.namespace`, if it says one.
    pub namespace: Option<String>,
}

impl Place {
    /// The way from the object to something in its pod, as people write it: `spec.template.spec.containers[0]`.
    #[must_use]
    pub fn path(&self, in_pod: &str) -> String {
        let template = self.pointer.strip_prefix(&self.object).unwrap_or_default();
        let template = template.trim_start_matches('/').replace('/', ".");
        if template.is_empty() { in_pod.to_owned() } else { format!("{template}.{in_pod}") }
    }

    /// The pod as JSON, as its controller would create it. Nothing that the template has no place for is added, so
    /// that a path in this pod, behind [`pointer`](Self::pointer), is its path in the document.
    #[must_use]
    pub fn pod(&self, document: &Value) -> String {
        let mut pod = Map::new();
        pod.insert("apiVersion".to_owned(), "v1".into());
        pod.insert("kind".to_owned(), "Pod".into());
        let members = document.pointer(&self.pointer).and_then(Value::as_object).into_iter().flatten();
        for (key, value) in members {
            pod.entry(key.as_str()).or_insert_with(|| value.clone());
        }
        Value::Object(pod).to_string()
    }
}

/// Whether objects of this kind hold a pod template.
pub fn holds_template(group: &str, kind: &str) -> bool {
    TEMPLATES.iter().any(|(of, name, template)| (*of, *name) == (group, kind) && !template.is_empty())
}

/// The pods of a document, in its order.
pub fn find(document: &Value) -> Vec<Place> {
    let mut places = Vec::new();
    walk(document, String::new(), "", &mut places);
    places
}

/// `listed` is the kind that an item of a typed list has without saying so (`PodList`), else empty.
fn walk(object: &Value, pointer: String, listed: &str, places: &mut Vec<Place>) {
    let text = |key| object.get(key).and_then(Value::as_str);
    let kind = text("kind").unwrap_or(listed);
    if let (Some(listed), Some(items)) = (kind.strip_suffix("List"), object.get("items").and_then(Value::as_array)) {
        for (index, item) in items.iter().enumerate() {
            walk(item, format!("{pointer}/items/{index}"), listed, places);
        }
        return;
    }
    let found = TEMPLATES.iter().find(|(group, name, _)| *name == kind && is_of(group, text("apiVersion")));
    let Some((_, _, template)) = found else { return };
    let place = object.pointer(template).filter(|pod| pod.is_object());
    if place.is_some() {
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
        let namespace = namespace.filter(|namespace| !namespace.is_empty()).map(str::to_owned);
        let subject = subject(kind, object);
        places.push(Place { pointer: format!("{pointer}{template}"), object: pointer, subject, namespace });
    }
}

/// The Namespaces in a document: itself, or items of a list.
pub fn namespaces(document: &Value) -> Vec<Namespace> {
    let text = |key| document.get(key).and_then(Value::as_str);
    match (text("apiVersion"), text("kind"), document.get("items").and_then(Value::as_array)) {
        (Some("v1"), Some("Namespace"), _) => Namespace::from_object(document.clone()).into_iter().collect(),
        (Some("v1"), Some("List" | "NamespaceList"), Some(items)) => items.iter().flat_map(namespaces).collect(),
        _ => Vec::new(),
    }
}

/// Whether an object is of an API group. Items of a typed list need not say theirs.
fn is_of(group: &str, api_version: Option<&str>) -> bool {
    match api_version {
        None => true,
        Some(api_version) => api_version.rsplit_once('/').map_or("", |(group, _)| group) == group,
    }
}

/// Kind and name of an object.
pub fn subject(kind: &str, object: &Value) -> String {
    let name = |pointer| object.pointer(pointer).and_then(Value::as_str).filter(|name| !name.is_empty());
    let subject = match (name("/metadata/name"), name("/metadata/generateName")) {
        (Some(name), _) => format!("{kind}/{name}"),
        (None, Some(prefix)) => format!("{kind}/{prefix}*"),
        (None, None) => kind.to_owned(),
    };
    // It goes to a terminal, and nobody has checked it.
    subject.replace(char::is_control, "\u{fffd}")
}
