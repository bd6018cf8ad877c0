//! Trial renderings: a template is rendered once when it is loaded, so that its mistakes are found before a pod is.
//!
//! Parameters have their [`Parameter::trial`] values, the pod is a plausible stand-in, every `when` is taken to be true
//! and every `forEach` renders its first item. What comes of it knows what it was made from ([`Basis`]): only what can't
//! depend on a real pod is held against the author.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::LazyLock;

use serde_json::{Number, Value as Json};

use super::compile::{CONTROL, Compiler};
use super::expression::{Budget, EvaluationError, Expression, Given, Item, Leaf, Names, Style, Variable, Variables};
use super::node::{Entry, Node};
use super::parameter::{Parameter, Type, Value};
use super::stand_in;
use super::yaml::{Kind, Place, Tree};

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
        Ok(stand_in::variable(variable).into())
    }
}

impl<'t> Compiler<'_, '_, 't> {
    /// Renders what was compiled from `tree`.
    pub(super) fn render(&mut self, tree: &'t Tree<'t>, node: &Node) -> Rendered<'t> {
        match node {
            Node::Json(_) => constant(tree),
            Node::Leaf(leaf) => self.render_leaf(tree, leaf),
            Node::Map(members) => self.render_members(tree, members.iter()),
            Node::List(entries) => {
                let pairs = tree.live_items().zip(entries);
                let items = pairs.map(|(tree, entry)| self.render_entry(tree, entry)).collect();
                Rendered::new(Content::List(items), &tree.place)
            }
        }
    }

    fn render_leaf(&mut self, tree: &'t Tree<'t>, leaf: &Leaf) -> Rendered<'t> {
        let mut json = String::new();
        let (outcome, basis) = self.observe(|trial, item| leaf.render(trial, item, &mut json));
        match outcome {
            Ok(true) => {
                let parameter = leaf.is_plain_parameter().and_then(|index| self.names.parameters.get(index));
                let quantity = parameter.is_some_and(|parameter| parameter.kind == Type::Quantity);
                let value = serde_json::from_str(&json).unwrap_or_default();
                let secret = leaf.expressions().any(|expression| self.secret(expression).is_some());
                Rendered { quantity, ..Rendered::from_json(value, &tree.place, basis, secret) }
            }
            Ok(false) => Rendered::new(Content::Hole, &tree.place),
            Err(error) => {
                self.failed(&error, basis, &tree.place);
                Rendered::new(Content::Hole, &tree.place)
            }
        }
    }

    /// Renders the members of a map that were compiled, which are in the same order.
    pub(super) fn render_members<'n>(
        &mut self,
        tree: &'t Tree<'t>,
        nodes: impl Iterator<Item = &'n (Box<str>, Node)>,
    ) -> Rendered<'t> {
        let mut nodes = nodes.peekable();
        let members = tree.members().filter_map(|(key, place, value)| {
            let (_, node) = nodes.next_if(|(name, _)| **name == *key)?;
            Some((Cow::Borrowed(key), place, self.render(value, node)))
        });
        let members = members.collect();
        Rendered { nulls: tree.nulls().collect(), ..Rendered::new(Content::Map(members), &tree.place) }
    }

    fn render_entry(&mut self, tree: &'t Tree<'t>, entry: &Entry<Node>) -> Rendered<'t> {
        let (when, for_each) = (entry.when.as_ref(), entry.for_each.as_ref());
        let mut rendered = self.within(tree, when, for_each, |compiler| compiler.render(tree, &entry.value));
        if let Content::Map(members) = &mut rendered.content {
            members.retain(|(key, ..)| !CONTROL.contains(&&**key));
        }
        Rendered { conditional: when.is_some() || for_each.is_some(), ..without_control(rendered) }
    }

    /// Does something with the first item of a `forEach` and under a `when`. What the trial's values leave out is looked
    /// at all the same, but what goes wrong there with these values says nothing.
    pub(super) fn within<T>(
        &mut self,
        tree: &Tree<'_>,
        when: Option<&Expression>,
        for_each: Option<&Expression>,
        visit: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let outer = (self.item.clone(), self.floor);
        if for_each.is_none() && tree.get("forEach").is_some() {
            // It did not compile.
            self.floor = Basis::Pod;
            self.item = Some(Rc::new(stand_in::item()));
        }
        if let Some(for_each) = for_each {
            let (outcome, basis) = self.observe(|trial, item| first_item(for_each, trial, item));
            self.floor = basis;
            let first = outcome.unwrap_or_else(|error| {
                self.floor = Basis::Pod;
                self.failed(&error, basis, control(tree, "forEach"));
                None
            });
            let item = first.unwrap_or_else(|| {
                self.floor = self.floor.max(Basis::Placeholder);
                stand_in::item()
            });
            self.item = Some(Rc::new(item));
        }
        if let Some(when) = when {
            self.enter(when, control(tree, "when"));
        }
        let result = visit(self);
        (self.item, self.floor) = outer;
        result
    }

    /// Evaluates a `when` for its mistakes; where it is not true, values say nothing from here on.
    pub(super) fn enter(&mut self, when: &Expression, place: &Place) {
        if self.attempt(when, place) != Some(true) {
            self.floor = self.floor.max(Basis::Placeholder);
        }
    }

    /// Evaluates a condition for its mistakes.
    pub(super) fn attempt(&mut self, condition: &Expression, place: &Place) -> Option<bool> {
        let (outcome, basis) = self.observe(|trial, item| condition.condition(trial, item));
        outcome.map_err(|error| self.failed(&error, basis, place)).ok()
    }

    /// Evaluates something, and says what it was made from.
    fn observe<T>(&self, evaluate: impl FnOnce(&Trial, Option<&Item<'_>>) -> T) -> (T, Basis) {
        self.trial.touched.set(self.floor);
        let outcome = evaluate(self.trial, self.item.as_deref().map(|item| Item::new(item, 0)).as_ref());
        (outcome, self.trial.touched.get())
    }

    /// An evaluation failed: the author's mistake only if no pod and no parameter could change it.
    fn failed(&mut self, error: &EvaluationError, basis: Basis, place: &Place) {
        match basis {
            Basis::Constant => {
                self.problems.error(place, &*error.message);
            }
            Basis::Declared => {
                self.problems.error(place, format!("with its parameters' own values: {}", error.message));
            }
            Basis::Placeholder | Basis::Pod => {}
        }
    }
}

