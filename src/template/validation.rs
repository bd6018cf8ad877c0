//! `spec.validations`: what has to hold for a pod and its parameters, in the words of Kubernetes' own
//! ValidatingAdmissionPolicy.

use super::compile::{Compiler, Field};
use super::expression::{EvaluationError, Item, Style, Variables};
use super::fields::{Fields, list, text};
use super::node::{Entry, Node};
use super::rendered::Basis;
use super::yaml::Tree;
use super::{Action, Validation};

impl Validation {
    /// Whether it holds.
    ///
    /// # Errors
    ///
    /// The expression has no value.
    pub fn holds(&self, variables: &dyn Variables, item: Option<&Item<'_>>) -> Result<bool, EvaluationError> {
        self.expression.condition(variables, item).map_err(|error| error.within("expression"))
    }
}

impl Entry<Validation> {
    /// Whether nobody with these values gets the graft.
    fn denies(&self, variables: &dyn Variables) -> bool {
        let mut denies = false;
        let visited = self.each(variables, None, |validation, item| {
            denies |= validation.action == Action::Deny && !validation.holds(variables, item)?;
            Ok::<_, EvaluationError>(())
        });
        denies || visited.is_err()
    }
}

impl<'t> Compiler<'_, '_, 't> {
    /// The validations of a template, in whose scope everything after them stands.
    pub(super) fn validations(&mut self, spec: &Fields<'t>) -> Vec<Entry<Validation>> {
        let items = spec.get("validations").and_then(|tree| list(tree, self.problems)).unwrap_or_default();
        let entry = |item| {
            self.entry(item, |compiler, when, for_each| {
                compiler.within(item, when, for_each, |compiler| compiler.validation(item))
            })
        };
        let validations: Vec<_> = items.iter().filter_map(entry).collect();
        if validations.iter().any(|entry| entry.denies(self.trial)) {
            // A pod that brings these values does not get to the rest.
            self.floor = self.floor.max(Basis::Placeholder);
        }
        validations
    }

    fn validation(&mut self, tree: &'t Tree<'t>) -> Option<Validation> {
        let known = ["expression", "message", "action", "when", "forEach"];
        let fields = Fields::read(tree, &tree.place, &known, self.problems)?;
        let action = self.word(&fields, "action", &[("Deny", Action::Deny), ("Warn", Action::Warn)]);
        let expression = fields.required("expression", self.problems).and_then(|tree| {
            let expression = self.condition(tree)?;
            if self.attempt(&expression, &tree.place) != Some(false) {
                // Its message is for values that it refuses, and these say nothing about that.
                self.floor = self.floor.max(Basis::Placeholder);
            }
            Some(expression)
        });
        let message = fields.required("message", self.problems).and_then(|tree| self.message(tree));
        Some(Validation { expression: expression?, message: message?, action })
    }

    fn message(&mut self, tree: &'t Tree<'t>) -> Option<Node> {
        text(tree, self.problems)?;
        let message = self.telling(true, |compiler| compiler.node(tree, Field::Scalar(Style::Text)))?;
        self.render(tree, &message);
        Some(message)
    }
}
