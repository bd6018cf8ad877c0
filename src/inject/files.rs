//! Variables that are of a file (`fileKeyRef`, KEP-3721): the API server wants the file's volume to be in the pod, and to be an
//! `emptyDir` (`validateFileKeyRefVolumes`). Looked at when all is planned, as a volume may be another graft's; what the
//! pod's own variables refer to is for the API server to say.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::asked::Asked;
use super::draft::{Draft, GraftIndex, Kind};
use super::pod::{EnvVar, Pod, Volume};
use super::reason::{Reason, quote};
use crate::template::Line;

/// A container, as far as it matters here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    env: Option<Vec<Variable>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Variable {
    name: String,
    value_from: Option<Source>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Source {
    file_key_ref: Option<Reference>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Reference {
    volume_name: String,
    optional: Option<bool>,
}

/// Hardly any variable is of a file, and what does not say so need not be read.
fn says_so(json: &str) -> bool {
    json.contains("\"fileKeyRef\"")
}

/// Whether a variable has its value from a file that has to be there when the container starts.
pub fn needs_one(variable: &EnvVar<'_>) -> bool {
    let source = variable.value_from.map(RawValue::get).filter(|source| says_so(source));
    let source = source.and_then(|source| serde_json::from_str::<Source>(source).ok()).unwrap_or_default();
    source.file_key_ref.is_some_and(|file| file.optional != Some(true))
}

/// Holds the variables that are planned to the volumes.
///
/// # Errors
///
/// The graft with a variable of a file that is nowhere, and which one.
pub fn check(asked: &[Asked<'_>], pod: &Pod<'_>, draft: &Draft<'_, '_>) -> Result<(), (GraftIndex, Reason)> {
    let is_of_a_file = |graft: GraftIndex, json: &str| asked[graft].template.may_name_files && says_so(json);
    let problem = |variable: &Variable| {
        let volume = &variable.value_from.as_ref()?.file_key_ref.as_ref()?.volume_name;
        Some((volume.clone(), volume_problem(volume, pod, draft)?))
    };
    let refuse = |graft: GraftIndex, field: &str, line: Line, name: &str, (volume, problem): (String, &str)| {
        let Asked { name: graft_name, template, .. } = &asked[graft];
        let secrets = template.parameters.iter().any(|parameter| parameter.sensitive);
        let volume = if secrets { String::new() } else { format!(" {}", quote(&volume)) };
        Err((
            graft,
            Reason::Rendered {
                graft: graft_name.to_string(),
                place: format!("{field} ({}:{line})", template.origin.0),
                problem: format!("variable {} is of a file (fileKeyRef) in volume{volume}, {problem}", quote(name)),
            },
        ))
    };
    for it in draft.variables.iter().filter(|it| is_of_a_file(it.graft, &it.json)) {
        let variable: Variable = serde_json::from_str(&it.json).unwrap_or_default();
        if let Some(found) = problem(&variable) {
            return refuse(it.graft, "target.env", it.line, &variable.name, found);
        }
    }
    for it in draft.containers.iter().filter(|it| is_of_a_file(it.graft, &it.json)) {
        let container: Container = serde_json::from_str(&it.json).unwrap_or_default();
        for variable in container.env.iter().flatten() {
            if let Some(found) = problem(variable) {
                let field = if it.kind == Kind::Init { "initContainers" } else { "sidecars" };
                return refuse(it.graft, field, it.line, &variable.name, found);
            }
        }
    }
    Ok(())
}

/// Why a volume can't have such a file, if it can't.
fn volume_problem(name: &str, pod: &Pod<'_>, draft: &Draft<'_, '_>) -> Option<&'static str> {
    let mut of_pod = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let is_right = match of_pod.find(|volume| volume.name == *name) {
        Some(volume) => is_empty_dir(volume),
        None => match draft.volumes.iter().find(|volume| volume.name == name) {
            Some(planned) => serde_json::from_str(&planned.json).is_ok_and(|volume| is_empty_dir(&volume)),
            None => return Some("which the pod does not have"),
        },
    };
    (!is_right).then_some("which is no emptyDir")
}

/// Whether a volume is one; without any source, it becomes one.
fn is_empty_dir(volume: &Volume<'_>) -> bool {
    let mut sources = volume.source.iter().filter(|(_, source)| source.get() != "null");
    sources.next().is_none_or(|(kind, _)| kind == "emptyDir")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use crate::inject::request::PodRequest;
    use crate::inject::{Outcome, inject};
    use crate::snapshot::Snapshot;
    use crate::template::{LoadOptions, Origin, load};

    /// What a pod with these volumes is told.
    fn told(spec: &Value, volumes: &Value) -> Option<String> {
        let (version, kind) = ("podgraft.dev/v1alpha1", "ClusterInjectionTemplate");
        let text = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "t"}, "spec": spec}).to_string();
        let mut snapshot = Snapshot::default();
        let loaded = load(Origin("t.yaml".into()), &text, &LoadOptions::default());
        for template in loaded.unwrap_or_else(|error| panic!("{error}")).templates {
            snapshot.templates.insert(Arc::new(template));
        }
        let spec = json!({"containers": [{"name": "app", "image": "a"}], "volumes": volumes});
        let pod = json!({"metadata": {"annotations": {"inject/t": "true"}}, "spec": spec}).to_string();
        let request = PodRequest::create(&pod, "default").unwrap();
        match inject(&request, &snapshot) {
            Outcome::Inject(_) => None,
            Outcome::Reject(reasons, _) => Some(reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
            outcome @ Outcome::Skip(..) => panic!("{outcome:?}"),
        }
    }

    #[test]
    fn the_volume_of_a_file_is_in_the_pod_and_empty() {
        let env = |volume: &str| json!([{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": volume, "path": "a.env", "key": "A"}}}]);
        let of_target = json!({"target": {"env": env("files")}});
        let of_container = |volumes: Value| {
            let mounts = json!([{"name": "own", "mountPath": "/own"}]);
            let name = "t{{ instance == '' ? '' : '-' + instance }}-own";
            json!({"volumes": volumes, "initContainers": [
                {"name": "a", "image": "a", "env": env(name), "volumeMounts": mounts},
            ]})
        };
        let (none, empty, config) = (
            json!([]),
            json!([{"name": "files", "emptyDir": {}}]),
            json!([{"name": "files", "configMap": {"name": "a"}}]),
        );
        for (spec, volumes, wanted) in [
            (&of_target, &empty, ""),
            (&of_target, &json!([{"name": "files"}]), ""),
            (
                &of_target,
                &none,
                "variable \"A\" is of a file (fileKeyRef) in volume \"files\", which the pod does not have",
            ),
            (&of_target, &config, "variable \"A\" is of a file (fileKeyRef) in volume \"files\", which is no emptyDir"),
            (&of_container(json!([{"name": "own", "emptyDir": {}}])), &none, ""),
            (
                &of_container(json!([{"name": "own", "configMap": {"name": "a"}}])),
                &none,
                "variable \"A\" is of a file (fileKeyRef) in volume \"t-own\", which is no emptyDir",
            ),
        ] {
            let told = told(spec, volumes).unwrap_or_default();
            assert!(told.ends_with(wanted) && told.is_empty() == wanted.is_empty(), "{told}");
        }
    }
}
