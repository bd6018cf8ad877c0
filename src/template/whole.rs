//! What can be wrong with a template though each of its parts is right: names that stand twice, mounts of no volume,
//! an order that can't be. Only what the file alone decides is held against it: entries with `when` or `forEach`, and
//! names that expressions make, may differ in a pod.

use std::collections::{HashMap, HashSet};

use crate::nearest::nearest;

use super::check::select;
use super::diagnostic::{Problems, shorten};
use super::fields::Fields;
use super::paths;
use super::rendered::{Basis, Parts, Rendered, Role};
use super::yaml::Tree;

/// Checks the parts of a template against each other.
pub(super) fn check(template: &str, spec: &Fields<'_>, parts: &Parts<'_>, problems: &mut Problems<'_>) {
    let containers = || parts.containers.iter().map(|(_, container)| container);
    unique("container", containers(), |container| name(container), problems);
    unique("volume", parts.shared_volumes.iter().chain(&parts.volumes), |volume| name(volume), problems);
    for container in containers().chain(&parts.target) {
        unique("variable", select(container, "env[]"), |variable| name(variable), problems);
        unique("port", select(container, "ports[]"), |port| name(port), problems);
    }
    for container in containers() {
        unique("mount path", select(container, "volumeMounts[]"), |mount| mount_path(mount), problems);
    }
    let in_targets = parts.target.iter().flat_map(|target| select(target, "volumeMounts[]"));
    unique("mount path", parts.shared_volumes.iter().chain(in_targets), |mount| mount_path(mount), problems);
    let sidecars = parts.containers.iter().filter(|(role, sidecar)| *role == Role::Sidecar && !sidecar.conditional);
    let sidecars: Vec<_> = sidecars.map(|(_, sidecar)| select(sidecar, "ports[]")).collect();
    // One container may name a port twice.
    let one_a_container = sidecars.iter().flat_map(|ports| {
        let mut seen = HashSet::new();
        ports
            .iter()
            .copied()
            .filter(move |entry| port(entry, "containerPort").is_none_or(|(port, _)| seen.insert(port)))
    });
    unique("port", one_a_container, |entry| port(entry, "containerPort"), problems);
    unique("host port", sidecars.iter().flatten().copied(), |entry| port(entry, "hostPort"), problems);
    for (_, init) in parts.containers.iter().filter(|(role, _)| *role == Role::Init) {
        unique("host port", select(init, "ports[]"), |entry| port(entry, "hostPort"), problems);
    }
    mounts(parts, problems);
    containers_named(parts, problems);
    volumes_named(template, parts, problems);
    order(template, spec, parts, problems);
}

/// What an entry must not share with another one, and the value that says it.
type Key<'r> = Option<(String, &'r Rendered<'r>)>;

fn name<'r>(entry: &'r Rendered<'r>) -> Key<'r> {
    let name = entry.get("name")?;
    Some((name.constant_text()?.to_owned(), name))
}

fn mount_path<'r>(entry: &'r Rendered<'r>) -> Key<'r> {
    let path = entry.get("mountPath")?;
    Some((paths::clean(path.constant_text()?).into_owned(), path))
}

fn port<'r>(entry: &'r Rendered<'r>, field: &str) -> Key<'r> {
    // A host port of 0 is none.
    let port = entry.get(field).filter(|port| port.basis == Basis::Constant && port.integer() != Some(0))?;
    let protocol = entry.get("protocol").map_or(Some("TCP"), Rendered::constant_text)?;
    let address = match entry.get("hostIP").filter(|_| field == "hostPort") {
        Some(address) => format!(" of {}", address.constant_text()?),
        None => String::new(),
    };
    Some((format!("{}/{protocol}{address}", port.integer()?), port))
}

/// Reports what stands twice.
fn unique<'r>(
    what: &str,
    entries: impl IntoIterator<Item = &'r Rendered<'r>>,
    key: impl Fn(&'r Rendered<'r>) -> Key<'r>,
    problems: &mut Problems<'_>,
) {
    let mut seen = HashMap::new();
    for (key, value) in entries.into_iter().filter(|entry| !entry.conditional).filter_map(key) {
        if let Some(line) = seen.get(&key) {
            let message = format!("the {what} `{}` stands here a second time", shorten(&key));
            problems.error(value.place, message).help(format!("the first is in line {line}"));
        } else {
            seen.insert(key, value.place.line);
        }
    }
}

