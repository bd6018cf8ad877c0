//! Documents through the engine.

use std::borrow::Cow;
use std::collections::HashSet;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use serde_json::Value;

use crate::inject::annotations::{self, Annotation, Setting};
use crate::inject::key::Level;
use crate::inject::outcome::Plan;
use crate::inject::request::PodRequest;
use crate::inject::{self, Outcome};
use crate::manifest::{self, Document, Object, Place, Rewritten, SyntaxError};
use crate::snapshot::Snapshot;
use crate::validate;

/// What decides.
#[derive(Debug)]
pub struct Engine<'a> {
    /// Templates, namespaces, policy.
    pub snapshot: &'a Snapshot,
    /// The namespace of objects that name none.
    pub namespace: &'a str,
}

/// What became of a file.
#[derive(Debug)]
pub struct File<'i> {
    /// Its name in messages.
    pub name: &'i str,
    /// Its documents.
    pub documents: Vec<Grafted<'i>>,
    /// What to tell, a line each.
    pub messages: Vec<String>,
    /// There are errors among the messages.
    pub refused: bool,
    /// They are those of a text that is no YAML.
    pub unreadable: bool,
}

/// A document and what it gets.
#[derive(Debug)]
pub struct Grafted<'i> {
    /// The document as it was.
    pub document: Document<'i>,
    /// With its own paths.
    pub patch: Patch,
    /// With the patch applied, if that does anything.
    pub patched: Option<Patched>,
}

/// A document with its patch applied.
#[derive(Debug)]
pub struct Patched {
    /// As data.
    pub value: Value,
    /// As text.
    pub written: Rewritten,
}

impl Engine<'_> {
    /// Injects into every document of a file.
    pub fn file<'i>(&self, name: &'i str, stream: Result<Vec<Document<'i>>, Vec<SyntaxError>>) -> File<'i> {
        let mut file = File { name, documents: Vec::new(), messages: Vec::new(), refused: false, unreadable: false };
        match stream {
            Ok(documents) => {
                for document in documents {
                    let grafted = self.document(document, &mut file);
                    file.documents.push(grafted);
                }
            }
            Err(errors) => {
                (file.refused, file.unreadable) = (true, true);
                file.messages.extend(errors.iter().map(|error| format!("{name}:{error}")));
            }
        }
        file
    }

    fn document<'i>(&self, document: Document<'i>, file: &mut File<'_>) -> Grafted<'i> {
        for oddity in document.oddities(&self.snapshot.policy.annotation_prefix) {
            file.messages.push(format!("{}: {}: warning: {}", file.name, oddity.subject, oddity.text));
        }
        let prefix = &*self.snapshot.policy.annotation_prefix;
        for namespace in manifest::namespaces(document.value()) {
            self.namespace(&namespace, file);
        }
        let mut patch = Patch(Vec::new());
        for place in document.pods() {
            for problem in manifest::unquoted(document.value(), &place.pointer, prefix) {
                file.refused = true;
                file.messages.push(format!("{}: {}: error: {problem}", file.name, place.subject));
            }
            let mut say = |what: &str, text: &str| {
                file.messages.push(format!("{}: {}: {what}: {text}", file.name, place.subject));
            };
            match self.pod(&document, &place, &mut say) {
                Ok(operations) => patch.0.extend(operations),
                Err(problems) => {
                    for problem in &problems {
                        say("error", problem);
                    }
                    file.refused = true;
                }
            }
        }
        let patched = apply(&document, &patch).unwrap_or_else(|error| {
            file.refused = true;
            file.messages.push(format!("{}: error: its patch does not apply: {error}", file.name));
            None
        });
        Grafted { document, patch, patched }
    }

    /// Says of a Namespace what the cluster would say.
    fn namespace(&self, namespace: &Object<'_>, file: &mut File<'_>) {
        let subject = manifest::subject(namespace);
        for problem in manifest::unquoted(namespace.value, "", &self.snapshot.policy.annotation_prefix) {
            file.refused = true;
            file.messages.push(format!("{}: {subject}: error: {problem}", file.name));
        }
        let Ok(object) = serde_json::value::to_raw_value(namespace.value) else { return };
        let request = validate::Request {
            group: "".into(),
            kind: "Namespace".into(),
            sub_resource: "".into(),
            operation: "CREATE".into(),
            namespace: "".into(),
            name: namespace.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().into(),
            dry_run: false,
            object: Some(&object),
            old_object: None,
        };
        for warning in validate::validate(&request, self.snapshot).warnings {
            let text = warning.strip_prefix(&format!("{subject}: ")).unwrap_or(&warning);
            file.messages.push(format!("{}: {subject}: warning: {text}", file.name));
        }
    }

    /// Whether pod or namespace say anything to us.
    fn asked(&self, document: &Document<'_>, place: &Place, namespace: &str) -> bool {
        let namespace = self.snapshot.namespaces.get(namespace);
        namespace.is_some_and(|namespace| !namespace.defaults.is_empty())
            || document.asks(place, &self.snapshot.policy.annotation_prefix)
    }

    /// What a pod says of grafts that nobody asks for, which the engine passes over: its namespace may ask for them
    /// another day.
    fn unasked(&self, document: &Document<'_>, place: &Place, namespace: &str) -> Vec<String> {
        let prefix = &*self.snapshot.policy.annotation_prefix;
        let read = |level, texts: Vec<(_, _)>| annotations::read(prefix, level, texts.into_iter(), &mut Vec::new());
        let of_pod = document.value().pointer(&format!("{}/metadata/annotations", place.pointer));
        let of_pod = of_pod.and_then(Value::as_object).into_iter().flatten();
        let of_pod = read(Level::Pod, of_pod.filter_map(|(key, value)| Some((&**key, value.as_str()?))).collect());
        let of_namespace = self.snapshot.namespaces.get(namespace).into_iter().flat_map(|it| &it.defaults);
        let of_namespace = read(Level::Namespace, of_namespace.map(|(key, value)| (&**key, &**value)).collect());
        let is_main = |annotation: &&Annotation<'_>| matches!(annotation.setting, Setting::Main(_));
        let asked: HashSet<_> = of_pod.iter().chain(&of_namespace).filter(is_main).map(|main| main.key).collect();
        let alone = of_pod.iter().filter_map(|Annotation { key, setting, .. }| {
            let Setting::Parameter(name, _) = setting else { return None };
            let main = key.strip_suffix(name)?.strip_suffix('.')?;
            (!asked.contains(main))
                .then(|| format!("annotation {key} asks for nothing until {main} does, on the pod or its namespace"))
        });
        alone.collect()
    }

    /// The operations for one pod, or why it is refused; warnings go to `say`.
    fn pod(
        &self,
        document: &Document<'_>,
        place: &Place,
        say: &mut impl FnMut(&str, &str),
    ) -> Result<Vec<PatchOperation>, Vec<String>> {
        let pod = place.pod(document.value());
        let namespace = place.namespace.as_deref().unwrap_or(self.namespace);
        let request = match PodRequest::create(&pod, namespace) {
            Ok(request) => request,
            // Not for us to judge.
            Err(_) if !self.asked(document, place, namespace) => return Ok(Vec::new()),
            Err(error) => {
                // Places in the JSON made above say nothing to anybody.
                let problem = error.problem.rsplit_once(" at line ").map_or(&*error.problem, |(problem, _)| problem);
                return Err(vec![format!("{}: {problem}", place.path(&error.path))]);
            }
        };
        let outcome = inject::inject(&request, self.snapshot);
        let warnings = match &outcome {
            Outcome::Inject(plan) => &plan.warnings,
            Outcome::Skip(_, warnings) | Outcome::Reject(_, warnings) => warnings,
        };
        for warning in warnings {
            say("warning", &warning.to_string());
        }
        if !matches!(outcome, Outcome::Reject(..)) {
            for warning in self.unasked(document, place, namespace) {
                say("warning", &warning);
            }
        }
        match outcome {
            Outcome::Inject(plan) => operations(&plan, &place.pointer).map_err(|error| vec![error.to_string()]),
            Outcome::Skip(..) => Ok(Vec::new()),
            Outcome::Reject(reasons, _) => Err(reasons.iter().map(ToString::to_string).collect()),
        }
    }
}

