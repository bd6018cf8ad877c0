//! A template with the values of its parameters, as far as nothing else of a pod has a part in it.
//!
//! What is made here depends on the template, the values and the instance's name alone: the next pod that says the same
//! takes it as it is (see [`super::renderings`]), and no expression is evaluated, no JSON rendered, read or checked a
//! second time. What looks at the pod, at a sensitive value, or is wrong stays open: each request makes it anew, by the
//! same functions, and tells what is wrong with it.

mod container;
mod names;
mod needs;
mod pod_fields;
mod target;
mod validation;
mod volume;

use std::borrow::Cow;
use std::cell::Cell;

use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use super::json::Text;
use super::outcome::{Bound, Source};
use crate::snapshot::Policy;
use crate::template::expression::{Budget, EvaluationError, Given, Item, Variable, Variables};
use crate::template::node::{Entry, Node};
use crate::template::parameter::Value;
use crate::template::{ContainerTemplate, Template};

pub use container::{Body, Container, Fit, Identity};
pub use needs::Needs;
pub use pod_fields::{Member, each as fields};
pub use target::{Env, EnvFrom};
pub use validation::Failed;
pub use volume::{Mount, Shared, Volume};

/// The most bytes that a rendering holds ready: many times what templates have that people write. What is beyond it stays
/// open.
pub const MAX_READY: usize = 32 * 1024;

/// The most bytes of values of a rendering that is kept.
const MAX_VALUES: usize = 16 * 1024;

/// All that a part of a template became, by its `when` and `forEach`; `None` while it is open.
pub type Ready<T> = Option<Vec<T>>;

/// What parts of a template are made from.
#[derive(Clone, Copy)]
pub struct View<'v> {
    /// The template.
    pub template: &'v Template,
    /// The graft's instance, empty without one.
    pub instance: &'v str,
    /// What its expressions see.
    pub variables: &'v dyn Variables,
}

/// What is wrong with a part whose expressions all have values, in sentences.
pub type Problems = Vec<String>;

/// A template with values.
#[derive(Debug)]
pub struct Rendering {
    /// A value for each of the template's parameters.
    pub parameters: Vec<Bound>,
    /// A hash of the values that pod or namespace say; empty if all are the template's.
    pub values_hash: String,
    /// Nobody says a value that is not to be shown, and the values are not long.
    pub may_be_kept: bool,
    /// What its values cost that were held against patterns.
    pub steps: usize,
    /// `when`.
    pub when: Option<bool>,
    /// Of each entry of `validations`, those that don't hold.
    pub validations: Vec<Ready<Failed>>,
    /// `sharedVolumes`.
    pub shared_volumes: Vec<Ready<Shared>>,
    /// `volumes`.
    pub volumes: Vec<Ready<Volume>>,
    /// `sidecars`.
    pub sidecars: Vec<Ready<Container>>,
    /// `initContainers`.
    pub init_containers: Vec<Ready<Container>>,
    /// `target.env`.
    pub env: Ready<Env>,
    /// `target.envFrom`.
    pub env_from: Ready<EnvFrom>,
    /// `target.volumeMounts`.
    pub mounts: Ready<Mount>,
    /// What the pod itself gets, in the order of [`fields`].
    pub fields: [Ready<Member>; 4],
}

impl Rendering {
    /// Makes ready what can be; `steps` were spent on the values.
    #[must_use]
    pub fn of(template: &Template, instance: &str, parameters: Vec<Bound>, steps: usize, policy: &Policy) -> Self {
        let values = Values {
            template,
            parameters: &parameters,
            instance: instance.into(),
            podgraft: podgraft(policy),
            looked: Cell::new(false),
            room: Cell::new(MAX_READY),
            budget: Budget::beforehand(),
        };
        let view = View { template, instance, variables: &values };
        let when = match &template.when {
            Some(when) => values.ready(|_| when.condition(&values, None)),
            None => Some(true),
        };
        let container = |it: &ContainerTemplate, item: Option<&Item<'_>>, problems: &mut Problems| {
            Container::render(view, it, item, problems)
        };
        Self {
            steps,
            when,
            validations: values.each(&template.validations, |it, item, _| Failed::render(view, it, item)),
            shared_volumes: values
                .each(&template.shared_volumes, |it, item, problems| Shared::render(view, it, item, problems)),
            volumes: values.each(&template.volumes, |it, item, problems| {
                Volume::render(view, &it.name, &it.source, it.verify, item, problems).map(Some)
            }),
            sidecars: values.each(&template.sidecars, container),
            init_containers: values.each(&template.init_containers, container),
            env: values.list(|problems| Env::render(view, template.target.env.as_ref(), problems)),
            env_from: values.list(|problems| EnvFrom::render(view, template.target.env_from.as_ref(), problems)),
            mounts: values.list(|problems| Mount::render(view, template.target.volume_mounts.as_ref(), problems)),
            fields: fields(&template.pod)
                .map(|(field, part)| values.list(|problems| Member::render(view, field, part, problems))),
            values_hash: values_hash(template, &parameters),
            may_be_kept: !says_secrets(template, &parameters) && length(&parameters) <= MAX_VALUES,
            parameters,
        }
    }
}

fn values_hash(template: &Template, parameters: &[Bound]) -> String {
    let all = template.parameters.iter().zip(parameters);
    let said = all.filter(|(_, bound)| bound.source != Source::Default);
    let said: Vec<_> = said.map(|(parameter, bound)| (&parameter.name, &bound.value)).collect();
    if said.is_empty() { String::new() } else { crate::template::hash_of(&format_args!("{said:?}")) }
}

