//! Injection templates: what a pod may ask for, compiled once when they are loaded.
//!
//! [`load`] turns a YAML file into [`Template`]s or into a [`LoadError`] that shows every mistake with its place. A
//! compiled template holds everything that no expression touches as JSON text, and the rest as [`node::Node`]s with
//! holes; a request parses, compiles and serialises nothing that could be done here.

mod allowance;
mod builtin;
mod check;
mod compile;
mod container;
mod declaration;
mod decode;
mod diagnostic;
mod document;
pub(crate) mod expansion;
pub mod expression;
mod fields;
mod file;
mod lint;
mod metadata;
pub(crate) mod names;
pub mod node;
pub mod parameter;
pub(crate) mod paths;
pub(crate) mod pod_security;
mod rendered;
mod shell;
mod stand_in;
mod trial;
mod validation;
pub(crate) mod verify;
mod whole;
mod yaml;

use std::fmt;
use std::sync::Arc;

use expression::Expression;
use node::{Entry, Node};
use parameter::Parameter;

pub use builtin::builtin;
pub use diagnostic::{Diagnostic, LoadError, render_warnings};
pub use pod_security::PodSecurity;
pub use pod_security::enforce::Enforced;

/// Which pods find a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Every namespace's (`ClusterInjectionTemplate`).
    Cluster,
    /// The pods of this namespace, before any cluster-wide template of the name (`InjectionTemplate`).
    Namespace(String),
}

/// Where a template came from, in the words that messages use: a file path, or `built-in/<name>.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(pub Arc<str>);

/// A line of the template's file, counted from 1: each planned change says which line asked for it.
pub type Line = u32;

/// What a pod that does not meet a validation gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Action {
    /// Not the graft: `failurePolicy` decides about the pod.
    #[default]
    Deny,
    /// The graft, and a warning.
    Warn,
}

/// What has to hold for a pod and its parameters before anything is planned.
#[derive(Debug)]
pub struct Validation {
    /// `expression`: CEL bool; true is right.
    pub expression: Expression,
    /// `message`: what is wrong and what to do, text.
    pub message: Node,
    /// `action`.
    pub action: Action,
}

/// Which app containers a template is wired into when the pod does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Targets {
    /// The default container, or the first one.
    #[default]
    First,
    /// Every app container.
    All,
}

/// What happens to a pod that can't get the graft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// The pod is denied.
    #[default]
    Fail,
    /// The pod goes in without it, with a warning.
    Ignore,
}

/// The templates or containers that a template's containers stand before or after, where those are there.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// Names that come later than this template.
    pub before: Vec<String>,
    /// Names that come earlier than this template.
    pub after: Vec<String>,
}

/// The user and group that an injected container runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunAs {
    /// What the template says (`runAs: own`).
    #[default]
    Own,
    /// The first target's effective non-root user and group, else 65532 (`runAs: target`).
    Target,
}

/// What an injected container finds in its environment beside its own variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Environment {
    /// Nothing (`environment: own`).
    #[default]
    Own,
    /// What the first target finds there, with what all grafts add to that target (`environment: target`).
    Target,
}

/// Whether an injected container sees the pod's service account token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServiceAccountToken {
    /// The token's path is covered by an empty read-only mount (`serviceAccountToken: none`).
    #[default]
    None,
    /// Left to the API server, which mounts the pod's token (`serviceAccountToken: mount`).
    Mount,
}

/// One container of a template: core/v1 Container, the fields that the engine looks at apart from the others.
#[derive(Debug)]
pub struct ContainerTemplate {
    /// `name`, before the instance is appended.
    pub name: Node,
    /// `image`.
    pub image: Node,
    /// `command`, when there is one.
    pub command: Option<Node>,
    /// `env`, a list.
    pub env: Option<Node>,
    /// `envFrom`, a list.
    pub env_from: Option<Node>,
    /// `ports`, a list.
    pub ports: Option<Node>,
    /// `volumeMounts`, a list; `name` is a shared or private volume of the template.
    pub volume_mounts: Option<Node>,
    /// `resources`.
    pub resources: Option<Node>,
    /// `securityContext`.
    pub security_context: Option<Node>,
    /// Every other field that no expression touches, as the members of a JSON map, without braces.
    pub fixed: Box<str>,
    /// Every other field that has a hole.
    pub rest: Vec<(Box<str>, Node)>,
    /// `environment`.
    pub environment: Environment,
    /// `runAs`.
    pub run_as: RunAs,
    /// `serviceAccountToken`.
    pub service_account_token: ServiceAccountToken,
    /// An expression may make what core/v1 refuses: what is rendered is checked before it is used.
    pub verify: bool,
}

