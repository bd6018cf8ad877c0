//! Rejections of grafts that clash: each names both sides, as the person who reads it has to change one of them.

use std::collections::{BTreeMap, BTreeSet};

use podgraft::inject::outcome::{Reason, Warning};
use podgraft::inject::request::PodRequest;
use podgraft::inject::{Outcome, inject};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use super::make::{self, Made};
use crate::promises;

/// Why the pod is denied, or goes in without some graft.
fn reasons(made: &Made) -> Vec<Reason> {
    let request = PodRequest::create(&made.pod, "default").unwrap();
    let (mut reasons, warnings) = match inject(&request, &made.snapshot) {
        Outcome::Inject(plan) => (Vec::new(), plan.warnings),
        Outcome::Skip(_, warnings) => (Vec::new(), warnings),
        Outcome::Reject(reasons, warnings) => (reasons, warnings),
    };
    reasons.extend(warnings.into_iter().filter_map(|warning| match warning {
        Warning::LeftOut(reason) | Warning::GaveWay { reason, .. } => Some(*reason),
        _ => None,
    }));
    reasons
}

/// The names of what can clash.
struct Names {
    grafts: BTreeSet<String>,
    containers: BTreeSet<String>,
    volumes: BTreeSet<String>,
}

impl Names {
    fn of(made: &Made) -> Self {
        let pod: Value = serde_json::from_str(&made.pod).unwrap();
        let namespace = made.snapshot.namespaces.get("default");
        let of_namespace = namespace.iter().flat_map(|it| &it.defaults).map(|(key, _)| key.clone());
        let of_pod = pod["metadata"]["annotations"].as_object().into_iter().flatten().map(|(key, _)| key.clone());
        let graft = |key: String| {
            let (instance, template) = key.split_once("inject/")?;
            Some(format!("{instance}{}", template.split('.').next()?))
        };
        let name = |it: &Value| it["name"].as_str().unwrap().to_owned();
        Self {
            grafts: of_namespace.chain(of_pod).filter_map(graft).collect(),
            containers: promises::containers(&pod["spec"]).into_iter().map(|(_, it)| name(it)).collect(),
            volumes: pod["spec"]["volumes"].as_array().into_iter().flatten().map(name).collect(),
        }
    }

    /// What a clash is between: the graft, and something else that is there; `None` for what is no clash.
    fn sides<'r>(&self, reason: &'r Reason) -> Option<(&'r str, Option<&'r str>)> {
        let of_pod = |name: &'r str| self.containers.contains(name).then_some(name);
        let of_graft = |text: &'r str| text.rsplit(' ').next().filter(|name| self.grafts.contains(*name));
        let other = |graft: &str, other: &'r str| Some(other).filter(|it| *it != graft && self.grafts.contains(*it));
        // A volume that a graft makes has a name that tells whose it is.
        let volume = |text: &'r str| {
            let made = |name: &str| self.grafts.iter().any(|graft| name.contains(graft.rsplit('.').next().unwrap()));
            text.split(' ').find(|word| self.volumes.contains(*word) || made(word))
        };
        Some(match reason {
            Reason::ContainerName { graft, container, by } => {
                (graft, if by == "a container of the pod" { of_pod(container) } else { of_graft(by) })
            }
            Reason::Port { graft, by, .. } if by.ends_with(" of the pod") => {
                (graft, by.split('"').nth(1).and_then(of_pod))
            }
            Reason::Port { graft, by, .. } => (graft, of_graft(by)),
            Reason::VolumeName { graft, volume } => (graft, self.volumes.get(volume).map(|_| &**volume)),
            Reason::MountPath { graft, by, .. } => (graft, volume(by)),
            Reason::Variable { graft, other: it, .. } | Reason::PodField { graft, other: it, .. } => {
                (graft, other(graft, it))
            }
            Reason::SharedVolumes { graft, first, second, .. } => {
                (graft, of_pod(first).and_then(|first| of_pod(second).filter(|second| *second != first)))
            }
            Reason::SharedReadOnly { graft, by, .. } => {
                (graft, by.split('"').nth(1).and_then(of_pod).or_else(|| volume(by)))
            }
            Reason::SharedSubPathExpr { graft, container, .. } => (graft, of_pod(container)),
            _ => return None,
        })
    }
}

proptest! {
    #![proptest_config(super::config())]

    /// Promise 5: a rejection that names both sides.
    #[test]
    fn who_clashes_is_named(made in make::pod()) {
        let names = Names::of(&made);
        for reason in reasons(&made) {
            let Some((graft, other)) = names.sides(&reason) else { continue };
            let said = reason.to_string();
            let named = |name: &str| said.contains(name);
            prop_assert!(names.grafts.contains(graft) && named(graft) && other.is_some_and(named), "{}", said);
        }
    }
}

/// The property says nothing of clashes that are not made.
#[test]
fn enough_clashes() {
    let mut runner = TestRunner::deterministic();
    let mut labels = BTreeMap::<&str, usize>::new();
    for _ in 0..300 {
        let made = make::pod().new_tree(&mut runner).unwrap().current();
        let names = Names::of(&made);
        for reason in reasons(&made).iter().filter(|reason| names.sides(reason).is_some()) {
            *labels.entry(reason.label()).or_default() += 1;
        }
    }
    for (label, least) in [
        ("container_name", 8),
        ("different_values", 7),
        ("mount_path", 2),
        ("port", 24),
        ("shared_volume", 21),
        ("volume_name", 4),
    ] {
        assert!(labels.get(label).is_some_and(|many| *many >= least), "{label}: {labels:?}");
    }
}
