//! Target containers: which of the pod's containers a graft is wired into.

use std::collections::{BTreeSet, HashSet};

use super::asked::Asked;
use super::key::{Key, Level};
use super::pod::{Container, Pod, Target};
use super::reason::{Known, Reason};
use super::status::Status;
use crate::nearest::Hints;
use crate::snapshot::Policy;
use crate::template::Targets;

/// The annotation that names the container which `kubectl logs` and `exec` take (Kubernetes' well-known annotations).
pub const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Containers that known injectors add as ordinary containers: never the app's own.
const FOREIGN: [&str; 14] = [
    "aws-otel-collector",
    "consul-dataplane",
    "daprd",
    "envoy-sidecar",
    "gke-gcsfuse-sidecar",
    "istio-proxy",
    "jaeger-agent",
    "kuma-sidecar",
    "linkerd-proxy",
    "nginx-mesh-sidecar",
    "opa-istio",
    "otc-container",
    "traffic-agent",
    "vault-agent",
];

/// The most containers that one graft is wired into.
pub const MAX_TARGETS: usize = 256;

/// The pod's containers that can be targets: `containers`, then `initContainers`.
fn all<'a>(pod: &'a Pod<'a>) -> impl Iterator<Item = Target<'a>> {
    let spec = pod.spec.as_ref();
    let list = |init: bool, containers: Option<&'a Vec<Container<'a>>>| {
        containers.into_iter().flatten().enumerate().map(move |(index, container)| Target { init, index, container })
    };
    list(false, spec.and_then(|spec| spec.containers.as_ref()))
        .chain(list(true, spec.and_then(|spec| spec.init_containers.as_ref())))
}

/// The pod's containers of these names, in pod order.
///
/// # Errors
///
/// The names that no container of the pod has.
pub fn named<'a>(
    pod: &'a Pod<'a>,
    key: &Key,
    names: &[String],
    hints: &Hints,
) -> Result<Vec<Target<'a>>, Vec<(Level, Reason)>> {
    // Both lists may be long: the pod's is gone through once, however many names there are.
    let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let found: Vec<_> = all(pod).filter(|target| wanted.contains(target.name())).collect();
    let there: BTreeSet<&str> = found.iter().map(Target::name).collect();
    if there.len() == wanted.len() {
        return Ok(found);
    }
    let known = || all(pod).map(|target| target.name());
    let all_known = Known::new(known());
    let mistake = |name: &String| {
        let reason = Reason::UnknownTarget {
            key: key.clone(),
            container: name.clone(),
            nearest: hints.nearest(name, known()),
            known: all_known.clone(),
        };
        (key.level, reason)
    };
    Err(names.iter().filter(|name| !there.contains(name.as_str())).map(mistake).collect())
}

/// The targets of a graft, in pod order: those that the pod names, else those that a status recorded, else the template's.
/// Containers that grafts `made` are nobody's target unless they are named.
///
/// # Errors
///
/// A name that no container has; a pod without containers of its own.
pub fn find<'a>(
    pod: &'a Pod<'a>,
    asked: &Asked<'_>,
    status: &Status<'_>,
    made: &HashSet<&str>,
    policy: &Policy,
    hints: &Hints,
) -> Result<Vec<Target<'a>>, Vec<(Level, Reason)>> {
    let found = choose(pod, asked, status, made, policy, hints)?;
    if found.len() <= MAX_TARGETS {
        return Ok(found);
    }
    let (graft, what) = (asked.name.to_string(), "target containers");
    Err(vec![(Level::Pod, Reason::TooMuch { graft, what, found: found.len(), most: MAX_TARGETS })])
}

fn choose<'a>(
    pod: &'a Pod<'a>,
    asked: &Asked<'_>,
    status: &Status<'_>,
    made: &HashSet<&str>,
    policy: &Policy,
    hints: &Hints,
) -> Result<Vec<Target<'a>>, Vec<(Level, Reason)>> {
    if let Some((key, names)) = &asked.containers {
        return named(pod, key, names, hints);
    }
    // A container that came after us is no target: it would get wired only in a second call.
    if let Some(recorded) = status.graft(asked.name) {
        let names: HashSet<&str> = recorded.targets.iter().map(|name| &**name).collect();
        let found: Vec<_> = all(pod).filter(|target| names.contains(target.name())).collect();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let brought = || all(pod).filter(|target| !target.init && !made.contains(target.name()));
    let foreign = |name: &str| FOREIGN.contains(&name) || policy.foreign_containers.iter().any(|own| own == name);
    // A pod of nothing but such names brought them itself.
    let all_foreign = brought().all(|target| foreign(target.name()));
    let own = || brought().filter(|target| all_foreign || !foreign(target.name()));
    let found: Vec<_> = if asked.template.targets == Targets::First {
        let annotations = pod.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
        let preferred = annotations.and_then(|annotations| annotations.get(DEFAULT_CONTAINER));
        let preferred = preferred.and_then(|name| own().find(|target| target.name() == &**name));
        preferred.or_else(|| own().next()).into_iter().collect()
    } else {
        own().collect()
    };
    if found.is_empty() {
        return Err(vec![(Level::Pod, Reason::NoTarget { graft: asked.name.to_string() })]);
    }
    Ok(found)
}
