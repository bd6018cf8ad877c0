//! Rejections whose Events are to be written: a queue for each namespace, served in turn. However slowly the API server takes
//! them, whoever has many waits behind his own.

use std::collections::{HashMap, VecDeque};

use crate::admission::Rejection;

/// So many wait at most, of all namespaces together; each holds some hundred bytes, and 2 KiB at most.
const MOST: usize = 256;

/// A rejection whose turn it was.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) rejection: Rejection,
    /// Of the rejection's owner and note.
    pub(super) key: u64,
    /// How often it was seen.
    pub(super) count: i32,
}

/// What waits. No queue is empty, and each has one turn.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    queues: HashMap<String, VecDeque<Due>>,
    turns: VecDeque<String>,
    count: usize,
}

impl Waiting {
    /// Takes one in. Where there are too many, the latest of those of whom most wait is given back: it has no place.
    pub(super) fn put(&mut self, due: Due) -> Option<Due> {
        let namespace = due.rejection.namespace.clone();
        let queue = self.queues.entry(namespace.clone()).or_default();
        if queue.is_empty() {
            self.turns.push_back(namespace.clone());
        }
        queue.push_back(due);
        self.count += 1;
        if self.count <= MOST {
            return None;
        }
        // Among equals, the newcomer.
        let (longest, _) = self.queues.iter().max_by_key(|(name, queue)| (queue.len(), **name == namespace))?;
        let longest = longest.clone();
        self.remove(&longest, VecDeque::pop_back)
    }

    /// The first one of the namespace whose turn it is.
    pub(super) fn next(&mut self) -> Option<Due> {
        let namespace = self.turns.front()?.clone();
        let due = self.remove(&namespace, VecDeque::pop_front);
        if self.turns.front() == Some(&namespace) {
            self.turns.rotate_left(1);
        }
        due
    }

    fn remove(&mut self, namespace: &str, one: impl FnOnce(&mut VecDeque<Due>) -> Option<Due>) -> Option<Due> {
        let queue = self.queues.get_mut(namespace)?;
        let due = one(queue)?;
        self.count -= 1;
        if queue.is_empty() {
            self.queues.remove(namespace);
            self.turns.retain(|other| other != namespace);
        }
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rejection;
    use super::*;

    fn due(namespace: &str, key: u64) -> Due {
        Due { rejection: rejection(namespace, "no".to_owned()), key, count: 1 }
    }

    fn what(due: Due) -> (String, u64) {
        (due.rejection.namespace, due.key)
    }

    #[test]
    fn namespaces_have_turns() {
        let mut waiting = Waiting::default();
        for (namespace, key) in [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5), ("b", 6)] {
            assert!(waiting.put(due(namespace, key)).is_none());
        }
        let all: Vec<_> = std::iter::from_fn(|| waiting.next()).map(|due| what(due).1).collect();
        assert_eq!(all, [1, 4, 5, 2, 6, 3]);
        assert!(waiting.queues.is_empty() && waiting.turns.is_empty() && waiting.count == 0);
    }

    #[test]
    fn whoever_has_most_gives_way() {
        let mut waiting = Waiting::default();
        let refused: Vec<_> = (0..1000).filter_map(|key| waiting.put(due("flooded", key))).map(what).collect();
        assert_eq!((refused.len(), &refused[0]), (1000 - MOST, &("flooded".to_owned(), MOST as u64)));
        for key in 0..100 {
            let (namespace, _) = waiting.put(due(&format!("n{key}"), key)).map(what).expect("there are too many");
            assert_eq!(namespace, "flooded");
        }
        assert_eq!((waiting.count, waiting.queues.len(), waiting.turns.len()), (MOST, 101, 101));
    }

    #[test]
    fn a_namespace_too_many_has_no_place() {
        let mut waiting = Waiting::default();
        for key in 0..MOST as u64 {
            assert!(waiting.put(due(&format!("n{key}"), key)).is_none());
        }
        assert_eq!(waiting.put(due("last", 1)).map(what), Some(("last".to_owned(), 1)));
        assert_eq!((waiting.count, waiting.queues.len(), waiting.turns.len()), (MOST, MOST, MOST));
    }
}
