//! Which rejections are worth an Event: a controller tries a pod again and again, and a hostile one as fast as it can.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// An Event is counted up this often.
const AGAIN: Duration = Duration::from_mins(1);

/// How many Events may be written at once; then one in each [`REFILL`].
const BURST: u32 = 20;
const REFILL: Duration = Duration::from_secs(1);

/// How many kinds of rejections are remembered, and for how long where that is many: controllers that back off try again
/// within 17 minutes.
const REMEMBERED: usize = 1024;
const FORGOTTEN: Duration = Duration::from_mins(20);

/// Whether it is a rejection's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is, and it was seen so often.
    Now {
        /// This time included.
        count: i32,
    },
    /// It was said a moment ago, and is counted.
    Later,
    /// There are too many, and it is not remembered.
    Never,
}

/// What was seen, and what may still be written.
pub(super) struct Limits {
    seen: HashMap<u64, Seen>,
    tokens: u32,
    /// When the last token was filled in.
    filled: Instant,
}

struct Seen {
    count: i32,
    written: Option<Instant>,
    last: Instant,
}

impl Limits {
    pub(super) fn new(now: Instant) -> Self {
        Self { seen: HashMap::new(), tokens: BURST, filled: now }
    }

    /// Takes in one more rejection of a kind.
    pub(super) fn take(&mut self, key: u64, now: Instant) -> Turn {
        self.fill(now);
        if !self.seen.contains_key(&key) && self.seen.len() >= REMEMBERED {
            self.seen.retain(|_, seen| now < seen.last + FORGOTTEN);
            if self.seen.len() >= REMEMBERED {
                return Turn::Never;
            }
        }
        let seen = self.seen.entry(key).or_insert(Seen { count: 0, written: None, last: now });
        (seen.count, seen.last) = (seen.count.saturating_add(1), now);
        if seen.written.is_some_and(|written| now < written + AGAIN) {
            return Turn::Later;
        }
        let Some(left) = self.tokens.checked_sub(1) else { return Turn::Never };
        self.tokens = left;
        seen.written = Some(now);
        Turn::Now { count: seen.count }
    }

    fn fill(&mut self, now: Instant) {
        while self.tokens < BURST && now >= self.filled + REFILL {
            self.tokens += 1;
            self.filled += REFILL;
        }
        if self.tokens == BURST {
            self.filled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_repeated_is_counted_and_said_once_a_minute() {
        let now = Instant::now();
        let mut limits = Limits::new(now);
        assert_eq!(limits.take(1, now), Turn::Now { count: 1 });
        assert_eq!(limits.take(1, now), Turn::Later);
        assert_eq!(limits.take(2, now), Turn::Now { count: 1 }, "another one");
        assert_eq!(limits.take(1, now + AGAIN - SECOND), Turn::Later);
        assert_eq!(limits.take(1, now + AGAIN), Turn::Now { count: 4 });
        assert_eq!(limits.take(1, now + AGAIN), Turn::Later);
    }

    #[test]
    fn many_are_said_one_a_second() {
        let now = Instant::now();
        let mut limits = Limits::new(now);
        let turns = |limits: &mut Limits, keys: std::ops::Range<u64>, now| {
            keys.filter(|key| matches!(limits.take(*key, now), Turn::Now { .. })).count()
        };
        assert_eq!(turns(&mut limits, 0..100, now), 20);
        assert_eq!(turns(&mut limits, 100..200, now + SECOND * 5), 5);
        // What had no turn is said as soon as there is one.
        assert_eq!(limits.take(199, now + SECOND * 6), Turn::Now { count: 2 });
        assert_eq!(turns(&mut limits, 200..300, now + SECOND * 3600), 20, "no more than at first");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let now = Instant::now();
        let mut limits = Limits::new(now);
        for key in 0..100_000 {
            limits.take(key, now);
        }
        assert_eq!(limits.seen.len(), REMEMBERED);
        assert_eq!(limits.take(100_000, now + SECOND * 3600), Turn::Now { count: 1 }, "the old ones are forgotten");
        assert_eq!(limits.seen.len(), 1);
    }
}
