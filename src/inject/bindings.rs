//! What a graft's expressions see. The pod is read as a tree only if an expression names it, and once a request.

use std::cell::{Cell, OnceCell};

use serde_json::{Value as Json, json};

use super::outcome::Source;
use super::request::PodRequest;
use super::resolve::Asked;
use super::targets::Target;
use crate::snapshot::Snapshot;
use crate::template::expression::{self, Budget, FieldMask, Looks, Variable, Variables};
use crate::template::parameter::Value;

/// What all grafts of a request see alike.
#[derive(Debug)]
pub struct Shared<'s, 'a> {
    request: &'a PodRequest<'a>,
    snapshot: &'a Snapshot,
    asked: &'s [Asked<'a>],
    object: OnceCell<Result<Json, String>>,
    /// The pod, as far as targets are looked at.
    around_targets: OnceCell<Result<Json, String>>,
    namespace: OnceCell<Json>,
    about: OnceCell<Json>,
    podgraft: OnceCell<Json>,
    budget: Budget,
}

impl<'s, 'a> Shared<'s, 'a> {
    /// Nothing is read yet.
    #[must_use]
    pub const fn new(request: &'a PodRequest<'a>, snapshot: &'a Snapshot, asked: &'s [Asked<'a>]) -> Self {
        Self {
            request,
            snapshot,
            asked,
            object: OnceCell::new(),
            around_targets: OnceCell::new(),
            namespace: OnceCell::new(),
            about: OnceCell::new(),
            podgraft: OnceCell::new(),
            budget: Budget::new(),
        }
    }

    fn object(&self) -> Result<&Json, String> {
        self.looked_at(&self.object, |looks| &looks.object)
    }

    /// What any of the templates looks at.
    fn looked_at<'c>(
        &self,
        read: &'c OnceCell<Result<Json, String>>,
        of: fn(&Looks) -> &FieldMask,
    ) -> Result<&'c Json, String> {
        let all = || {
            let mut mask = FieldMask::default();
            self.asked.iter().for_each(|asked| mask.add(of(&asked.template.looks)));
            self.request.object(&mask)
        };
        read.get_or_init(all).as_ref().map_err(Clone::clone)
    }
}

/// What one graft sees.
#[derive(Debug)]
pub struct Bindings<'b, 'a> {
    shared: &'b Shared<'b, 'a>,
    asked: &'b Asked<'a>,
    targets: &'b [Target<'a>],
    instance: Json,
    /// The bits of the parameters that pod or namespace set.
    set: u64,
    /// A sensitive parameter has been looked at.
    secret: Cell<bool>,
    containers: OnceCell<Result<Json, String>>,
}

impl<'b, 'a> Bindings<'b, 'a> {
    /// The view of the graft onto these targets.
    #[must_use]
    pub fn new(shared: &'b Shared<'b, 'a>, asked: &'b Asked<'a>, targets: &'b [Target<'a>]) -> Self {
        let instance = asked.name.instance.unwrap_or_default().into();
        let set = asked.parameters.iter().enumerate().filter(|(_, bound)| bound.source != Source::Default);
        let set = set.filter_map(|(index, _)| expression::bit(index)).fold(0, |bits, bit| bits | bit);
        Self { shared, asked, targets, instance, set, secret: Cell::new(false), containers: OnceCell::new() }
    }

    /// Whether an expression has looked at a sensitive parameter since [`forget`](Self::forget): what it made may hold it.
    #[must_use]
    pub const fn may_show_secret(&self) -> bool {
        self.secret.get()
    }

    /// Another part of the template is looked at.
    pub fn forget(&self) {
        self.secret.set(false);
    }

    /// The target containers as the pod has them.
    fn containers(&self) -> Result<&Json, String> {
        let read = || {
            let object = self.shared.looked_at(&self.shared.around_targets, |looks| &looks.targets)?;
            Ok(self.targets.iter().map(|target| object["spec"][target.list()][target.index].clone()).collect())
        };
        self.containers.get_or_init(read).as_ref().map_err(Clone::clone)
    }
}

impl Variables for Bindings<'_, '_> {
    fn parameter(&self, index: usize) -> &Value {
        if self.asked.template.parameters[index].sensitive {
            self.secret.set(true);
        }
        &self.asked.parameters[index].value
    }

    fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    fn set(&self) -> u64 {
        self.set
    }

    fn variable(&self, variable: Variable) -> Result<&Json, String> {
        let Shared { request, snapshot, .. } = self.shared;
        Ok(match variable {
            Variable::Object => self.shared.object()?,
            Variable::NamespaceObject => self.shared.namespace.get_or_init(|| {
                match snapshot.namespaces.get(&request.namespace) {
                    Some(namespace) => namespace.object.clone(),
                    // What every namespace has, so that has() and .? work alike on a namespace that isn't known.
                    None => json!({
                        "apiVersion": "v1",
                        "kind": "Namespace",
                        "metadata": { "name": request.namespace, "labels": {}, "annotations": {} },
                    }),
                }
            }),
            Variable::Request => self.shared.about.get_or_init(|| {
                json!({
                    "namespace": request.namespace,
                    "name": request.name,
                    "operation": request.operation,
                    "dryRun": request.dry_run,
                })
            }),
            Variable::Target => &self.containers()?[0],
            Variable::Targets => self.containers()?,
            Variable::Instance => &self.instance,
            Variable::Podgraft => self
                .shared
                .podgraft
                .get_or_init(|| json!({ "image": snapshot.policy.image, "version": env!("CARGO_PKG_VERSION") })),
        })
    }
}
