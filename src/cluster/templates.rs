//! A custom resource into a compiled template. The object is the unit: a bad one leaves its last good version in force.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::manifest::{Custom, NoTree, SPEC};
use crate::snapshot::{Broken, Templates};
use crate::template::expression::with_deep_stack;
use crate::template::{self, Diagnostic, LoadError, LoadOptions, Loaded, Origin, Scope, Template};

use super::kind::{Key, Kind, api_version};
use super::object::{Object, Part};

/// What is known of a template object.
#[derive(Debug, Clone)]
pub(super) struct Held {
    uid: Option<String>,
    pub(super) generation: Option<i64>,
    digest: u64,
    /// What is in force of it.
    good: Option<Arc<Template>>,
    /// What is wrong with it as it is now.
    pub(super) problem: Option<Arc<LoadError>>,
}

/// What became of a template object that is new or has changed.
#[derive(Debug)]
pub enum Event {
    /// It is in force as it is written. With what its author should know.
    Good(Vec<Diagnostic>),
    /// It is bad; its last good version stays in force.
    Kept(Arc<LoadError>),
    /// It is bad and never was good: pods that ask for it get the error.
    Failed(Arc<LoadError>),
    /// It is gone.
    Removed,
}

/// What has templates compiled on a stack that is deep enough.
type Deep = fn(&(dyn Fn() -> Result<Loaded, LoadError> + Sync)) -> io::Result<Result<Loaded, LoadError>>;

/// Compiles objects.
#[derive(Debug)]
pub(super) struct Compiler {
    options: LoadOptions,
    deep: Deep,
    /// Digests never leave the process, so a keyed 64-bit hash is enough: nobody can aim at a collision.
    hasher: RandomState,
}

impl Compiler {
    pub(super) fn new(options: LoadOptions) -> Self {
        Self { options, deep: |work| with_deep_stack(work), hasher: RandomState::new() }
    }

    /// What is to be known of an object, and what happened to it: nothing where its text is the one from before.
    pub(super) fn hold(&self, kind: Kind, key: &Key, before: Option<&Held>, object: &Object) -> (Held, Option<Event>) {
        // The API server writes what is the same in the same way.
        let digest = match &object.spec {
            Part::TooLong(length) => self.hasher.hash_one(length),
            spec => self.hasher.hash_one(spec.text().map(RawValue::get)),
        };
        let (uid, generation) = (object.metadata.uid.clone(), object.metadata.generation);
        // An object that was deleted and made again is another one.
        let before = before.filter(|before| before.uid == uid);
        if let Some(same) = before.filter(|before| before.digest == digest && !before.is_unread()) {
            return (Held { generation, ..same.clone() }, None);
        }
        let held = Held { uid, generation, digest, good: None, problem: None };
        match self.compile(kind, key, &object.spec) {
            Ok(loaded) => {
                let good = loaded.templates.into_iter().next().map(Arc::new);
                (Held { good, ..held }, Some(Event::Good(loaded.warnings)))
            }
            Err(error) => {
                let (good, error) = (before.and_then(|before| before.good.clone()), Arc::new(error));
                let event = if good.is_some() { Event::Kept } else { Event::Failed };
                (Held { good, problem: Some(Arc::clone(&error)), ..held }, Some(event(error)))
            }
        }
    }

    fn compile(&self, kind: Kind, key: &Key, spec: &Part) -> Result<Loaded, LoadError> {
        let too_large = |problem: NoTree| refused(kind, key, format!("the spec is of no use: {problem}"));
        if let Part::TooLong(found) = *spec {
            return Err(too_large(NoTree::Long { found, most: SPEC.bytes }));
        }
        let api_version = api_version();
        let (name, namespace) = (Some(&*key.name), key.namespace.as_deref());
        let object = Custom { api_version: &api_version, kind: kind.name(), name, namespace, spec: spec.text() };
        let compiled = || template::load(origin(kind, key), &object.text().map_err(too_large)?, &self.options);
        // A mistake of ours in compiling one must not keep the others from being seen. The panic hook says where.
        match catch_unwind(AssertUnwindSafe(|| (self.deep)(&compiled))) {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(error)) => {
                let message = format!("it can't be read now: no thread is to be had: {error}");
                Err(LoadError { passing: true, ..refused(kind, key, message) })
            }
            Err(_) => Err(template::failed_inside(origin(kind, key), "")),
        }
    }
}

