//! Trial renderings: a template is rendered once when it is loaded, so that its mistakes are found before a pod is.
//!
//! Parameters have their trial values, the pod is a plausible stand-in, every `when` is taken to be true
//! and every `forEach` renders its first item. What comes of it knows what it was made from ([`Basis`]): only what can't
//! depend on a real pod is held against the author.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::LazyLock;

use serde_json::Value as Json;

use super::compile::Compiler;
use super::diagnostic::Place;
use super::expression::{EvaluationError, Expression, Item, Leaf, Names, Style};
use super::node::{CONTROL, Entry, Node};
use super::parameter::{Patterns, Type};
use super::rendered::{Basis, Content, Rendered};
use super::stand_in::{self, Trial};
use super::yaml::{Kind, Tree};

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
        self.trial
            .observe(self.floor, |trial| evaluate(trial, self.item.as_deref().map(|item| Item::new(item, 0)).as_ref()))
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
        let patterns = Patterns::default();
        let names = Names { parameters: &[], in_for_each: true, literal_items: false, patterns: &patterns };
        Leaf::parse("{{ item }}", Style::Typed, names).ok().flatten()
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
