//! Least privilege for injected containers: the user they run as, resources that keep the pod's class, no token.

use super::json::{MapWriter, Members, Raw};
use super::pod::{Pod, Resources, Spec, Target};
use crate::template::parameter::same_quantity;

/// Where the API server mounts a pod's token (Kubernetes documentation, "Configure Service Accounts for Pods").
pub const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The volume whose empty mount covers [`TOKEN_PATH`]. Without a mount there the ServiceAccount admission plugin adds the
/// app's token to our container, and because that changes the pod, every webhook is called a second time.
pub const NO_TOKEN_VOLUME: &str = "podgraft-no-token";

/// [`NO_TOKEN_VOLUME`]'s JSON.
pub const NO_TOKEN_JSON: &str = r#"{"name":"podgraft-no-token","emptyDir":{}}"#;

/// The JSON of its mount at [`TOKEN_PATH`].
pub const NO_TOKEN_MOUNT: &str =
    r#"{"name":"podgraft-no-token","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","readOnly":true}"#;

/// What decides the pod's class of service (Kubernetes documentation, "Pod Quality of Service Classes").
const RESOURCES: [&str; 2] = ["cpu", "memory"];

/// The non-root user and group that a container runs as beside its target: the container's, else the pod's, else the default.
#[must_use]
pub fn run_as(pod: &Pod<'_>, target: &Target<'_>, default: Option<i64>) -> (Option<i64>, Option<i64>) {
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context).unwrap_or_default();
    let of_target = target.container.security_context.unwrap_or_default();
    let effective = |own: Option<i64>, of_pod: Option<i64>| own.or(of_pod).filter(|id| *id > 0).or(default);
    (effective(of_target.run_as_user, of_pod.run_as_user), effective(of_target.run_as_group, of_pod.run_as_group))
}

/// The fields of a securityContext that say who a container runs as.
const USER_FIELDS: [&str; 2] = ["runAsUser", "runAsGroup"];

/// Whether a securityContext may say who a container runs as.
#[must_use]
pub fn mentions_user(context: &str) -> bool {
    USER_FIELDS.iter().any(|field| context.contains(field))
}

/// A container's securityContext, a map, with user and group written down; `mentioned` is what [`mentions_user`] says of it.
///
/// # Errors
///
/// It is no map.
pub fn with_user(
    context: &str,
    mentioned: bool,
    (user, group): (Option<i64>, Option<i64>),
) -> Result<String, serde_json::Error> {
    let [user_field, group_field] = USER_FIELDS;
    let ours = [(user_field, user), (group_field, group)];
    let mut written = if let Some(members) = context.strip_suffix('}')
        && !mentioned
    {
        // The common case: what there is stays the text that it is.
        MapWriter::from_open(members)
    } else {
        let mut written = MapWriter::with_capacity(256);
        for (key, value) in serde_json::from_str::<Members<'_, Raw<'_>>>(context)?.iter() {
            if !ours.iter().any(|(name, id)| *name == key && id.is_some()) {
                written.json(key, value.get());
            }
        }
        written
    };
    for (key, id) in ours {
        if let Some(id) = id {
            written.json(key, &id.to_string());
        }
    }
    Ok(written.finish())
}

/// How the resources of an injected container are declared in this pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declare {
    /// As the template says.
    AsWritten,
    /// Requests equal limits, so that the pod stays Guaranteed.
    Guaranteed,
    /// Not at all: the pod declares its own as a whole, and the API server refuses a sum that exceeds it (KEP-2837).
    Nothing,
}

