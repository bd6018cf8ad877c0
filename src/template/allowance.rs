//! What may be spent on what others write, and make as long as they like.

use std::cell::Cell;

/// So much may still be spent. Once more is asked for than is left, nothing is: who goes on is refused at once.
#[derive(Debug)]
pub(super) struct Allowance(Cell<usize>);

impl Allowance {
    pub(super) const fn new(units: usize) -> Self {
        Self(Cell::new(units))
    }

    pub(super) fn left(&self) -> usize {
        self.0.get()
    }

    /// Whether there was as much.
    pub(super) fn spend(&self, units: usize) -> bool {
        let rest = self.left().checked_sub(units);
        self.0.set(rest.unwrap_or(0));
        rest.is_some()
    }
}
