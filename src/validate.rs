//! What is said when something other than a pod is applied, while the person who did it still looks: workloads, whose
//! pods the engine decides ahead of time; namespaces, whose annotations are defaults; templates, which are compiled. Pure.
//!
//! Nothing is denied here but a template that can't be used, and, if the operator wants it, a workload whose pods would
//! be denied. What can't be judged is let through without a word.

mod namespace;
mod same;
mod template;
mod workload;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::inject::outcome::Reason;
use crate::manifest::{self, Most, NoTree, json_tree};
use crate::snapshot::Snapshot;
use crate::template::LoadError;

/// A request to admit an object.
#[derive(Debug)]
pub struct Request<'a> {
    /// API group of the object's kind; empty is core.
    pub group: Cow<'a, str>,
    /// The object's kind.
    pub kind: Cow<'a, str>,
    /// What of the object is asked about; empty is all of it.
    pub sub_resource: Cow<'a, str>,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: Cow<'a, str>,
    /// The object's namespace; empty for cluster-wide ones.
    pub namespace: Cow<'a, str>,
    /// The object's name.
    pub name: Cow<'a, str>,
    /// The server will not store the object.
    pub dry_run: bool,
    /// The object as it is to be; none when it is deleted.
    pub object: Option<&'a RawValue>,
    /// The object as it was; none when it is created.
    pub old_object: Option<&'a RawValue>,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// An object that makes pods.
    Workload,
    /// A namespace.
    Namespace,
    /// A template.
    Template,
    /// Anything else.
    Other,
}

/// What comes of a request.
#[derive(Debug)]
pub struct Verdict {
    /// Whether the object is admitted.
    pub decision: Decision,
    /// For the person who applied it, each with the object that it is about.
    pub warnings: Vec<String>,
    /// The templates that the pods would get, or the template that it is about.
    pub templates: Vec<String>,
}

/// Whether an object is admitted.
#[derive(Debug)]
pub enum Decision {
    /// It was looked at, and may be as it is.
    Allowed,
    /// It was not looked at.
    Skipped(Skip),
    /// It is denied.
    Denied(Denial),
}

/// Why an object is denied.
#[derive(Debug)]
pub enum Denial {
    /// Its pods would be denied.
    Pods(Vec<Reason>),
    /// It is no template that can be used.
    Template(Box<LoadError>),
    /// It can't be read.
    Unreadable(String),
}

/// Why an object is let through unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// It is of another kind, a subresource, or an operation that changes nothing that matters here.
    NotForUs,
    /// What matters here is as it was.
    Unchanged,
    /// Another object makes it, and that one was looked at.
    Controlled,
    /// It is being deleted.
    Deleted,
    /// It asks for nothing.
    NothingAsked,
    /// It can't be read, which is for others to say.
    Unreadable,
}

impl Skip {
    /// The word that logs and audit annotations use.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotForUs => "not_for_us",
            Self::Unchanged => "unchanged",
            Self::Controlled => "controlled",
            Self::Deleted => "deleted",
            Self::NothingAsked => "nothing_asked",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Verdict {
    const fn skipped(skip: Skip) -> Self {
        Self { decision: Decision::Skipped(skip), warnings: Vec::new(), templates: Vec::new() }
    }

    const fn warned(warnings: Vec<String>) -> Self {
        Self { decision: Decision::Allowed, warnings, templates: Vec::new() }
    }

    const fn denied(denial: Denial) -> Self {
        Self { decision: Decision::Denied(denial), warnings: Vec::new(), templates: Vec::new() }
    }

    /// The word that logs, metrics and audit annotations use.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match &self.decision {
            Decision::Denied(_) => "rejected",
            _ if !self.warnings.is_empty() => "warned",
            Decision::Allowed => "allowed",
            Decision::Skipped(_) => "skipped",
        }
    }
}

