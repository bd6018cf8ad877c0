//! CEL expressions in templates: compiled and bounded at load, evaluated against what they name.

use std::ops::Range;

use super::parameter::{Parameter, Value};

/// The pod-side variables of DESIGN 3, each asked for only by an expression that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variable {
    /// `object`: the pod as received, `metadata.namespace` filled.
    Object,
    /// `namespaceObject`: the pod's namespace.
    NamespaceObject,
    /// `request`: namespace, name, operation, dryRun.
    Request,
    /// `target`: the first target container.
    Target,
    /// `targets`: all target containers.
    Targets,
    /// `instance`: the graft's instance, empty without one.
    Instance,
    /// `podgraft`: image and version.
    Podgraft,
}

/// What an evaluation may look at.
pub trait Variables {
    /// The value of the template's parameter at this index.
    fn parameter(&self, index: usize) -> &Value;

    /// The value of a variable as JSON.
    ///
    /// # Errors
    ///
    /// It can't be had (the pod nests too deeply to be read as a tree).
    fn variable(&self, variable: Variable) -> Result<&serde_json::Value, String>;
}

/// What `forEach` binds.
#[derive(Debug, Clone)]
pub struct Item {
    /// `item`.
    pub item: cel::Value,
    /// `index`, from 0.
    pub index: usize,
}

/// The names that an expression of a template may use.
#[derive(Debug, Clone, Copy)]
pub struct Names<'t> {
    /// The template's parameters.
    pub parameters: &'t [Parameter],
    /// `item` and `index` are bound.
    pub in_for_each: bool,
}

/// How a leaf's value becomes JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// The value keeps its type.
    Typed,
    /// core/v1 wants text here: scalars become text.
    Text,
    /// Text that the kubelet expands (`command`, `args`, `env[].value`): also, every `$` of a value is doubled.
    Expanded,
}

/// A mistake in an expression, found at load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    /// Bytes of the leaf's text that are wrong.
    pub range: Range<usize>,
    /// What was found.
    pub message: String,
    /// What is allowed there, or what to do.
    pub help: Option<String>,
}

/// An expression that has no value for this pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvaluationError {
    /// What went wrong, without the leaf's name.
    pub message: String,
}

/// A compiled CEL expression within the limits of DESIGN 3.
#[derive(Debug)]
pub struct Expression {
    /// The source, without braces.
    pub source: Box<str>,
}

impl Expression {
    /// Compiles bare CEL (`when`, `forEach`).
    ///
    /// # Errors
    ///
    /// Every mistake, with its place in `source`.
    pub fn compile(source: &str, names: Names<'_>) -> Result<Self, Vec<ExpressionError>> {
        let _ = (source, names);
        todo!()
    }

    /// Evaluates a condition.
    ///
    /// # Errors
    ///
    /// It fails, exceeds the limits or is no boolean.
    pub fn condition(&self, variables: &dyn Variables, item: Option<&Item>) -> Result<bool, EvaluationError> {
        let _ = (variables, item);
        todo!()
    }

    /// Evaluates a `forEach`: at most [`super::node::MAX_ITEMS`] items.
    ///
    /// # Errors
    ///
    /// It fails, exceeds the limits or is no list.
    pub fn items(&self, variables: &dyn Variables, item: Option<&Item>) -> Result<Vec<Item>, EvaluationError> {
        let _ = (variables, item);
        todo!()
    }
}

/// A string leaf: text and expressions in turn.
#[derive(Debug)]
pub struct Leaf {
    /// The leaf as it was written.
    pub source: Box<str>,
}

impl Leaf {
    /// Reads a string leaf; `None` when there is no expression in it (then [`plain`] gives its text).
    ///
    /// # Errors
    ///
    /// Every mistake, with its place in `text`.
    pub fn parse(text: &str, style: Style, names: Names<'_>) -> Result<Option<Self>, Vec<ExpressionError>> {
        let _ = (text, style, names);
        todo!()
    }

    /// Appends the leaf's value as JSON; `false`, and nothing appended, when it is `null`.
    ///
    /// # Errors
    ///
    /// It fails or exceeds the limits; `out` may then end in a part of a value.
    pub fn render(
        &self,
        variables: &dyn Variables,
        item: Option<&Item>,
        out: &mut String,
    ) -> Result<bool, EvaluationError> {
        let _ = (variables, item, out);
        todo!()
    }
}
