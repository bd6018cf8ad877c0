//! The API server's rules for containers and volumes (`pkg/apis/core/validation`), as far as a trial rendering decides
//! them: a table of rules for values, and one for what stands together.

mod value;

use std::fmt;

use super::container::Role;
use super::diagnostic::Problems;
use super::fields::shorten;
use super::names;
use super::trial::{Basis, Content, Rendered};
use super::yaml::Place;
use value::{
    address, amount, capability, field_path, host_path, id, item_path, medium, mode, mount_path, not_negative, one_of,
    parse_amount, port, port_or_name, present, sub_path,
};

/// What is wrong with a value, or nothing.
type Rule = fn(&Rendered<'_>) -> Option<String>;

/// Rules for the values in a container, by path: `[]` is every item of a list, `*` every member of a map.
const VALUES: &[(&str, Rule)] = &[
    ("name", |name| names::label(name.text()?, names::MAX_LABEL)),
    ("image", |image| {
        let image = image.text()?;
        (image.is_empty() || image.trim() != image).then(|| "an image can't be empty or have blanks around".to_owned())
    }),
    ("imagePullPolicy", |policy| one_of(policy, &["Always", "IfNotPresent", "Never"])),
    ("terminationMessagePolicy", |policy| one_of(policy, &["File", "FallbackToLogsOnError"])),
    ("env[].name", |name| names::variable(name.text()?)),
    ("env[].valueFrom.fieldRef.fieldPath", field_path),
    ("env[].valueFrom.configMapKeyRef.name", |name| names::subdomain(name.text()?)),
    ("env[].valueFrom.configMapKeyRef.key", |key| names::data_key(key.text()?)),
    ("env[].valueFrom.secretKeyRef.name", |name| names::subdomain(name.text()?)),
    ("env[].valueFrom.secretKeyRef.key", |key| names::data_key(key.text()?)),
    ("envFrom[].configMapRef.name", |name| names::subdomain(name.text()?)),
    ("envFrom[].secretRef.name", |name| names::subdomain(name.text()?)),
    ("envFrom[].prefix", |prefix| names::variable(prefix.text().filter(|prefix| !prefix.is_empty())?)),
    ("ports[].name", |name| names::port(name.text()?)),
    ("ports[].containerPort", port),
    ("ports[].hostPort", port),
    ("ports[].protocol", |protocol| one_of(protocol, &["TCP", "UDP", "SCTP"])),
    ("volumeMounts[].mountPath", mount_path),
    ("volumeMounts[].subPath", sub_path),
    ("volumeMounts[].subPathExpr", sub_path),
    ("volumeMounts[].mountPropagation", |mode| one_of(mode, &["None", "HostToContainer", "Bidirectional"])),
    ("volumeMounts[].recursiveReadOnly", |mode| one_of(mode, &["Disabled", "IfPossible", "Enabled"])),
    ("volumeDevices[].devicePath", mount_path),
    ("resources.limits.*", amount),
    ("resources.requests.*", amount),
    ("securityContext.runAsUser", id),
    ("securityContext.runAsGroup", id),
    ("securityContext.seccompProfile.type", |kind| one_of(kind, &["Localhost", "RuntimeDefault", "Unconfined"])),
    ("securityContext.capabilities.drop[]", capability),
    ("securityContext.capabilities.add[]", capability),
];

/// Rules for the values in a probe.
const PROBE_VALUES: &[(&str, Rule)] = &[
    ("httpGet.port", port_or_name),
    ("tcpSocket.port", port_or_name),
    ("grpc.port", port),
    ("httpGet.scheme", |scheme| one_of(scheme, &["HTTP", "HTTPS"])),
    ("initialDelaySeconds", not_negative),
    ("timeoutSeconds", not_negative),
    ("periodSeconds", not_negative),
    ("successThreshold", not_negative),
    ("failureThreshold", not_negative),
];

/// Rules for the values in a volume's source.
const VOLUME_VALUES: &[(&str, Rule)] = &[
    ("emptyDir.sizeLimit", amount),
    ("emptyDir.medium", medium),
    ("hostPath.path", host_path),
    ("hostPath.type", |kind| {
        let kinds = ["DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"];
        one_of(kind, &kinds).filter(|_| kind.text() != Some(""))
    }),
    ("configMap.name", present),
    ("secret.secretName", present),
    ("persistentVolumeClaim.claimName", |name| names::subdomain(name.text()?)),
    ("configMap.defaultMode", mode),
    ("configMap.items[].key", present),
    ("configMap.items[].path", item_path),
    ("configMap.items[].mode", mode),
    ("secret.defaultMode", mode),
    ("secret.items[].key", present),
    ("secret.items[].path", item_path),
    ("secret.items[].mode", mode),
    ("downwardAPI.defaultMode", mode),
    ("projected.defaultMode", mode),
];

/// Rules for the values in a host alias.
const ALIAS_VALUES: &[(&str, Rule)] = &[("ip", address), ("hostnames[]", |name| names::subdomain(name.text()?))];

/// What the engine looks at itself, as it wires a container into a pod.
const WIRED: &[&str] = &[
    "name",
    "image",
    "env[].name",
    "ports[].containerPort",
    "ports[].hostPort",
    "volumeMounts[].mountPath",
    "volumeMounts[].subPath",
    "volumeMounts[].subPathExpr",
];

/// Which members of a map must, or can't, stand together.
enum Shape {
    All(&'static [&'static str]),
    ExactlyOne(&'static [&'static str]),
    AtMostOne(&'static [&'static str]),
}

