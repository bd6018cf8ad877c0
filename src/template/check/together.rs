//! Rules for values that stand beside one another: each has its own, and these hold for them together.

use std::borrow::Cow;
use std::collections::HashSet;

use super::value::{ONE, parse_amount, resource_name};
use super::{Broken, decides, select};
use crate::template::diagnostic::{Place, shorten};
use crate::template::parameter::quantity;
use crate::template::rendered::{Content, Rendered};

/// What does not go together in a container.
pub(super) fn together<'r>(container: &'r Rendered<'r>, broken: &mut Vec<Broken<'r>>) {
    let decided = |value: Option<&'r Rendered<'r>>| value.filter(|value| decides(value));
    let is = |value: Option<&'r Rendered<'r>>, wanted: bool| {
        decided(value).is_some_and(|value| matches!(value.content, Content::Bool(found) if found == wanted))
    };
    let context = container.get("securityContext");
    let privileged = context.and_then(|context| context.get("privileged"));
    let escalation = context.and_then(|context| context.get("allowPrivilegeEscalation"));
    if let Some(value) = escalation.filter(|value| is(Some(value), false) && is(privileged, true)) {
        let problem = "what is privileged may escalate: this can't be false";
        broken.push(Broken::of("securityContext.allowPrivilegeEscalation", value, problem));
    }
    let mut resized = HashSet::new();
    for policy in select(container, "resizePolicy[]").into_iter().filter(|policy| !policy.conditional) {
        let Some(resource) = decided(policy.get("resourceName")) else { continue };
        if let Some(name) = resource.text().filter(|name| !resized.insert(*name)) {
            let problem = format!("{} has a policy already", shorten(name));
            broken.push(Broken::of("resizePolicy[].resourceName", resource, problem));
        }
    }
    for mount in select(container, "volumeMounts[]") {
        let propagation = decided(mount.get("mountPropagation"));
        if let Some(value) = propagation.filter(|value| value.text() == Some("Bidirectional"))
            && privileged.is_none_or(|_| is(privileged, false))
            && context.is_none_or(|context| matches!(context.content, Content::Map(_)))
            // What a target may do, the pod decides.
            && container.get("image").is_some()
        {
            let problem = "Bidirectional is for privileged containers";
            broken.push(Broken::of("volumeMounts[].mountPropagation", value, problem));
        }
        let recursive = decided(mount.get("recursiveReadOnly"));
        if let Some(value) = recursive.filter(|value| matches!(value.text(), Some("Enabled" | "IfPossible"))) {
            let writable = mount.get("readOnly").is_none_or(|_| is(mount.get("readOnly"), false));
            let propagated = propagation.is_some_and(|mode| mode.text() != Some("None"));
            if writable || propagated {
                let problem = "it wants readOnly: true, and no mountPropagation";
                broken.push(Broken::of("volumeMounts[].recursiveReadOnly", value, problem));
            }
        }
    }
}

/// What is wrong with a profile.
pub(super) fn profile<'r>(map: &'r Rendered<'r>) -> Vec<(&'r Place, String)> {
    let Some(kind) = map.get("type") else { return vec![(map.place, "`type` is missing here".to_owned())] };
    let profile = map.members().iter().find(|(key, ..)| key == "localhostProfile");
    match (kind.text().filter(|_| decides(kind)), profile) {
        (Some("Localhost"), None) => vec![(map.place, "`localhostProfile` is missing here".to_owned())],
        (Some(kind), Some((_, place, _))) if kind != "Localhost" => {
            vec![(place, format!("`localhostProfile` is for the type Localhost, not for {}", shorten(kind)))]
        }
        _ => Vec::new(),
    }
}