/// How this pod wants it.
#[must_use]
pub fn declare(spec: &Spec<'_>) -> Declare {
    if spec.resources.as_ref().is_some_and(|resources| !resources.is_empty()) {
        return Declare::Nothing;
    }
    let init = spec.init_containers.as_deref().unwrap_or_default();
    let mut containers = init.iter().chain(spec.containers.as_deref().unwrap_or_default());
    let guaranteed = |resources: &Resources<'_>| {
        RESOURCES.iter().all(|resource| {
            resources.limit(resource).is_some_and(|limit| {
                // Zero is none, and requests that are not written default to the limits.
                (limit.starts_with(['1', '2', '3', '4', '5', '6', '7', '8', '9']) || !same_quantity(limit, "0"))
                    && resources.request(resource).is_none_or(|request| same_quantity(request, limit))
            })
        })
    };
    if containers.all(|container| container.resources.as_ref().is_some_and(guaranteed)) {
        Declare::Guaranteed
    } else {
        Declare::AsWritten
    }
}

/// An injected container's resources, a map, with requests that equal the limits: the limit where there is one, else the
/// request. And whether both cpu and memory are declared, without which the pod can't stay Guaranteed.
///
/// # Errors
///
/// They are no resources.
pub fn guaranteed(written: &str) -> Result<(String, bool), serde_json::Error> {
    let resources: Resources<'_> = serde_json::from_str(written)?;
    let limits = resources.limits.iter().flat_map(Members::iter);
    let requests = resources.requests.iter().flat_map(Members::iter);
    let requests = requests.filter(|(name, _)| resources.limit(name).is_none());
    let mut both = MapWriter::with_capacity(128);
    for (name, quantity) in limits.chain(requests) {
        both.text(name, quantity);
    }
    let both = both.finish();
    let mut equal = MapWriter::with_capacity(2 * both.len());
    equal.json("limits", &both);
    equal.json("requests", &both);
    let others: Members<'_, Raw<'_>> = serde_json::from_str(written)?;
    for (key, value) in others.iter().filter(|(key, _)| !matches!(*key, "limits" | "requests")) {
        equal.json(key, value.get());
    }
    let declared = |resource: &&str| resources.limit(resource).or(resources.request(resource)).is_some();
    Ok((equal.finish(), RESOURCES.iter().all(declared)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_volume_covers_the_token() {
        let volume: serde_json::Value = serde_json::from_str(NO_TOKEN_JSON).unwrap();
        assert_eq!(volume, serde_json::json!({"name": NO_TOKEN_VOLUME, "emptyDir": {}}));
        let mount: serde_json::Value = serde_json::from_str(NO_TOKEN_MOUNT).unwrap();
        assert_eq!(mount, serde_json::json!({"name": NO_TOKEN_VOLUME, "mountPath": TOKEN_PATH, "readOnly": true}));
    }

    #[test]
    fn requests_are_made_equal_and_nothing_else_is_lost() {
        let written =
            r#"{"requests":{"cpu":"10m","memory":"1Mi"},"limits":{"memory":"2Mi"},"claims":[{"name":"gpu"}]}"#;
        let both = r#"{"memory":"2Mi","cpu":"10m"}"#;
        let equal = format!(r#"{{"limits":{both},"requests":{both},"claims":[{{"name":"gpu"}}]}}"#);
        assert_eq!(guaranteed(written).unwrap(), (equal, true));
        assert!(!guaranteed(r#"{"limits":{"cpu":"1"}}"#).unwrap().1);
        assert!(guaranteed("5").is_err());
    }

    #[test]
    fn a_pod_is_guaranteed_by_limits_that_are_more_than_zero() {
        let declared = |limits: &str| {
            let spec =
                format!(r#"{{"containers":[{{"resources":{{"limits":{limits},"requests":{{"cpu":"1000m"}}}}}}]}}"#);
            declare(&serde_json::from_str(&spec).unwrap())
        };
        assert_eq!(declared(r#"{"cpu":"1","memory":"1Gi"}"#), Declare::Guaranteed);
        assert_eq!(declared(r#"{"cpu":"1","memory":"0"}"#), Declare::AsWritten);
        assert_eq!(declared(r#"{"cpu":"2","memory":"1Gi"}"#), Declare::AsWritten);
        assert_eq!(declared(r#"{"cpu":"1"}"#), Declare::AsWritten);
    }
}