/// The first item of a `forEach`, if there is one.
fn first_item(for_each: &Expression, trial: &Trial, item: Option<&Item<'_>>) -> Result<Option<Json>, EvaluationError> {
    static ITEM: LazyLock<Option<Leaf>> = LazyLock::new(|| {
        Leaf::parse("{{ item }}", Style::Typed, Names { parameters: &[], in_for_each: true }).ok().flatten()
    });
    let items = for_each.items(trial, item)?;
    let (Some(first), Some(leaf)) = (items.first(), &*ITEM) else { return Ok(None) };
    let mut json = String::new();
    leaf.render(trial, Some(first), &mut json)?;
    Ok(serde_json::from_str(&json).ok())
}

/// The place of an entry's `when` or `forEach`; of a template's own, the tree is the condition itself.
fn control<'t>(tree: &'t Tree<'_>, key: &str) -> &'t Place {
    tree.get(key).map_or(&tree.place, |tree| &tree.place)
}

/// An entry of a list, which knows `when` and `forEach`.
fn without_control(mut entry: Rendered<'_>) -> Rendered<'_> {
    entry.nulls.retain(|(key, _)| !CONTROL.contains(key));
    entry
}

/// A value that no expression touches.
fn constant<'t>(tree: &'t Tree<'t>) -> Rendered<'t> {
    let content = match &tree.kind {
        Kind::Bool(value) => Content::Bool(*value),
        Kind::Number(number) => Content::Number(number.clone()),
        // An expression in it did not compile.
        Kind::Text(text) if text.contains("{{") => Content::Hole,
        Kind::Text(text) => Content::Text(Cow::Borrowed(text)),
        Kind::List(_) => Content::List(tree.live_items().map(|item| without_control(constant(item))).collect()),
        Kind::Map(_) => Content::Map(
            tree.members().map(|(key, place, value)| (Cow::Borrowed(key), place, constant(value))).collect(),
        ),
        Kind::Null | Kind::Broken => Content::Hole,
    };
    Rendered { nulls: tree.nulls().collect(), ..Rendered::new(content, &tree.place) }
}
