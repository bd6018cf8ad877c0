//! What expressions have made for a pod, held to the rules that [`super::check`] holds templates to. Each answer is the
//! list of what is wrong.

use k8s_openapi::api::core::v1;
use serde::de::DeserializeOwned;

use super::check::{self, Broken};
use super::trial::{Basis, Rendered};
use super::yaml::Place;

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

/// A volume.
pub(crate) fn volume(json: &str) -> Vec<String> {
    wrong::<v1::Volume>(json, |volume| shown(&check::volume_rules(volume)))
}

/// An entry of `hostAliases`.
pub(crate) fn host_alias(json: &str) -> Vec<String> {
    wrong::<v1::HostAlias>(json, |alias| shown(&check::alias_rules(alias)))
}

fn wrong<T: DeserializeOwned>(json: &str, rules: impl FnOnce(&Rendered<'_>) -> Vec<String>) -> Vec<String> {
    match serde_json::from_str::<T>(json).and_then(|_| serde_json::from_str(json)) {
        Ok(value) => rules(&Rendered::from_json(value, &NOWHERE, Basis::Constant)),
        Err(error) => vec![error.to_string()],
    }
}

fn shown(broken: &[Broken<'_>]) -> Vec<String> {
    broken.iter().map(ToString::to_string).collect()
}
