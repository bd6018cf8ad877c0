//! `spec.pod.labels` and `spec.pod.annotations`: the forms of keys and values, and the keys that templates can't set.

use super::check;
use super::diagnostic::Problems;
use super::names;
use super::rendered::{Basis, Rendered};

/// The domain of podgraft's own annotations.
const DOMAIN: &str = "podgraft.dev";

/// Checks labels.
pub(super) fn labels(labels: &Rendered<'_>, annotation_prefix: &str, problems: &mut Problems<'_>) {
    keys(labels, annotation_prefix, problems);
    for (.., value) in labels.members().iter().filter(|(.., value)| value.basis <= Basis::Declared) {
        if let Some(problem) = value.text().and_then(names::label_value) {
            check::report(value, value.place, &problem, problems);
        }
    }
}

/// Checks annotations, whose values are free but for a few that the API server reads.
pub(super) fn annotations(annotations: &Rendered<'_>, annotation_prefix: &str, problems: &mut Problems<'_>) {
    keys(annotations, annotation_prefix, problems);
    for (key, _, value) in annotations.members().iter().filter(|(.., value)| value.basis <= Basis::Declared) {
        if let Some(problem) = value.text().and_then(|text| names::annotation_value(key, text)) {
            check::report(value, value.place, &problem, problems);
        }
    }
}

fn keys(map: &Rendered<'_>, annotation_prefix: &str, problems: &mut Problems<'_>) {
    for (key, place, _) in map.members() {
        if let Some(problem) = names::qualified(key) {
            problems.error(place, problem);
        } else if is_reserved(key, annotation_prefix) {
            problems.error(place, format!("a template can't set `{key}`")).help(format!(
                "reserved: {annotation_prefix}/*, *.{annotation_prefix}/*, {DOMAIN}/*, pod-template-hash"
            ));
        } else if let Some(help) = instead(key) {
            problems.error(place, format!("a template can't set `{key}`")).help(help);
        }
    }
}

/// What to do instead of setting an annotation by which the API server refuses pods.
fn instead(key: &str) -> Option<&'static str> {
    let (domain, name) = key.split_once('/')?;
    Some(match (domain, name) {
        ("kubernetes.io", "config.mirror") => "remove it: kubelets mark the pods of their own manifests so",
        ("scheduler.alpha.kubernetes.io", "tolerations") => "remove it: what a pod tolerates, its spec says",
        ("container.apparmor.security.beta.kubernetes.io", _) => {
            "write `securityContext.appArmorProfile` in the container"
        }
        ("seccomp.security.alpha.kubernetes.io" | "container.seccomp.security.alpha.kubernetes.io", _) => {
            "write `securityContext.seccompProfile` in the container"
        }
        _ => return None,
    })
}

/// A key that asks podgraft for something, or by which podgraft or a workload's controller knows its pods.
fn is_reserved(key: &str, annotation_prefix: &str) -> bool {
    let within = |domain: &str, owner: &str| {
        domain.strip_suffix(owner).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    match key.split_once('/') {
        Some((domain, _)) => within(domain, annotation_prefix) || within(domain, DOMAIN),
        None => key == "pod-template-hash",
    }
}