const SHAPES: &[(&str, Shape)] = &[
    ("env[]", Shape::All(&["name"])),
    ("env[]", Shape::AtMostOne(&["value", "valueFrom"])),
    (
        "env[].valueFrom",
        Shape::ExactlyOne(&["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"]),
    ),
    ("envFrom[]", Shape::ExactlyOne(&["configMapRef", "secretRef"])),
    ("ports[]", Shape::All(&["containerPort"])),
    ("volumeMounts[]", Shape::All(&["name", "mountPath"])),
    ("volumeMounts[]", Shape::AtMostOne(&["subPath", "subPathExpr"])),
    ("volumeDevices[]", Shape::All(&["name", "devicePath"])),
    ("lifecycle.*", Shape::ExactlyOne(&["exec", "httpGet", "tcpSocket", "sleep"])),
];

const PROBE_SHAPES: &[(&str, Shape)] = &[
    ("", Shape::ExactlyOne(&["exec", "httpGet", "tcpSocket", "grpc"])),
    ("httpGet", Shape::All(&["port"])),
    ("tcpSocket", Shape::All(&["port"])),
    ("grpc", Shape::All(&["port"])),
];

const PROBES: &[&str] = &["livenessProbe", "readinessProbe", "startupProbe"];

/// A rule that does not hold.
pub(super) struct Broken<'r> {
    /// The value's path from the container or volume; empty for itself.
    path: String,
    /// The value, or the map that lacks one.
    value: &'r Rendered<'r>,
    /// Its place, which may be its key's.
    place: &'r Place,
    problem: String,
}

impl fmt::Display for Broken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, problem, .. } = self;
        if path.is_empty() { f.write_str(problem) } else { write!(f, "{path}: {problem}") }
    }
}

/// Checks a container, or what `target` adds to one.
pub(super) fn container(container: &Rendered<'_>, role: Option<Role>, problems: &mut Problems<'_>) {
    report_all(rules(container), problems);
    if role == Some(Role::Init) {
        for (key, place, _) in container.members() {
            if PROBES.contains(&&**key) || key == "lifecycle" {
                problems
                    .error(place, format!("an init container that runs to its end has no `{key}`"))
                    .help("a container that runs beside the app stands under `sidecars`");
            }
        }
    }
}

