//! The API server's rules for containers and volumes (`pkg/apis/core/validation`), as far as a trial rendering decides
//! them: a table of rules for values, and one for what stands together.

mod together;
mod value;
mod volume;

use std::fmt;

use super::diagnostic::{Place, Problems};
use super::names;
use super::parameter::HIDDEN_PROBLEM;
use super::rendered::{Basis, Content, Rendered, Role};
use together::{divisor, profile, resources, together};
use value::{
    address, amount, api_version, capability, field_path, header, id, mount_path, not_negative, one_of, port,
    port_or_name, positive, resource_field, signal, sub_path, without_parents,
};
pub(super) use volume::{is_open_volume, volume_rules, volume_source};

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
    ("env[].valueFrom.fieldRef.apiVersion", api_version),
    ("env[].valueFrom.fieldRef.fieldPath", field_path),
    ("env[].valueFrom.resourceFieldRef.resource", resource_field),
    ("env[].valueFrom.configMapKeyRef.name", |name| names::subdomain(name.text()?)),
    ("env[].valueFrom.configMapKeyRef.key", |key| names::data_key(key.text()?)),
    ("env[].valueFrom.secretKeyRef.name", |name| names::subdomain(name.text()?)),
    ("env[].valueFrom.secretKeyRef.key", |key| names::data_key(key.text()?)),
    ("env[].valueFrom.fileKeyRef.key", |key| names::variable(key.text()?)),
    ("env[].valueFrom.fileKeyRef.volumeName", |name| names::label(name.text()?, names::MAX_LABEL)),
    ("env[].valueFrom.fileKeyRef.path", without_parents),
    ("envFrom[].configMapRef.name", |name| names::subdomain(name.text()?)),
    ("envFrom[].secretRef.name", |name| names::subdomain(name.text()?)),
    ("envFrom[].prefix", |prefix| names::variable(prefix.text().filter(|prefix| !prefix.is_empty())?)),
    ("ports[].name", |name| names::port(name.text()?)),
    ("ports[].containerPort", port),
    ("ports[].hostPort", |port| value::port(port).filter(|_| port.integer() != Some(0))),
    ("ports[].protocol", |protocol| one_of(protocol, &["TCP", "UDP", "SCTP"])),
    ("volumeMounts[].mountPath", mount_path),
    ("volumeMounts[].subPath", sub_path),
    ("volumeMounts[].subPathExpr", sub_path),
    ("volumeMounts[].mountPropagation", |mode| one_of(mode, &["None", "HostToContainer", "Bidirectional"])),
    ("volumeMounts[].recursiveReadOnly", |mode| one_of(mode, &["Disabled", "IfPossible", "Enabled"])),
    ("resources.limits.*", amount),
    ("resources.requests.*", amount),
    ("securityContext.runAsUser", id),
    ("securityContext.runAsGroup", id),
    ("securityContext.seccompProfile.type", |kind| one_of(kind, PROFILES)),
    ("securityContext.seccompProfile.localhostProfile", sub_path),
    ("securityContext.appArmorProfile.type", |kind| one_of(kind, PROFILES)),
    ("securityContext.appArmorProfile.localhostProfile", |name| {
        let name = name.text()?;
        (name.is_empty() || name.trim() != name).then(|| "a profile can't be empty or have blanks around".to_owned())
    }),
    ("securityContext.procMount", |mount| one_of(mount, &["Default", "Unmasked"])),
    ("resizePolicy[].resourceName", |name| one_of(name, &["cpu", "memory"])),
    ("resizePolicy[].restartPolicy", |policy| one_of(policy, &["NotRequired", "RestartContainer"])),
    ("securityContext.capabilities.drop[]", capability),
    ("securityContext.capabilities.add[]", capability),
    ("lifecycle.stopSignal", signal),
];

/// The kinds of a profile for seccomp or AppArmor.
const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];

/// Rules for the values in what a probe or hook does.
const ACTION_VALUES: &[(&str, Rule)] = &[
    ("httpGet.port", port_or_name),
    ("tcpSocket.port", port_or_name),
    ("httpGet.scheme", |scheme| one_of(scheme, &["HTTP", "HTTPS"])),
    ("httpGet.httpHeaders[].name", header),
    ("sleep.seconds", not_negative),
    ("exec.command", |command| {
        let none = matches!(&command.content, Content::List(words) if words.is_empty());
        none.then(|| "a command has at least one word".to_owned())
    }),
];