/// A volume that the targets and the template's own containers share.
#[derive(Debug)]
pub struct SharedVolume {
    /// `name`, by which the template's containers mount it.
    pub name: String,
    /// `mountPath` in every target.
    pub mount_path: Node,
    /// `readOnly` in the targets.
    pub read_only: bool,
    /// The core/v1 volume source, a map; absent: a target must mount the path already.
    pub volume: Option<Node>,
    /// An expression may make what core/v1 refuses: what is rendered is checked before it is used.
    pub verify: bool,
}

/// A volume of the injected containers alone.
#[derive(Debug)]
pub struct VolumeTemplate {
    /// `name`, by which the template's containers mount it.
    pub name: String,
    /// The core/v1 volume source: the volume without its name, a map.
    pub source: Node,
    /// An expression may make what core/v1 refuses: what is rendered is checked before it is used.
    pub verify: bool,
}

/// A part of a template that is one value, and where it stands.
#[derive(Debug)]
pub struct Part {
    /// The value.
    pub node: Node,
    /// The line of its key.
    pub line: Line,
    /// An expression may make what core/v1 refuses: what is rendered is checked before it is used.
    pub verify: bool,
}

/// What is added to each target container.
#[derive(Debug, Default)]
pub struct TargetAdditions {
    /// `env`, a list.
    pub env: Option<Part>,
    /// `envFrom`, a list.
    pub env_from: Option<Part>,
    /// `volumeMounts`, a list; `name` is a shared or private volume of the template.
    pub volume_mounts: Option<Part>,
}

/// What is added to the pod itself.
#[derive(Debug, Default)]
pub struct PodAdditions {
    /// `metadata.labels`, a map.
    pub labels: Option<Part>,
    /// `metadata.annotations`, a map.
    pub annotations: Option<Part>,
    /// `spec.imagePullSecrets`, a list.
    pub image_pull_secrets: Option<Part>,
    /// `spec.hostAliases`, a list.
    pub host_aliases: Option<Part>,
}

/// A checked, compiled injection template.
#[derive(Debug)]
pub struct Template {
    /// `metadata.name`: an RFC 1123 label of at most 40 characters.
    pub name: String,
    /// Which pods find it.
    pub scope: Scope,
    /// Where it was written.
    pub origin: Origin,
    /// It is part of the program.
    pub built_in: bool,
    /// The line on which its document starts.
    pub line: Line,
    /// 16 hexadecimal digits over the template's document: changes when the text does.
    pub hash: String,
    /// What it is for, in a sentence; then, in more lines, what else there is to know.
    pub description: String,
    /// The parameters, in the file's order.
    pub parameters: Vec<Parameter>,
    /// Index in `parameters` of the `primaryParameter`.
    pub primary: Option<usize>,
    /// `when`: CEL bool; a pod for which it is false is skipped.
    pub when: Option<Expression>,
    /// `validations`.
    pub validations: Vec<Entry<Validation>>,
    /// `targets`.
    pub targets: Targets,
    /// `order`.
    pub order: Order,
    /// `failurePolicy`.
    pub failure_policy: FailurePolicy,
    /// `os`: linux or windows; the pod's must agree.
    pub os: String,
    /// `hostNetwork: allow`: the ports of its containers may lie in the node's network.
    pub host_network: bool,
    /// `podSecurity`: the standard that what it injects meets, if it claims one.
    pub pod_security: Option<PodSecurity>,
    /// `sharedVolumes`.
    pub shared_volumes: Vec<Entry<SharedVolume>>,
    /// `sidecars`.
    pub sidecars: Vec<Entry<ContainerTemplate>>,
    /// `initContainers`.
    pub init_containers: Vec<Entry<ContainerTemplate>>,
    /// `volumes`.
    pub volumes: Vec<Entry<VolumeTemplate>>,
    /// `target`.
    pub target: TargetAdditions,
    /// `pod`.
    pub pod: PodAdditions,
    /// A variable may be of a file (`fileKeyRef`): what has none need not be looked through for each pod.
    pub may_name_files: bool,
    /// The template's text, for `template show`.
    pub text: Arc<str>,
}

