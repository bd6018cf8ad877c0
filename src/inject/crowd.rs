//! Pods of more containers, volumes and entries of their lists than any that runs. They are counted where they stand in the
//! text: an entry that is read takes some hundred times the memory of the shortest that can be written.

use serde::Deserialize;

use super::pod::{ENTRY, Pod};
use crate::json::{Json, Node, Unreadable};

/// The most volumes, containers and entries of their lists that a pod with grafts may have. Each graft looks at all of
/// them; pods that run have some hundred.
pub const MAX_ENTRIES: usize = 16 * 1024;

/// A text of more values is counted before it is read. It takes some ten MiB to read as many.
const MAX_UNCOUNTED: usize = 64 * 1024;

/// How many entries the pod at this path of a text has, if they are too many to be read.
#[must_use]
pub fn of(json: &Json<'_>, path: &[&str]) -> Option<usize> {
    if json.values() <= MAX_UNCOUNTED {
        return None;
    }
    let entries = counted(json.root(), path);
    (entries > MAX_ENTRIES).then_some(entries)
}

fn counted(node: Node<'_, '_>, path: &[&str]) -> usize {
    match path {
        [] => all(node, &["spec"]).map(count).sum(),
        [name, rest @ ..] => all(node, &[name]).map(|node| counted(node, rest)).sum(),
    }
}

fn count(spec: Node<'_, '_>) -> usize {
    let lists = ["volumes", "ephemeralContainers", "imagePullSecrets", "hostAliases"];
    let containers = all(spec, &["initContainers", "containers"]).flat_map(Node::items);
    let each = containers.map(|container| {
        let read: usize = all(container, &["volumeMounts"]).map(Node::len).sum();
        let lazy = all(container, &["env", "envFrom", "ports", "volumeDevices"]);
        1 + read + lazy.map(|list| list.text().len()).sum::<usize>() / ENTRY
    });
    all(spec, &lists).map(Node::len).sum::<usize>() + each.sum::<usize>()
}

/// The members of these names, also of those that stand twice, which a reader finds only when it has read the first.
fn all<'t, 'a>(map: Node<'t, 'a>, names: &[&str]) -> impl Iterator<Item = Node<'t, 'a>> {
    map.members().filter(|(key, _)| key.string().is_some_and(|key| names.contains(&&*key))).map(|(_, value)| value)
}

/// A pod of so many entries, of which its metadata alone are read.
///
/// # Errors
///
/// The metadata can't be read.
pub fn outline<'a>(pod: Node<'_, 'a>, entries: usize) -> Result<Pod<'a>, Unreadable> {
    let metadata = pod.get("metadata").map(Option::deserialize).transpose();
    let metadata = metadata.map_err(|error| error.seen_from("metadata"))?.flatten();
    Ok(Pod { metadata, crowd: Some(entries), ..Pod::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject::request::PodRequest;

    #[test]
    fn what_is_counted_in_the_text_is_what_would_be_read() {
        let pod = r#"{"spec": {
            "volumes": [{"name": "a"}, {"name": "b"}], "ephemeralContainers": [{}], "hostAliases": [{}], "imagePullSecrets": [{}],
            "initContainers": [{"volumeMounts": [{}, {}, {}]}], "dnsConfig": {"nameservers": ["1.1.1.1"]}, "containers": [
                {"env": [{"name": "A", "value": "a very long value that is told by its text"}], "ports": null},
                {"volumeDevices": [{"name": "d", "devicePath": "/dev/d"}], "envFrom": [{"prefix": "p"}], "args": ["x"]}
            ]}}"#;
        let request = PodRequest::create(pod, "").unwrap();
        let read = request.pod.spec.as_ref().unwrap().entries();
        assert_eq!(count(request.object().unwrap().get("spec").unwrap()), read);
        assert_eq!(read, 2 + 1 + 1 + 1 + (1 + 3) + (1 + 2) + (1 + 1));
    }

    #[test]
    fn what_is_wrong_with_metadata_says_where() {
        let json = Json::read(r#"{"metadata": {"labels": {"a": []}}}"#).unwrap();
        let problem = outline(json.root(), 1).unwrap_err().to_string();
        assert_eq!(problem, "metadata.labels.a: invalid type: sequence, expected a string");
    }

    #[test]
    fn what_stands_twice_counts_twice() {
        let spec = r#"{"containers": [{}, {}], "containers": [], "\u0063ontainers": [{}]}"#;
        let twice = format!(r#"{{"a": {{"spec": {spec}}}, "a": {{"spec": {spec}}}, "b": {{"spec": {spec}}}}}"#);
        assert_eq!(counted(Json::read(&twice).unwrap().root(), &["a"]), 6);
    }
}
