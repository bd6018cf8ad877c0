//! What the parameters' defaults alone decide is evaluated when a template is loaded. A request takes the result if nobody
//! has set a parameter that it depends on, and pays for it what the evaluation would have cost.

use super::{Budget, EvaluationError, Expression, Given, Leaf, Variable, Variables};
use crate::template::parameter::{Parameter, Value};

/// A result, and what it depends on.
#[derive(Debug)]
pub(super) struct Settled<T> {
    value: T,
    /// The bits of the parameters.
    parameters: u64,
    /// What it takes of a request's budget.
    units: usize,
}

impl<T> Settled<T> {
    /// Evaluates what these expressions are part of; `None` if defaults don't decide it. Of a sensitive parameter a request
    /// has to know that it was looked at. What fails does so again in a request, which tells where.
    fn of<'e>(
        mut expressions: impl Iterator<Item = &'e Expression>,
        parameters: &[Parameter],
        budget: &Budget,
        evaluate: impl FnOnce(&Defaults<'_>) -> Result<T, EvaluationError>,
    ) -> Option<Self> {
        let bits = expressions.try_fold(0, |bits, expression| {
            let mentions = &expression.mentions;
            if mentions.variables != 0 || mentions.item {
                return None;
            }
            mentions.parameters.iter().try_fold(bits, |bits, index| {
                let parameter = &parameters[*index];
                let bit = bit(*index).filter(|_| parameter.default.is_some() && !parameter.sensitive)?;
                Some(bits | bit)
            })
        })?;
        let before = budget.left();
        let value = evaluate(&Defaults { parameters, budget }).ok()?;
        Some(Self { value, parameters: bits, units: before - budget.left() })
    }

    /// The result, if it holds for these values and its price can be paid; else an evaluation says the same, or why not.
    pub(super) fn take(&self, variables: &dyn Variables) -> Option<&T> {
        let holds = self.parameters & variables.set() == 0 && self.units <= variables.budget().left();
        (holds && variables.budget().spend(self.units).is_ok()).then_some(&self.value)
    }
}

/// The bit of a parameter: only the first 64 have one.
pub(crate) fn bit(index: usize) -> Option<u64> {
    1_u64.checked_shl(index as u32)
}

/// The parameters' defaults, and no pod.
struct Defaults<'p> {
    parameters: &'p [Parameter],
    budget: &'p Budget,
}

impl Variables for Defaults<'_> {
    fn parameter(&self, index: usize) -> &Value {
        static NONE: Value = Value::Boolean(false);
        // Only those that have one are asked for.
        self.parameters[index].default.as_ref().unwrap_or(&NONE)
    }

    fn variable(&self, variable: Variable) -> Result<Given<'_>, String> {
        Err(format!("there is no {}", variable.name()))
    }

    fn budget(&self) -> &Budget {
        self.budget
    }
}

impl Expression {
    /// Evaluates a condition that defaults decide, if the budget for all of a template's lasts.
    pub(in crate::template) fn settle(&mut self, parameters: &[Parameter], budget: &Budget) {
        let settled = Settled::of([&*self].into_iter(), parameters, budget, |defaults| self.condition(defaults, None));
        self.settled = settled;
    }
}

impl Leaf {
    /// Renders a leaf that defaults decide, if the budget for all of a template's lasts.
    pub(in crate::template) fn settle(&mut self, parameters: &[Parameter], budget: &Budget) {
        let settled = Settled::of(self.expressions(), parameters, budget, |defaults| {
            let mut json = String::new();
            Ok(self.render(defaults, None, &mut json)?.then(|| json.into()))
        });
        self.settled = settled;
    }
}
