//! The engine's promises on made-up pods, annotations and sets of templates.

mod bytes;
mod conflicts;
mod environment;
pub mod make;
mod order;
pub mod sensitive;
pub mod templates;

use std::panic::catch_unwind;
use std::sync::Arc;

use podgraft::admission::{self, DecodeError};
use podgraft::inject::request::PodRequest;
use podgraft::inject::{Outcome, Renderings, inject, inject_with};
use podgraft::snapshot::{INJECT_LABEL, Namespace, Snapshot};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::promises;
use crate::webhook::review_of;
use make::Made;

/// The patch, if there is one.
fn patch(pod: &str, snapshot: &Snapshot) -> Option<String> {
    let request = PodRequest::create(pod, "default").unwrap_or_else(|error| panic!("{error}: {pod}"));
    match inject(&request, snapshot) {
        Outcome::Inject(plan) => Some(plan.patch()),
        Outcome::Skip(..) | Outcome::Reject(..) => None,
    }
}

/// 256 cases each; PROPTEST_CASES says otherwise.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, max_shrink_iters: 2_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// Promises 1, 2 and 5: additive, blind fields survive, sound.
    #[test]
    fn a_patch_only_adds_and_breaks_no_rule(made in make::pod()) {
        let Made { pod, snapshot } = made;
        if let Some(patch) = patch(&pod, &snapshot) {
            promises::keep(&pod, &patch);
        }
    }

    /// Promise 3: a second time there is nothing to add, also after another webhook was there.
    #[test]
    fn a_second_time_adds_nothing(made in make::pod(), change in make::change_of_another_webhook()) {
        let Made { pod, snapshot } = made;
        let Some(first) = patch(&pod, &snapshot) else { return Ok(()) };
        let mut patched: Value = serde_json::from_str(&pod).unwrap();
        promises::apply(&mut patched, &first);
        for step in ["at once", "after another webhook"] {
            let request = patched.to_string();
            let request = PodRequest::create(&request, "default").unwrap();
            match inject(&request, &snapshot) {
                Outcome::Skip(reason, _) => prop_assert_eq!(reason.label(), "already_done"),
                Outcome::Inject(plan) => prop_assert!(false, "{}: it adds {}", step, plan.patch()),
                Outcome::Reject(reasons, _) => prop_assert!(false, "{}: it rejects: {:?}", step, reasons),
            }
            change.apply(&mut patched);
        }
    }

    /// What was made for pods before makes no difference, whatever else this pod has.
    #[test]
    fn renderings_of_late_change_nothing(
        made in make::pod(),
        change in make::change_of_another_webhook(),
        again in make::change_of_another_webhook(),
    ) {
        let Made { pod, snapshot } = made;
        let renderings = Renderings::default();
        let mut pod: Value = serde_json::from_str(&pod).unwrap();
        for change in [None, Some(change), Some(again)] {
            if let Some(change) = change {
                change.apply(&mut pod);
            }
            let text = pod.to_string();
            let request = PodRequest::create(&text, "default").unwrap();
            let wanted = admission::encode("u", &inject(&request, &snapshot));
            for _ in 0..2 {
                let found = admission::encode("u", &inject_with(&request, &snapshot, &renderings));
                prop_assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(&wanted));
            }
        }
    }

    /// What another webhook takes away comes back, and then there is nothing to add.
    #[test]
    fn what_is_taken_away_comes_back(made in make::pod(), which in any::<Index>()) {
        let Made { pod, snapshot } = made;
        let Some(first) = patch(&pod, &snapshot) else { return Ok(()) };
        let mut patched: Value = serde_json::from_str(&pod).unwrap();
        promises::apply(&mut patched, &first);
        let status = patched["metadata"]["annotations"]["podgraft.dev/status"].as_str().unwrap();
        let status: Value = serde_json::from_str(status).unwrap();
        let grafts = status["grafts"].as_array().into_iter().flatten();
        let ours: Vec<_> = grafts.flat_map(|graft| graft["containers"].as_array().cloned().unwrap_or_default()).collect();
        if ours.is_empty() {
            return Ok(());
        }
        let gone = which.get(&ours);
        for field in ["containers", "initContainers"] {
            if let Some(containers) = patched["spec"][field].as_array_mut() {
                containers.retain(|container| container["name"] != *gone);
            }
        }
        let names = |pod: &Value| -> Vec<Value> {
            promises::containers(&pod["spec"]).into_iter().map(|(_, it)| it["name"].clone()).collect()
        };
        // A template may want it no more, now that the pod has more containers than before.
        let mut anew = patched.clone();
        anew["metadata"]["annotations"].as_object_mut().unwrap().remove("podgraft.dev/status");
        if let Some(patch) = patch(&anew.to_string(), &snapshot) {
            promises::apply(&mut anew, &patch);
        }
        prop_assume!(names(&anew).contains(gone));
        let without = patched.to_string();
        let Some(second) = patch(&without, &snapshot) else {
            let request = PodRequest::create(&without, "default").unwrap();
            panic!("{gone} stays away: {:?}", inject(&request, &snapshot));
        };
        let again = promises::keep(&without, &second);
        prop_assert!(names(&again).contains(gone), "{} comes back", gone);
        prop_assert_eq!(patch(&again.to_string(), &snapshot), None);
    }

    /// What only a namespace asks for denies no pod, whatever is wrong with it.
    #[test]
    fn a_namespace_alone_denies_no_pod(made in make::pod()) {
        let Made { pod, mut snapshot } = made;
        let mut pod: Value = serde_json::from_str(&pod).unwrap();
        let (ours, mut asked) = (format!("{}/", snapshot.policy.annotation_prefix), json!({}));
        if let Some(annotations) = pod["metadata"]["annotations"].as_object_mut() {
            for (key, value) in std::mem::take(annotations) {
                if key.contains(&ours) { asked[key] = value } else { annotations.insert(key, value); }
            }
        }
        let labels = json!({(INJECT_LABEL.0): INJECT_LABEL.1});
        let object = json!({"metadata": {"name": "default", "labels": labels, "annotations": asked}});
        snapshot.namespaces.insert(Namespace::from_object(object).unwrap());
        let pod = pod.to_string();
        if let Outcome::Reject(reasons, _) = inject(&PodRequest::create(&pod, "default").unwrap(), &snapshot) {
            prop_assert!(false, "{:?}", reasons);
        }
    }

    /// Promise 4: the same bytes, however the snapshot was put together, and in whatever order the annotations stand.
    #[test]
    fn the_same_pod_gets_the_same_bytes(made in make::pod()) {
        let Made { pod, snapshot } = made;
        let mut turned: Value = serde_json::from_str(&pod).unwrap();
        if let Some(annotations) = turned["metadata"]["annotations"].as_object_mut() {
            *annotations = std::mem::take(annotations).into_iter().rev().collect();
        }
        let mut other = Snapshot { policy: snapshot.policy.clone(), ..Snapshot::default() };
        let templates: Vec<_> = snapshot.templates.iter().map(Arc::clone).collect();
        templates.into_iter().rev().for_each(|template| other.templates.insert(template));
        snapshot.namespaces.get("default").cloned().into_iter().for_each(|namespace| other.namespaces.insert(namespace));
        let answer = |pod: &str, snapshot: &Snapshot| {
            let request = PodRequest::create(pod, "default").unwrap();
            String::from_utf8(admission::encode("u", &inject(&request, snapshot))).unwrap()
        };
        let answered = answer(&pod, &snapshot);
        prop_assert_eq!(&answered, &answer(&pod, &other));
        prop_assert_eq!(&answered, &answer(&turned.to_string(), &snapshot));
    }

    /// Templates' `order` is kept; by default sidecars come first, then init containers, each by template, then the pod's.
    #[test]
    fn containers_stand_in_their_order(made in make::pod()) {
        let Made { pod, snapshot } = made;
        let Some(first) = patch(&pod, &snapshot) else { return Ok(()) };
        let before: Value = serde_json::from_str(&pod).unwrap();
        let mut patched = before.clone();
        promises::apply(&mut patched, &first);
        order::check(&before, &patched, &snapshot)?;
    }

    /// A value is a value: whatever it is, it stands where it was put, and nothing else changes.
    #[test]
    fn a_value_changes_no_structure(value in any::<String>()) {
        let snapshot = make::all_templates();
        let pod = |value: &str| {
            json!({
                "metadata": {"annotations": {"inject/echo": "true", "inject/echo.value": value}},
                "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]},
            })
        };
        let patched = |value: &str| {
            let pod = pod(value).to_string();
            promises::keep(&pod, &patch(&pod, &snapshot).expect("every text is a value"))
        };
        let found = patched(&value);
        prop_assert_eq!(shape(&found), shape(&patched("value")));
        let container = &found["spec"]["initContainers"][0];
        let delivered = value.replace('$', "$$");
        prop_assert_eq!(&container["command"][1], &json!(delivered));
        prop_assert_eq!(&container["args"], &json!([format!("<{delivered}>")]));
        prop_assert_eq!(&container["env"][0]["value"], &json!(delivered));
        prop_assert_eq!(&found["metadata"]["annotations"]["example.com/value"], &json!(value));
    }

    /// Promise 6: a pod of which any part is something else gets an answer.
    #[test]
    fn any_pod_is_answered(made in make::pod(), spoilt in make::spoilt()) {
        let mut pod: Value = serde_json::from_str(&made.pod).unwrap();
        spoilt.apply(&mut pod);
        let review = review_of(&pod.to_string());
        prop_assert!(answers(review.as_bytes(), &made.snapshot), "{}", review);
    }
}

