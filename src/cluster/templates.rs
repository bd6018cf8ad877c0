//! A custom resource into a compiled template. The object is the unit: a bad one leaves its last good version in force.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use crate::manifest;
use crate::snapshot::{Broken, Templates};
use crate::template::{self, Diagnostic, LoadError, LoadOptions, Origin, Scope, Template};

use super::kind::{Key, Kind, api_version};

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

/// Compiles objects.
#[derive(Debug, Default)]
pub(super) struct Compiler {
    options: LoadOptions,
    /// Digests never leave the process, so a keyed 64-bit hash is enough: nobody can aim at a collision.
    hasher: RandomState,
}

impl Compiler {
    pub(super) fn new(options: LoadOptions) -> Self {
        Self { options, hasher: RandomState::new() }
    }

    /// What is to be known of an object, and what happened to it: nothing where its text is the one from before.
    pub(super) fn hold(
        &self,
        kind: Kind,
        key: &Key,
        before: Option<&Held>,
        object: &DynamicObject,
    ) -> (Held, Option<Event>) {
        let spec = object.data.get("spec").unwrap_or(&Value::Null);
        let digest = self.hasher.hash_one(spec.to_string());
        let (uid, generation) = (object.metadata.uid.clone(), object.metadata.generation);
        // An object that was deleted and made again is another one.
        let before = before.filter(|before| before.uid == uid);
        if let Some(same) = before.filter(|before| before.digest == digest) {
            return (Held { generation, ..same.clone() }, None);
        }
        let held = Held { uid, generation, digest, good: None, problem: None };
        match template::load(origin(kind, key), &text(kind, key, spec), &self.options) {
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
}

impl Held {
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

/// The object as `kubectl get --output yaml` shows it, without what the API server adds.
fn text(kind: Kind, key: &Key, spec: &Value) -> String {
    let mut metadata = Map::from_iter([("name".to_owned(), Value::from(key.name.clone()))]);
    metadata.extend(key.namespace.clone().map(|namespace| ("namespace".to_owned(), namespace.into())));
    let object = json!({"apiVersion": api_version(), "kind": kind.name(), "metadata": metadata, "spec": spec});
    manifest::template_text(&object)
}
