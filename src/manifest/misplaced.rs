//! Annotations of ours that stand where nobody reads them: the mistake that fails without a word.

use serde_json::Value;

use super::Place;
use crate::inject::annotations;

/// Whether the pod at a place has annotations of ours.
pub fn asks(document: &Value, place: &Place, prefix: &str) -> bool {
    keys(document, &format!("{}/metadata/annotations", place.pointer), prefix).next().is_some()
}

/// Annotations of ours on what is at a pointer that are no text, which Kubernetes refuses: the quotes are missing.
pub fn unquoted(document: &Value, pointer: &str, prefix: &str) -> Vec<String> {
    let annotations = format!("{pointer}/metadata/annotations");
    let value = |key: &str| document.pointer(&annotations)?.get(key);
    keys(document, &annotations, prefix)
        .filter_map(|key| Some((key, value(key).filter(|value| !value.is_string())?)))
        .map(|(key, value)| {
            format!("annotation {key} is {value} and no text, which Kubernetes refuses; put it in quotes")
        })
        .collect()
}

/// What is said about keys of ours on an object, or as labels, instead of on the pod's annotations.
pub fn around(document: &Value, place: &Place, prefix: &str) -> Vec<String> {
    let template = place.pointer.strip_prefix(&place.object).unwrap_or_default();
    let right = format!("{template}/metadata/annotations");
    let wanted: Vec<_> = keys(document, &format!("{}{right}", place.object), prefix).collect();
    let levels = template.match_indices('/').map(|(end, _)| &template[..end]).chain([template]);
    let wrong = levels.flat_map(|level| {
        let annotations = (level != template).then(|| (format!("{level}/metadata/annotations"), "annotation"));
        annotations.into_iter().chain([(format!("{level}/metadata/labels"), "label")])
    });
    wrong
        .flat_map(|(pointer, what)| {
            let (at, right) = (dotted(&pointer), dotted(&right));
            keys(document, &format!("{}{pointer}", place.object), prefix)
                .filter(|key| !wanted.contains(key))
                .map(move |key| format!("{what} {key} of {at} is not read; move it to {right}"))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Where an object of a kind that holds no pods that we know of has annotations of ours on something that it holds.
pub fn within(object: &Value, prefix: &str) -> Option<String> {
    let mut below = vec![(String::new(), object)];
    while let Some((path, value)) = below.pop() {
        match value {
            Value::Object(members) => {
                let pointer = "/metadata/annotations";
                if !path.is_empty() && keys(value, pointer, prefix).next().is_some() {
                    return Some(dotted(&(path + pointer)));
                }
                below.extend(members.iter().map(|(name, member)| (format!("{path}/{name}"), member)));
            }
            Value::Array(items) => {
                below.extend(items.iter().enumerate().map(|(index, item)| (format!("{path}[{index}]"), item)));
            }
            _ => {}
        }
    }
    None
}

/// The keys of ours in the map at a pointer.
fn keys<'v>(document: &'v Value, pointer: &str, prefix: &str) -> impl Iterator<Item = &'v str> {
    let keys = document.pointer(pointer).and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key.as_str());
    keys.filter(move |key| annotations::is_ours(prefix, key))
}

/// A pointer to an item of a list of lists as people write it: `items[1].items[0]`.
pub fn indexed(pointer: &str) -> String {
    let step = |step: &str| {
        if step.starts_with(|c: char| c.is_ascii_digit()) { format!("[{step}]") } else { format!(".{step}") }
    };
    pointer.split('/').skip(1).map(step).collect::<String>().trim_start_matches('.').to_owned()
}

/// A pointer as people write it.
pub fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}
