//! CEL expressions in templates: compiled and bounded at load, evaluated against what they name.
//!
//! `scan` holds the text against limits and splits leaves, `compile` turns CEL's syntax tree into code whose names are
//! resolved, `evaluate` runs it within a budget over `data`, which only views the pod, and `write` makes JSON of the
//! result. Nothing that a template or an annotation says makes any of them run for long, take much memory or panic.

mod compile;
mod data;
mod evaluate;
mod functions;
mod scan;
mod write;

use std::cell::Cell;
use std::io;
use std::ops::Range;

use data::Data;
use evaluate::{Code, Machine, fail};
use scan::Piece;
use write::Writer;

use super::node::{MAX_ITEMS, write_escaped};
use super::parameter::{Parameter, Type, Value};

/// The stack of the thread that [`with_deep_stack`] works on.
const DEEP_STACK: usize = 16 * 1024 * 1024;

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

impl Variable {
    /// Every variable.
    pub const ALL: [Self; 7] = [
        Self::Object,
        Self::NamespaceObject,
        Self::Request,
        Self::Target,
        Self::Targets,
        Self::Instance,
        Self::Podgraft,
    ];

    /// Its name in expressions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::NamespaceObject => "namespaceObject",
            Self::Request => "request",
            Self::Target => "target",
            Self::Targets => "targets",
            Self::Instance => "instance",
            Self::Podgraft => "podgraft",
        }
    }

    /// The variable of this name in expressions.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variable| variable.name() == name)
    }

    /// Its fields, where they are always the same ones.
    fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Request => &["namespace", "name", "operation", "dryRun"],
            Self::Podgraft => &["image", "version"],
            _ => &[],
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
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

/// What `forEach` binds: `item`, and `index` from 0.
#[derive(Debug, Clone)]
pub struct Item<'v> {
    item: Data<'v>,
    index: usize,
    sources: Sources,
}

impl<'v> Item<'v> {
    /// An item that no `forEach` made, for a trial rendering.
    #[must_use]
    pub fn new(item: &'v serde_json::Value, index: usize) -> Self {
        Self { item: item.into(), index, sources: Sources { parameters: true, pod: true } }
    }
}

/// The names that an expression of a template may use.
#[derive(Debug, Clone, Copy)]
pub struct Names<'t> {
    /// The template's parameters.
    pub parameters: &'t [Parameter],
    /// `item` and `index` are bound.
    pub in_for_each: bool,
}

/// How a leaf's value becomes JSON. An optional is its value, or `null` without one.
///
/// The kubelet expands `$(VAR)` in `command`, `args` and `env[].value`, and `$$` is how a `$` gets there. A value is
/// *literal* there, every `$` doubled, if its expression names a parameter without `expand: true`. Pod-side values are
/// literal in text; handed on as a whole list they are in the kubelet's notation already, and stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// The value keeps its type.
    Typed,
    /// core/v1 wants text here: scalars become text.
    Text,
    /// Text that the kubelet expands (`command[]`, `args[]`, `env[].value`): also, every `$` of a literal value is
    /// doubled.
    Expanded,
    /// `command` or `args` as one expression: the value keeps its type, and in its texts every `$` of a literal value is
    /// doubled.
    ExpandedItems,
    /// `env` as one expression: likewise, in the `value` fields only.
    ExpandedEnv,
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

/// What an expression names.
#[derive(Debug, Default)]
struct Mentions {
    /// The bits of the variables.
    variables: u8,
    /// The indices of the parameters, sorted.
    parameters: Vec<usize>,
    /// `item` or `index`.
    item: bool,
}

/// Where a value comes from, as far as doubling `$` is concerned.
#[derive(Debug, Clone, Copy, Default)]
struct Sources {
    /// From a parameter without `expand: true`.
    parameters: bool,
    /// From a pod-side variable.
    pod: bool,
}

/// A compiled CEL expression within the limits of DESIGN 3.
#[derive(Debug)]
pub struct Expression {
    /// The source, without braces.
    pub source: Box<str>,
    code: Code,
    mentions: Mentions,
    sources: Sources,
}

thread_local! {
    /// This thread has a stack of [`DEEP_STACK`].
    static IS_DEEP: Cell<bool> = const { Cell::new(false) };
}

