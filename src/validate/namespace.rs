//! Namespaces: annotations that nobody reads, and defaults that no pod could get.

use serde_json::Value;

use super::{Object, Request, Skip, Verdict};
use crate::inject::{self, annotations};
use crate::manifest::NoTree;
use crate::snapshot::{INJECT_LABEL, Snapshot};

/// How many annotations one warning names.
const NAMED: usize = 3;

/// What of a namespace matters here.
#[derive(PartialEq)]
struct Said<'o> {
    /// The value of the label.
    label: Option<&'o str>,
    /// Annotations of ours, by key.
    asked: Vec<(&'o str, &'o str)>,
}

impl<'o> Said<'o> {
    fn of(object: &'o Value, prefix: &str) -> Self {
        let of_metadata = |map: &str| object.get("metadata")?.get(map)?.as_object();
        let annotations = of_metadata("annotations").into_iter().flatten();
        let text = annotations.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
        let mut asked: Vec<_> = text.filter(|(key, _)| annotations::is_ours(prefix, key)).collect();
        asked.sort_unstable();
        Self { label: of_metadata("labels").and_then(|labels| labels.get(INJECT_LABEL.0)?.as_str()), asked }
    }
}

pub(super) fn review(request: &Request<'_>, snapshot: &Snapshot) -> Verdict {
    let Some(parts) = Object::read(request.object) else { return Verdict::skipped(Skip::Unreadable) };
    let object = match parts.tree() {
        Ok(object) => object,
        Err(NoTree::Unreadable(_)) => return Verdict::skipped(Skip::Unreadable),
        Err(problem) => return request.unseen(&problem),
    };
    let prefix = &*snapshot.policy.annotation_prefix;
    let said = Said::of(&object, prefix);
    if said.asked.is_empty() {
        return Verdict::skipped(Skip::NothingAsked);
    }
    if parts.is_being_deleted() {
        return Verdict::skipped(Skip::Deleted);
    }
    let old = if &*request.operation == "UPDATE" { Object::read(request.old_object) } else { None };
    if old.and_then(|old| old.tree().ok()).is_some_and(|old| Said::of(&old, prefix) == said) {
        return Verdict::skipped(Skip::Unchanged);
    }
    let mistakes = inject::check_defaults(snapshot, &request.name, said.asked.iter().copied());
    let warnings = said.unread().into_iter().chain(mistakes.iter().map(ToString::to_string));
    Verdict::warned(warnings.map(|text| format!("{}: {text}", request.subject_name())).collect())
}

impl Said<'_> {
    /// Without its label a namespace's annotations are no defaults.
    fn unread(&self) -> Option<String> {
        let (label, wanted) = INJECT_LABEL;
        let found = match self.label {
            Some(value) if value == wanted => return None,
            Some(value) => format!(" (it is {value:?})"),
            None => String::new(),
        };
        let keys: Vec<_> = self.asked.iter().take(NAMED).map(|(key, _)| *key).collect();
        let (annotations, are) = if self.asked.len() == 1 { ("annotation", "is") } else { ("annotations", "are") };
        let more = match self.asked.len() - keys.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "{annotations} {}{more} {are} not read without the label {label}: {wanted}{found}",
            keys.join(", ")
        ))
    }
}
