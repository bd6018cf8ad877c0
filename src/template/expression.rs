//! CEL expressions in templates: compiled and bounded at load, evaluated against what they name.
//!
//! `scan` splits leaves and holds the text against limits, `syntax` makes a tree of it, `compile` code whose names are
//! resolved; `evaluate` runs that within a budget over `data`, which only views the pod, and `write` makes JSON of the
//! result. Nothing that a template or an annotation says makes any of them run for long, take much memory or panic.

mod code;
mod compile;
mod data;
mod evaluate;
mod functions;
mod leaf;
mod operators;
mod scan;
mod syntax;
mod tree;
mod words;
mod write;

use std::cell::Cell;
use std::io;
use std::ops::{Deref, Range};
use std::thread::{self, Scope, ScopedJoinHandle};

use code::Code;
use data::Data;
use evaluate::fail;
use tree::Unread;

use super::Line;
use super::allowance::Allowance;
use super::parameter::{MAX_ITEMS, Parameter, Patterns, Type, Value};

pub use leaf::{Leaf, Style};
pub use tree::Given;
pub use words::Word;

/// The longest text, in bytes, that one leaf may render.
pub const MAX_LEAF: usize = 64 * 1024;

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

    /// The value of a variable.
    ///
    /// # Errors
    ///
    /// There is none.
    fn variable(&self, variable: Variable) -> Result<Given<'_>, String>;

    /// What all evaluations together may spend.
    fn budget(&self) -> &Budget;
}

/// What the expressions of one request, or of one trial rendering, may spend together: each is bounded, this bounds
/// how often a template may repeat them. In `evaluate`'s units.
#[derive(Debug)]
pub struct Budget(Allowance);

impl Budget {
    /// Ten times what one evaluation may spend; pods with many large grafts take some thousand.
    const TOTAL: usize = 1_000_000;

    /// The budget of a request.
    #[must_use]
    pub const fn new() -> Self {
        Self(Allowance::new(Self::TOTAL))
    }

    /// What is evaluated of a template with values, before a pod is looked at: a few hundred steps of one that people
    /// write.
    #[must_use]
    pub const fn beforehand() -> Self {
        Self(Allowance::new(Self::TOTAL / 100))
    }

    /// What is left of it.
    fn left(&self) -> usize {
        self.0.left()
    }

    fn spend(&self, units: usize) -> Result<(), EvaluationError> {
        if self.0.spend(units) { Ok(()) } else { Self::exhausted() }
    }

    /// Reads a value, at the cost of its text.
    fn read<'v>(&self, value: Unread<'v>) -> Result<Data<'v>, EvaluationError> {
        self.spend(value.cost())?;
        Ok(value.read())
    }

    fn exhausted<T>() -> Result<T, EvaluationError> {
        fail(format!("the expressions of this request take more than {} steps together", Self::TOTAL))
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

/// What `forEach` binds: `item`, and `index` from 0.
#[derive(Debug, Clone)]
pub struct Item<'v> {
    value: Data<'v>,
    index: usize,
    sources: Sources,
    /// How many `forEach` are around, this one counted.
    level: usize,
}

/// How deep `forEach` may nest; core/v1 has lists in lists in lists in lists.
const MAX_LEVELS: usize = 4;

impl<'v> Item<'v> {
    /// An item that no `forEach` made, for a trial rendering.
    #[must_use]
    pub fn new(item: &'v serde_json::Value, index: usize) -> Self {
        Self { value: item.into(), index, sources: Sources { parameters: true, pod: true, sensitive: true }, level: 1 }
    }
}

/// The names that an expression of a template may use.
#[derive(Debug, Clone, Copy)]
pub struct Names<'t> {
    /// The template's parameters.
    pub parameters: &'t [Parameter],
    /// `item` and `index` are bound.
    pub in_for_each: bool,
    /// `item` has texts of a parameter, whose `$` is literal.
    pub literal_items: bool,
    /// What the template's patterns may still take.
    pub patterns: &'t Patterns,
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

/// An expression that has no value for this pod. Boxed, as results are handed on at every step of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.message)]
pub struct EvaluationError(Box<Failure>);

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong, without the leaf's name.
    pub message: String,
    /// The leaf, as far as its parents have been named: `env[0].value`.
    pub place: String,
    /// The line of the innermost list entry around the leaf.
    pub line: Option<Line>,
    /// The message quotes what expressions made, whatever that was made from.
    pub quotes: bool,
}

impl Deref for EvaluationError {
    type Target = Failure;

    fn deref(&self) -> &Failure {
        &self.0
    }
}

impl EvaluationError {
    /// An error of a leaf that its parents have yet to name.
    #[must_use]
    #[cold]
    pub fn new(message: String) -> Self {
        Self(Box::new(Failure { message, place: String::new(), line: None, quotes: false }))
    }

