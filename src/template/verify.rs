//! What expressions have made for a pod, held to the rules that [`super::check`] holds templates to. Each answer is the
//! list of what is wrong.

use k8s_openapi::api::core::v1;
use serde::de::DeserializeOwned;

use super::check::{self, Broken};
use super::decode;
use super::diagnostic::Place;
use super::rendered::{Basis, Rendered};

/// No file holds what is looked at here.
static NOWHERE: Place = Place { line: 0, column: 0, range: 0..0 };

/// A container.
pub(crate) fn container(json: &str) -> Vec<String> {
    wrong::<v1::Container>(json, |container| {
        let mut wrong = shown(&check::rules_not_wired(container));
        let mut names: Vec<_> =
            check::select(container, "ports[].name").into_iter().filter_map(Rendered::text).collect();
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
        wrong.extend(twice.map(|pair| format!("ports[].name: two ports are named {:?}", pair[0])));
        wrong
    })
}

/// What `target` adds to one of a container's lists.
pub(crate) fn target(field: &str, json: &str) -> Vec<String> {
    wrong::<v1::Container>(&format!("{{\"{field}\":{json}}}"), |container| shown(&check::rules_not_wired(container)))
}

/// A volume.
pub(crate) fn volume(json: &str) -> Vec<String> {
    wrong::<v1::Volume>(json, |volume| shown(&check::volume_rules(volume, &NOWHERE)))
}

/// An entry of `hostAliases`.
pub(crate) fn host_alias(json: &str) -> Vec<String> {
    wrong::<v1::HostAlias>(json, |alias| shown(&check::alias_rules(alias)))
}

fn wrong<T: DeserializeOwned>(json: &str, rules: impl FnOnce(&Rendered<'_>) -> Vec<String>) -> Vec<String> {
    let value = match serde_json::from_str(json) {
        Ok(value) => value,
        Err(error) => return vec![error.to_string()],
    };
    let rendered = Rendered::from_json(value, &NOWHERE, Basis::Constant, false);
    match decode::mismatch::<T>(&rendered) {
        Some(mismatch) => vec![mismatch],
        None => rules(&rendered),
    }
}

fn shown(broken: &[Broken<'_>]) -> Vec<String> {
    broken.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_core_v1_takes_for_something_else_is_told_with_its_place() {
        assert_eq!(container(r#"{"name":"a","image":"b","env":[{"name":"X","value":"y"}]}"#), [""; 0]);
        assert_eq!(
            container(r#"{"name":"a","image":"b","env":[{"name":"X","value":5}]}"#),
            ["env[0].value: this must be text, and it is the number 5"]
        );
        assert_eq!(volume("[]"), ["this must be a map (Volume), and it is a list"]);
    }

    #[test]
    fn a_path_of_the_node_is_held_to_the_rules_of_core_v1() {
        let host_path = |source: &str| volume(&format!(r#"{{"name":"v","hostPath":{source}}}"#));
        assert_eq!(host_path(r#"{"path":"/a/..b","type":"File"}"#), [""; 0]);
        let none = "none of DirectoryOrCreate, Directory, FileOrCreate, File, Socket, CharDevice, BlockDevice";
        assert_eq!(
            host_path(r#"{"path":"/a/../b","type":"Dir"}"#),
            [
                "hostPath.path: `/a/../b` must be a path without `..`".to_owned(),
                format!("hostPath.type: `Dir` is {none}")
            ]
        );
    }
}
