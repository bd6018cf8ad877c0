//! Lines of the log that others can cause as often as they like.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// At most one line in this time.
const INTERVAL: Duration = Duration::from_secs(10);

/// Lets one line in a while pass, and counts those between.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// Whether a line may be written now; with how many were not since the last one.
    pub(super) fn passes(&self) -> Option<u64> {
        self.passes_at(Instant::now())
    }

    fn passes_at(&self, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, untold) = &mut *told;
        if last.is_some_and(|last| now < last + INTERVAL) {
            *untold += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_a_while_passes_and_tells_how_many_did_not() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.passes_at(start), Some(0));
        assert_eq!(seldom.passes_at(start + INTERVAL / 2), None);
        assert_eq!(seldom.passes_at(start + INTERVAL / 2), None);
        assert_eq!(seldom.passes_at(start + INTERVAL), Some(2));
        assert_eq!(seldom.passes_at(start + INTERVAL * 2), Some(0));
    }
}