    /// What a part became can't be read as what it has to be.
    #[must_use]
    pub fn unreadable(error: &serde_json::Error) -> Self {
        let mut failure = Self::new(error.to_string());
        failure.0.quotes = true;
        failure
    }

    /// The same error, seen from the map that has it under `key`.
    #[must_use]
    pub fn within(mut self, key: &str) -> Self {
        let dot = if self.place.is_empty() || self.place.starts_with('[') { "" } else { "." };
        self.0.place = format!("{key}{dot}{}", self.place);
        self
    }

    /// The same error, seen from the list that has it in its entry `index`, written on `line`.
    #[must_use]
    pub fn at(self, index: usize, line: Line) -> Self {
        let mut located = self.within(&format!("[{index}]"));
        located.0.line.get_or_insert(line);
        located
    }
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

/// Where a value comes from, as far as doubling `$` and showing it are concerned.
#[derive(Debug, Clone, Copy, Default)]
struct Sources {
    /// From a parameter that is literal.
    parameters: bool,
    /// From a pod-side variable.
    pod: bool,
    /// From a `sensitive` parameter: messages don't show it.
    sensitive: bool,
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

/// Does work on a thread with a stack of 16 MiB, and waits for it; on such a thread already, just does it. The trees of
/// YAML, core/v1 and CEL recurse, each within its limits, which together may be more than a worker's stack holds. One
/// thread for many files saves starting one for each.
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
    thread::scope(|scope| Ok(joined(spawn_deep(scope, work)?)))
}

/// Starts a thread with a stack of 16 MiB, for whoever has work for several.
///
/// # Errors
///
/// The operating system gives no thread.
pub(crate) fn spawn_deep<'s, T: Send + 's>(
    scope: &'s Scope<'s, '_>,
    work: impl FnOnce() -> T + Send + 's,
) -> io::Result<ScopedJoinHandle<'s, T>> {
    let work = || {
        IS_DEEP.set(true);
        work()
    };
    thread::Builder::new().stack_size(DEEP_STACK).spawn_scoped(scope, work)
}

/// What a thread's work came to.
///
/// # Panics
///
/// When the work did.
pub(crate) fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl Expression {
    /// Compiles bare CEL (`when`, `forEach`).
    ///
    /// # Errors
    ///
    /// Every mistake, with its place in `source`.
    pub fn compile(source: &str, names: Names<'_>) -> Result<Self, Vec<ExpressionError>> {
        let (code, mentions) = compile::compile(source, names)?;
        let any = |is: fn(&Parameter) -> bool| mentions.parameters.iter().any(|index| is(&names.parameters[*index]));
        let sources = Sources {
            parameters: any(is_literal),
            pod: mentions.variables != 0,
            sensitive: any(|parameter| parameter.sensitive),
        };
        Ok(Self { source: source.into(), code, mentions, sources })
    }

    /// Evaluates a condition.
    ///
    /// # Errors
    ///
    /// It fails, exceeds the limits or is no boolean.
    pub fn condition(&self, variables: &dyn Variables, item: Option<&Item<'_>>) -> Result<bool, EvaluationError> {
        match evaluate::run(self, variables, item)? {
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
        let level = 1 + item.map_or(0, |outer| outer.level);
        if level > MAX_LEVELS {
            return fail(format!("forEach nests at most {MAX_LEVELS} deep"));
        }
        match evaluate::run(self, variables, item)? {
            Data::List(list) if list.len() > MAX_ITEMS => {
                let found = if sources.sensitive { "more".to_owned() } else { list.len().to_string() };
                fail(format!("forEach goes over at most {MAX_ITEMS} items, not {found}"))
            }
            Data::List(list) => {
                let item = |(index, value)| Ok(Item { value: variables.budget().read(value)?, index, sources, level });
                list.iter().enumerate().map(item).collect()
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

    /// Whether what it makes may have texts of a parameter, whose `$` is literal.
    #[must_use]
    pub fn is_literal(&self, names: Names<'_>) -> bool {
        self.sources.parameters || (self.mentions.item && names.literal_items)
    }

    fn sources(&self, item: Option<&Item<'_>>) -> Sources {
        let from = item.filter(|_| self.mentions.item).map(|item| item.sources).unwrap_or_default();
        Sources {
            parameters: self.sources.parameters || from.parameters,
            pod: self.sources.pod || from.pod,
            sensitive: self.sources.sensitive || from.sensitive,
        }
    }
}

/// Whether every `$` of a parameter's value stands for itself. Of what is no free text, none has any.
fn is_literal(parameter: &Parameter) -> bool {
    !parameter.expand && matches!(parameter.kind, Type::String | Type::List)
}

#[cfg(test)]
mod tests;
