//! The Pod Security Standards: the one that a template claims for what it injects (`spec.podSecurity`), held against its
//! trial rendering; and the one that a namespace enforces ([`enforce`]), held against what a pod gets. The controls are
//! those of Kubernetes' documentation ("Pod Security Standards", v1.36), as far as a template can break them; host
//! namespaces, sysctls and the pod's own securityContext are the pod's.

pub(crate) mod enforce;

use super::check::{self, decides, select};
use super::diagnostic::{Place, Problems, shorten};
use super::rendered::{Content, Parts, Rendered};

/// A Pod Security Standard, from the laxest to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodSecurity {
    /// No restriction.
    Privileged,
    /// No known way to more privileges.
    Baseline,
    /// What hardened pods may have.
    Restricted,
}

impl PodSecurity {
    /// Every standard, by its name.
    pub const NAMES: [(&'static str, Self); 3] =
        [("privileged", Self::Privileged), ("baseline", Self::Baseline), ("restricted", Self::Restricted)];

    /// Its name in templates and in the labels of namespaces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// A version of the standards: the minor number of the Kubernetes version that they came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u16);

impl Version {
    /// Whatever is newest.
    pub const LATEST: Self = Self(u16::MAX);

    /// Windows has no capabilities, seccomp or escalation; before this, the standard asked for them all the same.
    const SPARES_WINDOWS: Self = Self(25);

    /// From here on a pod in a user namespace of its own (`hostUsers: false`) may run as what is root there.
    const SPARES_USER_NAMESPACES: Self = Self(35);
}

/// What a standard allows at a path of a container.
struct Control {
    standard: PodSecurity,
    path: &'static str,
    /// Nothing is not allowed; this JSON is what may be written there.
    required: Option<&'static str>,
    /// Windows has no such thing, and the standard asks nothing of its pods.
    linux: bool,
    /// It is not asked of pods with a user namespace of their own.
    root: bool,
    /// The first and the last version that have it.
    versions: (Version, Version),
    allows: fn(&Rendered<'_>) -> bool,
    /// What it allows, for people.
    allowed: &'static str,
}

const fn baseline(path: &'static str, allows: fn(&Rendered<'_>) -> bool, allowed: &'static str) -> Control {
    let (standard, versions) = (PodSecurity::Baseline, (Version(0), Version::LATEST));
    Control { standard, path, required: None, linux: false, root: false, versions, allows, allowed }
}

const fn restricted(path: &'static str, allows: fn(&Rendered<'_>) -> bool, allowed: &'static str) -> Control {
    Control { standard: PodSecurity::Restricted, ..baseline(path, allows, allowed) }
}

const fn required(
    path: &'static str,
    allows: fn(&Rendered<'_>) -> bool,
    allowed: &'static str,
    written: &'static str,
) -> Control {
    Control { required: Some(written), ..restricted(path, allows, allowed) }
}

impl Control {
    const fn since(self, minor: u16) -> Self {
        Self { versions: (Version(minor), self.versions.1), ..self }
    }

    const fn until(self, minor: u16) -> Self {
        Self { versions: (self.versions.0, Version(minor)), ..self }
    }

    const fn of_linux(self) -> Self {
        Self { linux: true, ..self }
    }

    const fn of_root(self) -> Self {
        Self { root: true, ..self }
    }
}

const CONTAINER: &[Control] = &[
    baseline("securityContext.privileged", is_false, "only false"),
    baseline("securityContext.windowsOptions.hostProcess", is_false, "only false"),
    baseline(
        "securityContext.capabilities.add[]",
        |capability| is_one_of(capability, CAPABILITIES),
        "only AUDIT_WRITE, CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, MKNOD, NET_BIND_SERVICE, SETFCAP, SETGID, SETPCAP, \
         SETUID and SYS_CHROOT",
    ),
    baseline("securityContext.procMount", |mount| is_one_of(mount, &["Default"]), "only Default"),
    baseline("securityContext.seccompProfile.type", is_profile, PROFILES).since(19),
    baseline("securityContext.appArmorProfile.type", is_profile, PROFILES),
    baseline(
        "securityContext.seLinuxOptions.type",
        |kind| is_one_of(kind, &["", "container_t", "container_init_t", "container_kvm_t"]),
        "only container_t, container_init_t and container_kvm_t",
    )
    .until(30),
    baseline(
        "securityContext.seLinuxOptions.type",
        |kind| is_one_of(kind, &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"]),
        "only container_t, container_init_t, container_kvm_t and container_engine_t",
    )
    .since(31),
    baseline("securityContext.seLinuxOptions.user", is_empty, "nothing"),
    baseline("securityContext.seLinuxOptions.role", is_empty, "nothing"),
    baseline("ports[].hostPort", |port| port.integer() == Some(0), "nothing"),
    baseline("livenessProbe.*.host", is_empty, "nothing").since(34),
    baseline("readinessProbe.*.host", is_empty, "nothing").since(34),
    baseline("startupProbe.*.host", is_empty, "nothing").since(34),
    baseline("lifecycle.*.*.host", is_empty, "nothing").since(34),
    required("securityContext.runAsNonRoot", |flag| matches!(flag.content, Content::Bool(true)), "only true", "true")
        .of_root(),
    restricted("securityContext.runAsUser", |user| user.integer() != Some(0), "any user but 0").since(23).of_root(),
    required("securityContext.allowPrivilegeEscalation", is_false, "only false", "false").since(8).of_linux(),
    required("securityContext.seccompProfile.type", is_profile, PROFILES, "\"RuntimeDefault\"").since(19).of_linux(),
    required(
        "securityContext.capabilities.drop",
        |dropped| dropped.items().iter().any(|capability| capability.text() == Some("ALL")),
        "only lists with ALL",
        "[\"ALL\"]",
    )
    .since(22)
    .of_linux(),
    restricted(
        "securityContext.capabilities.add[]",
        |capability| is_one_of(capability, &["NET_BIND_SERVICE"]),
        "only NET_BIND_SERVICE",
    )
    .since(22)
    .of_linux(),
];

/// What container runtimes give a container anyway.
const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

const PROFILES: &str = "only RuntimeDefault and Localhost";

/// The volume sources of the standard "restricted".
const SOURCES: &[&str] =
    &["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

/// Holds what a template injects against the standard that it claims.
pub(super) fn check(claim: PodSecurity, os: &str, parts: &Parts<'_>, problems: &mut Problems<'_>) {
    let asked = Asked { standard: claim, version: Version::LATEST, windows: os == "windows", user_namespace: false };
    for (_, container) in &parts.containers {
        for Broken { value, place, path, allowed } in asked.broken(container) {
            let claim = claim.name();
            match value {
                Some(value) => {
                    let problem = format!("podSecurity: {claim} allows {allowed} as {path}");
                    check::report(value, place, &problem, problems);
                }
                None => {
                    problems.error(place, format!("podSecurity: {claim} wants {path} here, and allows {allowed}"));
                }
            }
        }
    }
    let volumes = parts.volumes.iter().chain(parts.shared_volumes.iter().filter_map(|volume| volume.get("volume")));
    for (source, place, _) in volumes.flat_map(Rendered::members).filter(|(key, ..)| key != "name") {
        if let Some(problem) = claim.against_volume(source) {
            problems.error(place, format!("podSecurity: {problem}"));
        }
    }
}

impl PodSecurity {
    /// What it has against a volume of this kind.
    fn against_volume(self, source: &str) -> Option<String> {
        let allowed = match self {
            Self::Privileged => true,
            Self::Baseline => source != "hostPath",
            Self::Restricted => SOURCES.contains(&source),
        };
        (!allowed).then(|| format!("{} allows no {} volume", self.name(), shorten(source)))
    }
}

/// What a standard asks of the containers of a pod.
#[derive(Debug, Clone, Copy)]
struct Asked {
    standard: PodSecurity,
    version: Version,
    windows: bool,
    user_namespace: bool,
}

/// A control that a container breaks.
struct Broken<'r, 't> {
    /// The value that breaks it; none if one is missing.
    value: Option<&'r Rendered<'t>>,
    place: &'t Place,
    /// Where in the container.
    path: &'static str,
    /// What is allowed there.
    allowed: &'static str,
}

impl Asked {
    /// The controls that hold for the pod.
    fn controls(self) -> impl Iterator<Item = &'static Control> {
        CONTAINER.iter().filter(move |control| {
            let (first, last) = control.versions;
            control.standard <= self.standard
                && (first..=last).contains(&self.version)
                && !(control.linux && self.windows && self.version >= Version::SPARES_WINDOWS)
                && !(control.root && self.user_namespace && self.version >= Version::SPARES_USER_NAMESPACES)
        })
    }

    /// What of them a container breaks, as far as it is decided.
    fn broken<'r, 't>(self, container: &'r Rendered<'t>) -> Vec<Broken<'r, 't>> {
        let each = self.controls().flat_map(|control| {
            let Control { path, allowed, .. } = *control;
            let found = select(container, path);
            let missing = found.is_empty() && control.required.is_some() && is_known(container, path);
            let missing = missing.then_some(Broken { value: None, place: container.place, path, allowed });
            let wrong = found.into_iter().filter(|value| is_decided(value) && !(control.allows)(value));
            let wrong = wrong.map(move |value| Broken { value: Some(value), place: value.place, path, allowed });
            missing.into_iter().chain(wrong).collect::<Vec<_>>()
        });
        each.collect()
    }
}

/// Whether the file says what it is.
fn is_decided(value: &Rendered<'_>) -> bool {
    decides(value) && !matches!(value.content, Content::Hole)
}

/// Whether all maps on the way to what is not there are known.
fn is_known(container: &Rendered<'_>, path: &str) -> bool {
    let mut at = Some(container);
    path.split('.').all(|step| {
        let known = at.is_none_or(is_decided);
        at = at.and_then(|map| map.get(step));
        known
    })
}

fn is_one_of(value: &Rendered<'_>, allowed: &[&str]) -> bool {
    value.text().is_some_and(|text| allowed.contains(&text))
}

fn is_false(value: &Rendered<'_>) -> bool {
    matches!(value.content, Content::Bool(false))
}

fn is_empty(value: &Rendered<'_>) -> bool {
    value.text() == Some("")
}

fn is_profile(value: &Rendered<'_>) -> bool {
    is_one_of(value, &["RuntimeDefault", "Localhost"])
}
