//! The immutable set that a request sees: templates, namespaces and policy, built aside and swapped in whole.

mod image_mirror;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::template::{Enforced, LoadError, LoadOptions, Scope, Template};

pub use image_mirror::{ImageMirror, NoRegistry};

/// Everything that a decision depends on beside the pod.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// What a pod may ask for.
    pub templates: Templates,
    /// What namespaces say for their pods.
    pub namespaces: Namespaces,
    /// What the operator chose.
    pub policy: Policy,
}

/// What a source of templates and namespaces holds, to be laid over the sources below it.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    /// Its templates, which hide those of their scope and name below.
    pub templates: Templates,
    /// Its namespaces, which hide those of their name below.
    pub namespaces: Namespaces,
}

impl Snapshot {
    /// The set that is in force once `above` is laid over this one. What either holds is shared, not copied.
    #[must_use]
    pub fn under(&self, above: &Layer) -> Self {
        let (mut templates, mut namespaces) = (self.templates.clone(), self.namespaces.clone());
        templates.lay(&above.templates);
        namespaces.lay(&above.namespaces);
        Self { templates, namespaces, policy: self.policy.clone() }
    }
}

/// A template that could not be loaded and has no last good version: pods that ask for it get its error.
#[derive(Debug, Clone)]
pub struct Broken {
    /// What is wrong.
    pub error: Arc<LoadError>,
}

/// What a name stands for in a namespace.
#[derive(Debug, Clone, Copy)]
pub enum Lookup<'s> {
    /// A template.
    Found(&'s Arc<Template>),
    /// A template that did not load.
    Broken(&'s Broken),
    /// Nothing of this name.
    Unknown,
}

/// The templates in force, by scope and name.
#[derive(Debug, Clone, Default)]
pub struct Templates {
    cluster: BTreeMap<String, Result<Arc<Template>, Broken>>,
    namespaced: HashMap<String, BTreeMap<String, Result<Arc<Template>, Broken>>>,
}

impl Templates {
    /// Puts a template in force; it takes the place of an earlier one of its scope and name.
    pub fn insert(&mut self, template: Arc<Template>) {
        let name = template.name.clone();
        self.scope(&template.scope).insert(name, Ok(template));
    }

    /// Remembers that a template did not load; an earlier one of its scope and name goes out of force.
    pub fn insert_broken(&mut self, scope: &Scope, name: String, broken: Broken) {
        self.scope(scope).insert(name, Err(broken));
    }

    fn lay(&mut self, above: &Self) {
        self.cluster.extend(above.cluster.clone());
        for (namespace, own) in &above.namespaced {
            self.namespaced.entry(namespace.clone()).or_default().extend(own.clone());
        }
    }

    fn scope(&mut self, scope: &Scope) -> &mut BTreeMap<String, Result<Arc<Template>, Broken>> {
        match scope {
            Scope::Cluster => &mut self.cluster,
            Scope::Namespace(namespace) => self.namespaced.entry(namespace.clone()).or_default(),
        }
    }

    /// What `name` stands for to a pod of `namespace`: its own template before the cluster's.
    #[must_use]
    pub fn find(&self, namespace: &str, name: &str) -> Lookup<'_> {
        match self.namespaced.get(namespace).and_then(|own| own.get(name)).or_else(|| self.cluster.get(name)) {
            Some(Ok(template)) => Lookup::Found(template),
            Some(Err(broken)) => Lookup::Broken(broken),
            None => Lookup::Unknown,
        }
    }

    /// The names that a pod of `namespace` may ask for, sorted within each scope.
    pub fn names(&self, namespace: &str) -> impl Iterator<Item = &str> {
        let own = self.namespaced.get(namespace);
        own.into_iter().flat_map(BTreeMap::keys).chain(self.cluster.keys()).map(String::as_str)
    }

    /// All templates in force: the cluster's, then each namespace's.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Template>> {
        let mut namespaces: Vec<_> = self.namespaced.iter().collect();
        namespaces.sort_by_key(|(name, _)| *name);
        let theirs = namespaces.into_iter().flat_map(|(_, own)| own.values());
        self.cluster.values().chain(theirs).filter_map(|entry| entry.as_ref().ok())
    }
}

/// The namespaces that are known.
#[derive(Debug, Clone, Default)]
pub struct Namespaces {
    by_name: HashMap<String, Arc<Namespace>>,
    complete: bool,
}

impl Namespaces {
    /// Adds a namespace, or replaces it.
    pub fn insert(&mut self, namespace: impl Into<Arc<Namespace>>) {
        let namespace = namespace.into();
        self.by_name.insert(namespace.name.clone(), namespace);
    }

