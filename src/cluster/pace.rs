//! How often whoever watches asks the API server.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;

/// The longest pause after an error: so late a watch goes on when the API server is back.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Pauses after errors: kube's, which double from about a second and are up to twice as long at random, but no longer than that.
#[derive(Default)]
pub(super) struct Pauses(DefaultBackoff);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(LONGEST_PAUSE))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_half_a_minute_and_begin_anew() {
        let mut pauses = Pauses::default();
        assert!(pauses.next().is_some_and(|pause| pause < Duration::from_secs(2)));
        let later: Vec<_> = pauses.by_ref().skip(9).take(90).collect();
        assert!(later.iter().all(|pause| *pause == LONGEST_PAUSE), "{later:?}");
        pauses.reset();
        assert!(pauses.next().is_some_and(|pause| pause < Duration::from_secs(2)));
    }
}
