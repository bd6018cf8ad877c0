//! `spec.podSecurity`: the Pod Security Standard that a template claims for what it injects, held against its trial
//! rendering. The controls are those of Kubernetes' documentation ("Pod Security Standards", v1.34), as far as a template
//! can break them; host namespaces, sysctls and the pod's own securityContext are the pod's.

use super::check::{self, decides, select};
use super::container::Parts;
use super::diagnostic::Problems;
use super::fields::shorten;
use super::trial::{Content, Rendered};

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

/// What a standard allows at a path of a container.
struct Control {
    standard: PodSecurity,
    path: &'static str,
    /// Nothing is not allowed.
    required: bool,
    /// Windows has no such thing, and the standard asks nothing of its pods.
    linux: bool,
    allows: fn(&Rendered<'_>) -> bool,
    /// What it allows, for people.
    allowed: &'static str,
}

const fn baseline(path: &'static str, allows: fn(&Rendered<'_>) -> bool, allowed: &'static str) -> Control {
    Control { standard: PodSecurity::Baseline, path, required: false, linux: false, allows, allowed }
}

const fn restricted(path: &'static str, allows: fn(&Rendered<'_>) -> bool, allowed: &'static str) -> Control {
    Control { standard: PodSecurity::Restricted, ..baseline(path, allows, allowed) }
}

const fn required(path: &'static str, allows: fn(&Rendered<'_>) -> bool, allowed: &'static str) -> Control {
    Control { required: true, ..restricted(path, allows, allowed) }
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
    baseline("securityContext.seccompProfile.type", is_profile, PROFILES),
    baseline("securityContext.appArmorProfile.type", is_profile, PROFILES),
    baseline(
        "securityContext.seLinuxOptions.type",
        |kind| is_one_of(kind, &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"]),
        "only container_t, container_init_t, container_kvm_t and container_engine_t",
    ),
    baseline("securityContext.seLinuxOptions.user", is_empty, "nothing"),
    baseline("securityContext.seLinuxOptions.role", is_empty, "nothing"),
    baseline("ports[].hostPort", |port| port.integer() == Some(0), "nothing"),
    baseline("livenessProbe.*.host", is_empty, "nothing"),
    baseline("readinessProbe.*.host", is_empty, "nothing"),
    baseline("startupProbe.*.host", is_empty, "nothing"),
    baseline("lifecycle.*.*.host", is_empty, "nothing"),
    required("securityContext.runAsNonRoot", |flag| matches!(flag.content, Content::Bool(true)), "only true"),
    restricted("securityContext.runAsUser", |user| user.integer() != Some(0), "any user but 0"),
    Control { linux: true, ..required("securityContext.allowPrivilegeEscalation", is_false, "only false") },
    Control { linux: true, ..required("securityContext.seccompProfile.type", is_profile, PROFILES) },
    Control {
        linux: true,
        ..required(
            "securityContext.capabilities.drop",
            |dropped| dropped.items().iter().any(|capability| capability.text() == Some("ALL")),
            "only lists with ALL",
        )
    },
    Control {
        linux: true,
        ..restricted(
            "securityContext.capabilities.add[]",
            |capability| is_one_of(capability, &["NET_BIND_SERVICE"]),
            "only NET_BIND_SERVICE",
        )
    },
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

/// What chose AppArmor profiles before Kubernetes 1.30.
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Holds what a template injects against the standard that it claims.
pub(super) fn check(claim: PodSecurity, os: &str, parts: &Parts<'_>, problems: &mut Problems<'_>) {
    let asked = |control: &&Control| control.standard <= claim && !(control.linux && os == "windows");
    for (_, container) in &parts.containers {
        for control in CONTAINER.iter().filter(asked) {
            control.check(claim, container, problems);
        }
    }
    let volumes = parts.volumes.iter().chain(parts.shared_volumes.iter().filter_map(|volume| volume.get("volume")));
    for (source, place, _) in volumes.flat_map(Rendered::members).filter(|(key, ..)| key != "name") {
        if !claim.allows_volume(source) {
            problems.error(place, format!("podSecurity: {} allows no {} volume", claim.name(), shorten(source)));
        }
    }
    let annotations = parts.pod.iter().filter_map(|pod| pod.get("annotations")).flat_map(Rendered::members);
    for (_, place, profile) in annotations.filter(|(key, ..)| key.starts_with(APP_ARMOR)) {
        if is_decided(profile) && !profile.text().is_some_and(|profile| claim.allows_app_armor(profile)) {
            let message = format!("podSecurity: {} allows only runtime/default and localhost/* here", claim.name());
            problems.error(place, message);
        }
    }
}

impl PodSecurity {
    fn allows_volume(self, source: &str) -> bool {
        match self {
            Self::Privileged => true,
            Self::Baseline => source != "hostPath",
            Self::Restricted => SOURCES.contains(&source),
        }
    }

    fn allows_app_armor(self, profile: &str) -> bool {
        self == Self::Privileged || matches!(profile, "" | "runtime/default") || profile.starts_with("localhost/")
    }
}

impl Control {
    fn check(&self, claim: PodSecurity, container: &Rendered<'_>, problems: &mut Problems<'_>) {
        let Self { path, allowed, .. } = self;
        let claim = claim.name();
        let found = select(container, path);
        if found.is_empty() && self.required && is_known(container, path) {
            problems.error(container.place, format!("podSecurity: {claim} wants {path} here, and allows {allowed}"));
        }
        for value in found.into_iter().filter(|value| is_decided(value) && !(self.allows)(value)) {
            check::report(value, value.place, &format!("podSecurity: {claim} allows {allowed} as {path}"), problems);
        }
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
