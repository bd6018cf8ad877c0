//! Why a pod is denied, and what people are warned of: data, a sentence by `Display`, a word for metrics by `label`.

mod warning;
mod words;

use super::key::{Key, Level};
use crate::template::parameter::ParameterError;

pub use warning::Warning;
pub use words::{Known, cut, quote, said, some};
use words::{both, computed, literally, suggestion};

/// A graft's name in a message: `log-shipper`, `second.log-shipper`.
pub type Name = String;

/// Why a pod is denied, or, under `failurePolicy: Ignore`, goes in without a graft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A key that is of our prefix and not of its grammar.
    #[error("{key}: {problem}")]
    BadKey {
        /// The key.
        key: Key,
        /// What is wrong with it and what is allowed.
        problem: String,
    },
    /// A main key with a word that is neither a boolean nor meant as a value.
    #[error("{key}: {} is not allowed here; write \"true\" or \"false\"{}", quote(value), literally(key, parameter.as_deref()))]
    NotBoolean {
        /// The key.
        key: Key,
        /// The value found.
        value: String,
        /// The template's primary parameter, which could be set to it by its own key.
        parameter: Option<String>,
    },
    /// No template of this name.
    #[error("{key}: there is no template {template:?}; {}{known}", suggestion(nearest.as_deref()))]
    UnknownTemplate {
        /// The key.
        key: Key,
        /// The name found.
        template: String,
        /// The nearest known name.
        nearest: Option<String>,
        /// Every known name.
        known: Known,
    },
    /// A template that did not load.
    #[error("{key}: template {template:?} can't be used, it did not load: {error}")]
    BrokenTemplate {
        /// The key.
        key: Key,
        /// The template.
        template: String,
        /// Its first mistake, with its place.
        error: String,
    },
    /// No parameter of this name.
    #[error("{key}: template {template:?} has no parameter {}; {}{known}", quote(parameter), suggestion(nearest.as_deref()))]
    UnknownParameter {
        /// The key.
        key: Key,
        /// The template.
        template: String,
        /// The name found.
        parameter: String,
        /// The nearest known name.
        nearest: Option<String>,
        /// Every known name.
        known: Known,
    },
    /// A value on the main key of a template without primary parameter.
    #[error("{key}: template {template:?} takes no value here, found {}; write \"true\" or \"false\"", quote(value))]
    NoPrimary {
        /// The key.
        key: Key,
        /// The template.
        template: String,
        /// The value found.
        value: String,
    },
    /// A value on the main key and another one on the primary parameter's own.
    #[error("{key} and {other} both set parameter {parameter:?}, to different values{}; keep one of them", both(values.as_ref()))]
    TwoValues {
        /// The main key.
        key: Key,
        /// The parameter's key.
        other: Key,
        /// The parameter.
        parameter: String,
        /// Both values, unless the parameter is sensitive.
        values: Option<(String, String)>,
    },
    /// A value that does not fit its parameter.
    #[error("{key}: {error}")]
    BadValue {
        /// The key.
        key: Key,
        /// What is wrong and what is allowed.
        error: ParameterError,
    },
    /// A parameter without default that nobody set.
    #[error("{graft}: parameter {parameter:?} is required; set annotation {key} to {allowed}")]
    MissingParameter {
        /// The graft.
        graft: Name,
        /// The parameter.
        parameter: String,
        /// The annotation to set.
        key: String,
        /// What is allowed.
        allowed: String,
    },
    /// `.containers` is no list of names.
    #[error("{key}: {problem}; write container names separated by commas")]
    BadContainers {
        /// The key.
        key: Key,
        /// What is wrong.
        problem: String,
    },
    /// `.containers` names a container that the pod does not have.
    #[error("{key}: the pod has no container {}; {}{known}", quote(container), suggestion(nearest.as_deref()))]
    UnknownTarget {
        /// The key.
        key: Key,
        /// The name found.
        container: String,
        /// The nearest name.
        nearest: Option<String>,
        /// The pod's containers.
        known: Known,
    },
    /// The pod has no container of its own.
    #[error("{graft}: the pod has no container to graft it onto")]
    NoTarget {
        /// The graft.
        graft: Name,
    },
    /// More annotations of ours than one pod or namespace may have.
    #[error("the {} has {found} annotations of podgraft; at most {most} are allowed", if *level == Level::Pod { "pod" } else { "namespace" })]
    TooManyAnnotations {
        /// Whose they are.
        level: Level,
        /// How many it has.
        found: usize,
        /// How many are allowed.
        most: usize,
    },
    /// A pod so large that comparing it with what it asks for takes too long.
    #[error(
        "the pod has {found} containers, volumes, variables, mounts and ports; with grafts, at most {most} are allowed"
    )]
    TooManyEntries {
        /// How many it has.
        found: usize,
        /// How many are allowed.
        most: usize,
    },
    /// More grafts than one pod may have.
    #[error("the pod would get {found} grafts; at most {most} are allowed")]
    TooManyGrafts {
        /// How many it would get.
        found: usize,
        /// How many are allowed.
        most: usize,
    },
    /// More of something than is looked at, so that no pod can stall the webhook.
    #[error("{graft}: {found} {what}; at most {most} are allowed")]
    TooMuch {
        /// The graft.
        graft: Name,
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many are allowed.
        most: usize,
    },
    /// A name longer than any that runs: each graft compares it with all others.
    #[error("the pod has a {what} name of {found} bytes, {}; at most {most} are allowed by Kubernetes", quote(name))]
    LongName {
        /// `container` or `volume`.
        what: &'static str,
        /// The name, cut.
        name: String,
        /// How long it is, in bytes.
        found: usize,
        /// What is allowed.
        most: usize,
    },
    /// All annotations together may hold 256 KiB (Kubernetes documentation, "Annotations"), our status among them.
    #[error("the pod's annotations take {found} bytes; at most {most} are allowed by Kubernetes")]
    Annotations {
        /// Bytes, with what would be added.
        found: usize,
        /// Bytes allowed.
        most: usize,
    },
    /// An expression without a value for this pod.
    #[error("{graft}: {place}: {message}")]
    Evaluation {
        /// The graft.
        graft: Name,
        /// Where in the template.
        place: String,
        /// What went wrong.
        message: String,
    },
    /// A rendered value that core/v1 does not allow.
    #[error("{graft}: {place}: {problem}")]
    Rendered {
        /// The graft.
        graft: Name,
        /// Where in the template.
        place: String,
        /// What was found and what is allowed.
        problem: String,
    },
    /// A validation of the template that does not hold.
    #[error("{graft}: {message}")]
    Validation {
        /// The graft.
        graft: Name,
        /// The template's own words.
        message: String,
    },
    /// The pod is for another operating system.
    #[error("{graft} is for {wanted} pods, and this is a {found} pod")]
    WrongOs {
        /// The graft.
        graft: Name,
        /// The template's.
        wanted: String,
        /// The pod's.
        found: String,
    },
    /// Ports in the node's network.
    #[error(
        "{graft}: container {container:?} opens ports, and the pod has hostNetwork: they would be the node's; a template allows that by hostNetwork: allow"
    )]
    HostNetwork {
        /// The graft.
        graft: Name,
        /// The container that has ports.
        container: String,
    },
    /// A sidecar in the classic form would keep the pod from completing.
    #[error(
        "{graft}: sidecar {container:?} would never let a pod with restartPolicy {policy} complete; native sidecars are turned off here"
    )]
    ClassicSidecar {
        /// The graft.
        graft: Name,
        /// The sidecar.
        container: String,
        /// The pod's restart policy.
        policy: String,
    },
    /// A container name that is taken.
    #[error("{graft}: container {container:?} is already {by}; rename one of them, or graft a named instance")]
    ContainerName {
        /// The graft.
        graft: Name,
        /// The name.
        container: String,
        /// Who has it.
        by: String,
    },
    /// A volume of the name that ours would have, and of another kind.
    #[error(
        "{graft}: the pod has a volume {volume:?}, which is not the one of the template; rename it, or graft a named instance"
    )]
    VolumeName {
        /// The graft.
        graft: Name,
        /// The volume.
        volume: String,
    },
    /// A volume of the name that is kept for the one over the service account's token.
    #[error(
        "{graft}: the pod has a volume {volume:?} that is no emptyDir, and podgraft keeps this name for what it mounts over the service account token of injected containers; rename the pod's"
    )]
    KeptVolume {
        /// The graft.
        graft: Name,
        /// The volume.
        volume: String,
    },
    /// Two grafts with volumes of one name: what is in one is not for the other.
    #[error(
        "{graft} and {other} both make a volume {volume:?}; graft one of them as a named instance, or rename a template or its volume"
    )]
    VolumeTwice {
        /// The graft.
        graft: Name,
        /// The earlier one.
        other: Name,
        /// The volume.
        volume: String,
    },
    /// A port that another container which runs at the same time has.
    #[error("{graft}: container {container:?} wants {port}, which {by} has")]
    Port {
        /// The graft.
        graft: Name,
        /// The container.
        container: String,
        /// `port 8080/TCP` or `hostPort 8080/TCP`.
        port: String,
        /// Who has it.
        by: String,
    },
    /// A path at which the container mounts something else.
    #[error("{graft}: container {container:?} can't mount volume {volume:?} at {path}: {by} is there")]
    MountPath {
        /// The graft.
        graft: Name,
        /// The container.
        container: String,
        /// The volume that should be there.
        volume: String,
        /// The path.
        path: String,
        /// What is there.
        by: String,
    },
    /// Two grafts with different values for one variable.
    #[error("{graft} and {other} set variable {variable} of container {container:?} to different values")]
    Variable {
        /// The graft.
        graft: Name,
        /// The earlier one.
        other: Name,
        /// The variable.
        variable: String,
        /// The target.
        container: String,
    },
    /// Two grafts with different values for one label or annotation, host alias or the like.
    #[error("{graft} and {other} set {what} to different values")]
    PodField {
        /// The graft.
        graft: Name,
        /// The earlier one.
        other: Name,
        /// `label app` or the like.
        what: String,
    },
    /// Targets that mount different volumes at the shared path.
    #[error(
        "{graft}: containers {first:?} and {second:?} mount different volumes at {path} ({first_volume} and {second_volume}), so it can't be shared"
    )]
    SharedVolumes {
        /// The graft.
        graft: Name,
        /// The path.
        path: String,
        /// The target that decides.
        first: String,
        /// Its volume.
        first_volume: String,
        /// The target that differs.
        second: String,
        /// Its volume.
        second_volume: String,
    },
    /// A volume that can't be written and a container that writes.
    #[error("{graft}: container {container:?} writes to {path}, but {by}; make it writable, or choose another path")]
    SharedReadOnly {
        /// The graft.
        graft: Name,
        /// The injected container.
        container: String,
        /// The shared path.
        path: String,
        /// Which volume or mount is read-only.
        by: String,
    },
    /// A mount whose sub path only the kubelet knows.
    #[error("{graft}: {}, which can't be shared; use subPath", computed(container, path, by.as_deref()))]
    SharedSubPathExpr {
        /// The graft.
        graft: Name,
        /// The target.
        container: String,
        /// The path.
        path: String,
        /// The earlier graft whose mount it is; none: the pod's own.
        by: Option<Name>,
    },
    /// No target mounts the path, and the template makes no volume.
    #[error("{graft}: none of the target containers mounts {path}; {mounts}")]
    NothingMounted {
        /// The graft.
        graft: Name,
        /// The path.
        path: String,
        /// What they mount.
        mounts: String,
    },
    /// Something that the namespace's Pod Security Standard does not allow.
    #[error("{graft}: {what} breaks the Pod Security Standard that the namespace enforces: {rule}")]
    PodSecurity {
        /// The graft.
        graft: Name,
        /// What breaks it: `container "web"`.
        what: String,
        /// The standard, and what it allows where.
        rule: String,
    },
    /// An order that can't be.
    #[error("{graft}: the order can't be kept: {chain}")]
    Order {
        /// A graft of the chain.
        graft: Name,
        /// `a before b, b before a`.
        chain: String,
    },
}