fn refused(kind: Kind, key: &Key, message: String) -> LoadError {
    let diagnostics = vec![Diagnostic { line: 1, column: 1, range: 0..0, message, help: None }];
    LoadError { origin: origin(kind, key), text: Arc::from(""), declares: Vec::new(), diagnostics, passing: false }
}

impl Held {
    /// It was not looked at, for a lack of threads.
    pub(super) fn is_unread(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.passing)
    }

    /// Puts it among the templates in force, or among those that pods can't have.
    pub(super) fn shelve(&self, key: &Key, templates: &mut Templates) {
        if let Some(good) = &self.good {
            templates.insert(Arc::clone(good));
        } else if let Some(error) = &self.problem {
            let scope = key.namespace.clone().map_or(Scope::Cluster, Scope::Namespace);
            templates.insert_broken(&scope, key.name.clone(), Broken { error: Arc::clone(error) });
        }
    }
}

/// How messages name an object: as kubectl would find it.
pub(super) fn origin(kind: Kind, key: &Key) -> Origin {
    let kind = kind.name();
    let name = match &key.namespace {
        Some(namespace) => format!("{kind}/{namespace}/{}", key.name),
        None => format!("{kind}/{}", key.name),
    };
    Origin(name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_of_ours_is_told_as_one_of_the_object() {
        let key = Key { namespace: None, name: "a".to_owned() };
        let object: Object = serde_json::from_str(r#"{"metadata":{"name":"a"},"spec":{}}"#).unwrap();
        let failing = Compiler { deep: |_| panic!("of ours"), ..Compiler::new(LoadOptions::default()) };
        let (_, event) = failing.hold(Kind::ClusterTemplate, &key, None, &object);
        let Some(Event::Failed(error)) = event else { panic!("it can't be good") };
        let told = "ClusterInjectionTemplate/a:1:1: podgraft failed inside when it compiled this; its log says more";
        assert_eq!(error.summary(), told);
    }

    #[test]
    fn what_had_no_thread_is_read_when_there_is_one() {
        let key = Key { namespace: Some("shop".to_owned()), name: "a".to_owned() };
        let object =
            r#"{"metadata":{"name":"a","namespace":"shop"},"spec":{"target":{"env":[{"name":"A","value":"b"}]}}}"#;
        let object: Object = serde_json::from_str(object).unwrap();
        let good = Compiler::new(LoadOptions::default());
        let starved =
            Compiler { deep: |_| Err(io::ErrorKind::WouldBlock.into()), ..Compiler::new(LoadOptions::default()) };
        // There was none before, and there was another one.
        let other = r#"{"metadata":{"name":"a","namespace":"shop"},"spec":{}}"#;
        let (other, _) = good.hold(Kind::Template, &key, None, &serde_json::from_str(other).unwrap());
        for before in [None, Some(&other)] {
            let (unread, event) = starved.hold(Kind::Template, &key, before, &object);
            assert!(unread.is_unread() && unread.good.is_some() == before.is_some(), "{event:?}");
            let (unread, _) = starved.hold(Kind::Template, &key, Some(&unread), &object);
            assert!(unread.is_unread() && unread.good.is_some() == before.is_some());
            let (held, event) = good.hold(Kind::Template, &key, Some(&unread), &object);
            assert!(matches!(event, Some(Event::Good(_))), "{event:?}");
            assert!(!held.is_unread() && held.problem.is_none());
        }
    }
}