/// How many bytes of text the values are.
fn length(parameters: &[Bound]) -> usize {
    let length = |bound: &Bound| match &bound.value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.iter().map(|item| size_of::<String>() + item.len()).sum(),
        _ => 0,
    };
    parameters.iter().map(length).sum()
}

/// Whether pod or namespace say a value that is not to be shown.
fn says_secrets(template: &Template, parameters: &[Bound]) -> bool {
    let mut all = template.parameters.iter().zip(parameters);
    all.any(|(parameter, bound)| parameter.sensitive && bound.source != Source::Default)
}

/// The variable `podgraft`.
pub(super) fn podgraft(policy: &Policy) -> Json {
    json!({ "image": policy.image, "version": env!("CARGO_PKG_VERSION") })
}

/// How much of a rendering something takes.
trait Size {
    /// Its text, in bytes.
    fn bytes(&self) -> usize;
}

/// Values, and no pod.
struct Values<'v> {
    template: &'v Template,
    parameters: &'v [Bound],
    instance: Json,
    podgraft: Json,
    /// Something was looked at that is another in the next request, or that messages have to know of.
    looked: Cell<bool>,
    /// How many more bytes may be ready.
    room: Cell<usize>,
    budget: Budget,
}

impl Values<'_> {
    /// What can be made without a pod, and is right.
    fn ready<T>(&self, make: impl FnOnce(&mut Problems) -> Result<T, EvaluationError>) -> Option<T> {
        self.looked.set(false);
        let mut problems = Vec::new();
        let ready = make(&mut problems).ok()?;
        (problems.is_empty() && !self.looked.get()).then_some(ready)
    }

    fn list<T: Size>(&self, make: impl FnOnce(&mut Problems) -> Result<Vec<T>, EvaluationError>) -> Ready<T> {
        self.ready(|problems| {
            let all = make(problems)?;
            all.iter().try_for_each(|it| self.take(it))?;
            Ok(all)
        })
    }

    fn each<S, T: Size>(
        &self,
        entries: &[Entry<S>],
        make: impl Fn(&S, Option<&Item<'_>>, &mut Problems) -> Result<Option<T>, EvaluationError>,
    ) -> Vec<Ready<T>> {
        let entry = |entry: &Entry<S>| {
            self.ready(|problems| {
                let mut all = Vec::new();
                entry.each(self, None, |value, item| {
                    if let Some(made) = make(value, item, problems)? {
                        self.take(&made)?;
                        all.push(made);
                    }
                    Ok::<_, EvaluationError>(())
                })?;
                Ok(all)
            })
        };
        entries.iter().map(entry).collect()
    }

    fn take(&self, made: &impl Size) -> Result<(), EvaluationError> {
        let left = self.room.get().checked_sub(made.bytes());
        self.room.set(left.unwrap_or_default());
        left.map(drop).ok_or_else(|| EvaluationError::new("it is too much to be kept".to_owned()))
    }
}

impl Variables for Values<'_> {
    fn parameter(&self, index: usize) -> &Value {
        if self.template.parameters[index].sensitive {
            self.looked.set(true);
        }
        &self.parameters[index].value
    }

    fn variable(&self, variable: Variable) -> Result<Given<'_>, String> {
        match variable {
            Variable::Instance => Ok((&self.instance).into()),
            Variable::Podgraft => Ok((&self.podgraft).into()),
            _ => {
                self.looked.set(true);
                Err(format!("there is no {} yet", variable.name()))
            }
        }
    }

    fn budget(&self) -> &Budget {
        &self.budget
    }
}

/// A node that is to be text.
fn text<'t>(
    node: &'t Node,
    view: View<'_>,
    item: Option<&Item<'_>>,
    field: &str,
) -> Result<Option<Cow<'t, str>>, EvaluationError> {
    let Some(json) = render(Some(node), view, item, field)? else { return Ok(None) };
    // Names and images have no escapes: what is between the quotes is the text.
    let plain = |json: &str| json.len() > 1 && json.starts_with('"') && !json.contains('\\');
    match json {
        Cow::Borrowed(json) if plain(json) => Ok(Some(Cow::Borrowed(&json[1..json.len() - 1]))),
        json => Ok(Some(Cow::Owned(read::<Text<'_>>(&json, field)?.0.into_owned()))),
    }
}

/// A node's JSON, its name in front of an error; `None` when it is absent or `null`.
fn render<'t>(
    node: Option<&'t Node>,
    view: View<'_>,
    item: Option<&Item<'_>>,
    field: &str,
) -> Result<Option<Cow<'t, str>>, EvaluationError> {
    let Some(node) = node else { return Ok(None) };
    node.render(view.variables, item).map_err(|error| error.within(field))
}

/// A rendered list's items.
fn items<'j>(json: Option<&'j Cow<'_, str>>, field: &str) -> Result<Vec<&'j RawValue>, EvaluationError> {
    let Some(json) = json else { return Ok(Vec::new()) };
    read(json, field)
}

/// Rendered JSON as what it has to be.
pub(super) fn read<'j, T: serde::Deserialize<'j>>(json: &'j str, field: &str) -> Result<T, EvaluationError> {
    serde_json::from_str(json).map_err(|error| EvaluationError::unreadable(&error).within(field))
}