/// Does work on a thread with a stack of 16 MiB, and waits for it; on such a thread already, just does it. CEL's parser
/// takes up to 8 MiB for an expression within the limits (debug build), so expressions are compiled there: one thread
/// for a whole file of them saves starting one for each.
///
/// # Errors
///
/// The operating system gives no thread.
///
/// # Panics
///
/// When the work does.
pub fn with_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    if IS_DEEP.get() {
        return Ok(work());
    }
    let work = || {
        IS_DEEP.set(true);
        work()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(DEEP_STACK).spawn_scoped(scope, work)?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

impl Expression {
    /// Compiles bare CEL (`when`, `forEach`).
    ///
    /// # Errors
    ///
    /// Every mistake, with its place in `source`.
    pub fn compile(source: &str, names: Names<'_>) -> Result<Self, Vec<ExpressionError>> {
        let (code, mentions) = with_deep_stack(|| compile::compile(source, names)).unwrap_or_else(|error| {
            let message = format!("no thread to compile the expression on: {error}");
            Err(vec![ExpressionError { range: 0..source.len(), message, help: None }])
        })?;
        let sources = Sources {
            parameters: mentions.parameters.iter().any(|index| !names.parameters[*index].expand),
            pod: mentions.variables != 0,
        };
        Ok(Self { source: source.into(), code, mentions, sources })
    }

    /// Evaluates a condition.
    ///
    /// # Errors
    ///
    /// It fails, exceeds the limits or is no boolean.
    pub fn condition(&self, variables: &dyn Variables, item: Option<&Item<'_>>) -> Result<bool, EvaluationError> {
        match Machine::new(variables, item).evaluate(&self.code)? {
            Data::Boolean(boolean) => Ok(boolean),
            other => fail(format!("a condition is a bool, not {}", other.kind())),
        }
    }

    /// Evaluates a `forEach`: at most [`MAX_ITEMS`] items.
    ///
    /// # Errors
    ///
    /// It fails, exceeds the limits or is no list.
    pub fn items<'v>(
        &'v self,
        variables: &'v dyn Variables,
        item: Option<&'v Item<'v>>,
    ) -> Result<Vec<Item<'v>>, EvaluationError> {
        let sources = self.sources(item);
        match Machine::new(variables, item).evaluate(&self.code)? {
            Data::List(list) if list.len() > MAX_ITEMS => {
                fail(format!("forEach goes over at most {MAX_ITEMS} items, not {}", list.len()))
            }
            Data::List(list) => {
                Ok(list.iter().enumerate().map(|(index, item)| Item { item, index, sources }).collect())
            }
            other => fail(format!("forEach goes over a list, not {}", other.kind())),
        }
    }

    /// Whether it names a variable.
    #[must_use]
    pub fn names(&self, variable: Variable) -> bool {
        self.mentions.variables & variable.bit() != 0
    }

    /// The indices of the parameters that it names, in order.
    #[must_use]
    pub fn parameters(&self) -> &[usize] {
        &self.mentions.parameters
    }

    /// Whether it names `item` or `index`.
    #[must_use]
    pub fn names_item(&self) -> bool {
        self.mentions.item
    }

    /// The type of its value if it is the same whatever the values of its names are, and never `null`. Durations and
    /// quantities are strings.
    #[must_use]
    pub fn known_type(&self, parameters: &[Parameter]) -> Option<Type> {
        self.code.known_type(parameters)
    }

    fn sources(&self, item: Option<&Item<'_>>) -> Sources {
        let from = item.filter(|_| self.mentions.item).map(|item| item.sources).unwrap_or_default();
        Sources { parameters: self.sources.parameters || from.parameters, pod: self.sources.pod || from.pod }
    }
}

/// A string leaf: text and expressions in turn.
#[derive(Debug)]
pub struct Leaf {
    /// The leaf as it was written.
    pub source: Box<str>,
    style: Style,
    parts: Parts,
}

#[derive(Debug)]
enum Parts {
    /// One expression, and nothing around it.
    One(Expression),
    /// Text with expressions in it.
    Mixed(Vec<Part>),
}

#[derive(Debug)]
enum Part {
    /// The inside of a JSON string.
    Text(Box<str>),
    Expression(Expression),
}

