//! Variables that are of a file (`fileKeyRef`, KEP-3721). The API server wants the file's volume to be in the pod, and to be an
//! `emptyDir` (`validateFileKeyRefVolumes`), and no container starts whose file nobody has written. Looked at when all is
//! planned, as a volume may be another graft's; what the pod's own variables refer to is for the API server to say.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use super::asked::Asked;
use super::draft::{Draft, GraftIndex, Kind, NewContainer};
use super::environment;
use super::json::{Members, Raw, Text, read};
use super::mounts::mounts;
use super::order::Slot;
use super::pod::{Container, EnvVar, Pod, Target, Volume};
use super::reason::{Reason, quote};

/// Hardly any variable is of a file, and what does not say so need not be read.
fn says_so(json: &str) -> bool {
    json.contains("\"fileKeyRef\"")
}

/// The file that a variable is of.
struct File<'v> {
    volume: Text<'v>,
    optional: bool,
}

impl<'v> File<'v> {
    fn of(variable: &EnvVar<'v>) -> Option<Self> {
        let source = variable.value_from.map(RawValue::get).filter(|source| says_so(source))?;
        let source: Members<'_, Raw<'_>> = serde_json::from_str(source).ok()?;
        let file: Members<'_, Raw<'_>> = serde_json::from_str(source.get("fileKeyRef")?.get()).ok()?;
        let optional = file.get("optional").is_some_and(|optional| optional.get() == "true");
        Some(Self { volume: file.get("volumeName").map(|name| Text::of(name)).unwrap_or_default(), optional })
    }
}

/// A refusal of a variable, with what is wrong with the file's volume.
fn refusal(asked: &Asked<'_>, place: String, name: &str, volume: &str, problem: &str) -> Reason {
    let secrets = asked.template.parameters.iter().any(|parameter| parameter.sensitive);
    let volume = if secrets { String::new() } else { format!(" {}", quote(volume)) };
    let problem = format!("variable {} is of a file (fileKeyRef) in volume{volume}, {problem}", quote(name));
    Reason::Rendered { graft: asked.name.to_string(), place, problem }
}

fn place(asked: &Asked<'_>, container: &NewContainer<'_, '_>) -> String {
    asked.place(if container.kind == Kind::Init { "initContainers" } else { "sidecars" }, container.line)
}

/// Holds the variables that are planned to the volumes: the grafts with a variable of a file that is nowhere, and which one.
pub fn check(asked: &[Asked<'_>], pod: &Pod<'_>, draft: &Draft<'_, '_>) -> Vec<(GraftIndex, Reason)> {
    let volumes = LazyCell::new(|| empty_dirs(pod, draft));
    let mut wrong = Vec::new();
    let mut look = |graft: GraftIndex, variable: &EnvVar<'_>, place: &dyn Fn() -> String| {
        let Some(File { volume, .. }) = File::of(variable) else { return };
        let problem = match volumes.get(&*volume) {
            Some(true) => return,
            Some(false) => "which is no emptyDir",
            None => "which the pod does not have",
        };
        wrong.push((graft, refusal(&asked[graft], place(), &variable.name, &volume, problem)));
    };
    let is_of_a_file = |graft: GraftIndex, json: &str| asked[graft].template.may_name_files && says_so(json);
    for it in draft.variables.iter().filter(|it| is_of_a_file(it.graft, &it.json)) {
        let variable = serde_json::from_str(&it.json).unwrap_or_default();
        look(it.graft, &variable, &|| asked[it.graft].place("target.env", it.line));
    }
    for it in draft.containers.iter().filter(|it| is_of_a_file(it.graft, &it.json)) {
        let container = read::<Container<'_>>(&it.json).unwrap_or_default();
        for variable in container.env.get() {
            look(it.graft, variable, &|| place(&asked[it.graft], it));
        }
    }
    wrong
}

/// All volumes, and whether they are empty directories; without any source, one becomes one.
fn empty_dirs<'d>(pod: &'d Pod<'_>, draft: &'d Draft<'_, '_>) -> HashMap<&'d str, bool> {
    let is_empty_dir = |volume: &Volume<'_>| {
        let mut sources = volume.source.iter().filter(|(_, source)| source.get() != "null");
        sources.next().is_none_or(|(kind, _)| kind == "emptyDir")
    };
    let mut found = HashMap::new();
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        found.entry(&*volume.name).or_insert_with(|| is_empty_dir(volume));
    }
    for planned in &draft.volumes {
        let is_planned_empty = || read(&planned.json).is_some_and(|volume| is_empty_dir(&volume));
        found.entry(&*planned.name).or_insert_with(is_planned_empty);
    }
    found
}

/// Holds the planned containers to the order: a file is there only if something that starts earlier may have written it.
/// Ordinary containers are tried until it is.
pub fn in_time<'a>(
    asked: &[Asked<'_>],
    pod: &'a Pod<'a>,
    draft: &Draft<'_, '_>,
    order: &[Slot],
) -> Vec<(GraftIndex, Reason)> {
    let needs_one = |it: &NewContainer<'_, '_>| {
        let may = it.environment_of.is_some() || asked[it.graft].template.may_name_files;
        may && it.kind != Kind::ClassicSidecar && says_so(&it.json)
    };
    let mut wrong = Vec::new();
    if !draft.containers.iter().any(needs_one) {
        return wrong;
    }
    let old = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
    let mut mounted = HashSet::<String>::new();
    for slot in order {
        match *slot {
            Slot::Old(index) => {
                let target = Target { init: true, index, container: &old[index] };
                mounted.extend(mounts(&target, draft).map(|mount| mount.volume.into_owned()));
            }
            Slot::New(index) => {
                let it = &draft.containers[index];
                let container = read::<Container<'_>>(&it.json).unwrap_or_default();
                let variables = container.env.get().iter().filter(|_| needs_one(it));
                let files = variables.filter_map(|variable| Some((variable, File::of(variable)?)));
                let missing = |file: &File<'_>| !file.optional && !mounted.contains(&*file.volume);
                for (variable, file) in files.filter(|(_, file)| missing(file)) {
                    let place = match it.environment_of {
                        Some(_) => environment::place(it),
                        None => place(&asked[it.graft], it),
                    };
                    let problem = "which nothing that starts earlier mounts, so that this container would never start; make it \
                                   optional, or have the template say what the container comes after (order.after)";
                    let reason = refusal(&asked[it.graft], place, &variable.name, &file.volume, problem);
                    wrong.push((it.graft, reason));
                }
                mounted.extend(container.volume_mounts.iter().flatten().map(|mount| mount.name.to_string()));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::inject::request::PodRequest;
    use crate::inject::tests::snapshot;
    use crate::inject::{Outcome, inject};

    /// What a pod with these volumes is told.
    fn told(spec: &Value, volumes: &Value) -> Option<String> {
        let snapshot = snapshot(&[("t", spec)]);
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
                {"name": "a", "image": "a", "volumeMounts": mounts},
                {"name": "b", "image": "b", "env": env(name)},
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
