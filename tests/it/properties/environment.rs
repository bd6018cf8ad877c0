//! `environment: target` on made-up pods: what the first target finds in its environment, the container finds too.

use podgraft::inject::request::PodRequest;
use podgraft::inject::{Outcome, inject};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::make::{self, Made};
use crate::promises;

/// The pod asks for `migrate` of `templates.yaml`, whatever else it asks for.
fn with_migrate(pod: &str) -> String {
    let mut pod: Value = serde_json::from_str(pod).unwrap();
    pod["metadata"]["annotations"]["inject/migrate"] = "true".into();
    pod.to_string()
}

proptest! {
    #![proptest_config(super::config())]

    /// Each variable and source of the target, as it is in force there, once and in its order; the container's own last.
    #[test]
    fn what_a_target_finds_is_handed_on(made in make::pod()) {
        let Made { pod, .. } = made;
        let pod = with_migrate(&pod);
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
                prop_assert_eq!(&list(&container["env"]), &variables(&target, &own["env"]));
                prop_assert_eq!(&list(&container["envFrom"]), &in_force(&[&target["envFrom"], &own["envFrom"]], Value::clone));
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
    in_force(&[&env, own], |variable| variable["name"].clone())
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// The items of these lists of which no later one has the same key.
fn in_force(lists: &[&Value], key: impl Fn(&Value) -> Value) -> Vec<Value> {
    let items: Vec<_> = lists.iter().flat_map(|items| list(items)).collect();
    let comes_again = |index: usize| items[index + 1..].iter().any(|later| key(later) == key(&items[index]));
    (0..items.len()).filter(|index| !comes_again(*index)).map(|index| items[index].clone()).collect()
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
                "env": [{"name": "LONG", "value": "x".repeat(200 * 1024)}],
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
            let [whose, most] = ["i2.migrate: ", "to copy into injected containers; at most 1048576 are allowed"];
            assert!(said[0].starts_with(whose) && said[0].ends_with(most), "{said:?}");
        }
        other => panic!("{other:?}"),
    }
}
