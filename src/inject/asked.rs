//! A graft that is asked for.

use std::sync::Arc;

use super::key::Key;
use super::outcome::GraftName;
use super::rendering::Rendering;
use crate::template::{FailurePolicy, Line, Template};

/// A template that a pod is to get, its parameters bound.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Its name in messages.
    pub name: GraftName<'a>,
    /// The template.
    pub template: &'a Template,
    /// The template with the values of its parameters.
    pub rendering: Arc<Rendering>,
    /// `.containers`: the key that says it, and the names.
    pub containers: Option<(Key, Vec<String>)>,
    /// The pod says nothing of it: its namespace alone asks for it, and must not deny pods.
    pub of_namespace: bool,
}

impl Asked<'_> {
    /// Whether the pod goes in without it when it can't be had.
    #[must_use]
    pub fn may_be_left_out(&self) -> bool {
        self.of_namespace || self.template.failure_policy == FailurePolicy::Ignore
    }

    /// Where in the template something stands, for messages.
    #[must_use]
    pub fn place(&self, field: &str, line: Line) -> String {
        format!("{field} ({}:{line})", self.template.origin.0)
    }
}