/// Rules for the values in a probe.
const PROBE_VALUES: &[(&str, Rule)] = &[
    ("grpc.port", port),
    ("terminationGracePeriodSeconds", positive),
    ("initialDelaySeconds", not_negative),
    ("timeoutSeconds", not_negative),
    ("periodSeconds", not_negative),
    ("successThreshold", not_negative),
    ("failureThreshold", not_negative),
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

/// What the API server takes whatever it is: entries that may be there or not, and any text.
const FREE: &[&str] = &[
    "",
    "command",
    "command[]",
    "args",
    "args[]",
    "workingDir",
    "env[]",
    "env[].value",
    "envFrom[]",
    "volumeMounts[]",
    // The engine looks for the volume.
    "volumeMounts[].name",
];

/// Which members of a map must, or can't, stand together.
enum Shape {
    All(&'static [&'static str]),
    ExactlyOne(&'static [&'static str]),
    AtMostOne(&'static [&'static str]),
    /// What else has to hold in the map.
    Other(for<'r> fn(&'r Rendered<'r>) -> Vec<(&'r Place, String)>),
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
    ("lifecycle.*", Shape::ExactlyOne(&["exec", "httpGet", "tcpSocket", "sleep"])),
    ("env[].valueFrom.fieldRef", Shape::All(&["fieldPath"])),
    ("env[].valueFrom.resourceFieldRef", Shape::All(&["resource"])),
    ("env[].valueFrom.resourceFieldRef", Shape::Other(divisor)),
    ("env[].valueFrom.configMapKeyRef", Shape::All(&["name", "key"])),
    ("env[].valueFrom.secretKeyRef", Shape::All(&["name", "key"])),
    ("env[].valueFrom.fileKeyRef", Shape::All(&["volumeName", "path", "key"])),
    ("envFrom[].configMapRef", Shape::All(&["name"])),
    ("envFrom[].secretRef", Shape::All(&["name"])),
    ("securityContext.seccompProfile", Shape::Other(profile)),
    ("securityContext.appArmorProfile", Shape::Other(profile)),
    ("resizePolicy[]", Shape::All(&["resourceName", "restartPolicy"])),
];

const ACTION_SHAPES: &[(&str, Shape)] = &[
    ("exec", Shape::All(&["command"])),
    ("httpGet", Shape::All(&["port"])),
    ("tcpSocket", Shape::All(&["port"])),
    ("httpGet.httpHeaders[]", Shape::All(&["name"])),
];

const PROBE_SHAPES: &[(&str, Shape)] =
    &[("", Shape::ExactlyOne(&["exec", "httpGet", "tcpSocket", "grpc"])), ("grpc", Shape::All(&["port"]))];

/// Hooks, which do what probes do.
const HOOKS: &[&str] = &["postStart", "preStop"];

/// What only Linux has of a `securityContext` (`validateWindows`).
const LINUX: &[&str] = &[
    "allowPrivilegeEscalation",
    "appArmorProfile",
    "capabilities",
    "privileged",
    "procMount",
    "readOnlyRootFilesystem",
    "runAsGroup",
    "runAsUser",
    "seLinuxOptions",
    "seccompProfile",
];

/// What only Windows has of it (`validateLinux`).
const WINDOWS: &[&str] = &["windowsOptions"];

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