/// The document with its patch applied, unless that is empty.
fn apply(document: &Document<'_>, patch: &Patch) -> Result<Option<Patched>, json_patch::PatchError> {
    if patch.0.is_empty() {
        return Ok(None);
    }
    let mut value = document.value().clone();
    json_patch::patch(&mut value, patch)?;
    Ok(Some(Patched { written: document.rewrite(&value), value }))
}

/// A plan's operations, their paths leading to the pod at `pointer`.
fn operations(plan: &Plan<'_>, pointer: &str) -> anyhow::Result<Vec<PatchOperation>> {
    let operation = |op: &inject::op::Op| {
        let path = PointerBuf::parse(format!("{pointer}{}", op.path))?;
        Ok(PatchOperation::Add(AddOperation { path, value: serde_json::from_str(&op.value)? }))
    };
    plan.changes.iter().map(|change| operation(&change.op)).collect()
}

impl Grafted<'_> {
    /// The document's text, with the patch applied.
    pub fn text(&self) -> &str {
        self.patched.as_ref().map_or(self.document.text(), |patched| &patched.written.text)
    }

    fn yaml(&self) -> Cow<'_, str> {
        match &self.patched {
            Some(patched) if self.document.is_json() => self.document.as_yaml(&patched.value).into(),
            Some(patched) => patched.written.text.as_str().into(),
            None => self.document.yaml(),
        }
    }
}

impl File<'_> {
    /// The file with everything in it injected, as YAML.
    pub fn yaml(&self) -> String {
        self.documents.iter().map(Grafted::yaml).collect()
    }

    /// Its documents that lose their comments, as messages name them.
    pub fn without_comments(&self) -> Vec<String> {
        let lost =
            |grafted: &&Grafted<'_>| grafted.patched.as_ref().is_some_and(|patched| patched.written.comments_lost);
        self.documents
            .iter()
            .filter(lost)
            .map(|grafted| {
                let subject = grafted.document.pods().into_iter().next().map(|place| place.subject);
                format!("{}: {}", self.name, subject.unwrap_or_default())
            })
            .collect()
    }
}