/// Mounts are of the template's volumes, and its private volumes are mounted.
fn mounts(parts: &Parts<'_>, problems: &mut Problems<'_>) {
    let volumes = || parts.shared_volumes.iter().chain(&parts.volumes).filter_map(|volume| volume.get("name")?.text());
    let containers = parts.containers.iter().map(|(_, container)| container).chain(&parts.target);
    let mounted: Vec<_> = containers.flat_map(|container| select(container, "volumeMounts[].name")).collect();
    for mount in mounted.iter().filter(|mount| mount.basis <= Basis::Declared) {
        if problems.is_full() {
            break;
        }
        let Some(name) = mount.text().filter(|name| !volumes().any(|volume| volume == *name)) else { continue };
        let known: Vec<_> = volumes().collect();
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "declare it under `sharedVolumes` or `volumes`".to_owned(),
            None => format!("the template's volumes: {}", known.join(", ")),
        };
        problems.error(mount.place, format!("the template has no volume `{}`", shorten(name))).help(help);
    }
    let all_known = mounted.iter().all(|mount| mount.constant_text().is_some());
    for name in parts.volumes.iter().filter_map(|volume| volume.get("name")).filter(|_| all_known) {
        if let Some(text) = name.text().filter(|text| !mounted.iter().any(|mount| mount.text() == Some(text))) {
            problems.warning(name.place, format!("nothing mounts the volume `{}`", shorten(text)));
        }
    }
}

/// What stands behind the name of a container or volume in the pod of a named instance, as an expression.
const OF_INSTANCE: &str = "{{ instance == '' ? '' : '-' + instance }}";

/// The template's own containers have other names in the pods of named instances, which no `resourceFieldRef` follows.
fn containers_named(parts: &Parts<'_>, problems: &mut Problems<'_>) {
    let name = |container: &'_ Rendered<'_>| Some(container.get("name")?.constant_text()?.to_owned());
    let own: HashSet<_> = parts.containers.iter().filter_map(|(_, container)| name(container)).collect();
    let mut tell = |reference: &Rendered<'_>, around: Option<&str>| {
        let Some(name) = reference.constant_text().filter(|name| own.contains(*name)) else { return };
        let help = if around == Some(name) {
            "leave it out: it means the container itself".to_owned()
        } else {
            format!("write \"{name}{OF_INSTANCE}\"")
        };
        let message = format!("the container `{}` has another name in the pod of a named instance", shorten(name));
        problems.error(reference.place, message).help(help);
    };
    let in_env = "env[].valueFrom.resourceFieldRef.containerName";
    for (_, container) in &parts.containers {
        let around = name(container);
        for reference in select(container, in_env) {
            tell(reference, around.as_deref());
        }
    }
    let in_volume = ["downwardAPI.items[]", "projected.sources[].downwardAPI.items[]"]
        .map(|items| format!("{items}.resourceFieldRef.containerName"));
    let shared = parts.shared_volumes.iter().filter_map(|shared| shared.get("volume"));
    let of_volumes =
        parts.volumes.iter().chain(shared).flat_map(|volume| in_volume.iter().flat_map(|path| select(volume, path)));
    let of_targets = parts.target.iter().flat_map(|target| select(target, in_env));
    for reference in of_volumes.chain(of_targets) {
        tell(reference, None);
    }
}

/// The template's volumes have other names in the pod, which no `fileKeyRef` follows.
fn volumes_named(template: &str, parts: &Parts<'_>, problems: &mut Problems<'_>) {
    let has = |volumes: &[Rendered<'_>], name: &str| {
        volumes.iter().filter_map(|volume| volume.get("name")?.text()).any(|volume| volume == name)
    };
    let containers = parts.containers.iter().map(|(_, container)| container).chain(&parts.target);
    for reference in containers.flat_map(|container| select(container, "env[].valueFrom.fileKeyRef.volumeName")) {
        let Some(name) = reference.constant_text() else { continue };
        let help = if has(&parts.volumes, name) {
            format!("write \"{template}{OF_INSTANCE}-{name}\"")
        } else if has(&parts.shared_volumes, name) {
            "a shared volume may be the pod's: put the file into one that stands under `volumes`".to_owned()
        } else {
            continue;
        };
        problems
            .error(reference.place, format!("the volume `{}` has another name in the pod", shorten(name)))
            .help(help);
    }
}

/// A template can't stand before or after itself, or on both sides of another.
fn order(template: &str, spec: &Fields<'_>, parts: &Parts<'_>, problems: &mut Problems<'_>) {
    let Some(order) = spec.get("order") else { return };
    let own: HashSet<_> = parts.containers.iter().filter_map(|(_, container)| container.get("name")?.text()).collect();
    let side = |name: &str| order.get(name).map(Tree::items).unwrap_or_default();
    for item in side("before").iter().chain(side("after")) {
        let Some(name) = item.as_text() else { continue };
        if name == template || own.contains(name) {
            problems
                .error(&item.place, format!("`{name}` is this template itself, which can't stand before or after it"));
        }
    }
    for name in ["before", "after"] {
        let mut seen = HashMap::new();
        for item in side(name) {
            let Some(name) = item.as_text() else { continue };
            if let Some(line) = seen.get(name) {
                problems
                    .error(&item.place, format!("`{}` stands here a second time", shorten(name)))
                    .help(format!("the first is in line {line}"));
            } else {
                seen.insert(name, item.place.line);
            }
        }
    }
    let before: HashSet<&str> = side("before").iter().filter_map(Tree::as_text).collect();
    for item in side("after") {
        let both = item.as_text().filter(|name| before.contains(name));
        if let Some(name) = both {
            problems.error(&item.place, format!("`{name}` can't stand both before and after this template"));
        }
    }
}