/// What the rules for any container have against one.
pub(super) fn rules<'r>(container: &'r Rendered<'r>) -> Vec<Broken<'r>> {
    let mut broken = Vec::new();
    values(container, "", VALUES, &mut broken);
    shapes(container, "", SHAPES, &mut broken);
    for name in PROBES {
        if let Some(probe) = container.get(name) {
            values(probe, name, PROBE_VALUES, &mut broken);
            shapes(probe, name, PROBE_SHAPES, &mut broken);
        }
    }
    for name in ["livenessProbe", "startupProbe"] {
        let threshold = container.get(name).and_then(|probe| probe.get("successThreshold"));
        if let Some(value) = threshold.filter(|threshold| decides(threshold) && threshold.integer() != Some(1)) {
            let problem = format!("the successThreshold of a {name} must be 1");
            broken.push(Broken { path: join(name, "successThreshold"), value, place: value.place, problem });
        }
    }
    limits(container, &mut broken);
    broken
}

/// Checks the source of a volume; `place` is the volume's.
pub(super) fn volume_source(volume: &Rendered<'_>, place: &Place, problems: &mut Problems<'_>) {
    if volume.members().iter().any(|(.., source)| matches!(source.content, Content::Hole)) {
        return;
    }
    let sources: Vec<_> = volume.members().iter().filter(|(key, ..)| key != "name").collect();
    match sources[..] {
        [] => {
            problems
                .error(place, "this volume has no source")
                .help("one such as `emptyDir: {}`; a key without a value is nothing");
        }
        [_] => {}
        [_, (second, place, _), ..] => {
            problems.error(place, format!("a volume has one source, and `{second}` is another"));
        }
    }
    report_all(volume_rules(volume), problems);
}

/// What the rules for any volume have against one.
pub(super) fn volume_rules<'r>(volume: &'r Rendered<'r>) -> Vec<Broken<'r>> {
    let mut broken = Vec::new();
    values(volume, "", VOLUME_VALUES, &mut broken);
    broken
}

/// Checks `mountPath` of a shared volume.
pub(super) fn shared_volume(volume: &Rendered<'_>, problems: &mut Problems<'_>) {
    let mut broken = Vec::new();
    values(volume, "", &[("mountPath", mount_path)], &mut broken);
    report_all(broken, problems);
}

/// Checks `imagePullSecrets` and `hostAliases`.
pub(super) fn pod(pod: &Rendered<'_>, problems: &mut Problems<'_>) {
    let mut broken = Vec::new();
    for alias in select(pod, "hostAliases[]") {
        values(alias, "", ALIAS_VALUES, &mut broken);
    }
    shapes(
        pod,
        "",
        &[("imagePullSecrets[]", Shape::All(&["name"])), ("hostAliases[]", Shape::All(&["ip", "hostnames"]))],
        &mut broken,
    );
    report_all(broken, problems);
}

/// What the rules for host aliases have against one.
pub(super) fn alias_rules<'r>(alias: &'r Rendered<'r>) -> Vec<Broken<'r>> {
    let mut broken = Vec::new();
    values(alias, "", ALIAS_VALUES, &mut broken);
    broken
}

/// The same, without what the engine looks at itself.
pub(super) fn rules_not_wired<'r>(container: &'r Rendered<'r>) -> Vec<Broken<'r>> {
    let mut broken = rules(container);
    broken.retain(|broken| !WIRED.contains(&&*broken.path));
    broken
}

/// Whether an expression makes something of a container that only the rules here look at: then they have to look again
/// when a pod has given it its value.
pub(super) fn is_open(container: &Rendered<'_>) -> bool {
    let open = |root: &Rendered<'_>, rules: &[(&str, Rule)]| {
        let ruled = rules.iter().filter(|(path, _)| !WIRED.contains(path));
        ruled.flat_map(|(path, _)| select(root, path)).any(is_made)
    };
    open(container, VALUES)
        || PROBES.iter().filter_map(|name| container.get(name)).any(|probe| open(probe, PROBE_VALUES))
}

/// The same for a volume. A parameter that is a quantity needs no second look.
pub(super) fn is_open_volume(volume: &Rendered<'_>) -> bool {
    let ruled = VOLUME_VALUES.iter().flat_map(|(path, _)| select(volume, path));
    ruled.into_iter().any(|value| is_made(value) && !value.quantity)
}

fn is_made(value: &Rendered<'_>) -> bool {
    value.expression || matches!(value.content, Content::Hole)
}

/// Holds broken rules against the author.
fn report_all(broken: Vec<Broken<'_>>, problems: &mut Problems<'_>) {
    for Broken { value, place, problem, .. } in broken {
        report(value, place, &problem, problems);
    }
}