proptest! {
    // To load a template takes longer than to inject it.
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 40, ..config() })]

    /// Promises 1 to 5 hold for templates that were never loaded before.
    #[test]
    fn new_templates_keep_the_promises(made in make::pod_of_new_templates()) {
        let Made { pod, snapshot } = made;
        let Some(first) = patch(&pod, &snapshot) else { return Ok(()) };
        let patched = promises::keep(&pod, &first);
        prop_assert_eq!(patch(&pod, &snapshot), Some(first));
        prop_assert_eq!(patch(&patched.to_string(), &snapshot), None);
    }
}

/// What is made up is grafted often enough for the properties to say something, and refused now and then.
#[test]
fn made_up_pods_get_made_up_grafts() {
    let (grafted, refused) = count(300, make::pod());
    assert!(grafted >= 36 && refused >= 119, "{grafted} grafted, {refused} refused");
}

/// So it is where the templates are new.
#[test]
fn made_up_pods_get_new_grafts() {
    let (grafted, refused) = count(40, make::pod_of_new_templates());
    assert!(grafted >= 10 && refused >= 12, "{grafted} grafted, {refused} refused");
}

/// Of so many made-up pods, those that get grafts of made-up templates, and those that are refused.
fn count(many: usize, made: impl Strategy<Value = Made>) -> (usize, usize) {
    let mut runner = TestRunner::deterministic();
    let (mut grafted, mut refused) = (0, 0);
    for _ in 0..many {
        let Made { pod, snapshot } = made.new_tree(&mut runner).unwrap().current();
        match inject(&PodRequest::create(&pod, "default").unwrap(), &snapshot) {
            Outcome::Inject(plan) => {
                grafted += usize::from(plan.grafts.iter().any(|graft| templates::NAMES.contains(&graft.name.template)));
            }
            Outcome::Reject(..) => refused += 1,
            Outcome::Skip(..) => {}
        }
    }
    (grafted, refused)
}

/// Whether the bytes get an answer that is a review, or words.
fn answers(body: &[u8], snapshot: &Snapshot) -> bool {
    let answer = catch_unwind(|| match admission::decode(body) {
        Err(DecodeError::NotAReview(problem)) => !problem.is_empty(),
        Err(DecodeError::BadObject { uid, message }) => {
            let answer: Value = serde_json::from_slice(&admission::refuse(&uid, 400, &message)).unwrap();
            answer["response"]["allowed"] == false && !message.is_empty()
        }
        Ok(review) => {
            let answer = admission::encode(&review.uid, &inject(&review.request, snapshot));
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            answer["response"]["allowed"].is_boolean() && answer["response"]["uid"] == *review.uid
        }
    });
    answer.unwrap_or(false)
}

/// The JSON without its texts.
fn shape(value: &Value) -> Value {
    match value {
        Value::String(_) => Value::from(""),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        other => other.clone(),
    }
}
