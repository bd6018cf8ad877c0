//! Where the pods of an object are.

use serde_json::{Map, Value};

/// The kinds that hold a pod template, with a version of their group, and where they hold it.
const TEMPLATES: &[(&str, &str, &str)] = &[
    ("apps/v1", "DaemonSet", "/spec/template"),
    ("apps/v1", "Deployment", "/spec/template"),
    ("apps/v1", "ReplicaSet", "/spec/template"),
    ("apps/v1", "StatefulSet", "/spec/template"),
    ("batch/v1", "CronJob", "/spec/jobTemplate/spec/template"),
    ("batch/v1", "Job", "/spec/template"),
    ("v1", "Pod", ""),
    ("v1", "PodTemplate", "/template"),
    ("v1", "ReplicationController", "/spec/template"),
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
    TEMPLATES.iter().any(|(of, name, template)| (group_of(of), *name) == (group, kind) && !template.is_empty())
}

/// The pods of a document, in its order.
pub fn find(document: &Value) -> Vec<Place> {
    objects(document)
        .into_iter()
        .filter_map(|Object { pointer, kind, value }| {
            let template =
                template(kind, value).filter(|template| value.pointer(template).is_some_and(Value::is_object))?;
            let namespace = value.pointer("/metadata/namespace").and_then(Value::as_str);
            let namespace = namespace.filter(|namespace| !namespace.is_empty()).map(str::to_owned);
            let subject = subject(kind, value);
            Some(Place { pointer: format!("{pointer}{template}"), object: pointer, subject, namespace })
        })
        .collect()
}

/// Where objects of this kind and API group hold their pod template.
pub fn template(kind: &str, object: &Value) -> Option<&'static str> {
    // Items of a typed list need not say their API group.
    let version = object.get("apiVersion").and_then(Value::as_str);
    let is_of = |group| version.is_none_or(|version| group_of(version) == group);
    let found = TEMPLATES.iter().find(|(of, name, _)| *name == kind && is_of(group_of(of)));
    found.map(|(_, _, template)| *template)
}

/// The API version of a kind that holds a pod template.
pub fn version(kind: &str) -> Option<&'static str> {
    TEMPLATES.iter().find(|(_, name, _)| *name == kind).map(|(version, _, _)| *version)
}

fn group_of(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

/// An object of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Object<'v> {
    /// JSON Pointer to it.
    pub pointer: String,
    /// Its kind; items of a typed list (`PodList`) need not say theirs.
    pub kind: &'v str,
    /// The object.
    pub value: &'v Value,
}

/// A document's objects: itself, or the items of a list.
pub fn objects(document: &Value) -> Vec<Object<'_>> {
    let mut objects = Vec::new();
    walk(document, String::new(), "", &mut objects);
    objects
}

fn walk<'v>(value: &'v Value, pointer: String, listed: &'v str, objects: &mut Vec<Object<'v>>) {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or(listed);
    match (kind.strip_suffix("List"), value.get("items").and_then(Value::as_array)) {
        (Some(listed), Some(items)) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, format!("{pointer}/items/{index}"), listed, objects);
            }
        }
        _ => objects.push(Object { pointer, kind, value }),
    }
}

/// A document's objects: itself, or those of a list. The items of a typed list (`PodList`) need not say what they are.
pub fn items(mut object: Value) -> Vec<Value> {
    let text = |key| object.get(key).and_then(Value::as_str).map(str::to_owned);
    let (kind, api_version) = (text("kind").unwrap_or_default(), text("apiVersion"));
    let (Some(listed), Some(Value::Array(items))) = (kind.strip_suffix("List"), object.get_mut("items")) else {
        return vec![object];
    };
    let mut items = std::mem::take(items);
    for item in items.iter_mut().filter_map(Value::as_object_mut).filter(|_| !listed.is_empty()) {
        item.entry("kind").or_insert_with(|| listed.into());
        if let Some(version) = &api_version {
            item.entry("apiVersion").or_insert_with(|| version.as_str().into());
        }
    }
    items.into_iter().flat_map(self::items).collect()
}

/// The Namespaces in a document: itself, or items of a list.
pub fn namespaces(document: &Value) -> Vec<Object<'_>> {
    let core = |object: &Value| object.get("apiVersion").is_none_or(|version| version == "v1");
    objects(document).into_iter().filter(|object| object.kind == "Namespace" && core(object.value)).collect()
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
