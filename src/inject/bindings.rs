//! What a graft's expressions see. What no expression names is not looked for.

use std::cell::{Cell, OnceCell};

use serde_json::{Value as Json, json};

use super::asked::Asked;
use super::pod::Target;
use super::rendering;
use super::request::PodRequest;
use crate::json::Node;
use crate::snapshot::Snapshot;
use crate::template::expression::{Budget, Given, Variable, Variables};
use crate::template::parameter::Value;

/// What all grafts of a request see alike.
#[derive(Debug)]
pub struct Shared<'a> {
    request: &'a PodRequest<'a>,
    snapshot: &'a Snapshot,
    pod: Option<Node<'a, 'a>>,
    object: OnceCell<Given<'a>>,
    namespace: OnceCell<Json>,
    about: OnceCell<Json>,
    podgraft: OnceCell<Json>,
    budget: Budget,
}

impl<'a> Shared<'a> {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(request: &'a PodRequest<'a>, snapshot: &'a Snapshot) -> Self {
        Self {
            request,
            snapshot,
            pod: request.object(),
            object: OnceCell::new(),
            namespace: OnceCell::new(),
            about: OnceCell::new(),
            podgraft: OnceCell::new(),
            budget: Budget::new(),
        }
    }
}

/// What one graft sees.
#[derive(Debug)]
pub struct Bindings<'b, 'a> {
    shared: &'b Shared<'a>,
    asked: &'b Asked<'a>,
    targets: &'b [Target<'a>],
    instance: OnceCell<Json>,
    /// A sensitive parameter has been looked at.
    secret: Cell<bool>,
    containers: OnceCell<Vec<Node<'a, 'a>>>,
    list: OnceCell<Given<'a>>,
}

impl<'b, 'a> Bindings<'b, 'a> {
    /// The view of the graft onto these targets.
    #[must_use]
    pub fn new(shared: &'b Shared<'a>, asked: &'b Asked<'a>, targets: &'b [Target<'a>]) -> Self {
        Self {
            shared,
            asked,
            targets,
            instance: OnceCell::new(),
            secret: Cell::new(false),
            containers: OnceCell::new(),
            list: OnceCell::new(),
        }
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
    fn containers(&self) -> &[Node<'a, 'a>] {
        let spec = || self.shared.pod.and_then(|pod| pod.get("spec"));
        let container = |target: &Target<'_>| spec()?.get(target.list())?.items().nth(target.index);
        self.containers.get_or_init(|| self.targets.iter().filter_map(container).collect())
    }
}

impl Variables for Bindings<'_, '_> {
    fn parameter(&self, index: usize) -> &Value {
        if self.asked.template.parameters[index].sensitive {
            self.secret.set(true);
        }
        &self.asked.rendering.parameters[index].value
    }

    fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    fn variable(&self, variable: Variable) -> Result<Given<'_>, String> {
        let Shared { request, snapshot, .. } = self.shared;
        Ok(match variable {
            Variable::Object => match self.shared.pod {
                Some(pod) => self.shared.object.get_or_init(|| Given::pod(pod, &request.namespace)).clone(),
                None => return Err("there is no pod".to_owned()),
            },
            Variable::NamespaceObject => Given::from(self.shared.namespace.get_or_init(|| {
                match snapshot.namespaces.get(&request.namespace) {
                    Some(namespace) => namespace.object.clone(),
                    // What every namespace has, so that has() and .? work alike on a namespace that isn't known.
                    None => json!({
                        "apiVersion": "v1",
                        "kind": "Namespace",
                        "metadata": { "name": request.namespace, "labels": {}, "annotations": {} },
                    }),
                }
            })),
            Variable::Request => Given::from(self.shared.about.get_or_init(|| {
                json!({
                    "namespace": request.namespace,
                    "name": request.name,
                    "operation": request.operation,
                    "dryRun": request.dry_run,
                })
            })),
            Variable::Target => match self.containers() {
                [first, ..] => Given::part(*first),
                [] => return Err("there is no target".to_owned()),
            },
            Variable::Targets => self.list.get_or_init(|| Given::list(self.containers().iter().copied())).clone(),
            Variable::Instance => {
                self.instance.get_or_init(|| self.asked.name.instance.unwrap_or_default().into()).into()
            }
            Variable::Podgraft => self.shared.podgraft.get_or_init(|| rendering::podgraft(&snapshot.policy)).into(),
        })
    }
}
