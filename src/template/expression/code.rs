//! Compiled expressions: what [`compile`](super::compile) makes and [`evaluate`](super::evaluate) runs.

use std::fmt;

use super::Variable;
use super::data::Data;
use super::functions::Function;
use crate::template::parameter::{Parameter, Pattern, Type};

/// Compiled CEL: names are resolved, functions found, patterns compiled.
#[derive(Debug)]
pub(super) enum Code {
    Constant(Data<'static>),
    /// `params.NAME`, by its index.
    Parameter(usize),
    Variable(Variable),
    /// `item` and `index` of a `forEach`.
    Item,
    Index,
    /// A variable of a macro, counted from the outermost.
    Local(usize),
    Select(Box<Select>),
    /// `has(of.field)`.
    Has(Box<Code>, Box<str>),
    At(Box<At>),
    If(Box<[Code; 3]>),
    /// `&&` if the flag is set, else `||`.
    Logic(bool, Box<[Code; 2]>),
    Not(Box<Code>),
    Negate(Box<Code>),
    Binary(Operator, Box<[Code; 2]>),
    List(Box<[Element]>),
    Map(Box<[(Code, Element)]>),
    Loop(Box<Loop>),
    /// `optMap`, and `optFlatMap` if the flag is set.
    OptionalMap(Box<[Code; 2]>, bool),
    Call(&'static Function, Box<[Code]>),
    Matches(Box<Code>, Pattern),
}

/// `of.field`, or `of.?field`.
#[derive(Debug)]
pub(super) struct Select {
    pub(super) of: Code,
    pub(super) field: Box<str>,
    pub(super) optional: bool,
}

/// `of[index]`, or `of[?index]`.
#[derive(Debug)]
pub(super) struct At {
    pub(super) of: Code,
    pub(super) index: Code,
    pub(super) optional: bool,
}

/// An element of a list or map literal; an optional one (`?x`) without a value is left out.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) value: Code,
    pub(super) optional: bool,
}

/// A macro over the items of a list or the keys of a map.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) kind: LoopKind,
    pub(super) range: Code,
    /// `map` with three arguments: which items it takes.
    pub(super) filter: Option<Code>,
    pub(super) body: Code,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
    SortBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
        })
    }
}

impl Code {
    /// The parts that it is made of.
    pub(super) fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Constant(_) | Self::Parameter(_) | Self::Variable(_) | Self::Item | Self::Index | Self::Local(_) => {
                Vec::new()
            }
            Self::Select(select) => vec![&select.of],
            Self::At(at) => vec![&at.of, &at.index],
            Self::If(parts) => parts.iter().collect(),
            Self::Logic(_, sides) | Self::Binary(_, sides) | Self::OptionalMap(sides, _) => sides.iter().collect(),
            Self::Has(of, _) | Self::Not(of) | Self::Negate(of) | Self::Matches(of, _) => vec![of],
            Self::List(elements) => elements.iter().map(|element| &element.value).collect(),
            Self::Map(entries) => entries.iter().flat_map(|(key, element)| [key, &element.value]).collect(),
            Self::Loop(each) => [&each.range, &each.body].into_iter().chain(&each.filter).collect(),
            Self::Call(_, arguments) => arguments.iter().collect(),
        }
    }

    /// Whether its value is another for other parameters or pods.
    pub(super) fn names_anything(&self) -> bool {
        matches!(self, Self::Parameter(_) | Self::Variable(_) | Self::Item | Self::Index)
            || self.parts().into_iter().any(Self::names_anything)
    }

    /// Whether a field of one of these names is taken out of something.
    pub(super) fn selects(&self, fields: &[&str]) -> bool {
        matches!(self, Self::Select(select) if fields.contains(&&*select.field))
            || self.parts().into_iter().any(|part| part.selects(fields))
    }

    /// The type of the value if it is always the same, and never `null`.
    pub(super) fn known_type(&self, parameters: &[Parameter]) -> Option<Type> {
        match self {
            Self::Constant(Data::Boolean(_)) | Self::Logic(..) | Self::Not(_) | Self::Has(..) | Self::Matches(..) => {
                Some(Type::Boolean)
            }
            Self::Constant(Data::Integer(_)) | Self::Index | Self::Binary(Operator::Modulo, _) => Some(Type::Integer),
            Self::Constant(Data::Double(_)) => Some(Type::Number),
            Self::Constant(Data::Text(_)) => Some(Type::String),
            Self::Parameter(index) => parameters.get(*index).map(|parameter| match parameter.kind {
                Type::Duration | Type::Quantity => Type::String,
                kind => kind,
            }),
            Self::If(branches) => {
                let kind = branches[1].known_type(parameters)?;
                branches[2].known_type(parameters).filter(|other| *other == kind)
            }
            // All operators but + and the like give bools; those give what both their sides are.
            Self::Binary(Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide, sides) => sides[0]
                .known_type(parameters)
                .or_else(|| sides[1].known_type(parameters))
                .filter(|kind| *kind != Type::List),
            Self::Binary(..) => Some(Type::Boolean),
            Self::Call(function, _) => function.result(),
            _ => None,
        }
    }
}
