//! Files of Namespace objects, as `kubectl get namespaces -o yaml` writes them.

use std::path::Path;

use serde_json::Value;

use crate::snapshot::Namespace;

use super::report::Problem;
use super::shelf::Parsed;

/// The namespaces of a file: several documents, and lists of objects. Objects of other kinds are passed over, but a
/// file without any namespace is a mistake.
pub(super) fn parse(path: &Path, text: &str) -> Result<Parsed<Namespace>, Problem> {
    let problem = |problem: String| Problem::Namespaces { path: path.to_owned(), problem };
    // An annotation's unquoted `yes` is text to Kubernetes' reader of today.
    let options = serde_saphyr::options! { strict_booleans: true };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| problem(error.without_snippet().to_string()))?;
    let mut items = Vec::new();
    let mut other = 0;
    for object in documents.into_iter().flat_map(objects) {
        if object.get("kind").is_none_or(|kind| kind != "Namespace") {
            other += 1;
            continue;
        }
        let namespace =
            Namespace::from_object(object).ok_or_else(|| problem("a Namespace has no metadata.name".to_owned()))?;
        items.push(namespace);
    }
    if items.is_empty() && other > 0 {
        return Err(problem(format!("none of its {other} objects is a Namespace (apiVersion: v1, kind: Namespace)")));
    }
    Ok(Parsed { items, notes: Vec::new() })
}

/// A document's objects: the items of a list, else itself.
fn objects(document: Value) -> Vec<Value> {
    match document {
        Value::Object(mut list) if list.get("kind").is_some_and(|kind| kind == "List" || kind == "NamespaceList") => {
            match list.remove("items") {
                Some(Value::Array(mut items)) => {
                    // The items of a typed list carry no kind of their own.
                    if list.get("kind").is_some_and(|kind| kind == "NamespaceList") {
                        for item in items.iter_mut().filter_map(Value::as_object_mut) {
                            item.entry("kind").or_insert_with(|| "Namespace".into());
                        }
                    }
                    items
                }
                _ => Vec::new(),
            }
        }
        other => vec![other],
    }
}
