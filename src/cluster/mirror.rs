//! The objects of one kind as the API server has them. A list that is under way changes nothing before it is complete, so
//! that a reader never sees half a set.

use std::collections::HashMap;
use std::mem;

use kube::api::DynamicObject;
use kube::runtime::watcher::Event;

use super::kind::Key;

/// What is known of each object.
#[derive(Debug)]
pub(super) struct Mirror<T> {
    known: HashMap<Key, T>,
    /// The list that is under way.
    coming: HashMap<Key, T>,
}

/// What an event came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing that could be seen yet.
    Waiting,
    /// An object is new, or another than before.
    Changed,
    /// A list is complete, or an object is gone: these are no more.
    Gone(Vec<Key>),
}

impl<T> Default for Mirror<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), coming: HashMap::new() }
    }
}

impl<T> Mirror<T> {
    /// Takes an event in; `make` makes of an object what is to be known of it, given what was known before.
    pub(super) fn take(
        &mut self,
        event: Event<DynamicObject>,
        mut make: impl FnMut(&Key, Option<&T>, DynamicObject) -> Option<T>,
    ) -> Step {
        match event {
            Event::Init => self.coming.clear(),
            Event::InitApply(object) => {
                let key = Key::of(&object);
                if let Some(made) = make(&key, self.known.get(&key), object) {
                    self.coming.insert(key, made);
                }
            }
            Event::InitDone => {
                let before = mem::replace(&mut self.known, mem::take(&mut self.coming));
                return Step::Gone(before.into_keys().filter(|key| !self.known.contains_key(key)).collect());
            }
            Event::Apply(object) => {
                let key = Key::of(&object);
                if let Some(made) = make(&key, self.known.get(&key), object) {
                    self.known.insert(key, made);
                    return Step::Changed;
                }
            }
            Event::Delete(object) => {
                let key = Key::of(&object);
                if self.known.remove(&key).is_some() {
                    return Step::Gone(vec![key]);
                }
            }
        }
        Step::Waiting
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
    use kube::core::{ApiResource, ObjectMeta};

    use super::*;

    fn object(name: &str, version: i64) -> DynamicObject {
        let resource = ApiResource {
            group: String::new(),
            version: "v1".to_owned(),
            api_version: "v1".to_owned(),
            kind: "Namespace".to_owned(),
            plural: "namespaces".to_owned(),
        };
        let metadata = ObjectMeta { generation: Some(version), ..ObjectMeta::default() };
        let mut object = DynamicObject::new(name, &resource);
        object.metadata = ObjectMeta { name: Some(name.to_owned()), ..metadata };
        object
    }

    /// The versions that are known, after these events.
    fn after(mirror: &mut Mirror<i64>, events: Vec<Event<DynamicObject>>) -> (Vec<(String, i64)>, Vec<Step>) {
        let make = |_: &Key, _: Option<&i64>, object: DynamicObject| object.metadata.generation;
        let steps = events.into_iter().map(|event| mirror.take(event, make)).collect();
        let mut known: Vec<_> = mirror.iter().map(|(key, version)| (key.name.clone(), *version)).collect();
        known.sort();
        (known, steps)
    }

    fn key(name: &str) -> Key {
        Key { namespace: None, name: name.to_owned() }
    }

    #[test]
    fn a_list_counts_once_it_is_complete() {
        let mut mirror = Mirror::default();
        let (known, _) = after(&mut mirror, vec![Event::Init, Event::InitApply(object("a", 1))]);
        assert_eq!(known, []);
        let (known, steps) = after(&mut mirror, vec![Event::InitApply(object("b", 1)), Event::InitDone]);
        assert_eq!(known, [("a".to_owned(), 1), ("b".to_owned(), 1)]);
        assert_eq!(steps.last(), Some(&Step::Gone(Vec::new())));
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
        let Some(Step::Gone(gone)) = steps.last() else { panic!("{steps:?}") };
        assert_eq!(gone.len(), 2);
    }

    #[test]
    fn changes_and_deletions_count_at_once() {
        let mut mirror = Mirror::default();
        after(&mut mirror, vec![Event::Init, Event::InitApply(object("a", 1)), Event::InitDone]);
        let (known, steps) = after(&mut mirror, vec![Event::Apply(object("a", 2))]);
        assert_eq!((known, steps), (vec![("a".to_owned(), 2)], vec![Step::Changed]));
        let (known, steps) = after(&mut mirror, vec![Event::Delete(object("a", 2)), Event::Delete(object("a", 2))]);
        assert_eq!((known, steps), (vec![], vec![Step::Gone(vec![key("a")]), Step::Waiting]));
    }
}