/// What is wrong with the unit in which a variable or file has a resource.
pub(super) fn divisor<'r>(map: &'r Rendered<'r>) -> Vec<(&'r Place, String)> {
    const OF_CPU: &[&str] = &["0", "1m", "1"];
    const OF_BYTES: &[&str] = &["0", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let text = |name: &str| map.get(name).filter(|value| decides(value));
    let Some((resource, divisor)) = text("resource").and_then(Rendered::text).zip(text("divisor")) else {
        return Vec::new();
    };
    let allowed = if matches!(resource, "limits.cpu" | "requests.cpu") { OF_CPU } else { OF_BYTES };
    let amount = parse_amount(divisor);
    if amount.is_none() || allowed.iter().any(|unit| quantity(unit) == amount) {
        return Vec::new();
    }
    vec![(divisor.place, format!("the divisor of {} is none of {}", shorten(resource), allowed[1..].join(", ")))]
}

/// What a container asks of its node.
pub(super) fn resources<'r>(container: &'r Rendered<'r>, broken: &mut Vec<Broken<'r>>) {
    let Some(resources) = container.get("resources") else { return };
    let written = |(key, _, value): &&(_, _, Rendered<'_>)| key == "claims" && !value.expression;
    if let Some((_, place, value)) = resources.members().iter().find(written) {
        let problem = "a template can't add the pod's resourceClaims that these would be".to_owned();
        broken.push(Broken { path: "resources.claims".to_owned(), value, place, problem });
    }
    let amounts = |name: &str| resources.get(name).map(Rendered::members).unwrap_or_default();
    let all = || ["limits", "requests"].into_iter().flat_map(|list| amounts(list).iter().map(move |it| (list, it)));
    for (list, (key, place, value)) in all() {
        if let Some(problem) = resource_name(key) {
            broken.push(Broken { path: format!("resources.{list}.{key}"), value, place, problem });
        }
    }
    let ordinary = all().any(|(_, (key, ..))| matches!(&**key, "cpu" | "memory"));
    let decided = |list: &str| resources.get(list).is_none_or(|list| matches!(list.content, Content::Map(_)));
    let all_decided = decided("limits") && decided("requests");
    let whole =
        |(_, (key, ..)): &(_, &(Cow<'_, str>, _, _))| all_decided && resource_name(key).is_none() && !is_shared(key);
    for (list, (key, place, value)) in all().filter(whole) {
        let other = amounts(if list == "limits" { "requests" } else { "limits" });
        let other = other.iter().find(|(name, ..)| name == key).map(|(.., other)| other);
        let differ =
            other.filter(|other| decides(other) && decides(value) && parse_amount(other) != parse_amount(value));
        let problem = if list == "requests" && other.is_none() {
            "it can't be shared, so its limit must be there, too"
        } else if list == "requests" && differ.is_some() {
            "it can't be shared, so request and limit must be the same"
        } else if key.starts_with("hugepages-") && !ordinary {
            "huge pages want cpu or memory beside them"
        } else if key.contains('/') && decides(value) && parse_amount(value).is_some_and(|amount| amount % ONE != 0) {
            "it comes in whole numbers"
        } else {
            continue;
        };
        let path = format!("resources.{list}.{key}");
        broken.push(Broken { path, value, place, problem: format!("{}: {problem}", shorten(key)) });
    }
    for (key, _, request) in amounts("requests").iter().filter(|(key, ..)| is_shared(key)) {
        let limit = amounts("limits").iter().find(|(other, ..)| other == key).map(|(.., limit)| limit);
        let Some(limit) = limit.filter(|limit| decides(limit) && decides(request)) else { continue };
        if parse_amount(request).zip(parse_amount(limit)).is_some_and(|(request, limit)| request > limit) {
            let problem = format!("the request of {} is greater than its limit", shorten(key));
            broken.push(Broken::of(format!("resources.requests.{key}"), request, problem));
        }
    }
}

/// A resource of which a node gives more than it has: containers share it.
fn is_shared(name: &str) -> bool {
    !name.starts_with("hugepages-") && (!name.contains('/') || name.contains("kubernetes.io/"))
}
