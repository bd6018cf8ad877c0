//! Templates: compiled as they would be when they are used, so that a bad one never gets there.

use serde_json::Value;

use super::same::same;
use super::{Decision, Denial, Request, Skip, Verdict, is_being_deleted, read};
use crate::inject::annotations::{self, Level, Main, Setting};
use crate::manifest;
use crate::snapshot::{Namespace, Snapshot};
use crate::template::expression::with_deep_stack;
use crate::template::{self, Loaded, Origin};

/// How many namespaces a warning names.
const NAMED: usize = 5;

pub(super) fn review(request: &Request<'_>, snapshot: &Snapshot) -> Verdict {
    let mut verdict = match &*request.operation {
        "CREATE" | "UPDATE" => compile(request, snapshot),
        "DELETE" => Verdict::warned(missed(request, snapshot).into_iter().collect()),
        _ => return Verdict::skipped(Skip::NotForUs),
    };
    if !matches!(verdict.decision, Decision::Skipped(_)) {
        verdict.templates = vec![request.name.to_string()];
    }
    verdict
}

fn compile(request: &Request<'_>, snapshot: &Snapshot) -> Verdict {
    let Some(object) = read(request.object) else {
        let problem =
            format!("{} can't be read: it is no map, or nests deeper than 127 levels", request.subject_name());
        return Verdict::denied(Denial::Unreadable(problem));
    };
    if is_being_deleted(&object) {
        return Verdict::skipped(Skip::Deleted);
    }
    let of_spec = |object: &Value| object.get("spec").cloned();
    let old = if &*request.operation == "UPDATE" { read(request.old_object) } else { None };
    if old.is_some_and(|old| same(of_spec(&old).as_ref(), of_spec(&object).as_ref())) {
        // Labels, finalizers: even one that got in while nobody looked must stay mendable.
        return Verdict::skipped(Skip::Unchanged);
    }
    let options = snapshot.policy.load_options();
    let loaded = with_deep_stack(|| {
        let text = manifest::template_text(&object);
        template::load(Origin(request.subject_name().into()), &text, &options)
    });
    match loaded {
        Ok(Ok(Loaded { warnings, .. })) => {
            let about = |warning: &template::Diagnostic| format!("{}: {}", request.subject_name(), warning.message);
            Verdict::warned(warnings.iter().map(about).collect())
        }
        Ok(Err(error)) => Verdict::denied(Denial::Template(Box::new(error))),
        // No thread is to be had: that is no mistake of the template's.
        Err(_) => Verdict::skipped(Skip::Unreadable),
    }
}

/// Which namespaces' pods will miss a template that is deleted.
fn missed(request: &Request<'_>, snapshot: &Snapshot) -> Option<String> {
    let prefix = &*snapshot.policy.annotation_prefix;
    let seen = |namespace: &&Namespace| &*request.kind != "InjectionTemplate" || namespace.name == *request.namespace;
    let asking = snapshot.namespaces.iter().filter(seen).filter(|namespace| asks(namespace, prefix, &request.name));
    let mut names: Vec<&str> = asking.map(|namespace| &*namespace.name).collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let (who, ask) = match (&names[..], more) {
        ([], _) => return None,
        ([one], _) => (format!("namespace {one}"), "asks"),
        (some, 0) => (format!("namespaces {}", some.join(", ")), "ask"),
        (some, more) => (format!("namespaces {} and {more} more", some.join(", ")), "ask"),
    };
    let name = &request.name;
    Some(format!(
        "{}: {who} still {ask} for {name:?}; without another template of the name, pods there go in without it",
        request.subject_name()
    ))
}

/// Whether a namespace's defaults ask for a template.
fn asks(namespace: &Namespace, prefix: &str, template: &str) -> bool {
    let defaults = namespace.defaults.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let asked = annotations::read(prefix, Level::Namespace, defaults, &mut Vec::new());
    let asks = |setting| matches!(setting, Setting::Main(main) if main != Main::No);
    asked.iter().any(|asked| asked.template == template && asks(asked.setting))
}
