//! How much annotations may ask for.

use serde_json::{Value, json};

use super::MAX_GRAFTS;
use crate::inject::request::PodRequest;
use crate::inject::tests::snapshot;
use crate::inject::{Outcome, Renderings, inject, inject_with};
use crate::snapshot::{Namespace, Snapshot};

/// What a pod with so many containers and these annotations is told: what denies it, and what it is warned of.
fn told(snapshot: &Snapshot, containers: usize, annotations: &Value) -> (Vec<String>, Vec<String>) {
    let containers: Vec<_> = (0..containers).map(|it| json!({"name": format!("c{it}"), "image": "a"})).collect();
    let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": containers}}).to_string();
    let request = PodRequest::create(&pod, "default").unwrap();
    let (reasons, warnings) = match inject(&request, snapshot) {
        Outcome::Reject(reasons, warnings) => (reasons, warnings),
        Outcome::Skip(_, warnings) => (Vec::new(), warnings),
        Outcome::Inject(plan) => (Vec::new(), plan.warnings),
    };
    (reasons.iter().map(ToString::to_string).collect(), warnings.iter().map(ToString::to_string).collect())
}

/// So many instances of the template, each of which is asked for by a mistake, and is to be wired into containers that
/// are not there.
fn mistakes(instances: usize, prefix: &str) -> Vec<(String, String)> {
    let names: Vec<_> = (0..64).map(|it| format!("n{it}")).collect();
    let of_instance = |it: usize| {
        let key = format!("{prefix}{it}.inject/t");
        [(key.clone(), "yes".to_owned()), (key + ".containers", names.join(","))]
    };
    (0..instances).flat_map(of_instance).collect()
}

fn map(annotations: Vec<(String, String)>) -> Value {
    annotations.into_iter().map(|(key, value)| (key, json!(value))).collect()
}

#[test]
fn grafts_are_counted_before_their_mistakes_are_looked_for() {
    let snapshot = snapshot(&[("t", &json!({"target": {"env": [{"name": "A", "value": "a"}]}}))]);
    let (reasons, _) = told(&snapshot, 16_000, &map(mistakes(640, "i")));
    assert_eq!(reasons, ["the pod would get 640 grafts; at most 64 are allowed"]);
    let (reasons, _) = told(&snapshot, 16_000, &map(mistakes(MAX_GRAFTS, "i")));
    assert_eq!(reasons.len(), MAX_GRAFTS * 65);
}

#[test]
fn what_the_namespace_alone_asks_for_is_left_out_first() {
    let mut snapshot = snapshot(&[("t", &json!({"target": {"env": [{"name": "A", "value": "a"}]}}))]);
    let (name, defaults) = ("default".to_owned(), mistakes(10, "n"));
    snapshot.namespaces.insert(Namespace { name, defaults, pod_security: None, object: Value::Null });
    let said = "left out: the pod would get 70 grafts; at most 64 are allowed";
    let (reasons, warnings) = told(&snapshot, 1, &map(mistakes(60, "i")));
    assert_eq!((reasons.len(), warnings), (60 * 65, vec![said.to_owned()]));
    let well: Value = (0..60).map(|it| (format!("i{it}.inject/t"), json!("true"))).collect();
    assert_eq!(told(&snapshot, 1, &well), (Vec::new(), vec![said.to_owned()]));
    let (reasons, warnings) = told(&snapshot, 1, &map(mistakes(65, "i")));
    assert_eq!(reasons, ["the pod would get 75 grafts; at most 64 are allowed"]);
    assert!(warnings.is_empty(), "{warnings:?}");
}

/// However many instances they are spread over, and whether or not the first ones were rendered before.
#[test]
fn all_values_of_a_request_cost_no_more_than_a_bound() {
    let spec = json!({
        "parameters": {"text": {"type": "string", "pattern": "(?:a?){4500}", "default": ""}},
        "primaryParameter": "text",
        "target": {"env": [{"name": "A", "value": "a"}]},
    });
    let snapshot = snapshot(&[("t", &spec)]);
    let renderings = Renderings::default();
    let value = "b".repeat(1500);
    for (instances, fits) in [(5, true), (60, false), (5, true), (60, false)] {
        let asked: Value = (0..instances).map(|it| (format!("i{it:02}.inject/t"), json!(value))).collect();
        let containers = json!([{"name": "app", "image": "a"}]);
        let pod = json!({"metadata": {"annotations": asked}, "spec": {"containers": containers}}).to_string();
        let request = PodRequest::create(&pod, "default").unwrap();
        let [fresh, kept] = [inject(&request, &snapshot), inject_with(&request, &snapshot, &renderings)].map(|it| {
            let Outcome::Reject(reasons, _) = it else { return Vec::new() };
            reasons.iter().map(ToString::to_string).collect::<Vec<_>>()
        });
        assert_eq!(fresh, kept);
        assert_eq!(fresh.is_empty(), fits, "{fresh:?}");
        assert!(fresh.iter().all(|it| it.contains("take more than 1000000 steps together")), "{fresh:?}");
    }
}