impl Reason {
    /// The bounded word for metrics and log fields.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::BadKey { .. } => "bad_key",
            Self::NotBoolean { .. } | Self::NoPrimary { .. } | Self::BadValue { .. } | Self::BadContainers { .. } => {
                "bad_value"
            }
            Self::TwoValues { .. } => "two_values",
            Self::UnknownTemplate { .. } => "unknown_template",
            Self::BrokenTemplate { .. } => "broken_template",
            Self::UnknownParameter { .. } => "unknown_parameter",
            Self::MissingParameter { .. } => "missing_parameter",
            Self::UnknownTarget { .. } | Self::NoTarget { .. } => "no_target",
            Self::TooManyAnnotations { .. }
            | Self::TooManyEntries { .. }
            | Self::TooManyGrafts { .. }
            | Self::TooMuch { .. }
            | Self::LongName { .. }
            | Self::Annotations { .. } => "too_much",
            Self::Evaluation { .. } | Self::Rendered { .. } => "evaluation",
            Self::Validation { .. } => "validation",
            Self::WrongOs { .. } | Self::HostNetwork { .. } | Self::ClassicSidecar { .. } => "impossible",
            Self::ContainerName { .. } => "container_name",
            Self::VolumeName { .. } | Self::KeptVolume { .. } | Self::VolumeTwice { .. } => "volume_name",
            Self::Port { .. } => "port",
            Self::MountPath { .. } => "mount_path",
            Self::Variable { .. } | Self::PodField { .. } => "different_values",
            Self::SharedVolumes { .. }
            | Self::SharedReadOnly { .. }
            | Self::SharedSubPathExpr { .. }
            | Self::NothingMounted { .. } => "shared_volume",
            Self::PodSecurity { .. } => "pod_security",
            Self::Order { .. } => "order",
        }
    }

    /// Every word that [`label`](Self::label) can give, for metrics that are set up ahead.
    pub const LABELS: [&'static str; 20] = [
        "bad_key",
        "bad_value",
        "two_values",
        "unknown_template",
        "broken_template",
        "unknown_parameter",
        "missing_parameter",
        "no_target",
        "too_much",
        "evaluation",
        "validation",
        "impossible",
        "container_name",
        "volume_name",
        "port",
        "mount_path",
        "different_values",
        "shared_volume",
        "pod_security",
        "order",
    ];
}
