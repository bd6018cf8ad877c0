//! What a trial rendering gave, and how sure that is.

use std::borrow::Cow;
use std::cell::Cell;

use serde_json::{Number, Value as Json};

use super::diagnostic::Place;

/// What a rendered value was made from, from the surest to the least sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Basis {
    /// The file alone.
    Constant,
    /// Values that the author gave to parameters: default, example, enum or minimum.
    Declared,
    /// A placeholder for a required parameter: of the right type, but any value.
    Placeholder,
    /// The stand-in pod.
    Pod,
}

/// A piece of core/v1 as the trial rendered it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what is known of a value, each asked for by itself")]
pub(super) struct Rendered<'t> {
    pub(super) content: Content<'t>,
    pub(super) place: &'t Place,
    pub(super) basis: Basis,
    /// An expression made it.
    pub(super) expression: bool,
    /// The expression is a parameter that is a quantity.
    pub(super) quantity: bool,
    /// It stands in an entry with `when` or `forEach`: in a pod it may be absent, or there several times.
    pub(super) conditional: bool,
    /// An expression that looks at a sensitive parameter made it: messages don't show it.
    pub(super) secret: bool,
    /// The keys of a map that have no value.
    pub(super) nulls: Vec<(&'t str, &'t Place)>,
    /// It has the wrong type, which was reported, and is passed over.
    pub(super) refused: Cell<bool>,
}

/// What a rendered value is.
#[derive(Debug)]
pub(super) enum Content<'t> {
    Bool(bool),
    Number(Number),
    Text(Cow<'t, str>),
    List(Vec<Rendered<'t>>),
    Map(Vec<(Cow<'t, str>, &'t Place, Rendered<'t>)>),
    /// Nothing is known of it: its expression has no value with the trial's values, or is null.
    Hole,
}

impl<'t> Rendered<'t> {
    pub(super) fn new(content: Content<'t>, place: &'t Place) -> Self {
        Self {
            content,
            place,
            basis: Basis::Constant,
            expression: false,
            quantity: false,
            conditional: false,
            secret: false,
            nulls: Vec::new(),
            refused: Cell::new(false),
        }
    }

    /// The members of a map.
    pub(super) fn members(&self) -> &[(Cow<'t, str>, &'t Place, Rendered<'t>)] {
        match &self.content {
            Content::Map(members) => members,
            _ => &[],
        }
    }

    /// The items of a list.
    pub(super) fn items(&self) -> &[Rendered<'t>] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// A member of a map.
    pub(super) fn get(&self, name: &str) -> Option<&Rendered<'t>> {
        self.members().iter().find(|(key, ..)| key == name).map(|(.., value)| value)
    }

    /// The text, if it is text.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text, if the file alone decides it.
    pub(super) fn constant_text(&self) -> Option<&str> {
        self.text().filter(|_| self.basis == Basis::Constant)
    }

    /// The integer, if it is one.
    pub(super) fn integer(&self) -> Option<i64> {
        match &self.content {
            Content::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// What a leaf's JSON is, all of it made in one place from one basis.
    pub(super) fn from_json(value: Json, place: &'t Place, basis: Basis, secret: bool) -> Self {
        let inner = |value| Self::from_json(value, place, basis, secret);
        let content = match value {
            Json::Null => Content::Hole,
            Json::Bool(value) => Content::Bool(value),
            Json::Number(number) => Content::Number(number),
            Json::String(text) => Content::Text(Cow::Owned(text)),
            Json::Array(items) => Content::List(items.into_iter().map(inner).collect()),
            Json::Object(members) => {
                Content::Map(members.into_iter().map(|(key, value)| (Cow::Owned(key), place, inner(value))).collect())
            }
        };
        Self { basis, expression: true, secret, ..Self::new(content, place) }
    }
}

/// What a container is in the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Runs beside the app.
    Sidecar,
    /// Runs to its end before the app.
    Init,
}

/// What the trial gave, for the checks that need the whole template.
#[derive(Debug, Default)]
pub(super) struct Parts<'t> {
    pub(super) containers: Vec<(Role, Rendered<'t>)>,
    pub(super) shared_volumes: Vec<Rendered<'t>>,
    pub(super) volumes: Vec<Rendered<'t>>,
    pub(super) target: Option<Rendered<'t>>,
    pub(super) pod: Option<Rendered<'t>>,
}
