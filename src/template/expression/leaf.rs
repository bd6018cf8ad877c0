//! String leaves of templates: text and expressions in turn, rendered as JSON.

use super::code::Code;
use super::evaluate::{self, CHUNK};
use super::scan::{self, Piece};
use super::write::Writer;
use super::{EvaluationError, Expression, ExpressionError, Item, Names, Variable, Variables, is_literal};
use crate::json::write_escaped;
use crate::template::parameter::{Parameter, Type};

/// How a leaf's value becomes JSON. An optional is its value, or `null` without one.
///
/// The kubelet expands `$(VAR)` in `command`, `args`, `env[].value` and `subPathExpr`, and `$$` is how a `$` gets there. A value is
/// *literal* there, every `$` doubled, if its expression names a text parameter without `expand: true`. Pod-side values
/// are literal in text; handed on as a whole list they are in the kubelet's notation already, and stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// The value keeps its type.
    Typed,
    /// core/v1 wants text here: scalars become text.
    Text,
    /// Text that the kubelet expands (`command[]`, `args[]`, `env[].value`, `subPathExpr`): also, every `$` of a literal value is
    /// doubled.
    Expanded,
    /// `command` or `args` as one expression: the value keeps its type, and in its texts every `$` of a literal value is
    /// doubled.
    ExpandedItems,
    /// A list of maps, or one of them, as one expression: likewise, in the fields of this name only.
    ExpandedIn(&'static str),
}

/// A string leaf: text and expressions in turn.
#[derive(Debug)]
pub struct Leaf {
    /// The leaf as it was written.
    pub source: Box<str>,
    style: Style,
    /// One expression is a value of any type; everything else makes text.
    parts: Vec<Part>,
}

#[derive(Debug)]
pub(super) enum Part {
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
        let constant = parts.iter().all(|part| matches!(part, Part::Text(_)));
        Ok((!constant).then(|| Self { source: text.into(), style, parts }))
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
        let start = out.len();
        let rendered = self.write(variables, item, Writer::new(out, variables.budget()));
        // What came to nothing took its time, too.
        variables.budget().spend((out.len() - start) / CHUNK).and(rendered)
    }

    fn write(
        &self,
        variables: &dyn Variables,
        item: Option<&Item<'_>>,
        mut writer: Writer<'_>,
    ) -> Result<bool, EvaluationError> {
        match self.parts.as_slice() {
            [Part::Expression(expression)] => {
                let value = evaluate::run(expression, variables, item)?;
                writer.value(&value, self.style, self.doubles(expression, item))
            }
            parts => {
                writer.json("\"")?;
                for part in parts {
                    match part {
                        Part::Text(text) => writer.json(text)?,
                        Part::Expression(expression) => {
                            let value = evaluate::run(expression, variables, item)?;
                            writer.scalar(&value, self.doubles(expression, item))?;
                        }
                    }
                }
                writer.json("\"")?;
                Ok(true)
            }
        }
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The expressions in it.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.parts.iter().filter_map(|part| match part {
            Part::Expression(expression) => Some(expression),
            Part::Text(_) => None,
        })
    }

    /// Whether one of its expressions names a variable.
    #[must_use]
    pub fn names(&self, variable: Variable) -> bool {
        self.expressions().any(|expression| expression.names(variable))
    }

    /// The index of the parameter that is all there is of the leaf.
    #[must_use]
    pub fn is_plain_parameter(&self) -> Option<usize> {
        match self.parts.as_slice() {
            [Part::Expression(Expression { code: Code::Parameter(index), .. })] => Some(*index),
            _ => None,
        }
    }

    /// The type of its value if it is always the same, and never `null`: see [`Expression::known_type`].
    #[must_use]
    pub fn known_type(&self, parameters: &[Parameter]) -> Option<Type> {
        match self.parts.as_slice() {
            [Part::Expression(expression)] => {
                let kind = expression.known_type(parameters)?;
                let text = matches!(self.style, Style::Text | Style::Expanded);
                Some(if text { Type::String } else { kind })
            }
            _ => Some(Type::String),
        }
    }

    /// Whether the `$` of an expression's value are doubled.
    fn doubles(&self, expression: &Expression, item: Option<&Item<'_>>) -> bool {
        let sources = expression.sources(item);
        match self.style {
            Style::Typed | Style::Text => false,
            Style::Expanded => sources.parameters || sources.pod,
            Style::ExpandedItems | Style::ExpandedIn(_) => sources.parameters,
        }
    }
}

/// The fields of a pod that are in the kubelet's notation.
const IN_NOTATION: &[&str] = &["args", "command", "env", "subPathExpr", "value", "volumeMounts"];

impl Expression {
    /// Refuses to mix values whose `$(VAR)` the kubelet expands with values that it must not touch: whichever way the
    /// result was written, one of them would be wrong.
    fn check_expansion(&self, style: Style, names: Names<'_>) -> Result<(), Vec<ExpressionError>> {
        if matches!(style, Style::Typed | Style::Text) {
            return Ok(());
        }
        let parameter = |is: fn(&Parameter) -> bool| {
            let mut mentioned = self.mentions.parameters.iter().map(|index| &names.parameters[*index]);
            mentioned.find(|parameter| is(parameter)).map(|parameter| format!("params.{}", parameter.name))
        };
        let expanded = parameter(|parameter| parameter.expand);
        let item = || self.is_literal(names).then(|| "item".to_owned());
        let literal = parameter(is_literal).or_else(item);
        let pod_side = || Variable::ALL.into_iter().find(|variable| self.names(*variable)).map(Variable::name);
        let (message, help) = if let Some(expanded) = expanded {
            let pod_side = || pod_side().filter(|_| style == Style::Expanded).map(str::to_owned);
            let Some(literal) = literal.or_else(pod_side) else { return Ok(()) };
            let message = format!("mixes {expanded}, which has expand: true, with {literal}, whose $ is literal");
            (message, "split it into two expressions")
        } else if let Some(literal) = literal.filter(|_| style != Style::Expanded && self.has_words_of_pod(names)) {
            let message =
                format!("mixes {literal}, whose $ is literal, with what the pod has in the kubelet's own notation");
            (message, style.instead())
        } else {
            return Ok(());
        };
        Err(vec![ExpressionError { range: 0..self.source.len(), message, help: Some(help.to_owned()) }])
    }

    /// Whether it looks at parts of a pod in which the kubelet expands `$(VAR)`.
    fn has_words_of_pod(&self, names: Names<'_>) -> bool {
        let containers = [Variable::Object, Variable::Target, Variable::Targets];
        let of_pod =
            (self.names_item() && !names.literal_items) || containers.into_iter().any(|variable| self.names(variable));
        of_pod && self.code.selects(IN_NOTATION)
    }
}

impl Style {
    /// What to do where a list would mix values of parameters with the pod's own.
    fn instead(self) -> &'static str {
        match self {
            Self::ExpandedIn("value") => "`environment: target` has the target's variables, word for word",
            Self::ExpandedIn(_) => "write the entries of the list one by one",
            _ => "give `env` a variable that has the parameter's value, and write '$(NAME)' here instead",
        }
    }
}