impl<'r> Broken<'r> {
    /// What is wrong with a value where it stands.
    fn of(path: impl Into<String>, value: &'r Rendered<'r>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), value, place: value.place, problem: problem.into() }
    }
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
    if let Some((key, place, _)) = container.members().iter().find(|(key, ..)| key == "volumeDevices") {
        problems
            .error(place, format!("an injected container can't have `{key}`"))
            .help("mount a volume with a file system: what is injected shares files, not disks");
    }
    if let Some((key, place, _)) = container.members().iter().find(|(key, ..)| key == "restartPolicyRules") {
        problems.error(place, format!("an injected container can't have `{key}`")).help(
            "a sidecar is always restarted, an init container as the pod's restartPolicy says; rules beside that are \
             refused before Kubernetes 1.36",
        );
    }
    if role == Some(Role::Init) {
        for policy in select(container, "resizePolicy[].restartPolicy") {
            if decides(policy) && policy.text() == Some("RestartContainer") {
                report(policy, policy.place, "an init container that runs to its end is not restarted", problems);
            }
        }
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
            action(probe, name, &mut broken);
        }
    }
    for name in HOOKS {
        if let Some(hook) = container.get("lifecycle").and_then(|hooks| hooks.get(name)) {
            action(hook, &join("lifecycle", name), &mut broken);
        }
    }
    let grace = container.get("readinessProbe").and_then(|probe| probe.get("terminationGracePeriodSeconds"));
    if let Some(value) = grace {
        let path = "readinessProbe.terminationGracePeriodSeconds";
        let problem = "a readinessProbe ends nothing, so it has none";
        broken.push(Broken::of(path, value, problem));
    }
    for name in ["livenessProbe", "startupProbe"] {
        let threshold = container.get(name).and_then(|probe| probe.get("successThreshold"));
        if let Some(value) = threshold.filter(|threshold| decides(threshold) && threshold.integer() != Some(1)) {
            let problem = format!("the successThreshold of a {name} must be 1");
            broken.push(Broken::of(join(name, "successThreshold"), value, problem));
        }
    }
    resources(container, &mut broken);
    together(container, &mut broken);
    broken
}

/// What a probe or hook does.
fn action<'r>(action: &'r Rendered<'r>, at: &str, broken: &mut Vec<Broken<'r>>) {
    values(action, at, ACTION_VALUES, broken);
    shapes(action, at, ACTION_SHAPES, broken);
}

/// Checks what the other operating system alone has.
pub(super) fn os(container: &Rendered<'_>, windows: bool, problems: &mut Problems<'_>) {
    let (name, strange, help) =
        if windows { ("Windows", LINUX, "remove it") } else { ("Linux", WINDOWS, "remove it, or say `os: windows`") };
    for (key, place, _) in container.get("securityContext").map(Rendered::members).unwrap_or_default() {
        if strange.contains(&&**key) {
            problems.error(place, format!("a container of {name} has no `{key}`")).help(help);
        }
    }
    for stop in select(container, "lifecycle.stopSignal").into_iter().filter(|stop| windows && decides(stop)) {
        if let Some(problem) = one_of(stop, &["SIGKILL", "SIGTERM"]) {
            report(stop, stop.place, &format!("{problem}, which Windows has"), problems);
        }
    }
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
/// when a pod has given it its value. What stands alone is ruled as well as what stands together, so that any value that
/// is not free counts.
pub(super) fn is_open(container: &Rendered<'_>) -> bool {
    is_made_beside(container, "", &|path, _| WIRED.contains(&path) || FREE.contains(&path))
}

/// Whether an expression decides about a value, or whether it is there, anywhere but at some paths.
fn is_made_beside(value: &Rendered<'_>, path: &str, passed: &dyn Fn(&str, &Rendered<'_>) -> bool) -> bool {
    let made = value.conditional || value.expression || matches!(value.content, Content::Hole);
    (made && !passed(path, value))
        || value.members().iter().any(|(key, _, value)| is_made_beside(value, &join(path, key), passed))
        || value.items().iter().any(|item| is_made_beside(item, &format!("{path}[]"), passed))
}

/// Holds broken rules against the author.
fn report_all(broken: Vec<Broken<'_>>, problems: &mut Problems<'_>) {
    for Broken { value, place, problem, .. } in broken {
        report(value, place, &problem, problems);
    }
}

/// Holds a value against the author.
pub(super) fn report(value: &Rendered<'_>, place: &Place, problem: &str, problems: &mut Problems<'_>) {
    let problem = if value.secret { HIDDEN_PROBLEM } else { problem };
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
                broken.push(Broken::of(join(at, path), value, problem));
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
        let names = match self {
            Self::All(names) | Self::ExactlyOne(names) | Self::AtMostOne(names) => names,
            Self::Other(rule) => return rule(map),
        };
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