    /// Every namespace that is known, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Namespace> {
        self.by_name.values().map(|namespace| &**namespace)
    }

    /// Says that these are all the namespaces that there are: one that is missing was made a moment ago, and will be
    /// here in another.
    pub fn set_complete(&mut self) {
        self.complete = true;
    }

    /// Whether a namespace that pods are created in is yet to be seen here: what it says for its pods is not known.
    #[must_use]
    pub fn awaits(&self, name: &str) -> bool {
        self.complete && !self.by_name.contains_key(name)
    }

    fn lay(&mut self, above: &Self) {
        self.by_name.extend(above.by_name.iter().map(|(name, namespace)| (name.clone(), Arc::clone(namespace))));
        self.complete |= above.complete;
    }

    /// The namespace of this name, if it is known.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Namespace> {
        self.by_name.get(name).map(Arc::as_ref)
    }
}

/// A namespace.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.annotations` if it is labelled `podgraft.dev/inject: enabled`, else empty: defaults for its pods.
    pub defaults: Vec<(String, String)>,
    /// The Pod Security Standard that it enforces, if it restricts anything.
    pub pod_security: Option<Enforced>,
    /// The object, for `namespaceObject`.
    pub object: serde_json::Value,
}

/// The label, and its value, of namespaces whose annotations are defaults for their pods, and of pods that the
/// registration sends without a look at their annotations.
pub const INJECT_LABEL: (&str, &str) = ("podgraft.dev/inject", "enabled");

impl Namespace {
    /// Reads a core/v1 Namespace. Labels and annotations that aren't text are ignored, as the API server refuses them.
    #[must_use]
    pub fn from_object(object: serde_json::Value) -> Option<Self> {
        let metadata = object.get("metadata")?;
        let name = metadata.get("name")?.as_str()?.to_owned();
        let labels = metadata.get("labels").and_then(serde_json::Value::as_object);
        let labelled =
            labels.and_then(|labels| labels.get(INJECT_LABEL.0)).is_some_and(|value| value == INJECT_LABEL.1);
        let pod_security = labels.and_then(Enforced::of_labels);
        let annotations = metadata.get("annotations").and_then(serde_json::Value::as_object);
        let defaults = annotations
            .filter(|_| labelled)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect();
        Some(Self { name, defaults, pod_security, object })
    }
}

/// What happens to a pod that asks for what nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnknown {
    /// It is denied.
    #[default]
    Deny,
    /// It goes in without, with a warning.
    Warn,
}

/// What comes of a mistake that need not stop anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// It is warned of.
    #[default]
    Warn,
    /// Whatever has it is denied.
    Deny,
}

/// What the operator chose: the options of DESIGN that decide about pods.
#[derive(Debug, Clone)]
pub struct Policy {
    /// `--annotation-prefix`.
    pub annotation_prefix: String,
    /// `--on-unknown`.
    pub on_unknown: OnUnknown,
    /// `--native-sidecars`: sidecars are init containers with `restartPolicy: Always`.
    pub native_sidecars: bool,
    /// `--foreign-containers`: names of containers that other injectors add, beside the ones known to us.
    pub foreign_containers: Vec<String>,
    /// `--default-run-as-user`: for `runAs: target` where the target has no non-root user; `None` writes nothing.
    pub default_run_as_user: Option<i64>,
    /// `--image`: podgraft's own image, `podgraft.image` in expressions.
    pub image: String,
    /// `--image-mirror`: where the images of the built-in templates are.
    pub image_mirror: Option<ImageMirror>,
    /// `--workload-errors`: workloads whose pods would be denied.
    pub workload_errors: OnError,
    /// `--psa-errors`: grafts that break the Pod Security Standard which the namespace enforces.
    pub psa_errors: OnError,
    /// `--unknown-fields warn`: templates may have fields that core/v1 of this build does not know.
    pub allow_unknown_fields: bool,
}

impl Policy {
    /// What loading a template depends on.
    #[must_use]
    pub fn load_options(&self) -> LoadOptions {
        LoadOptions {
            allow_unknown_fields: self.allow_unknown_fields,
            annotation_prefix: self.annotation_prefix.clone(),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            annotation_prefix: "inject".to_owned(),
            on_unknown: OnUnknown::Deny,
            native_sidecars: true,
            foreign_containers: Vec::new(),
            default_run_as_user: Some(65532),
            image: concat!("podgraft:", env!("CARGO_PKG_VERSION")).to_owned(),
            image_mirror: None,
            workload_errors: OnError::Warn,
            psa_errors: OnError::Warn,
            allow_unknown_fields: false,
        }
    }
}
