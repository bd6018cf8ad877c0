//! Which rejections are worth an Event: a controller tries a pod again and again, and a hostile one as fast as it can.
//! Whoever floods one namespace takes nothing from the others.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// An Event is counted up this often.
const AGAIN: Duration = Duration::from_mins(1);

/// So many Events may be written at once of one namespace, then one in each [`REFILL`].
const BURST: u32 = 20;
const REFILL: Duration = Duration::from_secs(1);

/// The same of all namespaces together, for the API server's sake.
const BURST_OF_ALL: u32 = 200;
const REFILL_OF_ALL: Duration = Duration::from_millis(100);

/// How many kinds of rejections are remembered, and how many namespaces: then the one is forgotten that was seen last the
/// longest ago.
const REMEMBERED: usize = 1024;

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
    /// There are too many; it is counted as long as it is remembered.
    Never,
}

/// What was seen, and what may still be written.
pub(super) struct Limits {
    seen: HashMap<u64, Seen>,
    /// When each namespace may write as much as at first. Not in here: at any time.
    namespaces: HashMap<String, Instant>,
    /// The same for all together.
    all: Instant,
}

struct Seen {
    count: i32,
    written: Option<Instant>,
    last: Instant,
}

impl Limits {
    pub(super) fn new(now: Instant) -> Self {
        Self { seen: HashMap::new(), namespaces: HashMap::new(), all: now }
    }

    /// Takes in one more rejection of a kind.
    pub(super) fn take(&mut self, key: u64, namespace: &str, now: Instant) -> Turn {
        make_room(&mut self.seen, &key, |seen| seen.last);
        let seen = self.seen.entry(key).or_insert(Seen { count: 0, written: None, last: now });
        (seen.count, seen.last) = (seen.count.saturating_add(1), now);
        if seen.written.is_some_and(|written| now < written + AGAIN) {
            return Turn::Later;
        }
        let full = self.namespaces.get(namespace).map_or(now, |full| *full);
        let (Some(full), Some(all)) =
            (one_of(BURST, REFILL, full, now), one_of(BURST_OF_ALL, REFILL_OF_ALL, self.all, now))
        else {
            return Turn::Never;
        };
        self.all = all;
        let namespace = namespace.to_owned();
        make_room(&mut self.namespaces, &namespace, |full| *full);
        self.namespaces.insert(namespace, full);
        seen.written = Some(now);
        Turn::Now { count: seen.count }
    }
}

/// Takes one of what is filled up again at a time; gives that time then. `None` if nothing is left.
fn one_of(burst: u32, refill: Duration, full: Instant, now: Instant) -> Option<Instant> {
    let full = full.max(now) + refill;
    (full <= now + refill * burst).then_some(full)
}

/// Makes room for a key.
fn make_room<K: Hash + Eq + Clone, V>(map: &mut HashMap<K, V>, key: &K, age: impl Fn(&V) -> Instant) {
    if map.len() >= REMEMBERED && !map.contains_key(key) {
        let oldest = map.iter().min_by_key(|(_, value)| age(value)).map(|(key, _)| key.clone());
        oldest.and_then(|oldest| map.remove(&oldest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn written(limits: &mut Limits, keys: std::ops::Range<u64>, namespace: &str, now: Instant) -> usize {
        keys.filter(|key| matches!(limits.take(*key, namespace, now), Turn::Now { .. })).count()
    }

    #[test]
    fn what_is_repeated_is_counted_and_said_once_a_minute() {
        let now = Instant::now();
        let mut limits = Limits::new(now);
        assert_eq!(limits.take(1, "a", now), Turn::Now { count: 1 });
        assert_eq!(limits.take(1, "a", now), Turn::Later);
        assert_eq!(limits.take(2, "a", now), Turn::Now { count: 1 }, "another one");
        assert_eq!(limits.take(1, "a", now + AGAIN - SECOND), Turn::Later);
        assert_eq!(limits.take(1, "a", now + AGAIN), Turn::Now { count: 4 });
        assert_eq!(limits.take(1, "a", now + AGAIN), Turn::Later);
    }

    #[test]
    fn many_of_a_namespace_are_said_one_a_second() {
        let now = Instant::now();
        let mut limits = Limits::new(now);
        assert_eq!(written(&mut limits, 0..100, "a", now), 20);
        assert_eq!(written(&mut limits, 100..200, "a", now + SECOND * 5), 5);
        // What had no turn is said as soon as there is one.
        assert_eq!(limits.take(199, "a", now + SECOND * 6), Turn::Now { count: 2 });
        assert_eq!(written(&mut limits, 200..300, "a", now + SECOND * 3600), 20, "no more than at first");
    }

    #[test]
    fn whoever_floods_a_namespace_silences_no_other() {
        let now = Instant::now();
        let mut limits = Limits::new(now);
        assert_eq!(written(&mut limits, 0..10_000, "flooded", now), 20);
        assert_eq!(limits.take(10_000, "other", now), Turn::Now { count: 1 });
        assert_eq!(written(&mut limits, 0..10_000, "flooded", now + SECOND * 60), 20);
        assert_eq!(limits.take(10_001, "flooded", now + SECOND * 61), Turn::Now { count: 1 }, "nor itself for long");
    }

    #[test]
    fn all_together_are_bounded() {
        let now = Instant::now();
        let mut limits = Limits::new(now);
        let all = |limits: &mut Limits, now| -> usize {
            (0..100).map(|index| written(limits, index * 100..index * 100 + 5, &format!("n{index}"), now)).sum()
        };
        assert_eq!(all(&mut limits, now), 200);
        assert_eq!(all(&mut limits, now + SECOND), 10);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let now = Instant::now();
        let mut limits = Limits::new(now);
        for key in 0..10_000_u32 {
            limits.take(key.into(), &format!("n{key}"), now + REFILL * key);
        }
        assert_eq!((limits.seen.len(), limits.namespaces.len()), (REMEMBERED, REMEMBERED));
        let last = now + REFILL * 9_999;
        assert_eq!(limits.take(9_999, "n9999", last), Turn::Later, "the oldest are forgotten");
        assert_eq!(limits.take(1, "n1", last + SECOND), Turn::Now { count: 1 });
    }
}
