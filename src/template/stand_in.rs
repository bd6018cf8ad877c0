//! What the expressions of a trial rendering see: parameters' own values, and a pod that is an ordinary one, with what
//! expressions like to look at.

use std::cell::Cell;
use std::sync::LazyLock;

use serde_json::{Value as Json, json};

use super::expression::{Budget, Given, Variable, Variables};
use super::parameter::{Parameter, Value};
use super::rendered::Basis;

/// What the expressions of a trial see.
pub(super) struct Trial {
    values: Vec<(Value, Basis)>,
    /// The least sure thing that was looked at since it was last set.
    touched: Cell<Basis>,
    budget: Budget,
}

impl Trial {
    pub(super) fn new(parameters: &[Parameter]) -> Self {
        let value = |parameter: &Parameter| (parameter.trial(), basis(parameter));
        Self {
            values: parameters.iter().map(value).collect(),
            touched: Cell::new(Basis::Constant),
            budget: Budget::new(),
        }
    }

    /// Evaluates something, and says what it was made from, `floor` at best.
    pub(super) fn observe<T>(&self, floor: Basis, evaluate: impl FnOnce(&Self) -> T) -> (T, Basis) {
        self.touched.set(floor);
        let outcome = evaluate(self);
        (outcome, self.touched.get())
    }
}

fn basis(parameter: &Parameter) -> Basis {
    let constraints = &parameter.constraints;
    let given = parameter.default.is_some()
        || parameter.example.is_some()
        || constraints.one_of.is_some()
        || constraints.minimum.is_some();
    if given { Basis::Declared } else { Basis::Placeholder }
}

impl Variables for Trial {
    fn budget(&self) -> &Budget {
        &self.budget
    }

    fn parameter(&self, index: usize) -> &Value {
        let (value, basis) = &self.values[index];
        self.touched.set(self.touched.get().max(*basis));
        value
    }

    fn variable(&self, variable: Variable) -> Result<Given<'_>, String> {
        self.touched.set(Basis::Pod);
        Ok(self::variable(variable).into())
    }
}

/// The value of a variable.
fn variable(variable: Variable) -> &'static Json {
    static VALUES: LazyLock<Json> = LazyLock::new(values);
    let (key, index) = match variable {
        Variable::Object => ("object", None),
        Variable::NamespaceObject => ("namespaceObject", None),
        Variable::Request => ("request", None),
        Variable::Target => ("targets", Some(0)),
        Variable::Targets => ("targets", None),
        Variable::Instance => ("instance", None),
        Variable::Podgraft => ("podgraft", None),
    };
    match index {
        None => &VALUES[key],
        Some(index) => &VALUES[key][index],
    }
}

/// An item for a `forEach` whose list is empty or unknown.
pub(super) fn item() -> Json {
    json!("item")
}

fn values() -> Json {
    let container = json!({
        "name": "app",
        "image": "registry.example/app:1.0",
        "command": ["/app"],
        "args": ["--serve"],
        "env": [{"name": "PORT", "value": "8080"}],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
        "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "runAsNonRoot": true},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "workingDir": "/",
        "imagePullPolicy": "IfNotPresent",
    });
    let metadata = |name: &str| {
        json!({
            "name": name,
            "namespace": "default",
            "labels": {"app": "app", "app.kubernetes.io/name": "app"},
            "annotations": {"example.com/owner": "team"},
        })
    };
    json!({
        "object": {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata("app"),
            "spec": {
                "containers": [container],
                "initContainers": [],
                "volumes": [{"name": "data", "emptyDir": {}}],
                "securityContext": {"runAsUser": 1000, "fsGroup": 1000},
                "serviceAccountName": "default",
                "restartPolicy": "Always",
                "nodeSelector": {"kubernetes.io/os": "linux"},
            },
        },
        "namespaceObject": {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata("default")},
        "request": {"namespace": "default", "name": "app", "operation": "CREATE", "dryRun": false},
        "targets": [container],
        "instance": "",
        "podgraft": {"image": concat!("podgraft:", env!("CARGO_PKG_VERSION")), "version": env!("CARGO_PKG_VERSION")},
    })
}