impl Leaf {
    /// Reads a string leaf; `None` when there is no expression in it, and so `text` is the leaf's value.
    ///
    /// # Errors
    ///
    /// Every mistake, with its place in `text`.
    pub fn parse(text: &str, style: Style, names: Names<'_>) -> Result<Option<Self>, Vec<ExpressionError>> {
        let pieces = scan::split(text).map_err(|error| vec![error])?;
        let (mut parts, mut errors) = (Vec::new(), Vec::new());
        for piece in pieces {
            match piece {
                Piece::Text(range) => {
                    let mut escaped = String::new();
                    write_escaped(&text[range], &mut escaped);
                    parts.push(Part::Text(escaped.into()));
                }
                Piece::Expression(range) => {
                    let start = range.start;
                    let compiled = Expression::compile(&text[range.clone()], names)
                        .and_then(|expression| expression.check_expansion(style, names).map(|()| expression));
                    match compiled {
                        Ok(expression) => parts.push(Part::Expression(expression)),
                        Err(found) => errors.extend(found.into_iter().map(|error| ExpressionError {
                            range: start + error.range.start..start + error.range.end,
                            ..error
                        })),
                    }
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let parts = match parts.as_slice() {
            [] | [Part::Text(_)] => return Ok(None),
            [Part::Expression(_)] => parts.pop().map(|part| match part {
                Part::Expression(expression) => Parts::One(expression),
                text @ Part::Text(_) => Parts::Mixed(vec![text]),
            }),
            _ => Some(Parts::Mixed(parts)),
        };
        Ok(parts.map(|parts| Self { source: text.into(), style, parts }))
    }

    /// Appends the leaf's value as JSON; `false`, and nothing appended, when it is `null`.
    ///
    /// # Errors
    ///
    /// It fails or exceeds the limits; `out` may then end in a part of a value.
    pub fn render(
        &self,
        variables: &dyn Variables,
        item: Option<&Item<'_>>,
        out: &mut String,
    ) -> Result<bool, EvaluationError> {
        let mut writer = Writer::new(out);
        match &self.parts {
            Parts::One(expression) => {
                let value = Machine::new(variables, item).evaluate(&expression.code)?;
                writer.value(&value, self.style, self.doubles(expression, item))
            }
            Parts::Mixed(parts) => {
                writer.json("\"")?;
                for part in parts {
                    match part {
                        Part::Text(text) => writer.json(text)?,
                        Part::Expression(expression) => {
                            let value = Machine::new(variables, item).evaluate(&expression.code)?;
                            writer.scalar(&value, self.doubles(expression, item))?;
                        }
                    }
                }
                writer.json("\"")?;
                Ok(true)
            }
        }
    }

    /// The expressions in it.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let (one, mixed) = match &self.parts {
            Parts::One(expression) => (Some(expression), [].as_slice()),
            Parts::Mixed(parts) => (None, parts.as_slice()),
        };
        let expression = |part| match part {
            &Part::Expression(ref expression) => Some(expression),
            Part::Text(_) => None,
        };
        one.into_iter().chain(mixed.iter().filter_map(expression))
    }

    /// Whether one of its expressions names a variable.
    #[must_use]
    pub fn names(&self, variable: Variable) -> bool {
        self.expressions().any(|expression| expression.names(variable))
    }

    /// The index of the parameter that is all there is of the leaf.
    #[must_use]
    pub fn is_plain_parameter(&self) -> Option<usize> {
        match &self.parts {
            Parts::One(Expression { code: Code::Parameter(index), .. }) => Some(*index),
            _ => None,
        }
    }

    /// The type of its value if it is always the same, and never `null`: see [`Expression::known_type`].
    #[must_use]
    pub fn known_type(&self, parameters: &[Parameter]) -> Option<Type> {
        match (&self.parts, self.style) {
            (Parts::Mixed(_), _) => Some(Type::String),
            (Parts::One(expression), Style::Text | Style::Expanded) => {
                expression.known_type(parameters).map(|_| Type::String)
            }
            (Parts::One(expression), _) => expression.known_type(parameters),
        }
    }

    /// Whether the `$` of an expression's value are doubled.
    fn doubles(&self, expression: &Expression, item: Option<&Item<'_>>) -> bool {
        let sources = expression.sources(item);
        match self.style {
            Style::Typed | Style::Text => false,
            Style::Expanded => sources.parameters || sources.pod,
            Style::ExpandedItems | Style::ExpandedEnv => sources.parameters,
        }
    }
}

impl Expression {
    /// Refuses to mix values whose `$(VAR)` the kubelet expands with values that it must not touch: whichever way the
    /// result was written, one of them would be wrong.
    fn check_expansion(&self, style: Style, names: Names<'_>) -> Result<(), Vec<ExpressionError>> {
        let of = |expand: bool| {
            let found = self.mentions.parameters.iter().map(|index| &names.parameters[*index]);
            found.into_iter().find(|parameter| parameter.expand == expand).map(|parameter| parameter.name.as_str())
        };
        let (Some(expanded), true) = (of(true), !matches!(style, Style::Typed | Style::Text)) else {
            return Ok(());
        };
        let literal = match of(false) {
            Some(parameter) => format!("params.{parameter}"),
            None if style == Style::Expanded && self.sources.pod => {
                let named = Variable::ALL.into_iter().find(|variable| self.names(*variable));
                named.map(Variable::name).unwrap_or_default().to_owned()
            }
            None => return Ok(()),
        };
        Err(vec![ExpressionError {
            range: 0..self.source.len(),
            message: format!("mixes params.{expanded}, which has expand: true, with {literal}, whose $ is literal"),
            help: Some("split it into two expressions".to_owned()),
        }])
    }
}

#[cfg(test)]
mod tests;
