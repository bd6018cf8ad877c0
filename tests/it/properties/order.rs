//! Where injected containers stand among the init containers.

use podgraft::snapshot::{Lookup, Snapshot};
use podgraft::template::Order;
use proptest::prelude::*;
use serde_json::Value;

/// Before which an ordinary proxy's redirection nothing of ours may come late, and after which sidecars ours come.
const MESHES: [&str; 3] = ["istio-init", "istio-proxy", "linkerd-init"];

/// A graft, as `podgraft.dev/status` tells of it.
struct Made {
    template: String,
    order: Order,
    /// Those of its containers that are init containers: their positions.
    places: Vec<usize>,
}

/// Holds the order of a patched pod to what its templates say, and what is said in general.
pub fn check(before: &Value, after: &Value, snapshot: &Snapshot) -> Result<(), TestCaseError> {
    let list = |pod: &Value| pod["spec"]["initContainers"].as_array().cloned().unwrap_or_default();
    let (own, init) = (list(before), list(after));
    let place = |name: &Value| init.iter().position(|container| container["name"] == *name);
    let status = after["metadata"]["annotations"]["podgraft.dev/status"].as_str().unwrap();
    let status: Value = serde_json::from_str(status).unwrap();
    let made = status["grafts"].as_array().unwrap().iter().map(|graft| {
        let template = graft["template"].as_str().unwrap().to_owned();
        let Lookup::Found(found) = snapshot.templates.find("default", &template) else { panic!("{template}") };
        let containers = graft["containers"].as_array().into_iter().flatten();
        Made { order: found.order.clone(), places: containers.filter_map(place).collect(), template }
    });
    let made: Vec<_> = made.collect();

    for (index, one) in made.iter().enumerate() {
        let named = |name: &str| -> Vec<usize> {
            let grafts = made.iter().enumerate().filter(|(other, it)| *other != index && it.template == name);
            // Of containers that grafts bring, their template's name counts, not their own.
            let of_pod = own.iter().find(|it| it["name"] == name).and_then(|it| place(&it["name"]));
            grafts.flat_map(|(_, it)| it.places.iter().copied()).chain(of_pod).collect()
        };
        for ours in &one.places {
            for (earlier, later) in [(&one.order.after, true), (&one.order.before, false)] {
                for theirs in earlier.iter().flat_map(|name| named(name)) {
                    prop_assert!(if later { theirs < *ours } else { *ours < theirs }, "{}: {}", one.template, after);
                }
            }
        }
    }

    let says_nothing = made.iter().all(|it| it.order.before.is_empty() && it.order.after.is_empty());
    let all =
        || ["containers", "initContainers"].into_iter().filter_map(|list| before["spec"][list].as_array()).flatten();
    let in_mesh = all().any(|it| MESHES.iter().any(|mesh| it["name"] == *mesh));
    if says_nothing && !in_mesh {
        let ranks = init.iter().enumerate().map(|(index, container)| {
            if own.iter().any(|it| it["name"] == container["name"]) {
                return (2, "");
            }
            let template = made.iter().find(|it| it.places.contains(&index)).map_or("", |it| &it.template);
            (i32::from(container["restartPolicy"] != "Always"), template)
        });
        prop_assert!(ranks.is_sorted(), "{}", after);
    }
    Ok(())
}
