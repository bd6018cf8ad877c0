//! The objects of one kind as the API server has them. A list that is under way changes nothing before it is complete, so
//! that a reader never sees half a set.

use std::collections::HashMap;
use std::mem;

use kube::runtime::watcher::Event;

use super::kind::Key;
use super::object::Object;

/// What is known of each object.
#[derive(Debug)]
pub(super) struct Mirror<T> {
    known: HashMap<Key, T>,
    /// The list that is under way.
    coming: HashMap<Key, T>,
    /// Whether it has brought anything that was not known.
    news: bool,
}

/// What is to be known of an object.
#[derive(Debug)]
pub(super) enum Made<T> {
    /// Something else than before.
    New(T),
    /// The same as before, for all that readers see.
    Same(T),
}

/// What an event came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Readers see something else than before.
    pub(super) changed: bool,
    /// These objects are no more.
    pub(super) gone: Vec<Key>,
}

impl<T> Default for Mirror<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), coming: HashMap::new(), news: false }
    }
}

impl<T> Made<T> {
    fn split(self) -> (T, bool) {
        match self {
            Self::New(it) => (it, true),
            Self::Same(it) => (it, false),
        }
    }
}

impl<T> Mirror<T> {
    /// Takes an event in; `make` makes of an object what is to be known of it, given what was known before.
    pub(super) fn take(
        &mut self,
        event: Event<Object>,
        mut make: impl FnMut(&Key, Option<&T>, Object) -> Option<Made<T>>,
    ) -> Step {
        match event {
            Event::Init => (self.coming, self.news) = (HashMap::new(), false),
            Event::InitApply(object) => {
                let key = Key::of(&object);
                if let Some(made) = make(&key, self.known.get(&key), object) {
                    let (object, new) = made.split();
                    self.news |= new;
                    self.coming.insert(key, object);
                }
            }
            Event::InitDone => {
                let before = mem::replace(&mut self.known, mem::take(&mut self.coming));
                let gone: Vec<_> = before.into_keys().filter(|key| !self.known.contains_key(key)).collect();
                return Step { changed: mem::take(&mut self.news) || !gone.is_empty(), gone };
            }
            Event::Apply(object) => {
                let key = Key::of(&object);
                if let Some(made) = make(&key, self.known.get(&key), object) {
                    let (object, changed) = made.split();
                    self.known.insert(key, object);
                    return Step { changed, gone: Vec::new() };
                }
            }
            Event::Delete(object) => {
                let key = Key::of(&object);
                if self.known.remove(&key).is_some() {
                    return Step { changed: true, gone: vec![key] };
                }
            }
        }
        Step::default()
    }

    /// Forgets everything: there is no such kind any more.
    pub(super) fn clear(&mut self) -> Vec<Key> {
        self.coming.clear();
        mem::take(&mut self.known).into_keys().collect()
    }

    /// How many objects are known.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// What is known.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &T)> {
        self.known.iter()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, version: i64) -> Object {
        let object = json!({"metadata": {"name": name, "generation": version}}).to_string();
        serde_json::from_str(&object).unwrap()
    }

    /// The versions that are known, after these events.
    fn after(mirror: &mut Mirror<i64>, events: Vec<Event<Object>>) -> (Vec<(String, i64)>, Vec<Step>) {
        let make = |_: &Key, before: Option<&i64>, object: Object| {
            let version = object.metadata.generation?;
            Some(if before == Some(&version) { Made::Same(version) } else { Made::New(version) })
        };
        let steps = events.into_iter().map(|event| mirror.take(event, make)).collect();
        let mut known: Vec<_> = mirror.iter().map(|(key, version)| (key.name.clone(), *version)).collect();
        known.sort();
        (known, steps)
    }

    fn key(name: &str) -> Key {
        Key { namespace: None, name: name.to_owned() }
    }

    fn changed(gone: &[&str]) -> Step {
        Step { changed: true, gone: gone.iter().map(|name| key(name)).collect() }
    }

    #[test]
    fn a_list_counts_once_it_is_complete() {
        let mut mirror = Mirror::default();
        let (known, _) = after(&mut mirror, vec![Event::Init, Event::InitApply(object("a", 1))]);
        assert_eq!(known, []);
        let (known, steps) = after(&mut mirror, vec![Event::InitApply(object("b", 1)), Event::InitDone]);
        assert_eq!(known, [("a".to_owned(), 1), ("b".to_owned(), 1)]);
        assert_eq!(steps, [Step::default(), changed(&[])]);
    }

    #[test]
    fn a_relist_shows_the_old_set_until_it_is_done() {
        let mut mirror = Mirror::default();
        let list =
            vec![Event::Init, Event::InitApply(object("a", 1)), Event::InitApply(object("b", 1)), Event::InitDone];
        after(&mut mirror, list);
        let (known, _) = after(&mut mirror, vec![Event::Init, Event::InitApply(object("b", 2))]);
        assert_eq!(known, [("a".to_owned(), 1), ("b".to_owned(), 1)]);
        // It broke off and begins again.
        let again = vec![Event::Init, Event::InitApply(object("c", 1)), Event::InitDone];
        let (known, steps) = after(&mut mirror, again);
        assert_eq!(known, [("c".to_owned(), 1)]);
        assert_eq!(steps.last().map(|step| step.gone.len()), Some(2));
    }

    #[test]
    fn a_list_of_what_is_known_changes_nothing() {
        let mut mirror = Mirror::default();
        let list = |version| vec![Event::Init, Event::InitApply(object("a", version)), Event::InitDone];
        after(&mut mirror, list(1));
        for (version, changed) in [(1, false), (2, true), (2, false)] {
            let (_, steps) = after(&mut mirror, list(version));
            assert_eq!(steps.last().map(|step| step.changed), Some(changed), "{version}");
        }
        // What another list brought before it broke off is not what this one brings.
        after(&mut mirror, vec![Event::Init, Event::InitApply(object("a", 3))]);
        let (_, steps) = after(&mut mirror, list(2));
        assert_eq!(steps.last(), Some(&Step::default()));
        let (_, steps) = after(&mut mirror, vec![Event::Init, Event::InitDone]);
        assert_eq!(steps.last(), Some(&changed(&["a"])));
    }

    #[test]
    fn changes_and_deletions_count_at_once() {
        let mut mirror = Mirror::default();
        after(&mut mirror, vec![Event::Init, Event::InitApply(object("a", 1)), Event::InitDone]);
        let (known, steps) = after(&mut mirror, vec![Event::Apply(object("a", 2)), Event::Apply(object("a", 2))]);
        assert_eq!((known, steps), (vec![("a".to_owned(), 2)], vec![changed(&[]), Step::default()]));
        let (known, steps) = after(&mut mirror, vec![Event::Delete(object("a", 2)), Event::Delete(object("a", 2))]);
        assert_eq!((known, steps), (vec![], vec![changed(&["a"]), Step::default()]));
    }
}