/// What loading depends on beside the file.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Accept fields that core/v1 of this build does not know (`--unknown-fields warn`).
    pub allow_unknown_fields: bool,
    /// The annotation prefix, which templates may not set.
    pub annotation_prefix: String,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { allow_unknown_fields: false, annotation_prefix: "inject".to_owned() }
    }
}

/// What a file gave: its templates, and what to tell about them (unknown fields that were let through).
#[derive(Debug)]
pub struct Loaded {
    /// In the file's order.
    pub templates: Vec<Template>,
    /// Diagnostics that don't stop the load.
    pub warnings: Vec<Diagnostic>,
}

/// Lines that are left out of a text, which is a part of a longer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// How many lines of the text stand before it.
    pub at: Line,
    /// How many lines are left out up to there, with those of the gaps before it.
    pub lines: Line,
}

/// The largest file that is read, in bytes: as much as a ConfigMap holds.
pub const MAX_FILE: usize = 1024 * 1024;

/// Compiles the templates of a file, or of one custom resource. All of them, or none.
///
/// # Errors
///
/// Every mistake in the file.
pub fn load(origin: Origin, text: &str, options: &LoadOptions) -> Result<Loaded, LoadError> {
    load_part(origin, text, &[], options)
}

/// [`load`] of documents that are a part of a longer text: what is said of a line is said of the line there. Gaps are
/// where documents begin.
///
/// # Errors
///
/// Every mistake in the file.
pub fn load_part(origin: Origin, text: &str, gaps: &[Gap], options: &LoadOptions) -> Result<Loaded, LoadError> {
    // Nesting is bounded, but trees, expressions and core/v1 recurse each: more than a worker's stack may hold.
    let here = origin.clone();
    expression::with_deep_stack(|| file::load(here, text, gaps, options))
        .unwrap_or_else(|error| Err(file::no_thread(origin, text, &error)))
}

/// What is wrong with a file, or a custom resource, that made [`load`] panic. For whoever has others to load, and goes on.
#[must_use]
pub fn failed_inside(origin: Origin, text: &str) -> LoadError {
    file::failed_inside(origin, text)
}

impl Template {
    /// The first line of the description, which says in a sentence what it is for.
    #[must_use]
    pub fn summary(&self) -> &str {
        self.description.lines().next().unwrap_or_default()
    }
}

impl LoadError {
    /// The first mistake with its place, on one line: `templates/a.yaml:3:5: unknown field "foo"`.
    #[must_use]
    pub fn summary(&self) -> String {
        match self.diagnostics.first() {
            Some(first) => format!("{}:{}:{}: {}", self.origin.0, first.line, first.column, first.message),
            None => format!("{}: it can't be loaded", self.origin.0),
        }
    }
}

/// FNV-1a, 64 bits: a hash that is the same on every machine and in every release.
#[must_use]
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    Fnv1a::BEGIN.with(bytes).0
}

#[derive(Clone, Copy)]
struct Fnv1a(u64);

impl Fnv1a {
    const BEGIN: Self = Self(0xcbf2_9ce4_8422_2325);

    fn with(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)))
    }
}

impl fmt::Write for Fnv1a {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        *self = self.with(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests;

/// The hash of a text as annotations show it.
pub(crate) fn hash(text: &str) -> String {
    hash_of(&text)
}

/// The hash of what is shown, which is not written down for it.
pub(crate) fn hash_of(shown: &impl fmt::Display) -> String {
    let mut hash = Fnv1a::BEGIN;
    // It takes everything.
    let _ = fmt::Write::write_fmt(&mut hash, format_args!("{shown}"));
    format!("{:016x}", hash.0)
}