/// Holds a value against the author.
pub(super) fn report(value: &Rendered<'_>, place: &Place, problem: &str, problems: &mut Problems<'_>) {
    let problem =
        if value.secret { "what a sensitive parameter makes of it is not allowed here (not shown)" } else { problem };
    let by_parameters = value.basis != Basis::Constant && !matches!(value.content, Content::Map(_));
    let source = if by_parameters { "with its parameters' own values: " } else { "" };
    problems.error(place, format!("{source}{problem}"));
}

fn join(path: &str, name: &str) -> String {
    [path, name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

/// The values on a path.
pub(super) fn select<'r, 't>(root: &'r Rendered<'t>, path: &str) -> Vec<&'r Rendered<'t>> {
    let mut found = vec![root];
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let (name, every) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        found = found
            .into_iter()
            .flat_map(|value| {
                value.members().iter().filter(move |(key, ..)| name == "*" || key == name).map(|(.., value)| value)
            })
            .flat_map(|value| if every { value.items().iter().collect() } else { vec![value] })
            .collect();
    }
    found
}

fn values<'r>(root: &'r Rendered<'r>, at: &str, rules: &[(&str, Rule)], broken: &mut Vec<Broken<'r>>) {
    for (path, rule) in rules {
        for value in select(root, path).into_iter().filter(|value| decides(value)) {
            if let Some(problem) = rule(value) {
                broken.push(Broken { path: join(at, path), value, place: value.place, problem });
            }
        }
    }
}

/// Whether the author alone decides a value.
pub(super) fn decides(value: &Rendered<'_>) -> bool {
    value.basis <= Basis::Declared && !value.refused.get()
}

fn shapes<'r>(root: &'r Rendered<'r>, at: &str, rules: &[(&str, Shape)], broken: &mut Vec<Broken<'r>>) {
    for (path, shape) in rules {
        for map in select(root, path) {
            if decides(map) && matches!(map.content, Content::Map(_)) {
                let found = shape.problems(map).into_iter();
                broken.extend(found.map(|(place, problem)| Broken {
                    path: join(at, path),
                    value: map,
                    place,
                    problem,
                }));
            }
        }
    }
}

impl Shape {
    fn problems<'r>(&self, map: &'r Rendered<'r>) -> Vec<(&'r Place, String)> {
        let (Self::All(names) | Self::ExactlyOne(names) | Self::AtMostOne(names)) = self;
        let there: Vec<_> = map.members().iter().filter(|(key, ..)| names.contains(&&**key)).collect();
        let undecided = there.iter().any(|(.., value)| matches!(value.content, Content::Hole));
        match (self, &there[..]) {
            (Self::All(_), _) => {
                let missing = names.iter().filter(|name| map.get(name).is_none());
                missing.map(|name| (map.place, format!("`{name}` is missing here"))).collect()
            }
            (Self::ExactlyOne(_), []) => vec![(map.place, format!("one of {} is missing here", names.join(", ")))],
            (_, [_, (second, place, _), ..]) if !undecided => {
                vec![(place, format!("`{second}` is one too many: one of {}", names.join(", ")))]
            }
            _ => Vec::new(),
        }
    }
}

/// A request can't be greater than its limit.
fn limits<'r>(container: &'r Rendered<'r>, broken: &mut Vec<Broken<'r>>) {
    let Some(resources) = container.get("resources") else { return };
    let amounts = |name: &str| resources.get(name).map(Rendered::members).unwrap_or_default();
    for (key, _, request) in amounts("requests") {
        let limit = amounts("limits").iter().find(|(other, ..)| other == key).map(|(.., limit)| limit);
        let Some(limit) = limit.filter(|limit| decides(limit) && decides(request)) else { continue };
        if parse_amount(request).zip(parse_amount(limit)).is_some_and(|(request, limit)| request > limit) {
            let problem = format!("the request of {} is greater than its limit", shorten(key));
            broken.push(Broken {
                path: format!("resources.requests.{key}"),
                value: request,
                place: request.place,
                problem,
            });
        }
    }
}