impl Request<'_> {
    /// What the request is about.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match (&*self.group, &*self.kind) {
            ("", "Namespace") => Subject::Namespace,
            ("podgraft.dev", "ClusterInjectionTemplate" | "InjectionTemplate") => Subject::Template,
            (group, kind) if manifest::makes_pods(group, kind) => Subject::Workload,
            _ => Subject::Other,
        }
    }

    fn changes(&self) -> bool {
        matches!(&*self.operation, "CREATE" | "UPDATE")
    }

    /// What is said of an object that is too large to be looked at. Nobody else says it, as nothing of it is wrong.
    fn unseen(&self, problem: &NoTree) -> Verdict {
        Verdict::warned(vec![format!("{}: podgraft has not looked at this: {problem}", self.subject_name())])
    }

    /// Kind and name, for messages.
    fn subject_name(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }
}

/// Decides about an object.
#[must_use]
pub fn validate(request: &Request<'_>, snapshot: &Snapshot) -> Verdict {
    let subject = if request.sub_resource.is_empty() { request.subject() } else { Subject::Other };
    match subject {
        Subject::Workload if request.changes() => workload::review(request, snapshot),
        Subject::Namespace if request.changes() => namespace::review(request, snapshot),
        Subject::Template => template::review(request, snapshot),
        Subject::Workload | Subject::Namespace | Subject::Other => Verdict::skipped(Skip::NotForUs),
    }
}

/// The longest object that is looked at, in bytes, the history of its fields and its status left aside: etcd keeps none
/// beyond 1.5 MiB.
const MAX_OBJECT: usize = 1024 * 1024;

/// The most brackets, commas and colons of one.
const MAX_MARKS: usize = 32_768;

/// An object of a request, as far as it is looked at: neither the history of its fields nor its status.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Object<'a> {
    #[serde(borrow)]
    api_version: Option<&'a RawValue>,
    #[serde(borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
    /// Of a PodTemplate.
    #[serde(borrow)]
    template: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    generate_name: Option<&'a RawValue>,
    #[serde(borrow)]
    namespace: Option<&'a RawValue>,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    owner_references: Option<&'a RawValue>,
    #[serde(borrow)]
    deletion_timestamp: Option<&'a RawValue>,
}

impl<'a> Object<'a> {
    /// Nothing, if it is no object at all.
    fn read(object: Option<&'a RawValue>) -> Option<Self> {
        let text = object?.get();
        // serde takes lists for structs as well.
        text.starts_with('{').then(|| serde_json::from_str(text).ok())?
    }

    /// Whether the API server only waits for finalizers to let it go.
    fn is_being_deleted(&self) -> bool {
        self.metadata.as_ref().is_some_and(|metadata| metadata.deletion_timestamp.is_some())
    }

    /// The parts as a tree.
    fn tree(&self) -> Result<Value, NoTree> {
        let top =
            [("apiVersion", self.api_version), ("kind", self.kind), ("spec", self.spec), ("template", self.template)];
        let metadata = self.metadata.as_ref().map(|of| {
            [
                ("name", of.name),
                ("generateName", of.generate_name),
                ("namespace", of.namespace),
                ("labels", of.labels),
                ("annotations", of.annotations),
                ("ownerReferences", of.owner_references),
            ]
        });
        let most = Most { bytes: MAX_OBJECT, marks: MAX_MARKS };
        most.holds(metadata.iter().flatten().chain(&top).filter_map(|(_, part)| Some(part.as_deref()?.get())))?;
        let map = |parts: &[(&str, Option<&RawValue>)]| {
            let parts = parts.iter().filter_map(|(name, part)| Some((*name, (*part)?)));
            parts.map(|(name, part)| Ok((name.to_owned(), json_tree(part.get())?))).collect::<Result<Map<_, _>, _>>()
        };
        let mut object = map(&top)?;
        if let Some(metadata) = metadata {
            object.insert("metadata".to_owned(), map(&metadata)?.into());
        }
        Ok(object.into())
    }
}

/// A text that says no more than one word.
fn word(text: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(text?.get()).ok()
}

#[cfg(test)]
mod tests;
