//! What a template asks of values and pod, and what does not hold.

use super::{Size, View, text};
use crate::template::expression::{EvaluationError, Item};
use crate::template::{Action, Validation};

/// A validation that does not hold.
#[derive(Debug)]
pub struct Failed {
    /// What is to be done about it.
    pub action: Action,
    /// What it says about it.
    pub message: String,
}

impl Failed {
    /// Looks whether it holds: then there is nothing to say.
    pub fn render(
        view: View<'_>,
        validation: &Validation,
        item: Option<&Item<'_>>,
    ) -> Result<Option<Self>, EvaluationError> {
        if validation.holds(view.variables, item)? {
            return Ok(None);
        }
        let message = match text(&validation.message, view, item, "message")? {
            Some(message) => message.into_owned(),
            None => format!("{} is not true", validation.expression.source),
        };
        Ok(Some(Self { action: validation.action, message }))
    }
}

impl Size for Failed {
    fn bytes(&self) -> usize {
        self.message.len()
    }
}
