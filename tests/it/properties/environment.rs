//! `environment: target` on made-up pods: what the first target finds in its environment, the container finds too.

use std::collections::BTreeMap;

use podgraft::inject::request::PodRequest;
use podgraft::inject::{Outcome, inject};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::make::{self, Made};
use crate::promises;

/// The pod asks for `migrate` of `templates.yaml`, whatever else it asks for, and its containers have more variables.
fn with_migrate(pod: &str, more: &[(&str, &str)]) -> String {
    let mut pod: Value = serde_json::from_str(pod).unwrap();
    pod["metadata"]["annotations"]["inject/migrate"] = "true".into();
    for container in pod["spec"]["containers"].as_array_mut().unwrap() {
        let more = more.iter().map(|(name, value)| json!({"name": name, "value": value}));
        container["env"] = list(&container["env"]).into_iter().chain(more).collect();
    }
    pod.to_string()
}

/// Variables that refer to each other, and that come again.
fn more() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    vec((select(vec!["A", "B", "HOME"]), select(vec!["1", "2", "$(A)", "$(B)/x", "$(HOME):$(A)"])), 0..6)
}

proptest! {
    #![proptest_config(super::config())]

    /// The variables have the values that they would have behind the target's; and each source of the target is there, once
    /// and in its order, the container's own last.
    #[test]
    fn what_a_target_finds_is_handed_on(made in make::pod(), more in more()) {
        let Made { pod, .. } = made;
        let pod = with_migrate(&pod, &more);
        let Some(patch) = super::patch(&pod, &make::all_templates()) else { return Ok(()) };
        let mut patched: Value = serde_json::from_str(&pod).unwrap();
        promises::apply(&mut patched, &patch);
        let find = |name: &Value| {
            let mut all = promises::containers(&patched["spec"]).into_iter().map(|(_, container)| container);
            all.find(|container| container["name"] == *name).unwrap().clone()
        };

        let status = patched["metadata"]["annotations"]["podgraft.dev/status"].as_str().unwrap();
        let status: Value = serde_json::from_str(status).unwrap();
        for graft in status["grafts"].as_array().unwrap().iter().filter(|graft| graft["template"] == "migrate") {
            let target = find(&graft["targets"][0]);
            let (watch, migrate) = (find(&graft["containers"][0]), find(&graft["containers"][1]));
            for (container, own) in [(watch, json!({})), (migrate, own_of_migrate())] {
                let wanted = variables(&target, &own["env"]);
                prop_assert_eq!(in_effect(&list(&container["env"])), in_effect(&wanted), "{}", container);
                prop_assert_eq!(&list(&container["envFrom"]), &in_force(&[&target["envFrom"], &own["envFrom"]]));
            }
        }
    }
}

/// What `migrate` says itself.
fn own_of_migrate() -> Value {
    json!({
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "MIGRATION", "value": "$(A)"}],
        "envFrom": [{"configMapRef": {"name": "migrate"}}],
    })
}

/// The variables of a target and a container's own, as they are to be in that container.
fn variables(target: &Value, own: &Value) -> Vec<Value> {
    let mut env = target["env"].clone();
    for variable in env.as_array_mut().into_iter().flatten() {
        if let Some(reference) = variable.pointer_mut("/valueFrom/resourceFieldRef") {
            reference["containerName"] = target["name"].clone();
        }
    }
    [list(&env), list(own)].concat()
}

/// What the kubelet makes of a list of variables: each as it is without its value, and that with `$(NAME)` replaced by
/// what came before. What is taken from elsewhere stands for itself.
fn in_effect(variables: &[Value]) -> BTreeMap<String, (Value, String)> {
    let mut found: BTreeMap<String, (Value, String)> = BTreeMap::new();
    for variable in variables {
        let from = variable["valueFrom"].as_object().map(|from| Value::from(from.clone()).to_string());
        let value = from.unwrap_or_else(|| expanded(variable["value"].as_str().unwrap_or_default(), &found));
        let mut rest = variable.clone();
        rest["value"] = Value::Null;
        found.insert(variable["name"].as_str().unwrap().to_owned(), (rest, value));
    }
    found
}

/// A value with what it refers to. What comes of that is not looked at again.
fn expanded(value: &str, found: &BTreeMap<String, (Value, String)>) -> String {
    let Some((before, (name, behind))) = value.split_once("$(").and_then(|(a, b)| Some((a, b.split_once(')')?))) else {
        return value.to_owned();
    };
    let there = found.get(name).map_or_else(|| format!("$({name})"), |(_, there)| there.clone());
    format!("{before}{there}{}", expanded(behind, found))
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// The items of these lists that don't come again.
fn in_force(lists: &[&Value]) -> Vec<Value> {
    let items: Vec<_> = lists.iter().flat_map(|items| list(items)).collect();
    (0..items.len())
        .filter(|index| !items[index + 1..].contains(&items[*index]))
        .map(|index| items[index].clone())
        .collect()
}

/// However often a large environment is asked for, the answer stays within its bound, and says whose it was.
#[test]
fn what_is_handed_on_is_bounded() {
    let pod = |instances: usize| {
        let asked = (0..instances).map(|index| (format!("i{index}.inject/migrate"), json!("true")));
        json!({
            "metadata": {"annotations": asked.collect::<Value>()},
            "spec": {"containers": [{
                "name": "web",
                "image": "nginx:1.27",
                "env": [{"name": "LONG", "value": "x".repeat(50 * 1024)}],
            }]},
        })
        .to_string()
    };
    let snapshot = make::all_templates();
    // Two containers of each graft have it.
    let (fits, too_much) = (pod(2), pod(3));
    promises::keep(&fits, &super::patch(&fits, &snapshot).expect("it fits"));
    match inject(&PodRequest::create(&too_much, "default").unwrap(), &snapshot) {
        Outcome::Reject(reasons, _) => {
            let said: Vec<_> = reasons.iter().map(ToString::to_string).collect();
            assert_eq!((reasons[0].label(), said.len()), ("too_much", 1));
            let [whose, most] = ["i2.migrate: ", "to copy into injected containers; at most 262144 are allowed"];
            assert!(said[0].starts_with(whose) && said[0].ends_with(most), "{said:?}");
        }
        other => panic!("{other:?}"),
    }
}
