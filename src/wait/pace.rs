//! When to ask again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The longest pause, unless the first one is longer: a target that is ready is not kept waiting for long.
const LONGEST: Duration = Duration::from_secs(10);

/// Pauses that double, each cut by chance to between its half and its whole, so that pods that began together don't
/// keep asking together.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration) -> Self {
        Self { first, next: first }
    }

    /// Begins anew.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }

    /// The next pause.
    pub(super) fn pause(&mut self) -> Duration {
        self.pause_by(chance())
    }

    fn pause_by(&mut self, chance: f64) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(LONGEST.max(self.first));
        pause.mul_f64(0.5 + chance / 2.0)
    }
}

/// A number from 0 to 1. The standard library seeds its hash tables from the system's random numbers, which is chance
/// enough to spread pauses.
fn chance() -> f64 {
    f64::from((RandomState::new().hash_one(()) >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(first: Duration, chance: f64) -> Vec<u128> {
        let mut backoff = Backoff::new(first);
        (0..6).map(|_| backoff.pause_by(chance).as_millis()).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        assert_eq!(pauses(Duration::from_secs(1), 1.0), [1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert_eq!(pauses(Duration::from_secs(1), 0.0), [500, 1000, 2000, 4000, 5000, 5000]);
        assert_eq!(pauses(Duration::from_secs(30), 1.0), [30_000; 6]);
    }

    #[test]
    fn news_begin_them_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        backoff.pause_by(1.0);
        backoff.pause_by(1.0);
        backoff.reset();
        assert_eq!(backoff.pause_by(1.0), Duration::from_secs(1));
    }

    #[test]
    fn chance_is_a_fraction_and_differs() {
        let drawn: Vec<f64> = (0..100).map(|_| chance()).collect();
        assert!(drawn.iter().all(|it| (0.0..=1.0).contains(it)));
        assert!(drawn.iter().any(|it| (it - drawn[0]).abs() > 0.1), "{drawn:?}");
    }
}
